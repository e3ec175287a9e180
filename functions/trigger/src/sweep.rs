//! Queues what was kept but not queued, what waits when it is time to look at it again, and what got lost: by its
//! schedule, every few minutes. What does not get any further is given up.

use chrono::{DateTime, TimeDelta, Utc};
use requests::planning::Planning;
use requests::request::{Request, RequestState};
use runtime::Clock;
use serde::Serialize;
use store::{Queue, RequestsTable, StoreError, Ticket, UpdateResult};

use crate::service::enqueue;

/// How many requests one sweep looks at. What is left is the next one's.
const MAX_REQUESTS: usize = 500;
/// When what was queued and never forwarded is queued again. By then the queue has given it out as often as it does.
const LOST_AFTER: TimeDelta = TimeDelta::hours(1);

/// What a sweep found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SweepReport {
    /// Requests that were kept but not queued, or got lost, and are queued now.
    pub queued: u32,
    /// Requests that wait for a build, and are looked at again now.
    pub waiting: u32,
    /// Requests with which something went wrong, or that were given up. The next sweep tries the former again.
    pub failed: u32,
    /// Stored items that cannot be read, and were passed over.
    pub damaged: u32,
    /// The first of the failures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How many seconds ago the oldest request was taken in which something is still to happen.
    pub oldest_seconds: i64,
}

/// Looks at the open requests that are due. `planning` says how long those may wait that wait for a build.
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
        let found = if request.is_overdue(planning, now) {
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

/// Ends a request to which nothing happens any more, as failed. It can be sent again then.
async fn end_request(
    requests: &RequestsTable,
    request: &Request,
    now: DateTime<Utc>,
) -> Result<SweepAction, StoreError> {
    let stored = match requests.read_consistent(request.id).await {
        Ok(Some((now_stored, _))) if now_stored.version != request.version => return Ok(SweepAction::OnItsWay),
        Ok(None) => return Ok(SweepAction::OnItsWay),
        Ok(Some((_, jobs))) => {
            let (next, jobs) = request.given_up(&jobs, now);
            requests.update(&next, Some(&jobs), now).await?
        }
        Err(StoreError::DamagedRequest { .. }) => requests.update(&request.given_up_unread(now), None, now).await?,
        Err(error) => return Err(error),
    };
    Ok(match stored {
        UpdateResult::Stored => SweepAction::GivenUp,
        // Something happened to it after all.
        UpdateResult::Conflict => SweepAction::OnItsWay,
    })
}

/// What was found out about a request.
enum SweepAction {
    Queued,
    Waiting,
    OnItsWay,
    GivenUp,
}

/// Does what a request needs. One that is the forwarder's now is put off: should nothing come of it, it is due again.
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
        // An index is behind the table: it is not open any more, which is all the better.
        RequestState::Forwarded | RequestState::Failed => return Ok(SweepAction::OnItsWay),
    };
    requests.update(&request.postponed(now), None, now).await?;
    Ok(found)
}
