//! The sweeper, which runs every few minutes: it queues requests that were stored but not queued, requests whose waiting
//! jobs are due for a check, and requests whose messages were lost. It gives up requests that make no progress.
//!
//! Requests whose jobs are all forwarded are not the sweeper's: the forward function follows their jobs.

use chrono::{DateTime, TimeDelta, Utc};
use requests::action::ActionState;
use requests::planning::Planning;
use requests::request::Request;
use requests::state::RequestState;
use runtime::Clock;
use runtime::metrics::Metric;
use serde::Serialize;
use store::{Queue, RequestsTable, StoreError, Ticket, UpdateResult};

use crate::service::enqueue;

/// The most requests that one sweep checks. The next sweep checks the rest.
const MAX_REQUESTS: usize = 500;
/// When a queued request that was not forwarded is queued again. By then the queue has delivered its message as often as
/// it does.
const LOST_AFTER: TimeDelta = TimeDelta::hours(1);

/// The result of a sweep.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SweepReport {
    /// Requests that were stored but not queued, or whose messages were lost, and that are queued now.
    pub queued: u32,
    /// Requests that wait for a build or for Taskcluster, and are queued for a check.
    pub waiting: u32,
    /// Requests that were given up, or could not be processed. The next sweep tries the latter again.
    pub failed: u32,
    /// Stored items that cannot be read, and were skipped.
    pub damaged: u32,
    /// Messages in the dead-letter queue.
    pub dead_letters: u32,
    /// The first of the failures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The age of the oldest open request, in seconds.
    pub oldest_seconds: i64,
}

impl SweepReport {
    /// The metrics that the scheduled function prints for a sweep.
    pub fn metrics(&self) -> [Metric<'static>; 2] {
        [("SweepFailed", "Count", self.failed.into()), ("DamagedItems", "Count", self.damaged.into())]
    }
}

/// Checks the open requests that are due. `planning` limits how long requests wait for a build.
///
/// # Errors
/// The table cannot be read.
pub async fn sweep(
    requests: &RequestsTable,
    queue: &Queue,
    planning: &Planning,
    clock: &Clock,
) -> Result<SweepReport, StoreError> {
    let requests = requests.metered();
    let mut swept = SweepReport::default();
    for request in requests.due(clock(), MAX_REQUESTS).await? {
        let now = clock();
        let age = request.created_at().map_or(0, |taken| (now - taken).num_seconds());
        swept.oldest_seconds = swept.oldest_seconds.max(age);
        let found = if request.is_overdue(planning.max_wait(), now) {
            end_request(&requests, &request, now).await
        } else {
            check_request(&requests, queue, &request, now).await
        };
        match found {
            Ok(SweepAction::Queued) => swept.queued += 1,
            Ok(SweepAction::Waiting) => swept.waiting += 1,
            Ok(SweepAction::OnItsWay) => {}
            Ok(SweepAction::GivenUp) => {
                swept.failed += 1;
                let state = request.state.as_str();
                swept.error.get_or_insert_with(|| format!("request {} stayed {state}, and was given up", request.id));
            }
            Err(error) => {
                swept.failed += 1;
                swept.error.get_or_insert_with(|| error.to_string());
            }
        }
    }
    swept.damaged = requests.cost().damaged;
    Ok(swept)
}

/// Gives up a request that makes no progress, and releases the push that it locked. It can be retried then.
async fn end_request(
    requests: &RequestsTable,
    request: &Request,
    now: DateTime<Utc>,
) -> Result<SweepAction, StoreError> {
    let (next, stored) = match requests.read_consistent(request.id).await {
        Ok(Some((now_stored, _))) if now_stored.version != request.version => return Ok(SweepAction::OnItsWay),
        Ok(None) => return Ok(SweepAction::OnItsWay),
        Ok(Some((_, jobs))) => {
            let (next, jobs) = request.given_up(&jobs, now);
            let stored = requests.update(&next, Some(&jobs), now).await?;
            (next, stored)
        }
        Err(StoreError::DamagedRequest { .. }) => {
            let next = request.given_up_unread(now);
            let stored = requests.update(&next, None, now).await?;
            (next, stored)
        }
        Err(error) => return Err(error),
    };
    // Else it made progress after all.
    if stored == UpdateResult::Conflict {
        return Ok(SweepAction::OnItsWay);
    }
    release_push(requests, &next).await;
    Ok(SweepAction::GivenUp)
}

/// Releases the lock of a request's push if one of its actions holds it that is not followed any more. Otherwise the
/// requests on that push would wait until the lock expires, which they do if this fails.
async fn release_push(requests: &RequestsTable, request: &Request) {
    let is_left = |state| match state {
        ActionState::Triggering | ActionState::Uncertain => true,
        // While the request is followed, its action is.
        ActionState::Running => request.state.has_ended(),
        ActionState::Ended => false,
    };
    for action in request.actions.iter().filter(|action| is_left(action.state)) {
        let unlocked = requests.unlock_push(&request.project, request.push_id, &action.marker(request.id)).await;
        if let Err(error) = unlocked {
            tracing::warn!(%error, request = %request.id, "the lock of the push remains until it expires");
        }
    }
}

/// What the sweeper did with a request.
enum SweepAction {
    Queued,
    Waiting,
    OnItsWay,
    GivenUp,
}

/// Queues a request if it needs that. A request that the forwarder has to process is postponed: if nothing happens, it is
/// due again.
async fn check_request(
    requests: &RequestsTable,
    queue: &Queue,
    request: &Request,
    now: DateTime<Utc>,
) -> Result<SweepAction, StoreError> {
    let again = Ticket { request_id: request.id, attempt: request.attempt };
    let found = match request.state {
        RequestState::Accepted => {
            let queued = enqueue(requests, queue, request, now).await?;
            return Ok(queued.map_or(SweepAction::OnItsWay, |_| SweepAction::Queued));
        }
        RequestState::Waiting => {
            queue.send(again).await?;
            SweepAction::Waiting
        }
        RequestState::Queued if request.changed_at().is_some_and(|changed| now - changed >= LOST_AFTER) => {
            queue.send(again).await?;
            SweepAction::Queued
        }
        RequestState::Queued => SweepAction::OnItsWay,
        // The index is behind the table: the request has ended.
        RequestState::Forwarded | RequestState::Finished | RequestState::Failed => return Ok(SweepAction::OnItsWay),
    };
    requests.update(&request.postponed(now), None, now).await?;
    Ok(found)
}
