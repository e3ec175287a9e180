//! The report of an ingest, as it is stored, printed and served.

use std::collections::BTreeMap;

use catalog::guards::GuardRefusal;
use catalog::{buildbot, taskcluster};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The build systems that have ingests.
pub const BUILD_SYSTEMS: [&str; 2] = [buildbot::BUILD_SYSTEM, taskcluster::BUILD_SYSTEM];

/// How an ingest ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportOutcome {
    /// At least one list was replaced.
    Published,
    /// The source, or the catalog that it makes, did not change.
    Unchanged,
    /// A dry run: nothing was written.
    Checked,
    /// A guard or a broken document kept the old catalog.
    Refused,
    /// Another ingest published at the same time.
    Superseded,
    /// The source or the store could not be reached.
    Failed,
}

/// The kind of error of an ingest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureCode {
    /// The source could not be reached, or broke off.
    SourceUnavailable,
    /// The document is broken, too long, or not what it should be.
    DocumentBroken,
    /// The document is that of another project.
    WrongProject,
    /// The decision task does not have the artifact, or does not have it any more.
    ArtifactMissing,
    /// A guard refused the catalog.
    Guarded,
    /// Another ingest published at the same time.
    Superseded,
    /// The store did not answer, or refused.
    StoreUnavailable,
    /// Neither the source nor the catalog has the requested project.
    UnknownProject,
    /// The ingest stopped before its end.
    Interrupted,
    /// A fault of the program, or a kind that a later release introduced.
    #[serde(other)]
    Internal,
}

/// One project's share of an ingest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectReport {
    /// Jobs in the new list.
    pub jobs: usize,
    /// Jobs that were not in the old list.
    pub added: usize,
    /// Jobs that are not in the new list.
    pub removed: usize,
    /// Jobs whose details changed.
    pub changed: usize,
    /// Jobs that did not change.
    pub unchanged: usize,
    /// Tests with a build in the old list and without one in the new list.
    #[serde(default)]
    pub lost_builds: usize,
    /// The task graph that an ingest of Taskcluster found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub graph: Option<GraphReport>,
}

/// What an ingest of Taskcluster did about a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GraphOutcome {
    /// The list was replaced.
    Published,
    /// The list has the jobs of this graph already.
    Unchanged,
    /// A dry run: nothing was written.
    Checked,
    /// The Index knows no decision task. The project keeps its jobs.
    NoDecisionTask,
    /// A guard or a broken document kept the old jobs.
    Refused,
    /// Another ingest published at the same time.
    Superseded,
    /// Taskcluster or the store could not be reached.
    Failed,
}

/// A project's task graph in an ingest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GraphReport {
    /// What the ingest did.
    pub outcome: GraphOutcome,
    /// The decision task, or the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision_task: Option<String>,
    /// The artifact that was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<String>,
    /// The tag of the body that the graph's jobs alone have. While the pointer has it, the list has these jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Why the project was not published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The kind of error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<FailureCode>,
    /// Labels that were left out because they are malformed.
    #[serde(default)]
    pub skipped: u64,
}

impl GraphReport {
    /// A report with this outcome.
    pub fn new(outcome: GraphOutcome) -> Self {
        Self { outcome, decision_task: None, artifact: None, digest: None, error: None, error_code: None, skipped: 0 }
    }

    /// Whether the project's list matches Taskcluster, as far as there is a decision task.
    pub fn succeeded(&self) -> bool {
        matches!(self.outcome, GraphOutcome::Published | GraphOutcome::Unchanged | GraphOutcome::NoDecisionTask)
    }
}

/// The state of a source when an ingest read it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceState {
    /// The address of the source.
    pub address: String,
    /// Its ETag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// Its Last-Modified, as the server sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_modified: Option<String>,
}

/// When ingests are due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// When the next one is due.
    pub next_due: DateTime<Utc>,
    /// Number of ingests that were due since the last successful one and did not run.
    pub missed: u64,
}

/// The report of an ingest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The build system whose jobs it reads. Reports of earlier releases are of Buildbot.
    #[serde(default = "buildbot")]
    pub build_system: String,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// How long it took.
    pub seconds: f64,
    /// How it ended.
    pub outcome: ReportOutcome,
    /// Why it failed to publish.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The kind of error. Reports of earlier releases have no code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<FailureCode>,
    /// The guards that refused the catalog, or that `--force` overrode.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<GuardRefusal>,
    /// The address of the dump, or of Taskcluster.
    pub source: String,
    /// The state of each source that the catalog is made of, by build system.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: BTreeMap<String, SourceState>,
    /// The fingerprint of the rules that read the dump (`catalog::RULES`).
    pub rules: String,
    /// The projects that the ingest was restricted to; empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    /// A fingerprint of Buildbot's jobs in all lists after this ingest. While it matches, the catalog has the jobs that this
    /// ingest published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served: Option<String>,
    /// The archived dump, as `s3://` address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<String>,
    /// Bytes of the uncompressed dump, or of the task graphs.
    pub bytes: u64,
    /// Builders in the dump.
    pub builders: u64,
    /// Jobs that a push can run.
    pub jobs: u64,
    /// Builders that no push can run.
    pub not_runnable: u64,
    /// Builders whose slave pool is empty.
    #[serde(default)]
    pub empty_slavepool: u64,
    /// Tests for which no build was found.
    pub tests_without_build: u64,
    /// Jobs whose names the grammar does not know.
    pub unknown_names: u64,
    /// The first of these names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown: Vec<String>,
    /// Builders and schedulers that were left out because they are malformed.
    pub problem_count: u64,
    /// The first of them, each with its place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    /// The masters of the dump that the catalog is made of, each with how many builders it has.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub masters: BTreeMap<String, u64>,
    /// The masters of the last catalog that this dump does not have, each with how many builders it had.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub masters_gone: BTreeMap<String, u64>,
    /// The changes of each project.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub projects: BTreeMap<String, ProjectReport>,
    /// Items written to the store, without this report.
    pub items_written: u64,
    /// Bytes of the lists written to the store.
    pub bytes_written: u64,
    /// Read units that DynamoDB charged before this report was written.
    pub read_units: f64,
    /// Write units that DynamoDB charged before this report was written.
    pub write_units: f64,
    /// When the next ingest is due, if a schedule is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
}

impl Report {
    /// The report of an ingest of Buildbot at its start.
    pub fn new(started_at: DateTime<Utc>, source: &str) -> Self {
        Self {
            build_system: buildbot(),
            started_at,
            seconds: 0.0,
            outcome: ReportOutcome::Failed,
            error: None,
            error_code: None,
            refusals: Vec::new(),
            source: source.to_owned(),
            sources: BTreeMap::new(),
            rules: catalog::RULES.to_owned(),
            only: Vec::new(),
            served: None,
            archive: None,
            bytes: 0,
            builders: 0,
            jobs: 0,
            not_runnable: 0,
            empty_slavepool: 0,
            tests_without_build: 0,
            unknown_names: 0,
            unknown: Vec::new(),
            problem_count: 0,
            problems: Vec::new(),
            masters: BTreeMap::new(),
            masters_gone: BTreeMap::new(),
            projects: BTreeMap::new(),
            items_written: 0,
            bytes_written: 0,
            read_units: 0.0,
            write_units: 0.0,
            schedule: None,
        }
    }

    /// The report of an ingest of Taskcluster at its start.
    pub fn of_taskcluster(started_at: DateTime<Utc>, source: &str) -> Self {
        Self { build_system: taskcluster::BUILD_SYSTEM.to_owned(), ..Self::new(started_at, source) }
    }

    /// Whether this ingest confirmed the jobs of its build system in a project's list. An ingest of Taskcluster can succeed
    /// with some projects and fail with others.
    pub fn confirmed(&self, project: &str) -> bool {
        if self.build_system == taskcluster::BUILD_SYSTEM {
            let graph = self.projects.get(project).and_then(|project| project.graph.as_ref());
            return graph.is_some_and(GraphReport::succeeded);
        }
        self.succeeded() && (self.only.is_empty() || self.only.iter().any(|only| only == project))
    }

    /// Whether the catalog matches its source after this ingest.
    pub fn succeeded(&self) -> bool {
        matches!(self.outcome, ReportOutcome::Published | ReportOutcome::Unchanged)
    }
}

/// The build system of a report of an earlier release.
fn buildbot() -> String {
    buildbot::BUILD_SYSTEM.to_owned()
}
