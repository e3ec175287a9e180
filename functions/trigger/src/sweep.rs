//! Queues what was kept but not queued, what waits when it is time to look at it again, and what got lost: by its
//! schedule, every few minutes.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use store::kept::Clock;
use store::{Queue, RequestsTable, StoreError, Ticket};
use trigger::request::{Request, State};

use crate::desk::enqueue;

/// How many requests one sweep looks at. What is left is the next one's.
const LOOKED_AT: usize = 500;
/// When what was queued and never forwarded is queued again. By then the queue has given it out as often as it does.
const LOST_AFTER: TimeDelta = TimeDelta::hours(1);
/// When that is given up: something is wrong that to try again does not mend.
const GIVEN_UP_AFTER: TimeDelta = TimeDelta::days(1);

/// What a sweep found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// Requests that were kept but not queued, or got lost, and are queued now.
    pub queued: u32,
    /// Requests that wait for a build, and are looked at again now.
    pub waiting: u32,
    /// Requests with which something went wrong; the next sweep tries again.
    pub failed: u32,
    /// The first of these errors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How many seconds ago the oldest request was taken in which something is still to happen.
    pub oldest_seconds: i64,
}

/// Looks at the open requests that are due.
///
/// # Errors
/// The table cannot be read.
pub async fn sweep(requests: &RequestsTable, queue: &Queue, clock: &Clock) -> Result<Swept, StoreError> {
    let mut swept = Swept::default();
    for request in requests.due(clock(), LOOKED_AT).await? {
        let now = clock();
        let age = request.created_at().map_or(0, |taken| (now - taken).num_seconds());
        swept.oldest_seconds = swept.oldest_seconds.max(age);
        match look_at(requests, queue, &request, now).await {
            Ok(Found::Queued) => swept.queued += 1,
            Ok(Found::Waiting) => swept.waiting += 1,
            Ok(Found::OnItsWay) => {}
            Ok(Found::Lost) => {
                swept.failed += 1;
                swept.error.get_or_insert_with(|| format!("request {} is queued, and never arrives", request.id));
            }
            Err(error) => {
                swept.failed += 1;
                swept.error.get_or_insert_with(|| error.to_string());
            }
        }
    }
    Ok(swept)
}

/// What was found out about a request.
enum Found {
    Queued,
    Waiting,
    OnItsWay,
    Lost,
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
        State::Queued => match request.history.last().map_or(TimeDelta::zero(), |event| now - event.at) {
            since if since >= GIVEN_UP_AFTER => Found::Lost,
            since if since >= LOST_AFTER => {
                queue.send(again).await?;
                Found::Queued
            }
            _ => Found::OnItsWay,
        },
        // An index is behind the table: it is not open any more, which is all the better.
        State::Forwarded | State::Failed => return Ok(Found::OnItsWay),
    };
    requests.update(&request.put_off(now), None, now).await?;
    Ok(found)
}
