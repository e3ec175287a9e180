//! A request is stored before it is queued, and both before the answer; and what happens if one of them fails.

use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::TimeDelta;
use http::StatusCode;
use requests::action::{Action, ActionState, LabelWait, LabelWaitReason, Places};
use requests::id::RequestId;
use requests::job::{BuildWait, RequestedJob};
use requests::new_request::NewRequest;
use requests::planning::Planning;
use requests::request::Request;
use requests::state::{JobState, RequestState};
use runtime::Clock;
use serde_json::json;
use store::{Consistency, PushLock, Queue, RequestsTable, Ticket};
use trigger_api::api::{TriggerRequest, TriggerRequests, Triggered};
use trigger_api::sweep::{SweepReport, sweep};

use crate::app::{Answer, BUILD, SOMEONE, TEST, TestApp, token};
use test_support::store::proxy::{Plan, is_write};
use test_support::store::set;

async fn swept(app: &TestApp) -> SweepReport {
    let now = app.time();
    let clock: Clock = Arc::new(move || now);
    let queue = Queue::new(app.queue.clone(), &app.queue_url);
    sweep(&RequestsTable::new(app.client.clone(), &app.requests_name), &queue, &Planning::default(), &clock)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_request_costs_four_operations_and_one_message() {
    let app = TestApp::new().await;
    app.trigger("dev@example.org", &[TEST]).await.taken();
    let seen = app.watch();
    app.trigger(SOMEONE, &[BUILD]).await.taken();
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen, ["PutItem", "UpdateItem", "PutItem", "SendMessage", "UpdateItem"]);
    let line = app.line();
    assert_eq!((&line["store_operations"], &line["jobs"], &line["outcome"]), (&4.into(), &1.into(), &"made".into()));
}

/// The store fails at each of its writes in turn: before it does what it is asked, or after.
#[tokio::test]
async fn no_failing_write_loses_a_job_or_runs_it_twice() {
    for lost in [false, true] {
        for failing in 0..4 {
            let app = TestApp::new().await;
            let mut writes = 0;
            app.plan(move |operation| {
                writes += usize::from(is_write(operation));
                match (is_write(operation) && writes == failing + 1, lost) {
                    (false, _) => Plan::Pass,
                    (true, false) => Plan::Refuse("ValidationException"),
                    (true, true) => Plan::Lose("ValidationException"),
                }
            });
            let answer = app.trigger_as("k", &[BUILD]).await;
            app.plan(|_| Plan::Pass);
            if failing == 3 {
                // It is in the queue, but that could not be recorded.
                assert_eq!(answer.taken().state, "accepted", "write {failing}, lost: {lost}");
            } else {
                answer.problem(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable");
                assert_eq!(answer.header("retry-after"), Some("30"));
                assert!(app.line()["error"].as_str().unwrap().contains("by the proxy"), "{}", app.line());
            }
            app.wait(31);
            let again = app.trigger_as("k", &[BUILD]).await.taken();
            let items = app.items().await;
            assert_eq!(items["request head"], 1, "write {failing}, lost: {lost}");
            app.wait(120);
            swept(&app).await;
            let messages = app.queued().await;
            let id = again.request_id.clone().unwrap();
            assert!(
                !messages.is_empty()
                    && messages.iter().all(|message| message["request_id"] == *id && message["round"] == 1)
            );
            assert_eq!(app.stored(&again).await.0.state, RequestState::Queued, "write {failing}, lost: {lost}");
        }
    }
}

#[tokio::test]
async fn a_request_that_cannot_be_queued_is_stored_and_the_sweep_queues_it_once() {
    let app = TestApp::new().await;
    app.plan(|operation| if operation == "SendMessage" { Plan::Refuse("ValidationException") } else { Plan::Pass });
    let taken = app.trigger(SOMEONE, &[BUILD, TEST]).await.taken();
    assert_eq!(taken.state, "accepted");
    let said = "2 jobs for push 1001 of try are stored, but not queued yet. That is tried again every few minutes.";
    assert_eq!(taken.message, said);
    assert!(app.line()["error"].as_str().unwrap().starts_with("queueing request"), "{}", app.line());
    app.plan(|_| Plan::Pass);
    assert!(app.queued().await.is_empty());

    app.wait(119);
    assert_eq!(swept(&app).await, SweepReport::default());
    app.wait(1);
    assert_eq!(swept(&app).await, SweepReport { queued: 1, oldest_seconds: 120, ..SweepReport::default() });
    assert_eq!(app.queued().await.len(), 1);
    assert_eq!(app.follow(&taken, SOMEONE).await.summary.state, "queued");
    app.wait(1);
    assert_eq!(swept(&app).await, SweepReport { oldest_seconds: 121, ..SweepReport::default() });
    assert!(app.queued().await.is_empty());
    // What is on its way is not looked at in each sweep.
    app.wait(180);
    assert_eq!(swept(&app).await, SweepReport::default());
}

/// A person asks for the failed jobs of a request again.
async fn retry(app: &TestApp, taken: &Triggered) -> Answer {
    let path = format!("{}retry/", taken.status_url.as_deref().unwrap());
    app.post(&path, &token(SOMEONE), &[], &json!({})).await
}

/// Sweeps after each of so many hours, until something fails.
async fn swept_for(app: &TestApp, hours: u32) -> Option<SweepReport> {
    for _ in 0..hours {
        app.wait(3600);
        let found = swept(app).await;
        if found.failed > 0 {
            return Some(found);
        }
    }
    None
}

/// The sign-ins of the tests are of their first hour.
async fn seen(app: &TestApp, taken: &Triggered) -> TriggerRequest {
    let now = app.time();
    app.go_back_to_the_start();
    let seen = app.follow(taken, SOMEONE).await;
    *app.now.lock().unwrap() = now;
    seen
}

#[tokio::test]
async fn a_lost_request_is_queued_again_for_a_day_and_then_fails_with_a_reason() {
    let app = TestApp::new().await;
    let taken = app.trigger(SOMEONE, &[BUILD, TEST]).await.taken();
    assert_eq!((taken.state.as_str(), app.queued().await.len()), ("queued", 1));
    app.wait(120);
    assert_eq!((swept(&app).await.queued, app.queued().await.len()), (0, 0));
    for _ in 0..23 {
        app.wait(3600);
        assert_eq!((swept(&app).await.queued, app.queued().await.len()), (1, 1));
    }
    app.wait(3600);
    let found = swept(&app).await;
    assert_eq!((found.queued, found.failed, app.queued().await.len()), (0, 1, 0));
    assert!(found.error.unwrap().ends_with("stayed queued, and was given up"));
    assert_eq!(swept_for(&app, 48).await, None, "it is given up once");

    let ended = seen(&app, &taken).await;
    assert_eq!(ended.summary.state, "failed");
    assert_eq!(ended.summary.job_counts, [("failed".to_owned(), 2)].into());
    for job in &ended.jobs {
        assert_eq!(job.state, "failed");
        assert!(job.detail.as_ref().unwrap().contains("given up"), "{job:?}");
    }
    assert!(ended.history.last().unwrap().detail.as_ref().unwrap().contains("given up"));
    // A ticket that was lost until now means nothing any more; and it can be sent again.
    app.go_back_to_the_start();
    let again = retry(&app, &taken).await.taken();
    assert_eq!(
        (again.state.as_str(), app.queued().await),
        ("queued", vec![json!({"request_id": taken.request_id, "round": 2})])
    );
}

#[tokio::test]
async fn a_request_that_can_never_be_queued_fails_after_a_day() {
    let app = TestApp::new().await;
    app.plan(|operation| if operation == "SendMessage" { Plan::Refuse("ValidationException") } else { Plan::Pass });
    let taken = app.trigger(SOMEONE, &[BUILD]).await.taken();
    let nowhere = Queue::new(app.queue.clone(), format!("{}-gone", app.queue_url));
    for (hours, state) in [(23, RequestState::Accepted), (1, RequestState::Failed)] {
        app.wait(hours * 3600);
        let now = app.time();
        let clock: Clock = Arc::new(move || now);
        assert_eq!(sweep(&app.requests, &nowhere, &Planning::default(), &clock).await.unwrap().failed, 1);
        assert_eq!(app.stored(&taken).await.0.state, state);
    }
}

#[tokio::test]
async fn a_waiting_request_that_is_never_checked_fails_a_day_after_its_time() {
    let app = TestApp::new().await;
    let taken = waiting(&app).await;
    assert_eq!(swept_for(&app, 35).await, None);
    let found = swept_for(&app, 1).await.unwrap();
    assert!(found.error.unwrap().ends_with("stayed waiting, and was given up"));
    let (ended, jobs) = app.stored(&taken).await;
    assert_eq!((ended.state, jobs[0].state, jobs[0].build_wait), (RequestState::Failed, JobState::Failed, None));
}

#[tokio::test]
async fn a_request_whose_jobs_cannot_be_read_ends_too_and_is_counted() {
    let app = TestApp::new().await;
    let taken = app.trigger(SOMEONE, &[BUILD]).await.taken();
    let pk = format!("request#{}", taken.request_id.as_ref().unwrap());
    set(&app.client, &app.requests_name, (&pk, "head"), "data", None).await;
    let found = swept_for(&app, 25).await.unwrap();
    assert_eq!((found.failed, found.damaged), (1, 1));
    let id = taken.request_id.as_ref().unwrap().parse().unwrap();
    let ended = app.requests.request(id, Consistency::Consistent).await.unwrap().unwrap();
    assert_eq!((ended.state, ended.job_count(JobState::Failed)), (RequestState::Failed, 1));
    assert_eq!(swept_for(&app, 24).await, None);
}

#[tokio::test]
async fn a_request_that_cannot_be_read_stops_neither_sweeps_nor_lists_and_is_counted() {
    let app = TestApp::new().await;
    app.plan(|operation| if operation == "SendMessage" { Plan::Refuse("ValidationException") } else { Plan::Pass });
    let newer = app.trigger(SOMEONE, &[BUILD]).await.taken();
    app.wait(1);
    let taken = app.trigger(SOMEONE, &[TEST]).await.taken();
    app.plan(|_| Plan::Pass);
    let pk = format!("request#{}", newer.request_id.as_ref().unwrap());
    let state = Some(AttributeValue::S("of a newer version".to_owned()));
    set(&app.client, &app.requests_name, (&pk, "head"), "state", state).await;

    for path in ["/api/trigger_requests/?requester=me", "/api/project/try/push/1001/trigger_requests/?count=1"] {
        let listed: TriggerRequests = app.get(path, SOMEONE).await.json(StatusCode::OK);
        let ids: Vec<_> = listed.results.iter().map(|request| Some(&request.request_id)).collect();
        assert_eq!(ids, [taken.request_id.as_ref()], "{path}");
        let line = app.line();
        let metrics = line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap();
        assert_eq!(line["DamagedItems"], 1, "{line}");
        assert!(metrics.iter().any(|metric| metric["Name"] == "DamagedItems"), "{line}");
    }
    app.wait(200);
    assert_eq!(swept(&app).await, SweepReport { queued: 1, damaged: 1, oldest_seconds: 200, ..SweepReport::default() });
    assert_eq!(app.queued().await.len(), 1);
}

/// A request of which the only job waits for its build.
async fn waiting(app: &TestApp) -> Triggered {
    let taken = app.trigger(SOMEONE, &[TEST]).await.taken();
    app.queued().await;
    let (request, mut jobs) = app.stored(&taken).await;
    assert_eq!(jobs[0].build.as_deref(), Some(BUILD), "the forwarder learns of the build from here");
    jobs[0].state = JobState::Waiting;
    jobs[0].build_wait = Some(BuildWait { since: app.time(), ignore_runs_up_to: None, failed_before: 0 });
    let waiting = request.with_results(&jobs, Planning::default().next_poll(&jobs, app.time()), app.time());
    assert_eq!(app.requests.update(&waiting, Some(&jobs), app.time()).await.unwrap(), store::UpdateResult::Stored);
    taken
}

#[tokio::test]
async fn a_waiting_request_is_checked_when_it_is_due() {
    let app = TestApp::new().await;
    let taken = waiting(&app).await;
    app.wait(119);
    assert_eq!(swept(&app).await, SweepReport::default());
    app.wait(1);
    assert_eq!(swept(&app).await, SweepReport { waiting: 1, oldest_seconds: 120, ..SweepReport::default() });
    assert_eq!(app.queued().await.len(), 1);
    app.wait(180);
    assert_eq!(swept(&app).await, SweepReport::default(), "it is the forwarder's now");
    assert_eq!(app.follow(&taken, SOMEONE).await.summary.state, "waiting");
}

/// A request for a label, with this action. It waits until an action can be called, or until it is known whether a task
/// exists.
async fn with_action(app: &TestApp, random: u128, action: Option<ActionState>) -> Request {
    let mut jobs = [RequestedJob::accepted_label("test-linux2404-64/opt-mochitest-plain-1")];
    let now = app.time();
    let new_request = NewRequest::new("try", 1001, SOMEONE.parse().unwrap(), Vec::new());
    let request = Request::new(RequestId::new(now, random), new_request, None, &jobs, now);
    app.requests.create(&request, &jobs, now).await.unwrap();
    let mut next = request;
    if let Some(state) = action {
        let hook = "project-gecko/in-tree-action-1-generic/0123abcdef".to_owned();
        let jobs = Places::new([0]);
        next.actions.push(Action { number: 1, jobs, hook, state, task_id: None, called_at: now });
    } else {
        let until = now + TimeDelta::minutes(1);
        let why = LabelWaitReason::ActionRuns { task_id: None };
        next.label_wait = Some(LabelWait { why, since: now, until, attempts: 0 });
    }
    next.apply_actions(&mut jobs);
    let next = next.with_results(&jobs, TimeDelta::minutes(1), now);
    assert_eq!(app.requests.update(&next, None, now).await.unwrap(), store::UpdateResult::Stored);
    next
}

/// The lock of the push for the first action of a request. It does not expire during the test.
fn lock_of(request: &Request, app: &TestApp) -> PushLock {
    PushLock {
        project: request.project.clone(),
        push_id: request.push_id,
        marker: format!("{}.1", request.id),
        request: request.id,
        expires_at: app.time() + TimeDelta::days(9),
    }
}

#[tokio::test]
async fn a_request_that_waits_for_another_action_is_checked_when_it_is_due() {
    let app = TestApp::new().await;
    let request = with_action(&app, 1, None).await;
    assert_eq!(request.state, RequestState::Waiting);
    app.wait(59);
    assert_eq!(swept(&app).await, SweepReport::default());
    app.wait(1);
    assert_eq!(swept(&app).await, SweepReport { waiting: 1, oldest_seconds: 60, ..SweepReport::default() });
    assert_eq!(app.queued().await, [json!({"request_id": request.id, "round": 1})]);
}

#[tokio::test]
async fn a_request_that_is_followed_is_not_swept() {
    let app = TestApp::new().await;
    let request = with_action(&app, 1, Some(ActionState::Running)).await;
    assert_eq!(request.state, RequestState::Forwarded);
    app.wait(30 * 86_400);
    assert_eq!(swept(&app).await, SweepReport::default());
    assert_eq!(app.requests.followed(10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_request_that_is_given_up_releases_its_push_and_no_other_does() {
    let app = TestApp::new().await;
    let holder = with_action(&app, 1, Some(ActionState::Triggering)).await;
    let other = with_action(&app, 2, None).await;
    let [held, wanted] = [&holder, &other].map(|request| lock_of(request, &app));
    assert_eq!(app.requests.lock_push(&held, app.time()).await.unwrap(), None);
    for _ in 0..35 {
        app.wait(3600);
        assert_eq!(swept(&app).await.failed, 0);
        assert_eq!(app.requests.lock_push(&wanted, app.time()).await.unwrap(), Some(held.clone()));
    }
    app.wait(3600);
    assert_eq!(swept(&app).await.failed, 2);
    let ended = app.requests.request(holder.id, Consistency::Consistent).await.unwrap().unwrap();
    assert_eq!(ended.state, RequestState::Failed);
    assert_eq!(app.requests.lock_push(&wanted, app.time()).await.unwrap(), None);
}

#[tokio::test]
async fn a_sweep_continues_after_a_request_that_fails() {
    let app = TestApp::new().await;
    app.plan(|operation| if operation == "SendMessage" { Plan::Refuse("ValidationException") } else { Plan::Pass });
    app.trigger(SOMEONE, &[BUILD]).await.taken();
    app.trigger(SOMEONE, &[TEST]).await.taken();
    app.wait(200);
    let now = app.time();
    let clock: Clock = Arc::new(move || now);
    let nowhere = Queue::new(app.queue.clone(), format!("{}-gone", app.queue_url));
    let swept_nothing = sweep(&app.requests, &nowhere, &Planning::default(), &clock).await.unwrap();
    assert_eq!((swept_nothing.failed, swept_nothing.queued), (2, 0));
    assert!(swept_nothing.error.unwrap().starts_with("queueing request"));
    assert_eq!(swept(&app).await.queued, 2);
}

#[tokio::test]
async fn a_late_update_to_queued_does_not_undo_the_forwarders_result() {
    let app = TestApp::new().await;
    let requests = RequestsTable::new(app.client.clone(), &app.requests_name);
    let taken = {
        app.plan(|operation| if operation == "SendMessage" { Plan::Refuse("ValidationException") } else { Plan::Pass });
        app.trigger(SOMEONE, &[BUILD]).await.taken()
    };
    let (request, _) = app.stored(&taken).await;
    let forwarded = Request { version: 2, state: RequestState::Forwarded, ..request.clone() };
    requests.update(&forwarded, None, app.time()).await.unwrap();
    assert_eq!(
        requests.update(&request.queued(app.time()).unwrap(), None, app.time()).await.unwrap(),
        store::UpdateResult::Conflict
    );
    assert_eq!(app.stored(&taken).await.0.state, RequestState::Forwarded);
}

#[test]
fn a_ticket_is_a_short_message() {
    let ticket = r#"{"request_id":"01KAS4B0MRJ6WJ0RGDX8T0E4JQ","round":2}"#;
    let read: Ticket = serde_json::from_str(ticket).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), ticket);
}
