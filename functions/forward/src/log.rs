//! The log: a line a message of the queue, which is at the same time its metrics.

use std::io;

use serde_json::{Value, json};
use store::kept::Clock;
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

use crate::forwarder::Line;

/// Sends what the program and its libraries have to say beside the messages to standard error, as JSON lines.
pub fn init_logging() {
    // What becomes of a message is in its line.
    let quiet = [("lapin", LevelFilter::OFF), ("lambda_runtime::layers::panic", LevelFilter::OFF)];
    let targets = Targets::new().with_default(Level::INFO).with_targets(quiet);
    let format = tracing_subscriber::fmt().json().flatten_event(true).with_current_span(false);
    format.with_writer(io::stderr).finish().with(targets).init();
}

/// Prints the line of a message, in `CloudWatch`'s embedded metric format.
#[expect(clippy::print_stdout, reason = "that is how the platform takes the log")]
pub fn print_line(line: &Line, clock: &Clock) {
    let metrics = [
        ("ForwardForwarded", "Count", Some(json!(line.forwarded))),
        ("ForwardWaiting", "Count", Some(json!(line.waiting))),
        ("ForwardUnroutable", "Count", Some(json!(line.unroutable))),
        ("ForwardFailed", "Count", Some(json!(line.failed))),
        ("ForwardRefused", "Count", Some(json!(line.refused))),
        ("ForwardAge", "Seconds", Some(json!(line.age_seconds))),
        ("ForwardConfirm", "Milliseconds", line.confirm_ms.map(|milliseconds| json!(milliseconds))),
    ];
    let metrics = metrics.into_iter().filter_map(|(name, unit, value)| Some((name, unit, value?)));
    let metrics: Vec<(&str, &str, Value)> = metrics.collect();
    let named: Vec<Value> = metrics.iter().map(|(name, unit, _)| json!({"Name": name, "Unit": unit})).collect();
    let mut json = serde_json::to_value(line).unwrap_or_default();
    json["_aws"] = json!({
        "Timestamp": clock().timestamp_millis(),
        "CloudWatchMetrics": [{"Namespace": "RunnableJobs", "Dimensions": [[]], "Metrics": named}],
    });
    json["level"] = match (&line.error, &line.unplanned) {
        (Some(_), _) => "ERROR",
        (None, Some(_)) => "WARN",
        (None, None) => "INFO",
    }
    .into();
    for (name, _, value) in metrics {
        json[name] = value;
    }
    println!("{json}");
}
