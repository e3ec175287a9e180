//! The scheduled Lambda function that queues requests that are stored but not queued, and those that are due again.

use std::process::ExitCode;

use chrono::{DateTime, Utc};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use requests::planning::Planning;
use runtime::settings::{SettingsError, environment};
use runtime::{Aws, ClientProfile, metrics, system_clock};
use serde_json::{Value, json};
use store::{Queue, RequestsTable};
use trigger_api::settings::SweepSettings;
use trigger_api::sweep::{SweepReport, sweep};

/// What a sweep works with.
struct Dependencies {
    requests: RequestsTable,
    queue: Queue,
    planning: Planning,
}

impl Dependencies {
    fn read() -> Result<Self, SettingsError> {
        let SweepSettings { requests_table, queue_url, planning } = SweepSettings::read(environment)?;
        let aws = Aws::from_lambda(environment, ClientProfile::Batch)?;
        let requests = RequestsTable::new(aws.dynamodb(), requests_table);
        Ok(Self { requests, queue: Queue::new(aws.sqs(), queue_url), planning })
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
    metrics::add(&mut line, now, &swept.metrics());
    println!("{line}");
}
