//! How much one may ask for.

use std::sync::atomic::Ordering;

use http::StatusCode;

use serde_json::json;

use crate::app::{BUILD, SOMEONE, STRANGER, TEST, TestApp, path, service_token, token};
use test_support::store::proxy::Plan;

#[tokio::test]
async fn thirty_requests_a_minute_are_accepted_and_no_more() {
    let app = TestApp::new().await;
    // The clock of the tests starts with a full minute.
    for number in 0..30 {
        app.trigger_as(&format!("k-{number}"), &[BUILD]).await.taken();
    }
    let answer = app.trigger_as("k-30", &[BUILD]).await;
    let problem = answer.problem(StatusCode::TOO_MANY_REQUESTS, "too_many_requests");
    assert!(problem["detail"].as_str().unwrap().contains("30 requests a minute"), "{problem}");
    assert_eq!(answer.header("retry-after"), Some("60"));
    assert_eq!(app.queued().await.len(), 30);
    // What is asked again costs nothing, and what was refused left no key behind.
    app.trigger_as("k-3", &[BUILD]).await.taken();
    assert_eq!(app.items().await["idempotency claim"], 30);
    app.trigger("dev@example.org", &[BUILD]).await.taken();
    app.wait(60);
    app.trigger_as("k-30", &[BUILD]).await.taken();
}

#[tokio::test]
async fn the_budget_of_jobs_is_stored_and_shown_in_the_answer() {
    let limits = r#"{"jobs_per_hour": 3, "jobs_per_request": 4}"#;
    let app = TestApp::with(&[("RUNNABLE_JOBS_TRIGGER_LIMITS", limits)]).await;
    app.trigger(SOMEONE, &[BUILD, TEST]).await.taken();
    let answer = app.trigger(SOMEONE, &[TEST, "Windows 7 32-bit try pgo talos svgr"]).await;
    let problem = answer.problem(StatusCode::TOO_MANY_REQUESTS, "too_many_requests");
    assert!(problem["detail"].as_str().unwrap().contains("3 jobs an hour"), "{problem}");
    assert!(answer.header("retry-after").unwrap().parse::<u32>().unwrap() <= 3600);
    // Only jobs that exist count.
    app.trigger(SOMEONE, &[TEST, "qqq"]).await.taken();
    let dry = format!("{}?dry_run=true", crate::app::path("try", "1001"));
    let body = serde_json::json!({"requested_jobs": [BUILD]});
    let answer = app.post(&dry, &crate::app::token(SOMEONE), &[], &body).await;
    answer.problem(StatusCode::TOO_MANY_REQUESTS, "too_many_requests");
}

fn few(limits: &str) -> [(&str, &str); 1] {
    [("RUNNABLE_JOBS_TRIGGER_LIMITS", limits)]
}

async fn dry_run(app: &TestApp, push: &str, names: &[&str]) -> crate::app::Answer {
    let path = format!("{}?dry_run=true", path("try", push));
    app.post(&path, &token(SOMEONE), &[], &json!({"requested_jobs": names})).await
}

#[tokio::test]
async fn more_jobs_than_an_hour_allows_are_never_accepted() {
    let app = TestApp::with(&few(r#"{"jobs_per_hour": 2, "requests_per_minute": 9}"#)).await;
    let three = [BUILD, TEST, "Windows 7 32-bit try pgo talos svgr"];
    let answer = app.trigger(SOMEONE, &three).await;
    let problem = answer.problem(StatusCode::UNPROCESSABLE_ENTITY, "too_many_jobs");
    assert!(problem["detail"].as_str().unwrap().contains("at most 2 an hour"), "{problem}");
    assert_eq!(answer.header("retry-after"), None);
    dry_run(&app, "1001", &three).await.problem(StatusCode::UNPROCESSABLE_ENTITY, "too_many_jobs");
    assert_eq!(app.items().await.into_keys().collect::<Vec<_>>(), ["budget budget"]);
    app.trigger(SOMEONE, &three[..2]).await.taken();
}

#[tokio::test]
async fn an_address_in_another_case_has_the_same_budget() {
    let app = TestApp::with(&few(r#"{"requests_per_minute": 1}"#)).await;
    let ask = async |requester: &str, name: &str| {
        let body = json!({"requested_jobs": [name], "requester": requester});
        app.post(&path("try", "1001"), &service_token(), &[], &body).await
    };
    ask("someone@mozilla.com", BUILD).await.taken();
    let other = ask("SomeOne@Mozilla.com", TEST).await;
    other.problem(StatusCode::TOO_MANY_REQUESTS, "too_many_requests");
}

#[tokio::test]
async fn a_request_that_was_never_stored_costs_nothing_of_the_budget() {
    let app = TestApp::with(&few(r#"{"jobs_per_hour": 2}"#)).await;
    let two = [BUILD, TEST];
    // The head of the request is never kept: its jobs are given back when its key is taken over.
    let mut writes = 0;
    app.plan(move |operation| {
        writes += usize::from(operation == "PutItem");
        if operation == "PutItem" && writes > 1 { Plan::Refuse("ValidationException") } else { Plan::Pass }
    });
    app.trigger_as("k", &two).await.problem(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable");
    app.plan(|_| Plan::Pass);
    app.wait(31);
    app.trigger_as("k", &two).await.taken();
}

#[tokio::test]
async fn a_share_whose_write_was_not_confirmed_is_given_back() {
    let app = TestApp::with(&few(r#"{"jobs_per_hour": 2}"#)).await;
    let two = [BUILD, TEST];
    let mut updates = 0;
    app.plan(move |operation| {
        updates += usize::from(operation == "UpdateItem");
        if operation == "UpdateItem" && updates == 1 { Plan::Lose("ValidationException") } else { Plan::Pass }
    });
    app.trigger_as("k", &two).await.problem(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable");
    app.trigger_as("k", &two).await.taken();
}

#[tokio::test]
async fn dry_runs_count_as_requests_without_jobs() {
    let app = TestApp::with(&few(r#"{"requests_per_minute": 3, "jobs_per_hour": 2}"#)).await;
    for _ in 0..2 {
        assert_eq!(dry_run(&app, "1001", &[BUILD, TEST]).await.status, StatusCode::OK);
    }
    app.trigger(SOMEONE, &[BUILD, TEST]).await.taken();
    let asked = app.asked_treeherder.load(Ordering::SeqCst);
    let seen = app.watch();
    for push in ["1002", "1003"] {
        let answer = dry_run(&app, push, &[BUILD]).await;
        answer.problem(StatusCode::TOO_MANY_REQUESTS, "too_many_requests");
        assert_eq!(answer.header("retry-after"), Some("60"));
    }
    // The second refusal does not even cost the store anything.
    assert_eq!(*seen.lock().unwrap(), ["UpdateItem"]);
    assert_eq!(app.asked_treeherder.load(Ordering::SeqCst), asked);
}

#[tokio::test]
async fn one_person_cannot_cause_endless_requests_to_treeherder() {
    let app = TestApp::with(&few(r#"{"requests_per_minute": 3}"#)).await;
    let ask = async |email: &str, push: &str| {
        app.post(&path("try", push), &token(email), &[], &json!({"requested_jobs": [BUILD]})).await
    };
    for push in ["2001", "2002", "2003"] {
        ask(SOMEONE, push).await.problem(StatusCode::NOT_FOUND, "unknown_push");
    }
    for push in ["2004", "2005", "2006"] {
        ask(SOMEONE, push).await.problem(StatusCode::TOO_MANY_REQUESTS, "too_many_requests");
    }
    assert_eq!(app.asked_treeherder.load(Ordering::SeqCst), 4);
    // A person who may not is counted in the same way; what is held of a push costs nothing, and is not counted.
    for _ in 0..5 {
        ask(STRANGER, "1001").await.problem(StatusCode::FORBIDDEN, "not_allowed");
    }
    app.wait(60);
    ask(SOMEONE, "2007").await.problem(StatusCode::NOT_FOUND, "unknown_push");
}

#[tokio::test]
async fn a_wrong_key_is_refused_before_treeherder_is_asked() {
    let app = TestApp::new().await;
    let answer = app.trigger_as(&"k".repeat(300), &[BUILD]).await;
    answer.problem(StatusCode::BAD_REQUEST, "bad_idempotency_key");
    assert_eq!(app.asked_treeherder.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_key_of_another_request_counts_as_a_request() {
    let app = TestApp::with(&few(r#"{"requests_per_minute": 3}"#)).await;
    app.trigger_as("k-1", &[BUILD]).await.taken();
    let reused = async |push: &str| {
        let body = json!({"requested_jobs": [BUILD]});
        app.post(&path("try", push), &token(SOMEONE), &[("idempotency-key", "k-1")], &body).await
    };
    for _ in 0..2 {
        reused("1002").await.problem(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused");
    }
    reused("1002").await.problem(StatusCode::TOO_MANY_REQUESTS, "too_many_requests");
    // The same request again costs nothing.
    app.trigger_as("k-1", &[BUILD]).await.taken();
}

#[tokio::test]
async fn requests_without_a_known_job_count_too() {
    let app = TestApp::with(&[("RUNNABLE_JOBS_TRIGGER_LIMITS", r#"{"requests_per_minute": 2}"#)]).await;
    for _ in 0..2 {
        app.trigger(SOMEONE, &["qqq"]).await.problem(StatusCode::UNPROCESSABLE_ENTITY, "no_known_jobs");
    }
    app.trigger(SOMEONE, &["qqq"]).await.problem(StatusCode::TOO_MANY_REQUESTS, "too_many_requests");
}
