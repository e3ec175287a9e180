//! The same from a shell: `forward --help`.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use clap::Parser;
use forward::settings::Settings;
use forward::{Delivery, Forwarder, Left, print_line};
use pulse::Publisher;
use store::settings::{Variables, variables};
use store::{Aws, Pace};

/// Forwards queued requests to Pulse, as the function does in Lambda.
///
/// The variables are the forward function's own, and `RUNNABLE_JOBS_QUEUE_URL`. One line of JSON is printed a message.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The address of the queue of requests
    #[arg(long, env = variables::QUEUE_URL, value_name = "URL")]
    queue_url: Option<String>,
    /// Stop when the queue is empty, instead of waiting for more
    #[arg(long)]
    once: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    forward::init_logging();
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
    let aws = Aws::from_environment(Pace::Batch).await.map_err(|error| error.to_string())?;
    let queue = aws.queue(&url);
    #[expect(clippy::disallowed_methods, reason = "the edge at which time enters")]
    let clock = Arc::new(Utc::now);
    let forwarder = Forwarder {
        requests: aws.requests_table(&settings.requests_table),
        exchange: settings.pulse.exchange(),
        publisher: Publisher::new(settings.pulse.clone(), settings.user.credentials(&aws).await?),
        forms: settings.forms,
        clock,
    };
    let wait = Duration::from_secs(if arguments.once { 1 } else { 20 });
    loop {
        let taken = queue.take(10, wait).await.map_err(|error| error.to_string())?;
        if taken.is_empty() && arguments.once {
            return Ok(());
        }
        let delivery =
            |taken: &store::Taken| Delivery { id: taken.receipt.clone(), body: taken.body.clone(), times: taken.times };
        let deliveries: Vec<Delivery> = taken.iter().map(delivery).collect();
        let what = forwarder.forward(&deliveries, &mut |line| print_line(line, &forwarder.clock)).await;
        for (taken, left) in taken.iter().zip(what) {
            if left == Left::Done {
                queue.remove(taken).await.map_err(|error| error.to_string())?;
            }
        }
    }
}

#[expect(clippy::print_stderr, reason = "what is for the person, not for the log")]
fn say(line: &str) {
    eprintln!("{line}");
}
