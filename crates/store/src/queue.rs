//! The queue of requests to be forwarded, in SQS.

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{MessageSystemAttributeName, QueueAttributeName};
use requests::id::RequestId;
use serde::{Deserialize, Serialize};

use crate::StoreError;

/// The queue.
#[derive(Debug, Clone)]
pub struct Queue {
    client: Client,
    url: String,
}

/// A message in the queue: it names the request to be forwarded. Everything else is in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// The request.
    pub request_id: RequestId,
    /// The request's attempt when it was queued. If the request is in a later attempt, the message is ignored.
    #[serde(rename = "round")]
    pub attempt: u32,
}

/// A message that was received; the queue hides it from other receivers for a while.
#[derive(Debug, Clone)]
pub struct ReceivedMessage {
    /// The receipt handle of this delivery.
    pub receipt: String,
    /// The body: a ticket, unless another program sent it.
    pub body: String,
    /// How often the queue has delivered it, this time included.
    pub receive_count: u32,
}

impl Queue {
    /// The queue at `url`.
    pub fn new(client: Client, url: impl Into<String>) -> Self {
        Self { client, url: url.into() }
    }

    /// Sends a ticket. A ticket that is sent again because the answer was lost is in the queue twice.
    ///
    /// # Errors
    /// The queue refuses it, or it is not known whether the queue has it.
    pub async fn send(&self, ticket: Ticket) -> Result<(), StoreError> {
        let action = || format!("queueing request {}", ticket.request_id);
        let body = serde_json::to_string(&ticket)
            .map_err(|error| StoreError::Service { action: action(), reason: error.to_string() })?;
        let sent = self.client.send_message().queue_url(&self.url).message_body(body).send().await;
        sent.map(drop).map_err(|error| StoreError::service(action(), &error))
    }

    /// Receives at most ten messages, and waits for `wait` for the first.
    ///
    /// # Errors
    /// The queue does not answer.
    pub async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<ReceivedMessage>, StoreError> {
        let request = self.client.receive_message().queue_url(&self.url);
        let request = request.max_number_of_messages(max.clamp(1, 10).try_into().unwrap_or(10));
        let request = request.wait_time_seconds(wait.as_secs().try_into().unwrap_or(20));
        let request = request.message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount);
        let output = request.send().await.map_err(|error| StoreError::service("taking from the queue", &error))?;
        let received = |message: aws_sdk_sqs::types::Message| {
            let attributes = message.attributes.unwrap_or_default();
            let receive_count = attributes.get(&MessageSystemAttributeName::ApproximateReceiveCount);
            Some(ReceivedMessage {
                receipt: message.receipt_handle?,
                body: message.body.unwrap_or_default(),
                receive_count: receive_count.and_then(|receive_count| receive_count.parse().ok()).unwrap_or(1),
            })
        };
        Ok(output.messages.unwrap_or_default().into_iter().filter_map(received).collect())
    }

    /// The number of messages that can be received, as SQS knows it: it may be a minute behind.
    ///
    /// # Errors
    /// The queue does not answer.
    pub async fn length(&self) -> Result<u32, StoreError> {
        let wanted = QueueAttributeName::ApproximateNumberOfMessages;
        let request = self.client.get_queue_attributes().queue_url(&self.url).attribute_names(wanted.clone());
        let output =
            request.send().await.map_err(|error| StoreError::service("counting the messages of a queue", &error))?;
        Ok(output.attributes().and_then(|found| found.get(&wanted)?.parse().ok()).unwrap_or_default())
    }

    /// Deletes a received message.
    ///
    /// # Errors
    /// The queue does not answer: the message comes back.
    pub async fn remove(&self, received: &ReceivedMessage) -> Result<(), StoreError> {
        let request = self.client.delete_message().queue_url(&self.url).receipt_handle(&received.receipt);
        let removed = request.send().await;
        removed.map(drop).map_err(|error| StoreError::service("removing a message from the queue", &error))
    }

    /// Makes a received message visible again at once.
    ///
    /// # Errors
    /// The queue does not answer: the message becomes visible after its visibility timeout.
    pub async fn release(&self, received: &ReceivedMessage) -> Result<(), StoreError> {
        let request = self.client.change_message_visibility().queue_url(&self.url).receipt_handle(&received.receipt);
        let given = request.visibility_timeout(0).send().await;
        given.map(drop).map_err(|error| StoreError::service("giving a message back to the queue", &error))
    }
}
