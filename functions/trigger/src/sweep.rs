//! Queues what was kept but not queued: by its schedule, every few minutes.

use chrono::{DateTime, Utc};
use serde::Serialize;
use store::kept::Clock;
use store::{Queue, RequestsTable, StoreError};
use trigger::request::{Request, State};

use crate::desk::enqueue;

/// How many requests one sweep looks at. What is left is the next one's.
const LOOKED_AT: usize = 500;

/// What a sweep found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Swept {
    /// Requests that were kept but not queued, and are queued now.
    pub queued: u32,
    /// Requests that wait for somebody else.
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
            Ok(true) => swept.queued += 1,
            Ok(false) => swept.waiting += 1,
            Err(error) => {
                swept.failed += 1;
                swept.error.get_or_insert_with(|| error.to_string());
            }
        }
    }
    Ok(swept)
}

/// Whether the request was queued now. One that waits for somebody else is put off.
async fn look_at(
    requests: &RequestsTable,
    queue: &Queue,
    request: &Request,
    now: DateTime<Utc>,
) -> Result<bool, StoreError> {
    if request.state == State::Accepted {
        return Ok(enqueue(requests, queue, request, now).await?.is_some());
    }
    // An index is behind the table: it may not be open any more, which is all the better.
    if request.state.is_open() {
        requests.update(&request.put_off(now), None, now).await?;
    }
    Ok(false)
}
