//! What became of a job after it was forwarded, as its build system or Treeherder shows it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::action::is_zero;

/// What became of a job after it was forwarded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// How far the job is.
    pub state: OutcomeState,
    /// Treeherder's word for the result of a job that completed, such as `success`, `testfailed`, `busted` or `exception`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
    /// The run of the job; `None` if it was not seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunOf>,
    /// Since when the job is in this state, as far as is known.
    pub since: DateTime<Utc>,
}

/// How far a forwarded job is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeState {
    /// Its task exists, and waits for other tasks.
    Unscheduled,
    /// It waits for a machine.
    Pending,
    /// It runs.
    Running,
    /// It ended.
    Completed,
    /// It did not appear within the longest time that is allowed. It is not followed any more.
    NotSeen,
}

/// The run of a job.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum RunOf {
    /// A job in Treeherder, by its number.
    Job(u64),
    /// A task, by its id.
    Task(String),
}

/// How many jobs of a request are how far. Jobs that were rejected are not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// Jobs that have not begun.
    #[serde(skip_serializing_if = "is_zero")]
    pub waiting: u32,
    /// Jobs that run.
    #[serde(skip_serializing_if = "is_zero")]
    pub running: u32,
    /// Jobs that ended with success.
    #[serde(skip_serializing_if = "is_zero")]
    pub succeeded: u32,
    /// Jobs that ended otherwise, could not be forwarded, or were not seen.
    #[serde(skip_serializing_if = "is_zero")]
    pub failed: u32,
}

impl OutcomeState {
    /// The name of the state in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unscheduled => "unscheduled",
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::NotSeen => "not_seen",
        }
    }
}

impl Outcome {
    /// Whether the job is not followed any more.
    pub fn has_ended(&self) -> bool {
        matches!(self.state, OutcomeState::Completed | OutcomeState::NotSeen)
    }

    /// Whether the job ended with success.
    pub fn is_success(&self) -> bool {
        self.state == OutcomeState::Completed && self.result.as_deref() == Some("success")
    }
}
