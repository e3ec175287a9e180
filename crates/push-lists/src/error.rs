//! Why there is no list of a push.

use std::time::Duration;

use catalog::taskcluster::TaskId;
use chrono::TimeDelta;
use store::CatalogError;
use taskcluster::{ArtifactError, TaskclusterError};

/// After how many seconds a client should ask again for the list of a push whose decision task runs. It takes minutes.
const NOT_YET_SECONDS: u32 = 15;
/// After how many seconds a client should ask again if a service does not answer.
const UNAVAILABLE_SECONDS: u32 = 10;
/// Maximum number of seconds that a client is asked to wait.
const MAX_SECONDS: u32 = 3600;

/// Why there is no list of a push. Display is a sentence for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PushListError {
    /// The catalog has no such project.
    #[error("There is no project '{project}'.")]
    UnknownProject {
        /// The project.
        project: String,
        /// The projects with the most similar names.
        suggestions: Vec<String>,
    },
    /// The decision task has not written its task graph yet.
    #[error(
        "Decision task {task} is {state}: it has not written down yet what the push can run. Try again in a moment."
    )]
    NotYet {
        /// The decision task.
        task: TaskId,
        /// Its state.
        state: String,
    },
    /// Taskcluster does not know the task, or has forgotten it.
    #[error("Taskcluster has no task {task}: its id is wrong, or the task has expired.")]
    UnknownTask {
        /// The task.
        task: TaskId,
    },
    /// The task belongs to no push.
    #[error("Task {task} is not a decision task: it belongs to no push.")]
    NotADecisionTask {
        /// The task.
        task: TaskId,
    },
    /// The task belongs to a push of another project.
    #[error("Decision task {task} belongs to {of}, not to {project}.")]
    OtherProject {
        /// The task.
        task: TaskId,
        /// The project that was asked about.
        project: String,
        /// The project of the task.
        of: String,
    },
    /// The Index has no decision task of the revision.
    #[error(
        "Taskcluster's Index has no decision task of revision {revision} of {project}. The Index has only decision tasks \
         that completed: this one may still run, or may have failed. With 'decision_task_id' its list can be had as soon \
         as it has written it."
    )]
    UnknownRevision {
        /// The project.
        project: String,
        /// The revision.
        revision: String,
    },
    /// The decision task ended without a task graph.
    #[error("Decision task {task} has no list of jobs: {reason}.")]
    Missing {
        /// The decision task.
        task: TaskId,
        /// How it ended.
        reason: String,
    },
    /// The task graph has expired.
    #[error("The list of decision task {task} has expired: nothing more can be run on its push.")]
    Expired {
        /// The decision task.
        task: TaskId,
    },
    /// The task graph cannot be used.
    #[error("The list of decision task {task} cannot be used: {reason}.")]
    Unusable {
        /// The decision task.
        task: TaskId,
        /// What is wrong, and where.
        reason: String,
    },
    /// Taskcluster does not answer.
    #[error("Taskcluster does not answer at the moment. Please try again in a few seconds.")]
    TaskclusterUnavailable {
        /// How long to wait, if Taskcluster says so.
        retry_after: Option<Duration>,
        /// What happened, for the log.
        reason: String,
    },
    /// The catalog cannot be read or written. Holds the reason, for the log.
    #[error("The catalog cannot be read at the moment. Please try again in a few seconds.")]
    CatalogUnavailable(String),
}

impl PushListError {
    /// After how many seconds a client should ask again, if that can help.
    pub fn retry_after(&self) -> Option<u32> {
        match self {
            Self::NotYet { .. } => Some(NOT_YET_SECONDS),
            Self::TaskclusterUnavailable { retry_after: Some(pause), .. } => {
                let seconds = pause.as_secs().saturating_add(u64::from(pause.subsec_nanos() > 0));
                Some(u32::try_from(seconds).unwrap_or(MAX_SECONDS).clamp(1, MAX_SECONDS))
            }
            Self::TaskclusterUnavailable { retry_after: None, .. } | Self::CatalogUnavailable(_) => {
                Some(UNAVAILABLE_SECONDS)
            }
            _ => None,
        }
    }

    /// What lies behind it: for operators, not for the client.
    pub fn cause(&self) -> Option<&str> {
        match self {
            Self::TaskclusterUnavailable { reason, .. } | Self::CatalogUnavailable(reason) => Some(reason),
            _ => None,
        }
    }

    /// How long it is the answer before the services are asked again.
    pub(crate) fn time_to_live(&self) -> TimeDelta {
        match self {
            // What may change at any time, and what is soon tried again.
            Self::NotYet { .. } | Self::TaskclusterUnavailable { .. } | Self::CatalogUnavailable(_) => {
                TimeDelta::seconds(5)
            }
            Self::Expired { .. } => TimeDelta::hours(1),
            // It depends on the project that was asked about.
            Self::OtherProject { .. } | Self::UnknownProject { .. } => TimeDelta::zero(),
            _ => TimeDelta::minutes(1),
        }
    }

    /// The error of an artifact of a decision task.
    pub(crate) fn of_artifact(task: &TaskId, error: ArtifactError) -> Self {
        let task = task.clone();
        match error {
            ArtifactError::NotYet(state) => Self::NotYet { task, state: state.to_string() },
            ArtifactError::Missing(reason) => Self::Missing { task, reason },
            ArtifactError::Expired(_) => Self::Expired { task },
            ArtifactError::Unavailable { retry_after, reason } => Self::TaskclusterUnavailable { retry_after, reason },
            ArtifactError::Failed { .. }
            | ArtifactError::Refused(_)
            | ArtifactError::TooLarge(_)
            | ArtifactError::Broken(_) => Self::Unusable { task, reason: error.to_string() },
        }
    }
}

impl From<TaskclusterError> for PushListError {
    fn from(error: TaskclusterError) -> Self {
        let reason = error.to_string();
        match error {
            TaskclusterError::Unavailable { retry_after, .. } => Self::TaskclusterUnavailable { retry_after, reason },
            _ => Self::TaskclusterUnavailable { retry_after: None, reason },
        }
    }
}

impl PushListError {
    pub(crate) fn of_catalog(project: &str, error: CatalogError) -> Self {
        match error {
            CatalogError::UnknownProject { suggestions } => {
                Self::UnknownProject { project: project.to_owned(), suggestions }
            }
            CatalogError::Unavailable(reason) => Self::CatalogUnavailable(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_waits_as_long_as_taskcluster_asks_for() {
        let after =
            |retry_after| PushListError::TaskclusterUnavailable { retry_after, reason: String::new() }.retry_after();
        assert_eq!(after(None), Some(10));
        assert_eq!(after(Some(Duration::from_millis(1500))), Some(2));
        assert_eq!(after(Some(Duration::ZERO)), Some(1));
        assert_eq!(after(Some(Duration::MAX)), Some(3600));
    }
}
