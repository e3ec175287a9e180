//! The changes that a pass over labels makes to a stored request, and what the head says about the labels.

use chrono::{DateTime, TimeDelta, Utc};

use super::next_number;
use crate::action::{Action, ActionState, LabelWait, Places};
use crate::job::RequestedJob;
use crate::planning::Planning;
use crate::reason::JobReason;
use crate::refusal::ActionRefusal;
use crate::request::Request;
use crate::state::JobState;

/// A change of a stored request.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// Actions that certainly have no task: they are forgotten.
    pub(super) absent: Vec<u32>,
    pub(super) kind: ChangeKind,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum ChangeKind {
    /// A hook is about to be called.
    Call { places: Places, hook: String },
    /// An action has a task.
    Task { number: u32, task_id: String },
    /// The labels wait.
    Wait(LabelWait),
    /// The labels fail. `uncertain` is an action that may have a task.
    Refuse { refusal: ActionRefusal, uncertain: Option<u32> },
}

impl Change {
    /// The request after the change, and its jobs.
    #[must_use]
    pub fn apply(
        &self,
        request: &Request,
        jobs: &[RequestedJob],
        planning: &Planning,
        now: DateTime<Utc>,
    ) -> (Request, Vec<RequestedJob>) {
        let (mut next, mut jobs) = (request.clone(), jobs.to_vec());
        next.actions.retain(|action| !self.absent.contains(&action.number));
        match &self.kind {
            ChangeKind::Call { places, hook } => {
                let number = next_number(&next, &[]);
                next.actions.push(Action {
                    number,
                    jobs: places.clone(),
                    hook: hook.clone(),
                    state: ActionState::Triggering,
                    task_id: None,
                    called_at: now,
                });
                next.apply_actions(&mut jobs);
                return (next.with_plan(&jobs, now), jobs);
            }
            ChangeKind::Task { number, task_id } => {
                for action in next.actions.iter_mut().filter(|action| action.number == *number) {
                    action.state = ActionState::Running;
                    action.task_id = Some(task_id.clone());
                }
                next.label_wait = None;
            }
            ChangeKind::Wait(wait) => next.label_wait = Some(wait.clone()),
            ChangeKind::Refuse { refusal, uncertain } => {
                for action in next.actions.iter_mut().filter(|action| Some(action.number) == *uncertain) {
                    action.state = ActionState::Uncertain;
                }
                for job in jobs.iter_mut().filter(|job| job.is_open_label()) {
                    let may_have_arrived = uncertain.is_some() && job.state == JobState::Triggering;
                    job.in_doubt |= may_have_arrived;
                    job.state = JobState::Failed;
                    job.code = Some(refusal.code());
                    job.reason = Some(JobReason::ActionRefused { refusal: refusal.clone(), may_have_arrived });
                }
                next.label_wait = None;
            }
        }
        next.apply_actions(&mut jobs);
        let poll_interval = next.next_check(&jobs, planning, now);
        (next.with_results(&jobs, poll_interval, now), jobs)
    }
}

impl Request {
    /// Sets the states of labels that follow from the actions of the request. The store does it for jobs that it reads.
    pub fn apply_actions(&self, jobs: &mut [RequestedJob]) {
        let state_without = if self.label_wait.is_some() { JobState::Waiting } else { JobState::Accepted };
        for (place, job) in jobs.iter_mut().enumerate().filter(|(_, job)| job.follows_actions()) {
            let mut actions = self.actions.iter().rev().filter(|action| action.jobs.contains(place));
            job.state = match actions.next().map(|action| action.state) {
                Some(ActionState::Triggering) => JobState::Triggering,
                Some(ActionState::Running) => JobState::Forwarded,
                Some(ActionState::Ended | ActionState::Uncertain) | None => state_without,
            };
        }
    }

    /// The time until the next check of a request that waits: for builds, or for Taskcluster.
    pub fn next_check(&self, jobs: &[RequestedJob], planning: &Planning, now: DateTime<Utc>) -> TimeDelta {
        let builds = jobs.iter().any(|job| job.build_wait.is_some()).then(|| planning.next_poll(jobs, now));
        let labels = self.label_wait.as_ref().map(|wait| (wait.until - now).max(TimeDelta::zero()));
        builds.into_iter().chain(labels).min().unwrap_or_else(|| planning.next_poll(jobs, now))
    }

    /// Whether the action with this marker still needs the lock of its push, or will need it.
    pub fn needs_lock(&self, marker: &str) -> bool {
        match self.actions.iter().find(|action| action.marker(self.id) == marker) {
            _ if self.state.has_ended() => false,
            Some(action) => matches!(action.state, ActionState::Triggering | ActionState::Running),
            // The lock is taken before the action is recorded.
            None => self.state.is_open(),
        }
    }
}
