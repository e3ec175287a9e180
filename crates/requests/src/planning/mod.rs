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
//!
//! A label of Taskcluster never waits for its build: Taskcluster creates the build, or lets the test wait for it.
//!
//! | the build on the push | the label |
//! | --- | --- |
//! | a run of it succeeded, is underway, or is absent | is triggered |
//! | ended otherwise | is triggered together with the build |
//! | Treeherder does not answer | is triggered, and its reason says so |

mod context;
mod label;
mod needed_build;
mod new_job;
mod runs;
mod settings;
#[cfg(test)]
mod tests;
mod waiting_job;

use std::collections::{BTreeMap, BTreeSet};

pub use self::context::PlanContext;
pub use self::label::missing_builds;
use self::label::{FailedBuild, is_to_be_triggered, plan_label};
use self::needed_build::BuildNeed;
use self::new_job::plan_new;
pub use self::runs::{Run, RunState, Runs};
pub use self::settings::{AlreadyRunning, Planning};
pub use self::waiting_job::fail_jobs_without_build;
use self::waiting_job::recheck_waiting;
use crate::destination::Destination;
use crate::job::RequestedJob;
use crate::state::JobState;

/// The names of the jobs whose runs decide what to do with `jobs`. If there are none, Treeherder need not be asked.
pub fn names_to_check<'j>(jobs: &'j [RequestedJob], planning: &Planning) -> BTreeSet<&'j str> {
    let new = || jobs.iter().filter(|job| is_new(job));
    let mut names_to_check: BTreeSet<&str> = jobs
        .iter()
        .filter(|job| is_waiting_for_build(job) || is_new(job) || is_to_be_triggered(job))
        .filter_map(|job| job.build.as_deref())
        .collect();
    if planning.already_running == AlreadyRunning::Skip || new().any(|job| job.build.is_some()) {
        names_to_check.extend(new().map(|job| job.name.as_str()));
    }
    let labels = || jobs.iter().filter(|job| is_to_be_triggered(job));
    if planning.already_running == AlreadyRunning::Skip || !names_to_check.is_empty() {
        names_to_check.extend(labels().map(|job| job.name.as_str()));
    }
    // A build that was added may have been started elsewhere since.
    names_to_check.extend(labels().filter(|job| !job.is_asked_for()).map(|job| job.name.as_str()));
    names_to_check
}

/// Whether the job goes to Pulse, is accepted, and planning has not decided anything about it.
fn is_new(job: &RequestedJob) -> bool {
    job.destination == Destination::Pulse && job.state == JobState::Accepted && !job.planned
}

fn is_waiting_for_build(job: &RequestedJob) -> bool {
    job.destination == Destination::Pulse && job.state == JobState::Waiting
}

/// Plans the jobs of a request: those that are accepted then are to be forwarded. `runs` are the runs of the jobs that
/// [`names_to_check`] names; `None` if Treeherder does not answer. Builds that are requested too are added at the end.
///
/// Planning jobs again changes only jobs that wait, and labels that are not triggered yet.
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
    let mut failed: BTreeMap<String, FailedBuild> = BTreeMap::new();
    for job in &mut planned {
        let was_waiting = is_waiting_for_build(job);
        let build = if is_to_be_triggered(job) {
            if let Some((build, failure)) = plan_label(job, runs, planning) {
                failed.entry(build).or_insert(failure);
            }
            None
        } else if is_new(job) {
            plan_new(job, runs, planning, context)
        } else if was_waiting {
            recheck_waiting(job, runs, planning, context)
        } else {
            None
        };
        if let Some(build) = build {
            needed.entry(build).or_insert_with(|| BuildNeed { test: job.name.clone(), was_waiting });
        }
    }
    for (build, need) in needed {
        need.request(&build, &mut planned, context);
    }
    for (build, failure) in failed {
        failure.request(&build, &mut planned);
    }
    planned
}
