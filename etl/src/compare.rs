//! Compares the lists of a dump with the served lists, and derives what the guards check.

use std::collections::BTreeMap;

use catalog::buildbot::{self, BUILD_SYSTEM, Findings, Projects};
use catalog::guards::{Counts, Loss};
use catalog::list::PackedList;
use store::{ListPointer, ProjectReport, Report, StoreError};

use crate::served::{Pointers, ServedLists};

/// Maximum number of unknown names in a report.
const MAX_UNKNOWN_SHOWN: usize = 20;

/// A project whose list is replaced, is new, or has a pointer without a summary or a usable index.
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

/// Compares the jobs of each project of a dump with those of the served list. `gone` has the projects that the dump no
/// longer names, and whose lists have jobs of other build systems.
pub(crate) async fn compare(
    served: &ServedLists<'_>,
    projects: &Projects<'_>,
    gone: &[&String],
    pointers: &Pointers,
    report: &mut Report,
) -> Result<Compared, StoreError> {
    let (mut changes, mut with_build) = (Vec::new(), BTreeMap::new());
    let gone = gone.iter().map(|project| (project.as_str(), &[][..]));
    for (project, jobs) in projects.iter().map(|(project, jobs)| (*project, &jobs[..])).chain(gone) {
        let mut unknown = Vec::new();
        let jobs = buildbot::listed(jobs, |name| unknown.push(name.to_owned()));
        report.unknown_names += unknown.len() as u64;
        let room = MAX_UNKNOWN_SHOWN - report.unknown.len();
        report.unknown.extend(unknown.into_iter().take(room));
        let found = served.compare(project, &jobs, pointers.get(project)).await?;
        changes.extend(found.list.map(|list| Change { project: project.to_owned(), list }));
        with_build.insert(project.to_owned(), found.with_build);
        report.projects.insert(project.to_owned(), found.report);
    }
    Ok(Compared { changes, with_build })
}

/// Adds the number of tests with a build for the projects that were not compared.
pub(crate) async fn count_tests_with_build(
    served: &ServedLists<'_>,
    pointers: &Pointers,
    with_build: &mut BTreeMap<String, usize>,
) -> Result<(), StoreError> {
    for (project, pointer) in pointers.iter().filter(|(_, pointer)| has_buildbot(pointer)) {
        if !with_build.contains_key(project) {
            with_build.insert(project.clone(), served.jobs_with_build(project, pointer).await?);
        }
    }
    Ok(())
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
            before: pointer.jobs_of(BUILD_SYSTEM),
            removed: report.map_or(0, |report| report.removed),
            with_build: with_build.get(project).copied().unwrap_or_default(),
            lost_builds: report.map_or(0, |report| report.lost_builds),
            stays: projects.contains_key(project.as_str()) || !is_touched(project),
        }
    };
    pointers.iter().filter(|(_, pointer)| has_buildbot(pointer)).map(loss).collect()
}

/// Whether a served list has jobs of Buildbot.
pub(crate) fn has_buildbot(pointer: &ListPointer) -> bool {
    pointer.jobs_of(BUILD_SYSTEM) > 0
}

#[cfg(test)]
mod tests {
    use catalog::list::Summary;
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
            index_format: String::new(),
            shares: BTreeMap::new(),
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
