//! The answers while the store does not answer, or has damaged items.

use std::sync::atomic::Ordering;

use aws_sdk_dynamodb::types::AttributeValue;
use http::{Method, StatusCode};
use store::ReportOutcome;

use crate::app::{LIST, NAMES, TestApp, list, names};
use test_support::store::{delete, set};

#[tokio::test]
async fn the_last_list_is_served_and_marked_while_the_store_is_down() {
    let app = TestApp::published().await;
    let fresh = app.get(LIST).await;
    app.goes_down(true);
    app.wait(100);

    let stale = app.get(LIST).await;

    assert_eq!((stale.status, &stale.body), (StatusCode::OK, &fresh.body));
    assert_eq!(stale.header("warning"), Some("110 runnable-jobs \"Response is Stale\""));
    assert_eq!(stale.header("age"), Some("100"));
    assert_eq!(app.cost(), ("stale".to_owned(), 0.0));
    assert!(app.lines.lock().unwrap().last().unwrap()["error"].as_str().unwrap().contains("InternalServerError"));
    let known = app.ask(Method::GET, LIST, &[("if-none-match", fresh.header("etag").unwrap())]).await;
    assert_eq!((known.status, known.header("age")), (StatusCode::NOT_MODIFIED, Some("100")));
    assert_eq!(names(&app.get(&format!("{LIST}?search=talos")).await), NAMES[5..]);
    // The store gets a pause, because a client waits for each attempt.
    let asked = app.asked();
    app.wait(4);
    assert_eq!(app.get(LIST).await.header("age"), Some("104"));
    assert_eq!(app.asked(), asked);

    app.goes_down(false);
    app.wait(1);
    let healed = app.get(LIST).await;
    assert_eq!((healed.header("warning"), healed.header("age")), (None, None));
}

#[tokio::test]
async fn the_last_overview_is_served_and_marked_while_the_store_is_down() {
    let app = TestApp::published().await;
    app.report("2026-11-23T06:00:00Z", ReportOutcome::Published, &[]).await;
    for path in ["/api/projects/", "/api/ingests/", "/api/ingests/latest/"] {
        assert_eq!(app.get(path).await.header("warning"), None);
    }
    app.goes_down(true);
    app.wait(60);
    for path in ["/api/projects/", "/api/ingests/", "/api/ingests/latest/"] {
        let stale = app.get(path).await;
        assert_eq!((stale.status, stale.header("age")), (StatusCode::OK, Some("60")), "{path}");
        assert!(stale.header("warning").is_some());
    }
}

#[tokio::test]
async fn a_silent_store_times_out_before_lambda_ends_the_function() {
    let app = TestApp::published().await;
    app.report("2026-11-23T06:00:00Z", ReportOutcome::Published, &[]).await;
    app.get("/api/projects/").await;
    app.is_silent.store(true, Ordering::SeqCst);
    app.wait(60);
    let start = std::time::Instant::now();
    // This answer needs the most reads.
    let stale = app.get("/api/projects/").await;
    assert_eq!((stale.status, stale.header("age")), (StatusCode::OK, Some("60")));
    assert!(start.elapsed().as_secs_f64() < 10.0, "{:?}", start.elapsed());
    assert!(app.lines.lock().unwrap().last().unwrap()["error"].as_str().unwrap().contains("no answer within 3 s"));
}

#[tokio::test]
async fn with_nothing_in_memory_the_answer_is_503_with_retry_after() {
    let app = TestApp::published().await;
    app.goes_down(true);
    for path in [LIST, "/api/projects/", "/api/ingests/", "/api/ingests/latest/"] {
        let down = app.get(path).await;
        let problem = down.problem(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable");
        assert_eq!(down.header("retry-after"), Some("10"));
        assert!(!problem.to_string().contains(&app.name), "no internals: {problem}");
        let line = app.lines.lock().unwrap().pop().unwrap();
        assert!(line["error"].as_str().unwrap().contains("InternalServerError"), "{line}");
    }
    app.goes_down(false);
    app.wait(5);
    assert_eq!(app.get(LIST).await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_old_list_is_served_while_the_new_one_is_damaged() {
    let app = TestApp::new().await;
    let first = app.publish("try", &NAMES[..2], None).await;
    app.get(LIST).await;
    let second = app.publish("try", &NAMES, Some(&first)).await;
    delete(&app.client, &app.name, ("project#try", &format!("list#{}#000", second.etag))).await;
    app.wait(30);
    let stale = app.get(LIST).await;
    assert_eq!(names(&stale), NAMES[..2]);
    assert_eq!(stale.header("etag"), Some(format!("\"{}\"", first.etag).as_str()));
    assert!(stale.header("warning").is_some());
}

#[tokio::test]
async fn a_list_that_is_not_gzip_is_503_and_logged() {
    let app = TestApp::published().await;
    let part = format!("list#{}#000", list("try", &NAMES).etag);
    let nonsense = AttributeValue::B(aws_sdk_dynamodb::primitives::Blob::new(*b"nonsense"));
    set(&app.client, &app.name, ("project#try", &part), "data", Some(nonsense)).await;
    app.get(LIST).await.problem(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable");
    let line = app.lines.lock().unwrap().pop().unwrap();
    assert!(line["error"].as_str().unwrap().contains("is damaged"), "{line}");
}

#[tokio::test]
async fn memory_has_the_lists_that_were_requested_last() {
    // Half of a megabyte: two of the lists, unpacked.
    let app = TestApp::with(&[("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1")]).await;
    let many: Vec<String> =
        (1..270).map(|chunk| format!("Ubuntu VM 12.04 x64 try opt test mochitest-{chunk}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let ask = async |project: &str| {
        app.get(&format!("/api/project/{project}/runnable_jobs/")).await;
        app.get(&format!("/api/project/{project}/runnable_jobs/")).await;
        app.cost().0
    };
    for project in ["a", "b", "c"] {
        app.publish(project, &many, None).await;
        assert_eq!(ask(project).await, "memory");
    }
    let asked = app.asked();
    app.get("/api/project/c/runnable_jobs/").await;
    app.get("/api/project/b/runnable_jobs/").await;
    assert_eq!(app.asked(), asked);
    app.get("/api/project/a/runnable_jobs/").await;
    assert_eq!(app.cost().0, "store");
}
