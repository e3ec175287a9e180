//! How a router is served: by Lambda, or on a port.

use std::io;

use axum::Router;
use lambda_runtime::service_fn;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::gateway::answer_event;

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
