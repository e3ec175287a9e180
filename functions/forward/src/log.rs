//! The log: one line per message of the queue, which holds its metrics too (`CloudWatch`'s embedded metric format).

use runtime::metrics::{self, Metric};
use runtime::{Clock, Incident};

use crate::batch::DeliveryLog;

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
        (line.refused, Incident::ForwardRefused),
        (line.failed, Incident::ForwardFailed),
        (line.damaged, Incident::DamagedItems),
    ]);
    metrics::add_with_incidents(&mut json, clock(), &line.metrics(), &incidents);
    println!("{json}");
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
