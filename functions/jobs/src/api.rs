//! The shapes of the answers, as the reference describes them.
//!
//! Lists are stored as they are served, so nothing here makes one: `RunnableJobs` and `RunnableJob` describe what
//! `catalog::buildbot::write_body` writes, and the tests hold each answer against them.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A project's runnable jobs, in the shape of Treeherder's own list of 2015-2019.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunnableJobs {
    /// What the list is of.
    pub meta: ListMeta,
    /// The jobs, by name. With the parameter `fields`, each has only those.
    pub results: Vec<RunnableJob>,
}

/// What a list, or a page of it, is of.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ListMeta {
    /// The project.
    #[schema(example = "try")]
    pub repository: String,
    /// How many jobs were passed over.
    pub offset: u64,
    /// The count that was asked for; where none was, the number of jobs in the answer.
    pub count: u64,
    /// How many jobs the filters left. Only in answers to requests with parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub total: Option<u64>,
}

/// A job that can be run on a push.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RunnableJob {
    /// Stands for the platform; the same wherever the platform is the same.
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
    /// Stands for the platform that the job runs on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub machine_platform_id: Option<u64>,
    /// The platform that the job runs on: a row of Treeherder's page.
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
    /// Stands for the group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub job_group_id: Option<u64>,
    /// The group's name, or `unknown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Mochitest e10s")]
    pub job_group_name: Option<String>,
    /// The group's symbol, or `?`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "M-e10s")]
    pub job_group_symbol: Option<String>,
    /// Empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub job_group_description: Option<String>,
    /// Stands for the job type.
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
    /// The builder name, or the Taskcluster label: what a job is asked for by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "Ubuntu VM 12.04 x64 try opt test mochitest-e10s-3")]
    pub ref_data_name: Option<String>,
    /// `buildbot` or `taskcluster`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "buildbot")]
    pub build_system_type: Option<String>,
    /// The options, with a space between them.
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
    /// The `ref_data_name` of the build that a test needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "Linux x86-64 try build")]
    pub upstream: Option<String>,
}

/// A field of a job.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "`RunnableJob` tells what they are")]
pub enum Field {
    BuildPlatformId,
    BuildPlatform,
    BuildOs,
    BuildArchitecture,
    MachinePlatformId,
    Platform,
    MachinePlatformOs,
    MachinePlatformArchitecture,
    JobGroupId,
    JobGroupName,
    JobGroupSymbol,
    JobGroupDescription,
    JobTypeId,
    JobTypeName,
    JobTypeSymbol,
    JobTypeDescription,
    OptionCollectionHash,
    RefDataName,
    BuildSystemType,
    PlatformOption,
    JobCoalescedToGuid,
    State,
    Result,
    Upstream,
}

/// One job, and what it hangs together with.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JobWithRelatives {
    /// What it is of.
    pub meta: JobMeta,
    /// The job.
    pub job: RunnableJob,
    /// The build that it needs; null if it needs none, or if the list does not have it.
    #[schema(required)]
    pub upstream_build: Option<RunnableJob>,
    /// The tests that need it.
    pub tests: Vec<RunnableJob>,
}

/// What a job is of.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JobMeta {
    /// The project.
    #[schema(example = "try")]
    pub repository: String,
    /// The name that was asked for, where it differs in case or blanks from the job's.
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
    /// The platforms that they run on, those that are known.
    pub platforms: BTreeSet<String>,
    /// When its list changed last.
    pub updated_at: DateTime<Utc>,
    /// When an ingest found last that the list is as its source says.
    pub checked_at: DateTime<Utc>,
    /// Whether an ingest that should have checked it since did not.
    pub stale: bool,
    /// Where its list is.
    #[schema(example = "/api/project/try/runnable_jobs/")]
    pub runnable_jobs: String,
}

/// The last ingests.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Ingests {
    /// At most 20, newest first.
    pub ingests: Vec<Ingest>,
}

/// What an ingest found and did.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Ingest {
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// How long it took.
    pub seconds: f64,
    /// How it ended.
    pub outcome: IngestOutcome,
    /// Why it did not publish, where it should have: a sentence for the code.
    #[schema(required)]
    pub error: Option<String>,
    /// Of which kind the error is.
    #[schema(required)]
    pub error_code: Option<IngestErrorCode>,
    /// The guards that refused it, or that were overridden.
    pub refusals: Vec<String>,
    /// Where the dump came from: an address on the web without user, query and fragment; else `S3`, `a file` or
    /// `standard input`.
    #[schema(example = "https://example.org/allthethings.json")]
    pub source: String,
    /// The projects that it was restricted to; none for all.
    pub only: Vec<String>,
    /// Bytes of the uncompressed dump.
    pub bytes: u64,
    /// Builders in it.
    pub builders: u64,
    /// Jobs that a push can run.
    pub jobs: u64,
    /// Builders that no push can run.
    pub not_runnable: u64,
    /// Builders that no machine can run: their slave pool is empty.
    pub empty_slavepool: u64,
    /// Tests for which no build was found.
    pub tests_without_build: u64,
    /// Jobs whose names the grammar does not know.
    pub unknown_names: u64,
    /// Builders and schedulers that were left out because they are malformed.
    pub problem_count: u64,
    /// The first of them.
    pub problems: Vec<String>,
    /// What became of each project.
    pub projects: BTreeMap<String, ProjectChanges>,
    /// When the next ingest is due, where that is known.
    #[schema(required)]
    pub next_due: Option<DateTime<Utc>>,
}

/// How an ingest ended.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum IngestOutcome {
    /// At least one list was replaced.
    Published,
    /// Everything is as it was.
    Unchanged,
    /// A dry run.
    Checked,
    /// A guard or a broken document kept the old catalog.
    Refused,
    /// Another ingest published at the same time.
    Superseded,
    /// The source or the store could not be reached.
    Failed,
}

/// Of which kind the error of an ingest is.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum IngestErrorCode {
    /// The source could not be reached, or broke off.
    SourceUnavailable,
    /// The document is broken, too long, or another one.
    DocumentBroken,
    /// A guard refused it; `refusals` has the reasons.
    Guarded,
    /// Another ingest published at the same time.
    Superseded,
    /// The store could not be used.
    StoreUnavailable,
    /// The ingest was restricted to a project that does not exist.
    UnknownProject,
    /// The ingest did not come to its end.
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
    /// Jobs that stayed as they were.
    pub unchanged: usize,
    /// Tests that had a build in the old list, and are in the new list without one.
    pub lost_builds: usize,
}

/// What runs here (Dockerflow).
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Version {
    /// The program.
    pub source: String,
    /// Its version.
    pub version: String,
    /// The commit that it was built from; empty if the build did not know.
    pub commit: String,
    /// The rules that make the lists: others may make other lists of the same dump.
    pub build: String,
}

/// Whether all is well (Dockerflow).
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Heartbeat {
    /// The worst of the checks.
    pub status: Health,
    /// `store`: it can be read. `catalog`: the last ingest that should have come did.
    pub checks: BTreeMap<String, Health>,
    /// A sentence for each check.
    pub details: BTreeMap<String, String>,
}

/// What a check found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// All is well.
    Ok,
    /// Somebody should look.
    Error,
}
