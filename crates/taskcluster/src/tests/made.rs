//! The states of tasks, and what an action made.

use serde_json::json;

use super::*;

const OTHER: &str = "BBBBBBBBQ-CBBBBBBBBBBA";
const STATUSES: &str = "/api/queue/v1/tasks/status";

fn status_of(id: &str, state: &str) -> serde_json::Value {
    let run = json!({"runId": 0, "state": state, "reasonCreated": "scheduled", "scheduled": "2026-11-26T11:00:00.000Z",
        "started": "2026-11-26T11:01:00.000Z", "resolved": "2026-11-26T11:02:00.000Z", "reasonResolved": "canceled"});
    json!({"taskId": id, "status": {"taskId": id, "state": state, "runs": [run]}})
}

/// The artifact of the task that is stored at this path of the host of artifacts.
fn stores(setup: &Setup, name: &str, path: &str, answer: Vec<u8>) {
    let queue = format!("/api/queue/v1/task/{TASK}/artifacts/{}", name.replace('/', "%2F"));
    setup.api.on(&queue, [redirect(&format!("http://{}{path}", setup.storage.address), "s3")]);
    setup.storage.on(path, [answer]);
}

fn lacks(setup: &Setup, name: &str) {
    let name = name.replace('/', "%2F");
    setup.api.on(&format!("/api/queue/v1/task/{TASK}/artifacts/{name}"), [not_found("Artifact not found")]);
    setup.api.on(&format!("/api/queue/v1/task/{TASK}/runs/0/artifacts/{name}"), [not_found("Artifact not found")]);
}

#[tokio::test]
async fn the_states_of_many_tasks_are_asked_for_at_once() {
    let setup = Setup::new().await;
    let page = json!({"statuses": [status_of(TASK, "exception")], "continuationToken": "a b"});
    let rest = json!({"statuses": [status_of(OTHER, "running"), status_of("CCCCCCCCQ-CCCCCCCCCCCA", "failed")]});
    setup.api.on(STATUSES, [json(&page.to_string())]);
    setup.api.on(&format!("{STATUSES}?continuationToken=a+b"), [json(&rest.to_string())]);
    let unknown = "DDDDDDDDQ-CDDDDDDDDDDA".parse().unwrap();
    let found = setup.client.statuses(&[task(), OTHER.parse().unwrap(), unknown]).await.unwrap();
    // The one that was not asked for is left out.
    assert_eq!(found.len(), 2);
    let (ended, running) = (&found[&task()], &found[&OTHER.parse().unwrap()]);
    assert_eq!((ended.state, ended.reason()), (TaskState::Exception, Some("canceled")));
    assert_eq!(ended.since(), Some("2026-11-26T11:02:00Z".parse().unwrap()));
    assert_eq!((running.state, running.since()), (TaskState::Running, Some("2026-11-26T11:01:00Z".parse().unwrap())));
    let asked: serde_json::Value = serde_json::from_str(&setup.api.bodies()[0]).unwrap();
    assert_eq!(asked, json!({"taskIds": [TASK, OTHER, "DDDDDDDDQ-CDDDDDDDDDDA"]}));
    assert_eq!(setup.api.bodies()[0], setup.api.bodies()[1]);
}

#[tokio::test]
async fn one_question_has_a_thousand_tasks() {
    let setup = Setup::new().await;
    setup.api.on(STATUSES, [json(r#"{"statuses": []}"#)]);
    let ids: Vec<TaskId> = (0..2001).map(|n| format!("AAAAAAAAQ-C{n:010}A").parse().unwrap()).collect();
    assert_eq!(setup.client.statuses(&ids).await, Ok(HashMap::new()));
    assert_eq!((setup.api.paths().len(), setup.client.requests()), (3, 3));
    assert_eq!(setup.client.statuses(&[]).await, Ok(HashMap::new()));
    assert_eq!(setup.api.paths().len(), 3);
}

#[tokio::test]
async fn states_without_an_answer_are_an_error() {
    let setup = Setup::new().await;
    for sent in [not_found("x"), json("[]"), page("502 Bad Gateway"), answer("429 x", "retry-after: 5", "")] {
        setup.api.on(STATUSES, [sent]);
        assert!(setup.client.statuses(&[task()]).await.is_err());
    }
    // A question that changes nothing is repeated.
    setup.api.on(STATUSES, [page("502 Bad Gateway"), json(r#"{"statuses": []}"#)]);
    assert_eq!(setup.client.statuses(&[task()]).await, Ok(HashMap::new()));
    let endless = json(r#"{"statuses": [], "continuationToken": "a"}"#);
    setup.api.on(STATUSES, [endless.clone()]).on(&format!("{STATUSES}?continuationToken=a"), [endless]);
    let error = setup.client.statuses(&[task()]).await.unwrap_err();
    assert!(error.to_string().contains("more than 20 parts"), "{error}");
}

#[tokio::test]
async fn a_completed_action_made_what_its_list_says() {
    let setup = Setup::new().await;
    let list = json!({"test/a": TASK, "build/a": OTHER, "malformed": "x"}).to_string();
    stores(
        &setup,
        "public/label-to-taskid.json",
        "/list",
        answer("200 OK", "content-encoding: gzip", gzip(list.as_bytes())),
    );
    let made = setup.client.made_by(&task(), TaskState::Completed).await.unwrap();
    let tasks: Vec<_> = made.tasks.iter().map(|(label, id)| (label.as_str(), id.as_str())).collect();
    assert_eq!(tasks, [("build/a", OTHER), ("test/a", TASK)]);
    assert_eq!(made.log, "");
    assert_eq!(setup.client.requests(), 2);
}

#[tokio::test]
async fn a_failed_action_says_why_in_its_log() {
    let setup = Setup::new().await;
    setup.status("failed", &[("failed", "failed")]);
    lacks(&setup, "public/label-to-taskid-0.json");
    let noise = "[task 2026-11-26T11:00:00.000Z] loading\r\n".repeat(2_000);
    let log = format!(
        "[taskcluster 2026-11-26 11:00:00.000Z] Task ID: x\n{noise}\
         [task 2026-11-26T11:00:01.000Z] Traceback (most recent call last):\n\
         [task 2026-11-26T11:00:01.000Z]   File \"a.py\", line 1 --- x\n\
         [task 2026-11-26T11:00:01.000Z] \u{1b}[31mException: test/x was \u{202e}not found in the \
         task-graph\u{1b}[0m\u{7}\n\
         [task 2026-11-26T11:00:01.000Z] \n\
         [taskcluster 2026-11-26 11:00:02.000Z] === Task Finished ===\n\
         [taskcluster 2026-11-26 11:00:02.000Z] Unsuccessful task run with exit code: 1"
    );
    stores(&setup, "public/logs/live_backing.log", "/log", answer("200 OK", "", gzip(log.as_bytes())));
    let made = setup.client.made_by(&task(), TaskState::Failed).await.unwrap();
    assert!(made.tasks.is_empty());
    assert_eq!(
        made.log,
        "loading / loading / Traceback (most recent call last): / File \"a.py\", line 1 --- x / Exception: test/x was \
         not found in the task-graph"
    );

    // What it made before it failed.
    let list = json!({"test/a": TASK}).to_string();
    stores(&setup, "public/label-to-taskid-0.json", "/list", answer("200 OK", "", list));
    let log = "[taskcluster:error] x\n[taskcluster 2026] Aborting task - max run time exceeded!";
    stores(&setup, "public/logs/live_backing.log", "/log", answer("200 OK", "", log));
    let made = setup.client.made_by(&task(), TaskState::Exception).await.unwrap();
    assert_eq!(made.tasks.len(), 1);
    assert_eq!(made.log, "[taskcluster:error] x / [taskcluster 2026] Aborting task - max run time exceeded!");

    lacks(&setup, "public/logs/live_backing.log");
    assert_eq!(setup.client.made_by(&task(), TaskState::Failed).await.unwrap().log, "");
}

#[tokio::test]
async fn the_end_of_a_log_is_bounded() {
    let setup = Setup::new().await;
    setup.status("failed", &[("failed", "failed")]);
    lacks(&setup, "public/label-to-taskid-0.json");
    let log = "é".repeat(1_000_000);
    stores(&setup, "public/logs/live_backing.log", "/log", answer("200 OK", "", log));
    let made = setup.client.made_by(&task(), TaskState::Failed).await.unwrap();
    assert!((1000..1100).contains(&made.log.chars().count()), "{}", made.log.chars().count());
}

#[tokio::test]
async fn a_list_that_cannot_be_read_is_an_error() {
    let setup = Setup::new().await;
    for sent in [answer("200 OK", "", "["), answer("200 OK", "", r#"{"a": 1}"#), page("502 Bad Gateway"), page("400 x")]
    {
        stores(&setup, "public/label-to-taskid.json", "/list", sent);
        assert!(setup.client.made_by(&task(), TaskState::Completed).await.is_err());
    }
}
