//! Jobs that were forwarded are followed to their end, with a table in the emulator, a Treeherder that counts what it is
//! asked, and a Taskcluster in memory.
#![allow(clippy::unwrap_used, reason = "a helper of a test may fail as the test may")]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use forward::{FollowReport, Follower};
use requests::action::{Action, ActionState, Places};
use requests::destination::Destination;
use requests::following::Following;
use requests::id::RequestId;
use requests::job::{JobCode, RequestedJob};
use requests::new_request::NewRequest;
use requests::outcome::{OutcomeState, RunOf};
use requests::request::Request;
use requests::state::{JobState, RequestState};
use runtime::Clock;
use serde_json::{Value, json};
use store::{PushLock, RequestsTable, UpdateResult};
use taskcluster::{Taskcluster, TaskclusterSettings};
use test_support::store::http::{Message, serve};
use test_support::store::proxy::{Plan, Proxy, is_write};
use test_support::store::{at, client, endpoint, new_requests_table};
use test_support::taskcluster::{FakeTaskcluster, Task};
use tokio::time::Instant;
use treeherder::Treeherder;

const ACTION: &str = "00000000TPSVFNUvaOlinQ";
const TASKS: &str = "public/label-to-taskid.json";
const TASKS_OF_FAILED: &str = "public/label-to-taskid-0.json";
const LOG: &str = "public/logs/live_backing.log";

/// What Treeherder lists on each push, and what it was asked.
#[derive(Default)]
struct Listed {
    jobs: HashMap<u64, Vec<Value>>,
    /// What it answers about a push instead.
    failures: HashMap<u64, Message>,
    is_down: bool,
    asked: Vec<String>,
}

struct TestApp {
    table: String,
    requests: RequestsTable,
    listed: Arc<Mutex<Listed>>,
    treeherder: Treeherder,
    fake: FakeTaskcluster,
    taskcluster: Taskcluster,
    now: Arc<Mutex<DateTime<Utc>>>,
    clock: Clock,
}

fn morning() -> DateTime<Utc> {
    at("2026-11-23T06:00:00Z")
}

fn treeherder(listed: &Arc<Mutex<Listed>>) -> String {
    let listed = listed.clone();
    serve(move |request| {
        let path = request.start.split(' ').nth(1).unwrap().to_owned();
        let push = path.split("push_id=").nth(1).unwrap().split('&').next().unwrap().parse().unwrap();
        let mut listed = listed.lock().unwrap();
        listed.asked.push(path);
        if listed.is_down {
            return Some(Message::answer("503 Service Unavailable", ""));
        }
        let jobs = listed.jobs.get(&push).cloned().unwrap_or_default();
        let found = json!({"meta": {"offset": 0, "count": 2000}, "results": jobs}).to_string();
        Some(listed.failures.get(&push).cloned().unwrap_or_else(|| Message::answer("200 OK", found)))
    })
}

impl TestApp {
    async fn new() -> Self {
        let table = new_requests_table(&client(&endpoint()).await).await;
        let requests = RequestsTable::new(client(&endpoint()).await, &table);
        let now = Arc::new(Mutex::new(morning()));
        let time = now.clone();
        let clock: Clock = Arc::new(move || *time.lock().unwrap());
        let listed = Arc::default();
        let treeherder = Treeherder::new(treeherder(&listed), TimeDelta::zero(), clock.clone());
        let fake = FakeTaskcluster::start();
        let variables = fake.variables();
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
        let taskcluster = Taskcluster::new(TaskclusterSettings::read(find).unwrap().unwrap());
        Self { table, requests, listed, treeherder, fake, taskcluster, now, clock }
    }

    fn follower(&self) -> Follower<'_> {
        Follower {
            requests: &self.requests,
            treeherder: &self.treeherder,
            taskcluster: Some(&self.taskcluster),
            following: Following::default(),
            clock: &self.clock,
        }
    }

    /// A round some minutes later.
    async fn round_after(&self, minutes: i64) -> FollowReport {
        self.wait(minutes);
        self.follower().round(None).await
    }

    fn wait(&self, minutes: i64) {
        *self.now.lock().unwrap() += TimeDelta::minutes(minutes);
    }

    fn time(&self) -> DateTime<Utc> {
        *self.now.lock().unwrap()
    }

    /// A forwarded request for these jobs on a push. Its labels are in an action, which locks the push.
    async fn forwarded(&self, random: u128, push_id: u64, jobs: &[RequestedJob]) -> RequestId {
        let now = self.time();
        let person = "someone@mozilla.com".parse().unwrap();
        let new_request = NewRequest::new("try", push_id, person, Vec::new());
        let request = Request::new(RequestId::new(now, random), new_request, None, jobs, now);
        self.requests.create(&request, jobs, now).await.unwrap();
        let mut next = request.queued(now).unwrap();
        assert_eq!(self.requests.update(&next, None, now).await.unwrap(), UpdateResult::Stored);
        let places: Vec<usize> =
            (0..jobs.len()).filter(|place| jobs[*place].destination == Destination::Taskcluster).collect();
        if !places.is_empty() {
            let action = Action {
                number: 1,
                jobs: Places::new(places),
                hook: "project-gecko/in-tree-action-1-generic/0123abcdef".to_owned(),
                state: ActionState::Running,
                task_id: Some(ACTION.to_owned()),
                called_at: now,
            };
            let marker = action.marker(request.id);
            assert_eq!(self.lock(push_id, &marker).await, None);
            next.actions.push(action);
        }
        let next = next.with_results(jobs, TimeDelta::minutes(2), now);
        assert_eq!(self.requests.update(&next, Some(jobs), now).await.unwrap(), UpdateResult::Stored);
        request.id
    }

    async fn read(&self, id: RequestId) -> (Request, Vec<RequestedJob>) {
        self.requests.read_consistent(id).await.unwrap().unwrap()
    }

    /// Treeherder lists this run on a push, and no others of the job.
    fn lists(&self, push_id: u64, id: u64, name: &str, state: &str, result: &str) {
        let submitted_at = self.time().timestamp();
        let mut listed = self.listed.lock().unwrap();
        let jobs = listed.jobs.entry(push_id).or_default();
        let known = jobs.iter().position(|job| job["ref_data_name"] == name);
        let submitted_at = known.map_or(submitted_at.into(), |place| jobs.remove(place)["submit_timestamp"].clone());
        jobs.push(json!({"id": id, "ref_data_name": name, "build_system_type": "buildbot", "state": state,
            "result": result, "submit_timestamp": submitted_at}));
    }

    /// How often Treeherder was asked since the last call of this.
    fn treeherder_calls(&self) -> usize {
        std::mem::take(&mut self.listed.lock().unwrap().asked).len()
    }

    /// The action ends in this state, with these artifacts.
    fn ends_action(&self, state: &str, artifacts: &[(&str, String)]) {
        let artifacts = artifacts.iter().map(|(name, body)| ((*name).to_owned(), body.clone().into_bytes())).collect();
        self.fake.set(ACTION, Task { artifacts, ..Task::in_state(state) });
    }

    /// Takes the lock of a push. Returns the marker of the action that holds it, if another one does.
    async fn lock(&self, push_id: u64, marker: &str) -> Option<String> {
        let lock = PushLock {
            project: "try".to_owned(),
            push_id,
            marker: marker.to_owned(),
            request: RequestId::new(self.time(), 99),
            expires_at: self.time() + TimeDelta::hours(26),
        };
        self.requests.lock_push(&lock, self.time()).await.unwrap().map(|held| held.marker)
    }
}

fn builder(name: &str) -> RequestedJob {
    RequestedJob { state: JobState::Forwarded, asked_at: Some(morning()), ..RequestedJob::accepted(name) }
}

fn label(name: &str) -> RequestedJob {
    RequestedJob { state: JobState::Forwarded, ..RequestedJob::accepted_label(name) }
}

/// The id of a task.
fn task(number: usize) -> String {
    format!("{number:08}TPSVFNUvaOlinQ")
}

fn outcomes(jobs: &[RequestedJob]) -> Vec<Option<(OutcomeState, Option<&str>)>> {
    jobs.iter().map(|job| job.outcome.as_ref().map(|outcome| (outcome.state, outcome.result.as_deref()))).collect()
}

fn last_sentence(request: &Request) -> String {
    request.history.last().unwrap().detail_text().unwrap_or_default()
}

#[tokio::test]
async fn jobs_of_both_kinds_are_followed_to_their_end() {
    use OutcomeState::{Completed, Pending, Running, Unscheduled};
    let app = TestApp::new().await;
    let id = app.forwarded(1, 7, &[builder("a"), label("test-1"), label("test-2")]).await;
    app.fake.set(ACTION, Task::in_state("pending"));
    let report = app.round_after(1).await;
    assert_eq!((report.followed, report.looked_at, report.changed, report.error), (1, 1, 0, None));
    assert_eq!(app.lock(7, "another").await, Some(format!("{id}.1")));

    app.lists(7, 70, "a", "pending", "unknown");
    app.ends_action(
        "completed",
        &[(TASKS, json!({"test-1": task(1), "test-2": task(2), "build": task(3)}).to_string())],
    );
    app.fake.set(&task(1), Task::in_state("running"));
    app.fake.set(&task(2), Task::in_state("unscheduled"));
    let report = app.round_after(1).await;
    assert_eq!((report.changed, report.ended, report.actions, report.error), (1, 0, 1, None));
    let (request, jobs) = app.read(id).await;
    assert_eq!(outcomes(&jobs), [Some((Pending, None)), Some((Running, None)), Some((Unscheduled, None))]);
    let runs: Vec<_> = jobs.iter().map(|job| job.outcome.as_ref().unwrap().run.clone().unwrap()).collect();
    assert_eq!(runs, [RunOf::Job(70), RunOf::Task(task(1)), RunOf::Task(task(2))]);
    assert_eq!((request.state, request.actions[0].state), (RequestState::Forwarded, ActionState::Ended));
    assert_eq!(app.lock(7, "another").await, None, "the next action of the push can begin");

    app.lists(7, 70, "a", "completed", "success");
    app.fake.set(&task(1), Task::in_state("failed"));
    app.fake.set(&task(2), Task { reason: Some("canceled".to_owned()), ..Task::in_state("exception") });
    let report = app.round_after(1).await;
    assert_eq!((report.changed, report.ended), (1, 1));
    let (request, jobs) = app.read(id).await;
    let ended = |result| Some((Completed, Some(result)));
    assert_eq!(outcomes(&jobs), [ended("success"), ended("testfailed"), ended("usercancel")]);
    assert_eq!((request.state, request.finished_at()), (RequestState::Finished, Some(app.time())));
    assert_eq!(last_sentence(&request), "Jobs: 1 succeeded, 2 failed.");
    let report = app.round_after(1).await;
    assert_eq!((report.followed, report.looked_at), (0, 0), "it is not followed any more");
}

#[tokio::test]
async fn a_label_that_was_not_created_says_why_and_the_others_go_on() {
    let app = TestApp::new().await;
    let id = app.forwarded(1, 7, &[label("test-1"), label("test-2"), label("test-3")]).await;
    let log = "[taskcluster 2026-11-23] started\n[task 2026-11-23T06:00:00Z] KeyError: 'test-3' was not found\n";
    let made = json!({"test-1": task(1), "test-2": task(2)}).to_string();
    app.ends_action("failed", &[(TASKS_OF_FAILED, made), (LOG, log.to_owned())]);
    app.fake.set(&task(1), Task::in_state("pending"));
    // Task 2 does not exist.
    let report = app.round_after(1).await;
    assert_eq!((report.changed, report.error), (1, None));
    let (request, jobs) = app.read(id).await;
    assert_eq!(request.state, RequestState::Forwarded);
    assert_eq!(jobs[0].outcome.as_ref().map(|outcome| outcome.state), Some(OutcomeState::Pending));
    for job in &jobs[1..] {
        assert_eq!((job.state, job.code, &job.outcome), (JobState::Failed, Some(JobCode::NotCreated), &None));
        let reason = job.reason_text().unwrap();
        assert!(reason.starts_with("The action ended (failed)"), "{reason}");
        assert!(reason.contains("'test-3' was not found") && !reason.contains("started"), "{reason}");
    }
}

#[tokio::test]
async fn a_job_that_does_not_appear_in_a_day_was_not_seen() {
    let app = TestApp::new().await;
    let id = app.forwarded(1, 7, &[builder("a")]).await;
    let report = app.round_after(24 * 60 - 15).await;
    assert_eq!((report.looked_at, report.changed), (1, 0));
    assert_eq!(app.round_after(10).await.looked_at, 0, "it is not its turn");
    let report = app.round_after(5).await;
    assert_eq!((report.looked_at, report.ended), (1, 1));
    let (request, jobs) = app.read(id).await;
    assert_eq!((request.state, jobs[0].code), (RequestState::Finished, Some(JobCode::NotSeen)));
    assert_eq!(outcomes(&jobs), [Some((OutcomeState::NotSeen, None))]);
}

#[tokio::test]
async fn five_hundred_requests_on_fifty_pushes_are_followed_by_few_calls_and_one_write_for_each_change() {
    let app = TestApp::new().await;
    let requests = (0..500_usize).map(async |number| {
        let push_id = u64::try_from(number % 50).unwrap() + 1;
        // The labels got their tasks before.
        let mut with_task = label(&format!("test-{number}"));
        let run = Some(RunOf::Task(task(number)));
        let outcome = requests::outcome::Outcome { state: OutcomeState::Pending, result: None, run, since: morning() };
        with_task.outcome = Some(outcome);
        let jobs = [builder(&format!("a-{number}")), builder("b"), with_task];
        let request = forwarded_without_action(&app, number as u128, push_id, &jobs).await;
        app.fake.set(&task(number), Task::in_state("pending"));
        request
    });
    let ids = futures(requests).await;
    for push_id in 1..=50 {
        // Those of request 0 and of request 1 alone.
        app.lists(push_id, push_id * 10, &format!("a-{}", push_id - 1), "running", "unknown");
    }
    app.fake.set(&task(3), Task::in_state("running"));
    app.fake.set(&task(499), Task::in_state("completed"));
    let proxy = Proxy::start(|_, _| Plan::Pass);
    let requests = RequestsTable::new(client(&proxy.endpoint).await, &app.table);
    let follower = Follower { requests: &requests, ..app.follower() };
    app.wait(1);
    let report = follower.round(None).await;
    let outgoing = app.treeherder_calls() + app.fake.paths().len();
    let operations = proxy.seen();
    let writes = operations.iter().filter(|operation| is_write(operation)).count();
    assert_eq!((report.followed, report.looked_at, report.unanswered), (500, 500, 0));
    assert_eq!((report.pushes, report.tasks), (50, 500));
    assert!(outgoing <= 60, "{outgoing} requests");
    // Fifty runs, and a task; task 3 is of a request that has a run too.
    assert_eq!((report.changed, writes), (51, 51));
    let (_, jobs) = app.read(ids[499]).await;
    assert_eq!(outcomes(&jobs)[2], Some((OutcomeState::Completed, Some("success"))));

    // Nothing changed since, so nothing is written.
    let before = requests.cost().write_units;
    app.wait(1);
    let report = follower.round(None).await;
    assert_eq!((report.looked_at, report.changed, app.treeherder_calls()), (500, 0, 50));
    assert!((requests.cost().write_units - before).abs() < f64::EPSILON);
}

/// A forwarded request without a running action.
async fn forwarded_without_action(app: &TestApp, random: u128, push_id: u64, jobs: &[RequestedJob]) -> RequestId {
    let now = app.time();
    let new_request = NewRequest::new("try", push_id, "someone@mozilla.com".parse().unwrap(), Vec::new());
    let request = Request::new(RequestId::new(now, random), new_request, None, jobs, now);
    let forwarded = request.queued(now).unwrap().with_results(jobs, TimeDelta::minutes(2), now);
    app.requests.create(&forwarded, jobs, now).await.unwrap();
    forwarded.id
}

/// All of these, some at a time.
async fn futures<F: Future<Output = RequestId>>(all: impl Iterator<Item = F>) -> Vec<RequestId> {
    use futures_util::StreamExt as _;
    futures_util::stream::iter(all).buffered(20).collect().await
}

#[tokio::test]
async fn several_requests_on_a_push_cost_one_look() {
    let app = TestApp::new().await;
    let one = app.forwarded(1, 7, &[builder("a")]).await;
    let other = app.forwarded(2, 7, &[builder("a"), builder("b")]).await;
    app.lists(7, 70, "a", "completed", "success");
    app.lists(7, 71, "b", "running", "unknown");
    let report = app.round_after(1).await;
    assert_eq!((report.changed, report.ended, app.treeherder_calls()), (2, 1, 1));
    assert_eq!(app.read(one).await.0.state, RequestState::Finished);
    assert_eq!(app.read(other).await.0.state, RequestState::Forwarded);
    assert!(app.fake.paths().is_empty(), "there is no label");
}

#[tokio::test]
async fn an_outage_of_one_service_does_not_stop_the_other() {
    let app = TestApp::new().await;
    let id = app.forwarded(1, 7, &[builder("a"), label("test-1")]).await;
    app.lists(7, 70, "a", "running", "unknown");
    app.ends_action("completed", &[(TASKS, json!({"test-1": task(1)}).to_string())]);
    app.fake.set(&task(1), Task::in_state("running"));

    let busy = Message::answer("429 Too Many Requests", "").with("Retry-After", "60");
    app.fake.fail_with(Some(busy));
    let report = app.round_after(1).await;
    assert_eq!((report.changed, report.unanswered, report.failed), (1, 1, 0));
    assert!(report.error.unwrap().starts_with("Taskcluster: "));
    let (request, jobs) = app.read(id).await;
    assert_eq!(outcomes(&jobs), [Some((OutcomeState::Running, None)), None]);
    assert_eq!(request.actions[0].state, ActionState::Running);

    app.fake.fail_with(None);
    app.listed.lock().unwrap().is_down = true;
    app.lists(7, 70, "a", "completed", "success");
    let report = app.round_after(1).await;
    assert_eq!((report.changed, report.unanswered), (1, 1));
    assert!(report.error.unwrap().starts_with("Treeherder: "));
    let running = Some((OutcomeState::Running, None));
    assert_eq!(outcomes(&app.read(id).await.1), [running, running], "nothing is known of what was not seen");

    app.listed.lock().unwrap().is_down = false;
    app.fake.set(&task(1), Task::in_state("completed"));
    let report = app.round_after(1).await;
    assert_eq!((report.ended, report.unanswered), (1, 0));
}

#[tokio::test]
async fn what_an_action_made_is_read_again_if_it_cannot_be_read() {
    let app = TestApp::new().await;
    let id = app.forwarded(1, 7, &[label("test-1")]).await;
    app.ends_action("completed", &[(TASKS, "[]".to_owned())]);
    let report = app.round_after(1).await;
    assert_eq!((report.changed, report.unanswered, report.actions), (0, 1, 1));
    assert_eq!(app.read(id).await.0.actions[0].state, ActionState::Running);
    assert_eq!(app.lock(7, "another").await, None, "another action can begin all the same");
    app.ends_action("completed", &[(TASKS, json!({"test-1": task(1)}).to_string())]);
    app.fake.set(&task(1), Task::in_state("completed"));
    let report = app.round_after(1).await;
    assert_eq!((report.changed, report.ended), (1, 1), "{report:?}");
    assert_eq!(app.lock(7, "a third").await.as_deref(), Some("another"), "the lock of another action stays");
}

#[tokio::test]
async fn one_broken_answer_does_not_hold_up_other_pushes() {
    let app = TestApp::new().await;
    let mut ids = Vec::new();
    for push_id in 1..=3 {
        ids.push(app.forwarded(push_id.into(), push_id, &[builder("a")]).await);
        app.lists(push_id, push_id, "a", "completed", "success");
    }
    app.listed.lock().unwrap().failures.insert(2, Message::answer("200 OK", "{\"results\": [{\"id\": "));
    let report = app.round_after(1).await;
    assert_eq!((report.looked_at, report.changed, report.ended, report.unanswered), (3, 2, 2, 1));
    let mut states = Vec::new();
    for id in &ids {
        states.push(app.read(*id).await.0.state);
    }
    assert_eq!(states, [RequestState::Finished, RequestState::Forwarded, RequestState::Finished]);
    app.listed.lock().unwrap().failures.clear();
    assert_eq!(app.round_after(1).await.ended, 1);
}

#[tokio::test]
async fn a_request_that_changes_at_the_same_time_is_left_to_the_next_round() {
    let app = TestApp::new().await;
    let jobs = [builder("a"), RequestedJob { state: JobState::Failed, ..RequestedJob::accepted("b") }];
    let id = app.forwarded(1, 7, &jobs).await;
    app.lists(7, 70, "a", "completed", "success");
    let (request, jobs) = app.read(id).await;
    // A retry comes between reading and writing.
    let mut again = jobs.clone();
    again[1] = RequestedJob::accepted("b");
    let retried = request.retried(&again, None, app.time()).unwrap();
    app.requests.update(&retried, Some(&again), app.time()).await.unwrap();
    app.wait(1);
    let mut report = FollowReport::default();
    let left = app.follower().look_at(vec![(request, jobs)], None, &mut report).await;
    assert_eq!((report.changed, report.conflicts, report.failed), (0, 1, 0));
    assert_eq!(left[0].0.version + 1, retried.version, "it is returned as it was");
    let (stored, stored_jobs) = app.read(id).await;
    assert_eq!((stored.version, stored.attempt), (retried.version, 2), "the retry is not lost");
    assert_eq!(app.round_after(1).await.looked_at, 0, "it is on its way again");

    again = stored_jobs;
    again[1] = RequestedJob { asked_at: Some(app.time()), ..builder("b") };
    let queued = stored.queued(app.time()).unwrap();
    app.requests.update(&queued, None, app.time()).await.unwrap();
    let forwarded = queued.with_results(&again, TimeDelta::minutes(2), app.time());
    app.requests.update(&forwarded, Some(&again), app.time()).await.unwrap();
    app.lists(7, 71, "b", "completed", "busted");
    let report = app.round_after(1).await;
    assert_eq!((report.changed, report.ended), (1, 1), "{report:?}");
    assert_eq!(last_sentence(&app.read(id).await.0), "Jobs: 1 succeeded, 1 failed.");
}

#[tokio::test]
async fn a_round_that_is_cut_off_anywhere_is_repeated_by_the_next_one() {
    // The round writes twice: it unlocks the push, and changes the request. From one of them on, none succeeds, or the
    // answers are lost.
    for (first, plan) in [
        (0, Plan::Refuse("AccessDeniedException")),
        (1, Plan::Refuse("AccessDeniedException")),
        (0, Plan::Lose("AccessDeniedException")),
        (1, Plan::Lose("AccessDeniedException")),
    ] {
        let app = TestApp::new().await;
        let id = app.forwarded(1, 7, &[builder("a"), label("test-1")]).await;
        app.lists(7, 70, "a", "completed", "success");
        app.ends_action("completed", &[(TASKS, json!({"test-1": task(1)}).to_string())]);
        app.fake.set(&task(1), Task::in_state("completed"));
        app.wait(1);
        let mut writes = 0;
        let proxy = Proxy::start(move |operation, _| {
            writes += usize::from(is_write(operation));
            if is_write(operation) && writes > first { plan } else { Plan::Pass }
        });
        let requests = RequestsTable::new(client(&proxy.endpoint).await, &app.table);
        let cut_off = Follower { requests: &requests, ..app.follower() }.round(None).await;
        assert!(cut_off.failed > 0 && cut_off.error.is_some(), "{cut_off:?}");
        app.round_after(1).await;
        let (request, jobs) = app.read(id).await;
        let success = Some((OutcomeState::Completed, Some("success")));
        assert_eq!((request.state, outcomes(&jobs)), (RequestState::Finished, vec![success, success]));
        // Where the request was changed and the push was not unlocked, the next action takes the lock over.
        assert!(app.lock(7, "another").await.is_none() || cut_off.failed == 1);
    }
}

#[tokio::test]
async fn a_round_without_time_writes_nothing_and_says_what_it_left() {
    let app = TestApp::new().await;
    app.forwarded(1, 7, &[builder("a")]).await;
    app.lists(7, 70, "a", "completed", "success");
    app.wait(1);
    let report = app.follower().round(Some(Instant::now())).await;
    assert_eq!((report.looked_at, report.left, report.changed, app.treeherder_calls()), (0, 1, 0, 0));
    let soon = Instant::now() + Duration::from_secs(30);
    assert_eq!(app.follower().round(Some(soon)).await.ended, 1);
}

#[tokio::test]
async fn without_a_taskcluster_labels_are_not_looked_at() {
    let app = TestApp::new().await;
    let id = app.forwarded(1, 7, &[builder("a"), label("test-1")]).await;
    app.lists(7, 70, "a", "completed", "success");
    app.wait(1);
    let report = Follower { taskcluster: None, ..app.follower() }.round(None).await;
    assert_eq!((report.changed, report.ended, report.error), (1, 0, None));
    assert_eq!(app.read(id).await.0.state, RequestState::Forwarded);
    assert!(app.fake.paths().is_empty());
}
