//! The lists of pushes: what a decision task's graph can run, and the project's Buildbot jobs.

use http::{Method, StatusCode};
use serde_json::{Value, json};
use test_support::store::http::Message;
use test_support::taskcluster::{FakeTaskcluster, Task};

use crate::app::{BUILD, NAMES, TestApp, names};

const TASK: &str = "Ab-_9fIzT8aXVvV2yWqhGQ";
const REVISION: &str = "0123456789abcdef0123456789abcdef01234567";
const LABELS: [&str; 3] =
    ["build-linux64/opt", "test-linux64/opt-mochitest-browser-chrome-3", "test-windows11/debug-web-platform-tests-1"];
const LIST: &str = "/api/project/try/runnable_jobs/?decision_task_id=Ab-_9fIzT8aXVvV2yWqhGQ";

fn graph() -> String {
    json!({
        LABELS[0]: {"symbol": "B", "collection": {"opt": true}, "platform": "linux64"},
        LABELS[1]: {"symbol": "bc3", "groupSymbol": "M", "groupName": "Mochitests", "collection": {"opt": true},
            "platform": "linux64"},
        LABELS[2]: {"symbol": "wpt1", "groupSymbol": "W", "groupName": "Web platform tests",
            "collection": {"debug": true}, "platform": "windows11"},
    })
    .to_string()
}

/// An app with Buildbot's `NAMES` for try, and a Taskcluster with one decision task.
async fn app() -> (TestApp, FakeTaskcluster) {
    let taskcluster = FakeTaskcluster::start();
    taskcluster.set(TASK, Task::decision("try", graph()));
    taskcluster.index(&format!("gecko.v2.try.revision.{REVISION}.taskgraph.decision"), TASK);
    let variables = taskcluster.variables();
    let variables: Vec<(&str, &str)> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let app = TestApp::with(&variables).await;
    app.publish("try", &NAMES, None).await;
    (app, taskcluster)
}

fn all_names() -> Vec<String> {
    let mut all: Vec<String> = NAMES.iter().chain(&LABELS).map(|name| (*name).to_owned()).collect();
    all.sort_unstable();
    all
}

#[tokio::test]
async fn a_push_has_a_list_of_its_own_beside_that_of_the_project() {
    let (app, _taskcluster) = app().await;
    assert_eq!(names(&app.get(LIST).await), all_names());
    assert_eq!(names(&app.get(crate::app::LIST).await), NAMES);
    let of_2016 = app.get("/api/project/try/runnable_jobs/?decisionTaskID=Ab-_9fIzT8aXVvV2yWqhGQ&format=json").await;
    assert_eq!(names(&of_2016), all_names());
    let by_revision = app.get(&format!("/api/project/try/runnable_jobs/?revision={REVISION}")).await;
    assert_eq!(names(&by_revision), all_names());
}

#[tokio::test]
async fn a_client_without_a_decision_task_gets_the_projects_list() {
    let (app, _taskcluster) = app().await;
    for none in ["decision_task_id=", "decision_task_id=undefined&push_id=417321", "decisionTaskID=null", "revision="] {
        assert_eq!(names(&app.get(&format!("/api/project/try/runnable_jobs/?{none}")).await), NAMES, "{none}");
    }
}

#[tokio::test]
async fn without_a_taskcluster_a_decision_task_has_no_effect_and_a_revision_is_refused() {
    let app = TestApp::published().await;
    for id in [TASK, "Ab-_9", "undefined"] {
        let answer = app.get(&format!("/api/project/try/runnable_jobs/?decision_task_id={id}")).await;
        assert_eq!(names(&answer), NAMES, "{id}");
    }
    let refused = app.get("/api/project/try/runnable_jobs/?revision=0123").await;
    assert_eq!(refused.problem(StatusCode::BAD_REQUEST, "bad_parameter")["parameter"], "revision");
}

#[tokio::test]
async fn the_list_of_a_push_is_selected_from_searched_and_drawn_like_any_other() {
    let (app, _taskcluster) = app().await;
    let found = async |more: &str| names(&app.get(&format!("{LIST}&{more}")).await);
    assert_eq!(found("search=browser+3+chrome+linux64").await, [LABELS[1]]);
    assert_eq!(found("search=windows11+wpt").await, [LABELS[2]]);
    assert_eq!(found("build_system_type=taskcluster&count=2").await, LABELS[..2]);
    assert_eq!(found("build_system_type=buildbot").await, NAMES);
    let fields: Value = app.get(&format!("{LIST}&fields=ref_data_name,tier&job_type_symbol=bc3")).await.json();
    assert_eq!(fields["results"], json!([{"ref_data_name": LABELS[1]}]), "a new label has no tier");
    let grid: Value = app.get(&format!("{LIST}&view=grid")).await.json();
    assert!(grid.to_string().contains("windows11"), "{grid}");
}

#[tokio::test]
async fn one_job_of_a_push_is_found_by_its_label_and_an_unknown_label_gets_the_nearest() {
    let (app, _taskcluster) = app().await;
    let path = |label: &str| format!("/api/project/try/runnable_jobs/{label}/?decision_task_id={TASK}");
    let job: Value = app.get(&path(LABELS[1])).await.json();
    assert_eq!(job["job"]["build_system_type"], "taskcluster");
    assert_eq!(job["job"]["job_type_name"], LABELS[1]);
    let buildbot: Value = app.get(&path(&BUILD.replace(' ', "%20"))).await.json();
    assert_eq!(buildbot["job"]["build_system_type"], "buildbot");
    let unknown = app.get(&path("test-linux64/opt-mochitest-browser-chrome-4")).await;
    assert_eq!(unknown.problem(StatusCode::NOT_FOUND, "unknown_job")["closest"][0], LABELS[1]);
    let of_project = app.get(&format!("/api/project/try/runnable_jobs/{}/", LABELS[1])).await;
    of_project.problem(StatusCode::NOT_FOUND, "unknown_job");
    let other = app.get(&format!("{}&search=x", path(LABELS[1]))).await;
    other.problem(StatusCode::BAD_REQUEST, "bad_parameter");
}

#[tokio::test]
async fn a_client_that_has_the_list_of_a_push_gets_304() {
    let (app, taskcluster) = app().await;
    for more in ["", "&search=mochitest", "&view=grid"] {
        let path = format!("{LIST}{more}");
        let etag = app.get(&path).await.header("etag").unwrap().to_owned();
        let again = app.ask(Method::GET, &path, &[("if-none-match", &etag)]).await;
        assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0), "{path}");
    }
    let asked = taskcluster.paths().len();
    app.wait(3600);
    app.get(LIST).await;
    assert_eq!((app.cost().1, taskcluster.paths().len()), (0.0, asked), "the list never changes");
}

#[tokio::test]
async fn a_push_without_a_list_is_an_answer_that_says_why() {
    let (app, taskcluster) = app().await;
    let running = Task { state: "running".to_owned(), runnable_jobs: None, ..Task::decision("try", "") };
    let later = "RGxvyxsJRdWoCXCpZAkSTA";
    taskcluster.set(later, running);
    let list = |query: String| format!("/api/project/try/runnable_jobs/?{query}");
    let answer = app.get(&list(format!("decision_task_id={later}"))).await;
    let problem = answer.problem(StatusCode::SERVICE_UNAVAILABLE, "push_list_not_ready");
    assert_eq!(answer.header("retry-after"), Some("15"));
    assert!(problem["detail"].as_str().unwrap().contains("is running"), "{problem}");
    taskcluster.set(later, Task::decision("autoland", graph()));
    app.wait(5);
    let other = app.get(&list(format!("decision_task_id={later}"))).await;
    let problem = other.problem(StatusCode::NOT_FOUND, "no_push_list");
    assert_eq!(problem["detail"], format!("Decision task {later} belongs to autoland, not to try."));
    taskcluster.set(later, Task { has_expired: true, ..Task::decision("try", graph()) });
    app.get(&list(format!("decision_task_id={later}"))).await.problem(StatusCode::GONE, "push_list_expired");
    taskcluster.set("fN1SbArXTPSVFNUvaOlinQ", Task::decision("try", "[1]"));
    let broken = app.get(&list("decision_task_id=fN1SbArXTPSVFNUvaOlinQ".to_owned())).await;
    broken.problem(StatusCode::BAD_GATEWAY, "push_list_unusable");
    let unknown = app.get(&list(format!("revision={}", "f".repeat(40)))).await;
    unknown.problem(StatusCode::NOT_FOUND, "no_push_list");
    app.get(&list("decision_task_id=x".to_owned())).await.problem(StatusCode::BAD_REQUEST, "bad_parameter");
    let both = app.get(&list(format!("decision_task_id={TASK}&revision={}", "f".repeat(40)))).await;
    assert_eq!(names(&both), all_names(), "the decision task decides");
    for push in [format!("decision_task_id={TASK}"), format!("revision={REVISION}")] {
        let project = app.get(&format!("/api/project/tri/runnable_jobs/?{push}")).await;
        assert_eq!(project.problem(StatusCode::NOT_FOUND, "unknown_project")["closest"], json!(["try"]), "{push}");
    }
}

#[tokio::test]
async fn while_taskcluster_fails_only_new_pushes_wait() {
    let (app, taskcluster) = app().await;
    app.get(LIST).await;
    taskcluster.fail_with(Some(Message::answer("429 Too Many Requests", "").with("Retry-After", "7")));
    assert_eq!(names(&app.get(LIST).await), all_names());
    let new = app.get("/api/project/try/runnable_jobs/?decision_task_id=RGxvyxsJRdWoCXCpZAkSTA").await;
    new.problem(StatusCode::SERVICE_UNAVAILABLE, "taskcluster_unavailable");
    assert_eq!(new.header("retry-after"), Some("7"));
    assert_eq!(names(&app.get(crate::app::LIST).await), NAMES);
}
