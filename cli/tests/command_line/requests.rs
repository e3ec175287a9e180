//! The commands for requests, against tables and a queue in the emulator.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Output, Stdio};

use catalog::buildbot::{CatalogJob, write_body};
use catalog::list::PackedList;
use chrono::{DateTime, TimeDelta, Utc};
use requests::action::{Action, ActionState, Places};
use requests::id::RequestId;
use requests::job::{RequestedJob, count_jobs, digest, progress};
use requests::new_request::NewRequest;
use requests::outcome::{Outcome, OutcomeState, RunOf};
use requests::push::Push;
use requests::request::Request;
use requests::state::{JobState, RequestState};
use runtime::JsonClient;
use serde_json::{Value, json};
use store::{CatalogTable, Consistency, Provenance, RequestsTable, UpdateResult};
use test_support::store::{at, client, endpoint, new_requests_table, new_table, queue};

use crate::program::{badly, feed, program, stderr, stdout, well};

const BUILD: &str = "Linux x86-64 try build";
const TEST: &str = "Rev7 MacOSX Yosemite 10.10.5 try opt test mochitest-1";
const OLD_TEST: &str = "Rev5 MacOSX Yosemite 10.10 try opt test mochitest-1";

struct TestRequests {
    catalog: String,
    requests_name: String,
    requests: RequestsTable,
    queue: JsonClient,
    queue_url: String,
}

fn morning() -> DateTime<Utc> {
    at("2026-11-23T06:00:00Z")
}

impl TestRequests {
    async fn new() -> Self {
        let client = client(&endpoint()).await;
        let (catalog, requests_name) = (new_table(&client).await, new_requests_table(&client).await);
        let table = CatalogTable::new(client.clone(), &catalog);
        let provenance =
            Provenance { source: "https://example.org/a.json".to_owned(), source_etag: None, updated_at: morning() };
        let mut body = Vec::new();
        let jobs = [BUILD, TEST].map(|name| CatalogJob { name, upstream: None });
        let summary = write_body("try", &jobs, &mut body, |_| ());
        table.publish("try", &PackedList::new(&body, summary), None, &provenance).await.unwrap();
        let queue = queue::client(&endpoint()).await;
        let queue_url = queue::new_queue(&queue, &requests_name).await;
        let requests = RequestsTable::new(client, &requests_name);
        Self { catalog, requests_name, requests, queue, queue_url }
    }

    /// A request of that morning with jobs in these states.
    async fn request(&self, push_id: u64, random: u128, states: &[JobState], state: RequestState) -> Request {
        self.request_at(morning(), push_id, random, states, state).await
    }

    async fn request_at(
        &self,
        made_at: DateTime<Utc>,
        push_id: u64,
        random: u128,
        states: &[JobState],
        state: RequestState,
    ) -> Request {
        let names = [BUILD, TEST];
        let jobs: Vec<RequestedJob> = names
            .iter()
            .zip(states)
            .map(|(name, state)| RequestedJob { state: *state, ..RequestedJob::accepted(name) })
            .collect();
        let new_request = NewRequest::new("try", push_id, "someone@mozilla.com".parse().unwrap(), Vec::new());
        let pushed = Some(Push { revision: "ab".repeat(20), author: None });
        let request = Request::new(RequestId::new(made_at, random), new_request, pushed, &jobs, made_at);
        self.requests.create(&request, &jobs, made_at).await.unwrap();
        let next = Request { version: 2, state, job_counts: count_jobs(&jobs), ..request };
        assert_eq!(self.requests.update(&next, Some(&jobs), made_at).await.unwrap(), UpdateResult::Stored);
        next
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = program(&[&["requests"], words].concat());
        command.env("RUNNABLE_JOBS_CATALOG_TABLE", &self.catalog);
        command.env("RUNNABLE_JOBS_REQUESTS_TABLE", &self.requests_name);
        command.env("RUNNABLE_JOBS_QUEUE_URL", &self.queue_url);
        command.env("RUNNABLE_JOBS_TREEHERDER_URL", "https://treeherder.example.org");
        command
    }

    fn ok(&self, words: &[&str]) -> String {
        well(&self.run(words)).to_owned()
    }

    fn replay(&self, words: &[&str], input: &str) -> Output {
        feed(self.command(&[&["replay", "-"], words].concat()), input.as_bytes())
    }

    async fn queued(&self) -> Vec<Value> {
        let messages = queue::receive(&self.queue, &self.queue_url, 30).await;
        messages.iter().map(|message| serde_json::from_str(message).unwrap()).collect()
    }
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn requests_are_listed_in_a_table_or_as_json() {
    let env = TestRequests::new().await;
    let open = env.request(7, 1, &[JobState::Accepted, JobState::Rejected], RequestState::Queued).await;
    let ended = env.request(7, 2, &[JobState::Forwarded], RequestState::Forwarded).await;
    let table = env.ok(&["list"]);
    let [heading, row] = table.lines().collect::<Vec<_>>()[..] else { panic!("one request is open: {table}") };
    assert!(heading.starts_with("REQUEST") && heading.ends_with("JOBS"), "{heading}");
    let words: Vec<&str> = row.split_whitespace().collect();
    let id = open.id.to_string();
    let expected =
        [&id, "queued", "try", "7", "someone@mozilla.com", "2026-11-23T06:00:00Z", "1", "accepted,", "1", "rejected"];
    assert_eq!(words, expected);

    for words in [["--push", "try/7"], ["--requester", "someone@Mozilla.com"]] {
        let listed: Vec<Value> = serde_json::from_str(&env.ok(&["list", "--json", words[0], words[1]])).unwrap();
        let ids: Vec<&str> = listed.iter().map(|request| request["request_id"].as_str().unwrap()).collect();
        assert_eq!(ids, [&ended.id.to_string(), &id], "{words:?}");
    }
    let older = env.ok(&["list", "--push", "try/7", "--before", &ended.id.to_string()]);
    assert!(older.contains(&id) && !older.contains(&ended.id.to_string()));
    assert_eq!(env.ok(&["list", "--push", "try/8"]).lines().count(), 1);
}

#[tokio::test]
async fn a_request_is_shown_with_its_jobs_and_its_history() {
    let env = TestRequests::new().await;
    let request = env.request(7, 1, &[JobState::Forwarded, JobState::Failed], RequestState::Forwarded).await;
    let id = request.id.to_string();
    let text = env.ok(&["show", &id]);
    let heading = format!("{id} forwarded: push 7 of try, asked for by someone@mozilla.com (1 waiting, 1 failed)\n");
    assert!(text.starts_with(&heading), "{text}");
    for line in [format!("{BUILD}  "), format!("{TEST}  failed"), "2026-11-23T06:00:00Z  accepted".to_owned()] {
        assert!(text.contains(&line), "{line}\n{text}");
    }
    let shown: Value = serde_json::from_str(&env.ok(&["show", &id, "--json"])).unwrap();
    assert_eq!(shown["jobs"][1]["state"], "failed");
    assert_eq!(
        shown["links"]["push"],
        format!("https://treeherder.example.org/jobs?repo=try&revision={}", "ab".repeat(20))
    );
}

/// Stores what became of the jobs of a request.
async fn follow(
    env: &TestRequests,
    request: &Request,
    state: RequestState,
    outcomes: &[(OutcomeState, &str)],
) -> Request {
    let (request, mut jobs) = env.requests.with_jobs(request.clone(), Consistency::Consistent).await.unwrap();
    for (job, (outcome, result)) in jobs.iter_mut().zip(outcomes) {
        let result = Some((*result).to_owned()).filter(|result| !result.is_empty());
        job.outcome = Some(Outcome { state: *outcome, result, run: Some(RunOf::Job(77)), since: morning() });
    }
    let (job_counts, jobs_digest) = (count_jobs(&jobs), digest(&jobs));
    let progress = Some(progress(&jobs));
    let next = Request { version: request.version + 1, state, job_counts, jobs_digest, progress, ..request };
    assert_eq!(env.requests.update(&next, Some(&jobs), morning()).await.unwrap(), UpdateResult::Stored);
    next
}

#[tokio::test]
async fn outcomes_and_actions_are_shown() {
    let env = TestRequests::new().await;
    let request = env.request(7, 1, &[JobState::Forwarded, JobState::Forwarded], RequestState::Forwarded).await;
    let outcomes = [(OutcomeState::Completed, "success"), (OutcomeState::Running, "")];
    let request = follow(&env, &request, RequestState::Forwarded, &outcomes).await;
    let action = Action {
        number: 1,
        jobs: Places::new([1]),
        hook: "project-gecko/in-tree-action-1-generic/0123abcdef".to_owned(),
        state: ActionState::Running,
        task_id: Some("fN1SbArXTPSVFNUvaOlinQ".to_owned()),
        called_at: morning(),
    };
    let next = Request { version: request.version + 1, actions: vec![action], ..request };
    env.requests.update(&next, None, morning()).await.unwrap();
    let text = env.ok(&["show", &next.id.to_string()]);
    let url = format!("https://treeherder.example.org/jobs?repo=try&revision={}&selectedJob=77", "ab".repeat(20));
    for part in [
        "asked for by someone@mozilla.com (1 running, 1 succeeded)\n".to_owned(),
        format!("forwarded  completed success  {url}\n"),
        format!("forwarded  running            {url}\n"),
        "1       running  1     2026-11-23T06:00:00Z  fN1SbArXTPSVFNUvaOlinQ\n".to_owned(),
    ] {
        assert!(text.contains(&part), "{part}\n{text}");
    }
}

#[tokio::test]
async fn a_request_is_watched_until_its_jobs_have_ended() {
    let env = TestRequests::new().await;
    for (last, code, said) in [("success", 0, ""), ("testfailed", 1, "runnable-jobs: 1 of 2 jobs did not succeed\n")] {
        let states = [JobState::Forwarded, JobState::Forwarded];
        let request = env.request(7, code + 1, &states, RequestState::Forwarded).await;
        let first = [(OutcomeState::Completed, "success"), (OutcomeState::Running, "")];
        let request = follow(&env, &request, RequestState::Forwarded, &first).await;
        let id = request.id.to_string();
        let mut command = env.command(&["watch", &id, "--timeout", "60"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut next = || lines.next().map(|line| line.unwrap().split_once(' ').unwrap().1.to_owned());
        let url = format!("https://treeherder.example.org/jobs?repo=try&revision={}&selectedJob=77", "ab".repeat(20));
        assert_eq!(next().unwrap(), "request: forwarded (1 running, 1 succeeded)");
        assert_eq!(next().unwrap(), format!("{BUILD}: forwarded completed success {url}"));
        assert_eq!(next().unwrap(), format!("{TEST}: forwarded running {url}"));

        let ended = [first[0], (OutcomeState::Completed, last)];
        follow(&env, &request, RequestState::Finished, &ended).await;
        let counts = if code == 0 { "2 succeeded" } else { "1 succeeded, 1 failed" };
        assert_eq!(next().unwrap(), format!("request: finished ({counts})"));
        assert_eq!(next().unwrap(), format!("{TEST}: forwarded completed {last} {url}"));
        assert_eq!(next(), None, "only what changed is printed");
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), stderr(&output)), (Some(code.try_into().unwrap()), said));
    }
}

#[tokio::test]
async fn a_request_that_does_not_end_is_not_watched_for_ever() {
    let env = TestRequests::new().await;
    let request = env.request(7, 1, &[JobState::Forwarded], RequestState::Forwarded).await;
    let done = env.run(&["watch", &request.id.to_string(), "--timeout", "1"]);
    assert_eq!(badly(&done, 1), "runnable-jobs: it is forwarded still, after 1 s");
    let old = Request { version: request.version + 1, progress: None, ..request };
    env.requests.update(&old, None, morning()).await.unwrap();
    let done = env.run(&["watch", &old.id.to_string()]);
    let said = "runnable-jobs: an earlier version forwarded it: what became of its jobs is not followed";
    assert_eq!(badly(&done, 3), said);
    let done = env.run(&["watch", "01KAS4B0MRJ6WJ0RGDX8T0E4JQ"]);
    assert!(badly(&done, 3).starts_with("runnable-jobs: there is no request 01KAS4B0MRJ6WJ0RGDX8T0E4JQ"));
}

#[tokio::test]
async fn an_operator_retries_without_rules_and_budget() {
    let env = TestRequests::new().await;
    let request = env.request(7, 1, &[JobState::Forwarded, JobState::Failed], RequestState::Forwarded).await;
    let id = request.id.to_string();
    assert_eq!(env.ok(&["retry", &id]), "1 job is queued for push 7 of try.\n");
    assert_eq!(env.queued().await, [json!({"request_id": id, "round": 2})]);
    // Its message may be lost.
    assert_eq!(env.ok(&["retry", &id]), "The request is queued still, and is queued again.\n");
    assert_eq!(env.queued().await, [json!({"request_id": id, "round": 2})]);
}

#[tokio::test]
async fn recorded_requests_are_resolved_and_summed_up() {
    let env = TestRequests::new().await;
    let input = [
        json!({"project": "try", "buildernames": [BUILD, BUILD], "version": 1, "requester": "a@example.org", "resultset_id": "1"}),
        json!({"project": "try", "requested_jobs": [OLD_TEST, "qqq"], "requester": "a@example.org", "push_id": 1}),
        json!({"project": "try", "requested_jobs": ["qqq"], "requester": "a@example.org", "push_id": 1}),
        json!({"project": "tyr", "requested_jobs": [BUILD], "requester": "a@example.org", "push_id": 1}),
        json!({"project": "try", "requested_jobs": [], "requester": "a@example.org", "push_id": 1}),
        json!({"project": "try", "requested_jobs": [BUILD], "requester": "a@example.org", "push_id": 1}),
    ];
    let input = input.map(|line| line.to_string()).join("\n") + "\n\n{nonsense\n";
    let lines = lines(well(&env.replay(&["--json"], &input)));
    let outcomes: Vec<&str> = lines[..7].iter().map(|line| line["outcome"].as_str().unwrap()).collect();
    let expected =
        ["accepted", "accepted in part", "no_known_jobs", "unknown_project", "malformed", "repeated", "malformed"];
    assert_eq!(outcomes, expected);
    assert_eq!(lines[6]["line"], 8);
    let summary = &lines[7];
    assert_eq!(
        (&summary["requests"], &summary["known"], &summary["renamed"], &summary["unknown"]),
        (&7.into(), &2.into(), &1.into(), &2.into())
    );
    assert_eq!((&summary["repeated"], &summary["most_unknown"]), (&1.into(), &json!([["qqq", 2]])));
    assert!(env.queued().await.is_empty(), "it was a dry run");

    let output = env.replay(&[], &input);
    let text = well(&output);
    assert!(text.contains("line 4: unknown_project: There is no project 'tyr'. Did you mean try?"), "{text}");
    assert!(text.contains("known"), "{text}");
}

#[tokio::test]
async fn recorded_requests_can_be_made_again() {
    let env = TestRequests::new().await;
    let line = json!({"project": "try", "requested_jobs": [BUILD], "requester": "a@example.org", "push_id": 1});
    let lines = lines(well(&env.replay(&["--submit", "--json"], &format!("{line}\n{line}\n"))));
    assert_eq!((&lines[0]["outcome"], &lines[1]["outcome"]), (&"queued".into(), &"repeated".into()));
    assert_eq!(lines[0]["request_id"], lines[1]["request_id"]);
    assert_eq!(env.queued().await.len(), 1);
}

#[tokio::test]
async fn all_dead_letters_are_retried() {
    let env = TestRequests::new().await;
    let letters = queue::new_queue(&env.queue, &format!("{}-dead", env.requests_name)).await;
    let failed = env.request(7, 1, &[JobState::Failed, JobState::Forwarded], RequestState::Forwarded).await;
    let open = env.request(7, 2, &[JobState::Accepted], RequestState::Queued).await;
    let forwarded = env.request(7, 3, &[JobState::Forwarded], RequestState::Forwarded).await;
    let ticket = |id: RequestId, round: u32| json!({"request_id": id, "round": round}).to_string();
    let gone = RequestId::new(morning(), 9);
    for body in [
        ticket(failed.id, 1),
        ticket(open.id, 1),
        ticket(forwarded.id, 1),
        ticket(open.id, 0),
        ticket(gone, 1),
        "x".to_owned(),
    ] {
        queue::send(&env.queue, &letters, &body).await;
    }
    let done = env.run(&["retry", "--dead-letters", &letters, "--json"]);
    assert_eq!(badly(&done, 3), "runnable-jobs: 1 could not be tried again");
    let response: Vec<(String, bool, String)> = lines(stdout(&done))
        .into_iter()
        .map(|line| {
            let text = |name: &str| line[name].as_str().unwrap().to_owned();
            (text("message"), line["left"].as_bool().unwrap(), text("detail"))
        })
        .collect();
    for (message, left, detail) in [
        (ticket(failed.id, 1), false, "1 job is queued for push 7 of try."),
        (ticket(open.id, 1), false, "The request is queued still, and is queued again."),
        (ticket(forwarded.id, 1), false, "it is forwarded: nothing is left to be done"),
        (ticket(open.id, 0), false, "it was sent again since"),
        (ticket(gone, 1), false, "there is no such request any more"),
        ("x".to_owned(), true, "it is no message of ours"),
    ] {
        assert!(response.contains(&(message, left, detail.to_owned())), "{detail}: {response:#?}");
    }
    let mut queued: Vec<String> = env.queued().await.iter().map(ToString::to_string).collect();
    queued.sort_unstable();
    assert_eq!(queued, [ticket(failed.id, 2), ticket(open.id, 1)]);
    // The messages that stay are visible at once.
    let again = env.run(&["retry", "--dead-letters", &letters]);
    let response = "x: it is no message of ours\n0 removed from the dead-letter queue, 1 left there\n";
    assert_eq!(String::from_utf8_lossy(&again.stdout), response);
}

#[tokio::test]
async fn a_sweep_by_hand_queues_what_is_due() {
    let env = TestRequests::new().await;
    // The program has the clock of the machine. A request of long ago would be given up.
    #[expect(clippy::disallowed_methods, reason = "the program that is tested reads the same clock")]
    let minutes_ago = Utc::now() - TimeDelta::minutes(5);
    env.request_at(minutes_ago, 7, 1, &[JobState::Accepted], RequestState::Accepted).await;
    assert_eq!(env.ok(&["sweep"]), "1 queued, 0 that wait looked at again, 0 failed\n");
    assert_eq!(env.ok(&["sweep"]), "0 queued, 0 that wait looked at again, 0 failed\n");
    assert_eq!(env.queued().await.len(), 1);
}

#[tokio::test]
async fn a_sweep_by_hand_fails_a_request_without_an_event_for_a_day() {
    let env = TestRequests::new().await;
    let request = env.request(7, 1, &[JobState::Accepted], RequestState::Accepted).await;
    let said = String::from_utf8(env.run(&["sweep"]).stdout).unwrap();
    let id = request.id;
    let expected =
        format!("0 queued, 0 that wait looked at again, 1 failed: request {id} stayed accepted, and was given up\n");
    assert_eq!(said, expected);
    let shown: Value = serde_json::from_str(&env.ok(&["show", "--json", &request.id.to_string()])).unwrap();
    assert_eq!((&shown["state"], &shown["jobs"][0]["state"]), (&json!("failed"), &json!("failed")), "{shown}");
}

#[tokio::test]
async fn every_kind_of_error_has_an_exit_code() {
    let env = TestRequests::new().await;
    for (words, code, said) in [
        (
            vec!["show", "01KAS4B0MRJ6WJ0RGDX8T0E4JQ"],
            3,
            "runnable-jobs: there is no request 01KAS4B0MRJ6WJ0RGDX8T0E4JQ",
        ),
        (vec!["retry"], 2, "runnable-jobs: retry what? A request or --dead-letters is expected"),
        (vec!["show", "x"], 2, "26 letters and digits of a request's name are expected"),
        (vec!["list", "--push", "try"], 2, "a project and a push are expected, for example try/1001"),
        (vec!["list", "--requester", "me"], 2, "an e-mail address is expected"),
        (vec!["list", "--requests-table", "not-there"], 5, "(table not-there)"),
        (vec!["replay", "/not/there"], 2, "/not/there cannot be read: No such file"),
    ] {
        let done = env.run(&words);
        badly(&done, code);
        assert!(stderr(&done).contains(said), "{words:?}: {}", stderr(&done));
    }
    let bare = env.command(&["list"]).env_remove("RUNNABLE_JOBS_REQUESTS_TABLE").output().unwrap();
    assert_eq!(
        String::from_utf8(bare.stderr).unwrap(),
        "runnable-jobs: RUNNABLE_JOBS_REQUESTS_TABLE is not set: the name of the requests table is expected\n"
    );
}
