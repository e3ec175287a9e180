//! How labels become actions of Taskcluster, exactly once.
//!
//! The states of labels that are in an action are stored with the head of their request, not with the jobs.

use crate::action::ActionState;
use crate::job::RequestedJob;
use crate::request::Request;
use crate::state::JobState;

impl Request {
    /// Sets the states of labels that follow from the actions of the request. The store does it for jobs that it reads.
    pub fn apply_actions(&self, jobs: &mut [RequestedJob]) {
        let state_without = if self.label_wait.is_some() { JobState::Waiting } else { JobState::Accepted };
        for (place, job) in jobs.iter_mut().enumerate().filter(|(_, job)| job.follows_actions()) {
            let action = self.actions.iter().rev().find(|action| action.jobs.contains(place));
            job.state = match action.map(|action| action.state) {
                Some(ActionState::Triggering) => JobState::Triggering,
                Some(ActionState::Running) => JobState::Forwarded,
                Some(ActionState::Ended | ActionState::Uncertain) | None => state_without,
            };
        }
    }
}
