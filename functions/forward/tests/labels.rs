//! Labels on their way from the queue to an action of Taskcluster, with a table in the emulator, a real broker, and a
//! Taskcluster in memory.
#![allow(clippy::unwrap_used, reason = "a helper of a test may fail as the test may")]

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use forward::destination::pulse::PulseDestination;
use forward::destination::taskcluster::{CredentialsSource, TaskclusterDestination};
use forward::{Delivery, DeliveryLog, Disposition, Forwarder};
use requests::action::{ActionState, LabelWaitReason};
use requests::following::Following;
use requests::id::RequestId;
use requests::job::{JobCode, RequestedJob};
use requests::new_request::NewRequest;
use requests::outcome::{Outcome, OutcomeState};
use requests::planning::Planning;
use requests::push::Push;
use requests::request::Request;
use requests::state::{JobState, RequestState};
use serde_json::{Value, json};
use store::{Consistency, RequestsTable};
use taskcluster::{Credentials, Taskcluster, TaskclusterSettings};
use test_support::broker::{Listener, address, project, publisher, settings};
use test_support::store::http::{Message as Answer, serve};
use test_support::store::{at, client, endpoint, new_requests_table};
use test_support::taskcluster::{FakeTaskcluster, HOOK, HookFate, REVISION, Task, actions_file};
use tokio::time::Instant;
use treeherder::Treeherder;

const DECISION_TASK: &str = "fN1SbArXTPSVFNUvaOlinQ";
const LABEL: &str = "test-linux2404-64/debug-mochitest-browser-chrome-3";
const OTHER_LABEL: &str = "test-linux2404-64/opt-xpcshell-1";
const TOKEN: &str = "a-secret-of-this-test";

struct TestApp {
    requests: RequestsTable,
    forwarder: Forwarder,
    taskcluster: FakeTaskcluster,
    project: String,
    /// That of push 7.
    revision: &'static str,
    now: Arc<Mutex<DateTime<Utc>>>,
    /// The jobs that Treeherder lists on every push.
    treeherder_jobs: Arc<Mutex<Vec<Value>>>,
}

fn delivery(request: &Request) -> Delivery {
    let body = json!({"request_id": request.id, "round": request.attempt}).to_string();
    Delivery { id: "1".to_owned(), body, receive_count: 1 }
}

fn morning() -> DateTime<Utc> {
    at("2026-11-23T06:00:00Z")
}

impl TestApp {
    async fn new() -> Self {
        let table = new_requests_table(&client(&endpoint()).await).await;
        let requests = RequestsTable::new(client(&endpoint()).await, &table);
        let now = Arc::new(Mutex::new(morning() + TimeDelta::seconds(10)));
        let clock_time = now.clone();
        let clock: runtime::Clock = Arc::new(move || *clock_time.lock().unwrap());
        let treeherder_jobs = Arc::new(Mutex::new(Vec::new()));
        let jobs = treeherder_jobs.clone();
        let treeherder = serve(move |_| {
            let body = json!({"meta": {"offset": 0, "count": 2000}, "results": *jobs.lock().unwrap()});
            Some(Answer::answer("200 OK", body.to_string()))
        });
        let project = project();
        let taskcluster = FakeTaskcluster::start();
        taskcluster.set(DECISION_TASK, Task::decision(&project, "{}"));
        let variables = taskcluster.variables();
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
        let client = Taskcluster::new(TaskclusterSettings::read(find).unwrap().unwrap());
        let credentials = json!({"clientId": "project/runnable-jobs/test", "accessToken": TOKEN}).to_string();
        let forwarder = Forwarder {
            requests: RequestsTable::new(test_support::store::client(&endpoint()).await, &table),
            pulse: PulseDestination {
                publisher: publisher(&address("PULSE_URL")),
                exchange: settings(&address("PULSE_URL")).0.exchange(),
                formats: HashMap::new(),
            },
            taskcluster: Some(TaskclusterDestination {
                client,
                levels: BTreeMap::from([(project.clone(), 1)]),
                credentials: Some(CredentialsSource::Given(Credentials::read(&credentials).unwrap())),
            }),
            treeherder: Treeherder::new(treeherder, TimeDelta::zero(), clock.clone()),
            planning: Planning::default(),
            following: Following::default(),
            clock,
        };
        Self { requests, forwarder, taskcluster, project, revision: REVISION, now, treeherder_jobs }
    }

    /// A queued request for these jobs on push 7.
    async fn request(&self, random: u128, jobs: &[RequestedJob]) -> Request {
        let person = "someone@mozilla.com".parse().unwrap();
        let decision_task_id = Some(DECISION_TASK.to_owned());
        let new_request = NewRequest { decision_task_id, ..NewRequest::new(&self.project, 7, person, Vec::new()) };
        let pushed = Push { revision: self.revision.to_owned(), author: None };
        let request = Request::new(RequestId::new(morning(), random), new_request, Some(pushed), jobs, morning());
        self.requests.create(&request, jobs, morning()).await.unwrap();
        let queued = request.queued(morning()).unwrap();
        self.requests.update(&queued, None, morning()).await.unwrap();
        queued
    }

    async fn labels(&self, random: u128, labels: &[&str]) -> Request {
        let jobs: Vec<RequestedJob> = labels.iter().map(|label| RequestedJob::accepted_label(label)).collect();
        self.request(random, &jobs).await
    }

    async fn forward(&self, request: &Request) -> Disposition {
        self.logged(request).await.0
    }

    /// Forwards a request in an invocation that stops to publish after this time.
    async fn forward_within(&self, request: &Request, seconds: u64) -> Disposition {
        let until = Instant::now() + Duration::from_secs(seconds);
        self.forwarder.forward(&[delivery(request)], Some(until), &mut |_| ()).await.remove(0)
    }

    async fn logged(&self, request: &Request) -> (Disposition, DeliveryLog) {
        let mut lines = Vec::new();
        let mut log = |line: &DeliveryLog| lines.push(serde_json::to_value(line).unwrap());
        let disposition = self.forwarder.forward(&[delivery(request)], None, &mut log).await.remove(0);
        // Nothing is logged of a message that is delivered twice.
        let Some(line) = lines.pop() else { return (disposition, DeliveryLog::default()) };
        assert!(!line.to_string().contains(TOKEN));
        let count = |name: &str| u32::try_from(line[name].as_u64().unwrap()).unwrap();
        let text = |name: &str| line[name].as_str().map(ToOwned::to_owned);
        let log = DeliveryLog {
            forwarded: count("forwarded"),
            waiting: count("waiting"),
            failed: count("failed"),
            refused: count("refused"),
            error: text("error"),
            taskcluster: text("taskcluster"),
            ..DeliveryLog::default()
        };
        (disposition, log)
    }

    async fn now(&self, request: &Request) -> (Request, Vec<RequestedJob>) {
        let now = self.requests.request(request.id, Consistency::Consistent).await.unwrap().unwrap();
        self.requests.with_jobs(now, Consistency::Consistent).await.unwrap()
    }

    fn wait(&self, seconds: i64) {
        *self.now.lock().unwrap() += TimeDelta::seconds(seconds);
    }

    /// The action of a request ends, as the follower records it.
    async fn end_action(&self, request: &Request) {
        let (mut next, mut jobs) = self.now(request).await;
        for action in &mut next.actions {
            action.state = ActionState::Ended;
        }
        for job in jobs.iter_mut().filter(|job| job.state == JobState::Forwarded) {
            job.outcome = Some(Outcome { state: OutcomeState::Pending, result: None, run: None, since: morning() });
        }
        let next = next.with_results(&jobs, TimeDelta::minutes(1), morning());
        self.requests.update(&next, Some(&jobs), morning()).await.unwrap();
    }
}

fn states(jobs: &[RequestedJob]) -> Vec<JobState> {
    jobs.iter().map(|job| job.state).collect()
}

fn error(status: &str, code: &str, message: &str) -> Answer {
    let message = format!("{message}\n\n---\n\n* errorCode:  {code}");
    Answer::answer(status, json!({"code": code, "message": message, "requestInfo": {}}).to_string())
        .with("Content-Type", "application/json; charset=utf-8")
}

#[tokio::test]
async fn the_labels_of_a_request_become_one_action_of_its_push() {
    let app = TestApp::new().await;
    let request = app.labels(1, &[LABEL, OTHER_LABEL]).await;
    let (disposition, line) = app.logged(&request).await;
    assert_eq!((disposition, line.forwarded, line.error), (Disposition::Ack, 2, None));
    let (now, jobs) = app.now(&request).await;
    assert_eq!((now.state, states(&jobs)), (RequestState::Forwarded, vec![JobState::Forwarded; 2]));
    let [action] = &now.actions[..] else { panic!("{:?}", now.actions) };
    assert_eq!((action.state, action.hook.as_str()), (ActionState::Running, HOOK));
    assert_eq!(action.task_id.as_ref(), app.taskcluster.action_tasks().first());
    let [(authorization, payload)] = &app.taskcluster.hook_calls()[..] else { panic!("one call") };
    assert!(authorization.starts_with(r#"Hawk id="project/runnable-jobs/test""#) && !authorization.contains(TOKEN));
    let input = json!({"tasks": [LABEL, OTHER_LABEL], "request": format!("{}.1", request.id)});
    assert_eq!(payload["user"]["input"], input);
    assert!(!payload.to_string().contains('@'), "tasks are public");
    // A message that is delivered twice does nothing.
    app.forward(&request).await;
    assert_eq!(app.taskcluster.action_tasks().len(), 1);
}

#[tokio::test]
async fn an_action_of_a_thousand_labels_is_cheap() {
    let app = TestApp::new().await;
    let labels: Vec<String> =
        (0..1000).map(|chunk| format!("test-linux2404-64/debug-mochitest-plain-{chunk}")).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let request = app.labels(1, &labels).await;
    let before = app.forwarder.requests.cost();
    assert_eq!(app.forward(&request).await, Disposition::Ack);
    assert_eq!(app.now(&request).await.0.state, RequestState::Forwarded);
    let units = app.forwarder.requests.cost().write_units - before.write_units;
    assert!(units <= 10.0, "{units} write units");
    let calls = app.taskcluster.paths();
    assert!(calls.len() <= 6, "{calls:?}");
}

#[tokio::test]
async fn more_labels_than_an_action_takes_become_several_one_after_the_other() {
    let app = TestApp::new().await;
    let labels: Vec<String> = (0..1001).map(|chunk| format!("test-{chunk}")).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let request = app.labels(1, &labels).await;
    app.forward(&request).await;
    let (now, jobs) = app.now(&request).await;
    assert_eq!((now.state, now.job_count(JobState::Forwarded)), (RequestState::Waiting, 1000));
    assert_eq!(jobs[1000].state, JobState::Waiting);
    assert!(matches!(now.label_wait.unwrap().why, LabelWaitReason::ActionRuns { task_id: Some(_) }));
    app.wait(61);
    app.forward(&request).await;
    assert_eq!(app.taskcluster.action_tasks().len(), 1, "the first one runs");
    app.end_action(&request).await;
    app.wait(61);
    app.forward(&request).await;
    let (now, _) = app.now(&request).await;
    assert_eq!((now.actions.len(), app.taskcluster.action_tasks().len()), (2, 2));
    assert_eq!(now.actions[1].jobs.iter().collect::<Vec<_>>(), [1000]);
}

#[tokio::test]
async fn a_task_whose_answer_was_lost_is_found() {
    let refused = error("400 Bad Request", "InputError", "While calling createTask: TimeoutError: it took too long");
    let unavailable = Answer::answer("502 Bad Gateway", "<html></html>").with("Content-Type", "text/html");
    for fate in [HookFate::AnswerLost, HookFate::AnsweredWithTask(refused), HookFate::AnsweredWithTask(unavailable)] {
        let app = TestApp::new().await;
        app.taskcluster.next_call(fate);
        let request = app.labels(1, &[LABEL]).await;
        assert_eq!(app.forward(&request).await, Disposition::Ack);
        let (now, jobs) = app.now(&request).await;
        assert_eq!((now.state, states(&jobs)), (RequestState::Forwarded, vec![JobState::Forwarded]));
        assert_eq!(now.actions[0].task_id.as_ref(), app.taskcluster.action_tasks().first());
        assert_eq!(app.taskcluster.hook_calls().len(), 1);
    }
}

#[tokio::test]
async fn an_action_that_does_not_fit_into_the_time_that_is_left_is_not_begun() {
    let app = TestApp::new().await;
    let request = app.labels(1, &[LABEL]).await;
    let too_late = Disposition::Retry("too little time is left to trigger an action".to_owned());
    assert_eq!(app.forward_within(&request, 27).await, too_late);
    let (now, jobs) = app.now(&request).await;
    assert_eq!((states(&jobs), now.actions.len()), (vec![JobState::Accepted], 0));
    assert_eq!(app.taskcluster.hook_calls().len(), 0);
    // Nothing holds the push.
    assert_eq!(app.forward_within(&request, 60).await, Disposition::Ack);
    assert_eq!(app.taskcluster.hook_calls().len(), 1);
}

#[tokio::test]
async fn a_search_that_does_not_fit_into_the_time_that_is_left_is_not_begun() {
    let app = TestApp::new().await;
    app.taskcluster.next_call(HookFate::RequestLost);
    let request = app.labels(1, &[LABEL]).await;
    app.forward(&request).await;
    app.wait(150);
    let before = app.now(&request).await;
    let too_late = Disposition::Retry("too little time is left to trigger an action".to_owned());
    assert_eq!(app.forward_within(&request, 11).await, too_late);
    assert_eq!(app.now(&request).await, before);
    assert_eq!(app.forward_within(&request, 60).await, Disposition::Ack);
    assert_eq!(states(&app.now(&request).await.1), [JobState::Forwarded]);
    assert_eq!((app.taskcluster.hook_calls().len(), app.taskcluster.action_tasks().len()), (2, 1));
}

#[tokio::test]
async fn a_hook_is_called_again_only_when_there_is_certainly_no_task() {
    let app = TestApp::new().await;
    app.taskcluster.next_call(HookFate::RequestLost);
    let request = app.labels(1, &[LABEL]).await;
    let (disposition, line) = app.logged(&request).await;
    assert_eq!((disposition, line.error), (Disposition::Ack, None));
    assert!(line.taskcluster.is_some());
    let (now, jobs) = app.now(&request).await;
    assert_eq!((now.state, states(&jobs)), (RequestState::Waiting, vec![JobState::Triggering]));
    // A check that comes early does not call it.
    app.wait(60);
    app.forward(&request).await;
    assert_eq!(app.taskcluster.hook_calls().len(), 1);
    app.wait(65);
    app.forward(&request).await;
    let (now, jobs) = app.now(&request).await;
    assert_eq!((now.state, states(&jobs)), (RequestState::Forwarded, vec![JobState::Forwarded]));
    assert_eq!((app.taskcluster.hook_calls().len(), app.taskcluster.action_tasks().len()), (2, 1));
}

#[tokio::test]
async fn each_refusal_has_its_code_and_lets_the_next_request_through() {
    let forbidden = "Client ID project/runnable-jobs/test does not have sufficient scopes and is missing the following";
    for (answer, code, said) in [
        (error("404 Not Found", "ResourceNotFound", "No such hook"), JobCode::HookMissing, ".taskcluster.yml"),
        (error("403 Forbidden", "InsufficientScopes", forbidden), JobCode::MissingScopes, "is missing the following"),
        (error("401 Unauthorized", "AuthenticationFailed", "Unauthorized: Bad mac"), JobCode::MissingScopes, "Bad mac"),
        (error("400 Bad Request", "InputError", "data must NOT have"), JobCode::InputRefused, "data must NOT have"),
        (Answer::answer("200 OK", "{}").with("Content-Type", "application/json"), JobCode::HookDeclined, "declined"),
    ] {
        let app = TestApp::new().await;
        app.taskcluster.next_call(HookFate::Answered(answer));
        let request = app.labels(1, &[LABEL]).await;
        let (disposition, line) = app.logged(&request).await;
        let for_operators = u32::from(code.is_for_operators());
        assert_eq!((disposition, line.failed), (Disposition::Ack, for_operators), "an old push raises no alarm");
        assert_eq!(line.refused, u32::from(code == JobCode::MissingScopes), "{code:?}");
        let (now, jobs) = app.now(&request).await;
        assert_eq!((now.state, jobs[0].state, jobs[0].code), (RequestState::Failed, JobState::Failed, Some(code)));
        let detail = jobs[0].reason_text().unwrap();
        assert!(detail.contains(said) && !detail.contains("---"), "{detail}");
        let next = app.labels(2, &[OTHER_LABEL]).await;
        app.forward(&next).await;
        assert_eq!(app.now(&next).await.0.state, RequestState::Forwarded);
    }
}

#[tokio::test]
async fn labels_that_cannot_be_prepared_fail_without_a_call() {
    let other_version = json!({"version": 2, "actions": []});
    let mut no_action = actions_file();
    no_action["actions"][0]["name"] = json!("retrigger");
    for (project, file, code) in [
        (true, other_version, JobCode::ActionUnusable),
        (true, no_action, JobCode::ActionUnusable),
        (false, actions_file(), JobCode::NotTriggerable),
    ] {
        let mut app = TestApp::new().await;
        let bytes = file.to_string().into_bytes();
        app.taskcluster.change(DECISION_TASK, |task| {
            task.artifacts.insert("public/actions.json".to_owned(), bytes);
        });
        if !project {
            app.forwarder.taskcluster.as_mut().unwrap().levels.clear();
        }
        let request = app.labels(1, &[LABEL]).await;
        app.forward(&request).await;
        let (now, jobs) = app.now(&request).await;
        assert_eq!((now.state, jobs[0].code), (RequestState::Failed, Some(code)), "{:?}", jobs[0].reason_text());
        assert_eq!(app.taskcluster.hook_calls().len(), 0);
    }
}

/// Who may run jobs on a push of their own names the decision task of another one.
#[tokio::test]
async fn labels_do_not_run_on_a_push_that_the_request_is_not_for() {
    let mut app = TestApp::new().await;
    app.revision = "76543210fedcba9876543210fedcba9876543210";
    let request = app.labels(1, &[LABEL]).await;
    app.forward(&request).await;
    let (now, jobs) = app.now(&request).await;
    assert_eq!((now.state, jobs[0].code), (RequestState::Failed, Some(JobCode::NoDecisionTask)));
    assert!(jobs[0].reason_text().unwrap().contains("belongs to another push"), "{:?}", jobs[0].reason_text());
    assert_eq!(app.taskcluster.hook_calls().len(), 0);
}

#[tokio::test]
async fn an_outage_is_waited_for_and_then_the_labels_fail() {
    let app = TestApp::new().await;
    app.taskcluster.fail_with(Some(Answer::answer("503 Service Unavailable", "")));
    let request = app.labels(1, &[LABEL]).await;
    let mut passes = 0;
    while app.now(&request).await.0.state != RequestState::Failed {
        passes += 1;
        assert!(passes < 10);
        assert_eq!(app.forward(&request).await, Disposition::Ack);
        app.wait(17 * 60);
    }
    assert_eq!(passes, 6);
    let (now, jobs) = app.now(&request).await;
    assert_eq!(jobs[0].code, Some(JobCode::TaskclusterUnavailable));
    assert_eq!(app.taskcluster.hook_calls().len(), 0);
    // A retry is as good as a new request.
    app.taskcluster.fail_with(None);
    let next = now.retried(&[RequestedJob::accepted_label(LABEL)], None, morning()).unwrap();
    let jobs = [RequestedJob::accepted_label(LABEL)];
    app.requests.update(&next, Some(&jobs), morning()).await.unwrap();
    app.forward(&next).await;
    assert_eq!(app.now(&next).await.0.state, RequestState::Forwarded);
}

#[tokio::test]
async fn a_rate_limit_is_waited_for_as_long_as_it_asks() {
    let app = TestApp::new().await;
    let limit = Answer::answer("429 Too Many Requests", "").with("Retry-After", "300");
    app.taskcluster.next_call(HookFate::Answered(limit));
    let request = app.labels(1, &[LABEL]).await;
    app.forward(&request).await;
    let (now, _) = app.now(&request).await;
    assert_eq!(now.due_at, (*app.now.lock().unwrap() + TimeDelta::seconds(300)).timestamp());
    app.wait(301);
    app.forward(&request).await;
    assert_eq!(app.now(&request).await.0.state, RequestState::Forwarded);
}

#[tokio::test]
async fn two_requests_on_a_push_run_their_actions_one_after_the_other() {
    let app = TestApp::new().await;
    let first = app.labels(1, &[LABEL]).await;
    let second = app.labels(2, &[OTHER_LABEL]).await;
    app.forward(&first).await;
    app.forward(&second).await;
    let (now, jobs) = app.now(&second).await;
    assert_eq!((now.state, states(&jobs)), (RequestState::Waiting, vec![JobState::Waiting]));
    let task_id = app.taskcluster.action_tasks().first().cloned();
    assert_eq!(now.label_wait.unwrap().why, LabelWaitReason::ActionRuns { task_id });
    // The lock is taken over from an action that ended without a release.
    app.end_action(&first).await;
    app.wait(61);
    app.forward(&second).await;
    assert_eq!(app.now(&second).await.0.state, RequestState::Forwarded);
}

#[tokio::test]
async fn an_action_that_a_person_started_elsewhere_is_waited_for() {
    let app = TestApp::new().await;
    let action = json!({"id": 1, "ref_data_name": "hash", "build_system_type": "taskcluster", "state": "running",
        "result": "unknown", "job_type_name": "Action: Add new jobs", "job_type_symbol": "add-new",
        "job_group_symbol": "AC", "task_id": "HS5mTL34TnqRzd3mJSkn2A"});
    app.treeherder_jobs.lock().unwrap().push(action);
    let request = app.labels(1, &[LABEL]).await;
    app.forward(&request).await;
    let (now, _) = app.now(&request).await;
    let task_id = Some("HS5mTL34TnqRzd3mJSkn2A".to_owned());
    assert_eq!(now.label_wait.unwrap().why, LabelWaitReason::ActionRuns { task_id });
    app.treeherder_jobs.lock().unwrap().clear();
    app.wait(61);
    app.forward(&request).await;
    assert_eq!(app.now(&request).await.0.state, RequestState::Forwarded);
}

#[tokio::test]
async fn each_job_of_a_mixed_request_goes_its_way() {
    let app = TestApp::new().await;
    // Has the exchange made, as listeners cannot.
    let first = app.request(9, &[RequestedJob::accepted("x")]).await;
    app.forward(&first).await;
    let listener = Listener::on(&app.project).await;
    let jobs =
        [RequestedJob::accepted("build 1"), RequestedJob::accepted_label(LABEL), RequestedJob::accepted("build 2")];
    let request = app.request(1, &jobs).await;
    let (_, line) = app.logged(&request).await;
    assert_eq!(line.forwarded, 3);
    let (now, jobs) = app.now(&request).await;
    assert_eq!((now.state, states(&jobs)), (RequestState::Forwarded, vec![JobState::Forwarded; 3]));
    let body: Value = serde_json::from_slice(&listener.next().await.unwrap().data).unwrap();
    assert_eq!(body["requested_jobs"], json!(["build 1", "build 2"]));
    assert_eq!(app.taskcluster.hook_calls()[0].1["user"]["input"]["tasks"], json!([LABEL]));
    assert_eq!((jobs[0].asked_at, jobs[1].asked_at), (Some(morning()), None));
}

#[tokio::test]
async fn taskcluster_down_does_not_hold_up_pulse() {
    let app = TestApp::new().await;
    let first = app.request(9, &[RequestedJob::accepted("x")]).await;
    app.forward(&first).await;
    let listener = Listener::on(&app.project).await;
    app.taskcluster.fail_with(Some(Answer::answer("503 Service Unavailable", "")));
    let jobs = [RequestedJob::accepted("build 1"), RequestedJob::accepted_label(LABEL)];
    let request = app.request(1, &jobs).await;
    assert_eq!(app.forward(&request).await, Disposition::Ack);
    let (now, jobs) = app.now(&request).await;
    assert_eq!((now.state, states(&jobs)), (RequestState::Waiting, vec![JobState::Forwarded, JobState::Waiting]));
    listener.next().await.unwrap();
    app.taskcluster.fail_with(None);
    app.wait(61);
    app.forward(&request).await;
    assert_eq!(app.now(&request).await.0.state, RequestState::Forwarded);
}

#[tokio::test]
async fn the_next_action_of_a_request_begins_when_the_forwarder_sees_that_the_first_one_ended() {
    let app = TestApp::new().await;
    let labels: Vec<String> = (0..1001).map(|chunk| format!("test-{chunk}")).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let request = app.labels(1, &labels).await;
    app.forward(&request).await;
    let action = app.taskcluster.action_tasks().remove(0);
    let tasks: BTreeMap<String, String> =
        (0..1000).map(|chunk| (format!("test-{chunk}"), format!("{:08}TPSVFNUvaOlinQ", chunk + 100))).collect();
    for (label, id) in &tasks {
        if label != "test-7" {
            app.taskcluster.set(id, Task::in_state("pending"));
        }
    }
    let list = json!(tasks).to_string().into_bytes();
    app.taskcluster.change(&action, |task| {
        task.state = "completed".to_owned();
        task.artifacts.insert("public/label-to-taskid.json".to_owned(), list);
    });
    app.wait(61);
    assert_eq!(app.forward(&request).await, Disposition::Ack);
    let (now, jobs) = app.now(&request).await;
    let states: Vec<ActionState> = now.actions.iter().map(|action| action.state).collect();
    assert_eq!((states, app.taskcluster.action_tasks().len()), (vec![ActionState::Ended, ActionState::Running], 2));
    assert_eq!((now.state, now.label_wait), (RequestState::Forwarded, None));
    assert_eq!((jobs[7].state, jobs[7].code), (JobState::Failed, Some(JobCode::NotCreated)));
    assert_eq!(jobs.iter().filter(|job| job.outcome.is_some()).count(), 999);
    assert_eq!((jobs[1000].state, &jobs[1000].outcome), (JobState::Forwarded, &None));
}
