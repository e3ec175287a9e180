//! A request and its jobs: what is kept of them. How they go from state to state is in `life.rs`.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::str::FromStr;

use catalog::suggest::normal_form;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use ulid::Ulid;

use crate::email::Email;
pub use crate::history::Event;

/// A request's name: a ULID, whose order is the order in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RequestId(Ulid);

/// Not the name of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("26 letters and digits of a request's name are expected")]
pub struct InvalidRequestId;

impl RequestId {
    /// A new name: a time, and 80 bits of chance.
    pub fn new(now: DateTime<Utc>, random: u128) -> Self {
        Self(Ulid::from_parts(now.timestamp_millis().try_into().unwrap_or_default(), random))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl FromStr for RequestId {
    type Err = InvalidRequestId;

    /// Reads a name as it is written: no other spelling of it is taken.
    fn from_str(text: &str) -> Result<Self, InvalidRequestId> {
        let id = Ulid::from_string(text).map(Self).map_err(|_| InvalidRequestId)?;
        if id.to_string() == text { Ok(id) } else { Err(InvalidRequestId) }
    }
}

impl TryFrom<String> for RequestId {
    type Error = InvalidRequestId;

    fn try_from(text: String) -> Result<Self, InvalidRequestId> {
        text.parse()
    }
}

impl From<RequestId> for String {
    fn from(id: RequestId) -> Self {
        id.to_string()
    }
}

/// Where a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestState {
    /// It is kept, and not queued yet.
    Accepted,
    /// It is in the queue to Pulse.
    Queued,
    /// Some of its jobs are held until a build is done; the others are forwarded.
    Waiting,
    /// Pulse confirmed it.
    Forwarded,
    /// Nothing of it could be forwarded.
    Failed,
}

/// Where a job of a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It exists, and goes where its request goes.
    Accepted,
    /// It does not exist: it will not be requested.
    Rejected,
    /// It is held until its build is done.
    Waiting,
    /// Pulse confirmed it, and somebody there listens.
    Forwarded,
    /// Pulse had nobody who listens.
    Unroutable,
    /// It could not be forwarded.
    Failed,
}

/// What is to be said of a job beside its state, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobCode {
    /// The project has no job of this name.
    UnknownJob,
    /// The job has another name now, and was accepted under that.
    Renamed,
    /// The name was sent in another case or with other blanks than the job has.
    Corrected,
    /// Nobody asked for it, but a job that somebody asked for needs this build.
    NeededBuild,
    /// The push has it already, and it has not ended yet.
    AlreadyRunning,
    /// Treeherder did not answer: nobody looked whether its build is there.
    #[serde(rename = "unplanned")]
    PlanSkipped,
    /// It waits for its build, which has not ended yet.
    BuildRunning,
    /// It waits for its build, which was requested too.
    BuildRequested,
    /// Its build failed, or could not be requested.
    BuildFailed,
    /// It waited for its build as long as jobs may.
    WaitedTooLong,
}

/// Since when a job waits for its build, and for which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildWait {
    /// Since when.
    pub since: DateTime<Utc>,
    /// If its build was requested too: the last of the build's runs in Treeherder before that, 0 if there was none. What
    /// became of that one and of those before it says nothing any more.
    #[serde(rename = "after", default, skip_serializing_if = "Option::is_none")]
    pub ignore_runs_up_to: Option<u64>,
    /// If its build was on its way: the last of the build's runs that had failed by then, 0 if none had. If the run that is
    /// waited for goes away, an older failure must not count as its end.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failed_before: u64,
}

/// A job of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestedJob {
    /// Its name in the catalog; of a rejected one, the name that was asked for.
    pub name: String,
    /// The name that was asked for, where that is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_as: Option<String>,
    /// Where it is.
    pub state: JobState,
    /// What is to be said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<JobCode>,
    /// The name that was probably meant by one that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closest: Option<String>,
    /// Why it is where it is, where planning or forwarding it found that out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The build that it needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<String>,
    /// Since when it waits for that, while it does.
    #[serde(rename = "waits", default, skip_serializing_if = "Option::is_none")]
    pub build_wait: Option<BuildWait>,
    /// With which other jobs it goes: those of the same part. Jobs that waited are a part of their own, whose number is
    /// the version of the request at which they no longer did.
    #[serde(rename = "part", default, skip_serializing_if = "is_zero")]
    pub batch: u64,
    /// Whether a message that asks for it was sent and never confirmed: it may have arrived, whatever its state says.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_doubt: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A push, as Treeherder tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Push {
    /// The revision at its top.
    pub revision: String,
    /// Who pushed; none where that is no e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<Email>,
}

/// A request, without its jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Its name.
    pub id: RequestId,
    /// Counts up each time that it is stored.
    pub version: u64,
    /// Counts up each time that its jobs are sent on their way: what is in the queue of an earlier round is void.
    #[serde(rename = "round")]
    pub attempt: u32,
    /// The project.
    pub project: String,
    /// The push.
    pub push_id: u64,
    /// What Treeherder tells of the push; none where it did not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed: Option<Push>,
    /// Who asked.
    pub requester: Email,
    /// The service that asked on behalf of the requester.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_behalf_by: Option<String>,
    /// The push's decision task, if the client named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision_task_id: Option<String>,
    /// Where it is.
    pub state: RequestState,
    /// How many of its jobs are where.
    #[serde(rename = "jobs")]
    pub job_counts: BTreeMap<JobState, u32>,
    /// Which jobs belong to this version: their `digest`. Empty in requests that were stored before this was kept.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub jobs_digest: String,
    /// What happened to it, oldest first: the first event and the last ones.
    pub history: Vec<Event>,
    /// How many events behind the first one are left out of the history.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub events_left_out: u64,
    /// Seconds since 1970 at which somebody should look at it if nothing has happened until then.
    pub due_at: i64,
}

/// Who asks for what, as far as a new request keeps it.
#[derive(Debug, Clone)]
pub struct NewRequest {
    /// The project.
    pub project: String,
    /// The push.
    pub push_id: u64,
    /// What Treeherder tells of it.
    pub pushed: Option<Push>,
    /// Who asks.
    pub requester: Email,
    /// The service that asks on behalf of the requester.
    pub on_behalf_by: Option<String>,
    /// The push's decision task.
    pub decision_task_id: Option<String>,
}

impl RequestState {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Queued => "queued",
            Self::Waiting => "waiting",
            Self::Forwarded => "forwarded",
            Self::Failed => "failed",
        }
    }

    /// Whether something is still to happen.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Accepted | Self::Queued | Self::Waiting)
    }
}

impl JobState {
    /// Its name.
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

    /// Whether it makes sense to send it again.
    pub fn can_be_retried(self) -> bool {
        matches!(self, Self::Unroutable | Self::Failed)
    }
}

impl JobCode {
    /// Its name.
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
        }
    }
}

impl RequestedJob {
    /// A job that exists.
    pub fn accepted(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            asked_as: None,
            state: JobState::Accepted,
            code: None,
            closest: None,
            reason: None,
            build: None,
            build_wait: None,
            batch: 0,
            in_doubt: false,
        }
    }

    /// Whether the requester asked for it, and not only a test that needs it.
    pub fn is_asked_for(&self) -> bool {
        self.code != Some(JobCode::NeededBuild)
    }

    /// Whether it ever was on its way, or may be yet.
    pub fn exists(&self) -> bool {
        self.code != Some(JobCode::UnknownJob)
    }

    /// How its name differs from the one that was asked for.
    pub fn name_change_code(&self) -> Option<JobCode> {
        let asked_as = self.asked_as.as_ref()?;
        let is_same = normal_form(asked_as) == normal_form(&self.name);
        Some(if is_same { JobCode::Corrected } else { JobCode::Renamed })
    }

    /// What is to be said of it, in a sentence or two for people.
    pub fn detail(&self, project: &str) -> Option<String> {
        let asked_as = self.asked_as.as_deref().unwrap_or_default();
        let named = self.name_change_code().map(|code| match code {
            JobCode::Corrected => format!("It was asked for as '{asked_as}': case or blanks were corrected."),
            _ => format!("It was asked for as '{asked_as}', which is its former name."),
        });
        match (&self.reason, self.code, &self.closest) {
            (Some(reason), ..) => Some(named.map_or_else(|| reason.clone(), |named| format!("{reason} {named}"))),
            (None, Some(JobCode::UnknownJob), Some(closest)) => {
                Some(format!("{project} has no job of this name. Did you mean '{closest}'?"))
            }
            (None, Some(JobCode::UnknownJob), None) => Some(format!("{project} has no job of this name.")),
            (None, ..) => named,
        }
    }
}

/// Differs from that of the same jobs in other states: head and jobs of a request are stored apart, and each names the
/// other by this.
pub fn digest(jobs: &[RequestedJob]) -> String {
    let json = serde_json::to_vec(jobs).unwrap_or_default();
    Sha256::digest(json)[..8].iter().fold(String::with_capacity(16), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// How many of these jobs are where.
pub fn count_jobs(jobs: &[RequestedJob]) -> BTreeMap<JobState, u32> {
    let mut counts = BTreeMap::new();
    for job in jobs {
        *counts.entry(job.state).or_default() += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        let start: DateTime<Utc> = "2026-11-23T06:00:00Z".parse().unwrap();
        start + TimeDelta::seconds(seconds)
    }

    fn job(name: &str, state: JobState) -> RequestedJob {
        RequestedJob { state, ..RequestedJob::accepted(name) }
    }

    #[test]
    fn a_name_tells_when_and_is_written_in_one_way() {
        let (first, second) = (RequestId::new(at(0), u128::MAX), RequestId::new(at(1), 0));
        assert!(first < second && first.to_string() < second.to_string());
        let text = first.to_string();
        assert_eq!(text.parse(), Ok(first));
        for wrong in ["", "x", &text.to_lowercase(), &format!("{text}0"), &text[1..], "8ZZZZZZZZZZZZZZZZZZZZZZZZZ"] {
            assert_eq!(wrong.parse::<RequestId>(), Err(InvalidRequestId), "{wrong}");
        }
    }

    #[test]
    fn each_job_tells_what_is_to_be_said_of_it() {
        let renamed = RequestedJob {
            asked_as: Some("old".to_owned()),
            code: Some(JobCode::Renamed),
            ..RequestedJob::accepted("new")
        };
        let unknown = RequestedJob { code: Some(JobCode::UnknownJob), ..job("x", JobState::Rejected) };
        let meant = RequestedJob { closest: Some("y".to_owned()), ..unknown.clone() };
        let failed = RequestedJob { reason: Some("No listener.".to_owned()), ..renamed.clone() };
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
}
