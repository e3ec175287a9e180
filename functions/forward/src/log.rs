//! The log: one line per message of the queue, which holds its metrics too (`CloudWatch`'s embedded metric format).

use runtime::metrics::{self, Metric};
use runtime::{Clock, Incident};

use crate::batch::DeliveryLog;

/// Prints the log line of a message.
#[expect(clippy::print_stdout, reason = "that is how the platform takes the log")]
pub fn print_line(line: &DeliveryLog, clock: &Clock) {
    let mut json = serde_json::to_value(line).unwrap_or_default();
    json["level"] = match (&line.error, &line.plan_skipped) {
        (Some(_), _) => "ERROR",
        (None, Some(_)) => "WARN",
        (None, None) => "INFO",
    }
    .into();
    let measured: [Metric<'_>; 4] = [
        ("ForwardUnroutable", "Count", line.unroutable.into()),
        ("ForwardFailed", "Count", line.failed.into()),
        ("ForwardRefused", "Count", line.refused.into()),
        ("DamagedItems", "Count", line.damaged.into()),
    ];
    let incidents = [
        (line.refused, Incident::ForwardRefused),
        (line.failed, Incident::ForwardFailed),
        (line.damaged, Incident::DamagedItems),
    ];
    let incidents: Vec<Incident> =
        incidents.into_iter().filter_map(|(count, incident)| (count > 0).then_some(incident)).collect();
    metrics::add_with_incidents(&mut json, clock(), &measured, &incidents);
    println!("{json}");
}
