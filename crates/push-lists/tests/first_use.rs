//! The lists of pushes, with a catalog in the emulator and a Taskcluster in memory.
#![allow(clippy::unwrap_used, reason = "a helper of a test may fail as the test may")]

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use catalog::buildbot::{CatalogJob, write_body, write_index};
use catalog::list::{Listing, PackedList};
use catalog::taskcluster::TaskId;
use chrono::{DateTime, TimeDelta, Utc};
use push_lists::{PushListError, PushLists};
use serde_json::json;
use store::{CatalogCache, CatalogTable, ListPointer, Provenance, ReadStats};
use taskcluster::TaskclusterSettings;
use test_support::store::http::Message;
use test_support::store::{at, client, endpoint, items, new_table};
use test_support::taskcluster::{FakeTaskcluster, Task};

const TASK: &str = "Ab-_9fIzT8aXVvV2yWqhGQ";
const BUILD: &str = "Linux x86-64 try build";
const REVISION: &str = "0123456789abcdef0123456789abcdef01234567";

/// A catalog with one Buildbot job of try, and a Taskcluster.
struct Fixture {
    taskcluster: FakeTaskcluster,
    client: aws_sdk_dynamodb::Client,
    name: String,
    now: Arc<Mutex<DateTime<Utc>>>,
}

/// A process: what it has in memory.
struct Process {
    cache: CatalogCache,
    pushes: PushLists,
}

fn task() -> TaskId {
    TASK.parse().unwrap()
}

fn graph() -> String {
    json!({
        "build-linux64/opt": {"symbol": "B", "collection": {"opt": true}, "platform": "linux64"},
        "test-linux64/opt-mochitest-1": {"symbol": "1", "groupSymbol": "M", "groupName": "Mochitests",
            "collection": {"opt": true}, "platform": "linux64"},
    })
    .to_string()
}

impl Fixture {
    async fn new() -> Self {
        let client = client(&endpoint()).await;
        let name = new_table(&client).await;
        let jobs = [CatalogJob { name: BUILD, upstream: None }];
        let mut body = Vec::new();
        let summary = write_body("try", &jobs, &mut body, |_| ());
        let list = PackedList::new(&body, summary);
        let index = write_index("try", &list.etag, &jobs);
        let updated_at = at("2026-11-23T06:00:00Z");
        let provenance = Provenance { source: "https://example.org/a.json".to_owned(), source_etag: None, updated_at };
        let table = CatalogTable::new(client.clone(), &name);
        for project in ["try", "autoland"] {
            table.publish(project, &list.clone().with_index(index.clone()), None, &provenance).await.unwrap();
        }
        let taskcluster = FakeTaskcluster::start();
        taskcluster.set(TASK, Task::decision("try", graph()));
        Self { taskcluster, client, name, now: Arc::new(Mutex::new(at("2026-11-23T07:00:00Z"))) }
    }

    fn process(&self) -> Process {
        self.process_with(&self.taskcluster.variables())
    }

    fn process_with(&self, variables: &[(&str, String)]) -> Process {
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.clone());
        let settings = TaskclusterSettings::read(find).unwrap().unwrap();
        let now = self.now.clone();
        let clock: runtime::Clock = Arc::new(move || *now.lock().unwrap());
        let table = CatalogTable::new(self.client.clone(), &self.name);
        let cache = CatalogCache::new(table, TimeDelta::seconds(30), usize::MAX, clock.clone());
        Process { cache, pushes: PushLists::new(settings, clock) }
    }

    fn wait(&self, seconds: i64) {
        *self.now.lock().unwrap() += TimeDelta::seconds(seconds);
    }

    /// The number of times that the artifact was fetched.
    fn fetched(&self) -> usize {
        self.taskcluster.paths().iter().filter(|path| path.ends_with("/0/public/runnable-jobs.json")).count()
    }

    async fn kept_items(&self) -> usize {
        items(&self.client, &self.name).await.keys().filter(|(pk, _)| pk.starts_with("graph#")).count()
    }
}

impl Process {
    async fn pointer(&self) -> Result<Arc<ListPointer>, PushListError> {
        self.pushes.pointer(&self.cache, "try", &task(), &ReadStats::default()).await
    }

    async fn error(&self) -> PushListError {
        self.pointer().await.unwrap_err()
    }

    async fn names(&self) -> Vec<String> {
        let pointer = self.pointer().await.unwrap();
        let list = self.cache.list(&task(), &pointer, &ReadStats::default()).await.unwrap();
        let listing = Listing::read(list.value.plain().unwrap()).unwrap();
        listing.names().map(ToOwned::to_owned).collect()
    }
}

#[tokio::test]
async fn a_pushs_list_has_the_jobs_of_its_graph_and_the_buildbot_jobs_of_its_project() {
    let fixture = Fixture::new().await;
    let process = fixture.process();
    let expected = [BUILD, "build-linux64/opt", "test-linux64/opt-mochitest-1"];
    assert_eq!(process.names().await, expected);
    let summary = process.pointer().await.unwrap().summary.clone();
    let systems = [("buildbot".to_owned(), 1), ("taskcluster".to_owned(), 2)];
    assert_eq!((summary.jobs, summary.build_systems), (3, systems.into()));
    // By its index too.
    let pointer = process.pointer().await.unwrap();
    let names = process.cache.names_of(&task(), &pointer, &ReadStats::default()).await.unwrap().value;
    assert!(names.len() == 3 && expected.iter().all(|name| names.contains(name)));
}

#[tokio::test]
async fn the_graph_is_fetched_once_whatever_happens_to_it_and_to_the_project_later() {
    let fixture = Fixture::new().await;
    let first = fixture.process();
    let names = first.names().await;
    fixture.taskcluster.set(TASK, Task::decision("try", r#"{"other": {"symbol": "O"}}"#));
    fixture.wait(3600);
    assert_eq!(first.names().await, names);
    assert_eq!(fixture.process().names().await, names);
    assert_eq!((fixture.fetched(), fixture.kept_items().await), (1, 2));
}

#[tokio::test]
async fn two_first_uses_at_once_in_a_process_fetch_once() {
    let fixture = Fixture::new().await;
    let process = fixture.process();
    let (one, other) = tokio::join!(process.pointer(), process.pointer());
    assert_eq!((one.unwrap(), fixture.fetched()), (other.unwrap(), 1));
}

#[tokio::test]
async fn two_first_uses_at_once_in_two_processes_keep_one_list() {
    let fixture = Fixture::new().await;
    let (one, other) = (fixture.process(), fixture.process());
    let (one, other) = tokio::join!(one.pointer(), other.pointer());
    assert_eq!((one.unwrap(), fixture.kept_items().await), (other.unwrap(), 2));
}

#[tokio::test]
async fn the_artifact_decides_and_not_the_state_of_the_task() {
    for state in ["running", "failed", "exception"] {
        let fixture = Fixture::new().await;
        let task = Task { state: state.to_owned(), ..Task::decision("try", graph()) };
        fixture.taskcluster.set(TASK, task);
        assert_eq!(fixture.process().names().await.len(), 3, "{state}");
    }
}

#[tokio::test]
async fn a_list_that_is_not_there_yet_is_found_when_it_is_there() {
    let fixture = Fixture::new().await;
    let process = fixture.process();
    let running = Task { state: "running".to_owned(), runnable_jobs: None, ..Task::decision("try", "") };
    fixture.taskcluster.set(TASK, running);
    let error = process.error().await;
    assert_eq!(
        error.to_string(),
        format!(
            "Decision task {TASK} is running: it has not written down yet what the push can run. Try again in a moment."
        )
    );
    assert_eq!((error.retry_after(), error.error_code().unwrap().code), (Some(15), "push_list_not_ready"));
    fixture.taskcluster.set(TASK, Task::decision("try", graph()));
    fixture.wait(5);
    assert_eq!(process.names().await.len(), 3);
}

#[tokio::test]
async fn a_list_that_will_never_be_there_says_why() {
    let fixture = Fixture::new().await;
    let decision = || Task::decision("try", graph());
    let gone = |state: &str| Task { state: state.to_owned(), runnable_jobs: None, ..decision() };
    let cases = [
        (
            Task { routes: Vec::new(), ..decision() },
            format!("Task {TASK} is not a decision task: it belongs to no push."),
            "no_push_list",
        ),
        (
            Task::decision("autoland", graph()),
            format!("Decision task {TASK} belongs to autoland, not to try."),
            "no_push_list",
        ),
        (
            gone("failed"),
            format!(
                "Decision task {TASK} has no list of jobs: the task ended as failed and no run of it has the artifact."
            ),
            "no_push_list",
        ),
        (
            Task { has_expired: true, ..decision() },
            format!("The list of decision task {TASK} has expired: nothing more can be run on its push."),
            "push_list_expired",
        ),
        (
            Task::decision("try", "<html>"),
            format!(
                "The list of decision task {TASK} cannot be used: public/runnable-jobs.json: this is not JSON: it \
                 starts with '<'."
            ),
            "push_list_unusable",
        ),
    ];
    for (task, said, code) in cases {
        fixture.taskcluster.set(TASK, task);
        let error = fixture.process().error().await;
        assert_eq!((error.to_string(), error.error_code().unwrap().code), (said, code));
        assert_eq!(error.retry_after(), None);
    }
    let unknown: TaskId = "RGxvyxsJRdWoCXCpZAkSTA".parse().unwrap();
    let process = fixture.process();
    let error = process.pushes.pointer(&process.cache, "try", &unknown, &ReadStats::default()).await.unwrap_err();
    assert_eq!(error, PushListError::UnknownTask { task: unknown });
    assert_eq!(fixture.kept_items().await, 0);
}

#[tokio::test]
async fn a_kept_list_belongs_to_its_project() {
    let fixture = Fixture::new().await;
    let process = fixture.process();
    process.pointer().await.unwrap();
    for process in [process, fixture.process()] {
        let of_autoland = process.pushes.pointer(&process.cache, "autoland", &task(), &ReadStats::default()).await;
        let said = format!("Decision task {TASK} belongs to try, not to autoland.");
        assert_eq!(of_autoland.unwrap_err().to_string(), said);
        let of_nothing = process.pushes.pointer(&process.cache, "elm", &task(), &ReadStats::default()).await;
        assert!(matches!(of_nothing, Err(PushListError::UnknownProject { .. })));
    }
}

#[tokio::test]
async fn a_project_that_the_catalog_does_not_have_has_no_lists_of_pushes() {
    let fixture = Fixture::new().await;
    fixture.taskcluster.set(TASK, Task::decision("tri", graph()));
    let process = fixture.process();
    let error = process.pushes.pointer(&process.cache, "tri", &task(), &ReadStats::default()).await.unwrap_err();
    let suggestions = vec!["try".to_owned()];
    assert_eq!(error, PushListError::UnknownProject { project: "tri".to_owned(), suggestions });
}

#[tokio::test]
async fn while_taskcluster_does_not_answer_kept_lists_are_used_and_others_wait() {
    let fixture = Fixture::new().await;
    let names = fixture.process().names().await;
    let busy = Message::answer("429 Too Many Requests", "").with("Retry-After", "42");
    fixture.taskcluster.fail_with(Some(busy));
    assert_eq!(fixture.process().names().await, names);
    let other: TaskId = "RGxvyxsJRdWoCXCpZAkSTA".parse().unwrap();
    let process = fixture.process();
    let error = process.pushes.pointer(&process.cache, "try", &other, &ReadStats::default()).await.unwrap_err();
    assert_eq!((error.retry_after(), error.error_code().unwrap().code), (Some(42), "taskcluster_unavailable"));
    let asked = fixture.taskcluster.paths().len();
    process.pushes.pointer(&process.cache, "try", &other, &ReadStats::default()).await.unwrap_err();
    assert_eq!(fixture.taskcluster.paths().len(), asked, "it is left alone for some seconds");
}

#[tokio::test]
async fn a_revision_has_a_decision_task_once_the_index_has_it() {
    let fixture = Fixture::new().await;
    let process = fixture.process();
    let unknown = process.pushes.decision_task("try", REVISION).await.unwrap_err();
    assert_eq!(unknown.error_code().unwrap().code, "no_push_list");
    fixture.taskcluster.index(&format!("gecko.v2.try.revision.{REVISION}.taskgraph.decision"), TASK);
    fixture.wait(15);
    assert_eq!(process.pushes.decision_task("try", REVISION).await, Ok(task()));
    let asked = fixture.taskcluster.paths().len();
    fixture.wait(3600);
    assert_eq!(process.pushes.decision_task("try", REVISION).await, Ok(task()));
    assert_eq!(fixture.taskcluster.paths().len(), asked);
    for (project, revision) in [("autoland", REVISION), ("try", "tip"), ("try", "")] {
        assert!(matches!(
            process.pushes.decision_task(project, revision).await,
            Err(PushListError::UnknownRevision { .. })
        ));
    }
}

#[tokio::test]
async fn a_taskcluster_that_hangs_is_reported_before_lambda_ends_the_function() {
    let fixture = Fixture::new().await;
    // The system accepts its connections, and nothing answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut variables = fixture.taskcluster.variables();
    variables[0].1 = format!("http://{}", silent.local_addr().unwrap());
    let process = fixture.process_with(&variables);
    let began = Instant::now();
    for error in [process.pushes.decision_task("try", REVISION).await.unwrap_err(), process.error().await] {
        assert!(matches!(error, PushListError::TaskclusterUnavailable { .. }), "{error:?}");
    }
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    // It is remembered for a while, so that reloads of a page do not wait each time.
    let began = Instant::now();
    process.error().await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
}
