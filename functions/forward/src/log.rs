//! The log: one line per message of the queue and per round, which holds its metrics too (`CloudWatch`'s embedded metric
//! format).

use runtime::metrics::{self, Metric};
use runtime::{Clock, Incident};

use crate::batch::DeliveryLog;
use crate::follow::FollowReport;

/// Prints the log line of a message.
#[expect(clippy::print_stdout, reason = "that is how the platform takes the log")]
pub fn print_line(line: &DeliveryLog, clock: &Clock) {
    let mut json = serde_json::to_value(line).unwrap_or_default();
    json["level"] = match (&line.error, line.plan_skipped.as_ref().or(line.taskcluster.as_ref())) {
        (Some(_), _) => "ERROR",
        (None, Some(_)) => "WARN",
        (None, None) => "INFO",
    }
    .into();
    let incidents = Incident::that_occurred(&[
        (line.refused - line.refused_by_taskcluster, Incident::ForwardRefused),
        (line.refused_by_taskcluster, Incident::TaskclusterRefused),
        (line.failed, Incident::ForwardFailed),
        (line.damaged, Incident::DamagedItems),
    ]);
    metrics::add_with_incidents(&mut json, clock(), &line.metrics(), &incidents);
    println!("{json}");
}

/// Prints the log line of a round that followed jobs.
#[expect(clippy::print_stdout, reason = "that is how the platform takes the log")]
pub fn print_round(report: &FollowReport, clock: &Clock) {
    let mut json = serde_json::to_value(report).unwrap_or_default();
    let incidents =
        Incident::that_occurred(&[(report.failed, Incident::FollowFailed), (report.damaged, Incident::DamagedItems)]);
    json["level"] = match (incidents.is_empty(), &report.error) {
        (false, _) => "ERROR",
        (true, Some(_)) => "WARN",
        (true, None) => "INFO",
    }
    .into();
    metrics::add_with_incidents(&mut json, clock(), &report.metrics(), &incidents);
    println!("{json}");
}

impl FollowReport {
    /// The metrics of a round.
    pub fn metrics(&self) -> [Metric<'static>; 1] {
        [("DamagedItems", "Count", self.damaged.into())]
    }
}

impl DeliveryLog {
    /// The metrics of a message.
    pub fn metrics(&self) -> [Metric<'static>; 4] {
        [
            ("ForwardUnroutable", "Count", self.unroutable.into()),
            ("ForwardFailed", "Count", self.failed.into()),
            ("ForwardRefused", "Count", self.refused.into()),
            ("DamagedItems", "Count", self.damaged.into()),
        ]
    }
}
