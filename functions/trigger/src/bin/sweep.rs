//! The scheduled Lambda function that queues requests that are stored but not queued, and those that are due again.

use std::process::ExitCode;

use chrono::{DateTime, Utc};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use requests::planning::Planning;
use runtime::settings::{SettingsError, environment};
use runtime::{Aws, ClientProfile, Clock, Incident, metrics, system_clock};
use serde_json::{Value, json};
use store::{Queue, RequestsTable, StoreError};
use trigger_api::settings::SweepSettings;
use trigger_api::sweep::{SweepReport, sweep};

/// What a sweep works with.
struct Dependencies {
    requests: RequestsTable,
    queue: Queue,
    dead_letters: Option<Queue>,
    planning: Planning,
}

impl Dependencies {
    fn read() -> Result<Self, SettingsError> {
        let SweepSettings { requests_table, queue_url, dead_letters_url, planning } = SweepSettings::read(environment)?;
        let aws = Aws::from_lambda(environment, ClientProfile::Batch)?;
        let requests = RequestsTable::new(aws.dynamodb(), requests_table);
        let dead_letters = dead_letters_url.map(|url| Queue::new(aws.sqs(), url));
        Ok(Self { requests, queue: Queue::new(aws.sqs(), queue_url), dead_letters, planning })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    runtime::run_function(Dependencies::read, async |Dependencies { requests, queue, dead_letters, planning }| {
        let clock = system_clock();
        let handler = service_fn(async |_: LambdaEvent<Value>| {
            match run(&requests, &queue, dead_letters.as_ref(), &planning, &clock).await {
                Ok(swept) => {
                    print_line(&swept, clock());
                    Ok::<_, Error>(swept)
                }
                Err(error) => {
                    print(&metrics::failure(&error, clock(), Incident::SweepFailed));
                    Err(error.into())
                }
            }
        });
        lambda_runtime::run(handler).await
    })
    .await
}

/// Sweeps, and counts the dead letters.
async fn run(
    requests: &RequestsTable,
    queue: &Queue,
    dead_letters: Option<&Queue>,
    planning: &Planning,
    clock: &Clock,
) -> Result<SweepReport, StoreError> {
    let mut swept = sweep(requests, queue, planning, clock).await?;
    if let Some(letters) = dead_letters {
        swept.dead_letters = letters.length().await?;
    }
    Ok(swept)
}

/// Prints the log line of a sweep, which contains its metrics.
fn print_line(swept: &SweepReport, now: DateTime<Utc>) {
    let incidents = Incident::that_occurred(&[
        (swept.failed, Incident::SweepFailed),
        (swept.damaged, Incident::DamagedItems),
        (swept.dead_letters, Incident::DeadLetters),
    ]);
    let mut line = json!(swept);
    line["level"] = if incidents.is_empty() { "INFO" } else { "ERROR" }.into();
    metrics::add_with_incidents(&mut line, now, &swept.metrics(), &incidents);
    print(&line);
}

#[expect(clippy::print_stdout, reason = "Lambda collects the log from standard output")]
fn print(line: &Value) {
    println!("{line}");
}
