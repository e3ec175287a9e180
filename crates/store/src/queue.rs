//! The queue of requests that are to be forwarded, in SQS.

use aws_sdk_sqs::Client;
use serde::{Deserialize, Serialize};
use trigger::request::RequestId;

use crate::StoreError;

/// The queue.
#[derive(Debug, Clone)]
pub struct Queue {
    client: Client,
    url: String,
}

/// A message in the queue: which request is to be forwarded. All else is in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// The request.
    pub request_id: RequestId,
    /// The request's round when it was queued. If the request is in another one, the message means nothing any more.
    pub round: u32,
}

impl Queue {
    /// The queue at `url`.
    pub fn new(client: Client, url: impl Into<String>) -> Self {
        Self { client, url: url.into() }
    }

    /// Puts a ticket into the queue. One that is sent again because the answer was lost is in the queue twice.
    ///
    /// # Errors
    /// The queue does not take it, or it is not known whether it did.
    pub async fn send(&self, ticket: Ticket) -> Result<(), StoreError> {
        let action = || format!("queueing request {}", ticket.request_id);
        let body = serde_json::to_string(&ticket)
            .map_err(|error| StoreError::Service { action: action(), reason: error.to_string() })?;
        let sent = self.client.send_message().queue_url(&self.url).message_body(body).send().await;
        sent.map(drop).map_err(|error| StoreError::service(action(), &error))
    }
}
