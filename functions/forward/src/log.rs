//! The log: one line per message of the queue, which holds its metrics too (CloudWatch's embedded metric format).

use std::io;

use metrics::Metric;
use store::cached::Clock;
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

use crate::batch::DeliveryLog;

/// Writes the log of the program and its libraries to standard error, as JSON lines.
pub fn init_logging() {
    // The outcome of a message is in its own line.
    let quiet = [("lapin", LevelFilter::OFF), ("lambda_runtime::layers::panic", LevelFilter::OFF)];
    let targets = Targets::new().with_default(Level::INFO).with_targets(quiet);
    let format = tracing_subscriber::fmt().json().flatten_event(true).with_current_span(false);
    format.with_writer(io::stderr).finish().with(targets).init();
}

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
