//! A Taskcluster in memory: its Index, its Queue, its Hooks, its Auth and a host of artifacts, as far as the functions need
//! them.

mod hooks;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};

pub use self::hooks::{HOOK, HookFate, actions_file};
use crate::store::http::{Message, serve};

/// The revision of the push of `Task::decision`.
pub const REVISION: &str = "0123456789abcdef0123456789abcdef01234567";

/// What the fake knows of a task.
#[derive(Debug, Clone)]
pub struct Task {
    /// Its routes, such as `tc-treeherder.v2.try.REVISION.1001`.
    pub routes: Vec<String>,
    /// Its state, such as `completed`.
    pub state: String,
    /// `public/runnable-jobs.json` of its only run. Without one the Queue answers 404.
    pub runnable_jobs: Option<Vec<u8>>,
    /// Whether the artifact has expired.
    pub has_expired: bool,
    /// Its scopes.
    pub scopes: Vec<String>,
    /// Its other artifacts, by name.
    pub artifacts: HashMap<String, Vec<u8>>,
    /// Why its run ended, such as `canceled`.
    pub reason: Option<String>,
    /// The input of the action that it is.
    pub input: Option<Value>,
}

impl Task {
    /// A completed decision task of a push of `project`, with this artifact.
    pub fn decision(project: &str, runnable_jobs: impl Into<Vec<u8>>) -> Self {
        Self {
            routes: vec![format!("tc-treeherder.v2.{project}.{REVISION}.1001")],
            state: "completed".to_owned(),
            runnable_jobs: Some(runnable_jobs.into()),
            has_expired: false,
            scopes: vec!["in-tree:hook-action:project-gecko/in-tree-action-1-generic/*".to_owned()],
            artifacts: HashMap::from([("public/actions.json".to_owned(), actions_file().to_string().into_bytes())]),
            reason: None,
            input: None,
        }
    }

    /// A task in this state, without artifacts.
    pub fn in_state(state: &str) -> Self {
        Self { state: state.to_owned(), runnable_jobs: None, artifacts: HashMap::new(), ..Self::decision("try", "") }
    }
}

/// The fake. It serves until the test's process ends.
pub struct FakeTaskcluster {
    /// Its root URL.
    pub url: String,
    /// The host and port of its artifacts.
    pub artifact_host: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    tasks: HashMap<String, Task>,
    index: HashMap<String, String>,
    failure: Option<Message>,
    paths: Vec<String>,
    hooks: hooks::Hooks,
}

impl FakeTaskcluster {
    /// Starts a fake without tasks.
    pub fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let of_artifacts = state.clone();
        let artifacts = serve(move |request| Some(artifact(&mut lock(&of_artifacts), &path(&request))));
        let (of_api, target) = (state.clone(), artifacts.clone());
        let url = serve(move |request| answer(&mut lock(&of_api), &request, &target));
        Self { url, artifact_host: artifacts.trim_start_matches("http://").to_owned(), state }
    }

    /// The variables with which a function uses it.
    pub fn variables(&self) -> [(&'static str, String); 3] {
        [
            ("RUNNABLE_JOBS_TASKCLUSTER_URL", self.url.clone()),
            ("RUNNABLE_JOBS_TASKCLUSTER_PROJECTS", r#"{"try": "gecko.v2.try"}"#.to_owned()),
            ("RUNNABLE_JOBS_TASKCLUSTER_ARTIFACT_HOSTS", self.artifact_host.clone()),
        ]
    }

    /// Adds or replaces a task.
    pub fn set(&self, id: &str, task: Task) {
        lock(&self.state).tasks.insert(id.to_owned(), task);
    }

    /// Sets the task at a path of the Index.
    pub fn index(&self, path: &str, id: &str) {
        lock(&self.state).index.insert(path.to_owned(), id.to_owned());
    }

    /// From now on answers every call of the API with this, or, for `None`, as usual.
    pub fn fail_with(&self, failure: Option<Message>) {
        lock(&self.state).failure = failure;
    }

    /// The state and the artifacts of a task from now on.
    pub fn change(&self, id: &str, change: impl FnOnce(&mut Task)) {
        change(lock(&self.state).tasks.get_mut(id).expect("a task"));
    }

    /// The paths that were requested so far.
    pub fn paths(&self) -> Vec<String> {
        lock(&self.state).paths.clone()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("no panic in the fake")
}

fn path(request: &Message) -> String {
    request.start.split(' ').nth(1).unwrap_or_default().to_owned()
}

fn json_answer(status: &str, body: &serde_json::Value) -> Message {
    Message::answer(status, body.to_string()).with("Content-Type", "application/json; charset=utf-8")
}

fn not_found(message: &str) -> Message {
    let message = format!("{message}\n\n---\n\n* errorCode:  ResourceNotFound\n* statusCode: 404");
    json_answer("404 Not Found", &json!({"code": "ResourceNotFound", "message": message, "requestInfo": {}}))
}

/// An answer of the API; `None` cuts the connection.
fn answer(state: &mut State, request: &Message, artifacts: &str) -> Option<Message> {
    let path = path(request);
    state.paths.push(path.clone());
    if let Some(failure) = &state.failure {
        return Some(failure.clone());
    }
    match hooks::answer(state, &path, request) {
        hooks::Answer::Message(message) => Some(message),
        hooks::Answer::Cut => None,
        hooks::Answer::OtherService => Some(of_index_or_queue(state, &path, artifacts)),
    }
}

fn status(id: &str, task: &Task) -> Value {
    json!({"taskId": id, "taskGroupId": id, "state": task.state, "retriesLeft": 5, "deadline": "2027-11-23T06:00:00.000Z",
        "expires": "2027-11-23T06:00:00.000Z", "runs": [{"runId": 0, "state": task.state, "reasonCreated": "scheduled",
        "scheduled": "2026-11-23T06:00:00.000Z", "reasonResolved": task.reason.as_ref().unwrap_or(&task.state)}]})
}

fn of_index_or_queue(state: &mut State, path: &str, artifacts: &str) -> Message {
    if let Some(path) = path.strip_prefix("/api/index/v1/task/") {
        return match state.index.get(path) {
            Some(id) => json_answer(
                "200 OK",
                &json!({"namespace": path, "taskId": id, "rank": 0, "data": {}, "expires": "2027-11-23T06:00:00.000Z"}),
            ),
            None => not_found("Indexed task not found"),
        };
    }
    let Some(rest) = path.strip_prefix("/api/queue/v1/task/") else { return not_found("Not found") };
    let (id, what) = rest.split_once('/').unwrap_or((rest, ""));
    let Some(task) = state.tasks.get(id) else { return not_found("Task does not exist") };
    match what {
        "" => {
            let extra = task.input.as_ref().map(|input| json!({"action": {"context": {"input": input}}}));
            let definition = json!({"routes": task.routes, "tags": {}, "metadata": {"name": "Gecko Decision Task"},
                "scopes": task.scopes, "extra": extra.unwrap_or_else(|| json!({}))});
            json_answer("200 OK", &definition)
        }
        "status" => json_answer("200 OK", &json!({"status": status(id, task)})),
        _ if other_artifact(task, what).is_some() => {
            let name = other_artifact(task, what).unwrap_or_default();
            redirect(&format!("{artifacts}/{id}/0/{name}"))
        }
        _ if !what.ends_with("artifacts/public%2Frunnable-jobs.json") => not_found("Artifact not found"),
        _ if task.has_expired => json_answer(
            "410 Gone",
            &json!({"code": "ResourceExpired", "message": "Artifact has expired\n\n---\n\n", "requestInfo": {}}),
        ),
        _ if task.runnable_jobs.is_some() => redirect(&format!("{artifacts}/{id}/0/public/runnable-jobs.json")),
        _ => not_found("Artifact not found"),
    }
}

fn redirect(url: &str) -> Message {
    json_answer("303 See Other", &json!({"storageType": "s3", "url": url}))
        .with("Location", url)
        .with("x-taskcluster-artifact-storage-type", "s3")
}

/// The name of the artifact at a path of the Queue, if it is one of the others and the task has it.
fn other_artifact(task: &Task, path: &str) -> Option<String> {
    let (_, name) = path.split_once("artifacts/")?;
    let name = name.replace("%2F", "/");
    task.artifacts.contains_key(&name).then_some(name)
}

fn artifact(state: &mut State, path: &str) -> Message {
    state.paths.push(path.to_owned());
    let (id, name) = path.trim_start_matches('/').split_once("/0/").unwrap_or_default();
    let task = state.tasks.get(id);
    let other = task.and_then(|task| task.artifacts.get(name).cloned());
    match other.or_else(|| task.and_then(|task| task.runnable_jobs.clone())) {
        Some(body) => Message::answer("200 OK", body).with("Content-Type", "application/json"),
        None => Message::answer("404 Not Found", ""),
    }
}
