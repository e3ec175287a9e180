//! Buildbot's jobs: builders that a push can run, and the listed jobs that the grammar makes of them.

use std::collections::BTreeMap;

use crate::buildbot::builder_name::{Classification, classify};
use crate::list::{self, ListedJob, ListedPlatform, Summary};

/// The name of the build system, as the lists and the reports have it.
pub const BUILD_SYSTEM: &str = "buildbot";

/// A builder that a push can run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CatalogJob<'d> {
    /// The builder name.
    pub name: &'d str,
    /// The builder name of the build that a test needs, if it needs one.
    pub upstream: Option<&'d str>,
}

/// The jobs of each project: the projects by name, each with its jobs by name.
pub type Projects<'d> = BTreeMap<&'d str, Vec<CatalogJob<'d>>>;

impl<'d> CatalogJob<'d> {
    /// The job as a list has it, with the symbols and the platform that its name stands for.
    fn listed(&self, says: &Classification<'d>) -> ListedJob<'d> {
        ListedJob {
            name: self.name,
            upstream: self.upstream,
            build_system: BUILD_SYSTEM,
            platform: ListedPlatform { name: says.platform(), os: says.os(), architecture: says.architecture() },
            option: says.option(),
            job_type_name: says.job_type_name(),
            job_type_symbol: says.job_type_symbol(),
            job_group_name: says.job_group_name(),
            job_group_symbol: says.job_group_symbol(),
            tier: None,
        }
    }
}

/// The jobs as a list has them. Calls `unknown` with each name that the grammar does not know.
pub fn listed<'d>(jobs: &[CatalogJob<'d>], mut unknown: impl FnMut(&'d str)) -> Vec<ListedJob<'d>> {
    let listed = |job: &CatalogJob<'d>| {
        let says = classify(job.name);
        if !says.is_known() {
            unknown(job.name);
        }
        job.listed(&says)
    };
    jobs.iter().map(listed).collect()
}

/// Appends the body of a project's list to `body`, and returns what the list holds. Calls `unknown` with each name that
/// the grammar does not know.
///
/// `jobs` are in the order of their names.
///
/// # Panics
/// Never: writing to memory does not fail.
pub fn write_body(
    project: &str,
    jobs: &[CatalogJob<'_>],
    body: &mut Vec<u8>,
    mut unknown: impl FnMut(&str),
) -> Summary {
    let listed = jobs.iter().map(|job| {
        let says = classify(job.name);
        if !says.is_known() {
            unknown(job.name);
        }
        job.listed(&says)
    });
    list::write_body(project, listed, body)
}

/// Writes the index of a project's list, whose body has this ETag.
///
/// `jobs` are those of the body, in the same order.
///
/// # Panics
/// The ETag is not one that `list::etag` made.
pub fn write_index(project: &str, etag: &str, jobs: &[CatalogJob<'_>]) -> Vec<u8> {
    list::write_index(project, etag, jobs.iter().map(|job| job.listed(&classify(job.name))))
}
