//! Serving a router in Lambda or on a port.

use std::io;

use axum::Router;
use lambda_runtime::service_fn;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::gateway::answer_event;

/// Serves Lambda's invocations (payload format 2.0: HTTP APIs and function URLs) until the platform ends it.
///
/// # Errors
/// Lambda's runtime interface is missing or fails.
pub async fn run_lambda(app: Router) -> Result<(), lambda_http::Error> {
    lambda_runtime::run(service_fn(move |event| answer_event(app.clone(), event))).await
}

/// Serves a port until the process receives SIGINT or SIGTERM.
///
/// # Errors
/// The port cannot be served.
pub async fn listen(listener: TcpListener, app: Router) -> io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let shutdown = async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    axum::serve(listener, app).with_graceful_shutdown(shutdown).await
}
