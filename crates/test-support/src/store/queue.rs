//! Queues in the emulator, used as other programs use them: with calls of their own.

use runtime::JsonClient;
use serde_json::{Value, json};

/// SQS at an endpoint: the emulator, or a proxy.
pub async fn client(endpoint: &str) -> JsonClient {
    JsonClient::sqs(&super::config(endpoint).await)
}

/// Makes a queue, and returns its address.
pub async fn new_queue(client: &JsonClient, name: &str) -> String {
    let made = client.call("CreateQueue", &json!({"QueueName": name})).await.expect("the emulator makes a queue");
    made["QueueUrl"].as_str().expect("the address of the queue").to_owned()
}

/// Sends a message.
pub async fn send(client: &JsonClient, url: &str, body: &str) {
    let input = json!({"QueueUrl": url, "MessageBody": body});
    client.call("SendMessage", &input).await.expect("the emulator accepts a message");
}

/// Receives at most ten messages, which are hidden then for these seconds, and returns their bodies.
pub async fn receive(client: &JsonClient, url: &str, hidden_seconds: u32) -> Vec<String> {
    let input = json!({"QueueUrl": url, "MaxNumberOfMessages": 10, "VisibilityTimeout": hidden_seconds});
    let received = client.call("ReceiveMessage", &input).await.expect("the emulator delivers messages");
    let body = |message: &Value| message["Body"].as_str().expect("a body").to_owned();
    received["Messages"].as_array().into_iter().flatten().map(body).collect()
}
