//! What has to be right before a hook is called.

use std::path::Path;

use requests::refusal::ActionRefusal;
use serde_json::{Value, json};

use super::*;
use crate::actions::prepare;

const MARKER: &str = "01KAS4B0MRJ6WJ0RGDX8T0E4JQ.1";
const LABELS: [&str; 2] = ["test-linux/opt-a", "build-linux/opt"];
const SCOPE: &str = "in-tree:hook-action:project-gecko/in-tree-action-3-generic/9353e8f146";
/// Excerpts of files of Firefox: of 2020, and of 2018, with variables.
const NEW: &str = include_str!("../../data/actions.json");
const OLD: &str = include_str!("../../data/actions-variables.json");

fn file(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn add_new_jobs(file: &mut Value) -> &mut Value {
    let actions = file["actions"].as_array_mut().unwrap();
    actions.iter_mut().find(|action| action["name"] == "add-new-jobs").unwrap()
}

fn prepared(file: &Value, level: u8) -> Result<PreparedAction, ActionRefusal> {
    prepare(file.to_string().as_bytes(), TASK, &LABELS, MARKER, level)
}

/// The refusal after a change of the action.
fn after(change: impl FnOnce(&mut Value)) -> ActionRefusal {
    let mut file = file(NEW);
    change(add_new_jobs(&mut file));
    prepared(&file, 3).unwrap_err()
}

/// The refusal after a change of the file.
fn after_all(change: impl FnOnce(&mut Value)) -> ActionRefusal {
    let mut file = file(NEW);
    change(&mut file);
    prepared(&file, 3).unwrap_err()
}

fn template(message: &str) -> ActionRefusal {
    ActionRefusal::Template { message: message.to_owned() }
}

#[test]
fn an_action_of_today_is_prepared() {
    let mut file = file(NEW);
    let action = prepared(&file, 3).unwrap();
    assert_eq!(action.hook.to_string(), "project-gecko/in-tree-action-3-generic/9353e8f146");
    assert_eq!(action.input, json!({"tasks": LABELS, "request": MARKER}));
    assert_eq!(action.input_bytes, action.input.to_string().len());
    let user = json!({"input": action.input, "taskId": null, "taskGroupId": TASK});
    let decision = add_new_jobs(&mut file)["hookPayload"]["decision"].clone();
    assert_eq!(decision["repository"]["project"], "autoland");
    assert_eq!(action.payload, json!({"decision": decision, "user": user}));
}

#[test]
fn an_action_of_2018_is_prepared_with_its_variables() {
    let file = file(OLD);
    let action = prepared(&file, 1).unwrap();
    assert_eq!(action.hook.to_string(), "project-gecko/in-tree-action-1-generic/bb2dee27f9");
    assert_eq!(action.payload["decision"]["parameters"], file["variables"]["parameters"]);
    assert_eq!(action.payload["user"]["input"], action.input);
}

#[test]
#[expect(clippy::print_stdout, reason = "a test that is skipped says so")]
fn the_real_files_are_prepared() {
    for (name, level) in [("actions-autoland.json", 3), ("actions-variables.json", 1)] {
        let shared = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().map(|dir| dir.join("shared/data").join(name));
        let Some(file) = shared.into_iter().find_map(|path| std::fs::read(path).ok()) else {
            println!("skipped: there is no ../shared/data/{name}");
            continue;
        };
        let action = prepare(&file, TASK, &LABELS, MARKER, level).unwrap();
        assert!(action.hook.is_allowed(level));
        assert_eq!(action.payload["user"], json!({"input": action.input, "taskId": null, "taskGroupId": TASK}));
        let mut keys: Vec<_> = action.payload.as_object().unwrap().keys().collect();
        keys.sort_unstable();
        assert_eq!(keys, ["decision", "user"]);
    }
}

#[test]
fn a_file_that_is_not_one_of_version_1_is_refused() {
    for (wrong, expected) in [
        ("", "public/actions.json: the file is not JSON, at line 1, column 0"),
        ("{\"version\":", "public/actions.json: the file is not JSON, at line 1, column 11"),
        ("[]", "public/actions.json: the file is not an object"),
        (r#"{"version": 1}"#, "public/actions.json: it lists no actions"),
        (r#"{"version": 1, "actions": {}}"#, "public/actions.json: it lists no actions"),
    ] {
        let refused = prepare(wrong.as_bytes(), TASK, &LABELS, MARKER, 3).unwrap_err();
        assert_eq!(refused, ActionRefusal::NoActions { message: expected.to_owned() });
    }
    let deep = "[".repeat(100_000);
    assert!(matches!(prepare(deep.as_bytes(), TASK, &LABELS, MARKER, 3), Err(ActionRefusal::NoActions { .. })));
    let many = after_all(|file| file["actions"] = vec![json!({}); 501].into());
    assert_eq!(many, ActionRefusal::NoActions { message: "public/actions.json: it lists too many actions".to_owned() });
    for (version, shown) in [(json!(2), "2"), (json!("1"), "\"1\""), (json!([1]), "[1]"), (json!(1.5), "1.5")] {
        let refused = after_all(|file| file["version"] = version);
        assert_eq!(refused, ActionRefusal::OtherVersion { version: shown.to_owned() });
    }
    let refused = after_all(|file| drop(file.as_object_mut().unwrap().remove("version")));
    assert_eq!(refused, ActionRefusal::OtherVersion { version: "unknown".to_owned() });
}

#[test]
fn the_action_is_one_of_its_name_for_the_whole_push() {
    for context in [json!([{}]), json!([{"kind": "test"}]), json!("x"), json!(null)] {
        let refused = after(|action| action["context"] = context);
        assert_eq!(refused, ActionRefusal::NoSuchAction { available: vec!["cancel-all".to_owned()] });
    }
    let refused = after(|action| action["name"] = "add\u{202e}\nnew".into());
    let available = vec!["add new".to_owned(), "cancel-all".to_owned()];
    assert_eq!(refused, ActionRefusal::NoSuchAction { available });
    let refused = after_all(|file| file["actions"] = json!([]));
    assert_eq!(refused, ActionRefusal::NoSuchAction { available: Vec::new() });
    // Without a context, an action is for the whole push.
    let mut file = file(NEW);
    add_new_jobs(&mut file).as_object_mut().unwrap().remove("context");
    assert!(prepared(&file, 3).is_ok());
}

#[test]
fn several_actions_of_the_name_are_refused_wherever_the_decoy_stands() {
    let mut decoy = file(NEW);
    let decoy = add_new_jobs(&mut decoy);
    decoy["hookId"] = "in-tree-action-3-generic/0000000000".into();
    for place in [0, 4] {
        let refused = after_all(|file| file["actions"].as_array_mut().unwrap().insert(place, decoy.clone()));
        assert_eq!(refused, ActionRefusal::SeveralActions);
    }
    decoy["kind"] = "task".into();
    let refused = after_all(|file| file["actions"].as_array_mut().unwrap().push(decoy.clone()));
    assert_eq!(refused, ActionRefusal::SeveralActions);
    // One for single tasks, or of a kind to come, does not compete.
    for (field, value) in [("context", json!([{}])), ("kind", json!("workflow"))] {
        let mut file = file(NEW);
        let mut other = decoy.clone();
        other[field] = value;
        file["actions"].as_array_mut().unwrap().insert(0, other);
        assert!(prepared(&file, 3).is_ok(), "{field}");
    }
}

#[test]
fn an_action_that_is_not_a_hook_is_refused() {
    for kind in ["task", "workflow"] {
        let refused = after(|action| action["kind"] = kind.into());
        assert_eq!(refused, ActionRefusal::NotAHook { kind: kind.to_owned() });
    }
}

#[test]
fn a_hook_of_another_level_or_form_is_refused() {
    for level in [1, 2] {
        let hook = "project-gecko/in-tree-action-3-generic/9353e8f146".to_owned();
        assert_eq!(prepared(&file(NEW), level), Err(ActionRefusal::HookNotAllowed { hook }));
    }
    for (group, id, shown) in [
        ("project-gecko", "in-tree-action-3-release-promotion/9353e8f146", None),
        ("project-releng", "cron-task-mozilla-central/nightly", None),
        ("project-gecko", "in-tree-action-3-generic/../x", None),
        ("project-gecko/x", "in-tree-action-3-generic/9353e8f146", None),
        ("project-gecko", "a\u{202e}b\n", Some("project-gecko/a b")),
        ("", "", Some("/")),
    ] {
        let refused = after(|action| {
            action["hookGroupId"] = group.into();
            action["hookId"] = id.into();
        });
        let hook = shown.map_or_else(|| format!("{group}/{id}"), str::to_owned);
        assert_eq!(refused, ActionRefusal::HookNotAllowed { hook });
    }
    let refused = after(|action| drop(action.as_object_mut().unwrap().remove("hookId")));
    assert_eq!(refused, ActionRefusal::HookNotAllowed { hook: "project-gecko/".to_owned() });
}

#[test]
fn the_actions_schema_decides_about_the_input() {
    let refused = after(|action| action["schema"]["additionalProperties"] = json!(false));
    assert_eq!(refused, ActionRefusal::InputNotValid { message: "input.request is not allowed".to_owned() });
    let refused = after(|action| action["schema"]["properties"]["tasks"]["maxItems"] = json!(1));
    let message = "input.tasks is 2 items, and at most 1 is allowed".to_owned();
    assert_eq!(refused, ActionRefusal::InputNotValid { message });
    let refused = after(|action| action["schema"]["properties"]["tasks"]["uniqueItems"] = json!(true));
    let message = "its keyword 'uniqueItems' is not known in this form".to_owned();
    assert_eq!(refused, ActionRefusal::SchemaChanged { message });
    let refused = after(|action| drop(action.as_object_mut().unwrap().remove("schema")));
    assert_eq!(refused, ActionRefusal::SchemaChanged { message: "the action takes no input".to_owned() });
}

#[test]
fn the_payload_carries_our_input_or_is_refused() {
    let missing = "the result does not have the input in 'user.input'";
    for payload in [
        json!(null),
        json!([]),
        json!({"user": {}}),
        json!({"user": {"input": {"tasks": LABELS}}}),
        json!({"user": {"input": {"tasks": {"$eval": "input.tasks"}}}}),
        json!({"user": {"input": {"$merge": [{"$eval": "input"}, {"request": "x"}]}}}),
        json!({"user": {"input": {"$merge": [{"$eval": "input"}, {"times": 100}]}}}),
    ] {
        assert_eq!(after(|action| action["hookPayload"] = payload), template(missing));
    }
    for (payload, message) in [
        (json!({"$map": [1], "each(x)": 1}), "the operator $map is not allowed in this form"),
        (json!({"user": {"$eval": "ownTaskId"}}), "there is no value of the name 'ownTaskId'"),
        (json!(vec![json!({"$eval": "input"}); 100_000]), "it makes too much"),
    ] {
        assert_eq!(after(|action| action["hookPayload"] = payload), template(message));
    }
    let refused = after(|action| drop(action.as_object_mut().unwrap().remove("hookPayload")));
    assert_eq!(refused, template("it does not exist"));
    for name in ["input", "taskId", "taskGroupId"] {
        let refused = after_all(|file| file["variables"] = json!({name: "x"}));
        assert_eq!(refused, template(&format!("the file has a variable '{name}'")));
    }
    let refused = after_all(|file| file["variables"] = json!({"a b": "x"}));
    assert!(
        matches!(&refused, ActionRefusal::Template { message } if message.contains("top level keys")),
        "{refused:?}"
    );
    let refused = after_all(|file| file["variables"] = json!([]));
    assert_eq!(refused, template("the variables of the file are not an object"));
}

#[test]
fn one_action_takes_as_many_labels_as_fit() {
    let label = "test-linux2404-64/debug-mochitest-browser-chrome-3";
    assert_eq!(fits(&[]), 0);
    assert_eq!(fits(&[label; 10]), 10);
    assert_eq!(fits(&vec![label; 1500]), MAX_LABELS);
    let long = "\"é".repeat(100);
    for long in [long.as_str(), &"x".repeat(1000), "é"] {
        let labels = vec![long; 1500];
        let count = fits(&labels);
        // With the longest marker.
        let marker = format!("01KAS4B0MRJ6WJ0RGDX8T0E4JQ.{}", u32::MAX);
        let prepared = prepare(NEW.as_bytes(), TASK, &labels[..count], &marker, 3).unwrap();
        assert!(prepared.input_bytes <= MAX_INPUT_BYTES);
        if count < MAX_LABELS {
            let next = prepared.input_bytes + json!(long).to_string().len() + 1;
            assert!(next + 5 > MAX_INPUT_BYTES, "{next}");
        }
    }
    assert_eq!(fits(&[&"x".repeat(MAX_INPUT_BYTES)]), 0);
    for labels in [vec![], vec![label; 1001], vec![&*"x".repeat(130_000)]] {
        let refused = prepare(NEW.as_bytes(), TASK, &labels, MARKER, 3);
        assert!(matches!(refused, Err(ActionRefusal::InputNotValid { .. })));
    }
}

/// A Taskcluster with a decision task of autoland that has these scopes, and its actions.
async fn with_scopes(scopes: &[&str]) -> Setup {
    let setup = Setup::new().await;
    let routes = ["tc-treeherder.v2.autoland.0123abcd.1"];
    let task = json!({"metadata": {"name": "Gecko Decision Task"}, "routes": routes, "scopes": scopes});
    setup.api.on(&format!("/api/queue/v1/task/{TASK}"), [json(&task.to_string())]);
    let location = format!("http://{}/actions", setup.storage.address);
    setup.api.on(&actions(), [redirect(&location, "s3")]);
    setup.storage.on("/actions", [answer("200 OK", "content-encoding: gzip", gzip(NEW.as_bytes()))]);
    setup
}

fn actions() -> String {
    format!("/api/queue/v1/task/{TASK}/artifacts/public%2Factions.json")
}

const EXPAND: &str = "/api/auth/v1/scopes/expand";

async fn prepare_on(setup: &Setup, project: &str, level: u8) -> Result<PreparedAction, PrepareError> {
    setup.client.prepare_action(&task(), project, Some("0123abcd"), &LABELS, MARKER, level).await
}

#[tokio::test]
async fn four_requests_without_credentials_prepare_an_action() {
    let role = "assume:repo:hg.mozilla.org/integration/autoland:branch:default";
    let setup = with_scopes(&[role]).await;
    setup.api.on(
        EXPAND,
        [json(&json!({"scopes": [role, "in-tree:hook-action:project-gecko/in-tree-action-3-*"]}).to_string())],
    );
    let prepared = prepare_on(&setup, "autoland", 3).await.unwrap();
    assert_eq!(prepared, super::prepare::prepared(&file(NEW), 3).unwrap());
    assert_eq!((setup.client.requests(), setup.api.paths().len(), setup.storage.paths().len()), (4, 3, 1));
    assert_eq!(setup.api.bodies()[2], json!({"scopes": [role]}).to_string());
    for request in setup.api.requests.lock().unwrap().iter() {
        assert!(!request.contains("authorization"), "{request}");
    }

    // A scope that needs no role is not expanded.
    let setup = with_scopes(&[SCOPE]).await;
    prepare_on(&setup, "autoland", 3).await.unwrap();
    assert_eq!(setup.client.requests(), 3);
}

#[tokio::test]
async fn a_decision_task_whose_scopes_do_not_allow_the_hook_is_refused() {
    let setup = with_scopes(&["assume:repo:x"]).await;
    let others = ["assume:repo:x", "in-tree:hook-action:project-gecko/in-tree-action-1-*", "in-tree:hook-action"];
    setup.api.on(EXPAND, [json(&json!({"scopes": others}).to_string())]);
    let refusal = ActionRefusal::ScopeNotInTree { scope: SCOPE.to_owned() };
    assert_eq!(prepare_on(&setup, "autoland", 3).await, Err(PrepareError::Refused(refusal)));
    setup.api.on(EXPAND, [page("502 Bad Gateway")]);
    assert!(matches!(prepare_on(&setup, "autoland", 3).await, Err(PrepareError::Unavailable { .. })));
}

#[tokio::test]
async fn a_task_that_does_not_exist_or_is_of_another_project_is_refused() {
    let refused = |message: &str| Err(PrepareError::Refused(ActionRefusal::NoActions { message: message.to_owned() }));
    let setup = with_scopes(&[SCOPE]).await;
    for project in ["try", "auto", "autoland.0123abcd", ""] {
        let expected = refused(&format!("the task {TASK} does not belong to a push to {project}"));
        assert_eq!(prepare_on(&setup, project, 3).await, expected);
    }
    for revision in ["0123abce", "0123", "", "1"] {
        let expected = refused(&format!("the task {TASK} belongs to another push to autoland"));
        let prepared = setup.client.prepare_action(&task(), "autoland", Some(revision), &LABELS, MARKER, 3).await;
        assert_eq!(prepared, expected, "{revision}");
    }
    assert_eq!(setup.storage.paths(), [""; 0]);
    // Treeherder did not say which revision the push has.
    setup.client.prepare_action(&task(), "autoland", None, &LABELS, MARKER, 3).await.unwrap();
    let setup = with_scopes(&[SCOPE]).await;
    setup.api.on(&format!("/api/queue/v1/task/{TASK}"), [not_found("Task not found")]);
    let expected = refused(&format!("the decision task {TASK} does not exist, or has expired"));
    assert_eq!(prepare_on(&setup, "autoland", 3).await, expected);
    assert_eq!(setup.storage.paths(), [""; 0]);
}

#[tokio::test]
async fn actions_that_are_not_there_are_a_refusal_and_an_outage_is_not() {
    let setup = with_scopes(&[SCOPE]).await;
    setup.status("completed", &[("completed", "completed")]);
    let of_run = format!("/api/queue/v1/task/{TASK}/runs/0/artifacts/public%2Factions.json");
    setup.api.on(&of_run, [not_found("Artifact not found")]);
    for (sent, expected) in [
        (
            not_found("Artifact not found"),
            "public/actions.json: the task ended as completed and no run of it has the artifact",
        ),
        (
            error("410 Gone", "ResourceExpired", "Artifact has expired"),
            "public/actions.json: the artifact has expired: Artifact has expired",
        ),
        (
            redirect("https://example.org/", "s3"),
            "public/actions.json: the artifact is refused: the host example.org is not among the configured ones",
        ),
    ] {
        setup.api.on(&actions(), [sent]);
        let expected = ActionRefusal::NoActions { message: expected.to_owned() };
        assert_eq!(prepare_on(&setup, "autoland", 3).await, Err(PrepareError::Refused(expected)));
    }
    for (sent, seconds) in [
        (page("502 Bad Gateway"), None),
        (answer("429 Too Many Requests", "retry-after: 7", ""), Some(7)),
        (page("404 Not Found"), None),
        (Vec::new(), None),
    ] {
        setup.api.on(&actions(), [sent]);
        let error = prepare_on(&setup, "autoland", 3).await.unwrap_err();
        let PrepareError::Unavailable { retry_after, .. } = error else { panic!("{error:?}") };
        assert_eq!(retry_after, seconds.map(Duration::from_secs));
    }
    let huge = gzip(&vec![b' '; 512 * 1024 + 1]);
    setup.api.on(&actions(), [redirect(&format!("http://{}/huge", setup.storage.address), "s3")]);
    setup.storage.on("/huge", [answer("200 OK", "", huge)]);
    let error = prepare_on(&setup, "autoland", 3).await.unwrap_err();
    assert!(error.to_string().contains("longer than 524288 bytes"), "{error}");
}
