//! Treeherder in a few bytes, and the answers of the client.

use std::fmt::Write as _;

use requests::planning::{Run, RunState};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;

/// A Treeherder that gives these answers, each over its own connection; and the requests that it received.
pub(crate) async fn answering(answers: Vec<(u16, String)>) -> (Treeherder, tokio::task::JoinHandle<Vec<String>>) {
    let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", service.local_addr().unwrap());
    let asked = tokio::spawn(async move {
        let mut asked = Vec::new();
        for (status, body) in answers {
            let (mut connection, _) = service.accept().await.unwrap();
            let mut request = [0; 2048];
            let length = connection.read(&mut request).await.unwrap();
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            asked.push(request.lines().next().unwrap().to_owned());
            let head = format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
            connection.write_all((head + &body).as_bytes()).await.unwrap();
        }
        asked
    });
    let now: DateTime<Utc> = "2026-11-23T06:00:00Z".parse().unwrap();
    (Treeherder::new(url, TimeDelta::seconds(60), Arc::new(move || now)), asked)
}

fn page(jobs: &[(u64, &str, &str, &str)]) -> String {
    let mut text = String::new();
    for (id, name, state, result) in jobs {
        let comma = if text.is_empty() { "" } else { "," };
        let _ = write!(
            text,
            r#"{comma}{{"id": {id}, "ref_data_name": "{name}", "build_system_type": "buildbot", "state": "{state}",
                "result": "{result}", "submit_timestamp": 1}}"#
        );
    }
    format!(r#"{{"meta": {{"count": 2000, "offset": 0, "repository": "try"}}, "results": [{text}]}}"#)
}

fn names() -> BTreeSet<String> {
    ["a", "b \"q\""].map(str::to_owned).into()
}

#[tokio::test]
async fn the_runs_of_the_named_jobs_are_read_from_all_pages() {
    let many: Vec<_> = (0..2000).map(|id| (id, "other", "running", "unknown")).collect();
    let rest = [
        (2001, "a", "pending", "unknown"),
        (2002, "a", "running", "unknown"),
        (2003, "a", "completed", "success"),
        (2004, "a", "completed", "busted"),
        (2005, "a", "completed", "retry"),
        (2006, "a", "unscheduled", "unknown"),
        (2009, "a", "completed", "testfailed"),
        (2010, "a", "completed", "usercancel"),
        (2007, r#"b \"q\""#, "running", "unknown"),
        (2008, "c", "running", "unknown"),
    ];
    let (treeherder, asked) = answering(vec![(200, page(&many)), (200, page(&rest))]).await;
    let mut expected = Runs::default();
    for (id, name, state) in [
        (2001, "a", RunState::Pending),
        (2002, "a", RunState::Running),
        (2003, "a", RunState::Built),
        (2004, "a", RunState::Ended("busted".to_owned())),
        (2006, "a", RunState::Pending),
        (2009, "a", RunState::Built),
        (2007, "b \"q\"", RunState::Running),
    ] {
        expected.add(name.to_owned(), Run { id, state });
    }
    assert_eq!(treeherder.runs("try", 7, &names()).await, Ok(expected));
    let path = |offset| format!("GET /api/project/try/jobs/?push_id=7&count=2000&offset={offset} HTTP/1.1");
    assert_eq!(asked.await.unwrap(), [path(0), path(2000)]);
}

/// A label of 150 characters.
fn long_label(end: &str) -> String {
    format!("test-{}-{end}", "x".repeat(144 - end.len()))
}

fn task(id: u64, label: &str, more: &str) -> String {
    format!(
        r#"{{"id": {id}, "ref_data_name": "{id:040x}", "job_type_name": "{label}", "build_system_type": "taskcluster",
            "submit_timestamp": 1, {more}}}"#
    )
}

#[tokio::test]
async fn the_runs_of_labels_are_found_by_their_job_type_which_is_cut() {
    let (one, other) = (long_label("1"), long_label("other"));
    assert_eq!((one.len(), &one[..139]), (150, &other[..139]));
    let success = r#""state": "completed", "result": "success""#;
    let jobs = [
        task(1, "build-linux64/opt", success),
        task(2, &one[..139], r#""state": "running", "result": "unknown""#),
        // `ref_data_name` of a Buildbot job is its name.
        r#"{"id": 4, "ref_data_name": "build-linux64/opt", "job_type_name": "x", "build_system_type": "buildbot",
            "state": "completed", "result": "busted"}"#
            .to_owned(),
        task(5, "other", success),
        // Tasks that depend on it do not run, unlike those of Buildbot.
        task(6, "build-linux64/debug", r#""state": "completed", "result": "testfailed""#),
    ];
    let answer = format!(r#"{{"results": [{}]}}"#, jobs.join(","));
    let (treeherder, _) = answering(vec![(200, answer)]).await;
    let names = ["build-linux64/opt".to_owned(), "build-linux64/debug".to_owned(), one.clone(), other.clone()].into();
    let runs = treeherder.runs("try", 7, &names).await.unwrap();
    let mut expected = Runs::default();
    expected.add("build-linux64/opt".to_owned(), Run { id: 1, state: RunState::Built });
    // It cannot be known which of the two it is.
    expected.add(one, Run { id: 2, state: RunState::Running });
    expected.add(other, Run { id: 2, state: RunState::Running });
    expected.add("build-linux64/opt".to_owned(), Run { id: 4, state: RunState::Ended("busted".to_owned()) });
    expected.add("build-linux64/debug".to_owned(), Run { id: 6, state: RunState::Ended("testfailed".to_owned()) });
    assert_eq!(runs, expected);
}

#[tokio::test]
async fn an_action_that_adds_jobs_and_has_not_ended_is_seen() {
    let action = |state: &str, symbols: (&str, &str), task_id: &str| {
        let more = format!(
            r#""job_group_symbol": "{}", "job_type_symbol": "{}", "state": "{state}", "result": "unknown"{task_id}"#,
            symbols.0, symbols.1
        );
        format!(r#"{{"results": [{}]}}"#, task(1, "Action: Add new jobs", &more))
    };
    let id = r#", "task_id": "Ab-_9fIzT8aXVvV2yWqhGQ""#;
    for (answer, expected) in [
        (action("running", ("AC", "add-new"), id), Some("Ab-_9fIzT8aXVvV2yWqhGQ")),
        (action("unscheduled", ("AC", "add-new"), id), Some("Ab-_9fIzT8aXVvV2yWqhGQ")),
        (action("pending", ("AC", "add-new"), ""), Some("")),
        (action("completed", ("AC", "add-new"), id), None),
        (action("running", ("AC", "rt"), id), None),
        (action("running", ("?", "add-new"), id), None),
    ] {
        let (treeherder, _) = answering(vec![(200, answer.clone())]).await;
        assert_eq!(treeherder.runs("try", 7, &names()).await.unwrap().running_action(), expected, "{answer}");
    }
}

#[tokio::test]
async fn sightings_are_the_runs_of_buildbot_jobs_of_all_pages_with_their_times() {
    let many: Vec<_> = (0..2000).map(|id| (id, "other", "running", "unknown")).collect();
    let rest = r#"{"results": [
        {"id": 2001, "ref_data_name": "a", "build_system_type": "buildbot", "state": "completed", "result": "retry",
         "submit_timestamp": 1795413600},
        {"id": 2002, "ref_data_name": "a", "build_system_type": "buildbot", "state": "pending", "result": null,
         "submit_timestamp": 1795413601},
        {"id": 2003, "ref_data_name": "a", "build_system_type": "buildbot", "state": "pending", "result": "unknown"},
        {"id": 2004, "ref_data_name": "a", "build_system_type": "taskcluster", "state": "pending", "result": "unknown",
         "submit_timestamp": 1795413602}]}"#;
    let (treeherder, asked) = answering(vec![(200, page(&many)), (200, rest.to_owned())]).await;
    let sighting = |id, state: &str, result: &str, seconds| Sighting {
        id,
        name: "a".to_owned(),
        state: state.to_owned(),
        result: result.to_owned(),
        submitted_at: DateTime::from_timestamp(seconds, 0).unwrap(),
    };
    let expected =
        vec![sighting(2001, "completed", "retry", 1_795_413_600), sighting(2002, "pending", "", 1_795_413_601)];
    assert_eq!(treeherder.sightings("try", 7, &names()).await, Ok(expected));
    let path = |offset| {
        format!("GET /api/project/try/jobs/?push_id=7&build_system_type=buildbot&count=2000&offset={offset} HTTP/1.1")
    };
    assert_eq!(asked.await.unwrap(), [path(0), path(2000)]);
}

#[tokio::test]
async fn while_treeherder_is_down_no_push_is_looked_at() {
    let (treeherder, asked) = answering(vec![(503, String::new())]).await;
    let error = treeherder.sightings("try", 7, &names()).await.unwrap_err();
    assert!(error.starts_with("Treeherder: it answers with 503"), "{error}");
    asked.await.unwrap();
    assert_eq!(treeherder.sightings("try", 8, &names()).await, Err(error.clone()));
    assert_eq!(treeherder.runs("try", 9, &names()).await, Err(error));
}

const A_PUSH: &str = r#"{"revision": "0123abcd", "author": "author@example.org"}"#;

#[tokio::test]
async fn a_run_that_was_coalesced_into_another_push_does_not_count() {
    let job = |guid: &str| {
        format!(
            r#"{{"id": 1, "ref_data_name": "a", "state": "completed", "result": "success",
                "job_coalesced_to_guid": {guid}}}"#
        )
    };
    for (guid, counts) in [("null", true), (r#""""#, true), (r#""abc/0""#, false)] {
        let (treeherder, _) = answering(vec![(200, format!(r#"{{"results": [{}]}}"#, job(guid)))]).await;
        let mut expected = Runs::default();
        if counts {
            expected.add("a".to_owned(), Run { id: 1, state: RunState::Built });
        }
        assert_eq!(treeherder.runs("try", 7, &names()).await, Ok(expected), "{guid}");
    }
}

#[tokio::test]
async fn after_treeherder_was_unreachable_no_push_is_asked_about_for_a_while() {
    for status in [502, 503, 504] {
        let (treeherder, asked) = answering(vec![(status, String::new())]).await;
        let error = treeherder.runs("try", 7, &names()).await.unwrap_err();
        assert!(error.starts_with(&format!("Treeherder: it answers with {status}")), "{error}");
        asked.await.unwrap();
        // A new request would be refused by now, for another reason.
        assert_eq!(treeherder.runs("try", 8, &names()).await, Err(error.clone()));
        assert_eq!(treeherder.push("autoland", 7).await, PushLookup::Unavailable(error));
    }
    let (treeherder, asked) = answering(vec![]).await;
    asked.await.unwrap();
    let PushLookup::Unavailable(refused) = treeherder.push("try", 7).await else { panic!("no Treeherder runs") };
    assert_eq!(treeherder.push("try", 8).await, PushLookup::Unavailable(refused.clone()));
    assert_eq!(treeherder.runs("try", 9, &names()).await, Err(refused));
}

#[tokio::test]
async fn an_invalid_answer_pauses_requests_for_the_same_push_only() {
    let long = " ".repeat(MAX_PUSH_BYTES + 1);
    for (status, body, said) in [
        (500, "", "Treeherder: it answers with 500"),
        (429, "", "Treeherder: it answers with 429"),
        (302, "", "Treeherder: it answers with 302"),
        (200, "{}", "Treeherder: its answer is not a push: missing field `revision`"),
        (200, r#"{"revision": "../x"}"#, "Treeherder: its answer is not a push: the revision is not hexadecimal"),
        (200, long.as_str(), "Treeherder: the answer has more than 1048576 bytes"),
    ] {
        let good = (200, A_PUSH.to_owned());
        let list = (200, page(&[]));
        let (treeherder, asked) = answering(vec![(status, body.to_owned()), good.clone(), list, good]).await;
        let PushLookup::Unavailable(error) = treeherder.push("try", 7).await else { panic!("{said}") };
        assert!(error.starts_with(said), "{error}");
        assert_eq!(treeherder.push("try", 7).await, PushLookup::Unavailable(error));
        assert!(matches!(treeherder.push("try", 8).await, PushLookup::Found(_)), "{said}");
        assert_eq!(treeherder.runs("try", 7, &names()).await, Ok(Runs::default()), "{said}");
        assert!(matches!(treeherder.push("autoland", 7).await, PushLookup::Found(_)), "{said}");
        assert_eq!(asked.await.unwrap().len(), 4);
    }
}

/// Treeherder may need longer than the timeout for a push with very many jobs.
#[tokio::test]
async fn a_timeout_pauses_requests_for_the_same_push_only() {
    let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", service.local_addr().unwrap());
    tokio::spawn(async move {
        let mut open = Vec::new();
        loop {
            let (mut connection, _) = service.accept().await.unwrap();
            let mut request = [0; 2048];
            let length = connection.read(&mut request).await.unwrap();
            // It does not answer about push 7.
            if !String::from_utf8_lossy(&request[..length]).contains("/push/7/") {
                let length = A_PUSH.len();
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{A_PUSH}");
                connection.write_all(answer.as_bytes()).await.unwrap();
            }
            open.push(connection);
        }
    });
    let now: DateTime<Utc> = "2026-11-23T06:00:00Z".parse().unwrap();
    let mut treeherder = Treeherder::new(url, TimeDelta::seconds(60), Arc::new(move || now));
    treeherder.pushes = Fetcher::new(Duration::from_millis(300), MAX_PUSH_BYTES);
    let late = PushLookup::Unavailable("Treeherder: operation timed out".to_owned());
    assert_eq!(treeherder.push("try", 7).await, late);
    assert!(matches!(treeherder.push("try", 8).await, PushLookup::Found(_)));
    assert_eq!(treeherder.push("try", 7).await, late);
}

#[tokio::test]
async fn an_invalid_list_of_jobs_pauses_requests_for_the_same_list_only() {
    for (status, body, said) in [
        (404, "", "Treeherder: it answers with 404 Not Found"),
        (200, "{}", "Treeherder: its answer is not a list of jobs: missing field `results`"),
        (200, r#"{"results": [{"id": "1"}]}"#, "Treeherder: its answer is not a list of jobs: invalid type"),
    ] {
        let answers = vec![(status, body.to_owned()), (200, page(&[])), (200, A_PUSH.to_owned())];
        let (treeherder, asked) = answering(answers).await;
        let error = treeherder.runs("try", 7, &names()).await.unwrap_err();
        assert!(error.starts_with(said), "{error}");
        assert_eq!(treeherder.runs("try", 7, &names()).await, Err(error));
        assert_eq!(treeherder.runs("try", 8, &names()).await, Ok(Runs::default()));
        assert!(matches!(treeherder.push("try", 7).await, PushLookup::Found(_)));
        asked.await.unwrap();
    }
}

#[test]
fn an_address_has_scheme_and_host_and_no_query() {
    assert_eq!(address("https://treeherder.mozilla.org/").as_deref(), Ok("https://treeherder.mozilla.org"));
    for wrong in ["", "treeherder", "ftp://treeherder.mozilla.org", "https://treeherder.mozilla.org/?a=b"] {
        assert!(address(wrong).is_err(), "{wrong}");
    }
}
