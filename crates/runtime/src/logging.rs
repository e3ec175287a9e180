//! Logging: the lines of requests and messages go to standard output, everything else to standard error.

use std::io;
use std::sync::Arc;

use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

/// Takes one line of the log.
pub type LogSink = Arc<dyn Fn(&str) + Send + Sync>;

/// Sends the events of the program and of its libraries to standard error, as JSON lines.
pub fn init_logging() {
    // The programs log the failures that these targets report, so each failure is logged once.
    let quiet = [
        ("aws_sdk_s3", LevelFilter::ERROR),
        ("lambda_runtime", LevelFilter::WARN),
        ("lambda_runtime::layers::panic", LevelFilter::OFF),
        ("lapin", LevelFilter::OFF),
    ];
    let targets = Targets::new().with_default(Level::INFO).with_targets(quiet);
    let format = tracing_subscriber::fmt().json().flatten_event(true).with_current_span(false);
    format.with_writer(io::stderr).finish().with(targets).init();
}

/// Prints each line to standard output, where Lambda collects the log.
pub fn print_log() -> LogSink {
    #[expect(clippy::print_stdout, reason = "Lambda collects the log from standard output")]
    Arc::new(|line: &str| println!("{line}"))
}
