//! A Taskcluster in memory: its Index, its Queue and a host of artifacts, as far as the lists of pushes need them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::json;

use crate::store::http::{Message, serve};

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
}

impl Task {
    /// A completed decision task of a push of `project`, with this artifact.
    pub fn decision(project: &str, runnable_jobs: impl Into<Vec<u8>>) -> Self {
        Self {
            routes: vec![format!("tc-treeherder.v2.{project}.0123456789abcdef0123456789abcdef01234567.1001")],
            state: "completed".to_owned(),
            runnable_jobs: Some(runnable_jobs.into()),
            has_expired: false,
        }
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
}

impl FakeTaskcluster {
    /// Starts a fake without tasks.
    pub fn start() -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let of_artifacts = state.clone();
        let artifacts = serve(move |request| Some(artifact(&mut lock(&of_artifacts), &path(&request))));
        let (of_api, target) = (state.clone(), artifacts.clone());
        let url = serve(move |request| Some(answer(&mut lock(&of_api), &path(&request), &target)));
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

fn answer(state: &mut State, path: &str, artifacts: &str) -> Message {
    state.paths.push(path.to_owned());
    if let Some(failure) = &state.failure {
        return failure.clone();
    }
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
        "" => json_answer(
            "200 OK",
            &json!({"routes": task.routes, "tags": {}, "metadata": {"name": "Gecko Decision Task"}, "scopes": []}),
        ),
        "status" => json_answer(
            "200 OK",
            &json!({"status": {"taskId": id, "state": task.state, "runs": [{"runId": 0, "state": task.state}]}}),
        ),
        _ if !what.ends_with("artifacts/public%2Frunnable-jobs.json") => not_found("Artifact not found"),
        _ if task.has_expired => json_answer(
            "410 Gone",
            &json!({"code": "ResourceExpired", "message": "Artifact has expired\n\n---\n\n", "requestInfo": {}}),
        ),
        _ if task.runnable_jobs.is_some() => {
            let url = format!("{artifacts}/{id}/0/public/runnable-jobs.json");
            json_answer("303 See Other", &json!({"storageType": "s3", "url": url}))
                .with("Location", &url)
                .with("x-taskcluster-artifact-storage-type", "s3")
        }
        _ => not_found("Artifact not found"),
    }
}

fn artifact(state: &mut State, path: &str) -> Message {
    state.paths.push(path.to_owned());
    let id = path.split('/').nth(1).unwrap_or_default();
    match state.tasks.get(id).and_then(|task| task.runnable_jobs.clone()) {
        Some(body) => Message::answer("200 OK", body).with("Content-Type", "application/json"),
        None => Message::answer("404 Not Found", ""),
    }
}
