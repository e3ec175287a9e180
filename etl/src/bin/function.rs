//! The scheduled Lambda function. An event says which build system's jobs are ingested: `{"build_system": "buildbot"}` or
//! `{"build_system": "taskcluster"}`. Any other event, such as one of `EventBridge`, starts an ingest of each that is
//! configured.

use std::process::ExitCode;

use catalog::{buildbot, taskcluster};
use etl::ingest::{Ingest, IngestError, no_progress};
use etl::metrics::of_report;
use etl::settings::Settings;
use etl::source::taskcluster::TaskclusterSource;
use etl::taskcluster_ingest::TaskclusterIngest;
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
            let handler = service_fn(async |event: LambdaEvent<Value>| {
                let make = async || Aws::from_lambda(environment, ClientProfile::Batch);
                ingest(&settings, aws.get_or_try_init(make).await?, &event.payload).await
            });
            lambda_runtime::run(handler).await
        },
    )
    .await
}

/// Makes the ingests that the event names, one after the other. If one fails, the others are made all the same. The answer
/// is the report; of several ingests a list of reports.
async fn ingest(settings: &Settings, aws: &Aws, event: &Value) -> Result<Value, Error> {
    let wanted = event.get("build_system");
    let is_wanted = |build_system: &str| wanted.is_none_or(|wanted| wanted == build_system);
    let is_alone = settings.source.is_none() || settings.taskcluster.is_none();
    let (mut reports, mut errors) = (Vec::new(), Vec::new());
    if let Some(source) = settings.source.as_ref().filter(|_| is_wanted(buildbot::BUILD_SYSTEM)) {
        let table = CatalogTable::new(aws.dynamodb(), &settings.catalog_table);
        let archive = settings.archive_bucket.as_deref().map(|bucket| Archive::new(aws.s3(), bucket));
        let ingest = Ingest {
            source,
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
        ended(ingest.run().await, is_alone, &mut reports, &mut errors);
    }
    if let Some(taskcluster) = settings.taskcluster.clone().filter(|_| is_wanted(taskcluster::BUILD_SYSTEM)) {
        let table = CatalogTable::new(aws.dynamodb(), &settings.catalog_table);
        let ingest = TaskclusterIngest {
            source: &TaskclusterSource::from(taskcluster),
            table: &table,
            max_drop_percent: settings.limits.max_drop_percent,
            max_source_bytes: settings.max_source_bytes,
            schedule: settings.taskcluster_schedule.as_ref(),
            dry_run: false,
            force: false,
            only: &[],
            clock: runtime::now,
            on_progress: no_progress(),
        };
        ended(ingest.run().await, is_alone, &mut reports, &mut errors);
    }
    if reports.is_empty() {
        let message = format!("the build system {} of the event is not configured", wanted.unwrap_or(&Value::Null));
        #[expect(clippy::print_stdout, reason = "Lambda collects the log from standard output")]
        {
            println!("{}", metrics::failure(&message, runtime::now(), Incident::IngestFailed));
        }
        return Err(message.into());
    }
    if !errors.is_empty() {
        return Err(errors.join("; ").into());
    }
    Ok(match &reports[..] {
        [report] => serde_json::to_value(report)?,
        reports => serde_json::to_value(reports)?,
    })
}

/// Logs how an ingest ended.
fn ended(
    (report, result): (Report, Result<(), IngestError>),
    is_alone: bool,
    reports: &mut Vec<Report>,
    errors: &mut Vec<String>,
) {
    print_line(&report, is_alone);
    if let Err(error) = result {
        tracing::error!(build_system = report.build_system, %error, "not ingested");
        errors.push(error.to_string());
    }
    reports.push(report);
}

/// Prints the log line of an ingest, which contains its metrics.
#[expect(clippy::print_stdout, reason = "Lambda collects the log from standard output")]
fn print_line(report: &Report, is_alone: bool) {
    let mut line = json!({
        "level": if report.succeeded() { "INFO" } else { "ERROR" },
        "build_system": report.build_system,
        "outcome": report.outcome,
        "jobs": report.jobs,
        "unknown_names": report.unknown_names,
        "lost_builds": report.projects.values().map(|project| project.lost_builds).sum::<usize>(),
        "missed": report.schedule.as_ref().map_or(0, |schedule| schedule.missed),
        "seconds": report.seconds,
        "write_units": report.write_units,
    });
    let is_taskcluster = report.build_system == taskcluster::BUILD_SYSTEM;
    let incident = match report.outcome {
        ReportOutcome::Published | ReportOutcome::Unchanged | ReportOutcome::Checked => None,
        _ if is_taskcluster => Some(Incident::TaskclusterIngest),
        ReportOutcome::Refused => Some(Incident::IngestRefused),
        ReportOutcome::Failed | ReportOutcome::Superseded => Some(Incident::IngestFailed),
    };
    metrics::add_with_incidents(&mut line, report.started_at, &of_report(report, is_alone), incident.as_slice());
    println!("{line}");
}
