//! Planning a job for the first time.

use super::context::PlanContext;
use super::runs::{BuildStatus, Runs};
use super::settings::{AlreadyRunning, Planning};
use crate::job::{BuildWait, JobCode, RequestedJob};
use crate::reason::JobReason;
use crate::state::JobState;

/// Plans a job about which nothing was decided yet. Returns the build that is to be requested for it.
pub(super) fn plan_new(
    job: &mut RequestedJob,
    runs: Option<&Runs>,
    planning: &Planning,
    context: PlanContext,
) -> Option<String> {
    let mut decide = |state, code, reason| {
        job.state = state;
        job.code = Some(code);
        job.reason = Some(reason);
        job.planned = true;
    };
    let Some(runs) = runs else {
        if job.build.is_some() {
            decide(JobState::Accepted, JobCode::PlanSkipped, JobReason::PlanSkipped);
        }
        return None;
    };
    let underway = runs.underway(&job.name).filter(|_| !context.is_repeat);
    if let Some(run) = underway.filter(|_| planning.already_running == AlreadyRunning::Skip) {
        decide(JobState::Rejected, JobCode::AlreadyRunning, JobReason::LeftRunning { run });
        return None;
    }
    let found = job.build.as_deref().map(|build| (build, runs.build(build, 0)));
    let (build, code, ignore_runs_up_to, reason) = match found {
        None | Some((_, BuildStatus::Usable)) => {
            if let Some(run) = underway {
                decide(JobState::Accepted, JobCode::AlreadyRunning, JobReason::RunAgain { run });
            }
            return None;
        }
        Some((build, BuildStatus::Underway(run))) => {
            (build, JobCode::BuildRunning, None, JobReason::BuildUnderway { run })
        }
        Some((build, BuildStatus::Ended(result))) => {
            let reason = JobReason::BuildRequestedAgain { result: result.to_owned() };
            (build, JobCode::BuildRequested, Some(runs.last_ended(build)), reason)
        }
        Some((build, BuildStatus::Absent)) => {
            (build, JobCode::BuildRequested, Some(runs.last_ended(build)), JobReason::BuildAbsent)
        }
    };
    let failed_before = runs.last_ended(build);
    let build = build.to_owned();
    decide(JobState::Waiting, code, reason);
    job.build_wait = Some(BuildWait { since: context.now, ignore_runs_up_to, failed_before });
    ignore_runs_up_to.map(|_| build)
}
