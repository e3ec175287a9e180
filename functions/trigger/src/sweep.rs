//! Queues what was kept but not queued, what waits when it is time to look at it again, and what got lost: by its
//! schedule, every few minutes. What does not get any further is given up.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use store::kept::Clock;
use store::{Queue, RequestsTable, StoreError, Stored, Ticket};
use trigger::plan::Planning;
use trigger::request::{Request, State};

use crate::desk::enqueue;

/// How many requests one sweep looks at. What is left is the next one's.
const LOOKED_AT: usize = 500;
/// When what was queued and never forwarded is queued again. By then the queue has given it out as often as it does.
const LOST_AFTER: TimeDelta = TimeDelta::hours(1);

/// What a sweep found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Swept {
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
) -> Result<Swept, StoreError> {
    let requests = requests.metered();
    let mut swept = Swept::default();
    for request in requests.due(clock(), LOOKED_AT).await? {
        let now = clock();
        let age = request.created_at().map_or(0, |taken| (now - taken).num_seconds());
        swept.oldest_seconds = swept.oldest_seconds.max(age);
        let found = if request.is_overdue(planning, now) {
            give_up(&requests, &request, now).await
        } else {
            look_at(&requests, queue, &request, now).await
        };
        match found {
            Ok(Found::Queued) => swept.queued += 1,
            Ok(Found::Waiting) => swept.waiting += 1,
            Ok(Found::OnItsWay) => {}
            Ok(Found::GivenUp) => {
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
async fn give_up(requests: &RequestsTable, request: &Request, now: DateTime<Utc>) -> Result<Found, StoreError> {
    let stored = match requests.whole(request.id).await {
        Ok(Some((now_stored, _))) if now_stored.version != request.version => return Ok(Found::OnItsWay),
        Ok(None) => return Ok(Found::OnItsWay),
        Ok(Some((_, jobs))) => {
            let (next, jobs) = request.given_up(&jobs, now);
            requests.update(&next, Some(&jobs), now).await?
        }
        Err(StoreError::DamagedRequest { .. }) => requests.update(&request.given_up_unread(now), None, now).await?,
        Err(error) => return Err(error),
    };
    Ok(match stored {
        Stored::Yes => Found::GivenUp,
        // Something happened to it after all.
        Stored::ChangedMeanwhile => Found::OnItsWay,
    })
}

/// What was found out about a request.
enum Found {
    Queued,
    Waiting,
    OnItsWay,
    GivenUp,
}

/// Does what a request needs. One that is the forwarder's now is put off: should nothing come of it, it is due again.
async fn look_at(
    requests: &RequestsTable,
    queue: &Queue,
    request: &Request,
    now: DateTime<Utc>,
) -> Result<Found, StoreError> {
    let again = Ticket { request_id: request.id, round: request.round };
    let found = match request.state {
        State::Accepted => {
            let queued = enqueue(requests, queue, request, now).await?;
            return Ok(queued.map_or(Found::OnItsWay, |_| Found::Queued));
        }
        State::Waiting => {
            queue.send(again).await?;
            Found::Waiting
        }
        State::Queued if request.changed_at().is_some_and(|changed| now - changed >= LOST_AFTER) => {
            queue.send(again).await?;
            Found::Queued
        }
        State::Queued => Found::OnItsWay,
        // An index is behind the table: it is not open any more, which is all the better.
        State::Forwarded | State::Failed => return Ok(Found::OnItsWay),
    };
    requests.update(&request.put_off(now), None, now).await?;
    Ok(found)
}
