//! Requests with labels: the push's decision task is found, and its list decides.

use std::sync::atomic::Ordering;

use http::StatusCode;
use requests::destination::Destination;
use requests::job::{JobCode, RequestedJob};
use requests::outcome::{Outcome, OutcomeState, RunOf};
use requests::reason::JobReason;
use requests::request::Request;
use requests::state::{JobState, RequestState};
use serde_json::{Value, json};
use test_support::store::http::Message;
use test_support::taskcluster::{FakeTaskcluster, HOOK, Task};
use trigger_api::api::{ActionPreview, JobStatus, Triggered};

use crate::app::{Answer, BUILD, Label, SOMEONE, TestApp, path, token};

const TASK: &str = "Ab-_9fIzT8aXVvV2yWqhGQ";
const LABEL: &str = "test-linux64/opt-mochitest-1";
const BUILD_LABEL: &str = "build-linux64/opt";
/// A label that is new on the push.
const NEW_LABEL: &str = "test-linux64/opt-mochitest-2";
const LABELS: [Label; 2] = [(BUILD_LABEL, None), (LABEL, Some(BUILD_LABEL))];

/// An app whose project has labels, and a Taskcluster with the push's decision task.
async fn app() -> (TestApp, FakeTaskcluster) {
    app_with(&[]).await
}

async fn app_with(more: &[(&str, &str)]) -> (TestApp, FakeTaskcluster) {
    let taskcluster = FakeTaskcluster::start();
    let job = |symbol: &str| json!({"symbol": symbol, "collection": {"opt": true}, "platform": "linux64"});
    let graph = json!({BUILD_LABEL: job("B"), LABEL: job("1"), NEW_LABEL: job("2")});
    taskcluster.set(TASK, Task::decision("try", graph.to_string()));
    let variables = taskcluster.variables();
    let variables: Vec<(&str, &str)> =
        variables.iter().map(|(name, value)| (*name, value.as_str())).chain(more.iter().copied()).collect();
    let app = TestApp::with_labels(&variables, &LABELS).await;
    *app.decision_task.lock().unwrap() = Some(TASK.to_owned());
    (app, taskcluster)
}

/// Name, state, code and destination.
type Shown<'j> = (&'j str, &'j str, Option<&'j str>, Option<&'j str>);

fn shown(jobs: &[JobStatus]) -> Vec<Shown<'_>> {
    jobs.iter()
        .map(|job| (job.name.as_str(), job.state.as_str(), job.code.as_deref(), job.destination.as_deref()))
        .collect()
}

const BUILDER: Shown<'_> = (BUILD, "accepted", None, Some("pulse"));

fn label(state: &'static str, code: Option<&'static str>) -> Shown<'static> {
    (LABEL, state, code, Some("taskcluster"))
}

fn detail(taken: &Triggered, name: &str) -> String {
    taken.jobs.iter().find(|job| job.name == name).unwrap().detail.clone().unwrap_or_default()
}

#[tokio::test]
async fn the_push_s_decision_task_is_found_and_each_job_goes_its_way() {
    let (app, _taskcluster) = app().await;
    let taken = app.trigger(SOMEONE, &[LABEL, BUILD]).await.taken();
    assert_eq!(shown(&taken.jobs), [label("accepted", None), BUILDER]);
    let (request, jobs) = app.stored(&taken).await;
    assert_eq!(request.decision_task_id.as_deref(), Some(TASK));
    let destinations: Vec<Destination> = jobs.iter().map(|job| job.destination).collect();
    assert_eq!(destinations, [Destination::Taskcluster, Destination::Pulse]);
    assert_eq!(app.asked_decision_task.load(Ordering::SeqCst), 1);
    let seen = app.follow(&taken, SOMEONE).await;
    assert_eq!(seen.summary.decision_task_id.as_deref(), Some(TASK));
}

#[tokio::test]
async fn a_label_that_is_new_on_the_push_is_found_in_its_list() {
    let (app, _taskcluster) = app().await;
    let taken = app.trigger(SOMEONE, &[NEW_LABEL, "qqq"]).await.taken();
    assert_eq!(
        shown(&taken.jobs),
        [(NEW_LABEL, "accepted", None, Some("taskcluster")), ("qqq", "rejected", Some("unknown_job"), None),]
    );
}

#[tokio::test]
async fn without_a_label_no_other_service_is_asked() {
    let (app, taskcluster) = app().await;
    let taken = app.trigger(SOMEONE, &[BUILD, &BUILD.to_uppercase()]).await.taken();
    assert_eq!(app.asked_decision_task.load(Ordering::SeqCst), 0);
    assert_eq!(taskcluster.paths(), [""; 0]);
    // A typing error may be a new label; a request in which it is none goes as it would without.
    let other = app.trigger(SOMEONE, &[BUILD, "qqq"]).await.taken();
    assert_eq!(app.asked_decision_task.load(Ordering::SeqCst), 1);
    for taken in [taken, other] {
        assert_eq!(app.stored(&taken).await.0.decision_task_id, None);
    }
}

#[tokio::test]
async fn a_push_without_a_decision_task_rejects_its_labels_alone() {
    let (app, taskcluster) = app().await;
    *app.decision_task.lock().unwrap() = None;
    let taken = app.trigger(SOMEONE, &[LABEL, BUILD]).await.taken();
    assert_eq!(shown(&taken.jobs), [label("rejected", Some("no_decision_task")), BUILDER]);
    let said = "It cannot be run on this push: Treeherder knows no decision task of the push that succeeded.";
    assert_eq!(detail(&taken, LABEL), said);
    assert_eq!(taken.message, "1 job is queued for push 1001 of try. One Taskcluster job cannot be run on this push.");
    assert_eq!(app.stored(&taken).await.0.decision_task_id, None);
    assert_eq!(taskcluster.paths(), [""; 0]);

    let refused = app.trigger(SOMEONE, &[LABEL]).await.problem(StatusCode::UNPROCESSABLE_ENTITY, "no_known_jobs");
    assert_eq!(refused["detail"], format!("'{LABEL}' was not requested. {said}"));
    assert_eq!(
        (&refused["jobs"][0]["code"], &refused["jobs"][0]["detail"]),
        (&json!("no_decision_task"), &json!(said))
    );
    let refused = app.trigger(SOMEONE, &[LABEL, "qqq"]).await;
    let refused = refused.problem(StatusCode::UNPROCESSABLE_ENTITY, "no_known_jobs");
    let said = format!("None of these 2 jobs can be run on this push, so nothing was requested. {said}");
    assert_eq!(refused["detail"], said);
}

#[tokio::test]
async fn builders_go_on_while_treeherder_does_not_answer() {
    let (app, _taskcluster) = app().await;
    app.treeherder_answers(None);
    let taken = app.trigger(SOMEONE, &[LABEL, BUILD]).await.taken();
    assert_eq!(shown(&taken.jobs), [label("rejected", Some("no_decision_task")), BUILDER]);
    assert!(detail(&taken, LABEL).contains("Treeherder does not answer"), "{taken:?}");
}

#[tokio::test]
async fn builders_go_on_while_taskcluster_does_not_answer() {
    let (app, taskcluster) = app().await;
    let busy = Message::answer("429 Too Many Requests", "").with("Retry-After", "9");
    taskcluster.fail_with(Some(busy));
    let taken = app.trigger(SOMEONE, &[LABEL, BUILD]).await.taken();
    assert_eq!(shown(&taken.jobs), [label("rejected", Some("taskcluster_unavailable")), BUILDER]);
    assert!(detail(&taken, LABEL).contains("Taskcluster does not answer"), "{taken:?}");
    let refused = app.trigger(SOMEONE, &[LABEL]).await;
    refused.problem(StatusCode::SERVICE_UNAVAILABLE, "taskcluster_unavailable");
    assert_eq!(refused.header("retry-after"), Some("9"));
}

#[tokio::test]
async fn labels_of_a_project_that_is_not_configured_are_rejected_without_a_question() {
    let (app, taskcluster) = app_with(&[("RUNNABLE_JOBS_TASKCLUSTER_TRIGGER", "{}")]).await;
    let taken = app.trigger(SOMEONE, &[LABEL, BUILD, "qqq"]).await.taken();
    assert_eq!(shown(&taken.jobs)[..2], [label("rejected", Some("not_triggerable")), BUILDER]);
    assert!(detail(&taken, LABEL).contains("an operator has to configure the project"), "{taken:?}");
    assert_eq!((app.asked_decision_task.load(Ordering::SeqCst), taskcluster.paths().len()), (0, 0));
    // Also if the client names the decision task.
    let body = json!({"requested_jobs": [NEW_LABEL], "decision_task_id": TASK});
    let refused = app.post(&path("try", "1001"), &token(SOMEONE), &[], &body).await;
    let refused = refused.problem(StatusCode::UNPROCESSABLE_ENTITY, "no_known_jobs");
    assert_eq!(refused["jobs"][0]["code"], "not_triggerable");
}

#[tokio::test]
async fn a_repeated_request_is_recognized_by_what_the_client_sent() {
    let (app, _taskcluster) = app().await;
    let first = app.trigger_as("k", &[LABEL, BUILD]).await.taken();
    let same = app.trigger(SOMEONE, &[LABEL, BUILD]).await.taken();
    // The decision task is not known any more.
    app.wait(61);
    app.treeherder_answers(None);
    let again = app.trigger_as("k", &[LABEL, BUILD]).await;
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let again = again.taken();
    assert_eq!((&again.request_id, shown(&again.jobs)), (&first.request_id, shown(&first.jobs)));
    app.go_back_to_the_start();
    app.wait(30);
    let repeated = app.trigger(SOMEONE, &[LABEL, BUILD]).await.taken();
    assert_eq!((repeated.repeated, repeated.request_id), (true, same.request_id));
}

#[tokio::test]
async fn the_first_answer_still_has_the_label_that_was_rejected() {
    let (app, _taskcluster) = app().await;
    *app.decision_task.lock().unwrap() = None;
    let first = app.trigger_as("k", &[LABEL, BUILD]).await.taken();
    *app.decision_task.lock().unwrap() = Some(TASK.to_owned());
    let again = app.trigger_as("k", &[LABEL, BUILD]).await.taken();
    assert_eq!((shown(&again.jobs), again.message), (shown(&first.jobs), first.message));
}

async fn stored_as(app: &TestApp, taken: &Triggered, state: RequestState, change: impl Fn(&mut RequestedJob)) {
    let (request, mut jobs) = app.stored(taken).await;
    jobs.iter_mut().for_each(change);
    let (counts, digest) = (requests::job::count_jobs(&jobs), requests::job::digest(&jobs));
    let next = Request { version: request.version + 1, state, job_counts: counts, jobs_digest: digest, ..request };
    app.requests.update(&next, Some(&jobs), app.time()).await.unwrap();
}

async fn retry(app: &TestApp, taken: &Triggered) -> Answer {
    let path = format!("{}retry/", taken.status_url.as_deref().unwrap());
    app.post(&path, &token(SOMEONE), &[], &Value::Null).await
}

#[tokio::test]
async fn a_label_that_was_not_created_is_sent_again_and_one_that_ran_is_not() {
    let (app, taskcluster) = app().await;
    let taken = app.trigger(SOMEONE, &[LABEL, NEW_LABEL]).await.taken();
    let now = app.time();
    let not_created = |job: &mut RequestedJob| {
        if job.name == LABEL {
            job.state = JobState::Failed;
            job.code = Some(JobCode::NotCreated);
            job.reason = Some(JobReason::NotCreated { action: "failed".to_owned(), log: "not found".to_owned() });
        } else {
            job.state = JobState::Forwarded;
            let run = Some(RunOf::Task(TASK.to_owned()));
            let result = Some("testfailed".to_owned());
            job.outcome = Some(Outcome { state: OutcomeState::Completed, result, run, since: now });
        }
    };
    stored_as(&app, &taken, RequestState::Finished, not_created).await;
    let seen = app.follow(&taken, SOMEONE).await;
    assert_eq!(
        seen.jobs[0].detail.as_deref(),
        Some("The action ended (failed) and did not create this job. Its log ends with: not found")
    );
    assert!(seen.summary.links.retry.is_some());

    let again = retry(&app, &taken).await.taken();
    let ran = (NEW_LABEL, "forwarded", None, Some("taskcluster"));
    assert_eq!(shown(&again.jobs), [label("accepted", None), ran]);
    assert_eq!(again.jobs[1].outcome.as_ref().unwrap().result.as_deref(), Some("testfailed"));
    let (request, jobs) = app.stored(&taken).await;
    assert_eq!((request.attempt, jobs[0].destination), (2, Destination::Taskcluster));
    assert_eq!((&jobs[0].outcome, &jobs[0].reason), (&None, &None));

    // What is in the action of an open request cannot be retried, and the list of the push may be gone.
    retry(&app, &taken).await.problem(StatusCode::CONFLICT, "still_open");
    stored_as(&app, &taken, RequestState::Failed, |job| job.state = JobState::Failed).await;
    let other = "RGxvyxsJRdWoCXCpZAkSTA";
    let (request, jobs) = app.stored(&taken).await;
    let decision_task_id = Some(other.to_owned());
    let next = Request { version: request.version + 1, decision_task_id, ..request };
    app.requests.update(&next, Some(&jobs), app.time()).await.unwrap();
    taskcluster.fail_with(Some(Message::answer("429 Too Many Requests", "")));
    retry(&app, &taken).await.problem(StatusCode::SERVICE_UNAVAILABLE, "taskcluster_unavailable");
}

async fn dry_run(app: &TestApp, names: &[&str]) -> Triggered {
    let body = json!({"requested_jobs": names});
    let answer = app.post(&format!("{}?dry_run=true", path("try", "1001")), &token(SOMEONE), &[], &body).await;
    answer.json(StatusCode::OK)
}

/// A job of Taskcluster as Treeherder lists it.
fn run(id: u64, label: &str, state: &str, result: &str) -> Value {
    json!({"id": id, "build_system_type": "taskcluster", "job_type_name": label, "ref_data_name": "0123", "state": state,
           "result": result, "submit_timestamp": 1_795_400_000})
}

#[tokio::test]
async fn a_dry_run_shows_the_action_and_what_it_starts_and_calls_nothing() {
    let (app, taskcluster) = app().await;
    let checked = dry_run(&app, &[LABEL, BUILD]).await;
    assert_eq!(shown(&checked.jobs), [label("accepted", None), BUILDER]);
    let marker = "01KAS4B0MRJ6WJ0RGDX8T0E4JQ.1";
    let input_bytes = json!({"request": marker, "tasks": [LABEL]}).to_string().len();
    let expected = |also_starts: &[&str]| ActionPreview {
        hook: HOOK.to_owned(),
        labels: vec![LABEL.to_owned()],
        input_bytes,
        also_starts: also_starts.iter().map(|build| (*build).to_owned()).collect(),
    };
    assert_eq!(checked.actions, Some(vec![expected(&[BUILD_LABEL])]));
    assert_eq!(checked.message, "2 jobs would be requested for push 1001 of try.");

    *app.runs.lock().unwrap() = json!([run(1, BUILD_LABEL, "completed", "success")]);
    assert_eq!(dry_run(&app, &[LABEL]).await.actions, Some(vec![expected(&[])]));
    assert_eq!(dry_run(&app, &[BUILD]).await.actions, None);
    assert_eq!(taskcluster.hook_calls(), []);
    assert!(app.queued().await.is_empty());
    assert!(app.items().await.keys().all(|kind| kind.starts_with("budget")));
}

#[tokio::test]
async fn a_dry_run_adds_the_build_that_failed() {
    let (app, _taskcluster) = app().await;
    *app.runs.lock().unwrap() = json!([run(1, BUILD_LABEL, "completed", "busted")]);
    let checked = dry_run(&app, &[LABEL]).await;
    let build = (BUILD_LABEL, "accepted", Some("needed_build"), Some("taskcluster"));
    assert_eq!(shown(&checked.jobs), [label("accepted", None), build]);
    let actions = checked.actions.unwrap();
    assert_eq!(
        (&actions[0].labels[..], &actions[0].also_starts[..]),
        (&[BUILD_LABEL, LABEL].map(str::to_owned)[..], &[][..])
    );
}

#[tokio::test]
async fn a_dry_run_says_that_an_action_runs_on_the_push() {
    let (app, _taskcluster) = app().await;
    let action = json!({"id": 1, "build_system_type": "taskcluster", "job_type_name": "Action: Add new jobs",
        "job_type_symbol": "add-new", "job_group_symbol": "AC", "ref_data_name": "0123", "state": "running",
        "result": "unknown", "task_id": TASK, "submit_timestamp": 1_795_400_000});
    *app.runs.lock().unwrap() = json!([action]);
    let checked = dry_run(&app, &[LABEL]).await;
    assert_eq!(shown(&checked.jobs), [label("waiting", None)]);
    assert!(detail(&checked, LABEL).starts_with(&format!("An action of this push runs ({TASK})")), "{checked:?}");
    assert_eq!(checked.actions.map(|actions| actions.len()), Some(1));
    let said = "1 job would be requested for push 1001 of try. One would wait for an action that runs on the push.";
    assert_eq!(checked.message, said);
}

#[tokio::test]
async fn a_dry_run_shows_a_refusal_as_the_forwarder_would_give_it() {
    let (app, taskcluster) = app().await;
    taskcluster.change(TASK, |task| task.scopes.clear());
    let checked = dry_run(&app, &[LABEL, BUILD]).await;
    assert_eq!(shown(&checked.jobs), [label("failed", Some("hook_not_allowed")), BUILDER]);
    assert!(detail(&checked, LABEL).contains("it lacks the scope in-tree:hook-action:project-gecko"), "{checked:?}");
    assert_eq!(checked.actions, None);
    let said = "1 job would be requested for push 1001 of try. One Taskcluster job cannot be run on this push.";
    assert_eq!(checked.message, said);
}

#[tokio::test]
async fn a_dry_run_shows_that_the_named_decision_task_is_that_of_another_push() {
    let (app, taskcluster) = app().await;
    taskcluster.change(TASK, |task| task.routes = vec!["tc-treeherder.v2.try.76543210fedcba98.1002".to_owned()]);
    let checked = dry_run(&app, &[LABEL]).await;
    assert_eq!(shown(&checked.jobs), [label("failed", Some("no_decision_task"))]);
    assert!(detail(&checked, LABEL).contains("belongs to another push to try"), "{checked:?}");
}

#[tokio::test]
async fn a_dry_run_is_answered_while_taskcluster_does_not_answer() {
    let (app, taskcluster) = app().await;
    // The push's list is known.
    dry_run(&app, &[LABEL]).await;
    taskcluster.fail_with(Some(Message::answer("429 Too Many Requests", "")));
    let checked = dry_run(&app, &[LABEL, BUILD]).await;
    assert_eq!(shown(&checked.jobs), [label("accepted", Some("taskcluster_unavailable")), BUILDER]);
    assert!(detail(&checked, LABEL).starts_with("Taskcluster does not answer at the moment"), "{checked:?}");
    assert_eq!(checked.actions, None);
    assert!(app.line()["error"].as_str().unwrap().starts_with("Taskcluster: "), "{}", app.line());
}
