//! The builds that tests need and that the push does not have: they become jobs of the request.

use super::context::PlanContext;
use crate::job::{JobCode, RequestedJob};
use crate::reason::JobReason;
use crate::state::JobState;

/// Why a build is to be requested.
pub(super) struct BuildNeed {
    /// The test that needs it.
    pub(super) test: String,
    /// Whether that test waited for it before: then jobs of the first batch may be forwarded already.
    pub(super) was_waiting: bool,
}

impl BuildNeed {
    /// Adds the build to the jobs, or plans it once more if it is among them and was sent before.
    pub(super) fn request(&self, build: &str, planned: &mut Vec<RequestedJob>, context: PlanContext) {
        let test = self.test.clone();
        match planned.iter_mut().find(|job| job.name == build) {
            None => planned.push(RequestedJob {
                code: Some(JobCode::NeededBuild),
                reason: Some(JobReason::NeededBuild { test }),
                planned: true,
                batch: if self.was_waiting { context.batch } else { 0 },
                ..RequestedJob::accepted(build)
            }),
            // It is forwarded anyway.
            Some(job) if job.state == JobState::Accepted => {}
            // It was forwarded in this attempt: Treeherder is about to have it, and a second message would have its id.
            Some(job) if job.state == JobState::Forwarded && self.was_waiting => {}
            // It was forwarded in an earlier attempt and has failed since, or could not be forwarded.
            Some(job) => {
                let is_added = job.code == Some(JobCode::NeededBuild);
                *job = RequestedJob {
                    requested_name: job.requested_name.clone(),
                    code: if is_added { job.code } else { job.name_change_code() },
                    reason: Some(if is_added {
                        JobReason::NeededBuild { test }
                    } else {
                        JobReason::NeededAgain { test }
                    }),
                    planned: true,
                    batch: context.batch,
                    ..RequestedJob::accepted(build)
                };
            }
        }
    }
}
