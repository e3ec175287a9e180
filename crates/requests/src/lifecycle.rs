//! How a request goes from state to state, and when.
//!
//! ```text
//!     accepted ─► queued ─► forwarded ─► finished
//!        │          │  └─► waiting ─┘        retry: back to accepted
//!        └──────────┴─────────┴─► failed
//! ```
//!
//! No state lasts for ever: the sweeper gives up a request that makes no progress, which then is failed, or forwarded if
//! some of its jobs were forwarded before; and a job that does not appear is not followed for ever.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::action::ActionState;
use crate::email::Email;
use crate::history::{Event, EventDetail, JobSummary};
use crate::id::RequestId;
use crate::job::{JobCode, RequestedJob};
use crate::new_request::NewRequest;
use crate::outcome::Outcome;
use crate::pause::remembered;
use crate::push::Push;
use crate::reason::JobReason;
use crate::request::Request;
use crate::state::{JobState, RequestState};

/// How long the trigger function has to queue a request before the sweeper queues it.
const SWEEP_DELAY: TimeDelta = TimeDelta::minutes(2);
/// When the sweeper checks a request again that is in progress elsewhere.
const RECHECK_INTERVAL: TimeDelta = TimeDelta::hours(1);
/// The sweeper gives up a request that makes no progress for this long: another try would not help.
const MAX_IDLE_TIME: TimeDelta = TimeDelta::days(1);

impl Request {
    /// The request that a client makes now, with its jobs as the catalog has them. `pushed` is the push as Treeherder
    /// describes it.
    pub fn new(
        id: RequestId,
        new_request: NewRequest,
        pushed: Option<Push>,
        jobs: &[RequestedJob],
        now: DateTime<Utc>,
    ) -> Self {
        // The names became jobs, and the key became a claim.
        let NewRequest { project, push_id, requester, on_behalf_by, decision_task_id, names: _, idempotency_key: _ } =
            new_request;
        let state = RequestState::Accepted;
        let mut request = Self {
            id,
            version: 1,
            attempt: 1,
            project,
            push_id,
            pushed,
            requester,
            on_behalf_by,
            decision_task_id,
            state,
            job_counts: BTreeMap::new(),
            jobs_digest: String::new(),
            events_left_out: 0,
            history: vec![Event { at: now, state, detail: None, by: None }],
            due_at: (now + SWEEP_DELAY).timestamp(),
            actions: Vec::new(),
            label_wait: None,
            progress: None,
        };
        request.sum_up(jobs);
        request
    }

    /// The request after it was queued; `None` if it was not about to be.
    #[must_use]
    pub fn queued(&self, now: DateTime<Utc>) -> Option<Self> {
        (self.state == RequestState::Accepted).then(|| {
            let mut next = self.clone();
            next.version += 1;
            next.state = RequestState::Queued;
            next.record_event(Event { at: now, state: RequestState::Queued, detail: None, by: None });
            next
        })
    }

    /// The request with a later check by the sweeper: another function has to act first.
    #[must_use]
    pub fn postponed(&self, now: DateTime<Utc>) -> Self {
        let due_at = (now + RECHECK_INTERVAL).timestamp();
        Self { version: self.version + 1, due_at, ..self.clone() }
    }

    /// The request with planned jobs, before the accepted ones are forwarded. The request came out of the queue, so it is
    /// marked as queued if that was not recorded yet.
    #[must_use]
    pub fn with_plan(&self, jobs: &[RequestedJob], now: DateTime<Utc>) -> Self {
        let mut next = self.queued(now).unwrap_or_else(|| Self { version: self.version + 1, ..self.clone() });
        next.sum_up(jobs);
        next
    }

    /// The request with its jobs as planning and forwarding left them. It stays queued while a job is accepted, and waits
    /// while a job waits or is being triggered, until the next check after `poll_interval`. Otherwise it is failed if no job
    /// is forwarded that the requester asked for, finished if every job that is forwarded has ended, and else forwarded.
    #[must_use]
    pub fn with_results(&self, jobs: &[RequestedJob], poll_interval: TimeDelta, now: DateTime<Utc>) -> Self {
        let mut next = Self { version: self.version + 1, ..self.clone() };
        next.sum_up(jobs);
        if next.job_count(JobState::Accepted) > 0 {
            return next;
        }
        let is_waiting = [JobState::Waiting, JobState::Triggering].iter().any(|state| next.job_count(*state) > 0);
        next.state = if is_waiting { RequestState::Waiting } else { next.final_state(jobs) };
        match next.state {
            RequestState::Waiting => next.due_at = (now + poll_interval).timestamp(),
            RequestState::Forwarded => next.due_at = now.timestamp(),
            _ => {}
        }
        // A check that finds the jobs waiting as before is not an event.
        if (next.state, &next.job_counts) != (self.state, &self.job_counts) {
            let detail = Some(EventDetail::Jobs { counts: JobSummary::of(jobs) });
            next.record_event(Event { at: now, state: next.state, detail, by: None });
        }
        next
    }

    /// Whether the sweeper has to give the request up: it made no progress for a day in which it should have been
    /// forwarded. A request that waits for a build has `max_wait` and that day.
    pub fn is_overdue(&self, max_wait: TimeDelta, now: DateTime<Utc>) -> bool {
        let allowed = match self.state {
            RequestState::Accepted | RequestState::Queued => MAX_IDLE_TIME,
            RequestState::Waiting => max_wait + MAX_IDLE_TIME,
            RequestState::Forwarded | RequestState::Finished | RequestState::Failed => return false,
        };
        self.changed_at().is_none_or(|changed| now - changed >= allowed)
    }

    /// The request and its jobs after it was given up. Jobs that were not forwarded are failed, and can be retried.
    #[must_use]
    pub fn given_up(&self, jobs: &[RequestedJob], now: DateTime<Utc>) -> (Self, Vec<RequestedJob>) {
        let close = |job: &RequestedJob| match job.state {
            JobState::Accepted => RequestedJob {
                state: JobState::Failed,
                reason: Some(JobReason::GivenUp { may_have_arrived: true }),
                ..job.clone()
            },
            JobState::Triggering => RequestedJob {
                state: JobState::Failed,
                code: Some(JobCode::TaskclusterUnavailable),
                reason: Some(JobReason::GivenUp { may_have_arrived: true }),
                ..job.clone()
            },
            JobState::Waiting => RequestedJob {
                state: JobState::Failed,
                code: Some(JobCode::WaitedTooLong),
                reason: Some(JobReason::GivenUp { may_have_arrived: false }),
                build_wait: None,
                ..job.clone()
            },
            _ => job.clone(),
        };
        let jobs: Vec<RequestedJob> = jobs.iter().map(close).collect();
        let mut next = Self { version: self.version + 1, ..self.clone() };
        next.state = next.final_state(&jobs);
        next.give_up_actions();
        next.sum_up(&jobs);
        next.due_at = now.timestamp();
        let detail = Some(EventDetail::GivenUp { counts: Some(JobSummary::of(&jobs)) });
        next.record_event(Event { at: now, state: next.state, detail, by: None });
        (next, jobs)
    }

    /// The request after it was given up, if its jobs cannot be read: jobs that were not forwarded count as failed.
    #[must_use]
    pub fn given_up_unread(&self, now: DateTime<Utc>) -> Self {
        let mut next = Self { version: self.version + 1, state: RequestState::Failed, ..self.clone() };
        let open = [JobState::Accepted, JobState::Triggering, JobState::Waiting];
        let open = open.map(|state| next.job_counts.remove(&state).unwrap_or_default());
        *next.job_counts.entry(JobState::Failed).or_default() += open.iter().sum::<u32>();
        next.give_up_actions();
        let detail = Some(EventDetail::GivenUp { counts: None });
        next.record_event(Event { at: now, state: next.state, detail, by: None });
        next
    }

    /// Nothing waits for an action any more, or for the answer of a hook.
    fn give_up_actions(&mut self) {
        for action in self.actions.iter_mut().filter(|action| action.state == ActionState::Triggering) {
            action.state = ActionState::Uncertain;
        }
        self.label_wait = None;
    }

    /// The state of the request if no job of it is on its way any more. An action that runs is followed, even if it runs
    /// nothing that was asked for: it locks the push.
    fn final_state(&self, jobs: &[RequestedJob]) -> RequestState {
        let forwarded = || jobs.iter().filter(|job| job.state == JobState::Forwarded);
        if self.actions.iter().any(|action| action.state == ActionState::Running) {
            RequestState::Forwarded
        } else if !forwarded().any(RequestedJob::is_asked_for) {
            RequestState::Failed
        } else if forwarded().all(|job| job.outcome.as_ref().is_some_and(Outcome::has_ended)) {
            RequestState::Finished
        } else {
            RequestState::Forwarded
        }
    }

    /// The request with its jobs as they are resolved now, to be forwarded once more; `None` if no job is to be sent.
    ///
    /// An open request cannot be retried: messages of the two attempts could not be distinguished.
    #[must_use]
    pub fn retried(&self, jobs: &[RequestedJob], by: Option<Email>, now: DateTime<Utc>) -> Option<Self> {
        let again = |is_asked_for| {
            let is_sent = |job: &&RequestedJob| job.state == JobState::Accepted && job.is_asked_for() == is_asked_for;
            u32::try_from(jobs.iter().filter(is_sent).count()).unwrap_or(u32::MAX)
        };
        let (asked_for, needed) = (again(true), again(false));
        (!self.state.is_open() && asked_for.saturating_add(needed) > 0).then(|| {
            let mut next = self.clone();
            next.version += 1;
            next.attempt += 1;
            next.state = RequestState::Accepted;
            next.label_wait = None;
            next.sum_up(jobs);
            next.due_at = (now + SWEEP_DELAY).timestamp();
            let detail = Some(EventDetail::SentAgain { jobs: asked_for, builds: needed });
            next.record_event(Event { at: now, state: RequestState::Accepted, detail, by });
            next
        })
    }

    /// The request with its jobs as they were found on their push. A request that is open stays so: the forwarder settles
    /// it. Otherwise the request ends with the last of its jobs. That is an event; the end of one job is none.
    #[must_use]
    pub fn followed(&self, jobs: &[RequestedJob], now: DateTime<Utc>) -> Self {
        let mut next = Self { version: self.version + 1, ..self.clone() };
        next.sum_up(jobs);
        if next.state.is_open() {
            return next;
        }
        next.state = next.final_state(jobs);
        let changed_at = DateTime::from_timestamp(self.due_at, 0).unwrap_or(now);
        next.due_at = remembered(changed_at, now).timestamp();
        if next.state.has_ended() && next.state != self.state {
            let detail = Some(EventDetail::Finished { progress: next.progress.unwrap_or_default() });
            next.record_event(Event { at: now, state: next.state, detail, by: None });
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{BuildWait, count_jobs, digest};
    use crate::reason::MAY_HAVE_ARRIVED;

    const POLL_INTERVAL: TimeDelta = TimeDelta::minutes(2);
    const MAX_WAIT: TimeDelta = TimeDelta::hours(12);

    fn at(seconds: i64) -> DateTime<Utc> {
        let start: DateTime<Utc> = "2026-11-23T06:00:00Z".parse().unwrap();
        start + TimeDelta::seconds(seconds)
    }

    fn request(jobs: &[RequestedJob]) -> Request {
        let new_request = NewRequest::new("try", 1, "someone@mozilla.com".parse().unwrap(), Vec::new());
        Request::new(RequestId::new(at(0), 7), new_request, None, jobs, at(0))
    }

    fn job(name: &str, state: JobState) -> RequestedJob {
        RequestedJob { state, ..RequestedJob::accepted(name) }
    }

    #[test]
    fn a_request_is_queued_once() {
        let taken = request(&[RequestedJob::accepted("a"), job("b", JobState::Rejected)]);
        assert_eq!((taken.job_count(JobState::Accepted), taken.job_count(JobState::Rejected)), (1, 1));
        let queued = taken.queued(at(1)).unwrap();
        assert_eq!((queued.version, queued.state, queued.history.len()), (2, RequestState::Queued, 2));
        assert_eq!(queued.queued(at(2)), None);
        assert_eq!(queued.created_at(), Some(at(0)));
    }

    #[test]
    fn a_request_is_the_sweepers_after_two_minutes_and_then_hourly() {
        let taken = request(&[RequestedJob::accepted("a")]);
        assert_eq!(taken.due_at, at(120).timestamp());
        assert_eq!(taken.queued(at(1)).unwrap().due_at, taken.due_at);
        assert_eq!(taken.postponed(at(130)).due_at, at(3730).timestamp());
    }

    #[test]
    fn a_request_ends_when_no_job_is_on_its_way() {
        let queued = request(&[RequestedJob::accepted("a"), RequestedJob::accepted("b")]).queued(at(1)).unwrap();
        let after = |states: [JobState; 2]| {
            queued.with_results(&[job("a", states[0]), job("b", states[1])], POLL_INTERVAL, at(2))
        };
        let half = after([JobState::Forwarded, JobState::Accepted]);
        assert_eq!((half.version, half.state, half.history.len()), (3, RequestState::Queued, 2));
        for (states, state, said) in [
            ([JobState::Forwarded, JobState::Forwarded], RequestState::Forwarded, "Jobs: 2 forwarded."),
            ([JobState::Forwarded, JobState::Unroutable], RequestState::Forwarded, "Jobs: 1 forwarded, 1 unroutable."),
            ([JobState::Unroutable, JobState::Unroutable], RequestState::Failed, "Jobs: 2 unroutable."),
            ([JobState::Failed, JobState::Rejected], RequestState::Failed, "Jobs: 1 failed."),
        ] {
            let ended = after(states);
            assert_eq!((ended.state, ended.history.last().unwrap().detail_text().as_deref()), (state, Some(said)));
        }
    }

    #[test]
    fn a_build_that_nobody_asked_for_makes_no_request_forwarded() {
        let build = RequestedJob { code: Some(JobCode::NeededBuild), ..job("build", JobState::Forwarded) };
        let queued = request(&[RequestedJob::accepted("test")]).queued(at(1)).unwrap();
        let state = |test| queued.with_results(&[job("test", test), build.clone()], POLL_INTERVAL, at(2)).state;
        assert_eq!(state(JobState::Failed), RequestState::Failed);
        assert_eq!(state(JobState::Waiting), RequestState::Waiting);
        assert_eq!(state(JobState::Forwarded), RequestState::Forwarded);
    }

    #[test]
    fn only_a_request_that_ended_is_sent_again() {
        let by: Email = "dev@example.org".parse().unwrap();
        let mut ended = request(&[job("a", JobState::Failed), job("b", JobState::Forwarded)]);
        ended.state = RequestState::Forwarded;
        let again = [RequestedJob::accepted("a"), job("b", JobState::Forwarded)];
        let next = ended.retried(&again, Some(by.clone()), at(500)).unwrap();
        assert_eq!((next.version, next.attempt, next.state), (2, 2, RequestState::Accepted));
        assert_eq!((next.job_count(JobState::Failed), next.job_count(JobState::Accepted)), (0, 1));
        let last = next.history.last().unwrap();
        assert_eq!((last.detail_text().as_deref(), last.by.as_ref()), (Some("1 job is sent again."), Some(&by)));
        assert_eq!(next.due_at, at(620).timestamp());

        assert_eq!(next.retried(&again, None, at(501)), None, "it is on its way");
        assert_eq!(ended.retried(&[job("a", JobState::Rejected)], None, at(500)), None, "there is nothing to send");
    }

    #[test]
    fn a_build_that_is_needed_is_sent_again_as_one() {
        let build = RequestedJob { code: Some(JobCode::NeededBuild), ..RequestedJob::accepted("build") };
        let ended = Request { state: RequestState::Failed, ..request(&[job("a", JobState::Failed), build.clone()]) };
        for (jobs, said) in [
            (
                vec![RequestedJob::accepted("a"), build.clone()],
                "1 job is sent again. 1 build that is needed is sent again.",
            ),
            (vec![job("a", JobState::Forwarded), build.clone()], "1 build that is needed is sent again."),
        ] {
            let next = ended.retried(&jobs, None, at(500)).unwrap();
            assert_eq!(next.history.last().unwrap().detail_text().as_deref(), Some(said));
        }
    }

    #[test]
    fn nothing_stays_open_for_ever() {
        let accepted = request(&[RequestedJob::accepted("a")]);
        let queued = accepted.queued(at(60)).unwrap();
        let waiting = queued.with_results(&[job("a", JobState::Waiting)], POLL_INTERVAL, at(120));
        for (request, from, hours) in [(&accepted, 0, 24), (&queued, 60, 24), (&waiting, 120, 36)] {
            assert!(!request.is_overdue(MAX_WAIT, at(from + hours * 3600 - 1)), "{:?}", request.state);
            assert!(request.is_overdue(MAX_WAIT, at(from + hours * 3600)), "{:?}", request.state);
            // To be looked at again and again is nothing that happened.
            let postponed = (1..24).fold(request.clone(), |request, hour| request.postponed(at(hour * 3600)));
            assert!(postponed.is_overdue(MAX_WAIT, at(from + hours * 3600)));
        }
        let (ended, _) = queued.given_up(&[RequestedJob::accepted("a")], at(90_000));
        assert!(!ended.is_overdue(MAX_WAIT, at(900_000)));
    }

    #[test]
    fn what_is_given_up_has_failed_for_a_reason_and_can_be_sent_again() {
        let build_wait = Some(BuildWait { since: at(0), ignore_runs_up_to: None, failed_before: 0 });
        let waiting = RequestedJob { build_wait, ..job("b", JobState::Waiting) };
        let rejected = RequestedJob { code: Some(JobCode::UnknownJob), ..job("x", JobState::Rejected) };
        let jobs = [RequestedJob::accepted("a"), waiting, rejected, job("c", JobState::Unroutable)];
        let queued = request(&jobs).queued(at(1)).unwrap();
        let (next, jobs) = queued.given_up(&jobs, at(90_000));
        let states: Vec<JobState> = jobs.iter().map(|job| job.state).collect();
        assert_eq!(states, [JobState::Failed, JobState::Failed, JobState::Rejected, JobState::Unroutable]);
        assert!(jobs[0].reason_text().unwrap().contains(MAY_HAVE_ARRIVED), "{jobs:?}");
        assert_eq!((jobs[1].code, jobs[1].build_wait), (Some(JobCode::WaitedTooLong), None));
        assert!(jobs[..2].iter().all(|job| job.reason_text().unwrap().contains("given up")), "{jobs:?}");
        assert_eq!((next.version, next.state, next.attempt), (queued.version + 1, RequestState::Failed, 1));
        let said = "Nothing happened for too long, so it was given up. Jobs: 1 unroutable, 2 failed.";
        assert_eq!(next.history.last().unwrap().detail_text().as_deref(), Some(said));
        assert_eq!((&next.job_counts, &next.jobs_digest), (&count_jobs(&jobs), &digest(&jobs)));

        let forwarded = [job("a", JobState::Forwarded), RequestedJob::accepted("b")];
        assert_eq!(
            request(&forwarded).queued(at(1)).unwrap().given_up(&forwarded, at(90_000)).0.state,
            RequestState::Forwarded
        );

        let unread = queued.given_up_unread(at(90_000));
        assert_eq!((unread.state, &unread.job_counts), (RequestState::Failed, &next.job_counts));

        // The hook was called for a label, and its answer is not known.
        let triggering = [job("a", JobState::Triggering)];
        let queued = request(&triggering).queued(at(1)).unwrap();
        let unread = queued.given_up_unread(at(90_000));
        assert_eq!(unread.job_counts, count_jobs(&queued.given_up(&triggering, at(90_000)).1));
    }

    #[test]
    fn a_request_that_is_sent_again_for_ever_stays_small() {
        let failed = [job("a", JobState::Failed)];
        let mut ended = request(&failed).queued(at(1)).unwrap().with_results(&failed, POLL_INTERVAL, at(2));
        for attempt in 1..=1800 {
            let by: Email = "someone@mozilla.com".parse().unwrap();
            let accepted = ended.retried(&[RequestedJob::accepted("a")], Some(by), at(attempt * 10)).unwrap();
            let queued = accepted.queued(at(attempt * 10 + 1)).unwrap();
            ended = queued.with_results(&failed, POLL_INTERVAL, at(attempt * 10 + 2));
        }
        assert_eq!((ended.created_at(), ended.changed_at()), (Some(at(0)), Some(at(18_002))));
        assert_eq!((ended.history.len(), ended.events_left_out), (51, 3 + 3 * 1800 - 51));
        let bytes = serde_json::to_vec(&ended).unwrap().len();
        assert!(bytes < 8192, "{bytes}");
        // One that was stored when all was kept shrinks with the next event.
        let long = Request { history: vec![ended.history[0].clone(); 5000], events_left_out: 0, ..ended.clone() };
        let next = long.retried(&[RequestedJob::accepted("a")], None, at(20_000)).unwrap();
        assert_eq!((next.history.len(), next.events_left_out), (51, 4950));
    }

    #[test]
    fn what_was_stored_before_is_read() {
        let mut json = serde_json::to_value(request(&[RequestedJob::accepted("a")])).unwrap();
        json.as_object_mut().unwrap().remove("jobs_digest").unwrap();
        let read: Request = serde_json::from_value(json).unwrap();
        assert_eq!((read.jobs_digest.as_str(), read.events_left_out), ("", 0));
    }
}
