//! One ingest: open the source, read it whole, compare, guard, archive, publish, report.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use catalog::allthethings::{self, ReadError};
use catalog::difference;
use catalog::dump::{Dump, Findings};
use catalog::guards::{self, Limits, Loss};
use catalog::jobs::{self, Job, PackedList, Projects, Summary};
use catalog::schedule::Cron;
use chrono::{DateTime, Utc};
use store::{
    Archive, Aws, CatalogTable, Current, Outcome, ProjectReport, Provenance, Read, Report, Schedule, StoreError,
};

use crate::intake::{self, Counter, Intake, Spool};
use crate::source::{Content, Opened, Source, SourceError, Validators};

/// How many unknown names a report shows.
const UNKNOWN_SHOWN: usize = 20;
/// How many reports are looked at to find what the source was like. Refused and failed ones lie between.
pub const REPORTS_LOOKED_AT: usize = 10;

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

    fn outcome(&self) -> Outcome {
        match self.exit_code() {
            3 => Outcome::Refused,
            6 => Outcome::Superseded,
            _ => Outcome::Failed,
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
pub type Watch = Arc<dyn Fn(Stage) + Send + Sync>;

/// Takes nothing and tells nobody.
pub fn nobody() -> Watch {
    Arc::new(|_| ())
}

/// An ingest that is about to be made.
pub struct Ingest<'a> {
    /// Where the dump is.
    pub source: &'a Source,
    /// Clients for `s3://` sources.
    pub aws: Option<&'a Aws>,
    /// Where the catalog is.
    pub table: &'a CatalogTable,
    /// Where the dump is archived, if it is.
    pub archive: Option<&'a Archive>,
    /// The guards.
    pub limits: Limits,
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
    pub watch: Watch,
}

/// A project whose list is to be replaced, is new, or has a pointer of before summaries were kept.
struct Change {
    project: String,
    list: PackedList,
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
        } else if self.dry_run {
            report.outcome = Outcome::Checked;
        }
        report.seconds = (start.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
        report.schedule = self.schedule_told(&report);
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
    fn schedule_told(&self, report: &Report) -> Option<Schedule> {
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
        let known = if self.force || self.dry_run || !self.only.is_empty() {
            Validators::default()
        } else {
            last_seen(&past, report)
        };
        let content = match self.source.open(&known, self.aws).await? {
            Opened::NotModified => {
                tracing::info!(source = %self.source, "the source is not modified");
                (report.source_etag, report.source_last_modified) = (known.etag, known.last_modified);
                report.outcome = Outcome::Unchanged;
                return Ok(());
            }
            Opened::Content(content) => content,
        };
        report.source_etag.clone_from(&content.validators.etag);
        report.source_last_modified.clone_from(&content.validators.last_modified);

        let spool = self.archive.is_some() && !self.dry_run;
        let intake = read_content(content, self.max_source_bytes, spool, &self.watch).await?;
        let (mut projects, findings) = intake.dump.projects();
        describe(report, &projects, &findings);
        (self.watch)(Stage::Publishing);

        let mut names = self.table.projects(Read::Consistent).await?;
        if !self.only.is_empty() {
            for project in self.only {
                if !projects.contains_key(project.as_str()) && !names.contains(project) {
                    return Err(IngestError::NoProject(project.clone()));
                }
            }
            let wanted: BTreeSet<&str> = self.only.iter().map(String::as_str).collect();
            projects.retain(|project, _| wanted.contains(project));
            names.retain(|project| wanted.contains(project.as_str()));
        }
        let wanted = names.iter().map(String::as_str).chain(projects.keys().copied()).collect::<BTreeSet<_>>();
        let (pointers, damaged) = self.pointers(&wanted).await?;
        let changes = self.compare(&projects, &pointers, report).await?;
        let gone: Vec<(&String, &Current)> =
            pointers.iter().filter(|(project, _)| !projects.contains_key(project.as_str())).collect();
        for (project, current) in &gone {
            let entry = ProjectReport { removed: current.summary.jobs, ..ProjectReport::default() };
            report.projects.insert((*project).clone(), entry);
        }

        if let (Some(archive), Some(Spool { file, sha256 })) = (self.archive, &intake.spool) {
            report.archive = Some(archive.keep(sha256, file.path()).await?);
        }
        self.guard(&pointers, &projects, report)?;
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
            self.table.put_report(&Report { error, items_written: 1, ..report.clone() }).await?;
        }
        for project in &damaged {
            self.table.remove_damaged(project).await?;
        }
        for Change { project, list } in &changes {
            self.table.publish(project, list, pointers.get(project), &provenance).await?;
            tracing::info!(project, jobs = list.summary.jobs, etag = list.etag, "published");
        }
        for (project, current) in &gone {
            self.table.remove(project, current, report.started_at).await?;
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
        report.outcome = if nothing { Outcome::Unchanged } else { Outcome::Published };
        Ok(())
    }

    /// The reports of past ingests. They only tell what the source was like: damaged ones are as good as none.
    async fn past(&self) -> Result<Vec<Report>, StoreError> {
        match self.table.reports(REPORTS_LOOKED_AT).await {
            Err(error @ StoreError::Damaged { .. }) => {
                tracing::warn!(%error, "the reports of past ingests are not used");
                Ok(Vec::new())
            }
            past => past,
        }
    }

    /// The pointers of these projects and, if this ingest is forced, the projects whose pointers are damaged.
    async fn pointers(
        &self,
        projects: &BTreeSet<&str>,
    ) -> Result<(BTreeMap<String, Current>, Vec<String>), StoreError> {
        let (mut pointers, mut damaged) = (BTreeMap::new(), Vec::new());
        for (project, pointer) in self.table.pointers(projects.iter().copied(), Read::Consistent).await? {
            match pointer {
                Ok(current) => drop(pointers.insert(project, current)),
                Err(error) if self.force => {
                    tracing::warn!(%error, "the pointer is written anew");
                    damaged.push(project);
                }
                Err(error) => return Err(error),
            }
        }
        Ok((pointers, damaged))
    }

    /// Writes each project's body and holds it against the list that is served. Returns the lists that differ.
    async fn compare(
        &self,
        projects: &Projects<'_>,
        pointers: &BTreeMap<String, Current>,
        report: &mut Report,
    ) -> Result<Vec<Change>, IngestError> {
        let mut changes = Vec::new();
        let mut body = Vec::new();
        for (&project, jobs) in projects {
            let mut unknown = Vec::new();
            let summary = write_body(project, jobs, &mut body, &mut unknown);
            report.unknown_names += unknown.len() as u64;
            let room = UNKNOWN_SHOWN - report.unknown.len();
            report.unknown.extend(unknown.into_iter().take(room));
            let current = pointers.get(project);
            let served = current.filter(|current| current.etag == jobs::etag(&body));
            let same = match served {
                // A list that is served is not read only to find it the same, but where it may be damaged.
                Some(current) => !self.force || self.old_body(project, current).await? == body,
                None => false,
            };
            let entry = if same {
                if let Some(current) = served.filter(|current| current.is_outdated()) {
                    let list = self.once_more(project, current, PackedList::new(&body, summary)).await?;
                    changes.push(Change { project: project.to_owned(), list });
                }
                ProjectReport { jobs: jobs.len(), unchanged: jobs.len(), ..ProjectReport::default() }
            } else {
                changes.push(Change { project: project.to_owned(), list: PackedList::new(&body, summary) });
                let old = match current {
                    Some(current) => self.old_body(project, current).await?,
                    None => Vec::new(),
                };
                let found = difference::compare(&old, &body).map_err(|error| StoreError::Damaged {
                    key: format!("list of {project}"),
                    what: error.to_string(),
                })?;
                ProjectReport {
                    jobs: jobs.len(),
                    added: found.added.len(),
                    removed: found.removed.len(),
                    changed: found.changed.len(),
                    unchanged: found.unchanged,
                }
            };
            report.projects.insert(project.to_owned(), entry);
        }
        Ok(changes)
    }

    /// A list that is served as it is, to be published once more for its summary. One part is replaced at once, several
    /// one by one: those keep their bytes, as other ones of another compressor would not fit what is not replaced yet.
    async fn once_more(&self, project: &str, current: &Current, list: PackedList) -> Result<PackedList, IngestError> {
        if current.parts == 1 && list.parts().len() == 1 {
            return Ok(list);
        }
        Ok(PackedList { gzip: self.table.list(project, current).await?, ..list })
    }

    /// The list that is served. One that is damaged counts as empty if this ingest is forced: it is then written anew.
    async fn old_body(&self, project: &str, current: &Current) -> Result<Vec<u8>, IngestError> {
        let damaged = |what: String| StoreError::Damaged { key: format!("list of {project}"), what };
        let body = match self.table.list(project, current).await {
            Ok(packed) => jobs::unpack(&packed).map_err(|error| damaged(error.to_string())),
            Err(error) => Err(error),
        };
        match body {
            Err(StoreError::Damaged { .. }) if self.force => Ok(Vec::new()),
            other => Ok(other?),
        }
    }

    fn guard(
        &self,
        pointers: &BTreeMap<String, Current>,
        projects: &Projects<'_>,
        report: &mut Report,
    ) -> Result<(), IngestError> {
        let losses: Vec<Loss<'_>> = pointers
            .iter()
            .map(|(project, current)| Loss {
                project,
                before: current.summary.jobs,
                removed: report.projects.get(project).map_or(0, |entry| entry.removed),
                stays: projects.contains_key(project.as_str()),
            })
            .collect();
        report.refusals = guards::check(report.builders, &losses, &self.limits);
        if report.refusals.is_empty() || self.force {
            return Ok(());
        }
        Err(IngestError::Refused(report.refusals.iter().map(ToString::to_string).collect()))
    }
}

/// How many ingests were due since the last of the past ones that succeeded, and did not come. Where none of them did,
/// they are counted from the first of them: there are at least so many.
pub fn missed(schedule: &Cron, past: &[Report], now: DateTime<Utc>) -> u64 {
    let last = past.iter().find(|report| report.succeeded()).or(past.last());
    last.map_or(0, |last| schedule.missed(last.started_at, now))
}

/// What the source was like when the catalog was last made of it, if the catalog still is what that made.
fn last_seen(past: &[Report], now: &Report) -> Validators {
    // An ingest that wrote nothing has changed nothing.
    let wrote = |report: &&Report| report.succeeded() || report.items_written > 0;
    match past.iter().find(wrote) {
        Some(last)
            if last.succeeded() && last.source == now.source && last.rules == now.rules && last.only.is_empty() =>
        {
            Validators { etag: last.source_etag.clone(), last_modified: last.source_last_modified.clone() }
        }
        _ => Validators::default(),
    }
}

/// Reads a source's content on a thread that may block.
async fn read_content(content: Content, max_bytes: u64, spool: bool, watch: &Watch) -> Result<Intake, IngestError> {
    watch(Stage::Opened(content.length));
    let watch = watch.clone();
    let reading = tokio::task::spawn_blocking(move || {
        let counter = Counter::default();
        let mut progress = |progress: allthethings::Progress| {
            let bytes = counter.load(std::sync::atomic::Ordering::Relaxed);
            watch(Stage::Read { bytes, builders: progress.builders });
        };
        intake::take(content.bytes, counter.clone(), max_bytes, spool, &mut progress)
    });
    Ok(reading.await.map_err(|error| IngestError::Internal(error.to_string()))??)
}

/// Reads a source without a store.
///
/// # Errors
/// The source is broken or cannot be reached.
pub async fn read_dump(source: &Source, aws: Option<&Aws>, max_bytes: u64, watch: &Watch) -> Result<Dump, IngestError> {
    match source.open(&Validators::default(), aws).await? {
        Opened::Content(content) => Ok(read_content(content, max_bytes, false, watch).await?.dump),
        Opened::NotModified => Err(IngestError::Internal("the source says that it is as nobody knows it".to_owned())),
    }
}

/// Replaces `body` by that of a project's list, and adds the names that the grammar does not know to `unknown`.
pub fn write_body(project: &str, jobs: &[Job<'_>], body: &mut Vec<u8>, unknown: &mut Vec<String>) -> Summary {
    body.clear();
    jobs::write_body(project, jobs, body, |name| unknown.push(name.to_owned()))
}

/// Puts into a report what was found in a dump.
pub fn describe(report: &mut Report, projects: &Projects<'_>, findings: &Findings) {
    report.bytes = findings.bytes;
    report.builders = findings.builders;
    report.jobs = projects.values().map(Vec::len).sum::<usize>() as u64;
    report.not_runnable = findings.not_runnable;
    report.tests_without_build = findings.tests_without_build;
    report.problem_count = findings.problem_count;
    report.problems = findings.problems.iter().map(ToString::to_string).collect();
}
