//! Sending again what could not be forwarded.

use chrono::TimeDelta;
use http::StatusCode;
use requests::job::{JobCode, RequestedJob, count_jobs, digest};
use requests::planning::Planning;
use requests::reason::JobReason;
use requests::request::Request;
use requests::state::{JobState, RequestState};
use serde_json::json;
use trigger_api::api::Triggered;

use crate::app::{AUTHOR, BUILD, OLD_NAME, SOMEONE, STRANGER, TEST, TestApp, token};
use test_support::store::proxy::Plan;

/// A request of which one job was forwarded, one failed, and one was of no listener's.
async fn ended(app: &TestApp) -> Triggered {
    let taken = app.trigger(AUTHOR, &[BUILD, TEST, "Windows 7 32-bit try pgo talos svgr", "qqq"]).await.taken();
    let (request, mut jobs) = app.stored(&taken).await;
    for (job, state) in jobs.iter_mut().zip([JobState::Forwarded, JobState::Failed, JobState::Unroutable]) {
        job.state = state;
        job.reason = Some(JobReason::Text("Because.".to_owned()));
    }
    store(app, request, &jobs, RequestState::Forwarded).await;
    app.queued().await;
    taken
}

async fn store(app: &TestApp, request: Request, jobs: &[RequestedJob], state: RequestState) {
    let next = Request {
        version: request.version + 1,
        state,
        job_counts: count_jobs(jobs),
        jobs_digest: digest(jobs),
        ..request
    };
    assert_eq!(app.requests.update(&next, Some(jobs), app.time()).await.unwrap(), store::UpdateResult::Stored);
}

async fn retry(app: &TestApp, taken: &Triggered, email: &str) -> crate::app::Answer {
    let path = format!("{}retry/", taken.status_url.as_deref().unwrap());
    app.post(&path, &token(email), &[], &json!({})).await
}

#[tokio::test]
async fn failed_and_unroutable_jobs_are_sent_again_and_the_others_stay() {
    let app = TestApp::new().await;
    let taken = ended(&app).await;
    let again = retry(&app, &taken, SOMEONE).await.taken();
    assert_eq!((again.request_id.as_ref(), again.state.as_str()), (taken.request_id.as_ref(), "queued"));
    let states: Vec<&str> = again.jobs.iter().map(|job| job.state.as_str()).collect();
    assert_eq!(states, ["forwarded", "accepted", "accepted", "rejected"]);
    assert_eq!(app.queued().await, [json!({"request_id": taken.request_id, "round": 2})]);

    let seen = app.follow(&taken, AUTHOR).await;
    let last = &seen.history[seen.history.len() - 2];
    assert_eq!((last.detail.as_deref(), last.by.as_deref()), (Some("2 jobs are sent again."), Some(SOMEONE)));
    let hidden = app.get(taken.status_url.as_deref().unwrap(), STRANGER).await;
    assert!(!hidden.text().contains(SOMEONE));

    retry(&app, &taken, SOMEONE).await.problem(StatusCode::CONFLICT, "still_open");
    assert!(app.queued().await.is_empty());
}

#[tokio::test]
async fn a_retry_follows_the_rules_of_a_request() {
    let app = TestApp::with(&[("RUNNABLE_JOBS_TRIGGER_LIMITS", r#"{"jobs_per_hour": 4}"#)]).await;
    let taken = ended(&app).await;
    retry(&app, &taken, STRANGER).await.problem(StatusCode::FORBIDDEN, "not_allowed");
    // The author asked for three already, and two go again.
    retry(&app, &taken, AUTHOR).await.problem(StatusCode::TOO_MANY_REQUESTS, "too_many_requests");
    retry(&app, &taken, SOMEONE).await.taken();
}

#[tokio::test]
async fn jobs_that_did_not_fail_are_not_sent_again() {
    let app = TestApp::new().await;
    let taken = app.trigger(SOMEONE, &[BUILD]).await.taken();
    retry(&app, &taken, SOMEONE).await.problem(StatusCode::CONFLICT, "still_open");
    let (request, mut jobs) = app.stored(&taken).await;
    jobs[0].state = JobState::Forwarded;
    store(&app, request, &jobs, RequestState::Forwarded).await;
    retry(&app, &taken, SOMEONE).await.problem(StatusCode::CONFLICT, "nothing_to_retry");
    let other = "/api/project/try/trigger_requests/01KAS4B0MRJ6WJ0RGDX8T0E4JQ/retry/";
    app.post(other, &token(SOMEONE), &[], &json!({})).await.problem(StatusCode::NOT_FOUND, "unknown_request");
}

#[tokio::test]
async fn a_job_that_no_longer_exists_is_not_sent_again() {
    let app = TestApp::new().await;
    let taken = app.trigger(SOMEONE, &[BUILD]).await.taken();
    let (request, mut jobs) = app.stored(&taken).await;
    jobs[0] = RequestedJob { state: JobState::Failed, ..RequestedJob::accepted("Linux x86-64 try nothing") };
    store(&app, request, &jobs, RequestState::Failed).await;
    let problem = retry(&app, &taken, SOMEONE).await.problem(StatusCode::UNPROCESSABLE_ENTITY, "no_known_jobs");
    assert_eq!(problem["jobs"][0]["name"], "Linux x86-64 try nothing");
}

#[tokio::test]
async fn only_one_of_two_concurrent_retries_uses_the_budget() {
    let app = TestApp::with(&[("RUNNABLE_JOBS_TRIGGER_LIMITS", r#"{"jobs_per_hour": 3}"#)]).await;
    let taken = ended(&app).await;
    let people = [SOMEONE, "dev@example.org"];
    let both = futures_util::future::join_all(people.map(|person| retry(&app, &taken, person))).await;
    let three = [BUILD, TEST, "Windows 7 32-bit try pgo talos svgr"];
    for (person, retried) in people.into_iter().zip(both) {
        let more = app.trigger(person, &three).await;
        match retried.status {
            StatusCode::ACCEPTED => drop(more.problem(StatusCode::TOO_MANY_REQUESTS, "too_many_requests")),
            other => assert_eq!((other, more.status), (StatusCode::CONFLICT, StatusCode::ACCEPTED)),
        }
    }
}

#[tokio::test]
async fn only_one_of_two_concurrent_retries_is_made() {
    let app = TestApp::new().await;
    let taken = ended(&app).await;
    let both = futures_util::future::join(retry(&app, &taken, SOMEONE), retry(&app, &taken, "dev@example.org")).await;
    let mut statuses = [both.0.status, both.1.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [StatusCode::ACCEPTED, StatusCode::CONFLICT]);
    assert_eq!(app.queued().await.len(), 1);
}

/// The test failed because its build, which the plan had added, had no listener.
#[tokio::test]
async fn an_added_build_stays_marked_as_added() {
    let app = TestApp::with(&[("RUNNABLE_JOBS_TRIGGER_LIMITS", r#"{"jobs_per_hour": 2}"#)]).await;
    let taken = app.trigger(SOMEONE, &[TEST]).await.taken();
    let (request, jobs) = app.stored(&taken).await;
    let reason = || Some(JobReason::Text("No listener.".to_owned()));
    let failed = |job: &RequestedJob, state| RequestedJob { state, reason: reason(), ..job.clone() };
    let build = RequestedJob { code: Some(JobCode::NeededBuild), ..RequestedJob::accepted(BUILD) };
    let jobs = [failed(&jobs[0], JobState::Failed), failed(&build, JobState::Unroutable)];
    store(&app, request, &jobs, RequestState::Failed).await;
    app.queued().await;

    // One job was asked for and one is: two are what an hour allows.
    let again = retry(&app, &taken, SOMEONE).await.taken();
    assert_eq!(again.message, "1 job is queued for push 1001 of try. A build that is needed is requested too.");
    let shown: Vec<_> = again.jobs.iter().map(|job| (job.state.as_str(), job.code.as_deref())).collect();
    assert_eq!(shown, [("accepted", None), ("accepted", Some("needed_build"))]);
    assert!(again.jobs[1].detail.as_ref().unwrap().contains(TEST), "{:?}", again.jobs[1]);

    let (request, jobs) = app.stored(&taken).await;
    let sent = &request.history[request.history.len() - 2];
    assert_eq!(sent.detail_text().as_deref(), Some("1 job is sent again. 1 build that is needed is sent again."));
    let ended = request.with_results(
        &[
            RequestedJob { state: JobState::Failed, ..jobs[0].clone() },
            RequestedJob { state: JobState::Forwarded, ..jobs[1].clone() },
        ],
        Planning::default().poll_interval(TimeDelta::zero()),
        app.time(),
    );
    assert_eq!(ended.state, RequestState::Failed, "what was asked for is not forwarded");
}

#[tokio::test]
async fn a_retry_whose_write_is_not_confirmed_says_that_it_may_have_been_made() {
    let app = TestApp::new().await;
    let taken = ended(&app).await;
    app.plan(|operation| if operation == "PutItem" { Plan::Lose("ValidationException") } else { Plan::Pass });
    let problem = retry(&app, &taken, SOMEONE).await;
    let problem = problem.problem(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable");
    let detail = "The store did not answer, so it is not known whether the jobs are sent again. Ask for the same again in \
                  half a minute: it will not run twice.";
    assert_eq!(problem["detail"], detail);
    app.plan(|_| Plan::Pass);
    retry(&app, &taken, SOMEONE).await.problem(StatusCode::CONFLICT, "still_open");
}

#[tokio::test]
async fn a_retried_job_still_has_the_name_that_was_sent() {
    let app = TestApp::new().await;
    for (asked, code) in [(BUILD.to_uppercase(), "corrected"), (OLD_NAME.to_owned(), "renamed")] {
        let taken = app.trigger(SOMEONE, &[&asked]).await.taken();
        assert_eq!(taken.jobs[0].code.as_deref(), Some(code));
        let (request, mut jobs) = app.stored(&taken).await;
        jobs[0].state = JobState::Failed;
        store(&app, request, &jobs, RequestState::Failed).await;
        let again = retry(&app, &taken, SOMEONE).await.taken();
        assert_eq!((again.jobs[0].code.as_deref(), again.jobs[0].requested_name.as_ref()), (Some(code), Some(&asked)));
    }
}

#[tokio::test]
async fn a_history_that_was_cut_says_so() {
    let app = TestApp::new().await;
    let taken = ended(&app).await;
    let (mut request, jobs) = app.stored(&taken).await;
    request.history = vec![request.history[0].clone(); 60];
    store(&app, request, &jobs, RequestState::Forwarded).await;
    retry(&app, &taken, SOMEONE).await.taken();
    let seen = app.follow(&taken, SOMEONE).await;
    assert_eq!((seen.history.len(), seen.events_left_out), (51, Some(11)));
}
