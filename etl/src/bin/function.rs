//! The scheduled Lambda function: any event, such as one of `EventBridge`, starts an ingest of the configured source.

use std::process::ExitCode;

use etl::ingest::{Ingest, no_progress};
use etl::metrics::of_report;
use etl::settings::Settings;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use runtime::settings::environment;
use runtime::{Aws, ClientProfile, Incident, metrics};
use serde_json::{Value, json};
use store::{Archive, CatalogTable, Report, ReportOutcome};
use tokio::sync::OnceCell;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    runtime::run_function(
        || Settings::read(environment),
        async |settings: Settings| {
            // The first event makes the clients, so that the function is ready sooner.
            let aws = OnceCell::new();
            let handler = service_fn(async |_: LambdaEvent<Value>| {
                let make = async || Aws::from_lambda(environment, ClientProfile::Batch);
                ingest(&settings, aws.get_or_try_init(make).await?).await
            });
            lambda_runtime::run(handler).await
        },
    )
    .await
}

async fn ingest(settings: &Settings, aws: &Aws) -> Result<Report, Error> {
    let table = CatalogTable::new(aws.dynamodb(), &settings.catalog_table);
    let archive = settings.archive_bucket.as_deref().map(|bucket| Archive::new(aws.s3(), bucket));
    let ingest = Ingest {
        source: &settings.source,
        aws: Some(aws),
        table: &table,
        archive: archive.as_ref(),
        limits: settings.limits,
        max_source_bytes: settings.max_source_bytes,
        schedule: settings.schedule.as_ref(),
        dry_run: false,
        force: false,
        only: &[],
        clock: runtime::now,
        on_progress: no_progress(),
    };
    let (report, result) = ingest.run().await;
    print_line(&report);
    match result {
        Ok(()) => {
            tracing::info!(outcome = ?report.outcome, jobs = report.jobs, seconds = report.seconds, "ingested");
            Ok(report)
        }
        Err(error) => {
            tracing::error!(%error, outcome = ?report.outcome, "not ingested");
            Err(error.into())
        }
    }
}

/// Prints the log line of an ingest, which contains its metrics.
#[expect(clippy::print_stdout, reason = "Lambda collects the log from standard output")]
fn print_line(report: &Report) {
    let mut line = json!({
        "level": if report.succeeded() { "INFO" } else { "ERROR" },
        "outcome": report.outcome,
        "jobs": report.jobs,
        "unknown_names": report.unknown_names,
        "lost_builds": report.projects.values().map(|project| project.lost_builds).sum::<usize>(),
        "missed": report.schedule.as_ref().map_or(0, |schedule| schedule.missed),
        "seconds": report.seconds,
        "write_units": report.write_units,
    });
    let incident = match report.outcome {
        ReportOutcome::Refused => Some(Incident::IngestRefused),
        ReportOutcome::Failed | ReportOutcome::Superseded => Some(Incident::IngestFailed),
        _ => None,
    };
    metrics::add_with_incidents(&mut line, report.started_at, &of_report(report), incident.as_slice());
    println!("{line}");
}
