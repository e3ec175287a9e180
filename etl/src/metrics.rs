//! The metrics of an ingest.

use catalog::taskcluster;
use runtime::metrics::Metric;
use store::{Report, ReportOutcome};

/// The names of the metrics, for Buildbot and for Taskcluster. Each build system has its own: hourly ingests of one would
/// hide that the daily ones of the other are missing.
const NAMES: [[&str; 3]; 2] = [
    ["IngestSucceeded", "IngestRefused", "IngestFailed"],
    ["TaskclusterIngestSucceeded", "TaskclusterIngestRefused", "TaskclusterIngestFailed"],
];

/// The metrics that the scheduled function prints for a report.
pub fn of_report(report: &Report) -> [Metric<'static>; 3] {
    let [buildbot, of_taskcluster] = NAMES;
    let names = if report.build_system == taskcluster::BUILD_SYSTEM { of_taskcluster } else { buildbot };
    let has = |outcome| u8::from(report.outcome == outcome);
    let counts = [
        u8::from(report.succeeded()),
        has(ReportOutcome::Refused),
        has(ReportOutcome::Failed) + has(ReportOutcome::Superseded),
    ];
    [0, 1, 2].map(|at| (names[at], "Count", counts[at].into()))
}
