//! What a client has to know about a job beside its state, as a code.

use serde::{Deserialize, Serialize};

/// What a client has to know about a job beside its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobCode {
    /// The project has no job of this name.
    UnknownJob,
    /// The job has another name now, and was accepted under that.
    Renamed,
    /// The name was sent in another case or with other blanks than the job has.
    Corrected,
    /// The plan added this build: a job that was asked for needs it.
    NeededBuild,
    /// The push has a run of the job that has not ended.
    AlreadyRunning,
    /// Treeherder did not answer, so the builds on the push are not known.
    #[serde(rename = "unplanned")]
    PlanSkipped,
    /// The job waits for its build, which has not ended yet.
    BuildRunning,
    /// The job waits for its build, which was requested too.
    BuildRequested,
    /// The build of the job failed, or could not be requested.
    BuildFailed,
    /// The job waited for its build for the longest time that is allowed.
    WaitedTooLong,
    /// A label of a project whose Taskcluster jobs cannot be triggered here.
    NotTriggerable,
    /// The push's decision task is not known, or has no actions.
    NoDecisionTask,
    /// The push's actions cannot be used.
    ActionUnusable,
    /// The hook is not allowed for the project, or for the push's decision task.
    HookNotAllowed,
    /// The schema of the action's input is not one that is known.
    SchemaChanged,
    /// Taskcluster refuses the input.
    InputRefused,
    /// Taskcluster does not have the hook.
    HookMissing,
    /// Scopes are missing.
    MissingScopes,
    /// The hook made no task.
    HookDeclined,
    /// Taskcluster has too much to do.
    RateLimited,
    /// Taskcluster does not answer.
    TaskclusterUnavailable,
    /// The action ended, and did not make the job's task.
    NotCreated,
    /// The job did not appear within the longest time that is allowed.
    NotSeen,
}

impl JobCode {
    /// Whether the failure of a job with this code concerns those who operate the service, and not the person whose push
    /// it is.
    pub fn is_for_operators(self) -> bool {
        matches!(self, Self::TaskclusterUnavailable | Self::RateLimited | Self::MissingScopes | Self::SchemaChanged)
    }

    /// The name of the code in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownJob => "unknown_job",
            Self::Renamed => "renamed",
            Self::Corrected => "corrected",
            Self::NeededBuild => "needed_build",
            Self::AlreadyRunning => "already_running",
            Self::PlanSkipped => "unplanned",
            Self::BuildRunning => "build_running",
            Self::BuildRequested => "build_requested",
            Self::BuildFailed => "build_failed",
            Self::WaitedTooLong => "waited_too_long",
            Self::NotTriggerable => "not_triggerable",
            Self::NoDecisionTask => "no_decision_task",
            Self::ActionUnusable => "action_unusable",
            Self::HookNotAllowed => "hook_not_allowed",
            Self::SchemaChanged => "schema_changed",
            Self::InputRefused => "input_refused",
            Self::HookMissing => "hook_missing",
            Self::MissingScopes => "missing_scopes",
            Self::HookDeclined => "hook_declined",
            Self::RateLimited => "rate_limited",
            Self::TaskclusterUnavailable => "taskcluster_unavailable",
            Self::NotCreated => "not_created",
            Self::NotSeen => "not_seen",
        }
    }
}
