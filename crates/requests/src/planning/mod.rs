//! What to do with the jobs of a request: a test needs its build, and the runs of that on the push decide whether the test
//! is forwarded or waits, and whether the build is requested too.
//!
//! | the build on the push | the test |
//! | --- | --- |
//! | a run of it left packages | is forwarded |
//! | is underway | waits |
//! | failed, or is absent | waits; the build is requested too |
//! | Treeherder does not answer | is forwarded, and its reason says so |
//! | the test needs none | is forwarded |
//!
//! A test that waits is rechecked: it is forwarded once its build left packages, and fails if the build fails, could not be
//! requested, or takes too long. If the build that was underway is gone, it is requested after all. `runs.rs` says how
//! Treeherder's words for a run are read.

mod context;
mod needed_build;
mod new_job;
mod runs;
mod settings;
#[cfg(test)]
mod tests;
mod waiting_job;

use std::collections::{BTreeMap, BTreeSet};

pub use self::context::PlanContext;
use self::needed_build::BuildNeed;
use self::new_job::plan_new;
pub use self::runs::{Run, RunState, Runs};
pub use self::settings::{AlreadyRunning, Planning};
pub use self::waiting_job::fail_jobs_without_build;
use self::waiting_job::recheck_waiting;
use crate::job::RequestedJob;
use crate::state::JobState;

/// The names of the jobs whose runs decide what to do with `jobs`. If there are none, Treeherder need not be asked.
pub fn names_to_check<'j>(jobs: &'j [RequestedJob], planning: &Planning) -> BTreeSet<&'j str> {
    let new = || jobs.iter().filter(|job| is_new(job));
    let mut names_to_check: BTreeSet<&str> = jobs
        .iter()
        .filter(|job| job.state == JobState::Waiting || is_new(job))
        .filter_map(|job| job.build.as_deref())
        .collect();
    if planning.already_running == AlreadyRunning::Skip || new().any(|job| job.build.is_some()) {
        names_to_check.extend(new().map(|job| job.name.as_str()));
    }
    names_to_check
}

/// Whether the job is accepted and planning has not decided anything about it.
fn is_new(job: &RequestedJob) -> bool {
    job.state == JobState::Accepted && !job.planned
}

/// Plans the jobs of a request: those that are accepted then are to be forwarded. `runs` are the runs of the jobs that
/// [`names_to_check`] names; `None` if Treeherder does not answer. Builds that are requested too are added at the end.
///
/// Planning jobs again changes only jobs that wait.
#[must_use]
pub fn plan(
    jobs: &[RequestedJob],
    runs: Option<&Runs>,
    planning: &Planning,
    context: PlanContext,
) -> Vec<RequestedJob> {
    let mut planned = jobs.to_vec();
    // Builds that are to be requested, each with the first test that needs it.
    let mut needed: BTreeMap<String, BuildNeed> = BTreeMap::new();
    for job in &mut planned {
        let was_waiting = job.state == JobState::Waiting;
        let build = match job.state {
            JobState::Accepted if is_new(job) => plan_new(job, runs, planning, context),
            JobState::Waiting => recheck_waiting(job, runs, planning, context),
            _ => None,
        };
        if let Some(build) = build {
            needed.entry(build).or_insert_with(|| BuildNeed { test: job.name.clone(), was_waiting });
        }
    }
    for (build, need) in needed {
        need.request(&build, &mut planned, context);
    }
    planned
}
