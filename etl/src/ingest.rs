//! One ingest: opens the source, reads it, compares the lists, checks the guards, archives, publishes and reports.

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
    Schedule, SourceState, StoreError,
};

pub use crate::compare::write_body;
use crate::compare::{Change, Compared, Pointers, ServedLists, counts, has_build_system, losses};
pub use crate::error::IngestError;
use crate::past_reports::{self, MAX_PAST_REPORTS, missed};
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
    /// The source is read; the lists are compared and written.
    Publishing,
}

/// Receives the progress of an ingest.
pub type ProgressCallback = Arc<dyn Fn(Stage) + Send + Sync>;

/// Ignores the progress.
pub fn no_progress() -> ProgressCallback {
    Arc::new(|_| ())
}

/// An ingest, ready to run.
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

impl Ingest<'_> {
    /// Runs the ingest. The report is as complete as possible, whatever the result. It is stored, unless this is a dry run
    /// or the store cannot be reached.
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

    /// The schedule for the report, after this ingest.
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
        // Read the pointers before opening the source. Of two simultaneous ingests, the one whose pointers the other has
        // moved stops, so an older state of the source never replaces a newer one.
        let mut names = self.table.projects(Consistency::Consistent).await?;
        let (mut pointers, mut damaged) = self.pointers(&names.iter().map(String::as_str).collect()).await?;
        let served = past_reports::fingerprint(&names, &pointers);
        let is_conditional = !self.force && !self.dry_run && self.only.is_empty();
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
        let served_lists = ServedLists { table: self.table, force: self.force };
        let Compared { changes, with_build } = served_lists.compare(&projects, &pointers, report).await?;
        let is_gone = |(project, pointer): &(&String, &ListPointer)| {
            !projects.contains_key(project.as_str()) && has_build_system(pointer)
        };
        let gone: Vec<(&String, &ListPointer)> = pointers.iter().filter(is_gone).collect();
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
        let mut published = self.publish(&changes, &pointers, report).await?;
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
            served_lists.count_tests_with_build(pointers, &mut with_build).await?;
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
    async fn publish(&self, changes: &[Change], pointers: &Pointers, report: &Report) -> Result<Pointers, StoreError> {
        let provenance = Provenance {
            source: report.source.clone(),
            source_etag: report.sources.get(BUILD_SYSTEM).and_then(|state| state.etag.clone()),
            updated_at: report.started_at,
        };
        let mut published = pointers.clone();
        for Change { project, list } in changes {
            let pointer = self.table.publish(project, list, pointers.get(project), &provenance).await?;
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
        Ok(past_reports::readable(self.table.each_report(MAX_PAST_REPORTS).await?))
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
    /// pointer without a name. A pointer whose name has appeared since was published meanwhile.
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
