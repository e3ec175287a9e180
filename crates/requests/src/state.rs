//! The states of a request and of its jobs.

use serde::{Deserialize, Serialize};

/// The state of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestState {
    /// It is stored, and not queued yet.
    Accepted,
    /// It is in the queue to the forwarder.
    Queued,
    /// Some of its jobs wait for a build or for Taskcluster; the others are forwarded.
    Waiting,
    /// No job is on its way to Pulse or Taskcluster any more. Those that were forwarded are followed to their end.
    Forwarded,
    /// Every job that was forwarded has ended.
    Finished,
    /// None of its jobs could be forwarded.
    Failed,
}

/// The state of a job of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// The job exists, and is forwarded with its request.
    Accepted,
    /// The job is not forwarded: it does not exist, or it runs already.
    Rejected,
    /// The job waits for its build, or for Taskcluster.
    Waiting,
    /// The hook that runs the job was called, and it is not known yet whether it made a task.
    Triggering,
    /// Pulse confirmed the job, and at least one queue received it; or the hook that runs the job made a task.
    Forwarded,
    /// Pulse has no listener for the project.
    Unroutable,
    /// The job could not be forwarded.
    Failed,
}

impl RequestState {
    /// The name of the state in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Queued => "queued",
            Self::Waiting => "waiting",
            Self::Forwarded => "forwarded",
            Self::Finished => "finished",
            Self::Failed => "failed",
        }
    }

    /// Whether a job of the request is still on its way to Pulse or Taskcluster.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Accepted | Self::Queued | Self::Waiting)
    }

    /// Whether the request does not change any more, unless it is retried.
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Finished | Self::Failed)
    }
}

impl JobState {
    /// The name of the state in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Waiting => "waiting",
            Self::Triggering => "triggering",
            Self::Forwarded => "forwarded",
            Self::Unroutable => "unroutable",
            Self::Failed => "failed",
        }
    }

    /// Whether a retry sends the job again.
    pub fn can_be_retried(self) -> bool {
        matches!(self, Self::Unroutable | Self::Failed)
    }
}
