//! The outcomes of a request's messages are recorded with its jobs.

use chrono::{DateTime, Utc};
use requests::delivery::{DeliveryOutcome, Unconfirmed};
use requests::job::RequestedJob;
use requests::planning::fail_jobs_without_build;
use requests::reason::JobReason;
use requests::request::Request;
use requests::state::JobState;
use store::{Consistency, UpdateResult};

use crate::batch::{DeliveryLog, Forwarder, PendingRequest};
use crate::destination::pulse::existing_jobs;

/// How often the queue delivers a message before it moves to the dead-letter queue (`maxReceiveCount` in
/// infra/template.yaml). On the last delivery, jobs that cannot be forwarded fail.
pub const MAX_RECEIVES: u32 = 5;

/// A request after the outcomes of its messages were recorded.
pub(crate) struct Recorded {
    pub(crate) line: DeliveryLog,
    /// Why the message in the queue is to be retried, if it is.
    pub(crate) again: Option<String>,
    pub(crate) request: Request,
    pub(crate) jobs: Vec<RequestedJob>,
    /// Whether request and jobs are as they are stored.
    pub(crate) is_stored: bool,
}

impl Forwarder {
    /// Records the outcomes of a request's messages.
    pub(crate) async fn record(&self, one: PendingRequest, outcomes: &[DeliveryOutcome]) -> Recorded {
        let mut line = one.line((self.clock)());
        let existing_jobs = existing_jobs(&one.jobs);
        let PendingRequest { mut request, mut jobs, messages, receive_count, .. } = one;
        let (mut again, mut is_any_known, mut is_any_in_doubt) = (None, false, false);
        for (message, outcome) in messages.iter().zip(outcomes) {
            let count = u32::try_from(message.jobs.len()).unwrap_or(u32::MAX);
            let indexes = &existing_jobs[message.jobs.clone()];
            if let DeliveryOutcome::Unknown(unconfirmed) = outcome {
                line.refused += if unconfirmed.is_rejection { count } else { 0 };
                for index in indexes.iter().filter(|_| unconfirmed.may_have_arrived) {
                    is_any_in_doubt |= !std::mem::replace(&mut jobs[*index].in_doubt, true);
                }
            }
            let error = match outcome {
                DeliveryOutcome::Confirmed | DeliveryOutcome::Unroutable => None,
                DeliveryOutcome::Unknown(Unconfirmed { reason, .. }) if receive_count < MAX_RECEIVES => {
                    again = Some(reason.clone());
                    continue;
                }
                DeliveryOutcome::Rejected(reason) | DeliveryOutcome::Unknown(Unconfirmed { reason, .. }) => {
                    Some(reason)
                }
            };
            let state = match outcome {
                DeliveryOutcome::Confirmed => {
                    line.forwarded += count;
                    JobState::Forwarded
                }
                DeliveryOutcome::Unroutable => {
                    line.unroutable += count;
                    JobState::Unroutable
                }
                DeliveryOutcome::Rejected(_) | DeliveryOutcome::Unknown(_) => {
                    line.failed += count;
                    line.refused += if matches!(outcome, DeliveryOutcome::Rejected(_)) { count } else { 0 };
                    line.error = error.cloned();
                    JobState::Failed
                }
            };
            is_any_known = true;
            for index in indexes {
                let job = &mut jobs[*index];
                job.state = state;
                job.in_doubt &= state != JobState::Forwarded;
                if state == JobState::Forwarded {
                    job.asked_at = request.attempt_began_at();
                }
                // The reason of a job that is forwarded stays that of its plan.
                if let Some(error) = error {
                    job.reason = Some(JobReason::not_delivered(error, job.in_doubt));
                } else if state == JobState::Unroutable {
                    job.reason = Some(JobReason::NoListener { may_have_arrived: job.in_doubt });
                }
            }
        }
        let stored = if is_any_known {
            fail_jobs_without_build(&mut jobs);
            let settle = |request: &Request, now| self.with_results(request, &jobs, now);
            Some(self.store(&request, Some(&jobs), settle).await)
        } else if is_any_in_doubt {
            // Recorded now: the last delivery may be one that does not even reach the broker.
            let mark = |request: &Request, now| request.with_plan(&jobs, now);
            Some(self.store(&request, Some(&jobs), mark).await)
        } else {
            None
        };
        let is_stored = !matches!(stored, Some(Err(_)));
        match stored {
            Some(Ok(next)) => request = next,
            Some(Err(reason)) => again = Some(reason),
            None => {}
        }
        if again.is_some() {
            line.error.clone_from(&again);
        }
        Recorded { line, again, request, jobs, is_stored }
    }

    /// Stores a request's next version, and its jobs if they changed. If the trigger function records only now that the
    /// request is queued, the request is read and changed again: to repeat the batch would publish its jobs again.
    pub(crate) async fn store(
        &self,
        request: &Request,
        jobs: Option<&[RequestedJob]>,
        next: impl Fn(&Request, DateTime<Utc>) -> Request,
    ) -> Result<Request, String> {
        let meanwhile = || "the request was changed at the same time".to_owned();
        let mut current = request.clone();
        for _ in 0..3 {
            let now = (self.clock)();
            let next = next(&current, now);
            let stored = self.requests.update(&next, jobs, now).await;
            if stored.map_err(|error| error.to_string())? == UpdateResult::Stored {
                return Ok(next);
            }
            let found =
                self.requests.request(request.id, Consistency::Consistent).await.map_err(|error| error.to_string())?;
            let jobs_of =
                |request: &Request| (request.attempt, request.job_counts.clone(), request.jobs_digest.clone());
            let is_same = |found: &Request| jobs_of(found) == jobs_of(request) && found.state.is_open();
            current = found.filter(is_same).ok_or_else(meanwhile)?;
        }
        Err(meanwhile())
    }
}
