//! What ingests of all build systems share: when they are due, and how they end.

use std::pin::Pin;
use std::time::Instant;

use catalog::schedule::Cron;
use chrono::{DateTime, Utc};
use store::{CatalogTable, Report, ReportOutcome, Schedule, StoreError};

use crate::error::IngestError;
use crate::past_reports::missed;

/// An ingest that runs, and ends with its report and its result. The future is boxed, so that it is compiled with this
/// library and not again with each program.
pub type Running<'i> = Pin<Box<dyn Future<Output = (Report, Result<(), IngestError>)> + 'i>>;

/// The schedule for the report of an ingest that starts now.
pub(crate) fn due(schedule: Option<&Cron>, past: &[Report], now: DateTime<Utc>) -> Option<Schedule> {
    let schedule = schedule?;
    Some(Schedule { next_due: schedule.next(now).unwrap_or(now), missed: missed(schedule, past, now) })
}

/// Completes the report of an ingest and stores it, unless this is a dry run or the store cannot be reached.
pub(crate) async fn finish(
    table: &CatalogTable,
    report: &mut Report,
    start: Instant,
    schedule: Option<&Cron>,
    dry_run: bool,
    mut result: Result<(), IngestError>,
) -> Result<(), IngestError> {
    if let Err(error) = &result {
        report.outcome = error.outcome();
        report.error = Some(error.to_string());
        report.error_code = Some(error.code());
    } else if dry_run {
        report.outcome = ReportOutcome::Checked;
    }
    report.seconds = (start.elapsed().as_secs_f64() * 1000.0).round() / 1000.0;
    report.schedule = schedule.and_then(|schedule| {
        let missed = report.schedule.as_ref().map_or(0, |before| before.missed);
        Some(Schedule { next_due: schedule.next(report.started_at)?, missed })
    });
    let usage = table.usage();
    (report.items_written, report.bytes_written) = (usage.items_written, usage.bytes_written);
    (report.read_units, report.write_units) = (usage.read_units, usage.write_units);
    let unreachable = matches!(result, Err(IngestError::Store(StoreError::Unreachable { .. })));
    let stored = if dry_run || unreachable { Ok(()) } else { table.put_report(report).await };
    if let Err(error) = stored {
        tracing::warn!(%error, "the report is not stored");
        result = result.and(Err(error.into()));
    }
    result
}
