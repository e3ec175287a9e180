//! A Taskcluster whose Index, Queue and artifacts a test sets, and ingests of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard};

use chrono::{DateTime, Utc};
use etl::ingest::{IngestError, no_progress};
use etl::source::taskcluster::TaskclusterSource;
use etl::taskcluster_ingest::TaskclusterIngest;
use serde_json::{Value, json};
use store::{CatalogTable, GraphReport, Report};
use taskcluster::{TaskclusterSettings, variables};

use super::http::{self, Message};
use super::{TestEnv, client, gzip, two_hours_later};

pub(crate) const FULL: &str = "public/full-task-graph.json";
pub(crate) const RUNNABLE: &str = "public/runnable-jobs.json";

/// A Taskcluster with the projects `try` and `autoland`.
pub(crate) struct FakeTaskcluster {
    root_url: String,
    artifact_host: String,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// The latest decision task of each project.
    latest: BTreeMap<String, String>,
    /// The project of each decision task.
    projects: BTreeMap<String, String>,
    /// Each artifact by `TASK/NAME`.
    artifacts: BTreeMap<String, Vec<u8>>,
    /// What the Queue answers to a request for an artifact in place of a redirect, by `TASK/NAME`.
    answers: BTreeMap<String, Message>,
    /// What the Index answers, by project.
    index_answers: BTreeMap<String, Message>,
    asked: Vec<String>,
}

/// The id of a decision task.
pub(crate) fn task_id(number: u32) -> String {
    format!("{number:08}QACaaaaaaaaaaA")
}

fn not_found() -> Message {
    Message::answer("404 Not Found", r#"{"code": "ResourceNotFound", "message": "not found"}"#)
}

fn answer(body: &Value) -> Message {
    Message::answer("200 OK", body.to_string()).with("Content-Type", "application/json")
}

impl FakeTaskcluster {
    pub(crate) fn new() -> Self {
        let state: Arc<Mutex<State>> = Arc::default();
        let files = state.clone();
        let storage = http::serve(move |request| {
            let path = request.start.split(' ').nth(1).expect("a path").trim_start_matches('/').to_owned();
            let body = lock(&files).artifacts.get(&path).cloned();
            Some(body.map_or_else(not_found, |body| {
                Message::answer("200 OK", body).with("Content-Type", "application/json")
            }))
        });
        let (api, at) = (state.clone(), storage.clone());
        let root_url = http::serve(move |request| {
            let path = request.start.split(' ').nth(1).expect("a path").to_owned();
            lock(&api).asked.push(path.clone());
            Some(respond(&lock(&api), &path, &at))
        });
        let artifact_host = storage.trim_start_matches("http://").to_owned();
        Self { root_url, artifact_host, state }
    }

    /// Makes a decision task the latest of a project, without artifacts.
    pub(crate) fn decide(&self, project: &str, number: u32) -> String {
        let (id, mut state) = (task_id(number), lock(&self.state));
        state.latest.insert(project.to_owned(), id.clone());
        state.projects.insert(id.clone(), project.to_owned());
        id
    }

    /// Gives a decision task an artifact.
    pub(crate) fn put(&self, id: &str, name: &str, content: &[u8]) {
        lock(&self.state).artifacts.insert(format!("{id}/{name}"), content.to_vec());
    }

    /// A decision task with a full graph of these labels.
    pub(crate) fn decide_with(&self, project: &str, number: u32, labels: &[&str]) -> String {
        let id = self.decide(project, number);
        self.put(&id, FULL, &gzip(&full_graph(project, labels)));
        id
    }

    pub(crate) fn answer_artifact(&self, id: &str, name: &str, answer: Message) {
        lock(&self.state).answers.insert(format!("{id}/{name}"), answer);
    }

    pub(crate) fn answer_index(&self, project: &str, answer: Message) {
        lock(&self.state).index_answers.insert(project.to_owned(), answer);
    }

    /// Says that a decision task is of another project.
    pub(crate) fn is_of(&self, id: &str, project: &str) {
        lock(&self.state).projects.insert(id.to_owned(), project.to_owned());
    }

    /// The paths of the requests since this was asked last.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.state).asked)
    }

    pub(crate) fn source(&self) -> TaskclusterSource {
        let lookup = |variable: &str| match variable {
            variables::TASKCLUSTER_URL => Some(self.root_url.clone()),
            variables::TASKCLUSTER_PROJECTS => {
                Some(r#"{"autoland": "gecko.v2.autoland", "try": "gecko.v2.try"}"#.to_owned())
            }
            variables::TASKCLUSTER_ARTIFACT_HOSTS => Some(self.artifact_host.clone()),
            _ => None,
        };
        TaskclusterSettings::read(lookup).expect("good settings").expect("a root URL").into()
    }
}

fn respond(state: &State, path: &str, storage: &str) -> Message {
    if let Some(index) = path.strip_prefix("/api/index/v1/task/gecko.v2.") {
        let project = index.trim_end_matches(".latest.taskgraph.decision");
        if let Some(answer) = state.index_answers.get(project) {
            return answer.clone();
        }
        return state.latest.get(project).map_or_else(not_found, |id| answer(&json!({"taskId": id})));
    }
    let Some(task) = path.strip_prefix("/api/queue/v1/task/") else { return not_found() };
    let (id, rest) = task.split_once('/').unwrap_or((task, ""));
    let Some(project) = state.projects.get(id) else { return not_found() };
    let rest = rest.strip_prefix("runs/0/").unwrap_or(rest);
    match rest {
        "" => answer(&json!({
            "routes": [format!("tc-treeherder.v2.{project}.0123456789abcdef.1")],
            "metadata": {"name": "Gecko Decision Task"},
            "tags": {},
        })),
        "status" => answer(&json!({"status": {"state": "completed", "runs": [{"runId": 0, "state": "completed"}]}})),
        _ => {
            let name = rest.trim_start_matches("artifacts/").replace("%2F", "/");
            let key = format!("{id}/{name}");
            match (state.answers.get(&key), state.artifacts.contains_key(&key)) {
                (Some(answer), _) => answer.clone(),
                (None, false) => not_found(),
                (None, true) => Message::answer("303 See Other", "{}")
                    .with("Location", &format!("{storage}/{key}"))
                    .with("x-taskcluster-artifact-storage-type", "s3"),
            }
        }
    }
}

fn lock(mutex: &Mutex<State>) -> MutexGuard<'_, State> {
    mutex.lock().expect("no panic in the server")
}

/// Names of builds and tests: each test of a number depends on the build.
pub(crate) fn labels(numbers: std::ops::Range<u32>) -> Vec<String> {
    let build = std::iter::once("build-linux64/opt".to_owned());
    build.chain(numbers.map(|number| format!("test-linux64/opt-mochitest-{number}"))).collect()
}

/// A full graph of these labels; tests depend on `build-linux64/opt`.
pub(crate) fn full_graph(project: &str, labels: &[&str]) -> Vec<u8> {
    let task = |label: &str| {
        let dependencies = if label.starts_with("test-") { json!({"build": "build-linux64/opt"}) } else { json!({}) };
        json!({
            "label": label, "kind": "test", "attributes": {}, "dependencies": dependencies,
            "task": {
                "routes": [format!("tc-treeherder.v2.{project}.0123456789abcdef.1")],
                "extra": {"treeherder": {
                    "symbol": "1", "groupSymbol": "M", "groupName": "Mochitests", "tier": 2,
                    "collection": {"opt": true}, "machine": {"platform": "linux64"},
                }},
            },
        })
    };
    object(labels, task)
}

/// The same as runnable-jobs.json.
pub(crate) fn runnable_jobs(labels: &[&str]) -> Vec<u8> {
    let entry = |_: &str| {
        json!({"symbol": "1", "groupSymbol": "M", "groupName": "Mochitests", "collection": {"opt": true},
               "platform": "linux64"})
    };
    object(labels, entry)
}

fn object(labels: &[&str], value: impl Fn(&str) -> Value) -> Vec<u8> {
    let mut text = String::from("{");
    for (at, label) in labels.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        write!(text, "{comma}{}:{}", json!(label), value(label)).expect("memory can be written");
    }
    (text + "}").into_bytes()
}

/// Borrows labels.
pub(crate) fn borrowed(labels: &[String]) -> Vec<&str> {
    labels.iter().map(String::as_str).collect()
}

/// An ingest of Taskcluster that is about to be made.
pub(crate) struct TaskclusterAttempt<'e> {
    env: &'e TestEnv,
    source: TaskclusterSource,
    through: Option<String>,
    pub(crate) dry_run: bool,
    pub(crate) force: bool,
    pub(crate) only: Vec<String>,
    pub(crate) max_source_bytes: u64,
    pub(crate) clock: fn() -> DateTime<Utc>,
}

impl TestEnv {
    pub(crate) fn ingest_taskcluster(&self, source: TaskclusterSource) -> TaskclusterAttempt<'_> {
        TaskclusterAttempt {
            env: self,
            source,
            through: None,
            dry_run: false,
            force: false,
            only: Vec::new(),
            max_source_bytes: 10_000_000,
            clock: two_hours_later,
        }
    }
}

impl TaskclusterAttempt<'_> {
    /// Reaches the table at this endpoint.
    pub(crate) fn through(mut self, endpoint: &str) -> Self {
        self.through = Some(endpoint.to_owned());
        self
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub(crate) async fn made(self) -> (Report, Result<(), IngestError>) {
        let client = match &self.through {
            Some(endpoint) => client(endpoint).await,
            None => self.env.client.clone(),
        };
        let ingest = TaskclusterIngest {
            source: &self.source,
            table: &CatalogTable::new(client, &self.env.name),
            max_drop_percent: 20,
            max_source_bytes: self.max_source_bytes,
            schedule: None,
            dry_run: self.dry_run,
            force: self.force,
            only: &self.only,
            clock: self.clock,
            on_progress: no_progress(),
        };
        ingest.run().await
    }

    /// Makes the ingest, which must end well.
    pub(crate) async fn made_well(self) -> Report {
        let (report, result) = self.made().await;
        if let Err(error) = result {
            panic!("{error}\n{report:?}");
        }
        report
    }

    /// Makes the ingest, which must not end well.
    pub(crate) async fn made_badly(self) -> (Report, IngestError) {
        let (report, result) = self.made().await;
        (report, result.expect_err("the ingest must not end well"))
    }
}

/// What a report says of a project's graph.
pub(crate) fn graph<'r>(report: &'r Report, project: &str) -> &'r GraphReport {
    report.projects[project].graph.as_ref().expect("a graph")
}
