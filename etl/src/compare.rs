//! Compares the lists of a dump with the served lists, and derives what the guards check.

use std::collections::BTreeMap;

use catalog::buildbot::{self, BUILD_SYSTEM, CatalogJob, Findings, Projects};
use catalog::guards::{Counts, Loss};
use catalog::list::{self, Listing, PackedList, Summary};
use store::{CatalogTable, ListPointer, ProjectReport, Report, StoreError};

use crate::error::IngestError;

/// The pointers of projects.
pub(crate) type Pointers = BTreeMap<String, ListPointer>;

/// Maximum number of unknown names in a report.
const MAX_UNKNOWN_SHOWN: usize = 20;

/// A project whose list is replaced, is new, or has a pointer without a summary or an index.
pub(crate) struct Change {
    pub(crate) project: String,
    pub(crate) list: PackedList,
}

/// The result of comparing.
pub(crate) struct Compared {
    /// The lists that differ.
    pub(crate) changes: Vec<Change>,
    /// Number of tests with a build in the served list, for each compared project.
    pub(crate) with_build: BTreeMap<String, usize>,
}

/// The lists that are served.
pub(crate) struct ServedLists<'a> {
    pub(crate) table: &'a CatalogTable,
    /// Whether damaged lists are replaced.
    pub(crate) force: bool,
}

impl ServedLists<'_> {
    /// Writes each project's body and compares it with the served list.
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
            let served = pointer.filter(|pointer| pointer.etag == list::etag(&body));
            let same = match served {
                // The tags are equal: read the served list only where it may be damaged.
                Some(pointer) => {
                    !self.force
                        || (self.old_body(project, pointer).await? == body && self.has_index(project, pointer).await?)
                }
                None => false,
            };
            let entry = if same {
                if let Some(pointer) = served.filter(|pointer| pointer.is_outdated()) {
                    let list = self.once_more(project, pointer, packed(project, jobs, &body, summary)).await?;
                    changes.push(Change { project: project.to_owned(), list });
                }
                let with_builds = jobs.iter().filter(|job| job.upstream.is_some()).count();
                with_build.insert(project.to_owned(), with_builds);
                ProjectReport { jobs: jobs.len(), unchanged: jobs.len(), ..ProjectReport::default() }
            } else {
                changes.push(Change { project: project.to_owned(), list: packed(project, jobs, &body, summary) });
                let old = match pointer {
                    Some(pointer) => self.old_body(project, pointer).await?,
                    None => Vec::new(),
                };
                let found = list::compare(&old, &body).map_err(|error| damaged(project, &error))?;
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

    /// An unchanged list that is published again for its summary or its index. A single part is replaced at once. Several
    /// parts are replaced one by one and keep their bytes: bytes of another compressor would not fit the existing parts.
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

    /// The served list. With `force` a damaged list counts as empty, and is then written anew.
    async fn old_body(&self, project: &str, pointer: &ListPointer) -> Result<Vec<u8>, IngestError> {
        let body = match self.table.list(project, pointer).await {
            Ok(packed) => list::unpack(&packed).map_err(|error| damaged(project, &error)),
            Err(error) => Err(error),
        };
        match body {
            Err(StoreError::Damaged { .. }) if self.force => Ok(Vec::new()),
            other => Ok(other?),
        }
    }

    /// Whether a served list has a usable index.
    async fn has_index(&self, project: &str, pointer: &ListPointer) -> Result<bool, IngestError> {
        match self.table.index(project, pointer).await {
            Ok(index) => {
                Ok(Listing::from_index(&index, &pointer.etag).is_ok_and(|list| list.len() == pointer.summary.jobs))
            }
            Err(StoreError::Damaged { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Adds the number of tests with a build for the projects that were not compared.
    pub(crate) async fn count_tests_with_build(
        &self,
        pointers: &Pointers,
        with_build: &mut BTreeMap<String, usize>,
    ) -> Result<(), IngestError> {
        for (project, pointer) in pointers {
            if !with_build.contains_key(project) {
                with_build.insert(project.clone(), self.tests_with_build(project, pointer).await?);
            }
        }
        Ok(())
    }

    /// The number of tests with a build in the served list. A damaged list counts as empty: an ingest of its project
    /// repairs it.
    async fn tests_with_build(&self, project: &str, pointer: &ListPointer) -> Result<usize, IngestError> {
        match self.old_body(project, pointer).await {
            Ok(body) => Ok(list::count_with_build(&body).unwrap_or_default()),
            Err(IngestError::Store(StoreError::Damaged { .. })) => Ok(0),
            Err(error) => Err(error),
        }
    }
}

fn damaged(project: &str, error: &impl ToString) -> StoreError {
    StoreError::Damaged { key: format!("list of {project}"), what: error.to_string() }
}

/// Replaces `body` by the body of a project's list, and adds the names that the grammar does not know to `unknown`.
pub fn write_body(project: &str, jobs: &[CatalogJob<'_>], body: &mut Vec<u8>, unknown: &mut Vec<String>) -> Summary {
    body.clear();
    buildbot::write_body(project, jobs, body, |name| unknown.push(name.to_owned()))
}

/// A project's list, packed, with its index.
fn packed(project: &str, jobs: &[CatalogJob<'_>], body: &[u8], summary: Summary) -> PackedList {
    let list = PackedList::new(body, summary);
    let index = buildbot::write_index(project, &list.etag, jobs);
    list.with_index(index)
}

/// The counts of a dump that the guards check.
pub(crate) fn counts(findings: &Findings) -> Counts {
    Counts { builders: findings.builders, tests: findings.tests, tests_without_build: findings.tests_without_build }
}

/// The losses of each project of the served catalog. A restricted ingest counts against the whole catalog, as any other
/// does; jobs of other build systems do not count.
pub(crate) fn losses<'p>(
    pointers: &'p Pointers,
    projects: &Projects<'_>,
    with_build: &BTreeMap<String, usize>,
    reports: &BTreeMap<String, ProjectReport>,
    is_touched: impl Fn(&str) -> bool,
) -> Vec<Loss<'p>> {
    let loss = |(project, pointer): (&'p String, &'p ListPointer)| {
        let report = reports.get(project);
        Loss {
            project,
            before: jobs_of_build_system(&pointer.summary),
            removed: report.map_or(0, |report| report.removed),
            with_build: with_build.get(project).copied().unwrap_or_default(),
            lost_builds: report.map_or(0, |report| report.lost_builds),
            stays: projects.contains_key(project.as_str()) || !is_touched(project),
        }
    };
    pointers.iter().filter(|(_, pointer)| has_build_system(pointer)).map(loss).collect()
}

/// Whether a served list can have jobs of the source's build system. Pointers of earlier releases do not name theirs: it
/// is Buildbot.
pub(crate) fn has_build_system(pointer: &ListPointer) -> bool {
    let build_systems = &pointer.summary.build_systems;
    build_systems.is_empty() || build_systems.contains_key(BUILD_SYSTEM)
}

/// The number of jobs of the source's build system.
fn jobs_of_build_system(summary: &Summary) -> usize {
    summary.build_systems.get(BUILD_SYSTEM).copied().unwrap_or(summary.jobs)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use store::Provenance;

    use super::*;

    fn pointer(jobs: usize, build_systems: &[(&str, usize)]) -> ListPointer {
        let build_systems = build_systems.iter().map(|&(name, jobs)| (name.to_owned(), jobs)).collect();
        ListPointer {
            generation: 1,
            etag: "a".to_owned(),
            summary: Summary { jobs, build_systems, ..Summary::default() },
            parts: 1,
            index_parts: 1,
            body_bytes: 1,
            packed_bytes: 1,
            provenance: Provenance { source: "-".to_owned(), source_etag: None, updated_at: DateTime::UNIX_EPOCH },
        }
    }

    #[test]
    fn an_ingest_of_one_build_system_loses_no_jobs_of_another() {
        let pointers: Pointers = [
            ("ash", pointer(90, &[("taskcluster", 90)])),
            ("elm", pointer(20, &[])),
            ("try", pointer(300, &[("buildbot", 100), ("taskcluster", 200)])),
        ]
        .map(|(project, pointer)| (project.to_owned(), pointer))
        .into();
        let losses = losses(&pointers, &Projects::new(), &BTreeMap::new(), &BTreeMap::new(), |_| true);
        let before: Vec<(&str, usize)> = losses.iter().map(|loss| (loss.project, loss.before)).collect();
        assert_eq!(before, [("elm", 20), ("try", 100)]);
    }
}
