//! The call of a hook, and the search for what it made.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use requests::refusal::ActionRefusal;
use serde_json::{Value, json};

use super::*;

const SECRET: &str = "c0rrect-Horse_battery";
const TRIGGER: &str = "/api/hooks/v1/hooks/project-gecko/in-tree-action-1-generic%2F0123abcdef/trigger";
const FIRES: &str = "/api/hooks/v1/hooks/project-gecko/in-tree-action-1-generic%2F0123abcdef/last-fires";
const MARKER: &str = "01KAS4B0MRJ6WJ0RGDX8T0E4JQ.1";

fn hook() -> HookId {
    "project-gecko/in-tree-action-1-generic/0123abcdef".parse().unwrap()
}

fn now() -> DateTime<Utc> {
    "2026-11-26T12:00:00Z".parse().unwrap()
}

fn credentials() -> Credentials {
    let document = json!({"clientId": "project/a", "accessToken": SECRET, "certificate": {"seed": SECRET}});
    Credentials::read(&document.to_string()).unwrap()
}

fn action() -> PreparedAction {
    let input = json!({"tasks": ["test/a"], "request": MARKER});
    PreparedAction { hook: hook(), payload: json!({"user": {"input": input}}), input_bytes: 9, input }
}

async fn trigger(setup: &Setup) -> Result<TaskId, TriggerError> {
    setup.client.trigger_hook(&action(), &credentials(), now()).await
}

/// The `n`th task id.
fn id(n: usize) -> String {
    format!("AAAAAAA{}Q-C{:010}A", n % 10, n)
}

fn fire(n: usize, time: &str, result: &str) -> Value {
    json!({
        "hookGroupId": "project-gecko", "hookId": "in-tree-action-1-generic/0123abcdef", "firedBy": "triggerHook",
        "taskId": id(n), "taskCreateTime": time, "result": result, "taskState": "unknown",
        "error": if result == "success" { "" } else { "While firing hook: TimeoutError" },
    })
}

fn fires(setup: &Setup, path: &str, fires: &[Value], token: Option<&str>) {
    let mut page = json!({"lastFires": fires});
    if let Some(token) = token {
        page["continuationToken"] = token.into();
    }
    setup.api.on(&format!("{FIRES}?{path}"), [super::json(&page.to_string())]);
}

/// The Queue knows a task with this marker.
fn knows(setup: &Setup, n: usize, marker: &str) {
    let input = json!({"tasks": [], "request": marker});
    let extra = json!({"action": {"name": "add-new-jobs", "context": {"taskId": null, "input": input}}});
    let task = json!({"metadata": {"name": "Action: Add new jobs"}, "extra": extra});
    setup.api.on(&format!("/api/queue/v1/task/{}", id(n)), [super::json(&task.to_string())]);
}

fn refused(refusal: ActionRefusal) -> TriggerError {
    TriggerError::Refused(refusal)
}

#[tokio::test]
async fn a_call_is_signed_and_made_once() {
    let setup = Setup::new().await;
    setup.api.on(TRIGGER, [json(&format!(r#"{{"taskId": "{TASK}", "status": {{"taskId": "{TASK}"}}}}"#))]);
    assert_eq!(trigger(&setup).await, Ok(task()));
    assert_eq!((setup.api.paths(), setup.client.requests()), (vec![TRIGGER.to_owned()], 1));
    assert_eq!(setup.api.bodies(), [action().payload.to_string()]);

    let request = setup.api.requests.lock().unwrap()[0].clone();
    let head = request.split("\r\n\r\n").next().unwrap();
    let header = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
    assert_eq!(header("content-type: "), "application/json");
    let signed = header("authorization: ");
    let attribute =
        |name: &str| signed.split(&format!(r#"{name}=""#)).nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert_eq!((attribute("id"), attribute("ts")), ("project/a".to_owned(), "1795694400".to_owned()));
    let ext: Value = serde_json::from_slice(&STANDARD.decode(attribute("ext")).unwrap()).unwrap();
    let scope = "hooks:trigger-hook:project-gecko/in-tree-action-1-generic/0123abcdef";
    assert_eq!(ext, json!({"authorizedScopes": [scope], "certificate": {"seed": SECRET}}));
}

#[tokio::test]
async fn a_refusal_is_certain_and_says_why() {
    let message = "Client ID project/a does not have sufficient scopes and is missing the following scopes: x";
    let refused_by_role = "The role `hook-id:g/h` does not have sufficient scopes to create the task: x";
    let by_schema = "data/user/input must be object; data must have required property 'user'";
    for (sent, expected) in [
        (
            error("404 Not Found", "ResourceNotFound", "No such hook"),
            ActionRefusal::HookMissing { hook: hook().to_string() },
        ),
        (
            error("403 Forbidden", "InsufficientScopes", message),
            ActionRefusal::MissingScopes { message: message.to_owned() },
        ),
        (
            error("403 Forbidden", "InsufficientScopes", refused_by_role),
            ActionRefusal::MissingScopes { message: refused_by_role.to_owned() },
        ),
        (
            error("401 Unauthorized", "AuthenticationFailed", "Unauthorized: Bad mac"),
            ActionRefusal::BadCredentials { message: "Unauthorized: Bad mac".to_owned() },
        ),
        (
            error("400 Bad Request", "InputError", by_schema),
            ActionRefusal::InputRefused { message: by_schema.to_owned() },
        ),
        (
            error("400 Bad Request", "InputValidationError", "Schema Validation Failed!"),
            ActionRefusal::InputRefused { message: "Schema Validation Failed!".to_owned() },
        ),
        (
            error("413 Payload Too Large", "InputTooLarge", "too large"),
            ActionRefusal::InputRefused { message: "too large".to_owned() },
        ),
        (json("{}"), ActionRefusal::Declined),
    ] {
        let setup = Setup::new().await;
        setup.api.on(TRIGGER, [sent]);
        assert_eq!(trigger(&setup).await, Err(refused(expected)));
        assert_eq!(setup.api.paths().len(), 1);
    }
}

#[tokio::test]
async fn an_answer_behind_which_a_task_may_be_is_not_a_refusal() {
    let cut = answer("200 OK", "", format!(r#"{{"taskId": "{TASK}"}}"#)).split_last().unwrap().1.to_vec();
    for sent in [
        error("400 Bad Request", "InputError", "While calling createTask: x"),
        error("400 Bad Request", "InputError", "While firing hook: TimeoutError x"),
        error("500 Internal Server Error", "InternalServerError", "Incident 1"),
        error("409 Conflict", "RequestConflict", "x"),
        page("502 Bad Gateway"),
        page("200 OK"),
        // From a proxy, or a route that does not exist.
        page("404 Not Found"),
        page("403 Forbidden"),
        page("401 Unauthorized"),
        answer("404 Not Found", "", r#"{"error": "Not found"}"#),
        answer("400 Bad Request", "", "x"),
        answer("503 Service Unavailable", "retry-after: 7", ""),
        json("[]"),
        json("null"),
        json(r#"{"taskId": "undefined"}"#),
        json(r#"{"status": {}}"#),
        Vec::new(),
        half_a_head(),
        cut,
    ] {
        let setup = Setup::new().await;
        setup.api.on(TRIGGER, [sent.clone()]);
        let error = trigger(&setup).await.unwrap_err();
        assert!(matches!(error, TriggerError::Unanswered { .. }), "{error}: {}", String::from_utf8_lossy(&sent));
        assert_eq!(setup.api.paths().len(), 1);
    }
}

#[tokio::test]
async fn a_call_that_was_not_taken_is_certain() {
    let setup = Setup::new().await;
    setup.api.on(TRIGGER, [answer("429 Too Many Requests", "retry-after: 7", "<html>")]);
    let reason = "it answers 429 Too Many Requests".to_owned();
    let expected = TriggerError::Unsent { reason, retry_after: Some(Duration::from_secs(7)) };
    assert_eq!(trigger(&setup).await, Err(expected));
    assert_eq!(setup.api.paths().len(), 1);

    // Nothing listens.
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let root_url = format!("http://{}", closed.local_addr().unwrap()).parse().unwrap();
    drop(closed);
    let (projects, trigger) = (BTreeMap::new(), BTreeMap::new());
    let client = Taskcluster::new(TaskclusterSettings { root_url, projects, trigger, artifact_hosts: Vec::new() });
    let error = client.trigger_hook(&action(), &credentials(), now()).await.unwrap_err();
    assert!(matches!(error, TriggerError::Unsent { retry_after: None, .. }), "{error}");
}

#[tokio::test]
async fn credentials_are_sent_to_the_root_url_alone() {
    let setup = Setup::new().await;
    // Another server of the same deployment.
    for status in ["301 Moved Permanently", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let location = format!("location: http://{}/steal", setup.storage.address);
        setup.api.on(TRIGGER, [answer(status, &location, "")]);
        let error = trigger(&setup).await.unwrap_err();
        assert!(matches!(error, TriggerError::Unanswered { .. }), "{error}");
    }
    assert_eq!(setup.storage.paths(), [""; 0]);

    // Nothing else is signed.
    fires(&setup, "limit=50", &[fire(1, "2026-11-26T12:00:00Z", "success")], None);
    knows(&setup, 1, MARKER);
    setup.client.find_action(&hook(), MARKER, now()).await.unwrap();
    let requests = setup.api.requests.lock().unwrap();
    let signed = requests.iter().filter(|request| request.contains("authorization: ")).count();
    assert_eq!((signed, requests.len()), (4, 6));
}

#[tokio::test]
async fn no_error_shows_a_secret() {
    let said = format!("x {SECRET} y");
    for sent in [
        error("401 Unauthorized", "AuthenticationFailed", &said),
        error("403 Forbidden", "InsufficientScopes", &said),
        error("400 Bad Request", "InputError", &said),
        error("400 Bad Request", "InputError", &format!("While firing hook: {said}")),
        error("500 Internal Server Error", "InternalServerError", &said),
        json(&format!(r#"{{"taskId": "{SECRET}"}}"#)),
        answer("502 Bad Gateway", "", &said),
        Vec::new(),
    ] {
        let setup = Setup::new().await;
        setup.api.on(TRIGGER, [sent]);
        let error = trigger(&setup).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("Horse"), "{error:?}");
    }
    assert!(!format!("{:?}", credentials()).contains("Horse"));
}

#[tokio::test]
async fn what_a_hook_fired_is_listed_in_pages() {
    let setup = Setup::new().await;
    let rows = [
        fire(3, "2026-11-26T12:00:02.123Z", "success"),
        json!({"taskId": "undefined", "taskCreateTime": "2026-11-26T12:00:02Z", "result": "error", "error": {"a": 1}}),
    ];
    fires(&setup, "limit=3", &rows, Some("a b"));
    fires(&setup, "limit=1&continuationToken=a+b", &[fire(1, "2026-11-26T11:00:00Z", "error")], Some("more"));
    let found = setup.client.last_fires(&hook(), 3).await.unwrap();
    let expected = [
        Fire { task_id: id(3).parse().unwrap(), fired_at: "2026-11-26T12:00:02.123Z".parse().unwrap(), error: None },
        Fire {
            task_id: id(1).parse().unwrap(),
            fired_at: "2026-11-26T11:00:00Z".parse().unwrap(),
            error: Some("While firing hook: TimeoutError".to_owned()),
        },
    ];
    assert_eq!(found, expected);
    assert_eq!(setup.api.paths().len(), 2);

    let setup = Setup::new().await;
    setup.api.on(&format!("{FIRES}?limit=1000"), [not_found("No such hook or never fired")]);
    assert_eq!(setup.client.last_fires(&hook(), 9999).await, Ok(Vec::new()));
}

#[tokio::test]
async fn an_action_is_found_by_its_marker_in_a_fire_that_failed_too() {
    for result in ["success", "error"] {
        let setup = Setup::new().await;
        let rows = [
            // It was fired too late to be that of the call.
            fire(0, "2026-11-26T12:03:01Z", "success"),
            fire(1, "2026-11-26T12:00:09Z", "success"),
            // It names a task that does not exist.
            fire(2, "2026-11-26T12:00:02Z", "error"),
            fire(3, "2026-11-26T12:00:01Z", result),
            fire(4, "2026-11-26T11:59:30Z", "success"),
            fire(5, "2026-11-26T11:58:59Z", "success"),
        ];
        fires(&setup, "limit=50", &rows, None);
        knows(&setup, 1, "01KAS4B0MRJ6WJ0RGDX8T0E4JQ.2");
        setup.api.on(&format!("/api/queue/v1/task/{}", id(2)), [not_found("Task not found")]);
        knows(&setup, 3, MARKER);
        let other = json!({"metadata": {"name": "x"}, "extra": {"action": "x"}});
        setup.api.on(&format!("/api/queue/v1/task/{}", id(4)), [json(&other.to_string())]);
        let found = setup.client.find_action(&hook(), MARKER, now()).await.unwrap();
        assert_eq!(found.as_ref().map(TaskId::as_str), Some(&*id(3)));
        // None of long before the call is read, and none of long after it.
        let path = |n| format!("/api/queue/v1/task/{}", id(n));
        let before = setup.api.paths();
        assert!(before.contains(&path(3)) && !before.contains(&path(5)) && !before.contains(&path(0)));

        assert_eq!(setup.client.find_action(&hook(), "01KAS4B0MRJ6WJ0RGDX8T0E4JQ.3", now()).await, Ok(None));
        let mut read = setup.api.paths()[before.len() + 1..].to_vec();
        read.sort();
        let mut expected = [1, 2, 3, 4].map(path);
        expected.sort();
        assert_eq!(read, expected);
    }
}

#[tokio::test]
async fn a_hook_that_fires_often_is_searched_further_back() {
    let setup = Setup::new().await;
    let newer: Vec<_> = (0..50).map(|n| fire(n, "2026-11-26T12:05:00Z", "success")).collect();
    fires(&setup, "limit=50", &newer, Some("x"));
    let mut all = newer.clone();
    all.extend([fire(60, "2026-11-26T12:00:01Z", "success"), fire(61, "2026-11-26T11:00:01Z", "success")]);
    fires(&setup, "limit=1000", &all, None);
    knows(&setup, 60, MARKER);
    let found = setup.client.find_action(&hook(), MARKER, now()).await.unwrap();
    assert_eq!(found.map(|id| id.to_string()), Some(id(60)));
    assert_eq!(setup.api.paths().len(), 3);

    // That there is none is not said of more than were read.
    let setup = Setup::new().await;
    let many: Vec<_> = (0..1000).map(|n| fire(n, "2026-11-26T12:05:00Z", "success")).collect();
    fires(&setup, "limit=50", &many[..50], Some("x"));
    fires(&setup, "limit=1000", &many, None);
    let error = setup.client.find_action(&hook(), MARKER, now()).await.unwrap_err();
    assert!(error.to_string().contains("fired 1000 times"), "{error}");
    assert_eq!(setup.api.paths().len(), 2);
    let old = fire(0, "2026-11-26T11:00:00Z", "success");
    let at_once = (0..501).map(|n| fire(n, "2026-11-26T12:00:05Z", "success"));
    fires(&setup, "limit=1000", &at_once.chain([old.clone()]).collect::<Vec<_>>(), None);
    (0..501).for_each(|n| knows(&setup, n, "x"));
    let error = setup.client.find_action(&hook(), MARKER, now()).await.unwrap_err();
    assert!(error.to_string().contains("fired 501 times"), "{error}");
    assert_eq!(setup.api.paths().len(), 4 + 500);

    // However often it fires later, the search is of the time of the call.
    let later: Vec<_> = many.into_iter().take(999).chain([old]).collect();
    fires(&setup, "limit=1000", &later, None);
    assert_eq!(setup.client.find_action(&hook(), MARKER, now()).await, Ok(None));
    assert_eq!(setup.api.paths().len(), 4 + 500 + 2);
}

#[tokio::test]
async fn a_search_without_an_answer_does_not_say_that_there_is_none() {
    let setup = Setup::new().await;
    fires(&setup, "limit=50", &[fire(1, "2026-11-26T12:00:01Z", "success")], None);
    setup.api.on(&format!("/api/queue/v1/task/{}", id(1)), [page("502 Bad Gateway")]);
    assert!(matches!(
        setup.client.find_action(&hook(), MARKER, now()).await,
        Err(TaskclusterError::Unavailable { .. })
    ));
    setup.api.on(&format!("{FIRES}?limit=50"), [answer("404 Not Found", "", r#"{"error": "Not found"}"#)]);
    assert!(setup.client.find_action(&hook(), MARKER, now()).await.is_err());
}

#[test]
fn only_hooks_of_the_level_are_allowed() {
    let allowed = |hook: &str, level| hook.parse::<HookId>().is_ok_and(|hook| hook.is_allowed(level));
    for hook in
        ["project-gecko/in-tree-action-1-generic/0123abcdef", "project-a_b-C/in-tree-action-1-generic/0000000000"]
    {
        assert!(allowed(hook, 1) && !allowed(hook, 2) && !allowed(hook, 3), "{hook}");
    }
    for hook in [
        "project-gecko/in-tree-action-3-generic/0123abcdef",
        "project-gecko/in-tree-action-11-generic/0123abcdef",
        "project-gecko/in-tree-action-1-release-promotion/0123abcdef",
        "project-gecko/in-tree-pr-action-1-generic/0123abcdef",
        "project-gecko/in-tree-action-1-generic/0123abcde",
        "project-gecko/in-tree-action-1-generic/0123abcdef0",
        "project-gecko/in-tree-action-1-generic/0123ABCDEF",
        "project-gecko/in-tree-action-1-generic/*",
        "project-gecko/in-tree-action-1-generic/0123abcdef/x",
        "project-gecko/x/in-tree-action-1-generic/0123abcdef",
        "project-/in-tree-action-1-generic/0123abcdef",
        "project-*/in-tree-action-1-generic/0123abcdef",
        "gecko/in-tree-action-1-generic/0123abcdef",
        "project-gecko",
        "",
    ] {
        assert!(!allowed(hook, 1), "{hook}");
    }
    let hook: HookId = "project-gecko/a/b".parse().unwrap();
    assert_eq!((&*hook.group, &*hook.id, hook.to_string()), ("project-gecko", "a/b", "project-gecko/a/b".to_owned()));
    for wrong in ["", "a", "a/", "/a", "a b/c", "a/b\n", &format!("a/{}", "b".repeat(201))] {
        assert_eq!(wrong.parse::<HookId>(), Err(BadHookId), "{wrong:?}");
    }
}
