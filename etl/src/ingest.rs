//! One ingest: open the source, read it whole, compare, guard, archive, publish, report.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use catalog::allthethings::{self, ReadError};
use catalog::dump::{Dump, Findings};
use catalog::guards::GuardLimits;
use catalog::jobs::{self, CatalogJob, Projects, Summary};
use catalog::schedule::Cron;
use chrono::{DateTime, Utc};
use runtime::Aws;
use store::{
    Archive, CatalogTable, Consistency, FailureCode, ListPointer, ProjectReport, Provenance, Report, ReportOutcome,
    Schedule, StoreError,
};

use crate::compare::{Change, Compared};
use crate::decode::{self, ByteCounter, DecodedDump, Spool};
use crate::past::{self, MAX_PAST_REPORTS, missed};
use crate::source::{Content, Opened, SourceError, SourceLocation, Validators};

/// Tells the time. It is passed in, so that a test can tell another.
pub type Clock = fn() -> DateTime<Utc>;

/// Why an ingest did not publish.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The document is broken, or is none.
    #[error("{0}")]
    Broken(#[from] ReadError),
    /// A guard refused it. The reasons are in the report.
    #[error("refused: {}", .0.join("; "))]
    Refused(Vec<String>),
    /// The source cannot be reached.
    #[error("{0}")]
    Source(#[from] SourceError),
    /// The store cannot be reached, or holds what it should not.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// A project was asked for that is nowhere.
    #[error("the source has no project '{0}', and neither has the catalog")]
    NoProject(String),
    /// The program is at fault.
    #[error("internal error: {0}")]
    Internal(String),
}

impl IngestError {
    /// The exit code of the command line: what a scheduler can act on.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Internal(_) => 1,
            Self::NoProject(_) => 2,
            Self::Broken(ReadError::Input { .. }) | Self::Source(_) => 4,
            Self::Broken(_) | Self::Refused(_) => 3,
            Self::Store(StoreError::Superseded { .. }) => 6,
            Self::Store(_) => 5,
        }
    }

    fn code(&self) -> FailureCode {
        match self {
            Self::Internal(_) => FailureCode::Internal,
            Self::NoProject(_) => FailureCode::UnknownProject,
            Self::Broken(ReadError::Input { .. }) | Self::Source(_) => FailureCode::SourceUnavailable,
            Self::Broken(_) => FailureCode::DocumentBroken,
            Self::Refused(_) => FailureCode::Guarded,
            Self::Store(StoreError::Superseded { .. }) => FailureCode::Superseded,
            Self::Store(_) => FailureCode::StoreUnavailable,
        }
    }

    fn outcome(&self) -> ReportOutcome {
        match self.exit_code() {
            3 => ReportOutcome::Refused,
            6 => ReportOutcome::Superseded,
            _ => ReportOutcome::Failed,
        }
    }
}

/// How far an ingest is.
#[derive(Debug, Clone, Copy)]
pub enum Stage {
    /// The source was opened; so many bytes are to be read, if that is known.
    Opened(Option<u64>),
    /// So many bytes of the source and so many builders were read.
    Read {
        /// Bytes of the source, compressed or not.
        bytes: u64,
        /// Builders.
        builders: u64,
    },
    /// The source was read; the lists are compared and written.
    Publishing,
}

/// Is told how far an ingest is.
pub type ProgressCallback = Arc<dyn Fn(Stage) + Send + Sync>;

/// Takes nothing and tells nobody.
pub fn no_progress() -> ProgressCallback {
    Arc::new(|_| ())
}

/// An ingest that is about to be made.
pub struct Ingest<'a> {
    /// Where the dump is.
    pub source: &'a SourceLocation,
    /// Clients for `s3://` sources.
    pub aws: Option<&'a Aws>,
    /// Where the catalog is.
    pub table: &'a CatalogTable,
    /// Where the dump is archived, if it is.
    pub archive: Option<&'a Archive>,
    /// The guards.
    pub limits: GuardLimits,
    /// The greatest size of an uncompressed dump.
    pub max_source_bytes: u64,
    /// When ingests are due, for the report.
    pub schedule: Option<&'a Cron>,
    /// Write nothing at all.
    pub dry_run: bool,
    /// Override the guards, and do not ask whether the source is unchanged.
    pub force: bool,
    /// The projects to publish; none for all.
    pub only: &'a [String],
    /// Tells the time.
    pub clock: Clock,
    /// Is told how far it is.
    pub on_progress: ProgressCallback,
}

impl Ingest<'_> {
    /// Makes the ingest. The report is as complete as could be, however it ends, and it is stored unless this is a dry
    /// run or the store cannot be reached.
    pub async fn run(self) -> (Report, Result<(), IngestError>) {
        let start = Instant::now();
        let mut report = Report::new((self.clock)(), &self.source.to_string());
        report.only = self.only.to_vec();
        let mut result = self.ingest(&mut report).await;
        if let Err(error) = &result {
            report.outcome = error.outcome();
            report.error = Some(error.to_string());
            report.error_code = Some(error.code());
        } else if self.dry_run {
            report.outcome = ReportOutcome::Checked;
        }
        report.seconds = (start.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        report.schedule = self.schedule_status(&report);
        let usage = self.table.usage();
        (report.items_written, report.bytes_written) = (usage.items_written, usage.bytes_written);
        (report.read_units, report.write_units) = (usage.read_units, usage.write_units);
        let unreachable = matches!(result, Err(IngestError::Store(StoreError::Unreachable { .. })));
        let stored = if self.dry_run || unreachable { Ok(()) } else { self.table.put_report(&report).await };
        if let Err(error) = stored {
            tracing::warn!(%error, "the report is not stored");
            result = result.and(Err(error.into()));
        }
        (report, result)
    }

    /// What the schedule says, given that this ingest has just run.
    fn schedule_status(&self, report: &Report) -> Option<Schedule> {
        let next_due = self.schedule?.next(report.started_at)?;
        let missed = report.schedule.as_ref().map_or(0, |before| before.missed);
        Some(Schedule { next_due, missed })
    }

    async fn ingest(&self, report: &mut Report) -> Result<(), IngestError> {
        let past = self.past().await?;
        if let Some(schedule) = self.schedule {
            let missed = missed(schedule, &past, report.started_at);
            let next_due = schedule.next(report.started_at).unwrap_or(report.started_at);
            report.schedule = Some(Schedule { next_due, missed });
        }
        // The masters of the catalog that is served, until this ingest replaces it.
        let known = past.iter().map(|report| &report.masters).find(|masters| !masters.is_empty());
        report.masters = known.cloned().unwrap_or_default();
        // The pointers are read before the source is opened. Of two ingests at the same time the one whose pointers the
        // other moved ends, so the older state of a source never replaces the newer.
        let mut names = self.table.projects(Consistency::Consistent).await?;
        let (mut pointers, mut damaged) = self.pointers(&names.iter().map(String::as_str).collect()).await?;
        let served = past::fingerprint(&names, &pointers);
        let is_conditional = !self.force && !self.dry_run && self.only.is_empty();
        let last = if is_conditional { past::last_seen(&past, report, &served) } else { None };
        let Some(content) = self.open(last, report).await? else { return Ok(()) };
        report.source_etag.clone_from(&content.validators.etag);
        report.source_last_modified.clone_from(&content.validators.last_modified);

        let spool = self.archive.is_some() && !self.dry_run;
        let decoded = read_content(content, self.max_source_bytes, spool, &self.on_progress).await?;
        let (mut projects, findings) = decoded.dump.projects();
        describe(report, &projects, &findings);
        past::compare_masters(report, &findings);
        (self.on_progress)(Stage::Publishing);

        damaged.extend(self.unlisted_pointers(&projects, &names, &mut pointers).await?);
        let all_pointers = pointers.clone();
        if !self.only.is_empty() {
            for project in self.only {
                if !projects.contains_key(project.as_str()) && !names.contains(project) {
                    return Err(IngestError::NoProject(project.clone()));
                }
            }
            let wanted: BTreeSet<&str> = self.only.iter().map(String::as_str).collect();
            projects.retain(|project, _| wanted.contains(project));
            names.retain(|project| wanted.contains(project.as_str()));
            pointers.retain(|project, _| wanted.contains(project.as_str()));
            damaged.retain(|project, _| wanted.contains(project.as_str()));
        }
        if !self.force
            && let Some((_, error)) = damaged.pop_first()
        {
            return Err(error.into());
        }
        let Compared { changes, with_build } = self.compare(&projects, &pointers, report).await?;
        let gone: Vec<(&String, &ListPointer)> =
            pointers.iter().filter(|(project, _)| !projects.contains_key(project.as_str())).collect();
        for (project, pointer) in &gone {
            let entry = ProjectReport { removed: pointer.summary.jobs, ..ProjectReport::default() };
            report.projects.insert((*project).clone(), entry);
        }

        if let (Some(archive), Some(Spool { file, sha256 })) = (self.archive, &decoded.spool) {
            report.archive = Some(archive.keep(sha256, file.path()).await?);
        }
        self.guard(&all_pointers, &projects, &findings, with_build, report).await?;
        if self.dry_run {
            return Ok(());
        }
        let provenance = Provenance {
            source: report.source.clone(),
            source_etag: report.source_etag.clone(),
            updated_at: report.started_at,
        };
        let nothing = changes.is_empty() && gone.is_empty() && damaged.is_empty();
        if !nothing {
            // Should this ingest not live to tell how it ended, the next one must not take the source for unchanged.
            let error = Some("the ingest did not come to its end".to_owned());
            let error_code = Some(FailureCode::Interrupted);
            self.table.put_report(&Report { error, error_code, items_written: 1, ..report.clone() }).await?;
        }
        for (project, error) in &damaged {
            tracing::warn!(%error, "the pointer is written anew");
            self.table.remove_damaged(project).await?;
        }
        let mut published = pointers.clone();
        for Change { project, list } in &changes {
            let pointer = self.table.publish(project, list, pointers.get(project), &provenance).await?;
            published.insert(project.clone(), pointer);
            tracing::info!(project, jobs = list.summary.jobs, etag = list.etag, "published");
        }
        for (project, pointer) in &gone {
            self.table.remove(project, pointer, report.started_at).await?;
            published.remove(*project);
            tracing::info!(project, "removed");
        }
        // What an ingest that died, or two at once, have left: names without pointers, and pointers without names.
        let of_nothing =
            |project: &&String| !pointers.contains_key(*project) && !projects.contains_key(project.as_str());
        for project in names.iter().filter(of_nothing) {
            self.table.forget(project, report.started_at).await?;
        }
        for project in pointers.keys().filter(|project| !names.contains(*project)) {
            self.table.add_name(project).await?;
        }
        report.outcome = if nothing { ReportOutcome::Unchanged } else { ReportOutcome::Published };
        if self.only.is_empty() {
            report.served = Some(past::fingerprint(&published.keys().cloned().collect(), &published));
            // A dump without masters does not make us forget which there were.
            if !findings.masters.is_empty() {
                report.masters = findings.masters;
            }
        }
        Ok(())
    }

    /// Opens the source; none where it is as it was when `last` read it, and the archive still has what that read.
    async fn open(&self, last: Option<&Report>, report: &mut Report) -> Result<Option<Content>, IngestError> {
        let known = last.map_or_else(Validators::default, |last| Validators {
            etag: last.source_etag.clone(),
            last_modified: last.source_last_modified.clone(),
        });
        if let Opened::Content(content) = self.source.open(&known, self.aws).await? {
            return Ok(Some(content));
        }
        tracing::info!(source = %self.source, "the source is not modified");
        let archived = last.and_then(|last| last.archive.clone());
        let is_archived = match (self.archive, &archived) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(archive), Some(address)) => archive.renew(address).await?,
        };
        if is_archived {
            (report.source_etag, report.source_last_modified) = (known.etag, known.last_modified);
            (report.archive, report.served) = (archived, last.and_then(|last| last.served.clone()));
            report.outcome = ReportOutcome::Unchanged;
            return Ok(None);
        }
        tracing::info!("the archive does not have it: it is read again");
        match self.source.open(&Validators::default(), self.aws).await? {
            Opened::Content(content) => Ok(Some(content)),
            Opened::NotModified => Err(IngestError::Internal("a source is not modified since nothing".to_owned())),
        }
    }

    /// The reports of past ingests that can be read.
    async fn past(&self) -> Result<Vec<Report>, StoreError> {
        Ok(past::readable(self.table.each_report(MAX_PAST_REPORTS).await?))
    }

    /// The pointers of these projects, and what is wrong with those that are damaged.
    async fn pointers(&self, projects: &BTreeSet<&str>) -> Result<(Pointers, Damaged), StoreError> {
        let (mut pointers, mut damaged) = (BTreeMap::new(), BTreeMap::new());
        for (project, pointer) in self.table.pointers(projects.iter().copied(), Consistency::Consistent).await? {
            match pointer {
                Ok(pointer) => drop(pointers.insert(project, pointer)),
                Err(error) => drop(damaged.insert(project, error)),
            }
        }
        Ok((pointers, damaged))
    }

    /// Adds the pointers of projects that the source has and that were not in the set of names: two ingests at once may
    /// have left a pointer without a name. One whose name is there by now was published since the names were read.
    async fn unlisted_pointers(
        &self,
        projects: &Projects<'_>,
        names: &BTreeSet<String>,
        pointers: &mut Pointers,
    ) -> Result<Damaged, StoreError> {
        let unlisted: BTreeSet<&str> = projects.keys().copied().filter(|project| !names.contains(*project)).collect();
        if unlisted.is_empty() {
            return Ok(BTreeMap::new());
        }
        let (found, damaged) = self.pointers(&unlisted).await?;
        if !found.is_empty() {
            let names_now = self.table.projects(Consistency::Consistent).await?;
            if let Some(project) = found.keys().find(|project| names_now.contains(*project)) {
                return Err(StoreError::Superseded { project: project.clone() });
            }
        }
        pointers.extend(found);
        Ok(damaged)
    }
}

/// The pointers of projects.
pub(crate) type Pointers = BTreeMap<String, ListPointer>;
/// What is wrong with the pointers of projects.
type Damaged = BTreeMap<String, StoreError>;

/// Reads a source's content on a thread that may block.
async fn read_content(
    content: Content,
    max_bytes: u64,
    spool: bool,
    on_progress: &ProgressCallback,
) -> Result<DecodedDump, IngestError> {
    on_progress(Stage::Opened(content.length));
    let on_progress = on_progress.clone();
    let reading = tokio::task::spawn_blocking(move || {
        let counter = ByteCounter::default();
        let mut progress = |progress: allthethings::Progress| {
            let bytes = counter.load(std::sync::atomic::Ordering::Relaxed);
            on_progress(Stage::Read { bytes, builders: progress.builders });
        };
        decode::decode(content.bytes, &counter, max_bytes, spool, &mut progress)
    });
    Ok(reading.await.map_err(|error| IngestError::Internal(error.to_string()))??)
}

/// Reads a source without a store.
///
/// # Errors
/// The source is broken or cannot be reached.
pub async fn read_dump(
    source: &SourceLocation,
    aws: Option<&Aws>,
    max_bytes: u64,
    on_progress: &ProgressCallback,
) -> Result<Dump, IngestError> {
    match source.open(&Validators::default(), aws).await? {
        Opened::Content(content) => Ok(read_content(content, max_bytes, false, on_progress).await?.dump),
        Opened::NotModified => Err(IngestError::Internal("a source is not modified since nothing".to_owned())),
    }
}

/// Replaces `body` by that of a project's list, and adds the names that the grammar does not know to `unknown`.
pub fn write_body(project: &str, jobs: &[CatalogJob<'_>], body: &mut Vec<u8>, unknown: &mut Vec<String>) -> Summary {
    body.clear();
    jobs::write_body(project, jobs, body, |name| unknown.push(name.to_owned()))
}

/// Puts into a report what was found in a dump.
pub fn describe(report: &mut Report, projects: &Projects<'_>, findings: &Findings) {
    report.bytes = findings.bytes;
    report.builders = findings.builders;
    report.jobs = projects.values().map(Vec::len).sum::<usize>() as u64;
    report.not_runnable = findings.not_runnable;
    report.empty_slavepool = findings.empty_slavepool;
    report.tests_without_build = findings.tests_without_build;
    report.problem_count = findings.problem_count;
    report.problems = findings.problems.iter().map(ToString::to_string).collect();
}
