//! A job of a request.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use catalog::suggest::normal_form;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

pub use crate::code::JobCode;
use crate::destination::Destination;
use crate::outcome::{Outcome, OutcomeState, Progress};
use crate::reason::JobReason;
use crate::state::JobState;

/// Since when a job waits for its build, and for which run of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildWait {
    /// The start of the wait.
    pub since: DateTime<Utc>,
    /// If the build was requested too: the last of its runs in Treeherder before that, 0 if there was none. The results of
    /// that run and of earlier ones are ignored.
    #[serde(rename = "after", default, skip_serializing_if = "Option::is_none")]
    pub ignore_runs_up_to: Option<u64>,
    /// If the build was underway: the last of its runs that had failed by then, 0 if none had. If the run that the job
    /// waits for goes away, an older failure must not count as its end.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed_before: u64,
}

/// A job of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self")]
pub struct RequestedJob {
    /// The name in the catalog; of a rejected job, the name that was asked for.
    pub name: String,
    /// The name that was asked for, where that is another.
    #[serde(rename = "asked_as", default, skip_serializing_if = "Option::is_none")]
    pub requested_name: Option<String>,
    /// The state.
    pub state: JobState,
    /// What a client has to know beside the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<JobCode>,
    /// If the project has no job of this name: the job of the most similar name, if one is similar enough.
    #[serde(rename = "closest", default, skip_serializing_if = "Option::is_none")]
    pub suggestion: Option<String>,
    /// Why the job is in its state, if planning or forwarding decided that. Earlier versions stored a sentence as `reason`.
    #[serde(rename = "why", alias = "reason", default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<JobReason>,
    /// The build that the job needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// Since when the job waits for its build, while it does.
    #[serde(rename = "waits", default, skip_serializing_if = "Option::is_none")]
    pub build_wait: Option<BuildWait>,
    /// Whether planning decided something about the job. An accepted job is then not planned again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub planned: bool,
    /// The batch number: only jobs with the same number share a message. Jobs that waited are a batch of their own, whose
    /// number is the version of the request at which they stopped waiting.
    #[serde(rename = "part", default, skip_serializing_if = "is_zero")]
    pub batch: u64,
    /// Whether a message that asks for the job was sent and never confirmed: it may have arrived, whatever the state says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_doubt: bool,
    /// Where the job goes.
    #[serde(rename = "to", default, skip_serializing_if = "Destination::is_pulse")]
    pub destination: Destination,
    /// When the attempt began in which a Buildbot job was forwarded: runs of it that Treeherder has since then are its
    /// outcome.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<DateTime<Utc>>,
    /// What became of the job after it was forwarded, once that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

impl Serialize for RequestedJob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for RequestedJob {
    /// Earlier versions stored no mark of planned jobs: the mark follows from their codes and batch numbers.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut job = Self::deserialize(deserializer)?;
        let codes_of_planned = [JobCode::AlreadyRunning, JobCode::PlanSkipped, JobCode::NeededBuild];
        job.planned |= job.batch != 0 || job.code.is_some_and(|code| codes_of_planned.contains(&code));
        Ok(job)
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
pub(crate) fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl RequestedJob {
    /// A job that exists.
    pub fn accepted(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            requested_name: None,
            state: JobState::Accepted,
            code: None,
            suggestion: None,
            reason: None,
            build: None,
            build_wait: None,
            planned: false,
            batch: 0,
            in_doubt: false,
            destination: Destination::Pulse,
            asked_at: None,
            outcome: None,
        }
    }

    /// A Taskcluster job that exists.
    pub fn accepted_label(label: &str) -> Self {
        Self { destination: Destination::Taskcluster, ..Self::accepted(label) }
    }

    /// Whether it is a label whose state follows from the actions of its request, which are stored with the head.
    pub(crate) fn follows_actions(&self) -> bool {
        let is_open =
            matches!(self.state, JobState::Accepted | JobState::Waiting | JobState::Triggering | JobState::Forwarded);
        self.destination == Destination::Taskcluster && is_open && self.outcome.is_none()
    }

    /// Whether the job is one that an action of its request is to run, or runs.
    pub fn is_open_label(&self) -> bool {
        self.follows_actions() && self.state != JobState::Forwarded
    }

    /// Whether the requester asked for the job; a build that the plan added was not asked for.
    pub fn is_asked_for(&self) -> bool {
        self.code != Some(JobCode::NeededBuild)
    }

    /// Whether the project has the job.
    pub fn exists(&self) -> bool {
        self.code != Some(JobCode::UnknownJob)
    }

    /// How the job's name differs from the one that was asked for.
    pub fn name_change_code(&self) -> Option<JobCode> {
        let requested_name = self.requested_name.as_ref()?;
        let is_same = normal_form(requested_name) == normal_form(&self.name);
        Some(if is_same { JobCode::Corrected } else { JobCode::Renamed })
    }

    /// Why the job is in its state, in a sentence, if planning or forwarding decided that.
    pub fn reason_text(&self) -> Option<String> {
        self.reason.as_ref().map(|reason| reason.sentence(self.build.as_deref()))
    }

    /// What a person has to know about the job beside its state, in a sentence or two.
    pub fn detail(&self, project: &str) -> Option<String> {
        let requested_name = self.requested_name.as_deref().unwrap_or_default();
        let named = self.name_change_code().map(|code| match code {
            JobCode::Corrected => format!("It was asked for as '{requested_name}': case or blanks were corrected."),
            _ => format!("It was asked for as '{requested_name}', which is its former name."),
        });
        match (self.reason_text(), self.code, &self.suggestion) {
            (Some(reason), ..) => Some(match named {
                Some(named) => format!("{reason} {named}"),
                None => reason,
            }),
            (None, Some(JobCode::UnknownJob), Some(suggestion)) => {
                Some(format!("{project} has no job of this name. Did you mean '{suggestion}'?"))
            }
            (None, Some(JobCode::UnknownJob), None) => Some(format!("{project} has no job of this name.")),
            (None, ..) => named,
        }
    }
}

/// The jobs as they are stored: the state of a label that follows from the request's actions is left out.
pub fn stored_form(jobs: &[RequestedJob]) -> Vec<RequestedJob> {
    let mut jobs = jobs.to_vec();
    for job in jobs.iter_mut().filter(|job| job.follows_actions()) {
        job.state = JobState::Accepted;
    }
    jobs
}

/// A hash of the jobs as they are stored. The head of a request and its jobs are stored apart; each names the other by
/// this.
pub fn digest(jobs: &[RequestedJob]) -> String {
    let json = serde_json::to_vec(&stored_form(jobs)).unwrap_or_default();
    Sha256::digest(json)[..8].iter().fold(String::with_capacity(16), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The number of jobs in each state.
pub fn count_jobs(jobs: &[RequestedJob]) -> BTreeMap<JobState, u32> {
    let mut counts = BTreeMap::new();
    for job in jobs {
        *counts.entry(job.state).or_default() += 1;
    }
    counts
}

/// How far the jobs are.
pub fn progress(jobs: &[RequestedJob]) -> Progress {
    let mut progress = Progress::default();
    for job in jobs {
        let count = match (job.state, &job.outcome) {
            (JobState::Rejected, _) => continue,
            (JobState::Unroutable | JobState::Failed, _) => &mut progress.failed,
            (JobState::Forwarded, Some(outcome)) if outcome.is_success() => &mut progress.succeeded,
            (JobState::Forwarded, Some(outcome)) if outcome.has_ended() => &mut progress.failed,
            (JobState::Forwarded, Some(outcome)) if outcome.state == OutcomeState::Running => &mut progress.running,
            _ => &mut progress.waiting,
        };
        *count += 1;
    }
    progress
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_job_has_its_detail() {
        let renamed = RequestedJob {
            requested_name: Some("old".to_owned()),
            code: Some(JobCode::Renamed),
            ..RequestedJob::accepted("new")
        };
        let unknown =
            RequestedJob { state: JobState::Rejected, code: Some(JobCode::UnknownJob), ..RequestedJob::accepted("x") };
        let meant = RequestedJob { suggestion: Some("y".to_owned()), ..unknown.clone() };
        let failed = RequestedJob { reason: Some(JobReason::Text("No listener.".to_owned())), ..renamed.clone() };
        for (job, said) in [
            (RequestedJob::accepted("a"), None),
            (renamed, Some("It was asked for as 'old', which is its former name.")),
            (unknown, Some("try has no job of this name.")),
            (meant, Some("try has no job of this name. Did you mean 'y'?")),
            (failed, Some("No listener. It was asked for as 'old', which is its former name.")),
        ] {
            assert_eq!(job.detail("try").as_deref(), said);
        }
    }

    #[test]
    fn a_job_of_an_earlier_version_is_read_with_its_sentence_and_its_mark() {
        for (stored, planned, reason) in [
            (r#"{"name":"a","state":"accepted"}"#, false, None),
            (r#"{"name":"a","state":"accepted","code":"renamed"}"#, false, None),
            (r#"{"name":"a","state":"accepted","part":3}"#, true, None),
            (r#"{"name":"a","state":"accepted","code":"unplanned","reason":"Because."}"#, true, Some("Because.")),
            (r#"{"name":"a","state":"accepted","code":"needed_build"}"#, true, None),
            (r#"{"name":"a","state":"failed","why":{"code":"no_listener"}}"#, false, Some("Pulse has no listener")),
        ] {
            let job: RequestedJob = serde_json::from_str(stored).unwrap();
            assert_eq!(job.planned, planned, "{stored}");
            let text = job.reason_text().unwrap_or_default();
            assert!(reason.map_or(text.is_empty(), |reason| text.starts_with(reason)), "{text}");
            let again = serde_json::to_string(&job).unwrap();
            assert_eq!(serde_json::from_str::<RequestedJob>(&again).unwrap(), job);
        }
    }
}
