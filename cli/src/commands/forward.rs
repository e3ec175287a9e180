//! `forward`: takes requests from the queue and forwards them, and follows their jobs, without Lambda.

use std::time::Duration;

use clap::Args;
use forward::settings::Settings;
use forward::{Delivery, Disposition, Forwarder, print_line, print_round};
use runtime::settings::{Variables, variables};
use runtime::{Aws, ClientProfile};
use serde_json::json;
use store::{Queue, ReceivedMessage};
use tokio::time::MissedTickBehavior;

use super::{clock, lookup};
use crate::failure::Failure;
use crate::output::print_json_line;

/// How many messages are received at a time.
const MAX_MESSAGES: usize = 10;
/// How long to wait for messages before the queue counts as empty.
const EMPTY_AFTER: Duration = Duration::from_secs(1);
/// How long each call waits for messages, if the command runs until it is stopped.
const LONG_POLL: Duration = Duration::from_secs(20);
/// The time between the beginnings of two rounds that follow jobs.
const FOLLOW_INTERVAL: Duration = Duration::from_mins(1);

#[derive(Debug, Args)]
pub(crate) struct Forward {
    /// The address of the queue of requests
    #[arg(long, env = variables::QUEUE_URL, hide_env_values = true, value_name = "URL")]
    queue_url: Option<String>,
    /// Stop when the queue is empty, instead of waiting for more
    #[arg(long)]
    once: bool,
    /// Print what would be published and what would wait, then return all messages to the queue. This counts as a
    /// delivery of each message, and the queue delivers a message five times.
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(arguments: Forward) -> Result<(), Failure> {
    let flags = [(variables::QUEUE_URL, arguments.queue_url)];
    let lookup = |variable: &str| lookup(&flags, variable);
    let settings = Settings::read(lookup)?;
    let url = Variables::new(lookup).required(variables::QUEUE_URL, "the address of the queue")?;
    let aws = Aws::from_environment(ClientProfile::Batch).await?;
    let queue = Queue::new(aws.sqs(), &url);
    let forwarder = Forwarder::new(&settings, &aws, clock()).await.map_err(Failure::Internal)?;
    if arguments.dry_run {
        return preview(&forwarder, &queue).await;
    }
    if arguments.once {
        return forward_all(&forwarder, &queue, EMPTY_AFTER, true).await;
    }
    tokio::select! {
        result = forward_all(&forwarder, &queue, LONG_POLL, false) => result,
        () = follow_all(&forwarder) => Ok(()),
    }
}

/// Follows the jobs that were forwarded, for ever.
async fn follow_all(forwarder: &Forwarder) {
    let mut turns = tokio::time::interval(FOLLOW_INTERVAL);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        print_round(&forwarder.follow_round(None).await, &forwarder.clock);
    }
}

/// Forwards the requests in the queue: until it is empty, or for ever.
async fn forward_all(
    forwarder: &Forwarder,
    queue: &Queue,
    wait: Duration,
    is_until_empty: bool,
) -> Result<(), Failure> {
    loop {
        let received = queue.receive(MAX_MESSAGES, wait).await?;
        if received.is_empty() && is_until_empty {
            return Ok(());
        }
        let deliveries: Vec<Delivery> = received.iter().map(delivery).collect();
        let dispositions = forwarder.forward(&deliveries, None, &mut |line| print_line(line, &forwarder.clock)).await;
        for (received, disposition) in received.iter().zip(dispositions) {
            if disposition == Disposition::Ack {
                queue.remove(received).await?;
            }
        }
    }
}

fn delivery(received: &ReceivedMessage) -> Delivery {
    Delivery { id: received.receipt.clone(), body: received.body.clone(), receive_count: received.receive_count }
}

/// Prints a line for each message of the queue. All messages are released at the end, so that none is shown twice.
async fn preview(forwarder: &Forwarder, queue: &Queue) -> Result<(), Failure> {
    let mut all_received = Vec::new();
    let show_all = async {
        loop {
            let received = queue.receive(MAX_MESSAGES, EMPTY_AFTER).await?;
            if received.is_empty() {
                return Ok(());
            }
            for received in &received {
                match forwarder.preview(&delivery(received)).await {
                    Ok(Some(preview)) => print_json_line(&preview)?,
                    Ok(None) => print_json_line(
                        &json!({"message": received.body, "done": "nothing is left to be done with it"}),
                    )?,
                    Err(reason) => print_json_line(&json!({"message": received.body, "error": reason}))?,
                }
            }
            all_received.extend(received);
        }
    };
    let result = show_all.await;
    for received in &all_received {
        queue.release(received).await?;
    }
    result
}
