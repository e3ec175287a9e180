//! An ingest of Taskcluster: finds the latest decision task of each project, reads its task graph, compares, checks the
//! guards, publishes and reports.
//!
//! Each project is ingested by itself, one after the other: a project that fails or is refused keeps its jobs, and does not
//! keep another from being published.

use std::collections::BTreeMap;
use std::time::Instant;

use catalog::guards::{self, Loss};
use catalog::list::ListedJob;
use catalog::schedule::Cron;
use catalog::taskcluster::{BUILD_SYSTEM, GraphFindings};
use store::{
    CatalogTable, Consistency, GraphOutcome, GraphReport, ProjectReport, Provenance, Report, ReportOutcome, StoreError,
};

use crate::error::IngestError;
use crate::ingest::{Clock, ProgressCallback, Stage};
use crate::past_reports::{self, MAX_PAST_REPORTS};
use crate::run::{Running, due, finish};
use crate::served::ServedLists;
use crate::source::taskcluster::{GraphOf, TaskclusterSource};

/// Maximum number of problems of a graph that a report holds, for each project.
const MAX_PROBLEMS_SHOWN: usize = 3;

/// An ingest of Taskcluster, ready to run.
pub struct TaskclusterIngest<'a> {
    /// Where the task graphs are.
    pub source: &'a TaskclusterSource,
    /// Where the catalog is.
    pub table: &'a CatalogTable,
    /// Maximum share of its jobs that a project may lose, in percent; also of the jobs with a build that may lose it.
    pub max_drop_percent: u8,
    /// Maximum size of an uncompressed task graph, in bytes.
    pub max_source_bytes: u64,
    /// When ingests are due; the report has the next time.
    pub schedule: Option<&'a Cron>,
    /// Whether to write nothing at all.
    pub dry_run: bool,
    /// Whether to override the guards and to read graphs even if they are unchanged.
    pub force: bool,
    /// The projects to publish; empty for all.
    pub only: &'a [String],
    /// The current time.
    pub clock: Clock,
    /// Receives the progress.
    pub on_progress: ProgressCallback,
}

impl<'i> TaskclusterIngest<'i> {
    /// Runs the ingest. The report is as complete as possible, whatever the result. It is stored, unless this is a dry run
    /// or the store cannot be reached.
    pub fn run(self) -> Running<'i> {
        Box::pin(self.run_whole())
    }

    async fn run_whole(self) -> (Report, Result<(), IngestError>) {
        let start = Instant::now();
        let mut report = Report::of_taskcluster((self.clock)(), &self.source.to_string());
        report.only = self.only.to_vec();
        let result = self.ingest(&mut report).await;
        let result = finish(self.table, &mut report, start, self.schedule, self.dry_run, result).await;
        (report, result)
    }

    async fn ingest(&self, report: &mut Report) -> Result<(), IngestError> {
        let past = past_reports::readable(self.table.each_report(BUILD_SYSTEM, MAX_PAST_REPORTS).await?);
        report.schedule = due(self.schedule, &past, report.started_at);
        let projects: Vec<&str> = self.source.projects().collect();
        if let Some(unknown) = self.only.iter().find(|only| !projects.contains(&only.as_str())) {
            return Err(IngestError::NotConfigured(unknown.clone()));
        }
        let names = self.table.projects(Consistency::Consistent).await?;
        let is_wanted = |project: &&str| self.only.is_empty() || self.only.iter().any(|only| only == project);
        let mut failed = BTreeMap::new();
        for project in projects.into_iter().filter(is_wanted) {
            let mut entry = ProjectReport::default();
            let mut graph = GraphReport::new(GraphOutcome::Failed);
            let result = self.project(project, &past, report, &mut entry, &mut graph).await;
            // Ingests of both build systems at the same time can leave a list without a name.
            let has_list = entry.jobs > 0 && graph.outcome == GraphOutcome::Unchanged;
            let result = match result {
                Ok(()) if has_list && !names.contains(project) => {
                    self.table.add_name(project).await.map_err(IngestError::from)
                }
                other => other,
            };
            if let Err(error) = result {
                tracing::warn!(project, %error, "the project keeps its jobs");
                graph.outcome = match error.outcome() {
                    ReportOutcome::Refused => GraphOutcome::Refused,
                    ReportOutcome::Superseded => GraphOutcome::Superseded,
                    _ => GraphOutcome::Failed,
                };
                (graph.error, graph.error_code) = (Some(error.to_string()), Some(error.code()));
                failed.insert(project.to_owned(), error);
            }
            report.jobs += entry.jobs as u64;
            entry.graph = Some(graph);
            report.projects.insert(project.to_owned(), entry);
        }
        (self.on_progress)(Stage::Publishing);
        let is_published = |project: &ProjectReport| {
            project.graph.as_ref().is_some_and(|graph| graph.outcome == GraphOutcome::Published)
        };
        let published = report.projects.values().any(is_published);
        report.outcome = if published { ReportOutcome::Published } else { ReportOutcome::Unchanged };
        if failed.is_empty() { Ok(()) } else { Err(IngestError::Projects(failed)) }
    }

    /// Ingests a project. `entry` and `graph` say how far it came.
    async fn project(
        &self,
        project: &str,
        past: &[Report],
        report: &mut Report,
        entry: &mut ProjectReport,
        graph: &mut GraphReport,
    ) -> Result<(), IngestError> {
        // The pointer is read before the source is asked: of two simultaneous ingests, the one whose pointer the other has
        // moved stops.
        let pointer = match self.table.pointers([project], Consistency::Consistent).await?.remove(project) {
            Some(Err(error)) if !self.force => return Err(error.into()),
            Some(Err(_)) => {
                if !self.dry_run {
                    self.table.remove_damaged(project).await?;
                }
                None
            }
            Some(Ok(pointer)) => Some(pointer),
            None => None,
        };
        let pointer = pointer.as_ref();
        let before = pointer.map_or(0, |pointer| pointer.jobs_of(BUILD_SYSTEM));
        (entry.jobs, entry.unchanged) = (before, before);
        let Some(found) = self.source.find(project).await? else {
            tracing::info!(project, "no decision task is known");
            graph.outcome = GraphOutcome::NoDecisionTask;
            return Ok(());
        };
        graph.decision_task = Some(found.name());
        if let Some(last) = last_read(past, project)
            && !self.force
            && found.is_immutable()
            && last.decision_task == graph.decision_task
            && pointer.is_some_and(|pointer| {
                !pointer.is_outdated() && pointer.digest_of(BUILD_SYSTEM) == last.digest.as_deref()
            })
        {
            *graph = GraphReport { outcome: GraphOutcome::Unchanged, ..last.clone() };
            return Ok(());
        }
        let served = ServedLists { table: self.table, build_system: BUILD_SYSTEM, force: self.force };
        let GraphOf { graph: mut task_graph, artifact } =
            self.source.read(project, &found, self.max_source_bytes, &self.on_progress).await?;
        graph.artifact = artifact;
        add_findings(report, graph, project, task_graph.findings());
        if !task_graph.findings().has_tiers
            && let Some(pointer) = pointer.filter(|_| before > 0)
        {
            match served.listing(project, pointer).await {
                Ok(latest) => task_graph.join(latest.jobs()),
                Err(StoreError::Damaged { .. }) if self.force => {}
                Err(error) => return Err(error.into()),
            }
        }
        let jobs: Vec<ListedJob<'_>> = task_graph.jobs().collect();
        let found = served.compare(project, &jobs, pointer).await?;
        *entry = found.report;
        graph.digest = Some(found.digest);
        self.check_guards(project, before, jobs.len(), found.with_build, entry, report)?;
        if self.dry_run {
            graph.outcome = GraphOutcome::Checked;
            return Ok(());
        }
        let Some(list) = found.list else {
            graph.outcome = GraphOutcome::Unchanged;
            return Ok(());
        };
        let source = self.source.to_string();
        let provenance = Provenance { source, source_etag: None, updated_at: report.started_at };
        let jobs = || task_graph.jobs().collect();
        let published = served.publish(project, &list, pointer, jobs, &provenance).await?;
        tracing::info!(project, jobs = entry.jobs, etag = published.etag, "published");
        graph.outcome = GraphOutcome::Published;
        Ok(())
    }

    /// Checks the guards for a project that had `before` jobs and now has `jobs`.
    fn check_guards(
        &self,
        project: &str,
        before: usize,
        jobs: usize,
        with_build: usize,
        entry: &ProjectReport,
        report: &mut Report,
    ) -> Result<(), IngestError> {
        let (removed, lost_builds) = (entry.removed, entry.lost_builds);
        let loss = Loss { project, before, removed, with_build, lost_builds, stays: true };
        let refusals = guards::check_project(&loss, jobs, self.max_drop_percent);
        let said: Vec<String> = refusals.iter().map(ToString::to_string).collect();
        report.refusals.extend(refusals);
        if said.is_empty() || self.force { Ok(()) } else { Err(IngestError::Refused(said)) }
    }
}

/// Adds the findings of a project's graph to the report.
fn add_findings(report: &mut Report, graph: &mut GraphReport, project: &str, findings: &GraphFindings) {
    graph.skipped = findings.left_out;
    report.bytes += findings.bytes;
    report.problem_count += findings.problem_count;
    let problems = findings.problems.iter().take(MAX_PROBLEMS_SHOWN);
    report.problems.extend(problems.map(|problem| format!("{project}: {problem}")));
}

/// Adds a project whose graph was read without a store to a report; `None` is a project without decision task.
pub fn describe(report: &mut Report, project: &str, found: Option<&GraphOf>) {
    let jobs = found.map_or(0, |found| found.graph.len());
    let outcome = if found.is_some() { GraphOutcome::Checked } else { GraphOutcome::NoDecisionTask };
    let mut graph = GraphReport::new(outcome);
    if let Some(found) = found {
        graph.artifact.clone_from(&found.artifact);
        add_findings(report, &mut graph, project, found.graph.findings());
    }
    report.jobs += jobs as u64;
    let entry = ProjectReport { jobs, graph: Some(graph), ..ProjectReport::default() };
    report.projects.insert(project.to_owned(), entry);
}

/// What the last ingest that read a project's graph found, if these rules made the project's jobs of it.
fn last_read<'p>(past: &'p [Report], project: &str) -> Option<&'p GraphReport> {
    let of_project = |report: &'p Report| Some((report, report.projects.get(project)?.graph.as_ref()?));
    let is_read = |(_, graph): &(&Report, &GraphReport)| {
        matches!(graph.outcome, GraphOutcome::Published | GraphOutcome::Unchanged)
    };
    let (report, graph) = past.iter().filter_map(of_project).find(is_read)?;
    (report.rules == catalog::RULES).then_some(graph)
}
