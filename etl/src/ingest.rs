//! An ingest of Buildbot: opens the source, reads it, compares the lists, checks the guards, archives, publishes and
//! reports.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use catalog::buildbot::{self, BUILD_SYSTEM, Dump, Findings, Projects};
use catalog::guards::{self, GuardLimits};
use catalog::schedule::Cron;
use chrono::{DateTime, Utc};
use runtime::Aws;
use store::{
    Archive, CatalogTable, Consistency, FailureCode, ListPointer, ProjectReport, Provenance, Report, ReportOutcome,
    SourceState, StoreError,
};

use crate::compare::{Change, Compared, compare, count_tests_with_build, counts, has_buildbot, losses};
pub use crate::error::IngestError;
use crate::past_reports::{self, MAX_PAST_REPORTS};
use crate::run::{Running, due, finish};
use crate::served::{Pointers, ServedLists};
use crate::source::buildbot::{ByteCounter, DecodedDump, Spool, decode};
use crate::source::{Content, Opened, SourceLocation, Validators};

/// The current time. It is passed in, so that a test can choose it.
pub type Clock = fn() -> DateTime<Utc>;

/// The progress of an ingest.
#[derive(Debug, Clone, Copy)]
pub enum Stage {
    /// The source is open. Holds the number of bytes to read, if known.
    Opened(Option<u64>),
    /// Part of the source is read.
    Read {
        /// Bytes of the source, compressed or not.
        bytes: u64,
        /// Builders.
        builders: u64,
    },
    /// Part of a task graph is read.
    ReadGraph {
        /// Labels.
        labels: u64,
    },
    /// The source is read; the lists are compared and written.
    Publishing,
}

/// Receives the progress of an ingest.
pub type ProgressCallback = Arc<dyn Fn(Stage) + Send + Sync>;

/// Ignores the progress.
pub fn no_progress() -> ProgressCallback {
    Arc::new(|_| ())
}

/// An ingest of Buildbot's dump, ready to run.
pub struct Ingest<'a> {
    /// Where the dump is.
    pub source: &'a SourceLocation,
    /// Clients for `s3://` sources.
    pub aws: Option<&'a Aws>,
    /// Where the catalog is.
    pub table: &'a CatalogTable,
    /// The archive of dumps; `None` to keep none.
    pub archive: Option<&'a Archive>,
    /// The guards.
    pub limits: GuardLimits,
    /// Maximum size of an uncompressed dump, in bytes.
    pub max_source_bytes: u64,
    /// When ingests are due; the report has the next time.
    pub schedule: Option<&'a Cron>,
    /// Whether to write nothing at all.
    pub dry_run: bool,
    /// Whether to override the guards and to read the source even if it is unchanged.
    pub force: bool,
    /// The projects to publish; empty for all.
    pub only: &'a [String],
    /// The current time.
    pub clock: Clock,
    /// Receives the progress.
    pub on_progress: ProgressCallback,
}

impl<'i> Ingest<'i> {
    /// Runs the ingest. The report is as complete as possible, whatever the result. It is stored, unless this is a dry run
    /// or the store cannot be reached.
    pub fn run(self) -> Running<'i> {
        Box::pin(self.run_whole())
    }

    async fn run_whole(self) -> (Report, Result<(), IngestError>) {
        let start = Instant::now();
        let mut report = Report::new((self.clock)(), &self.source.to_string());
        report.only = self.only.to_vec();
        let result = self.ingest(&mut report).await;
        let result = finish(self.table, &mut report, start, self.schedule, self.dry_run, result).await;
        (report, result)
    }

    async fn ingest(&self, report: &mut Report) -> Result<(), IngestError> {
        let past = self.past().await?;
        report.schedule = due(self.schedule, &past, report.started_at);
        // The masters of the catalog that is served, until this ingest replaces it.
        let known = past.iter().map(|report| &report.masters).find(|masters| !masters.is_empty());
        report.masters = known.cloned().unwrap_or_default();
        // Read the pointers before opening the source. Of two simultaneous ingests, the one whose pointers the other has
        // moved stops, so an older state of the source never replaces a newer one.
        let mut names = self.table.projects(Consistency::Consistent).await?;
        let (mut pointers, mut damaged) = self.pointers(&names.iter().map(String::as_str).collect()).await?;
        let served = past_reports::fingerprint(&names, &pointers);
        let has_outdated = pointers.values().any(|pointer| has_buildbot(pointer) && pointer.is_outdated());
        let is_conditional = !self.force && !self.dry_run && self.only.is_empty() && !has_outdated;
        let last = if is_conditional { past_reports::last_seen(&past, report, &served) } else { None };
        let Some(content) = self.open(last, report).await? else { return Ok(()) };
        let state = SourceState {
            address: report.source.clone(),
            etag: content.validators.etag.clone(),
            last_modified: content.validators.last_modified.clone(),
        };
        report.sources.insert(BUILD_SYSTEM.to_owned(), state);

        let spool = self.archive.is_some() && !self.dry_run;
        let decoded = read_content(content, self.max_source_bytes, spool, &self.on_progress).await?;
        let (mut projects, findings) = decoded.dump.projects();
        describe(report, &projects, &findings);
        past_reports::compare_masters(report, &findings);
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
        let served_lists = ServedLists { table: self.table, build_system: BUILD_SYSTEM, force: self.force };
        let is_gone = |(project, pointer): &(&String, &ListPointer)| {
            !projects.contains_key(project.as_str()) && has_buildbot(pointer)
        };
        // A project that has jobs of other build systems keeps those.
        let (gone, with_others): (Vec<_>, Vec<_>) = pointers
            .iter()
            .filter(is_gone)
            .partition(|(_, pointer)| pointer.jobs_of(BUILD_SYSTEM) == pointer.summary.jobs);
        let with_others: Vec<&String> = with_others.into_iter().map(|(project, _)| project).collect();
        let Compared { changes, with_build } =
            compare(&served_lists, &projects, &with_others, &pointers, report).await?;
        for (project, pointer) in &gone {
            let entry = ProjectReport { removed: pointer.summary.jobs, ..ProjectReport::default() };
            report.projects.insert((*project).clone(), entry);
        }

        if let (Some(archive), Some(Spool { file, sha256 })) = (self.archive, &decoded.spool) {
            report.archive = Some(archive.store(sha256, file.path()).await?);
        }
        self.check_guards(&served_lists, &all_pointers, &projects, &findings, with_build, report).await?;
        if self.dry_run {
            return Ok(());
        }
        let nothing = changes.is_empty() && gone.is_empty() && damaged.is_empty();
        if !nothing {
            // If this ingest dies before its final report, the next one must not take the source for unchanged.
            let error = Some("the ingest did not come to its end".to_owned());
            let error_code = Some(FailureCode::Interrupted);
            self.table.put_report(&Report { error, error_code, items_written: 1, ..report.clone() }).await?;
        }
        for (project, error) in &damaged {
            tracing::warn!(%error, "the pointer is written anew");
            self.table.remove_damaged(project).await?;
        }
        let mut published = self.publish(&served_lists, &changes, &projects, &pointers, report).await?;
        for (project, pointer) in &gone {
            self.table.remove(project, pointer, report.started_at).await?;
            published.remove(*project);
            tracing::info!(project, "removed");
        }
        // Clean up after ingests that died or ran at the same time: names without pointers, pointers without names.
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
            report.served = Some(past_reports::fingerprint(&published.keys().cloned().collect(), &published));
            // Keep the known masters if the dump names none.
            if !findings.masters.is_empty() {
                report.masters = findings.masters;
            }
        }
        Ok(())
    }

    /// Checks the guards. `pointers` has every project of the served catalog, also with a restricted ingest.
    async fn check_guards(
        &self,
        served_lists: &ServedLists<'_>,
        pointers: &Pointers,
        projects: &Projects<'_>,
        findings: &Findings,
        mut with_build: BTreeMap<String, usize>,
        report: &mut Report,
    ) -> Result<(), IngestError> {
        if report.projects.values().any(|project| project.lost_builds > 0) {
            count_tests_with_build(served_lists, pointers, &mut with_build).await?;
        }
        let is_touched = |project: &str| self.only.is_empty() || self.only.iter().any(|only| only == project);
        let losses = losses(pointers, projects, &with_build, &report.projects, is_touched);
        report.refusals = guards::check(&counts(findings), &losses, &self.limits);
        if report.refusals.is_empty() || self.force {
            return Ok(());
        }
        Err(IngestError::Refused(report.refusals.iter().map(ToString::to_string).collect()))
    }

    /// Publishes the changed lists. Returns the pointers with those of the changed lists.
    async fn publish(
        &self,
        served_lists: &ServedLists<'_>,
        changes: &[Change],
        projects: &Projects<'_>,
        pointers: &Pointers,
        report: &Report,
    ) -> Result<Pointers, StoreError> {
        let provenance = Provenance {
            source: report.source.clone(),
            source_etag: report.sources.get(BUILD_SYSTEM).and_then(|state| state.etag.clone()),
            updated_at: report.started_at,
        };
        let mut published = pointers.clone();
        for Change { project, list } in changes {
            let jobs = || buildbot::listed(projects.get(project.as_str()).map_or(&[], Vec::as_slice), |_| ());
            let pointer = served_lists.publish(project, list, pointers.get(project), jobs, &provenance).await?;
            published.insert(project.clone(), pointer);
            tracing::info!(project, jobs = list.summary.jobs, etag = list.etag, "published");
        }
        Ok(published)
    }

    /// Opens the source. `None` if it is unchanged since `last` read it and the archive still has that dump.
    async fn open(&self, last: Option<&Report>, report: &mut Report) -> Result<Option<Content>, IngestError> {
        let state = last.and_then(|last| last.sources.get(BUILD_SYSTEM));
        let known = state.map_or_else(Validators::default, |state| Validators {
            etag: state.etag.clone(),
            last_modified: state.last_modified.clone(),
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
            report.sources = last.map(|last| last.sources.clone()).unwrap_or_default();
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

    /// The readable reports of past ingests.
    async fn past(&self) -> Result<Vec<Report>, StoreError> {
        Ok(past_reports::readable(self.table.each_report(BUILD_SYSTEM, MAX_PAST_REPORTS).await?))
    }

    /// The pointers of these projects, and the errors of the damaged ones.
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

    /// Adds the pointers of projects that the source has and the set of names lacks: simultaneous ingests can leave a
    /// pointer without a name. A pointer with jobs of Buildbot whose name has appeared since was published meanwhile.
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
            let is_new =
                |(project, pointer): &(&String, &ListPointer)| names_now.contains(*project) && has_buildbot(pointer);
            if let Some((project, _)) = found.iter().find(is_new) {
                return Err(StoreError::Superseded { project: project.clone() });
            }
        }
        pointers.extend(found);
        Ok(damaged)
    }
}

/// The errors of damaged pointers, by project.
type Damaged = BTreeMap<String, StoreError>;

/// Reads the content of a source on a thread that may block.
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
        let mut progress = |progress: buildbot::Progress| {
            let bytes = counter.load(std::sync::atomic::Ordering::Relaxed);
            on_progress(Stage::Read { bytes, builders: progress.builders });
        };
        decode(content.bytes, &counter, max_bytes, spool, &mut progress)
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

/// Adds the findings of a dump to a report.
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
