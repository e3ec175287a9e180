//! How a router is served: by Lambda, or on a port.

use std::io;

use axum::Router;
use lambda_runtime::service_fn;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

use crate::gateway::answer_event;

/// Sends what the program and its libraries have to say beside the requests to standard error, as JSON lines.
pub fn init_logging() {
    // The edge has told of a panic by then.
    let quiet = [("lambda_runtime::layers::panic", LevelFilter::OFF), ("lambda_runtime", LevelFilter::WARN)];
    let targets = Targets::new().with_default(Level::INFO).with_targets(quiet);
    let format = tracing_subscriber::fmt().json().flatten_event(true).with_current_span(false);
    format.with_writer(io::stderr).finish().with(targets).init();
}

/// Serves Lambda's invocations (payload format 2.0: HTTP APIs and function URLs) until the platform ends it.
///
/// # Errors
/// The runtime interface is not there or breaks.
pub async fn run_lambda(app: Router) -> Result<(), lambda_http::Error> {
    lambda_runtime::run(service_fn(move |event| answer_event(app.clone(), event))).await
}

/// Serves a port until the process is asked to end.
///
/// # Errors
/// The port breaks.
pub async fn listen(listener: TcpListener, app: Router) -> io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let asked_to_end = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    axum::serve(listener, app).with_graceful_shutdown(asked_to_end).await
}
