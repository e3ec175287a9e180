//! Requests that name the push's decision task: labels and builder names are looked up in the push's own list.

use http::StatusCode;
use serde_json::{Value, json};
use test_support::store::http::Message;
use test_support::taskcluster::{FakeTaskcluster, Task};

use crate::app::{Answer, BUILD, SOMEONE, TEST, TestApp, path, token};

const TASK: &str = "Ab-_9fIzT8aXVvV2yWqhGQ";
const LABEL: &str = "test-linux64/opt-mochitest-browser-chrome-3";

async fn app() -> (TestApp, FakeTaskcluster) {
    let taskcluster = FakeTaskcluster::start();
    let graph = json!({
        "build-linux64/opt": {"symbol": "B", "collection": {"opt": true}, "platform": "linux64"},
        LABEL: {"symbol": "bc3", "groupSymbol": "M", "collection": {"opt": true}, "platform": "linux64"},
    });
    taskcluster.set(TASK, Task::decision("try", graph.to_string()));
    let variables = taskcluster.variables();
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    (TestApp::with(&variables).await, taskcluster)
}

async fn trigger(app: &TestApp, task: &str, names: &[&str], more: &str) -> Answer {
    let body = json!({"requested_jobs": names, "decision_task_id": task});
    app.post(&format!("{}{more}", path("try", "1001")), &token(SOMEONE), &[], &body).await
}

fn jobs(answer: &Answer) -> Vec<(String, String, Value)> {
    let taken = answer.json::<Value>(answer.status);
    let text = |job: &Value, key: &str| job[key].as_str().unwrap().to_owned();
    let jobs = taken["jobs"].as_array().unwrap().iter();
    jobs.map(|job| (text(job, "name"), text(job, "state"), job["closest"].clone())).collect()
}

#[tokio::test]
async fn labels_and_builder_names_are_taken_mixed_and_unknown_labels_get_the_nearest() {
    let (app, _taskcluster) = app().await;
    let near = "test-linux64/opt-mochitest-browser-chrome-4";
    let answer = trigger(&app, TASK, &[LABEL, TEST, near, BUILD], "").await;
    let job = |name: &str, state: &str, closest: Value| (name.to_owned(), state.to_owned(), closest);
    assert_eq!(
        jobs(&answer),
        [
            job(LABEL, "accepted", Value::Null),
            job(TEST, "accepted", Value::Null),
            job(near, "rejected", json!(LABEL)),
            job(BUILD, "accepted", Value::Null),
        ]
    );
    let (request, _) = app.stored(&answer.taken()).await;
    assert_eq!(request.decision_task_id.as_deref(), Some(TASK));
}

#[tokio::test]
async fn a_label_is_unknown_on_a_push_without_a_decision_task_or_without_a_taskcluster() {
    let (app, taskcluster) = app().await;
    let answer = app.trigger(SOMEONE, &[LABEL]).await;
    answer.problem(StatusCode::UNPROCESSABLE_ENTITY, "no_known_jobs");
    assert_eq!(taskcluster.paths(), [""; 0]);
    let without = TestApp::new().await;
    trigger(&without, TASK, &[LABEL], "").await.problem(StatusCode::UNPROCESSABLE_ENTITY, "no_known_jobs");
    assert_eq!(jobs(&trigger(&without, TASK, &[TEST], "").await).len(), 1);
}

#[tokio::test]
async fn a_dry_run_judges_by_the_pushs_list_too() {
    let (app, _taskcluster) = app().await;
    let answer = trigger(&app, TASK, &[LABEL, "nothing-like-it"], "?dry_run=true").await;
    let states: Vec<String> = jobs(&answer).into_iter().map(|(_, state, _)| state).collect();
    assert_eq!(states[1], "rejected");
    assert_ne!(states[0], "rejected");
}

#[tokio::test]
async fn a_request_for_a_push_without_a_list_is_refused_and_says_why() {
    let (app, taskcluster) = app().await;
    let other = "RGxvyxsJRdWoCXCpZAkSTA";
    let unknown = trigger(&app, other, &[LABEL], "").await.problem(StatusCode::NOT_FOUND, "no_push_list");
    assert_eq!(
        unknown["detail"],
        format!("Taskcluster has no task {other}: its id is wrong, or the task has expired. Nothing was requested.")
    );
    let late = "fN1SbArXTPSVFNUvaOlinQ";
    taskcluster.set(late, Task { has_expired: true, ..Task::decision("try", "{}") });
    trigger(&app, late, &[LABEL], "").await.problem(StatusCode::GONE, "push_list_expired");
    taskcluster.fail_with(Some(Message::answer("429 Too Many Requests", "").with("Retry-After", "9")));
    app.wait(60);
    let down = trigger(&app, other, &[LABEL], "").await;
    down.problem(StatusCode::SERVICE_UNAVAILABLE, "taskcluster_unavailable");
    assert_eq!(down.header("retry-after"), Some("9"));
    assert_eq!(app.queued().await, [Value::Null; 0]);
    let kinds = app.items().await;
    assert!(kinds.keys().all(|kind| kind.starts_with("budget")), "{kinds:?}");
}

#[tokio::test]
async fn refusals_for_want_of_a_list_count_as_requests() {
    let (app, taskcluster) = app().await;
    for refused in 0.. {
        let answer = trigger(&app, "RGxvyxsJRdWoCXCpZAkSTA", &[LABEL], "").await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            assert!(refused > 0);
            break;
        }
        answer.problem(StatusCode::NOT_FOUND, "no_push_list");
        assert!(refused < 1000);
    }
    assert!(taskcluster.paths().len() < 20, "a known refusal is remembered");
}

#[tokio::test]
async fn a_decision_task_that_cannot_be_one_is_refused() {
    let (app, _taskcluster) = app().await;
    for wrong in ["x", "Ab-_9fIzU8aXVvV2yWqhGQ"] {
        trigger(&app, wrong, &[LABEL], "").await.problem(StatusCode::BAD_REQUEST, "bad_body");
    }
}
