//! The HTTP client below the clients of AWS services.
//!
//! All clients of a process share it, and with it the connections and the TLS configuration. It speaks HTTP/1.1, which
//! every AWS service does. It reads certificates when it opens the first connection with TLS, and not when a client is
//! made. It can open a connection before the first request needs it
//! ([ADR 0027](../../../docs/adr/0027-the-clients-of-aws-share-an-http-client-of-our-own.md)).

mod connect;

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_smithy_runtime_api::client::connection::{CaptureSmithyConnection, ConnectionMetadata};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::ErrorKind;
use http::Uri;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{CaptureConnection, capture_connection};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::error::Elapsed;

use connect::Connect;
pub(crate) use connect::{Proxies, Trust};

/// The shared client. Its clones use the same connections.
#[derive(Clone)]
pub(crate) struct SharedClient {
    connect: Connect,
    /// Made for the first request, which runs in an asynchronous runtime.
    pool: Arc<OnceLock<Client<Connect, SdkBody>>>,
}

impl SharedClient {
    /// A client that trusts these certificates, and gives up a connection that is not open after `connect_timeout`.
    pub(crate) fn new(trust: Trust, proxies: Proxies, connect_timeout: Duration) -> Self {
        Self { connect: Connect::new(trust, proxies, connect_timeout), pool: Arc::default() }
    }

    /// Starts to open a connection to the service at this address. The first request to the service uses it. If it
    /// cannot be opened, the request opens another one as usual.
    pub(crate) fn open_early(&self, service: &Uri) {
        self.connect.open_early(service);
    }

    #[cfg(test)]
    pub(crate) fn trust(&self) -> Trust {
        self.connect.trust
    }

    fn pool(&self) -> &Client<Connect, SdkBody> {
        self.pool.get_or_init(|| {
            // The timer closes connections that are idle for too long.
            Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(self.connect.clone())
        })
    }
}

impl fmt::Debug for SharedClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedClient").finish_non_exhaustive()
    }
}

impl HttpClient for SharedClient {
    /// The time to connect is this client's own, the same for all services.
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector { client: self.clone(), read_timeout: settings.read_timeout() })
    }
}

/// Sends requests through the shared client.
#[derive(Debug)]
struct Connector {
    client: SharedClient,
    /// The time until an answer begins.
    read_timeout: Option<Duration>,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut request = match request.try_into_http1x() {
            Ok(request) => request,
            Err(error) => return HttpConnectorFuture::ready(Err(ConnectorError::user(error.into()))),
        };
        // The SDK closes a connection over which a service answered with a passing error.
        let connection = capture_connection(&mut request);
        if let Some(capture) = request.extensions().get::<CaptureSmithyConnection>() {
            capture.set_connection_retriever(move || metadata(&connection));
        }
        let response = self.client.pool().request(request);
        let read_timeout = self.read_timeout;
        HttpConnectorFuture::new(async move {
            let response = match read_timeout {
                Some(limit) => {
                    tokio::time::timeout(limit, response).await.map_err(|late| ConnectorError::timeout(late.into()))?
                }
                None => response.await,
            };
            let response = response.map_err(connector_error)?;
            HttpResponse::try_from(response.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

fn metadata(connection: &CaptureConnection) -> Option<ConnectionMetadata> {
    connection.connection_metadata().as_ref()?;
    let connection = connection.clone();
    let poison = move || {
        if let Some(connected) = connection.connection_metadata().as_ref() {
            connected.poison();
        }
    };
    Some(ConnectionMetadata::builder().proxied(false).poison_fn(poison).build())
}

/// The kind of an error decides whether the SDK repeats the request.
fn connector_error(error: hyper_util::client::legacy::Error) -> ConnectorError {
    let hyper = find::<hyper::Error>(&error);
    let is = |test: fn(&hyper::Error) -> bool| hyper.is_some_and(test);
    if find::<Elapsed>(&error).is_some() || is(hyper::Error::is_timeout) {
        ConnectorError::timeout(error.into())
    } else if is(hyper::Error::is_user) {
        ConnectorError::user(error.into())
    } else if is(hyper::Error::is_incomplete_message) {
        ConnectorError::other(error.into(), Some(ErrorKind::TransientError))
    } else if error.is_connect()
        || is(hyper::Error::is_closed)
        || is(hyper::Error::is_canceled)
        || find::<io::Error>(&error).is_some()
    {
        ConnectorError::io(error.into())
    } else {
        ConnectorError::other(error.into(), None)
    }
}

/// The first error of a type among an error and its causes.
fn find<E: Error + 'static>(error: &dyn Error) -> Option<&E> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests;
