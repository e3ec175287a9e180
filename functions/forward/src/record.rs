//! What became of the jobs of a request is recorded with it.

use chrono::{DateTime, Utc};
use pulse::{Fate, Lost};
use store::{Read, Stored};
use trigger::life::MAY_HAVE_ARRIVED;
use trigger::plan::close_orphans;
use trigger::request::{Job, JobState, Request};

use crate::forwarder::{Forwarder, Line, Loaded};

/// How often the queue gives a message out before it goes to the dead letters (`maxReceiveCount` in
/// infra/template.yaml): the last time, what cannot be forwarded has failed.
pub(crate) const MOST_TIMES: u32 = 5;
/// The most of an error that is kept with a job, in characters.
const MAX_REASON: usize = 300;
/// Said of a job that has no listener on Pulse.
const NO_LISTENER: &str =
    "Pulse has no listener for this project: nobody will run it. It can be retried when there is one.";

impl Forwarder {
    /// Records what became of a request's jobs. Returns why its message is to come back, if it is.
    pub(crate) async fn record(&self, one: Loaded, fates: &[Fate]) -> (Line, Option<String>) {
        let mut line = one.line((self.clock)());
        let numbered = one.numbered();
        let Loaded { request, mut jobs, messages, times, .. } = one;
        let (mut again, mut is_any_known, mut is_any_in_doubt) = (None, false, false);
        for (message, fate) in messages.iter().zip(fates) {
            let count = u32::try_from(message.jobs.len()).unwrap_or(u32::MAX);
            let places = &numbered[message.jobs.clone()];
            if let Fate::Lost(lost) = fate {
                line.refused += if lost.is_refusal { count } else { 0 };
                for place in places.iter().filter(|_| lost.may_have_arrived) {
                    is_any_in_doubt |= !std::mem::replace(&mut jobs[*place].in_doubt, true);
                }
            }
            let (state, reason) = match fate {
                Fate::Forwarded => {
                    line.forwarded += count;
                    (JobState::Forwarded, None)
                }
                Fate::Unroutable => {
                    line.unroutable += count;
                    (JobState::Unroutable, Some(NO_LISTENER.to_owned()))
                }
                Fate::Lost(Lost { reason, .. }) if times < MOST_TIMES => {
                    again = Some(reason.clone());
                    continue;
                }
                Fate::Refused(reason) | Fate::Lost(Lost { reason, .. }) => {
                    line.failed += count;
                    line.refused += if matches!(fate, Fate::Refused(_)) { count } else { 0 };
                    line.error = Some(reason.clone());
                    (JobState::Failed, Some(explained(reason)))
                }
            };
            is_any_known = true;
            for place in places {
                let job = &mut jobs[*place];
                job.state = state;
                job.in_doubt &= state != JobState::Forwarded;
                // What planning said of a job stays true of one that is forwarded.
                if let Some(reason) = &reason {
                    job.reason = Some(if job.in_doubt { doubted(reason) } else { reason.clone() });
                }
            }
        }
        if is_any_known {
            close_orphans(&mut jobs);
            let settle = |request: &Request, now| request.settled(&jobs, &self.planning, now);
            again = self.store(&request, Some(&jobs), settle).await.err().or(again);
        } else if is_any_in_doubt {
            // Noted now: the last try may be one that does not even reach the broker.
            let note = |request: &Request, now| request.planned(&jobs, now);
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
        jobs: Option<&[Job]>,
        next: impl Fn(&Request, DateTime<Utc>) -> Request,
    ) -> Result<Request, String> {
        let meanwhile = || "the request was changed at the same time".to_owned();
        let mut current = request.clone();
        for _ in 0..3 {
            let now = (self.clock)();
            let next = next(&current, now);
            let stored = self.requests.update(&next, jobs, now).await;
            if stored.map_err(|error| error.to_string())? == Stored::Yes {
                return Ok(next);
            }
            let found = self.requests.request(request.id, Read::Consistent).await.map_err(|error| error.to_string())?;
            let jobs_of = |request: &Request| (request.round, request.jobs.clone(), request.jobs_digest.clone());
            let is_same = |found: &Request| jobs_of(found) == jobs_of(request) && found.state.is_open();
            current = found.filter(is_same).ok_or_else(meanwhile)?;
        }
        Err(meanwhile())
    }
}

/// What people read of a failure.
fn explained(reason: &str) -> String {
    let reason: String = reason.chars().take(MAX_REASON).collect();
    format!("It could not be forwarded to Pulse: {}. It can be retried.", reason.trim_end_matches('.'))
}

/// The same of a job of which a message was sent and never confirmed.
fn doubted(reason: &str) -> String {
    format!("{reason} {MAY_HAVE_ARRIVED}")
}
