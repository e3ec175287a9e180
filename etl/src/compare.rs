//! Compares the lists of a dump with the lists that are served, and the new catalog with the guards.

use std::collections::BTreeMap;

use catalog::diff;
use catalog::dump::Findings;
use catalog::guards::{self, Counts, Loss};
use catalog::jobs::{self, PackedList, Projects};
use store::{ListPointer, ProjectReport, Report, StoreError};

use crate::ingest::{Ingest, IngestError, Pointers, write_body};

/// How many unknown names a report shows.
const MAX_UNKNOWN_SHOWN: usize = 20;

/// A list to publish: it is new, it differs, or its pointer was written before pointers had summaries.
pub(crate) struct Change {
    pub(crate) project: String,
    pub(crate) list: PackedList,
}

/// The result of the comparison.
pub(crate) struct Compared {
    /// The lists that differ.
    pub(crate) changes: Vec<Change>,
    /// For each compared project, how many tests have a build in the list that is served.
    pub(crate) with_build: BTreeMap<String, usize>,
}

impl Ingest<'_> {
    /// Writes each project's body and compares it with the list that is served.
    pub(crate) async fn compare(
        &self,
        projects: &Projects<'_>,
        pointers: &Pointers,
        report: &mut Report,
    ) -> Result<Compared, IngestError> {
        let (mut changes, mut with_build) = (Vec::new(), BTreeMap::new());
        let mut body = Vec::new();
        for (&project, jobs) in projects {
            let mut unknown = Vec::new();
            let summary = write_body(project, jobs, &mut body, &mut unknown);
            report.unknown_names += unknown.len() as u64;
            let room = MAX_UNKNOWN_SHOWN - report.unknown.len();
            report.unknown.extend(unknown.into_iter().take(room));
            let pointer = pointers.get(project);
            let served = pointer.filter(|pointer| pointer.etag == jobs::etag(&body));
            let same = match served {
                // The ETag says that the list is the same. A forced ingest reads it, because it may be damaged.
                Some(pointer) => !self.force || self.old_body(project, pointer).await? == body,
                None => false,
            };
            let entry = if same {
                if let Some(pointer) = served.filter(|pointer| pointer.is_outdated()) {
                    let list = self.once_more(project, pointer, PackedList::new(&body, summary)).await?;
                    changes.push(Change { project: project.to_owned(), list });
                }
                let with_builds = jobs.iter().filter(|job| job.upstream.is_some()).count();
                with_build.insert(project.to_owned(), with_builds);
                ProjectReport { jobs: jobs.len(), unchanged: jobs.len(), ..ProjectReport::default() }
            } else {
                changes.push(Change { project: project.to_owned(), list: PackedList::new(&body, summary) });
                let old = match pointer {
                    Some(pointer) => self.old_body(project, pointer).await?,
                    None => Vec::new(),
                };
                let found = diff::compare(&old, &body).map_err(|error| damaged(project, &error))?;
                with_build.insert(project.to_owned(), found.with_build);
                ProjectReport {
                    jobs: jobs.len(),
                    added: found.added.len(),
                    removed: found.removed.len(),
                    changed: found.changed.len(),
                    unchanged: found.unchanged,
                    lost_builds: found.lost_builds.len(),
                }
            };
            report.projects.insert(project.to_owned(), entry);
        }
        Ok(Compared { changes, with_build })
    }

    /// An unchanged list, published again for its summary. A single part is replaced at once. Several parts are replaced
    /// one by one and keep their bytes: the output of another compressor would not fit the parts not yet replaced.
    async fn once_more(
        &self,
        project: &str,
        pointer: &ListPointer,
        list: PackedList,
    ) -> Result<PackedList, IngestError> {
        if pointer.parts == 1 && list.parts().len() == 1 {
            return Ok(list);
        }
        Ok(PackedList { gzip: self.table.list(project, pointer).await?, ..list })
    }

    /// The list that is served. A forced ingest treats a damaged list as empty and so writes it again.
    async fn old_body(&self, project: &str, pointer: &ListPointer) -> Result<Vec<u8>, IngestError> {
        let body = match self.table.list(project, pointer).await {
            Ok(packed) => jobs::unpack(&packed).map_err(|error| damaged(project, &error)),
            Err(error) => Err(error),
        };
        match body {
            Err(StoreError::Damaged { .. }) if self.force => Ok(Vec::new()),
            other => Ok(other?),
        }
    }

    /// Checks the new catalog with the guards. `pointers` has every project: the jobs that a restricted ingest removes
    /// count against the whole catalog, as in any other ingest.
    pub(crate) async fn guard(
        &self,
        pointers: &Pointers,
        projects: &Projects<'_>,
        findings: &Findings,
        mut with_build: BTreeMap<String, usize>,
        report: &mut Report,
    ) -> Result<(), IngestError> {
        if report.projects.values().any(|project| project.lost_builds > 0) {
            // The lists of the projects that were not compared are read only here, where their tests count.
            for (project, pointer) in pointers {
                if !with_build.contains_key(project) {
                    with_build.insert(project.clone(), self.tests_with_build(project, pointer).await?);
                }
            }
        }
        let is_touched = |project: &str| self.only.is_empty() || self.only.iter().any(|only| only == project);
        let losses: Vec<Loss<'_>> = pointers
            .iter()
            .map(|(project, pointer)| {
                let entry = report.projects.get(project);
                Loss {
                    project,
                    before: pointer.summary.jobs,
                    removed: entry.map_or(0, |entry| entry.removed),
                    with_build: with_build.get(project).copied().unwrap_or_default(),
                    lost_builds: entry.map_or(0, |entry| entry.lost_builds),
                    stays: projects.contains_key(project.as_str()) || !is_touched(project),
                }
            })
            .collect();
        let counts = Counts {
            builders: findings.builders,
            tests: findings.tests,
            tests_without_build: findings.tests_without_build,
        };
        report.refusals = guards::check(&counts, &losses, &self.limits);
        if report.refusals.is_empty() || self.force {
            return Ok(());
        }
        Err(IngestError::Refused(report.refusals.iter().map(ToString::to_string).collect()))
    }

    /// How many tests of the list that is served have a build. A damaged list counts as empty: an ingest of its project
    /// repairs it.
    async fn tests_with_build(&self, project: &str, pointer: &ListPointer) -> Result<usize, IngestError> {
        match self.old_body(project, pointer).await {
            Ok(body) => Ok(diff::with_build(&body).unwrap_or_default()),
            Err(IngestError::Store(StoreError::Damaged { .. })) => Ok(0),
            Err(error) => Err(error),
        }
    }
}

fn damaged(project: &str, error: &impl ToString) -> StoreError {
    StoreError::Damaged { key: format!("list of {project}"), what: error.to_string() }
}
