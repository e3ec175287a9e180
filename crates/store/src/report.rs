//! What an ingest found and did, as it is stored, printed and answered.

use std::collections::BTreeMap;

use catalog::guards::GuardRefusal;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// How an ingest ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReportOutcome {
    /// At least one list was replaced.
    Published,
    /// The source, or all that can be made of it, is as it was.
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

/// Of which kind the error of an ingest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureCode {
    /// The source could not be reached, or broke off.
    SourceUnavailable,
    /// The document is broken, too long, or another one.
    DocumentBroken,
    /// A guard refused it.
    Guarded,
    /// Another ingest published at the same time.
    Superseded,
    /// The store could not be used.
    StoreUnavailable,
    /// It was restricted to a project that is nowhere.
    UnknownProject,
    /// It did not come to its end.
    Interrupted,
    /// The program is at fault, or a later version knows the kind.
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
    /// Jobs with other details than before.
    pub changed: usize,
    /// Jobs that stayed as they were.
    pub unchanged: usize,
    /// Tests that had a build in the old list, and are in the new list without one.
    #[serde(default)]
    pub lost_builds: usize,
}

/// When ingests are due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// When the next one is due.
    pub next_due: DateTime<Utc>,
    /// How many were due since the last one that succeeded, and did not come.
    pub missed: u64,
}

/// What an ingest found and did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// How long it took.
    pub seconds: f64,
    /// How it ended.
    pub outcome: ReportOutcome,
    /// Why it did not publish, where it should have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Of which kind the error is. Reports of earlier releases have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<FailureCode>,
    /// The guards that refused it, or that `--force` overrode.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refusals: Vec<GuardRefusal>,
    /// Where the dump came from.
    pub source: String,
    /// The source's ETag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_etag: Option<String>,
    /// The source's Last-Modified, as it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_last_modified: Option<String>,
    /// The fingerprint of the rules that read the dump (`catalog::jobs::RULES`).
    pub rules: String,
    /// The projects that it was restricted to; none for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    /// A fingerprint of all pointers after this ingest: while the pointers have it, the catalog is what this ingest made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served: Option<String>,
    /// The archived dump, as `s3://` address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archive: Option<String>,
    /// Bytes of the uncompressed dump.
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
    /// The first of them: where, and what is wrong.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    /// The masters of the dump that the catalog is made of, each with how many builders it has.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub masters: BTreeMap<String, u64>,
    /// The masters of the last catalog that this dump does not have, each with how many builders it had.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub masters_gone: BTreeMap<String, u64>,
    /// What became of each project.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub projects: BTreeMap<String, ProjectReport>,
    /// Items written to the store, this report not counted.
    pub items_written: u64,
    /// Bytes of the lists written to the store.
    pub bytes_written: u64,
    /// What DynamoDB charged for reading, in read units, before this report was written.
    pub read_units: f64,
    /// What DynamoDB charged for writing, in write units, before this report was written.
    pub write_units: f64,
    /// When the next ingest is due, where a schedule is configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<Schedule>,
}

impl Report {
    /// A report of an ingest that has found nothing yet.
    pub fn new(started_at: DateTime<Utc>, source: &str) -> Self {
        Self {
            started_at,
            seconds: 0.0,
            outcome: ReportOutcome::Failed,
            error: None,
            error_code: None,
            refusals: Vec::new(),
            source: source.to_owned(),
            source_etag: None,
            source_last_modified: None,
            rules: catalog::jobs::RULES.to_owned(),
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

    /// Whether the catalog is, after this ingest, what its source says.
    pub fn succeeded(&self) -> bool {
        matches!(self.outcome, ReportOutcome::Published | ReportOutcome::Unchanged)
    }
}
