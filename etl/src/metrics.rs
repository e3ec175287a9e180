//! The metrics of an ingest.

use runtime::metrics::Metric;
use store::{Report, ReportOutcome};

/// The metrics that the scheduled function prints for a report.
pub fn of_report(report: &Report) -> [Metric<'static>; 3] {
    let count = |outcome| u8::from(report.outcome == outcome);
    [
        ("IngestSucceeded", "Count", u8::from(report.succeeded()).into()),
        ("IngestRefused", "Count", count(ReportOutcome::Refused).into()),
        ("IngestFailed", "Count", (count(ReportOutcome::Failed) + count(ReportOutcome::Superseded)).into()),
    ]
}
