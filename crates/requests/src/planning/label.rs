//! Planning labels. Taskcluster creates the build of a test that the push does not have, and makes the test depend on one
//! that is there, whatever became of it: a test of a build that failed would wait for ever.
//!
//! A label is planned again and again until it is triggered: other requests change the push while it waits. None of the
//! runs on the push are its own, since the call of a hook is recorded before it is made.

use std::collections::BTreeSet;

use super::runs::{BuildStatus, Runs};
use super::settings::{AlreadyRunning, Planning};
use crate::destination::Destination;
use crate::job::{JobCode, RequestedJob};
use crate::reason::{JobReason, Underway};
use crate::state::JobState;

/// A test that needs a failed build anew.
pub(super) struct FailedBuild {
    test: String,
    result: String,
}

/// Whether the job is a label that an action is to run, and whose hook is not being called.
pub(super) fn is_to_be_triggered(job: &RequestedJob) -> bool {
    job.is_open_label() && job.state != JobState::Triggering
}

/// Plans a label. Returns its build, if that is to be requested anew.
pub(super) fn plan_label(
    job: &mut RequestedJob,
    runs: Option<&Runs>,
    planning: &Planning,
) -> Option<(String, FailedBuild)> {
    let Some(runs) = runs else {
        if job.build.is_some() && !job.planned {
            decide(job, JobCode::PlanSkipped, JobReason::PlanSkipped);
        }
        return None;
    };
    if job.code == Some(JobCode::PlanSkipped) {
        job.code = job.name_change_code();
        job.reason = None;
        job.planned = false;
    }
    // A call that was not answered may have started the run.
    let underway = runs.underway(&job.name).filter(|_| !job.in_doubt);
    if !job.is_asked_for() {
        withdraw(job, runs, underway);
        return None;
    }
    match underway {
        Some(run) if planning.already_running == AlreadyRunning::Skip => {
            decide(job, JobCode::AlreadyRunning, JobReason::LeftRunning { run });
            job.state = JobState::Rejected;
            return None;
        }
        Some(run) if !job.planned => decide(job, JobCode::AlreadyRunning, JobReason::RunAgain { run }),
        _ => {}
    }
    let build = job.build.as_deref()?;
    match runs.build(build, 0) {
        BuildStatus::Ended(result) => {
            Some((build.to_owned(), FailedBuild { test: job.name.clone(), result: result.to_owned() }))
        }
        BuildStatus::Usable | BuildStatus::Underway(_) | BuildStatus::Absent => None,
    }
}

fn decide(job: &mut RequestedJob, code: JobCode, reason: JobReason) {
    job.code = Some(code);
    job.reason = Some(reason);
    job.planned = true;
}

/// Rejects a build that was added and has been started elsewhere since.
fn withdraw(build: &mut RequestedJob, runs: &Runs, underway: Option<Underway>) {
    let reason = match (underway, runs.build(&build.name, 0)) {
        _ if build.in_doubt => return,
        (_, BuildStatus::Usable) => JobReason::BuildThere,
        (Some(run), _) => JobReason::LeftRunning { run },
        (None, _) => return,
    };
    build.state = JobState::Rejected;
    build.reason = Some(reason);
}

impl FailedBuild {
    /// Adds the build to the jobs, or requests it once more if it is among them and has failed.
    pub(super) fn request(self, build: &str, planned: &mut Vec<RequestedJob>) {
        let Self { test, result } = self;
        let added = |job: RequestedJob| RequestedJob {
            code: Some(JobCode::NeededBuild),
            reason: Some(JobReason::NeededAnew { test: test.clone(), result }),
            planned: true,
            ..job
        };
        match planned.iter_mut().find(|job| job.name == build) {
            None => planned.push(added(RequestedJob::accepted_label(build))),
            // It is about to be created, or was created and Treeherder does not have it yet.
            Some(job) if job.destination != Destination::Taskcluster || !has_failed(job) => {}
            Some(job) => {
                let fresh = RequestedJob {
                    requested_name: job.requested_name.clone(),
                    in_doubt: job.in_doubt,
                    ..RequestedJob::accepted_label(build)
                };
                *job = if job.is_asked_for() {
                    let code = job.name_change_code();
                    RequestedJob { code, reason: Some(JobReason::NeededAgain { test }), planned: true, ..fresh }
                } else {
                    added(fresh)
                };
            }
        }
    }
}

/// Whether the job of the request left no build, and is not about to.
fn has_failed(job: &RequestedJob) -> bool {
    match job.state {
        JobState::Accepted | JobState::Waiting | JobState::Triggering => false,
        JobState::Forwarded => job.outcome.as_ref().is_some_and(|outcome| outcome.has_ended() && !outcome.is_success()),
        JobState::Rejected | JobState::Unroutable | JobState::Failed => true,
    }
}

/// The builds that Taskcluster starts by itself, in alphabetical order: those of labels that are to be triggered which are
/// neither on the push nor requested. If Treeherder does not answer, `runs` is `None`, and none is known.
pub fn missing_builds(jobs: &[RequestedJob], runs: Option<&Runs>) -> Vec<String> {
    let Some(runs) = runs else { return Vec::new() };
    let labels = || jobs.iter().filter(|job| is_to_be_triggered(job));
    let requested: BTreeSet<&str> = labels().map(|job| job.name.as_str()).collect();
    let builds: BTreeSet<&str> = labels().filter_map(|job| job.build.as_deref()).collect();
    let absent = builds.difference(&requested).filter(|build| matches!(runs.build(build, 0), BuildStatus::Absent));
    absent.map(|build| (*build).to_owned()).collect()
}
