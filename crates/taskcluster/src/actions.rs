//! The actions of a push: the file that its decision task leaves, and what is sent to run labels.
//!
//! The file is written by a task, so it is not trusted. What it names is checked, and what it would have a hook do is
//! limited by the hook's own role in Taskcluster.

use requests::refusal::ActionRefusal;
use serde_json::{Map, Value, json};

use crate::error::one_line;
use crate::hook::HookId;
use crate::schema;
use crate::template::render;

/// Maximum number of labels that one action takes.
pub const MAX_LABELS: usize = 1000;
/// Maximum size of the JSON of an action's input, in bytes. It travels in one environment variable, of which Linux
/// takes 128 KiB.
pub const MAX_INPUT_BYTES: usize = 120_000;
/// Maximum size of the file, in bytes. Those of Firefox have some 30 KB. In memory, a file of small objects takes a
/// hundred times as much.
pub const MAX_FILE_BYTES: u64 = 512 * 1024;

/// The action that runs labels.
const NAME: &str = "add-new-jobs";
/// Maximum number of actions in a file. Those of Firefox have up to 20.
const MAX_ACTIONS: usize = 500;
/// Maximum number of names of actions in a refusal.
const MAX_NAMES: usize = 20;
/// Maximum length of a marker: a request's id, a dot and a number.
const MAX_MARKER: usize = 40;
/// Names of values that the file must not give itself.
const OURS: [&str; 3] = ["input", "taskGroupId", "taskId"];

/// An action that is ready: the hook can be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreparedAction {
    /// The hook that is called.
    pub hook: HookId,
    /// What is sent to it.
    pub payload: Value,
    /// The action's input, which is a part of the payload: the labels and the marker.
    pub input: Value,
    /// The size of the input's JSON, in bytes.
    pub input_bytes: usize,
}

/// How many of these labels one action takes, in their order: at most [`MAX_LABELS`], whose input has at most
/// [`MAX_INPUT_BYTES`].
pub fn fits(labels: &[&str]) -> usize {
    let mut left = MAX_INPUT_BYTES - input(&[], &"x".repeat(MAX_MARKER)).to_string().len();
    let fitting = labels.iter().take(MAX_LABELS).take_while(|label| {
        // With a comma.
        let bytes = Value::from(**label).to_string().len() + 1;
        let fits = bytes <= left;
        left = left.saturating_sub(bytes);
        fits
    });
    fitting.count()
}

/// The input of the action. The action ignores the marker, by which its task is found.
fn input(labels: &[&str], marker: &str) -> Value {
    json!({"request": marker, "tasks": labels})
}

/// Prepares the action that runs labels, of the file of a decision task. Only a hook of the project's level is taken.
///
/// # Errors
/// The action cannot be used, or does not take these labels.
pub fn prepare(
    file: &[u8],
    decision_task: &str,
    labels: &[&str],
    marker: &str,
    level: u8,
) -> Result<PreparedAction, ActionRefusal> {
    let input = input(labels, marker);
    let input_bytes = input.to_string().len();
    if labels.is_empty() || labels.len() > MAX_LABELS || input_bytes > MAX_INPUT_BYTES {
        let message = format!("1 to {MAX_LABELS} labels with at most {MAX_INPUT_BYTES} bytes are sent at once");
        return Err(ActionRefusal::InputNotValid { message });
    }
    let file: Value = serde_json::from_slice(file).map_err(|error| {
        // The error may quote the file.
        unreadable(&format!("the file is not JSON, at line {}, column {}", error.line(), error.column()))
    })?;
    let Value::Object(file) = file else { return Err(unreadable("the file is not an object")) };
    let action = find(&file)?;
    let hook = hook(action)?;
    if !hook.is_allowed(level) {
        return Err(ActionRefusal::HookNotAllowed { hook: hook.to_string() });
    }
    match action.get("schema") {
        Some(schema) => schema::check(schema, &input)?,
        None => return Err(ActionRefusal::SchemaChanged { message: "the action takes no input".to_owned() }),
    }
    let payload = payload(&file, action, decision_task, &input)?;
    Ok(PreparedAction { hook, payload, input, input_bytes })
}

fn unreadable(message: &str) -> ActionRefusal {
    ActionRefusal::NoActions { message: format!("public/actions.json: {message}") }
}

/// The action that runs labels.
fn find(file: &Map<String, Value>) -> Result<&Map<String, Value>, ActionRefusal> {
    match file.get("version") {
        Some(version) if version.as_f64() == Some(1.0) => {}
        version => {
            let version = version.map_or_else(|| "unknown".to_owned(), Value::to_string);
            return Err(ActionRefusal::OtherVersion { version: one_line(&version) });
        }
    }
    let Some(Value::Array(actions)) = file.get("actions") else { return Err(unreadable("it lists no actions")) };
    if actions.len() > MAX_ACTIONS {
        return Err(unreadable("it lists too many actions"));
    }
    // Actions without a context are for the whole push. Those of other kinds than these are for programs to come.
    let is_for_pushes = |action: &&Map<String, Value>| match action.get("context") {
        None => true,
        Some(context) => context.as_array().is_some_and(Vec::is_empty),
    };
    let of_push = || actions.iter().filter_map(Value::as_object).filter(is_for_pushes);
    let is_known = |action: &&Map<String, Value>| matches!(text(action, "kind"), "hook" | "task");
    let named: Vec<_> = of_push().filter(|action| text(action, "name") == NAME).collect();
    let known: Vec<_> = named.iter().copied().filter(is_known).collect();
    match (known.as_slice(), named.as_slice()) {
        ([action], _) if text(action, "kind") == "hook" => Ok(action),
        ([action], _) | ([], [action, ..]) => Err(ActionRefusal::NotAHook { kind: one_line(text(action, "kind")) }),
        ([], []) => {
            let mut available: Vec<_> =
                of_push().filter(is_known).map(|action| one_line(text(action, "name"))).collect();
            available.dedup();
            available.truncate(MAX_NAMES);
            Err(ActionRefusal::NoSuchAction { available })
        }
        // The first may be a decoy.
        _ => Err(ActionRefusal::SeveralActions),
    }
}

/// A text of an action; empty if there is none.
fn text<'a>(action: &'a Map<String, Value>, name: &str) -> &'a str {
    action.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn hook(action: &Map<String, Value>) -> Result<HookId, ActionRefusal> {
    let hook = format!("{}/{}", text(action, "hookGroupId"), text(action, "hookId"));
    hook.parse().map_err(|_| ActionRefusal::HookNotAllowed { hook: one_line(&hook) })
}

/// What is sent to the hook.
fn payload(
    file: &Map<String, Value>,
    action: &Map<String, Value>,
    decision_task: &str,
    input: &Value,
) -> Result<Value, ActionRefusal> {
    let wrong = |message: String| ActionRefusal::Template { message };
    let template = action.get("hookPayload").ok_or_else(|| wrong("it does not exist".to_owned()))?;
    let mut context = match file.get("variables") {
        None => Map::new(),
        Some(Value::Object(variables)) => variables.clone(),
        Some(_) => return Err(wrong("the variables of the file are not an object".to_owned())),
    };
    if let Some(name) = OURS.iter().find(|name| context.contains_key(**name)) {
        return Err(wrong(format!("the file has a variable '{name}'")));
    }
    context.insert("input".to_owned(), input.clone());
    context.insert("taskGroupId".to_owned(), decision_task.into());
    context.insert("taskId".to_owned(), Value::Null);
    let payload = render(template, context).map_err(wrong)?;
    // Otherwise the action would run something else, and its task could not be found by its marker.
    if payload.pointer("/user/input") != Some(input) {
        return Err(wrong("the result does not have the input in 'user.input'".to_owned()));
    }
    Ok(payload)
}
