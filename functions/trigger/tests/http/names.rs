//! Which jobs are accepted, and what the answer says about them.

use http::StatusCode;
use serde_json::{Value, json};

use crate::app::{BUILD, NEW_NAME, OLD_NAME, REVISION, SOMEONE, TEST, TestApp, path, token};

#[tokio::test]
async fn known_jobs_are_stored_and_queued_and_have_a_status() {
    let app = TestApp::new().await;
    let answer = app.trigger(SOMEONE, &[TEST, BUILD, TEST]).await;

    let taken = answer.taken();
    assert_eq!(taken.message, "2 jobs are queued for push 1001 of try.");
    assert_eq!((taken.state.as_str(), taken.repeated), ("queued", false));
    let id = taken.request_id.clone().unwrap();
    let url = format!("/api/project/try/trigger_requests/{id}/");
    assert_eq!((answer.header("location"), taken.status_url.as_deref()), (Some(url.as_str()), Some(url.as_str())));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let jobs: Vec<(&str, &str)> = taken.jobs.iter().map(|job| (job.name.as_str(), job.state.as_str())).collect();
    assert_eq!(jobs, [(TEST, "accepted"), (BUILD, "accepted")]);
    assert_eq!(app.queued().await, [json!({"request_id": id, "round": 1})]);

    let seen = app.follow(&taken, SOMEONE).await;
    assert_eq!((seen.summary.state.as_str(), seen.summary.revision.as_deref()), ("queued", Some(REVISION)));
    let states: Vec<&str> = seen.history.iter().map(|event| event.state.as_str()).collect();
    assert_eq!(states, ["accepted", "queued"]);
    let link = seen.summary.links.push.unwrap();
    assert_eq!(link, format!("https://treeherder.example.org/jobs?repo=try&revision={REVISION}"));
}

#[tokio::test]
async fn each_unknown_name_is_reported_and_the_other_jobs_are_accepted() {
    let app = TestApp::new().await;
    let taken = app.trigger(SOMEONE, &["Linux x86-64 try biuld", OLD_NAME, TEST, "qqq"]).await.taken();

    assert_eq!(
        taken.message,
        "2 jobs are queued for push 1001 of try. One goes by another name now. 2 names are not known and were left out."
    );
    let jobs = serde_json::to_value(&taken.jobs).unwrap();
    let expected = json!([
        {"name": "Linux x86-64 try biuld", "state": "rejected", "code": "unknown_job", "closest": BUILD,
            "detail": format!("try has no job of this name. Did you mean '{BUILD}'?")},
        {"name": NEW_NAME, "asked_as": OLD_NAME, "state": "accepted", "code": "renamed", "destination": "pulse",
            "detail": format!("It was asked for as '{OLD_NAME}', which is its former name.")},
        {"name": TEST, "state": "accepted", "destination": "pulse"},
        {"name": "qqq", "state": "rejected", "code": "unknown_job", "detail": "try has no job of this name."},
    ]);
    assert_eq!(jobs, expected);
    let seen = app.follow(&taken, SOMEONE).await;
    assert_eq!(serde_json::to_value(&seen.jobs).unwrap(), expected);
    assert_eq!(serde_json::to_value(&seen.summary.job_counts).unwrap(), json!({"accepted": 2, "rejected": 2}));
}

#[tokio::test]
async fn a_name_in_another_case_or_with_other_blanks_is_corrected_and_the_answer_says_so() {
    let app = TestApp::new().await;
    let (sent, shouted) = (format!(" {} ", TEST.replace(' ', "  ")), BUILD.to_uppercase());
    let taken = app.trigger(SOMEONE, &[&sent, TEST, &shouted]).await.taken();

    let said = "2 jobs are queued for push 1001 of try. 2 names were corrected in case or blanks.";
    assert_eq!(taken.message, said);
    let job = |name: &str, sent: &str| {
        json!({"name": name, "asked_as": sent, "state": "accepted", "code": "corrected", "destination": "pulse",
            "detail": format!("It was asked for as '{sent}': case or blanks were corrected.")})
    };
    let expected = json!([job(TEST, &sent), job(BUILD, &shouted)]);
    assert_eq!(serde_json::to_value(&taken.jobs).unwrap(), expected);
    assert_eq!(serde_json::to_value(&app.follow(&taken, SOMEONE).await.jobs).unwrap(), expected);
}

#[tokio::test]
async fn a_request_without_a_known_name_is_not_stored() {
    let app = TestApp::new().await;
    let problem = app.trigger(SOMEONE, &["Linux x86-64 try biuld"]).await;
    let problem = problem.problem(StatusCode::UNPROCESSABLE_ENTITY, "no_known_jobs");
    assert_eq!(problem["jobs"][0]["closest"], BUILD);
    let said =
        "try has no job 'Linux x86-64 try biuld', so nothing was requested. Did you mean 'Linux x86-64 try build'?";
    assert_eq!(problem["detail"], said);
    // But for the count of requests: finding that out is work too.
    assert_eq!(app.items().await.into_keys().collect::<Vec<_>>(), ["budget budget"]);
    assert!(app.queued().await.is_empty());
    // Nor does it count as the same request when the name is right.
    app.trigger(SOMEONE, &[BUILD]).await.taken();
}

#[tokio::test]
async fn configured_renames_replace_the_built_in_ones() {
    let app = TestApp::with(&[("RUNNABLE_JOBS_RENAMES", r#"{"Linux64": "Linux x86-64"}"#)]).await;
    let taken = app.trigger(SOMEONE, &["Linux64 try build", OLD_NAME]).await.taken();
    let names: Vec<(&str, &str)> = taken.jobs.iter().map(|job| (job.name.as_str(), job.state.as_str())).collect();
    assert_eq!(names, [(BUILD, "accepted"), (OLD_NAME, "rejected")]);
}

#[tokio::test]
async fn the_paths_and_keys_of_all_years_are_served() {
    let app = TestApp::new().await;
    let old = "/api/project/try/resultset/1001/trigger_runnable_jobs/";
    let task = "Ab-_9fIzT8aXVvV2yWqhGQ";
    let body = json!({"buildernames": [BUILD], "decision_task_id": task});
    let taken = app.post(old, &token(SOMEONE), &[], &body).await.taken();
    assert_eq!(app.follow(&taken, SOMEONE).await.summary.decision_task_id.as_deref(), Some(task));
    let bare = path("try", "1002");
    let bare = bare.trim_end_matches('/');
    app.post(bare, &token(SOMEONE), &[], &json!({"requested_jobs": [BUILD], "decision_task_id": ""})).await.taken();
    // The page of June to September 2016.
    let body = json!({"requested_jobs": [TEST], "decisionTaskID": task});
    let taken = app.post(old, &token(SOMEONE), &[], &body).await.taken();
    assert_eq!(app.follow(&taken, SOMEONE).await.summary.decision_task_id.as_deref(), Some(task));
    app.post(bare, &token(SOMEONE), &[], &json!({"requested_jobs": [TEST], "decisionTaskID": ""})).await.taken();
}

#[tokio::test]
async fn a_dry_run_shows_the_plan() {
    let app = TestApp::new().await;
    let path = format!("{}?dry_run=true", path("try", "1001"));
    let run = |name: &str, state: &str, result: &str| json!({"id": 1, "ref_data_name": name, "state": state, "result": result});
    let dry_run = async || -> Value {
        let answer = app.post(&path, &token(SOMEONE), &[], &json!({"requested_jobs": [TEST]})).await;
        answer.json(StatusCode::OK)
    };
    for (runs, said, states, codes) in [
        (
            json!([]),
            "1 job would be requested for push 1001 of try. A build that is needed is requested too. One would wait for a \
             build first.",
            vec!["waiting", "accepted"],
            vec!["build_requested", "needed_build"],
        ),
        (
            json!([run(BUILD, "running", "unknown")]),
            "1 job would be requested for push 1001 of try. One would wait for a build first.",
            vec!["waiting"],
            vec!["build_running"],
        ),
        (
            json!([run(BUILD, "completed", "success"), run(TEST, "running", "unknown")]),
            "1 job would be requested for push 1001 of try.",
            vec!["accepted"],
            vec!["already_running"],
        ),
    ] {
        *app.runs.lock().unwrap() = runs;
        let response = dry_run().await;
        let of = |field: &str| -> Vec<&str> {
            response["jobs"].as_array().unwrap().iter().map(|job| job[field].as_str().unwrap()).collect()
        };
        assert_eq!((response["message"].as_str().unwrap(), of("state"), of("code")), (said, states, codes));
    }
    app.treeherder_answers(None);
    app.wait(61);
    let response = dry_run().await;
    assert_eq!(response["jobs"][0]["code"], "unplanned");
    assert_eq!(app.items().await.into_keys().collect::<Vec<_>>(), ["budget budget"]);
    assert!(app.queued().await.is_empty());
}

#[tokio::test]
async fn a_dry_run_checks_everything_and_stores_nothing() {
    let app = TestApp::new().await;
    let path = format!("{}?dry_run=true", path("try", "1001"));
    let seen = app.watch();
    let answer = app.post(&path, &token(SOMEONE), &[], &json!({"requested_jobs": [OLD_NAME, "qqq"]})).await;
    let response: Value = answer.json(StatusCode::OK);
    assert_eq!(
        (&response["request_id"], &response["status_url"], response["state"].as_str()),
        (&Value::Null, &Value::Null, Some("checked"))
    );
    let said = "1 job would be requested for push 1001 of try. One goes by another name now. One name is not known and was \
                left out.";
    assert_eq!(response["message"], said);
    assert_eq!(response["jobs"][1]["code"], "unknown_job");
    assert_eq!(answer.header("location"), None);
    // It counts as a request, and leaves nothing else.
    assert_eq!(*seen.lock().unwrap(), ["UpdateItem"]);
    assert_eq!(app.items().await.into_keys().collect::<Vec<_>>(), ["budget budget"]);
    assert!(app.queued().await.is_empty());

    let none = app.post(&path, &token(SOMEONE), &[], &json!({"requested_jobs": ["qqq"]})).await;
    none.problem(StatusCode::UNPROCESSABLE_ENTITY, "no_known_jobs");
    let stranger = app.post(&path, &token("x@example.org"), &[], &json!({"requested_jobs": [BUILD]})).await;
    stranger.problem(StatusCode::FORBIDDEN, "not_allowed");
    let key = [("idempotency-key", "a b")];
    let wrong = app.post(&path, &token(SOMEONE), &key, &json!({"requested_jobs": [BUILD]})).await;
    wrong.problem(StatusCode::BAD_REQUEST, "bad_idempotency_key");
}

#[tokio::test]
async fn projects_and_pushes_that_do_not_exist_are_reported() {
    let app = TestApp::new().await;
    let body = json!({"requested_jobs": [BUILD]});
    let ask = async |project, push| app.post(&path(project, push), &token(SOMEONE), &[], &body).await;
    let problem = ask("tyr", "1001").await.problem(StatusCode::NOT_FOUND, "unknown_project");
    assert_eq!(problem["closest"], json!(["try"]));
    let problem = ask("try", "4711").await.problem(StatusCode::NOT_FOUND, "unknown_push");
    assert_eq!(problem["detail"], "Treeherder knows no push 4711 in try.");
    for (project, push) in [
        ("tr%20y", "1001"),
        ("try", "-1"),
        ("try", "1e3"),
        ("try", "%2e%2e"),
        ("try", "9999999999999999999"),
        ("tr%00y", "1"),
    ] {
        ask(project, push).await.problem(StatusCode::BAD_REQUEST, "bad_path");
    }
    ask("try", "%ff").await.problem(StatusCode::BAD_REQUEST, "bad_path");
    // Treeherder was asked about one of them, which counts.
    assert_eq!(app.items().await.into_keys().collect::<Vec<_>>(), ["budget budget"]);
}

#[tokio::test]
async fn unknown_parameters_are_refused() {
    let app = TestApp::new().await;
    for query in ["dry_run=1", "dry_run=true&dry_run=true", "dryrun=true", "dry_run="] {
        let path = format!("{}?{query}", path("try", "1001"));
        let answer = app.post(&path, &token(SOMEONE), &[], &json!({"requested_jobs": [BUILD]})).await;
        answer.problem(StatusCode::BAD_REQUEST, "bad_parameter");
    }
    assert!(app.items().await.is_empty());
}
