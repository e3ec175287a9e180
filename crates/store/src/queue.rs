//! The queue of requests to be forwarded, in SQS.

use std::time::Duration;

use requests::id::RequestId;
use runtime::{CallError, JsonClient};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::StoreError;

/// The attributes that are read: how often a message was delivered, and how many messages can be received.
const RECEIVE_COUNT: &str = "ApproximateReceiveCount";
const LENGTH: &str = "ApproximateNumberOfMessages";

/// The queue.
#[derive(Debug, Clone)]
pub struct Queue {
    client: JsonClient,
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
    pub fn new(client: JsonClient, url: impl Into<String>) -> Self {
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
        let input = json!({"QueueUrl": self.url, "MessageBody": body});
        self.client.call("SendMessage", &input).await.map_err(|error| failed(action(), &error))?;
        Ok(())
    }

    /// Receives at most ten messages, and waits for `wait` for the first.
    ///
    /// # Errors
    /// The queue does not answer.
    pub async fn receive(&self, max: usize, wait: Duration) -> Result<Vec<ReceivedMessage>, StoreError> {
        let input = json!({
            "QueueUrl": self.url,
            "MaxNumberOfMessages": max.clamp(1, 10),
            "WaitTimeSeconds": wait.as_secs().min(20),
            "MessageSystemAttributeNames": [RECEIVE_COUNT],
        });
        let answer = self.client.call("ReceiveMessage", &input).await;
        let answer = answer.map_err(|error| failed("taking from the queue", &error))?;
        Ok(answer["Messages"].as_array().into_iter().flatten().filter_map(received).collect())
    }

    /// The number of messages that can be received, as SQS knows it: it may be a minute behind.
    ///
    /// # Errors
    /// The queue does not answer.
    pub async fn length(&self) -> Result<u32, StoreError> {
        let input = json!({"QueueUrl": self.url, "AttributeNames": [LENGTH]});
        let answer = self.client.call("GetQueueAttributes", &input).await;
        let answer = answer.map_err(|error| failed("counting the messages of a queue", &error))?;
        Ok(number(&answer["Attributes"][LENGTH]).unwrap_or_default())
    }

    /// Deletes a received message.
    ///
    /// # Errors
    /// The queue does not answer: the message comes back.
    pub async fn remove(&self, received: &ReceivedMessage) -> Result<(), StoreError> {
        let input = json!({"QueueUrl": self.url, "ReceiptHandle": received.receipt});
        let removed = self.client.call("DeleteMessage", &input).await;
        removed.map(drop).map_err(|error| failed("removing a message from the queue", &error))
    }

    /// Makes a received message visible again at once.
    ///
    /// # Errors
    /// The queue does not answer: the message becomes visible after its visibility timeout.
    pub async fn release(&self, received: &ReceivedMessage) -> Result<(), StoreError> {
        let input = json!({"QueueUrl": self.url, "ReceiptHandle": received.receipt, "VisibilityTimeout": 0});
        let given = self.client.call("ChangeMessageVisibility", &input).await;
        given.map(drop).map_err(|error| failed("giving a message back to the queue", &error))
    }
}

/// A message as SQS sends it. One without a receipt handle could not be deleted, and is left out.
fn received(message: &Value) -> Option<ReceivedMessage> {
    Some(ReceivedMessage {
        receipt: message["ReceiptHandle"].as_str()?.to_owned(),
        body: message["Body"].as_str().unwrap_or_default().to_owned(),
        receive_count: number(&message["Attributes"][RECEIVE_COUNT]).unwrap_or(1),
    })
}

/// The number in an attribute: SQS sends a string.
fn number(attribute: &Value) -> Option<u32> {
    attribute.as_str()?.parse().ok()
}

fn failed(action: impl Into<String>, error: &CallError) -> StoreError {
    StoreError::service(action, error)
}
