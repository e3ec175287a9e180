//! The scheduled Lambda function that queues requests that are stored but not queued, and those that are due again.

use std::process::ExitCode;

use chrono::{DateTime, Utc};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use requests::planning::Planning;
use runtime::settings::{SettingsError, Variables, environment, variables};
use runtime::{Aws, ClientProfile, metrics, system_clock};
use serde_json::{Value, json};
use store::{Queue, RequestsTable};
use trigger_api::sweep::{SweepReport, sweep};

/// What a sweep works with.
struct Dependencies {
    requests: RequestsTable,
    queue: Queue,
    planning: Planning,
}

impl Dependencies {
    fn read() -> Result<Self, SettingsError> {
        let read = Variables::new(environment);
        let table = read.required(variables::REQUESTS_TABLE, "the name of the requests table")?;
        let url = read.required(variables::QUEUE_URL, "the address of the queue")?;
        let planning = read.parsed(variables::PLANNING, Planning::read)?.unwrap_or_default();
        let aws = Aws::from_lambda(environment, ClientProfile::Batch)?;
        Ok(Self { requests: RequestsTable::new(aws.dynamodb(), table), queue: Queue::new(aws.sqs(), url), planning })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    runtime::run_function(Dependencies::read, async |Dependencies { requests, queue, planning }| {
        let clock = system_clock();
        let handler = service_fn(async |_: LambdaEvent<Value>| {
            let swept = sweep(&requests, &queue, &planning, &clock).await?;
            print_metrics(&swept, clock());
            Ok::<_, Error>(swept)
        });
        lambda_runtime::run(handler).await
    })
    .await
}

/// Prints the log line of a sweep, which contains its metrics.
#[expect(clippy::print_stdout, reason = "Lambda collects the log from standard output")]
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
