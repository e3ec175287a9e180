//! What is asked twice runs once.

use futures_util::future::join_all;
use http::StatusCode;

use crate::app::{BUILD, SOMEONE, TEST, TestApp};
use test_support::store::proxy::{Plan, is_write};

#[tokio::test]
async fn a_key_returns_its_first_answer_for_a_day() {
    let app = TestApp::new().await;
    let first = app.trigger_as("k-1", &[BUILD, "qqq"]).await;
    assert_eq!(first.header("idempotent-replayed"), None);
    app.wait(86_399);
    app.plan(|operation| {
        if is_write(operation) && operation != "PutItem" { Plan::Refuse("ValidationException") } else { Plan::Pass }
    });
    // The sign-ins of the tests are of their first hour.
    *app.now.lock().unwrap() -= chrono::TimeDelta::seconds(86_399 - 600);
    let again = app.trigger_as("\"k-1\"", &[BUILD, "qqq"]).await;
    assert_eq!((again.status, again.text()), (StatusCode::ACCEPTED, first.text()));
    assert_eq!(again.header("location"), first.header("location"));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    assert_eq!(app.queued().await.len(), 1);
    assert_eq!(app.line()["outcome"], "replayed");
}

#[tokio::test]
async fn a_key_cannot_be_used_for_another_request() {
    let app = TestApp::new().await;
    app.trigger_as("k-1", &[BUILD]).await.taken();
    app.trigger_as("k-1", &[TEST]).await.problem(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused");
    app.trigger_as("k-2", &[BUILD]).await.taken();
    assert_eq!(app.queued().await.len(), 2);
    for wrong in ["", "a b", &"x".repeat(256)] {
        app.trigger_as(wrong, &[BUILD]).await.problem(StatusCode::BAD_REQUEST, "bad_idempotency_key");
    }
}

#[tokio::test]
async fn a_key_of_a_refused_request_is_free() {
    let app = TestApp::new().await;
    app.trigger_as("k-1", &["qqq"]).await.problem(StatusCode::UNPROCESSABLE_ENTITY, "no_known_jobs");
    assert!(!app.items().await.contains_key("idempotency claim"));
    app.trigger_as("k-1", &[BUILD]).await.taken();
}

#[tokio::test]
async fn the_same_jobs_within_a_minute_are_the_same_request() {
    let app = TestApp::new().await;
    let first = app.trigger(SOMEONE, &[BUILD, TEST]).await.taken();
    app.wait(59);
    let again = app.trigger("someone@Mozilla.com", &[TEST, BUILD]).await.taken();
    assert_eq!((again.request_id, again.repeated), (first.request_id.clone(), true));
    let said = "The same was requested 59 s ago: this is that request, which is queued. Nothing was requested again.";
    assert_eq!(again.message, said);
    let other = app.trigger(SOMEONE, &[TEST]).await.taken();
    let others = app.trigger("dev@example.org", &[BUILD, TEST]).await.taken();
    app.wait(1);
    let later = app.trigger(SOMEONE, &[BUILD, TEST]).await.taken();
    assert!(!later.repeated);
    let ids = [first, other, others, later].map(|taken| taken.request_id.unwrap());
    assert!((1..4).all(|place| !ids[place..].contains(&ids[place - 1])), "{ids:?}");
    assert_eq!(app.queued().await.len(), 4);
}

#[tokio::test]
async fn fifty_concurrent_equal_requests_with_one_key_make_one_request_and_one_message() {
    let app = TestApp::new().await;
    let answers = join_all((0..50).map(|_| app.trigger_as("k-1", &[BUILD]))).await;
    let mut ids = std::collections::HashSet::new();
    for answer in &answers {
        if answer.status == StatusCode::CONFLICT {
            answer.problem(StatusCode::CONFLICT, "request_in_progress");
            assert_eq!(answer.header("retry-after"), Some("1"));
        } else {
            ids.insert(answer.taken().request_id.unwrap());
        }
    }
    assert_eq!(ids.len(), 1);
    assert_eq!(app.queued().await.len(), 1);
    let items = app.items().await;
    assert_eq!((items["request head"], items.get("request jobs"), items["idempotency claim"]), (1, None, 1));
    // Asking again gets the same answer then.
    assert_eq!(app.trigger_as("k-1", &[BUILD]).await.taken().request_id, ids.into_iter().next());
}

#[tokio::test]
async fn fifty_concurrent_clicks_are_one_request() {
    let app = TestApp::new().await;
    let answers = join_all((0..50).map(|_| app.trigger(SOMEONE, &[BUILD]))).await;
    let ids: std::collections::HashSet<String> =
        answers.iter().map(|answer| answer.taken().request_id.unwrap()).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(answers.iter().filter(|answer| !answer.taken().repeated).count(), 1);
    assert_eq!(app.queued().await.len(), 1);
}

/// Claims the key `k-1` for a request whose later writes all fail, as if the function was killed.
async fn claim_and_die(app: &TestApp) {
    let mut writes = 0;
    app.plan(move |operation| {
        writes += usize::from(is_write(operation));
        if is_write(operation) && writes > 1 { Plan::Refuse("ValidationException") } else { Plan::Pass }
    });
    app.trigger_as("k-1", &[BUILD]).await.problem(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable");
    app.plan(|_| Plan::Pass);
}

#[tokio::test]
async fn a_key_whose_request_was_never_stored_is_in_progress_and_then_free() {
    let app = TestApp::new().await;
    claim_and_die(&app).await;
    app.wait(29);
    app.trigger_as("k-1", &[BUILD]).await.problem(StatusCode::CONFLICT, "request_in_progress");
    app.wait(1);
    let answers = join_all((0..10).map(|_| app.trigger_as("k-1", &[BUILD]))).await;
    assert!(answers.iter().any(|answer| answer.status == StatusCode::ACCEPTED));
    assert_eq!(app.queued().await.len(), 1);
}

#[tokio::test]
async fn a_key_whose_request_was_never_stored_is_soon_free_for_another_request() {
    let app = TestApp::new().await;
    claim_and_die(&app).await;
    app.trigger_as("k-1", &[TEST]).await.problem(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused");
    app.wait(30);
    assert_eq!(app.trigger_as("k-1", &[TEST]).await.taken().jobs[0].name, TEST);
    app.trigger_as("k-1", &[BUILD]).await.problem(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused");
}
