//! What happened to a request. Its head stays small however often it is sent again: of a long history the first event and
//! the last fifty are kept.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::email::Email;
use crate::request::{Request, RequestState};

/// How many of the last events are kept, beside the first one.
const LAST_EVENTS: usize = 50;

/// Something that happened to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: DateTime<Utc>,
    /// Where the request was then.
    pub state: RequestState,
    /// What is to be said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Who did it, where a person did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Email>,
}

impl Request {
    /// Notes what happened. The first event says when the request was taken, and stays.
    pub(crate) fn record_event(&mut self, event: Event) {
        self.history.push(event);
        let surplus = self.history.len().saturating_sub(1 + LAST_EVENTS);
        self.history.drain(1..=surplus);
        self.events_left_out += surplus as u64;
    }

    /// When it was taken.
    pub fn created_at(&self) -> Option<DateTime<Utc>> {
        self.history.first().map(|event| event.at)
    }

    /// When something happened to it last.
    pub fn changed_at(&self) -> Option<DateTime<Utc>> {
        self.history.last().map(|event| event.at)
    }
}
