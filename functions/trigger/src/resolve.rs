//! Which jobs the names of a request mean, and which of them its push can run.
//!
//! A push's own list decides about its labels. If the client does not name the push's decision task, Treeherder is asked
//! for it, but only for requests that may have labels.

use catalog::list::Names;
use requests::destination::Destination;
use requests::job::{JobCode, RequestedJob};
use requests::new_request::NewRequest;
use requests::reason::JobReason;
use requests::refusal::ActionRefusal;
use requests::resolve::resolve_names;
use requests::state::JobState;
use treeherder::DecisionTask;

use crate::call_log::CallLog;
use crate::error::TriggerError;
use crate::service::TriggerService;

const NO_DECISION_TASK: &str = "Treeherder knows no decision task of the push that succeeded";
const NO_TREEHERDER: &str = "Treeherder does not answer at the moment, so the push's decision task is not known";

/// The jobs that the names of a request mean.
pub(crate) struct Resolved {
    /// The jobs.
    pub(crate) jobs: Vec<RequestedJob>,
    /// The push's decision task: the one that the client named, or, if a label is accepted, the one that Treeherder knows.
    pub(crate) decision_task_id: Option<String>,
    /// Why labels were rejected, if the push's list cannot be had: the better answer if no job is left.
    no_list: Option<TriggerError>,
}

impl Resolved {
    /// The number of accepted jobs.
    ///
    /// # Errors
    /// There are none.
    pub(crate) fn some_accepted(&mut self, project: &str) -> Result<u32, TriggerError> {
        let accepted = self.jobs.iter().filter(|job| job.state == JobState::Accepted).count();
        if accepted > 0 {
            return Ok(u32::try_from(accepted).unwrap_or(u32::MAX));
        }
        let none = || TriggerError::NoKnownJobs { project: project.to_owned(), jobs: self.jobs.clone() };
        Err(self.no_list.take().unwrap_or_else(none))
    }
}

impl TriggerService {
    /// Resolves the names of a request.
    ///
    /// # Errors
    /// There is no such project, the decision task that the client named has no list, or the store or Taskcluster does not
    /// answer.
    pub(crate) async fn resolve(&self, new_request: &NewRequest, log: &CallLog) -> Result<Resolved, TriggerError> {
        let NewRequest { project, push_id, names, decision_task_id, .. } = new_request;
        let resolved = |jobs, decision_task_id| Resolved { jobs, decision_task_id, no_list: None };
        let known = self.catalog.names_for(project, decision_task_id.as_deref(), log).await?;
        let mut jobs = self.resolve_by(names, project, &known);
        let may_have_labels = jobs.iter().any(|job| is_accepted_label(job) || !job.exists());
        if decision_task_id.is_some() || !may_have_labels || !self.is_triggerable(project) {
            return Ok(resolved(jobs, decision_task_id.clone()));
        }
        let message = match self.treeherder.decision_task(project, *push_id).await {
            DecisionTask::Found(task) => match self.catalog.names_for(project, Some(task.as_str()), log).await {
                Ok(of_push) => {
                    let jobs = self.resolve_by(names, project, &of_push);
                    let has_labels = jobs.iter().any(is_accepted_label);
                    return Ok(resolved(jobs, has_labels.then(|| task.to_string())));
                }
                Err(TriggerError::NoPushList(error)) => {
                    let code =
                        if error.cause().is_some() { JobCode::TaskclusterUnavailable } else { JobCode::NoDecisionTask };
                    log.set_error(&error.cause().map_or_else(|| error.to_string(), ToOwned::to_owned));
                    reject_labels(&mut jobs, code, &JobReason::NoDecisionTask { message: error.to_string() });
                    return Ok(Resolved { no_list: Some(TriggerError::NoPushList(error)), ..resolved(jobs, None) });
                }
                Err(error) => return Err(error),
            },
            DecisionTask::None => NO_DECISION_TASK,
            DecisionTask::Unavailable(reason) => {
                log.set_error(&reason);
                NO_TREEHERDER
            }
        };
        let reason = JobReason::NoDecisionTask { message: message.to_owned() };
        reject_labels(&mut jobs, JobCode::NoDecisionTask, &reason);
        Ok(resolved(jobs, None))
    }

    /// Resolves names by a list. Labels of a project whose Taskcluster jobs cannot be triggered here are rejected.
    pub(crate) fn resolve_by(&self, asked: &[String], project: &str, names: &Names) -> Vec<RequestedJob> {
        let mut jobs = resolve_names(asked, names, &self.renames);
        if !self.is_triggerable(project) {
            let refusal = ActionRefusal::ProjectNotConfigured;
            let reason = JobReason::ActionRefused { refusal, may_have_arrived: false };
            reject_labels(&mut jobs, JobCode::NotTriggerable, &reason);
        }
        jobs
    }

    fn is_triggerable(&self, project: &str) -> bool {
        self.taskcluster.as_ref().is_some_and(|taskcluster| taskcluster.levels.contains_key(project))
    }
}

/// Whether the job is a label that was not rejected.
pub(crate) fn is_accepted_label(job: &RequestedJob) -> bool {
    job.destination == Destination::Taskcluster && job.state == JobState::Accepted
}

fn reject_labels(jobs: &mut [RequestedJob], code: JobCode, reason: &JobReason) {
    for job in jobs.iter_mut().filter(|job| is_accepted_label(job)) {
        job.state = JobState::Rejected;
        job.code = Some(code);
        job.reason = Some(reason.clone());
    }
}
