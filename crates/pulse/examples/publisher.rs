//! The publisher alone, for `tools/bench/forward.py`: publishes one message to the broker of `PULSE_URL` (with user and
//! password) in the namespace `PULSE_NAMESPACE`, and then batches of messages. The arguments are the number of batches
//! and the messages of each. Prints the microseconds that each batch took.
#![allow(clippy::print_stdout, reason = "it is what this program is for")]

use std::error::Error;
use std::num::NonZeroU32;
use std::time::Instant;

use chrono::DateTime;
use pulse::{Message, MessageContent, MessageFormat, Publisher, PulseSettings};
use requests::delivery::DeliveryOutcome;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (url, namespace) = (std::env::var("PULSE_URL")?, std::env::var("PULSE_NAMESPACE")?);
    let number = |place: usize| std::env::args().nth(place).map_or(Ok(0), |count| count.parse::<usize>());
    let (batches, size) = (number(1)?, number(2)?);
    let (settings, credentials) = PulseSettings::read(&url, &namespace, None)?;
    let exchange = settings.exchange();
    let publisher = Publisher::new(settings, credentials.ok_or("the address names no user")?, NonZeroU32::MAX);
    let message = |id: usize| {
        let content = MessageContent {
            project: "bench",
            push_id: 1001,
            requester: "someone@mozilla.com",
            decision_task_id: None,
            jobs: &["Ubuntu VM 12.04 x64 try opt test mochitest-1"],
            first: 0,
            requested_at: DateTime::UNIX_EPOCH,
        };
        Message::all(&format!("bench.{id}"), &exchange, &content, MessageFormat::default())
    };
    let mut count = 0;
    for size in std::iter::once(1).chain(std::iter::repeat_n(size, batches)) {
        let messages: Vec<Message> = (count..count + size).flat_map(message).collect();
        count += size;
        let start = Instant::now();
        let outcomes = publisher.publish(&messages, None).await;
        let taken = start.elapsed().as_micros();
        if let Some(other) = outcomes.iter().find(|outcome| **outcome != DeliveryOutcome::Confirmed) {
            return Err(format!("not forwarded: {other:?}").into());
        }
        println!("{taken}");
    }
    Ok(())
}
