//! The events of a request. The history stays short however often a request is sent again: the first event and the last
//! fifty are kept.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::action::is_zero;
use crate::email::Email;
use crate::job::{JobCode, RequestedJob};
use crate::outcome::Progress;
use crate::reason::GIVEN_UP;
use crate::state::{JobState, RequestState};

/// How many of the last events are kept, beside the first one.
pub(crate) const MAX_LAST_EVENTS: usize = 50;

/// An event in the life of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When it happened.
    pub at: DateTime<Utc>,
    /// The state of the request from then on.
    pub state: RequestState,
    /// What happened beside the change of state. Earlier versions stored a sentence as `detail`.
    #[serde(rename = "what", alias = "detail", default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<EventDetail>,
    /// The person who did it, if a person did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Email>,
}

/// What happened to a request, as a code and its arguments. The sentence is made when an answer is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum EventDetail {
    /// Jobs were planned or forwarded.
    Jobs {
        /// How many jobs are in which state now.
        counts: JobSummary,
    },
    /// Jobs are sent again.
    SentAgain {
        /// Jobs that the requester asked for.
        jobs: u32,
        /// Builds that the plan added.
        builds: u32,
    },
    /// The request made no progress and was given up.
    GivenUp {
        /// How many jobs are in which state now; `None` if the jobs cannot be read.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        counts: Option<JobSummary>,
    },
    /// Every job that was forwarded has ended.
    Finished {
        /// How the jobs ended.
        progress: Progress,
    },
    /// A sentence that an earlier version stored; it is shown as it is.
    #[serde(untagged)]
    Text(String),
}

/// How many jobs of a request are in which state. Jobs that do not exist are not counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobSummary {
    #[serde(skip_serializing_if = "is_zero")]
    forwarded: u32,
    #[serde(skip_serializing_if = "is_zero")]
    waiting: u32,
    #[serde(skip_serializing_if = "is_zero")]
    triggering: u32,
    #[serde(skip_serializing_if = "is_zero")]
    already_running: u32,
    #[serde(skip_serializing_if = "is_zero")]
    unroutable: u32,
    #[serde(skip_serializing_if = "is_zero")]
    failed: u32,
}

impl JobSummary {
    /// Counts these jobs.
    pub(crate) fn of(jobs: &[RequestedJob]) -> Self {
        let count = |is: &dyn Fn(&RequestedJob) -> bool| {
            u32::try_from(jobs.iter().filter(|job| is(job)).count()).unwrap_or(u32::MAX)
        };
        let in_state = |state: JobState| count(&|job| job.state == state);
        Self {
            forwarded: in_state(JobState::Forwarded),
            waiting: in_state(JobState::Waiting),
            triggering: in_state(JobState::Triggering),
            already_running: count(&|job| job.state == JobState::Rejected && job.code == Some(JobCode::AlreadyRunning)),
            unroutable: in_state(JobState::Unroutable),
            failed: in_state(JobState::Failed),
        }
    }

    fn sentence(self) -> String {
        let counts = [
            (self.forwarded, "forwarded"),
            (self.waiting, "waiting"),
            (self.triggering, "triggering"),
            (self.already_running, "running already"),
            (self.unroutable, "unroutable"),
            (self.failed, "failed"),
        ];
        counts_sentence(&counts)
    }
}

/// These counts in a sentence, without those that are 0.
fn counts_sentence(counts: &[(u32, &str)]) -> String {
    let counts = counts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}"));
    format!("Jobs: {}.", counts.collect::<Vec<_>>().join(", "))
}

impl Event {
    /// What happened beside the change of state, in a sentence or two.
    pub fn detail_text(&self) -> Option<String> {
        self.detail.as_ref().map(EventDetail::sentence)
    }
}

impl EventDetail {
    fn sentence(&self) -> String {
        match self {
            Self::Jobs { counts } => counts.sentence(),
            Self::SentAgain { jobs, builds } => {
                let sent = |count: u32, one: &str, more: &str| match count {
                    0 => None,
                    1 => Some(format!("1 {one} sent again.")),
                    _ => Some(format!("{count} {more} sent again.")),
                };
                let jobs = sent(*jobs, "job is", "jobs are");
                let builds = sent(*builds, "build that is needed is", "builds that are needed are");
                [jobs, builds].into_iter().flatten().collect::<Vec<_>>().join(" ")
            }
            Self::GivenUp { counts: Some(counts) } => format!("{GIVEN_UP} {}", counts.sentence()),
            Self::GivenUp { counts: None } => format!("{GIVEN_UP} Its jobs cannot be read."),
            Self::Finished { progress: Progress { waiting, running, succeeded, failed } } => counts_sentence(&[
                (*succeeded, "succeeded"),
                (*failed, "failed"),
                (*running, "running"),
                (*waiting, "waiting"),
            ]),
            Self::Text(sentence) => sentence.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_whose_hook_was_called_are_counted() {
        let triggering = RequestedJob { state: JobState::Triggering, ..RequestedJob::accepted_label("a") };
        let counts = JobSummary::of(&[triggering, RequestedJob::accepted_label("b")]);
        assert_eq!(EventDetail::Jobs { counts }.sentence(), "Jobs: 1 triggering.");
        assert!(!serde_json::to_string(&JobSummary::default()).unwrap().contains("triggering"));
    }

    #[test]
    fn an_event_of_an_earlier_version_keeps_its_sentence() {
        let stored = r#"{"at":"2026-11-23T06:00:00Z","state":"failed","detail":"1 of 2 jobs."}"#;
        let event: Event = serde_json::from_str(stored).unwrap();
        assert_eq!(event.detail_text().as_deref(), Some("1 of 2 jobs."));
        let counted = Event { detail: Some(EventDetail::GivenUp { counts: Some(JobSummary::default()) }), ..event };
        let stored = serde_json::to_string(&counted).unwrap();
        assert_eq!(serde_json::from_str::<Event>(&stored).unwrap(), counted);
    }
}
