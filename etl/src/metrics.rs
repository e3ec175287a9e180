//! The metrics of an ingest.

use catalog::taskcluster;
use runtime::metrics::Metric;
use store::{Report, ReportOutcome};

/// The metric of the alarm that watches whether ingests are made.
const SUCCEEDED: &str = "IngestSucceeded";

/// The metrics that the scheduled function prints for a report. Each build system has its own, but for `IngestSucceeded`:
/// this is of Buildbot, unless the report's build system is the only one (`is_alone`). The hourly ingests of Taskcluster
/// would hide that the daily ones of Buildbot are missing, and a metric with a value in every hour costs money.
pub fn of_report(report: &Report, is_alone: bool) -> [Metric<'static>; 3] {
    let is_taskcluster = report.build_system == taskcluster::BUILD_SYSTEM;
    let (refused, failed) = if is_taskcluster {
        ("TaskclusterIngestRefused", "TaskclusterIngestFailed")
    } else {
        ("IngestRefused", "IngestFailed")
    };
    let succeeded = report.succeeded() && (is_alone || !is_taskcluster);
    let count = |outcome| u8::from(report.outcome == outcome);
    [
        (SUCCEEDED, "Count", u8::from(succeeded).into()),
        (refused, "Count", count(ReportOutcome::Refused).into()),
        (failed, "Count", (count(ReportOutcome::Failed) + count(ReportOutcome::Superseded)).into()),
    ]
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn an_ingest_of_taskcluster_does_not_hide_that_those_of_buildbot_are_missing() {
        let succeeded = |report: Report, is_alone| {
            let report = Report { outcome: ReportOutcome::Unchanged, ..report };
            let [(name, _, count), ..] = of_report(&report, is_alone);
            (name, count)
        };
        let buildbot = || Report::new(DateTime::UNIX_EPOCH, "");
        let of_taskcluster = || Report::of_taskcluster(DateTime::UNIX_EPOCH, "");
        assert_eq!(succeeded(buildbot(), false), (SUCCEEDED, 1.into()));
        assert_eq!(succeeded(of_taskcluster(), false), (SUCCEEDED, 0.into()));
        assert_eq!(succeeded(of_taskcluster(), true), (SUCCEEDED, 1.into()));
    }
}
