//! How people follow what becomes of requests.

use http::{Method, StatusCode};
use requests::history::{Event, EventDetail};
use requests::job::{RequestedJob, count_jobs, digest};
use requests::planning::Planning;
use requests::reason::JobReason;
use requests::request::Request;
use requests::state::{JobState, RequestState};
use serde_json::Value;
use store::RequestsTable;
use trigger_api::api::{TriggerRequest, TriggerRequests};

use crate::app::{AUTHOR, BUILD, SOMEONE, STRANGER, TEST, TestApp, path, token};
use test_support::store::proxy::Plan;
use test_support::store::{client, endpoint};

#[tokio::test]
async fn every_signed_in_person_may_read_and_permitted_ones_see_the_requester() {
    let app = TestApp::new().await;
    let taken = app.trigger(AUTHOR, &[BUILD]).await.taken();
    for (reader, sees) in [(AUTHOR, true), (SOMEONE, true), ("dev@example.org", true), (STRANGER, false)] {
        let answer = app.get(taken.status_url.as_deref().unwrap(), reader).await;
        assert_eq!(answer.text().contains(AUTHOR), sees, "{reader}");
        let seen: TriggerRequest = answer.json(StatusCode::OK);
        assert_eq!(seen.summary.requester.as_deref(), sees.then_some(AUTHOR));
        let listed = app.get("/api/project/try/push/1001/trigger_requests/", reader).await;
        assert_eq!(listed.text().contains(AUTHOR), sees, "{reader}");
    }
}

#[tokio::test]
async fn a_poll_that_finds_nothing_new_costs_half_a_read_unit() {
    let app = TestApp::new().await;
    let names: Vec<&str> = vec![BUILD, TEST];
    let taken = app.trigger(SOMEONE, &names).await.taken();
    let url = taken.status_url.as_deref().unwrap();
    let authorization = token(SOMEONE);
    for encoding in ["identity", "gzip"] {
        let headers = [("authorization", authorization.as_str()), ("accept-encoding", encoding)];
        let first = app.ask(Method::GET, url, &headers, b"").await;
        assert_eq!((first.status, first.header("retry-after")), (StatusCode::OK, Some("2")));
        let line = app.line();
        assert_eq!((&line["store_operations"], &line["read_units"]), (&1.into(), &0.5.into()), "its jobs too: {line}");
        assert_eq!(first.header("cache-control"), Some("private, no-cache"));
        assert!(first.header("vary").unwrap().contains("Authorization"));
        let etag = first.header("etag").unwrap().to_owned();
        let headers = [headers[0], headers[1], ("if-none-match", &etag)];
        let again = app.ask(Method::GET, url, &headers, b"").await;
        assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0));
        assert_eq!((again.header("etag"), again.header("retry-after")), (Some(etag.as_str()), Some("2")));
        let line = app.line();
        assert_eq!((&line["store_operations"], &line["read_units"]), (&1.into(), &0.5.into()), "{line}");
        // A reader who sees less has another answer.
        let other = token(STRANGER);
        let headers = [("authorization", other.as_str()), headers[1], headers[2]];
        assert_eq!(app.ask(Method::GET, url, &headers, b"").await.status, StatusCode::OK);
    }
    app.wait(31);
    assert_eq!(app.get(url, SOMEONE).await.header("retry-after"), Some("10"));
    app.wait(300);
    assert_eq!(app.get(url, SOMEONE).await.header("retry-after"), Some("60"));
}

#[tokio::test]
async fn the_history_is_shown_with_times_and_reasons() {
    let app = TestApp::new().await;
    let taken = app.trigger(SOMEONE, &[BUILD, TEST]).await.taken();
    let before = app.get(taken.status_url.as_deref().unwrap(), SOMEONE).await;
    let (request, mut jobs) = app.stored(&taken).await;
    jobs[1].state = JobState::Unroutable;
    jobs[1].reason = Some(JobReason::Text("No listener is bound on Pulse.".to_owned()));
    jobs[0].state = JobState::Forwarded;
    let mut next = Request {
        version: request.version + 1,
        state: RequestState::Forwarded,
        job_counts: count_jobs(&jobs),
        jobs_digest: digest(&jobs),
        ..request
    };
    let detail = Some(EventDetail::Text("1 of 2 jobs.".to_owned()));
    next.history.push(Event { at: app.time(), state: RequestState::Forwarded, detail, by: None });
    app.requests.update(&next, Some(&jobs), app.time()).await.unwrap();

    let after = app.get(taken.status_url.as_deref().unwrap(), SOMEONE).await;
    assert_ne!(after.header("etag"), before.header("etag"));
    assert_eq!(after.header("retry-after"), Some("60"), "its jobs are followed");
    let seen: Value = after.json(StatusCode::OK);
    assert_eq!(seen["jobs"][1]["detail"], "No listener is bound on Pulse.");
    assert_eq!(seen["history"][2]["detail"], "1 of 2 jobs.");
    assert_eq!(seen["links"]["retry"], format!("{}retry/", taken.status_url.unwrap()));
    assert_eq!(seen["job_counts"], serde_json::json!({"forwarded": 1, "unroutable": 1}));
}

#[tokio::test]
async fn a_request_is_found_only_in_its_project_and_by_its_id() {
    let app = TestApp::new().await;
    let taken = app.trigger(SOMEONE, &[BUILD]).await.taken();
    let id = taken.request_id.unwrap();
    let get = async |path: String| app.get(&path, SOMEONE).await;
    assert_eq!(get(format!("/api/project/try/trigger_requests/{id}")).await.status, StatusCode::OK);
    for (project, id) in [
        ("mozilla-release", id.as_str()),
        ("try", "01KAS4B0MRJ6WJ0RGDX8T0E4JQ"),
        ("try", &id.to_lowercase()),
        ("try", "x"),
        ("try", &"x".repeat(1000)),
    ] {
        let answer = get(format!("/api/project/{project}/trigger_requests/{id}/")).await;
        answer.problem(StatusCode::NOT_FOUND, "unknown_request");
    }
    get(format!("/api/project/tr%20y/trigger_requests/{id}/")).await.problem(StatusCode::BAD_REQUEST, "bad_path");
}

#[tokio::test]
async fn lists_are_newest_first_and_paged() {
    let app = TestApp::new().await;
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(app.trigger_as(&format!("k-{number}"), &[BUILD]).await.taken().request_id.unwrap());
        app.wait(1);
    }
    let body = serde_json::json!({"requested_jobs": [TEST]});
    app.post(&path("try", "1002"), &token("dev@example.org"), &[], &body).await.taken();
    ids.reverse();
    for first in ["/api/trigger_requests/?requester=me&count=2", "/api/project/try/push/1001/trigger_requests/?count=2"]
    {
        let (mut next, mut found) = (Some(first.to_owned()), Vec::new());
        while let Some(path) = next {
            let page: TriggerRequests = app.get(&path, SOMEONE).await.json(StatusCode::OK);
            assert!(page.results.len() <= 2);
            found.extend(page.results.into_iter().map(|request| request.request_id));
            next = page.next;
        }
        assert_eq!(found, ids, "{first}");
    }
    let all: TriggerRequests = app.get("/api/trigger_requests?requester=me", SOMEONE).await.json(StatusCode::OK);
    assert_eq!((all.results.len(), all.next), (5, None));
    let none: TriggerRequests = app.get("/api/trigger_requests/?requester=me", STRANGER).await.json(StatusCode::OK);
    assert!(none.results.is_empty());

    let answer = app.get("/api/trigger_requests/?requester=me", SOMEONE).await;
    let headers = [("authorization", &*token(SOMEONE)), ("if-none-match", answer.header("etag").unwrap())];
    let again = app.ask(Method::GET, "/api/trigger_requests/?requester=me", &headers, b"").await;
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn lists_refuse_unknown_parameters() {
    let app = TestApp::new().await;
    for query in [
        "",
        "requester=someone@mozilla.com",
        "requester=me&count=0",
        "requester=me&count=101",
        "requester=me&count=x",
        "requester=me&before=x",
        "requester=me&state=open",
        "requester=me&requester=me",
    ] {
        let answer = app.get(&format!("/api/trigger_requests/?{query}"), SOMEONE).await;
        answer.problem(StatusCode::BAD_REQUEST, "bad_parameter");
    }
    app.get("/api/project/try/push/x/trigger_requests/", SOMEONE).await.problem(StatusCode::BAD_REQUEST, "bad_path");
}

/// The forwarder records what became of the jobs while the request is read: between the head and the jobs, which are stored
/// apart because they need much room.
#[tokio::test]
async fn an_answer_has_matching_head_and_jobs_and_an_etag_of_both() {
    let app = TestApp::new().await;
    let taken = app.trigger(SOMEONE, &[BUILD]).await.taken();
    let (request, mut jobs) = app.stored(&taken).await;
    let noise = test_support::store::noise(3600, 7);
    let long: String = noise.iter().map(|byte| char::from(b' ' + byte % 95)).collect();
    jobs[0].reason = Some(JobReason::Text(long));
    let planned = request.with_plan(&jobs, app.time());
    app.requests.update(&planned, Some(&jobs), app.time()).await.unwrap();
    let request = planned;
    let forwarded = [RequestedJob { state: JobState::Forwarded, ..jobs[0].clone() }];
    let ended = request.with_results(&forwarded, Planning::default().next_poll(&forwarded, app.time()), app.time());
    let (name, now) = (app.requests_name.clone(), app.time());
    let mut reads = 0;
    app.plan(move |operation| {
        reads += usize::from(operation == "GetItem");
        if reads == 2 {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let table = RequestsTable::new(client(&endpoint()).await, &name);
                table.update(&ended, Some(&forwarded), now).await.unwrap();
            });
            reads += 1;
        }
        Plan::Pass
    });
    let answer = app.get(taken.status_url.as_deref().unwrap(), SOMEONE).await;
    let line = app.line();
    let seen: TriggerRequest = answer.json(StatusCode::OK);
    assert_eq!((seen.summary.state.as_str(), seen.jobs[0].state.as_str()), ("forwarded", "forwarded"));
    assert_eq!(seen.summary.job_counts, [("forwarded".to_owned(), 1)].into());
    let (stored, _) = app.stored(&taken).await;
    let etag = answer.header("etag").unwrap();
    assert!(etag.contains(&format!("-{}-people", stored.version)), "{etag}");
    assert_eq!(line["read_units"], 3.0, "{line}");
    // Later it is read as cheaply as ever, and is the same.
    let again = app.get(taken.status_url.as_deref().unwrap(), SOMEONE).await;
    assert_eq!((again.text(), again.header("etag")), (answer.text(), Some(etag)));
    assert_eq!(app.line()["read_units"], 1.0);
}
