//! The schemas of the answers in the API reference.
//!
//! Lists are stored as they are served, so no code here makes one: `RunnableJobs` and `RunnableJob` describe what
//! `catalog::list::write_body` writes, `Grid` what `catalog::list::Listing::grid` writes. The tests compare each answer
//! with them.

mod grid;
mod page;

use std::collections::{BTreeMap, BTreeSet};

use catalog::list::FIELDS;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

pub use self::grid::{Grid, GridColumns, GridGroup, GridMeta};
pub use self::page::{PageConfig, PageSignIn};

/// A project's runnable jobs, in the shape of Treeherder's own list of 2015-2019.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunnableJobs {
    /// The project and the page.
    pub meta: ListMeta,
    /// The jobs, by name. With the parameter `fields`, each has only those.
    pub results: Vec<RunnableJob>,
}

/// The project and the page of a list.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ListMeta {
    /// The project.
    #[schema(example = "try")]
    pub repository: String,
    /// How many jobs were skipped.
    pub offset: u64,
    /// The requested count; without one, the number of jobs in the answer.
    pub count: u64,
    /// How many jobs match the filters. Only in answers to requests with parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub total: Option<u64>,
}

/// A job that can be run on a push.
///
/// A job of Buildbot has all fields except `tier`. A job of Taskcluster has `build_platform`, `platform`,
/// `job_group_name`, `job_group_symbol`, `job_type_name`, `job_type_symbol`, `ref_data_name`, `build_system_type`,
/// `platform_option`, `state`, `result`, `tier` and `upstream`.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunnableJob {
    /// A number for the platform, the same for the same platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub build_platform_id: Option<u64>,
    /// The platform that the product is built for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "linux64")]
    pub build_platform: Option<String>,
    /// Its operating system, or `unknown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "linux")]
    pub build_os: Option<String>,
    /// Its architecture, or `unknown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "x86_64")]
    pub build_architecture: Option<String>,
    /// A number for the platform that the job runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub machine_platform_id: Option<u64>,
    /// The platform that the job runs on: a row of Treeherder's page. Empty for a Taskcluster job without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "linux64")]
    pub platform: Option<String>,
    /// Its operating system, or `unknown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "linux")]
    pub machine_platform_os: Option<String>,
    /// Its architecture, or `unknown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "x86_64")]
    pub machine_platform_architecture: Option<String>,
    /// A number for the group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub job_group_id: Option<u64>,
    /// The group's name, `unknown`, or empty for a Taskcluster job without a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Mochitest e10s")]
    pub job_group_name: Option<String>,
    /// The group's symbol, `?`, or empty for a Taskcluster job without a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "M-e10s")]
    pub job_group_symbol: Option<String>,
    /// Empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub job_group_description: Option<String>,
    /// A number for the job type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub job_type_id: Option<u64>,
    /// The job type's name, or `unknown`; of a Taskcluster job its label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Mochitest e10s")]
    pub job_type_name: Option<String>,
    /// The job type's symbol, or `?`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "3")]
    pub job_type_symbol: Option<String>,
    /// Empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub job_type_description: Option<String>,
    /// The SHA-1 of the options' names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "102210fe594ee9b33d82058545b1ed14f4c8206e")]
    pub option_collection_hash: Option<String>,
    /// The builder name, or the Taskcluster label. Requests name a job by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Ubuntu VM 12.04 x64 try opt test mochitest-e10s-3")]
    pub ref_data_name: Option<String>,
    /// `buildbot` or `taskcluster`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "buildbot")]
    pub build_system_type: Option<String>,
    /// The options, in alphabetical order, separated by spaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "opt")]
    pub platform_option: Option<String>,
    /// Null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_coalesced_to_guid: Option<String>,
    /// `runnable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "runnable")]
    pub state: Option<String>,
    /// `runnable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "runnable")]
    pub result: Option<String>,
    /// The tier: 1 for jobs that must pass, 2 and 3 for others. Only jobs of Taskcluster have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, minimum = 1, maximum = 3, example = 1)]
    pub tier: Option<u8>,
    /// The `ref_data_name` of the build that a test needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "Linux x86-64 try build")]
    pub upstream: Option<String>,
}

/// A field of a job, as the parameter `fields` names it.
#[derive(Debug)]
pub struct Field;

impl PartialSchema for Field {
    fn schema() -> RefOr<Schema> {
        let names = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(FIELDS));
        names.description(Some("A field of a job.")).into()
    }
}

impl ToSchema for Field {}

/// A project's list: its jobs, or with `view=grid` its grid.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
#[expect(clippy::large_enum_variant, reason = "a schema: no program holds many of them")]
pub enum ListAnswer {
    /// The jobs.
    Jobs(RunnableJobs),
    /// The grid.
    Grid(Grid),
}

/// A job, the build that it needs, and the tests that need it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JobWithRelatives {
    /// The project, and the requested name.
    pub meta: JobMeta,
    /// The job.
    pub job: RunnableJob,
    /// The build that it needs; null if it needs no build, or if the build is not in the list.
    #[schema(required)]
    pub upstream_build: Option<RunnableJob>,
    /// The tests that need it.
    pub tests: Vec<RunnableJob>,
}

/// The project of a job, and the requested name.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JobMeta {
    /// The project.
    #[schema(example = "try")]
    pub repository: String,
    /// The requested name, if it differs from the job's in case or blanks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub asked_as: Option<String>,
}

/// Every project.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Projects {
    /// The projects, by name.
    pub projects: Vec<Project>,
}

/// A project at a glance.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Project {
    /// Its name.
    #[schema(example = "try")]
    pub name: String,
    /// How many jobs it has.
    pub jobs: usize,
    /// How many of them each build system has.
    pub build_systems: BTreeMap<String, usize>,
    /// The known platforms that they run on.
    pub platforms: BTreeSet<String>,
    /// When its list changed last.
    pub updated_at: DateTime<Utc>,
    /// When an ingest last checked the list against its source; of several build systems, the one checked longest ago.
    pub checked_at: DateTime<Utc>,
    /// Whether an ingest of one of its build systems that was due since then was missed.
    pub stale: bool,
    /// The address of its list.
    #[schema(example = "/api/project/try/runnable_jobs/")]
    pub runnable_jobs: String,
}

/// The last ingests.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Ingests {
    /// At most 20 of each build system, newest first.
    pub ingests: Vec<Ingest>,
}

/// The result of an ingest.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Ingest {
    /// The build system whose jobs it read: `buildbot` or `taskcluster`.
    #[schema(example = "buildbot")]
    pub build_system: String,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// How long it took.
    pub seconds: f64,
    /// How it ended.
    pub outcome: IngestOutcome,
    /// Why it did not publish: a sentence for the code. Null if it succeeded.
    #[schema(required)]
    pub error: Option<String>,
    /// The kind of error.
    #[schema(required)]
    pub error_code: Option<IngestErrorCode>,
    /// The guards that refused it, or that were overridden.
    pub refusals: Vec<String>,
    /// The source of the dump, or Taskcluster's address: an address on the web without user, query and fragment; else `S3`, `a file` or
    /// `standard input`.
    #[schema(example = "https://example.org/allthethings.json")]
    pub source: String,
    /// The projects that it was restricted to; empty for all.
    pub only: Vec<String>,
    /// The size of the uncompressed dump or task graphs, in bytes.
    pub bytes: u64,
    /// Builders in it.
    pub builders: u64,
    /// Jobs that a push can run.
    pub jobs: u64,
    /// Builders that no push can run.
    pub not_runnable: u64,
    /// Builders that no machine can run, because their slave pool is empty.
    pub empty_slavepool: u64,
    /// Tests for which no build was found.
    pub tests_without_build: u64,
    /// Jobs whose names the grammar does not know.
    pub unknown_names: u64,
    /// Builders, schedulers and labels that were skipped because they are malformed.
    pub problem_count: u64,
    /// The first of these problems.
    pub problems: Vec<String>,
    /// The changes of each project.
    pub projects: BTreeMap<String, ProjectChanges>,
    /// When the next ingest is due, if known.
    #[schema(required)]
    pub next_due: Option<DateTime<Utc>>,
}

/// How an ingest ended.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum IngestOutcome {
    /// At least one list was replaced.
    Published,
    /// Nothing changed.
    Unchanged,
    /// A dry run.
    Checked,
    /// A guard refused the dump, or the document is broken. The old catalog stays.
    Refused,
    /// Another ingest published at the same time.
    Superseded,
    /// The source or the store could not be reached.
    Failed,
}

/// The kind of error of an ingest.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum IngestErrorCode {
    /// The source could not be reached, or its answer broke off.
    SourceUnavailable,
    /// The document is broken, too long, or not what it should be.
    DocumentBroken,
    /// The document is that of another project.
    WrongProject,
    /// The decision task has no task graph, or has it no longer.
    ArtifactMissing,
    /// A guard refused it; `refusals` has the reasons.
    Guarded,
    /// Another ingest published at the same time.
    Superseded,
    /// The store could not be used.
    StoreUnavailable,
    /// The ingest was restricted to a project that does not exist.
    UnknownProject,
    /// The ingest was interrupted.
    Interrupted,
    /// Anything else.
    Internal,
}

/// A project's share of an ingest.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProjectChanges {
    /// Jobs in the new list.
    pub jobs: usize,
    /// Jobs that were not in the old list.
    pub added: usize,
    /// Jobs that are not in the new list.
    pub removed: usize,
    /// Jobs with other details than before.
    pub changed: usize,
    /// Jobs that did not change.
    pub unchanged: usize,
    /// Tests that had a build in the old list, and are in the new list without one.
    pub lost_builds: usize,
    /// Its task graph, in an ingest of Taskcluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub graph: Option<Graph>,
}

/// A project's task graph in an ingest of Taskcluster.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Graph {
    /// What the ingest did about the project.
    pub outcome: GraphOutcome,
    /// The task id of the decision task, if one was found.
    #[schema(required, example = "fN1SbArXTPSVFNUvaOlinQ")]
    pub decision_task: Option<String>,
    /// The artifact that was read.
    #[schema(required, example = "public/full-task-graph.json")]
    pub artifact: Option<String>,
    /// Why the project was not published: a sentence for the code.
    #[schema(required)]
    pub error: Option<String>,
    /// The kind of error.
    #[schema(required)]
    pub error_code: Option<IngestErrorCode>,
    /// Labels that were skipped because they are malformed.
    pub skipped: u64,
}

/// What an ingest of Taskcluster did about a project.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum GraphOutcome {
    /// The list was replaced.
    Published,
    /// The list has the jobs of this graph already.
    Unchanged,
    /// A dry run.
    Checked,
    /// The Index knows no decision task of the project, which keeps its jobs.
    NoDecisionTask,
    /// A guard refused the graph, or it is broken. The project keeps its jobs.
    Refused,
    /// Another ingest published at the same time.
    Superseded,
    /// Taskcluster or the store could not be reached.
    Failed,
}

/// The version of the service (Dockerflow).
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Version {
    /// The program.
    pub source: String,
    /// Its version.
    pub version: String,
    /// The commit that it was built from; empty if unknown.
    pub commit: String,
    /// The version of the rules that make the lists. Different rules can make different lists from the same dump.
    pub build: String,
}

/// The health of the service (Dockerflow).
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// The worst of the checks.
    pub status: Health,
    /// `store`: whether it can be read. `catalog`: whether the last ingest that was due succeeded.
    pub checks: BTreeMap<String, Health>,
    /// A sentence for each check.
    pub details: BTreeMap<String, String>,
}

/// The result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// The check passed.
    Ok,
    /// An operator should look at it.
    Error,
}
