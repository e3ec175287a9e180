//! The actions of Taskcluster that run labels: which projects they can be triggered for, and what a dry run shows of them.

use std::collections::BTreeMap;

use requests::id::RequestId;
use requests::job::RequestedJob;
use requests::planning::Runs;
use taskcluster::TaskclusterSettings;

use crate::api::ActionPreview;
use crate::call_log::CallLog;
use crate::service::TriggerService;

/// The actions of a Taskcluster.
pub struct TaskclusterActions {
    /// The projects whose jobs can be triggered, and the level of each.
    pub levels: BTreeMap<String, u8>,
}

impl TaskclusterActions {
    /// The actions of the Taskcluster of these settings.
    pub fn new(settings: TaskclusterSettings) -> Self {
        Self { levels: settings.trigger }
    }
}

/// A push whose actions are previewed.
#[derive(Clone, Copy)]
pub(crate) struct PreviewedPush<'p> {
    pub(crate) project: &'p str,
    pub(crate) decision_task_id: Option<&'p str>,
    /// The runs on the push; `None` if Treeherder does not answer.
    pub(crate) runs: Option<&'p Runs>,
}

impl TriggerService {
    #[allow(clippy::unused_async, clippy::unused_self)]
    pub(crate) async fn preview_actions(
        &self,
        push: PreviewedPush<'_>,
        jobs: &mut [RequestedJob],
        id: RequestId,
        log: &CallLog,
    ) -> Option<Vec<ActionPreview>> {
        let _ = (push.project, push.decision_task_id, push.runs, jobs, id, log);
        None
    }
}
