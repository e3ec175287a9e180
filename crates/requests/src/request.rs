//! A request as it is stored, without its jobs.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::action::{Action, LabelWait};
use crate::email::Email;
use crate::history::{Event, MAX_LAST_EVENTS};
use crate::id::RequestId;
use crate::job::{RequestedJob, count_jobs, digest, is_zero, progress};
use crate::outcome::Progress;
use crate::push::Push;
use crate::state::{JobState, RequestState};

/// A request, without its jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The id.
    pub id: RequestId,
    /// The version: every write to the store adds 1.
    pub version: u64,
    /// The attempt: every retry adds 1. Queued messages of an earlier attempt are ignored.
    #[serde(rename = "round")]
    pub attempt: u32,
    /// The project.
    pub project: String,
    /// The push, by its number in Treeherder.
    pub push_id: u64,
    /// The push as Treeherder describes it; `None` if Treeherder did not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed: Option<Push>,
    /// The person for whom the jobs are requested.
    pub requester: Email,
    /// The service that asked on behalf of the requester.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_by: Option<String>,
    /// The push's decision task, if the client named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision_task_id: Option<String>,
    /// The state.
    pub state: RequestState,
    /// The number of its jobs in each state.
    #[serde(rename = "jobs")]
    pub job_counts: BTreeMap<JobState, u32>,
    /// The digest of the jobs that belong to this version. Requests that earlier versions stored have none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub jobs_digest: String,
    /// The history, oldest first: the first event and the last ones.
    pub history: Vec<Event>,
    /// How many events after the first one are left out of the history.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub events_left_out: u64,
    /// Of an open request: seconds since 1970 from which the sweeper checks the request, if nothing has happened until
    /// then. Of a forwarded one: when something happened last, but for changes within ten minutes of each other.
    pub due_at: i64,
    /// The actions that run labels of the request, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<Action>,
    /// Why labels of the request are not triggered yet, if some are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_wait: Option<LabelWait>,
    /// How far its jobs are. Requests that earlier versions stored have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
}

impl Request {
    /// The number of its jobs in this state.
    pub fn job_count(&self, state: JobState) -> u32 {
        self.job_counts.get(&state).copied().unwrap_or_default()
    }

    /// When the request was accepted.
    pub fn created_at(&self) -> Option<DateTime<Utc>> {
        self.history.first().map(|event| event.at)
    }

    /// When the current attempt began.
    pub fn attempt_began_at(&self) -> Option<DateTime<Utc>> {
        let accepted = self.history.iter().rev().find(|event| event.state == RequestState::Accepted);
        accepted.map(|event| event.at)
    }

    /// When the last event happened.
    pub fn changed_at(&self) -> Option<DateTime<Utc>> {
        self.history.last().map(|event| event.at)
    }

    /// When the request ended, if it has.
    pub fn finished_at(&self) -> Option<DateTime<Utc>> {
        self.changed_at().filter(|_| self.state.has_ended())
    }

    /// Sets what the head says about the jobs.
    pub(crate) fn sum_up(&mut self, jobs: &[RequestedJob]) {
        self.job_counts = count_jobs(jobs);
        self.progress = Some(progress(jobs));
        self.jobs_digest = digest(jobs);
    }

    /// Adds an event to the history. The first event, which has the time of creation, stays.
    pub(crate) fn record_event(&mut self, event: Event) {
        self.history.push(event);
        let surplus = self.history.len().saturating_sub(1 + MAX_LAST_EVENTS);
        self.history.drain(1..=surplus);
        self.events_left_out += surplus as u64;
    }
}
