//! The scheduled function: an event of `EventBridge`, or any other, starts an ingest of the configured source.

use std::process::ExitCode;

use chrono::Utc;
use etl::ingest::{Ingest, no_progress};
use etl::settings::Settings;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};
use store::{Aws, ClientProfile, Report, ReportOutcome};
use tokio::sync::OnceCell;
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    // The runtime logs a failed invocation too; this function has then said why.
    let quiet = [("lambda_runtime::layers::panic", LevelFilter::OFF), ("aws_sdk_s3", LevelFilter::ERROR)];
    let targets = Targets::new().with_default(Level::INFO).with_targets(quiet);
    tracing_subscriber::fmt().json().flatten_event(true).with_current_span(false).finish().with(targets).init();
    let settings = match Settings::read(|variable| std::env::var(variable).ok()) {
        Ok(settings) => settings,
        Err(error) => {
            tracing::error!(%error, "the function is not configured");
            return ExitCode::from(2);
        }
    };
    // The clients are made by the first event, not by the start: a function that is ready answers sooner.
    let aws = OnceCell::new();
    let handler = service_fn(|_: LambdaEvent<Value>| async {
        let aws = aws
            .get_or_try_init(async || Aws::from_lambda(|variable| std::env::var(variable).ok(), ClientProfile::Batch))
            .await?;
        ingest(&settings, aws).await
    });
    match lambda_runtime::run(handler).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the Lambda runtime ended");
            ExitCode::FAILURE
        }
    }
}

#[allow(clippy::disallowed_methods)] // The edge at which time enters.
async fn ingest(settings: &Settings, aws: &Aws) -> Result<Report, Error> {
    let table = aws.catalog_table(&settings.catalog_table);
    let archive = settings.archive_bucket.as_deref().map(|bucket| aws.archive(bucket));
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
        clock: Utc::now,
        on_progress: no_progress(),
    };
    let (report, result) = ingest.run().await;
    print_metrics(&report);
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

/// Prints what an ingest found as metrics.
#[allow(clippy::print_stdout)] // That is how the platform takes it.
fn print_metrics(report: &Report) {
    let count = |outcome| u8::from(report.outcome == outcome);
    let lost_builds = report.projects.values().map(|project| project.lost_builds).sum::<usize>();
    let mut line = json!({});
    metrics::add_all(
        &mut line,
        report.started_at,
        &[
            ("IngestSucceeded", "Count", u8::from(report.succeeded()).into()),
            ("IngestRefused", "Count", count(ReportOutcome::Refused).into()),
            ("IngestFailed", "Count", (count(ReportOutcome::Failed) + count(ReportOutcome::Superseded)).into()),
            ("IngestMissed", "Count", report.schedule.as_ref().map_or(0, |schedule| schedule.missed).into()),
            ("IngestJobs", "Count", report.jobs.into()),
            ("IngestUnknownNames", "Count", report.unknown_names.into()),
            ("IngestLostBuilds", "Count", lost_builds.into()),
            ("IngestSeconds", "Seconds", metrics::measured(report.seconds)),
            ("IngestWriteUnits", "Count", metrics::measured(report.write_units)),
        ],
    );
    println!("{line}");
}
