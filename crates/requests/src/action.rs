//! An action: a task of Taskcluster that runs labels of a request.
//!
//! Triggering an action is not idempotent, so what is known about it is stored with the head of its request before and
//! after the call. The state of a label that is in an action follows from the action; see `triggering`.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::id::RequestId;

/// The sentence about a label whose action was called and may exist.
pub const LOOKED_FOR: &str =
    "The hook was called, and it is not known yet whether it made a task: the task is looked for.";

/// An action that runs labels of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// Its number within the request, from 1.
    pub number: u32,
    /// Its jobs.
    pub jobs: Places,
    /// The hook that is called, as `GROUP/ID`.
    pub hook: String,
    /// How far it is.
    pub state: ActionState,
    /// The action's task, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    /// When the hook was called.
    pub called_at: DateTime<Utc>,
}

/// How far an action is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionState {
    /// The hook is being called, or it is not known whether the call made a task.
    Triggering,
    /// The action's task exists, and has not ended.
    Running,
    /// The action's task ended, and what became of its jobs is recorded with these.
    Ended,
    /// The hook was called, its jobs failed, and it is not known whether a task exists. It is searched for before these
    /// jobs are triggered again.
    Uncertain,
}

/// The places of some of a request's jobs: ranges, each from the first place to the one after the last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Places(Vec<(u32, u32)>);

/// Why labels of a request are not triggered yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelWait {
    /// Why.
    pub why: LabelWaitReason,
    /// Since when.
    pub since: DateTime<Utc>,
    /// When they are tried again.
    pub until: DateTime<Utc>,
    /// How often Taskcluster was tried since then without an answer.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempts: u32,
}

/// Why labels of a request are not triggered yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum LabelWaitReason {
    /// Another action of the push runs: two at once would each make the builds that are missing.
    ActionRuns {
        /// Its task, if it is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        task_id: Option<String>,
    },
    /// Taskcluster or Treeherder does not answer, or asks for a pause.
    Unavailable {
        /// The error.
        error: String,
    },
    /// The hook was called, and it is not known whether a task exists: it is searched for.
    Unanswered {
        /// The error.
        error: String,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
pub(crate) fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Action {
    /// The marker of an action, which travels in its input: its task can be found by it.
    pub fn marker(&self, request: RequestId) -> String {
        format!("{request}.{}", self.number)
    }
}

impl Places {
    /// These places, in ascending order.
    pub fn new(places: impl IntoIterator<Item = usize>) -> Self {
        let mut ranges: Vec<(u32, u32)> = Vec::new();
        for place in places.into_iter().filter_map(|place| u32::try_from(place).ok()) {
            match ranges.last_mut() {
                Some((_, end)) if *end == place => *end += 1,
                _ => ranges.push((place, place + 1)),
            }
        }
        Self(ranges)
    }

    /// The places, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().flat_map(|(first, end)| *first as usize..*end as usize)
    }

    /// Whether a place is among them.
    pub fn contains(&self, place: usize) -> bool {
        self.0.iter().any(|(first, end)| (*first as usize..*end as usize).contains(&place))
    }

    /// The number of places.
    pub fn len(&self) -> usize {
        self.0.iter().map(|(first, end)| (end - first) as usize).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl LabelWaitReason {
    /// The sentence for people.
    pub fn sentence(&self) -> String {
        match self {
            Self::ActionRuns { task_id } => {
                let task = task_id.as_ref().map(|id| format!(" ({id})")).unwrap_or_default();
                format!(
                    "An action of this push runs{task}: this waits for its end, as two at once would each create the \
                     builds that are missing."
                )
            }
            Self::Unavailable { error } => {
                format!("Taskcluster does not answer: {}. It is tried again.", error.trim_end_matches('.'))
            }
            Self::Unanswered { .. } => LOOKED_FOR.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_ranges() {
        let places = Places::new([0, 1, 2, 5, 7, 8]);
        assert_eq!(serde_json::to_string(&places).unwrap(), "[[0,3],[5,6],[7,9]]");
        assert_eq!(places.iter().collect::<Vec<_>>(), [0, 1, 2, 5, 7, 8]);
        assert_eq!((places.len(), places.contains(5), places.contains(6)), (6, true, false));
        assert!(Places::new([]).is_empty() && Places::default().is_empty());
    }
}
