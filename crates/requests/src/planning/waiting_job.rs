//! Rechecking a job that waits for its build.

use std::collections::HashMap;

use super::context::PlanContext;
use super::runs::{BuildStatus, Runs};
use super::settings::Planning;
use crate::job::{BuildWait, JobCode, RequestedJob};
use crate::reason::JobReason;
use crate::state::JobState;

/// Rechecks a job that waits for its build. Returns the build, if it is to be requested now.
pub(super) fn recheck_waiting(
    job: &mut RequestedJob,
    runs: Option<&Runs>,
    planning: &Planning,
    context: PlanContext,
) -> Option<String> {
    let (Some(build), Some(build_wait)) = (job.build.clone(), job.build_wait) else { return None };
    let found = runs.map(|runs| runs.build(&build, build_wait.ignore_runs_up_to.unwrap_or(build_wait.failed_before)));
    match found {
        Some(BuildStatus::Usable) => {
            job.state = JobState::Accepted;
            job.code = job.name_change_code();
            job.reason = None;
            job.build_wait = None;
            job.planned = true;
            job.batch = context.batch;
        }
        Some(BuildStatus::Ended(result)) => {
            fail_job(job, JobCode::BuildFailed, JobReason::BuildEnded { result: result.to_owned() });
        }
        _ if context.now - build_wait.since >= planning.max_wait() => {
            fail_job(job, JobCode::WaitedTooLong, JobReason::WaitedTooLong { hours: planning.max_wait_hours });
        }
        Some(BuildStatus::Underway(run)) => {
            job.code = Some(JobCode::BuildRunning);
            job.reason = Some(JobReason::BuildUnderway { run });
        }
        // The build was cancelled, or a run on another push counts for it.
        Some(BuildStatus::Absent) if build_wait.ignore_runs_up_to.is_none() => {
            job.code = Some(JobCode::BuildRequested);
            job.reason = Some(JobReason::BuildGone);
            let ignore_runs_up_to = runs.map(|runs| runs.last_ended(&build)).unwrap_or_default();
            job.build_wait = Some(BuildWait { ignore_runs_up_to: Some(ignore_runs_up_to), ..build_wait });
            return Some(build);
        }
        Some(BuildStatus::Absent) | None => {}
    }
    None
}

/// Fails the jobs of a request that wait for a build which could not be requested.
pub fn fail_jobs_without_build(jobs: &mut [RequestedJob]) {
    let is_lost =
        |job: &&RequestedJob| matches!(job.state, JobState::Unroutable | JobState::Failed) && job.build.is_none();
    let lost: HashMap<String, Option<JobReason>> =
        jobs.iter().filter(is_lost).map(|job| (job.name.clone(), job.reason.clone())).collect();
    for job in jobs {
        let is_requested = job.build_wait.is_some_and(|build_wait| build_wait.ignore_runs_up_to.is_some());
        let Some(build) = job.build.clone().filter(|_| is_requested) else { continue };
        if let Some(because) = lost.get(&build) {
            let because = because.clone().map(Box::new);
            fail_job(job, JobCode::BuildFailed, JobReason::BuildNotRequested { because });
        }
    }
}

fn fail_job(job: &mut RequestedJob, code: JobCode, reason: JobReason) {
    job.state = JobState::Failed;
    job.code = Some(code);
    job.reason = Some(reason);
    job.build_wait = None;
}
