//! The scheduled function that queues what was kept but not queued, and what is to be looked at again.

use std::process::ExitCode;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use requests::planning::Planning;
use serde_json::{Value, json};
use store::cached::Clock;
use store::settings::{Variables, variables};
use store::{Aws, ClientProfile};
use trigger_api::sweep::{SweepReport, sweep};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    http_api::init_logging();
    let lookup = |variable: &str| std::env::var(variable).ok();
    let read = Variables::new(lookup);
    let configured = read.required(variables::REQUESTS_TABLE, "the name of the requests table").and_then(|table| {
        let url = read.required(variables::QUEUE_URL, "the address of the queue")?;
        let planning = read.parsed(variables::PLANNING, Planning::read)?.unwrap_or_default();
        Ok((table, url, planning, Aws::from_lambda(lookup, ClientProfile::Batch)?))
    });
    let (table, url, planning, aws) = match configured {
        Ok(configured) => configured,
        Err(error) => {
            tracing::error!(%error, "the function is not configured");
            return ExitCode::from(2);
        }
    };
    let (requests, queue) = (aws.requests_table(&table), aws.queue(&url));
    #[expect(clippy::disallowed_methods, reason = "the edge at which time enters")]
    let clock: Clock = Arc::new(Utc::now);
    let handler = service_fn(async |_: LambdaEvent<Value>| {
        let swept = sweep(&requests, &queue, &planning, &clock).await?;
        print_metrics(&swept, clock());
        Ok::<_, Error>(swept)
    });
    match lambda_runtime::run(handler).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the Lambda runtime ended");
            ExitCode::FAILURE
        }
    }
}

/// Prints the log line of a sweep, which is at the same time its metrics.
#[expect(clippy::print_stdout, reason = "that is how the platform takes it")]
fn print_metrics(swept: &SweepReport, now: DateTime<Utc>) {
    let is_error = swept.failed > 0 || swept.damaged > 0;
    let mut line = json!({"level": if is_error { "ERROR" } else { "INFO" }, "error": swept.error});
    metrics::add(
        &mut line,
        now,
        &[
            ("SweepQueued", "Count", swept.queued.into()),
            ("SweepWaiting", "Count", swept.waiting.into()),
            ("SweepFailed", "Count", swept.failed.into()),
            ("DamagedItems", "Count", swept.damaged.into()),
            ("SweepOldest", "Seconds", swept.oldest_seconds.into()),
        ],
    );
    println!("{line}");
}
