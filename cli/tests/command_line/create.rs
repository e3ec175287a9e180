//! `requests create`, against a service and a Treeherder in memory.

use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use test_support::store::http::{Message, closed_address, serve};

use crate::program::{badly, program, stderr, stdout, well};

const TOKEN: &str = "the.secret.token";
const TASK: &str = "Ab-_9fIzT8aXVvV2yWqhGQ";
const ID: &str = "01KAS4B0MRJ6WJ0RGDX8T0E4JQ";
/// Where the page is, below the host.
const BASE: &str = "/_aws/execute-api/abc";

/// What the fake answers, and what it was asked.
struct Fake {
    address: String,
    requests: Arc<Mutex<Vec<Message>>>,
}

/// A service in which this number of jobs match; `trigger` answers the requests for jobs, by their number.
fn fake(count: usize, trigger: impl Fn(usize, &Value) -> Option<Message> + Send + Sync + 'static) -> Fake {
    with_config(json!({"trigger_url": "."}), count, trigger)
}

fn with_config(
    config: Value,
    count: usize,
    trigger: impl Fn(usize, &Value) -> Option<Message> + Send + Sync + 'static,
) -> Fake {
    let requests: Arc<Mutex<Vec<Message>>> = Arc::default();
    let (seen, address) = (requests.clone(), Arc::new(Mutex::new(String::new())));
    let own = address.clone();
    let served = serve(move |request| {
        let target = request.start.split(' ').nth(1).unwrap().to_owned();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let mut seen = seen.lock().unwrap();
        seen.push(request.clone());
        let ok = |body: Value| Some(Message::answer("200 OK", body.to_string()));
        match path.strip_prefix(BASE).unwrap_or(path) {
            "/config.json" => {
                let mut config = config.clone();
                config["treeherder_url"] = own.lock().unwrap().as_str().into();
                ok(config)
            }
            "/api/project/try/push/decisiontask/" if query == "push_ids=1001" => ok(json!({"1001": {"id": TASK}})),
            "/api/project/try/push/decisiontask/" if query == "push_ids=1003" => {
                Some(Message::answer("503 Service Unavailable", ""))
            }
            "/api/project/try/push/decisiontask/" => Some(Message::answer("404 Not Found", "{}")),
            "/api/project/try/runnable_jobs/" => {
                let offset: usize = query.split("offset=").nth(1).unwrap().split('&').next().unwrap().parse().unwrap();
                let job = |number| match number {
                    0 => json!({"ref_data_name": "test-0", "upstream": format!("test-{}", count - 1)}),
                    _ => json!({"ref_data_name": format!("test-{number}"), "upstream": null}),
                };
                let results: Vec<Value> = (offset..count.min(offset + 10_000)).map(job).collect();
                ok(json!({"meta": {"total": count}, "results": results}))
            }
            path if path.ends_with("/trigger_runnable_jobs/") => {
                let number = seen.iter().filter(|request| request.start.starts_with("POST")).count();
                let body = serde_json::from_slice(&request.body).unwrap();
                drop(seen);
                trigger(number, &body)
            }
            other => panic!("{other}"),
        }
    });
    address.lock().unwrap().clone_from(&served);
    Fake { address: served, requests }
}

impl Fake {
    fn command(&self, words: &[&str]) -> Command {
        let mut command = program(&[&["requests", "create"], words].concat());
        command.env("RUNNABLE_JOBS_URL", format!("{}{BASE}/?project=try#x", self.address));
        command.env("RUNNABLE_JOBS_TOKEN", TOKEN);
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// The requests with this method so far.
    fn seen(&self, method: &str) -> Vec<Message> {
        let requests = self.requests.lock().unwrap();
        requests.iter().filter(|request| request.start.starts_with(method)).cloned().collect()
    }

    /// The keys under which jobs were requested so far.
    fn keys(&self) -> Vec<String> {
        self.seen("POST").iter().map(|post| post.header("idempotency-key").unwrap().to_owned()).collect()
    }

    /// The first lines of the requests that were sent so far, without the method and the version.
    fn targets(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        requests.iter().map(|request| request.start.split(' ').nth(1).unwrap().to_owned()).collect()
    }
}

fn jobs(body: &Value, state: &str) -> Value {
    let names = body["requested_jobs"].as_array().unwrap().iter();
    names.map(|name| json!({"name": name, "state": state, "destination": "taskcluster"})).collect()
}

#[expect(clippy::unnecessary_wraps, reason = "another fake gives no answer")]
fn queued(_: usize, body: &Value) -> Option<Message> {
    let answer = json!({
        "message": "Jobs are queued for push 1001 of try.", "request_id": ID, "state": "queued",
        "status_url": format!("/api/project/try/trigger_requests/{ID}/"), "jobs": jobs(body, "accepted"),
    });
    Some(Message::answer("202 Accepted", answer.to_string()))
}

/// The line that says how to run the command again.
fn again(key: &str) -> String {
    format!("run it again with --key {key}, and what was requested is not requested again")
}

/// The same, after a request that may have arrived.
fn unknown(key: &str) -> String {
    format!("It is not known whether jobs were requested: {}", again(key))
}

fn problem(status: &str, code: &str, detail: &str) -> Message {
    let body =
        json!({"type": "/api/docs/", "title": "t", "status": 0, "detail": detail, "code": code, "request_id": "r"});
    Message::answer(status, body.to_string()).with("content-type", "application/problem+json")
}

const QUERY: [&str; 4] = ["--push", "try/1001", "--query", "test mochitest | wpt !asan"];

#[test]
fn jobs_that_match_a_query_are_requested_on_the_push() {
    let fake = fake(3, queued);
    let done = fake.run(&[&QUERY[..], &["--job", "Linux x86-64 try build"]].concat());
    let keys = fake.keys();
    let key = keys[0].strip_suffix("-1").unwrap();
    let expected = format!(
        "Jobs are queued for push 1001 of try.\n\nrun (4 by Taskcluster)\n  test-2\n  test-0\n  test-1\n  \
         Linux x86-64 try build\n\nrequest {ID}\nwatch it: {}{BASE}/?project=try&push=1001&request={ID}\n\
         operators of the service: runnable-jobs requests watch {ID}\nkey {key}: {}\n",
        fake.address,
        again(key)
    );
    assert_eq!(well(&done), expected);
    assert_eq!(stderr(&done), "");
    assert_eq!(
        fake.targets(),
        [
            format!("{BASE}/config.json"),
            "/api/project/try/push/decisiontask/?push_ids=1001".to_owned(),
            format!(
                "{BASE}/api/project/try/runnable_jobs/?search=test+mochitest+%7C+wpt+%21asan\
                 &fields=ref_data_name%2Cupstream&offset=0&count=10000&decision_task_id={TASK}"
            ),
            format!("{BASE}/api/project/try/push/1001/trigger_runnable_jobs/"),
        ]
    );
    let post = &fake.seen("POST")[0];
    assert_eq!(post.header("authorization"), Some(format!("Bearer {TOKEN}").as_str()));
    assert_eq!(post.header("content-type"), Some("application/json"));
    assert_eq!((keys.len(), key.len()), (1, 36));
    let body: Value = serde_json::from_slice(&post.body).unwrap();
    let names = ["test-2", "test-0", "test-1", "Linux x86-64 try build"];
    assert_eq!(body, json!({"requested_jobs": names, "decision_task_id": TASK}), "builds come first");
    assert!(fake.seen("GET").iter().all(|get| get.header("authorization").is_none()), "lists are public");
}

#[test]
fn the_answer_is_printed_as_json_too() {
    let done = fake(1, queued).run(&[&QUERY[..], &["--json"]].concat());
    let answer: Value = serde_json::from_str(well(&done)).unwrap();
    assert_eq!((&answer["request_id"], &answer["jobs"][0]["name"]), (&json!(ID), &json!("test-0")));
}

#[test]
fn jobs_are_requested_by_name_without_a_search() {
    let fake = fake(1, queued);
    well(&fake.run(&["--push", "try/1001", "--job", "b", "--job", "a", "--job", "b"]));
    let targets = fake.targets();
    assert_eq!(targets.len(), 2, "{targets:?}");
    let body: Value = serde_json::from_slice(&fake.seen("POST")[0].body).unwrap();
    assert_eq!(body, json!({"requested_jobs": ["b", "a"]}));
}

#[test]
fn a_dry_run_shows_the_plan() {
    let fake = fake(2, |_, _| {
        let answer = json!({
            "message": "1 job would be requested for push 1001 of try.", "request_id": null, "status_url": null,
            "state": "checked",
            "jobs": [
                {"name": "test-0", "state": "waiting", "code": "build_requested", "destination": "pulse",
                 "detail": "Its build 'B' is not on this push: that is requested too, and this test waits for it."},
                {"name": "test-1", "state": "rejected", "code": "already_running", "destination": "taskcluster",
                 "detail": "It is running on this push already, so it is not requested once more."},
                {"name": "B", "state": "accepted", "code": "needed_build", "destination": "pulse",
                 "detail": "It was added because 'test-0' needs this build."},
            ],
        });
        Some(Message::answer("200 OK", answer.to_string()))
    });
    let done = fake.run(&[&QUERY[..], &["--dry-run"]].concat());
    let expected = "\
1 job would be requested for push 1001 of try.

wait (1 by Pulse): Its build 'B' is not on this push: that is requested too, and this test waits for it.
  test-0
builds that are added (1 by Pulse): It was added because 'test-0' needs this build.
  B
run already, not requested (1 by Taskcluster): It is running on this push already, so it is not requested once more.
  test-1
";
    assert_eq!(well(&done), expected);
    assert!(fake.targets().last().unwrap().ends_with("/trigger_runnable_jobs/?dry_run=true"));
    assert_eq!(fake.seen("POST")[0].header("idempotency-key"), None);
}

#[test]
fn nothing_is_requested_if_no_job_matches_or_too_many_do() {
    let none = fake(0, queued);
    let said = "runnable-jobs: no job of push 1001 of try matches 'test mochitest | wpt !asan'";
    assert_eq!(badly(&none.run(&QUERY), 3), said);
    let many = fake(2001, queued);
    let said = "runnable-jobs: 2001 jobs are more than the 1000 of a request: --yes sends them as 3 requests, which \
                Taskcluster runs at a lower priority. Nothing was requested";
    assert_eq!(badly(&many.run(&QUERY), 3), said);
    assert!(none.seen("POST").is_empty() && many.seen("POST").is_empty());
}

#[test]
fn more_than_a_thousand_jobs_are_several_requests() {
    let fake = fake(10_001, queued);
    let done = fake.run(&[&QUERY[..], &["--yes", "--json"]].concat());
    assert_eq!(well(&done).lines().count(), 11);
    let posts = fake.seen("POST");
    let names = |post: &Message| serde_json::from_slice::<Value>(&post.body).unwrap()["requested_jobs"].clone();
    assert_eq!(names(&posts[0])[0], "test-10000", "a build that another job needs");
    assert_eq!(names(&posts[10]), json!(["test-9999"]));
    let keys = fake.keys();
    let key = keys[0].strip_suffix("-1").unwrap();
    assert_eq!(keys, (1..=11).map(|number| format!("{key}-{number}")).collect::<Vec<_>>());
}

#[test]
fn a_failure_ends_the_requests_that_follow() {
    let fake = fake(2001, |number, body| match number {
        2 => Some(problem("429 Too Many Requests", "too_many_requests", "That is enough.").with("retry-after", "42")),
        _ => queued(number, body),
    });
    let done = fake.run(&[&QUERY[..], &["--yes"]].concat());
    let keys = fake.keys();
    assert_eq!(badly(&done, 3), again(keys[0].strip_suffix("-1").unwrap()));
    let start = "runnable-jobs: request 2 of 3 failed, and ends the rest\n\
                 runnable-jobs: That is enough. Try again in 42 s, at 20";
    assert!(stderr(&done).starts_with(start), "{}", stderr(&done));
    assert!(stdout(&done).contains(&format!("request {ID}\n")), "{}", stdout(&done));
    assert_eq!(fake.seen("POST").len(), 2);
}

#[test]
fn a_request_whose_connection_breaks_is_sent_once_more_with_its_key() {
    let fake = fake(1, |number, body| if number == 1 { None } else { queued(number, body) });
    well(&fake.run(&QUERY));
    let posts = fake.seen("POST");
    assert_eq!(posts.len(), 2);
    assert_eq!(posts[0].header("idempotency-key"), posts[1].header("idempotency-key"));
    assert_eq!(posts[0].body, posts[1].body);
    let broken = self::fake(1, |_, _| None);
    let done = broken.run(&QUERY);
    let keys = broken.keys();
    assert_eq!((keys.len(), &keys[0]), (2, &keys[1]));
    assert_eq!(badly(&done, 5), unknown(keys[0].strip_suffix("-1").unwrap()));
    assert!(stderr(&done).starts_with("runnable-jobs: the service does not answer: "), "{}", stderr(&done));
}

#[test]
fn with_the_key_of_a_run_that_failed_the_same_requests_have_the_same_keys() {
    let fake = fake(2001, |number, body| if [2, 3].contains(&number) { None } else { queued(number, body) });
    let done = fake.run(&[&QUERY[..], &["--yes"]].concat());
    let said = badly(&done, 5);
    let key = said.strip_prefix("It is not known whether jobs were requested: run it again with --key ").unwrap();
    let key = key.split(',').next().unwrap();
    let done = fake.run(&[&QUERY[..], &["--yes", "--key", key]].concat());
    assert!(well(&done).ends_with(&format!("\nkey {key}: {}\n", again(key))), "{}", stdout(&done));
    assert_eq!(fake.keys(), [1, 2, 2, 1, 2, 3].map(|number| format!("{key}-{number}")));
    let posts = fake.seen("POST");
    assert!(posts[0].body == posts[3].body && posts[1].body == posts[4].body);
}

#[test]
fn a_key_that_needs_quotes_is_refused() {
    let fake = fake(1, queued);
    for key in ["", "a b", "a\"b", &"x".repeat(201)] {
        let done = fake.run(&[&QUERY[..], &["--key", key]].concat());
        assert_eq!(done.status.code(), Some(2), "{key}");
        assert!(stderr(&done).contains("1 to 200 letters, digits, '-', '_' and '.' are expected"), "{}", stderr(&done));
    }
    assert!(fake.targets().is_empty());
}

#[test]
fn other_jobs_under_a_key_are_refused_without_the_advice_to_use_a_new_one() {
    let fake = fake(1, |_, _| {
        Some(problem("422 Unprocessable Content", "idempotency_key_reused", "It is another's: use a new key."))
    });
    let done = fake.run(&[&QUERY[..], &["--key", "k"]].concat());
    assert_eq!(badly(&done, 3), again("k"));
    assert!(stderr(&done).starts_with("runnable-jobs: Other jobs were requested under this key before"));
    assert!(!stderr(&done).contains("a new key"), "{}", stderr(&done));
}

#[test]
fn a_request_that_is_in_progress_is_waited_for_and_sent_again_with_its_key() {
    let in_progress = |seconds: &str| {
        let problem = problem("409 Conflict", "request_in_progress", "The same request is being processed.");
        Some(problem.with("retry-after", seconds))
    };
    let fake = fake(1, move |number, body| match number {
        1 => None,
        2 | 3 => in_progress("1"),
        _ => queued(number, body),
    });
    well(&fake.run(&[&QUERY[..], &["--key", "k"]].concat()));
    assert_eq!(fake.keys(), ["k-1"; 4]);
    // The wait has an end.
    let fake = self::fake(1, move |_, _| in_progress("31"));
    let done = fake.run(&[&QUERY[..], &["--key", "k"]].concat());
    assert_eq!(badly(&done, 5), again("k"));
    let said = "runnable-jobs: The same request is being processed. Try again in 31 s, at 20";
    assert!(stderr(&done).starts_with(said), "{}", stderr(&done));
    assert_eq!(fake.keys(), ["k-1"]);
}

#[test]
fn a_refusal_after_an_attempt_that_may_have_arrived_shows_the_key() {
    let fake = fake(1, |number, _| {
        (number > 1).then(|| problem("429 Too Many Requests", "too_many_requests", "That is enough."))
    });
    let done = fake.run(&QUERY);
    assert_eq!(badly(&done, 3), unknown(fake.keys()[0].strip_suffix("-1").unwrap()));
}

#[test]
fn an_interrupted_run_shows_the_key() {
    let fake = fake(1, |_, _| {
        std::thread::sleep(Duration::from_secs(20));
        None
    });
    let mut command = fake.command(&QUERY);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    for _ in 0..2000 {
        if !fake.seen("POST").is_empty() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let keys = fake.keys();
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    let done = child.wait_with_output().unwrap();
    assert_eq!(badly(&done, 1), unknown(keys[0].strip_suffix("-1").unwrap()));
    assert!(stderr(&done).starts_with("runnable-jobs: interrupted\n"), "{}", stderr(&done));
}

#[test]
fn an_error_of_the_service_is_shown_by_its_detail_and_says_what_to_do() {
    for (status, code, exit, said) in [
        ("401 Unauthorized", "bad_token", 3, "It is so. Set RUNNABLE_JOBS_TOKEN to an ID token"),
        ("403 Forbidden", "not_allowed", 3, "It is so. Use the token of a person who is allowed"),
        ("422 Unprocessable Content", "too_many_jobs", 3, "It is so."),
        ("503 Service Unavailable", "store_unavailable", 5, "It is so."),
    ] {
        let fake = fake(1, move |_, _| Some(problem(status, code, "It is so.")));
        let done = fake.run(&QUERY);
        let last = badly(&done, exit);
        assert!(stderr(&done).starts_with(&format!("runnable-jobs: {said}")), "{}", stderr(&done));
        let key = fake.keys()[0].strip_suffix("-1").unwrap().to_owned();
        assert_eq!(last == again(&key), exit == 5, "the key is shown if jobs may have been requested: {last}");
    }
    let bad_gateway = fake(1, |_, _| Some(Message::answer("502 Bad Gateway", "<html>")));
    let done = bad_gateway.run(&QUERY);
    assert_eq!(badly(&done, 5), unknown(bad_gateway.keys()[0].strip_suffix("-1").unwrap()));
    let said = "runnable-jobs: The service answers with 502 Bad Gateway and gives no reason.\n";
    assert!(stderr(&done).starts_with(said), "{}", stderr(&done));
    let unknown = fake(1, |_, _| {
        let mut message = problem("422 Unprocessable Content", "no_known_jobs", "try has none of them.");
        let mut body: Value = serde_json::from_slice(&message.body).unwrap();
        body["jobs"] =
            json!([{"name": "x", "state": "rejected", "code": "unknown_job", "detail": "Did you mean 'y'?"}]);
        message.body = body.to_string().into_bytes();
        Some(message)
    });
    let done = unknown.run(&["--push", "try/1001", "--job", "x"]);
    assert_eq!(badly(&done, 3), "  x");
    assert!(stderr(&done).contains("try has none of them.\nrefused (1): Did you mean 'y'?\n"), "{}", stderr(&done));
}

#[test]
fn a_push_without_a_decision_task_is_searched_in_the_list_of_the_project() {
    let fake = fake(1, queued);
    let done = fake.run(&["--push", "try/1002", "--query", "test"]);
    well(&done);
    let said =
        "runnable-jobs: push 1002 of try has no decision task that succeeded: the list of the project is searched\n";
    assert_eq!(stderr(&done), said);
    let body: Value = serde_json::from_slice(&fake.seen("POST")[0].body).unwrap();
    assert_eq!(body, json!({"requested_jobs": ["test-0"]}));
    let done = fake.run(&["--push", "try/1003", "--query", "test"]);
    assert!(badly(&done, 5).starts_with("runnable-jobs: Treeherder: it answers with 503"), "{}", stderr(&done));
}

#[test]
fn the_token_goes_to_a_service_that_triggers_jobs_and_over_https_alone() {
    for (config, said) in [
        (json!({"trigger_url": null}), "this service triggers no jobs: it has no trigger function"),
        (
            json!({"trigger_url": "http://trigger.example.org/"}),
            "the token is sent over https only, and the service's trigger_url has http",
        ),
    ] {
        let fake = with_config(config, 1, queued);
        assert_eq!(badly(&fake.run(&QUERY), 3), format!("runnable-jobs: {said}"));
        assert_eq!(fake.targets().len(), 1);
    }
}

#[test]
fn what_is_missing_is_named() {
    let fake = fake(1, queued);
    let failed = |command: &mut Command| command.output().unwrap();
    let done = failed(fake.command(&QUERY).env_remove("RUNNABLE_JOBS_TOKEN"));
    let said = "runnable-jobs: RUNNABLE_JOBS_TOKEN is not set: an ID token of the service's sign-in is expected";
    assert_eq!(badly(&done, 2), said);
    let done = failed(fake.command(&QUERY).env_remove("RUNNABLE_JOBS_URL"));
    let said = "runnable-jobs: --url or RUNNABLE_JOBS_URL is not set: the address of the service's page is expected";
    assert_eq!(badly(&done, 2), said);
    let done = failed(fake.command(&QUERY).env("RUNNABLE_JOBS_TOKEN", "a\nb"));
    assert_eq!(badly(&done, 2), "runnable-jobs: RUNNABLE_JOBS_TOKEN has characters that no token has");
    assert!(fake.targets().is_empty());
    for push in ["../1001", "./1001", "a?b/1001", "a b/1001", "a%2fb/1001", "/1001", "try/", "try/+1", "try/1/2", "try"]
    {
        let done = fake.run(&["--push", push, "--query", "a"]);
        assert_eq!(done.status.code(), Some(2), "{push}");
        assert!(stderr(&done).contains("a project and a push are expected"), "{}", stderr(&done));
    }
    assert!(fake.targets().is_empty());
    for words in [&["--push", "try/1001"][..], &["--query", "a"], &["--push", "try/1001", "--query", "!"]] {
        assert_eq!(fake.run(words).status.code(), Some(2), "{words:?}");
    }
    let done = failed(fake.command(&QUERY).env("RUNNABLE_JOBS_URL", "https://someone:pa55@example.org"));
    assert!(!stderr(&done).contains("pa55") && done.status.code() == Some(2), "{}", stderr(&done));
    let done = failed(fake.command(&QUERY).env("RUNNABLE_JOBS_URL", "http://runnable-jobs.example.org/"));
    assert!(stderr(&done).contains("https is expected: over http, others"), "{}", stderr(&done));
    assert_eq!(done.status.code(), Some(2));
    let done = failed(fake.command(&QUERY).env("RUNNABLE_JOBS_URL", closed_address()));
    assert!(badly(&done, 5).starts_with("runnable-jobs: the service does not answer: "), "{}", stderr(&done));
}
