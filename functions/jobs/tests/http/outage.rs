//! What is answered while the store does not answer, or holds what it should not.

use std::sync::atomic::Ordering;

use aws_sdk_dynamodb::types::AttributeValue;
use http::{Method, StatusCode};
use store::Outcome;

use crate::bed::{Bed, LIST, NAMES, list, names};
use crate::store_support::{delete, set};

#[tokio::test]
async fn the_last_list_is_served_on_and_marked_while_the_store_is_down() {
    let bed = Bed::published().await;
    let fresh = bed.get(LIST).await;
    bed.goes_down(true);
    bed.wait(100);

    let stale = bed.get(LIST).await;

    assert_eq!((stale.status, &stale.body), (StatusCode::OK, &fresh.body));
    assert_eq!(stale.header("warning"), Some("110 runnable-jobs \"Response is Stale\""));
    assert_eq!(stale.header("age"), Some("100"));
    assert_eq!(bed.cost(), ("stale".to_owned(), 0.0));
    assert!(bed.lines.lock().unwrap().last().unwrap()["error"].as_str().unwrap().contains("InternalServerError"));
    let known = bed.ask(Method::GET, LIST, &[("if-none-match", fresh.header("etag").unwrap())]).await;
    assert_eq!((known.status, known.header("age")), (StatusCode::NOT_MODIFIED, Some("100")));
    assert_eq!(names(&bed.get(&format!("{LIST}?search=talos")).await), NAMES[5..]);
    // The store is left alone for a while: each attempt would make somebody wait.
    let asked = bed.asked();
    bed.wait(4);
    assert_eq!(bed.get(LIST).await.header("age"), Some("104"));
    assert_eq!(bed.asked(), asked);

    bed.goes_down(false);
    bed.wait(1);
    let healed = bed.get(LIST).await;
    assert_eq!((healed.header("warning"), healed.header("age")), (None, None));
}

#[tokio::test]
async fn the_last_overview_is_served_on_and_marked_while_the_store_is_down() {
    let bed = Bed::published().await;
    bed.report("2026-11-23T06:00:00Z", Outcome::Published, &[]).await;
    for path in ["/api/projects/", "/api/ingests/", "/api/ingests/latest/"] {
        assert_eq!(bed.get(path).await.header("warning"), None);
    }
    bed.goes_down(true);
    bed.wait(60);
    for path in ["/api/projects/", "/api/ingests/", "/api/ingests/latest/"] {
        let stale = bed.get(path).await;
        assert_eq!((stale.status, stale.header("age")), (StatusCode::OK, Some("60")), "{path}");
        assert!(stale.header("warning").is_some());
    }
}

#[tokio::test]
async fn a_store_that_is_silent_is_given_up_before_lambda_gives_up_the_function() {
    let bed = Bed::published().await;
    bed.report("2026-11-23T06:00:00Z", Outcome::Published, &[]).await;
    bed.get("/api/projects/").await;
    bed.is_silent.store(true, Ordering::SeqCst);
    bed.wait(60);
    let start = std::time::Instant::now();
    // Of all answers it takes the most readings.
    let stale = bed.get("/api/projects/").await;
    assert_eq!((stale.status, stale.header("age")), (StatusCode::OK, Some("60")));
    assert!(start.elapsed().as_secs_f64() < 10.0, "{:?}", start.elapsed());
    assert!(bed.lines.lock().unwrap().last().unwrap()["error"].as_str().unwrap().contains("no answer within 3 s"));
}

#[tokio::test]
async fn without_anything_to_serve_on_the_answer_is_503_and_when_to_ask_again() {
    let bed = Bed::published().await;
    bed.goes_down(true);
    for path in [LIST, "/api/projects/", "/api/ingests/", "/api/ingests/latest/"] {
        let down = bed.get(path).await;
        let problem = down.problem(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable");
        assert_eq!(down.header("retry-after"), Some("10"));
        assert!(!problem.to_string().contains(&bed.name), "no internals: {problem}");
        let line = bed.lines.lock().unwrap().pop().unwrap();
        assert!(line["error"].as_str().unwrap().contains("InternalServerError"), "{line}");
    }
    bed.goes_down(false);
    bed.wait(5);
    assert_eq!(bed.get(LIST).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_new_list_that_is_damaged_leaves_the_old_one_served() {
    let bed = Bed::new().await;
    let first = bed.publish("try", &NAMES[..2], None).await;
    bed.get(LIST).await;
    let second = bed.publish("try", &NAMES, Some(&first)).await;
    delete(&bed.client, &bed.name, ("project#try", &format!("list#{}#000", second.etag))).await;
    bed.wait(30);
    let stale = bed.get(LIST).await;
    assert_eq!(names(&stale), NAMES[..2]);
    assert_eq!(stale.header("etag"), Some(format!("\"{}\"", first.etag).as_str()));
    assert!(stale.header("warning").is_some());
}

#[tokio::test]
async fn a_list_that_is_no_gzip_is_503_and_said_in_the_log() {
    let bed = Bed::published().await;
    let part = format!("list#{}#000", list("try", &NAMES).etag);
    let nonsense = AttributeValue::B(aws_sdk_dynamodb::primitives::Blob::new(*b"nonsense"));
    set(&bed.client, &bed.name, ("project#try", &part), "data", Some(nonsense)).await;
    bed.get(LIST).await.problem(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable");
    let line = bed.lines.lock().unwrap().pop().unwrap();
    assert!(line["error"].as_str().unwrap().contains("is damaged"), "{line}");
}

#[tokio::test]
async fn memory_holds_what_was_asked_for_last() {
    // Half of a megabyte: two of the lists, unpacked.
    let bed = Bed::with(&[("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1")]).await;
    let many: Vec<String> =
        (1..270).map(|chunk| format!("Ubuntu VM 12.04 x64 try opt test mochitest-{chunk}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let ask = async |project: &str| {
        bed.get(&format!("/api/project/{project}/runnable_jobs/")).await;
        bed.get(&format!("/api/project/{project}/runnable_jobs/")).await;
        bed.cost().0
    };
    for project in ["a", "b", "c"] {
        bed.publish(project, &many, None).await;
        assert_eq!(ask(project).await, "memory");
    }
    let asked = bed.asked();
    bed.get("/api/project/c/runnable_jobs/").await;
    bed.get("/api/project/b/runnable_jobs/").await;
    assert_eq!(bed.asked(), asked);
    bed.get("/api/project/a/runnable_jobs/").await;
    assert_eq!(bed.cost().0, "store");
}
