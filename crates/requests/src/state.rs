//! The states of a request and of its jobs.

use serde::{Deserialize, Serialize};

/// The state of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestState {
    /// It is stored, and not queued yet.
    Accepted,
    /// It is in the queue to Pulse.
    Queued,
    /// Some of its jobs wait for a build; the others are forwarded.
    Waiting,
    /// Pulse confirmed it.
    Forwarded,
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
    /// The job waits for its build.
    Waiting,
    /// Pulse confirmed the job, and at least one queue received it.
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
            Self::Failed => "failed",
        }
    }

    /// Whether the request is still in progress.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Accepted | Self::Queued | Self::Waiting)
    }
}

impl JobState {
    /// The name of the state in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Waiting => "waiting",
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
