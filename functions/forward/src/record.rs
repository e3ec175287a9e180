//! What became of the jobs of a request is recorded with it.

use chrono::{DateTime, Utc};
use pulse::{DeliveryOutcome, Unconfirmed};
use requests::lifecycle::MAY_HAVE_ARRIVED;
use requests::planning::fail_jobs_without_build;
use requests::request::{JobState, Request, RequestedJob};
use store::{Consistency, UpdateResult};

use crate::forwarder::{DeliveryLog, Forwarder, PendingRequest};

/// How often the queue gives a message out before it goes to the dead letters (`maxReceiveCount` in
/// infra/template.yaml): the last time, what cannot be forwarded has failed.
pub(crate) const MAX_RECEIVES: u32 = 5;
/// The most of an error that is kept with a job, in characters.
const MAX_REASON: usize = 300;
/// Said of a job that has no listener on Pulse.
const NO_LISTENER: &str =
    "Pulse has no listener for this project: nobody will run it. It can be retried when there is one.";

impl Forwarder {
    /// Records what became of a request's jobs. Returns why its message is to come back, if it is.
    pub(crate) async fn record(
        &self,
        one: PendingRequest,
        outcomes: &[DeliveryOutcome],
    ) -> (DeliveryLog, Option<String>) {
        let mut line = one.line((self.clock)());
        let numbered = one.numbered();
        let PendingRequest { request, mut jobs, messages, receive_count, .. } = one;
        let (mut again, mut is_any_known, mut is_any_in_doubt) = (None, false, false);
        for (message, outcome) in messages.iter().zip(outcomes) {
            let count = u32::try_from(message.jobs.len()).unwrap_or(u32::MAX);
            let places = &numbered[message.jobs.clone()];
            if let DeliveryOutcome::Unknown(unconfirmed) = outcome {
                line.refused += if unconfirmed.is_rejection { count } else { 0 };
                for place in places.iter().filter(|_| unconfirmed.may_have_arrived) {
                    is_any_in_doubt |= !std::mem::replace(&mut jobs[*place].in_doubt, true);
                }
            }
            let (state, reason) = match outcome {
                DeliveryOutcome::Confirmed => {
                    line.forwarded += count;
                    (JobState::Forwarded, None)
                }
                DeliveryOutcome::Unroutable => {
                    line.unroutable += count;
                    (JobState::Unroutable, Some(NO_LISTENER.to_owned()))
                }
                DeliveryOutcome::Unknown(Unconfirmed { reason, .. }) if receive_count < MAX_RECEIVES => {
                    again = Some(reason.clone());
                    continue;
                }
                DeliveryOutcome::Rejected(reason) | DeliveryOutcome::Unknown(Unconfirmed { reason, .. }) => {
                    line.failed += count;
                    line.refused += if matches!(outcome, DeliveryOutcome::Rejected(_)) { count } else { 0 };
                    line.error = Some(reason.clone());
                    (JobState::Failed, Some(failure_reason(reason)))
                }
            };
            is_any_known = true;
            for place in places {
                let job = &mut jobs[*place];
                job.state = state;
                job.in_doubt &= state != JobState::Forwarded;
                // What planning said of a job stays true of one that is forwarded.
                if let Some(reason) = &reason {
                    job.reason = Some(if job.in_doubt { with_doubt(reason) } else { reason.clone() });
                }
            }
        }
        if is_any_known {
            fail_jobs_without_build(&mut jobs);
            let settle = |request: &Request, now| request.with_results(&jobs, &self.planning, now);
            again = self.store(&request, Some(&jobs), settle).await.err().or(again);
        } else if is_any_in_doubt {
            // Noted now: the last try may be one that does not even reach the broker.
            let note = |request: &Request, now| request.with_plan(&jobs, now);
            again = self.store(&request, Some(&jobs), note).await.err().or(again);
        }
        if again.is_some() {
            line.error.clone_from(&again);
        }
        (line, again)
    }

    /// Stores a request's next version, and its jobs if they changed. That it was queued may be noted only now: it is then
    /// read once more, as to take it up again would be worse.
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

/// What people read of a failure.
fn failure_reason(reason: &str) -> String {
    let reason: String = reason.chars().take(MAX_REASON).collect();
    format!("It could not be forwarded to Pulse: {}. It can be retried.", reason.trim_end_matches('.'))
}

/// The same of a job of which a message was sent and never confirmed.
fn with_doubt(reason: &str) -> String {
    format!("{reason} {MAY_HAVE_ARRIVED}")
}
