//! The same from a shell: `forward --help`.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use clap::Parser;
use forward::settings::Settings;
use forward::{Delivery, Disposition, Forwarder, print_line};
use runtime::settings::{Variables, variables};
use runtime::{Aws, ClientProfile};
use serde_json::json;
use store::{Queue, ReceivedMessage};

/// Forwards queued requests to Pulse, as the function does in Lambda.
///
/// The variables are the forward function's own, and `RUNNABLE_JOBS_QUEUE_URL`. One line of JSON is printed a message of
/// the queue.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The address of the queue of requests
    #[arg(long, env = variables::QUEUE_URL, hide_env_values = true, value_name = "URL")]
    queue_url: Option<String>,
    /// Stop when the queue is empty, instead of waiting for more
    #[arg(long)]
    once: bool,
    /// Print what would be published and what would wait, and give all messages back. To look at a message counts as to
    /// try it: the fifth time is the last.
    #[arg(long)]
    dry_run: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    runtime::init_logging();
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("forward: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), String> {
    let lookup = |variable: &str| match variable {
        variables::QUEUE_URL => arguments.queue_url.clone(),
        other => std::env::var(other).ok(),
    };
    let settings = Settings::read(lookup).map_err(|error| error.to_string())?;
    let url = Variables::new(lookup).required(variables::QUEUE_URL, "the address of the queue");
    let url = url.map_err(|error| error.to_string())?;
    let aws = Aws::from_environment(ClientProfile::Batch).await.map_err(|error| error.to_string())?;
    let queue = Queue::new(aws.sqs(), &url);
    #[expect(clippy::disallowed_methods, reason = "the edge at which time enters")]
    let clock = Arc::new(Utc::now);
    let forwarder = Forwarder::new(&settings, &aws, clock).await?;
    if arguments.dry_run {
        return preview(&forwarder, &queue).await;
    }
    let wait = Duration::from_secs(if arguments.once { 1 } else { 20 });
    loop {
        let received = queue.receive(10, wait).await.map_err(|error| error.to_string())?;
        if received.is_empty() && arguments.once {
            return Ok(());
        }
        let deliveries: Vec<Delivery> = received.iter().map(delivery).collect();
        let what = forwarder.forward(&deliveries, None, &mut |line| print_line(line, &forwarder.clock)).await;
        for (received, left) in received.iter().zip(what) {
            if left == Disposition::Ack {
                queue.remove(received).await.map_err(|error| error.to_string())?;
            }
        }
    }
}

fn delivery(received: &ReceivedMessage) -> Delivery {
    Delivery { id: received.receipt.clone(), body: received.body.clone(), receive_count: received.receive_count }
}

/// Prints a line for each message of the queue. All are held until the end, so that none is shown twice.
async fn preview(forwarder: &Forwarder, queue: &Queue) -> Result<(), String> {
    let mut held = Vec::new();
    let shown = async {
        loop {
            let received = queue.receive(10, Duration::from_secs(1)).await.map_err(|error| error.to_string())?;
            if received.is_empty() {
                return Ok(());
            }
            for received in &received {
                print(&match forwarder.preview(&delivery(received)).await {
                    Ok(Some(preview)) => serde_json::to_value(preview).map_err(|error| error.to_string())?,
                    Ok(None) => json!({"message": received.body, "done": "nothing is left to be done with it"}),
                    Err(reason) => json!({"message": received.body, "error": reason}),
                });
            }
            held.extend(received);
        }
    };
    let shown = shown.await;
    for received in &held {
        queue.release(received).await.map_err(|error| error.to_string())?;
    }
    shown
}

#[expect(clippy::print_stdout, reason = "it is what this command is for")]
fn print(line: &serde_json::Value) {
    println!("{line}");
}

#[expect(clippy::print_stderr, reason = "what is for the person, not for the log")]
fn say(line: &str) {
    eprintln!("{line}");
}
