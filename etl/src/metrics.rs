//! The metrics of an ingest.

use runtime::metrics::{Metric, measured};
use store::{Report, ReportOutcome};

/// The metrics that the scheduled function prints for a report.
pub fn of_report(report: &Report) -> [Metric<'static>; 9] {
    let count = |outcome| u8::from(report.outcome == outcome);
    let lost_builds = report.projects.values().map(|project| project.lost_builds).sum::<usize>();
    [
        ("IngestSucceeded", "Count", u8::from(report.succeeded()).into()),
        ("IngestRefused", "Count", count(ReportOutcome::Refused).into()),
        ("IngestFailed", "Count", (count(ReportOutcome::Failed) + count(ReportOutcome::Superseded)).into()),
        ("IngestMissed", "Count", report.schedule.as_ref().map_or(0, |schedule| schedule.missed).into()),
        ("IngestJobs", "Count", report.jobs.into()),
        ("IngestUnknownNames", "Count", report.unknown_names.into()),
        ("IngestLostBuilds", "Count", lost_builds.into()),
        ("IngestSeconds", "Seconds", measured(report.seconds)),
        ("IngestWriteUnits", "Count", measured(report.write_units)),
    ]
}
