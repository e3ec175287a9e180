//! The log: one line per message of the queue, which holds its metrics too (`CloudWatch`'s embedded metric format).

use runtime::Clock;
use runtime::metrics::{self, Metric};

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
    let counts = [
        ("ForwardForwarded", line.forwarded),
        ("ForwardWaiting", line.waiting),
        ("ForwardUnroutable", line.unroutable),
        ("ForwardFailed", line.failed),
        ("ForwardRefused", line.refused),
        ("DamagedItems", line.damaged),
    ];
    let mut measured: Vec<Metric<'_>> = counts.iter().map(|(name, count)| (*name, "Count", (*count).into())).collect();
    measured.push(("ForwardAge", "Seconds", line.age_seconds.into()));
    measured.extend(line.confirm_ms.map(|milliseconds| ("ForwardConfirm", "Milliseconds", milliseconds.into())));
    metrics::add(&mut json, clock(), &measured);
    println!("{json}");
}
