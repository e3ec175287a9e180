//! The actions of Taskcluster that run labels: for which projects they can be triggered, and what a dry run shows of them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use catalog::taskcluster::TaskId;
use requests::action::LabelWaitReason;
use requests::id::RequestId;
use requests::job::{JobCode, RequestedJob};
use requests::planning::{Runs, missing_builds};
use requests::reason::JobReason;
use requests::refusal::ActionRefusal;
use requests::state::JobState;
use requests::triggering::open_places;
use taskcluster::{PrepareError, PreparedAction, Taskcluster, TaskclusterSettings, fits};

use crate::api::ActionPreview;
use crate::call_log::CallLog;
use crate::service::TriggerService;

/// Maximum time of preparing all actions of a dry run. A person waits for it.
const TIMEOUT: Duration = Duration::from_secs(12);
const UNKNOWN: &str = "Taskcluster does not answer at the moment, so it is not known whether the push can run this.";

/// The actions of a Taskcluster. They are only prepared here, without credentials.
pub struct TaskclusterActions {
    client: Taskcluster,
    /// The projects whose jobs can be triggered, and the level of each.
    pub(crate) levels: BTreeMap<String, u8>,
}

impl TaskclusterActions {
    /// The actions of the Taskcluster of these settings.
    pub fn new(settings: TaskclusterSettings) -> Self {
        Self { levels: settings.trigger.clone(), client: Taskcluster::new(settings) }
    }

    /// Prepares the actions that would run these labels, one after the other.
    async fn prepare(
        &self,
        push: PreviewedPush<'_>,
        mut labels: &[&str],
        id: RequestId,
    ) -> Result<Vec<(PreparedAction, Vec<String>)>, PrepareError> {
        let level = self.levels.get(push.project).copied().ok_or(ActionRefusal::ProjectNotConfigured)?;
        let decision_task: Option<TaskId> = push.decision_task_id.and_then(|id| id.parse().ok());
        let unknown = || ActionRefusal::NoActions { message: "the push's decision task is not known".to_owned() };
        let decision_task = decision_task.ok_or_else(unknown)?;
        let mut actions = Vec::new();
        while !labels.is_empty() {
            // The length of a name is limited, so at least one fits.
            let (now, later) = labels.split_at(fits(labels).max(1));
            let marker = format!("{id}.{}", actions.len() + 1);
            let action =
                self.client.prepare_action(&decision_task, push.project, push.revision, now, &marker, level).await?;
            actions.push((action, now.iter().map(|label| (*label).to_owned()).collect()));
            labels = later;
        }
        Ok(actions)
    }
}

/// A push whose actions are previewed.
#[derive(Clone, Copy)]
pub(crate) struct PreviewedPush<'p> {
    pub(crate) project: &'p str,
    /// `None` if Treeherder does not answer.
    pub(crate) revision: Option<&'p str>,
    pub(crate) decision_task_id: Option<&'p str>,
    /// The runs on the push; `None` if Treeherder does not answer.
    pub(crate) runs: Option<&'p Runs>,
}

impl TriggerService {
    /// The actions that would run the labels among planned jobs. `None` if there are no labels, if they would be refused, or
    /// if Taskcluster does not answer; the jobs then say so. `id` stands for the id that the request would have.
    pub(crate) async fn preview_actions(
        &self,
        push: PreviewedPush<'_>,
        jobs: &mut [RequestedJob],
        id: RequestId,
        log: &CallLog,
    ) -> Option<Vec<ActionPreview>> {
        let places = open_places(jobs);
        let taskcluster = self.taskcluster.as_ref().filter(|_| !places.is_empty())?;
        let labels: Vec<&str> = places.iter().map(|place| jobs[*place].name.as_str()).collect();
        let prepared = tokio::time::timeout(TIMEOUT, taskcluster.prepare(push, &labels, id)).await;
        let late =
            |_| PrepareError::Unavailable { reason: "it takes too long to answer".to_owned(), retry_after: None };
        let (state, code, reason) = match prepared.unwrap_or_else(|elapsed| Err(late(elapsed))) {
            Ok(prepared) => {
                let actions = previews(prepared, jobs, push.runs);
                if let Some(task_id) = push.runs.and_then(Runs::running_action) {
                    let reason = wait(task_id);
                    for place in places {
                        jobs[place].state = JobState::Waiting;
                        jobs[place].reason = Some(reason.clone());
                    }
                }
                return Some(actions);
            }
            Err(PrepareError::Refused(refusal)) => {
                let code = refusal.code();
                (JobState::Failed, code, JobReason::ActionRefused { refusal, may_have_arrived: false })
            }
            Err(PrepareError::Unavailable { reason, .. }) => {
                log.set_error(&format!("Taskcluster: {reason}"));
                // It is not stored: a dry run stores nothing.
                (JobState::Accepted, JobCode::TaskclusterUnavailable, JobReason::Text(UNKNOWN.to_owned()))
            }
        };
        for place in places {
            let job = &mut jobs[place];
            (job.state, job.code, job.reason) = (state, Some(code), Some(reason.clone()));
        }
        None
    }
}

/// The prepared actions as they are shown. A build that is missing is started by the first action that needs it.
fn previews(
    prepared: Vec<(PreparedAction, Vec<String>)>,
    jobs: &[RequestedJob],
    runs: Option<&Runs>,
) -> Vec<ActionPreview> {
    let mut missing: BTreeSet<String> = missing_builds(jobs, runs).into_iter().collect();
    let preview = |(action, labels): (PreparedAction, Vec<String>)| {
        let asked: BTreeSet<&str> = labels.iter().map(String::as_str).collect();
        let of_action = jobs.iter().filter(|job| asked.contains(job.name.as_str()));
        let builds: BTreeSet<&str> = of_action.filter_map(|job| job.build.as_deref()).collect();
        let also_starts = builds.into_iter().filter_map(|build| missing.take(build)).collect();
        ActionPreview { hook: action.hook.to_string(), input_bytes: action.input_bytes, also_starts, labels }
    };
    prepared.into_iter().map(preview).collect()
}

/// Why labels would wait for an action that runs on the push; its task's id is empty if it is not known.
fn wait(task_id: &str) -> JobReason {
    let task_id = Some(task_id.to_owned()).filter(|id| !id.is_empty());
    // It is not stored: a dry run stores nothing.
    JobReason::Text(LabelWaitReason::ActionRuns { task_id }.sentence())
}
