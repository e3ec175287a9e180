//! The scheduled Lambda function that queues requests that are stored but not queued, and those that are due again.

use std::process::ExitCode;

use chrono::{DateTime, Utc};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use requests::planning::Planning;
use runtime::settings::{SettingsError, Variables, environment, variables};
use runtime::{Aws, ClientProfile, Clock, Incident, metrics, system_clock};
use serde_json::{Value, json};
use store::{Queue, RequestsTable, StoreError};
use trigger_api::sweep::{SweepReport, sweep};

/// What a sweep works with.
struct Dependencies {
    requests: RequestsTable,
    queue: Queue,
    dead_letters: Option<Queue>,
    planning: Planning,
}

/// The address of the queue of messages that could not be forwarded. Without it they are not counted.
const DEAD_LETTERS_URL: &str = "RUNNABLE_JOBS_DEAD_LETTERS_URL";

impl Dependencies {
    fn read() -> Result<Self, SettingsError> {
        let read = Variables::new(environment);
        let table = read.required(variables::REQUESTS_TABLE, "the name of the requests table")?;
        let url = read.required(variables::QUEUE_URL, "the address of the queue")?;
        let planning = read.parsed(variables::PLANNING, Planning::read)?.unwrap_or_default();
        let aws = Aws::from_lambda(environment, ClientProfile::Batch)?;
        let dead_letters = read.get(DEAD_LETTERS_URL).map(|url| Queue::new(aws.sqs(), url));
        let queue = Queue::new(aws.sqs(), url);
        Ok(Self { requests: RequestsTable::new(aws.dynamodb(), table), queue, dead_letters, planning })
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
    let incidents = [
        (swept.failed, Incident::SweepFailed),
        (swept.damaged, Incident::DamagedItems),
        (swept.dead_letters, Incident::DeadLetters),
    ];
    let incidents: Vec<Incident> =
        incidents.into_iter().filter_map(|(count, incident)| (count > 0).then_some(incident)).collect();
    let mut line = json!(swept);
    line["level"] = if incidents.is_empty() { "INFO" } else { "ERROR" }.into();
    let counts = [("SweepFailed", "Count", swept.failed.into()), ("DamagedItems", "Count", swept.damaged.into())];
    metrics::add_with_incidents(&mut line, now, &counts, &incidents);
    print(&line);
}

#[expect(clippy::print_stdout, reason = "Lambda collects the log from standard output")]
fn print(line: &Value) {
    println!("{line}");
}
