//! A request and its jobs: what is kept of them, and the states that they go through.
//!
//! ```text
//!     accepted ─► queued ─► forwarded
//!        │          │  └─► waiting ─┘        retry: back to accepted
//!        └──────────┴─────────┴─► failed
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use catalog::closest::normal_form;
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::email::Email;
use crate::plan::Planning;

/// How long a request that is kept but not queued is left to whoever took it; then it is the sweeper's.
const SWEPT_AFTER: TimeDelta = TimeDelta::minutes(2);
/// When the sweeper looks again at a request that waits for somebody else.
const LOOKED_AT_AGAIN: TimeDelta = TimeDelta::hours(1);

/// A request's name: a ULID, whose order is the order in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RequestId(Ulid);

/// Not the name of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("26 letters and digits of a request's name are expected")]
pub struct NoRequestId;

impl RequestId {
    /// A new name: a time, and 80 bits of chance.
    pub fn new(now: DateTime<Utc>, chance: u128) -> Self {
        Self(Ulid::from_parts(now.timestamp_millis().try_into().unwrap_or_default(), chance))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl FromStr for RequestId {
    type Err = NoRequestId;

    /// Reads a name as it is written: no other spelling of it is taken.
    fn from_str(text: &str) -> Result<Self, NoRequestId> {
        let id = Ulid::from_string(text).map(Self).map_err(|_| NoRequestId)?;
        if id.to_string() == text { Ok(id) } else { Err(NoRequestId) }
    }
}

impl TryFrom<String> for RequestId {
    type Error = NoRequestId;

    fn try_from(text: String) -> Result<Self, NoRequestId> {
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
pub enum State {
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
pub enum Code {
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
    Unplanned,
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
pub struct Waits {
    /// Since when.
    pub since: DateTime<Utc>,
    /// If its build was requested too: the last of the build's runs in Treeherder before that, 0 if there was none. What
    /// became of that one and of those before it says nothing any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
}

/// A job of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// Its name in the catalog; of a rejected one, the name that was asked for.
    pub name: String,
    /// The name that was asked for, where that is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_as: Option<String>,
    /// Where it is.
    pub state: JobState,
    /// What is to be said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
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
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waits: Option<Waits>,
    /// With which other jobs it goes: those of the same part. Jobs that waited are a part of their own, whose number is
    /// the version of the request at which they no longer did.
    #[serde(default, skip_serializing_if = "is_first")]
    pub part: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
fn is_first(part: &u64) -> bool {
    *part == 0
}

/// Something that happened to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: DateTime<Utc>,
    /// Where the request was then.
    pub state: State,
    /// What is to be said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Who did it, where a person did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Email>,
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
    pub round: u32,
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
    pub state: State,
    /// How many of its jobs are where.
    pub jobs: BTreeMap<JobState, u32>,
    /// What happened to it, oldest first.
    pub history: Vec<Event>,
    /// Seconds since 1970 at which somebody should look at it if nothing has happened until then.
    pub due_at: i64,
}

/// Who asks for what, as far as a new request keeps it.
#[derive(Debug, Clone)]
pub struct Asking {
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

impl State {
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

impl Code {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownJob => "unknown_job",
            Self::Renamed => "renamed",
            Self::Corrected => "corrected",
            Self::NeededBuild => "needed_build",
            Self::AlreadyRunning => "already_running",
            Self::Unplanned => "unplanned",
            Self::BuildRunning => "build_running",
            Self::BuildRequested => "build_requested",
            Self::BuildFailed => "build_failed",
            Self::WaitedTooLong => "waited_too_long",
        }
    }
}

impl Job {
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
            waits: None,
            part: 0,
        }
    }

    /// Whether it ever was on its way, or may be yet.
    pub fn exists(&self) -> bool {
        self.code != Some(Code::UnknownJob)
    }

    /// How its name differs from the one that was asked for.
    pub fn named_otherwise(&self) -> Option<Code> {
        let asked_as = self.asked_as.as_ref()?;
        let is_same = normal_form(asked_as) == normal_form(&self.name);
        Some(if is_same { Code::Corrected } else { Code::Renamed })
    }

    /// What is to be said of it, in a sentence or two for people.
    pub fn detail(&self, project: &str) -> Option<String> {
        let asked_as = self.asked_as.as_deref().unwrap_or_default();
        let named = self.named_otherwise().map(|code| match code {
            Code::Corrected => format!("It was asked for as '{asked_as}': case or blanks were corrected."),
            _ => format!("It was asked for as '{asked_as}', which is its former name."),
        });
        match (&self.reason, self.code, &self.closest) {
            (Some(reason), ..) => Some(named.map_or_else(|| reason.clone(), |named| format!("{reason} {named}"))),
            (None, Some(Code::UnknownJob), Some(closest)) => {
                Some(format!("{project} has no job of this name. Did you mean '{closest}'?"))
            }
            (None, Some(Code::UnknownJob), None) => Some(format!("{project} has no job of this name.")),
            (None, ..) => named,
        }
    }
}

/// How many of these jobs are where.
pub fn count(jobs: &[Job]) -> BTreeMap<JobState, u32> {
    let mut counts = BTreeMap::new();
    for job in jobs {
        *counts.entry(job.state).or_default() += 1;
    }
    counts
}

impl Request {
    /// A request that is taken now.
    pub fn new(id: RequestId, asking: Asking, jobs: &[Job], now: DateTime<Utc>) -> Self {
        let Asking { project, push_id, pushed, requester, on_behalf_by, decision_task_id } = asking;
        let state = State::Accepted;
        Self {
            id,
            version: 1,
            round: 1,
            project,
            push_id,
            pushed,
            requester,
            on_behalf_by,
            decision_task_id,
            state,
            jobs: count(jobs),
            history: vec![Event { at: now, state, detail: None, by: None }],
            due_at: (now + SWEPT_AFTER).timestamp(),
        }
    }

    /// When it was taken.
    pub fn created_at(&self) -> Option<DateTime<Utc>> {
        self.history.first().map(|event| event.at)
    }

    /// How many of its jobs are in this state.
    pub fn count(&self, state: JobState) -> u32 {
        self.jobs.get(&state).copied().unwrap_or_default()
    }

    /// The same once it is in the queue; none unless it was about to go there.
    #[must_use]
    pub fn queued(&self, now: DateTime<Utc>) -> Option<Self> {
        (self.state == State::Accepted).then(|| {
            let mut next = self.clone();
            next.version += 1;
            next.state = State::Queued;
            next.history.push(Event { at: now, state: State::Queued, detail: None, by: None });
            next
        })
    }

    /// The same, to be looked at later: it waits for somebody else.
    #[must_use]
    pub fn put_off(&self, now: DateTime<Utc>) -> Self {
        let due_at = (now + LOOKED_AT_AGAIN).timestamp();
        Self { version: self.version + 1, due_at, ..self.clone() }
    }

    /// The same with its jobs as they are planned, before those that are accepted are forwarded. It came out of the queue,
    /// so it is noted that it was there, should that not have been done yet.
    #[must_use]
    pub fn planned(&self, jobs: &[Job], now: DateTime<Utc>) -> Self {
        let noted = self.queued(now).unwrap_or_else(|| Self { version: self.version + 1, ..self.clone() });
        Self { jobs: count(jobs), ..noted }
    }

    /// The same with its jobs as planning and forwarding left them. It goes on as long as a job is accepted, and waits as
    /// long as one waits; else it is forwarded if any job is that somebody asked for, and failed if none is.
    #[must_use]
    pub fn settled(&self, jobs: &[Job], planning: &Planning, now: DateTime<Utc>) -> Self {
        let counts = count(jobs);
        let of = |state| counts.get(&state).copied().unwrap_or_default();
        let mut next = Self { version: self.version + 1, jobs: counts.clone(), ..self.clone() };
        if of(JobState::Accepted) > 0 {
            return next;
        }
        let is_what_was_asked_for = |job: &Job| job.state == JobState::Forwarded && job.code != Some(Code::NeededBuild);
        next.state = match of(JobState::Waiting) {
            1.. => State::Waiting,
            0 if jobs.iter().any(is_what_was_asked_for) => State::Forwarded,
            0 => State::Failed,
        };
        if next.state == State::Waiting {
            let since = jobs.iter().filter_map(|job| job.waits).map(|waits| waits.since).max().unwrap_or(now);
            next.due_at = (now + planning.until_next_look(now - since)).timestamp();
        }
        // To look at one that waits as before is nothing that happened.
        if (next.state, &next.jobs) != (self.state, &self.jobs) {
            let is_left_alone = |job: &&Job| job.state == JobState::Rejected && job.code == Some(Code::AlreadyRunning);
            let left_alone = jobs.iter().filter(is_left_alone).count();
            let told = [
                (of(JobState::Forwarded), "forwarded"),
                (of(JobState::Waiting), "waiting"),
                (u32::try_from(left_alone).unwrap_or(u32::MAX), "running already"),
                (of(JobState::Unroutable), "unroutable"),
                (of(JobState::Failed), "failed"),
            ];
            let told = told.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}"));
            let detail = Some(format!("Jobs: {}.", told.collect::<Vec<_>>().join(", ")));
            next.history.push(Event { at: now, state: next.state, detail, by: None });
        }
        next
    }

    /// The same with its jobs as they are judged now, on its way once more; none unless some of them are to be sent.
    ///
    /// Jobs that are on their way already keep it from being sent again, as nobody could tell the two rounds apart.
    #[must_use]
    pub fn retried(&self, jobs: &[Job], by: Option<Email>, now: DateTime<Utc>) -> Option<Self> {
        let counts = count(jobs);
        let again = counts.get(&JobState::Accepted).copied().unwrap_or_default();
        (!self.state.is_open() && again > 0).then(|| {
            let mut next = self.clone();
            next.version += 1;
            next.round += 1;
            next.state = State::Accepted;
            next.jobs = counts;
            next.due_at = (now + SWEPT_AFTER).timestamp();
            let jobs = if again == 1 { "job is" } else { "jobs are" };
            let detail = Some(format!("{again} {jobs} sent again."));
            next.history.push(Event { at: now, state: State::Accepted, detail, by });
            next
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        let start: DateTime<Utc> = "2026-11-23T06:00:00Z".parse().unwrap();
        start + TimeDelta::seconds(seconds)
    }

    fn request(jobs: &[Job]) -> Request {
        let asking = Asking {
            project: "try".to_owned(),
            push_id: 1,
            pushed: None,
            requester: "someone@mozilla.com".parse().unwrap(),
            on_behalf_by: None,
            decision_task_id: None,
        };
        Request::new(RequestId::new(at(0), 7), asking, jobs, at(0))
    }

    fn job(name: &str, state: JobState) -> Job {
        Job { state, ..Job::accepted(name) }
    }

    #[test]
    fn a_name_tells_when_and_is_written_in_one_way() {
        let (first, second) = (RequestId::new(at(0), u128::MAX), RequestId::new(at(1), 0));
        assert!(first < second && first.to_string() < second.to_string());
        let text = first.to_string();
        assert_eq!(text.parse(), Ok(first));
        for wrong in ["", "x", &text.to_lowercase(), &format!("{text}0"), &text[1..], "8ZZZZZZZZZZZZZZZZZZZZZZZZZ"] {
            assert_eq!(wrong.parse::<RequestId>(), Err(NoRequestId), "{wrong}");
        }
    }

    #[test]
    fn a_request_is_queued_once() {
        let taken = request(&[Job::accepted("a"), job("b", JobState::Rejected)]);
        assert_eq!((taken.count(JobState::Accepted), taken.count(JobState::Rejected)), (1, 1));
        let queued = taken.queued(at(1)).unwrap();
        assert_eq!((queued.version, queued.state, queued.history.len()), (2, State::Queued, 2));
        assert_eq!(queued.queued(at(2)), None);
        assert_eq!(queued.created_at(), Some(at(0)));
    }

    #[test]
    fn a_request_is_the_sweepers_after_two_minutes_and_then_hourly() {
        let taken = request(&[Job::accepted("a")]);
        assert_eq!(taken.due_at, at(120).timestamp());
        assert_eq!(taken.queued(at(1)).unwrap().due_at, taken.due_at);
        assert_eq!(taken.put_off(at(130)).due_at, at(3730).timestamp());
    }

    #[test]
    fn a_request_ends_when_no_job_is_on_its_way() {
        let queued = request(&[Job::accepted("a"), Job::accepted("b")]).queued(at(1)).unwrap();
        let after = |states: [JobState; 2]| {
            queued.settled(&[job("a", states[0]), job("b", states[1])], &Planning::default(), at(2))
        };
        let half = after([JobState::Forwarded, JobState::Accepted]);
        assert_eq!((half.version, half.state, half.history.len()), (3, State::Queued, 2));
        for (states, state, said) in [
            ([JobState::Forwarded, JobState::Forwarded], State::Forwarded, "Jobs: 2 forwarded."),
            ([JobState::Forwarded, JobState::Unroutable], State::Forwarded, "Jobs: 1 forwarded, 1 unroutable."),
            ([JobState::Unroutable, JobState::Unroutable], State::Failed, "Jobs: 2 unroutable."),
            ([JobState::Failed, JobState::Rejected], State::Failed, "Jobs: 1 failed."),
        ] {
            let ended = after(states);
            assert_eq!((ended.state, ended.history.last().unwrap().detail.as_deref()), (state, Some(said)));
        }
    }

    #[test]
    fn a_build_that_nobody_asked_for_makes_no_request_forwarded() {
        let build = Job { code: Some(Code::NeededBuild), ..job("build", JobState::Forwarded) };
        let queued = request(&[Job::accepted("test")]).queued(at(1)).unwrap();
        let state = |test| queued.settled(&[job("test", test), build.clone()], &Planning::default(), at(2)).state;
        assert_eq!(state(JobState::Failed), State::Failed);
        assert_eq!(state(JobState::Waiting), State::Waiting);
        assert_eq!(state(JobState::Forwarded), State::Forwarded);
    }

    #[test]
    fn only_a_request_that_ended_is_sent_again() {
        let by: Email = "dev@example.org".parse().unwrap();
        let mut ended = request(&[job("a", JobState::Failed), job("b", JobState::Forwarded)]);
        ended.state = State::Forwarded;
        let again = [Job::accepted("a"), job("b", JobState::Forwarded)];
        let next = ended.retried(&again, Some(by.clone()), at(500)).unwrap();
        assert_eq!((next.version, next.round, next.state), (2, 2, State::Accepted));
        assert_eq!((next.count(JobState::Failed), next.count(JobState::Accepted)), (0, 1));
        let last = next.history.last().unwrap();
        assert_eq!((last.detail.as_deref(), last.by.as_ref()), (Some("1 job is sent again."), Some(&by)));
        assert_eq!(next.due_at, at(620).timestamp());

        assert_eq!(next.retried(&again, None, at(501)), None, "it is on its way");
        assert_eq!(ended.retried(&[job("a", JobState::Rejected)], None, at(500)), None, "there is nothing to send");
    }

    #[test]
    fn each_job_tells_what_is_to_be_said_of_it() {
        let renamed = Job { asked_as: Some("old".to_owned()), code: Some(Code::Renamed), ..Job::accepted("new") };
        let unknown = Job { code: Some(Code::UnknownJob), ..job("x", JobState::Rejected) };
        let meant = Job { closest: Some("y".to_owned()), ..unknown.clone() };
        let failed = Job { reason: Some("No listener.".to_owned()), ..renamed.clone() };
        for (job, said) in [
            (Job::accepted("a"), None),
            (renamed, Some("It was asked for as 'old', which is its former name.")),
            (unknown, Some("try has no job of this name.")),
            (meant, Some("try has no job of this name. Did you mean 'y'?")),
            (failed, Some("No listener. It was asked for as 'old', which is its former name.")),
        ] {
            assert_eq!(job.detail("try").as_deref(), said);
        }
    }
}
