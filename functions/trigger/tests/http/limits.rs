//! How much one may ask for.

use http::StatusCode;

use crate::bed::{BUILD, Bed, SOMEONE, TEST};

#[tokio::test]
async fn thirty_requests_a_minute_are_taken_and_no_more() {
    let bed = Bed::new().await;
    // The clock of the tests starts with a full minute.
    for number in 0..30 {
        bed.trigger_as(&format!("k-{number}"), &[BUILD]).await.taken();
    }
    let answer = bed.trigger_as("k-30", &[BUILD]).await;
    let problem = answer.problem(StatusCode::TOO_MANY_REQUESTS, "too_many_requests");
    assert!(problem["detail"].as_str().unwrap().contains("30 requests a minute"), "{problem}");
    assert_eq!(answer.header("retry-after"), Some("60"));
    assert_eq!(bed.queued().await.len(), 30);
    // What is asked again costs nothing, and what was refused left no key behind.
    bed.trigger_as("k-3", &[BUILD]).await.taken();
    assert_eq!(bed.items().await["idempotency claim"], 30);
    bed.trigger("dev@example.org", &[BUILD]).await.taken();
    bed.wait(60);
    bed.trigger_as("k-30", &[BUILD]).await.taken();
}

#[tokio::test]
async fn the_budget_of_jobs_is_kept_in_the_store_and_told() {
    let limits = r#"{"jobs_per_hour": 3, "jobs_per_request": 4}"#;
    let bed = Bed::with(&[("RUNNABLE_JOBS_TRIGGER_LIMITS", limits)]).await;
    bed.trigger(SOMEONE, &[BUILD, TEST]).await.taken();
    let answer = bed.trigger(SOMEONE, &[TEST, "Windows 7 32-bit try pgo talos svgr"]).await;
    let problem = answer.problem(StatusCode::TOO_MANY_REQUESTS, "too_many_requests");
    assert!(problem["detail"].as_str().unwrap().contains("3 jobs an hour"), "{problem}");
    assert!(answer.header("retry-after").unwrap().parse::<u32>().unwrap() <= 3600);
    // Only jobs that exist count.
    bed.trigger(SOMEONE, &[TEST, "qqq"]).await.taken();
    let dry = format!("{}?dry_run=true", crate::bed::path("try", "1001"));
    let body = serde_json::json!({"requested_jobs": [BUILD]});
    let answer = bed.post(&dry, &crate::bed::token(SOMEONE), &[], &body).await;
    answer.problem(StatusCode::TOO_MANY_REQUESTS, "too_many_requests");
}

#[tokio::test]
async fn requests_without_a_known_job_count_too() {
    let bed = Bed::with(&[("RUNNABLE_JOBS_TRIGGER_LIMITS", r#"{"requests_per_minute": 2}"#)]).await;
    for _ in 0..2 {
        bed.trigger(SOMEONE, &["qqq"]).await.problem(StatusCode::UNPROCESSABLE_ENTITY, "no_known_jobs");
    }
    bed.trigger(SOMEONE, &["qqq"]).await.problem(StatusCode::TOO_MANY_REQUESTS, "too_many_requests");
}
