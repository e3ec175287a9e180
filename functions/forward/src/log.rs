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
    metrics::add(&mut json, clock(), &line.metrics());
    println!("{json}");
}

impl DeliveryLog {
    /// The metrics of a message.
    pub fn metrics(&self) -> Vec<Metric<'static>> {
        let mut measured = vec![
            ("ForwardForwarded", "Count", self.forwarded.into()),
            ("ForwardWaiting", "Count", self.waiting.into()),
            ("ForwardUnroutable", "Count", self.unroutable.into()),
            ("ForwardFailed", "Count", self.failed.into()),
            ("ForwardRefused", "Count", self.refused.into()),
            ("DamagedItems", "Count", self.damaged.into()),
            ("ForwardAge", "Seconds", self.age_seconds.into()),
        ];
        measured.extend(self.confirm_ms.map(|milliseconds| ("ForwardConfirm", "Milliseconds", milliseconds.into())));
        measured
    }
}
