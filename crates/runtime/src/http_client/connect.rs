//! Opening connections: TCP, TLS, and a proxy if there is one.

use std::error::Error;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use http::Uri;
use http::uri::{Authority, Scheme};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector as TcpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tower::Service;

/// How long a connection that was opened early is used. Services close idle connections after some more seconds.
const EARLY_AGE: Duration = Duration::from_secs(10);

type BoxError = Box<dyn Error + Send + Sync>;
type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;

/// The certificates that a client trusts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Those of Amazon, which are part of the program.
    Amazon,
    /// Those of the system, or those that `SSL_CERT_FILE` names.
    System,
}

/// The proxies that a client uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proxies {
    /// None.
    Ignored,
    /// Those that `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` name, for connections with TLS.
    FromEnvironment,
}

/// Opens connections for the pool.
#[derive(Clone)]
pub(super) struct Connect {
    pub(super) trust: Trust,
    proxies: Option<Arc<Matcher>>,
    limit: Duration,
    /// Reading certificates takes time, and a plain connection needs none.
    tls: Arc<OnceLock<Result<Arc<ClientConfig>, String>>>,
    early: Arc<Mutex<Option<Early>>>,
}

/// A connection that is opened before a request needs it.
struct Early {
    scheme: Scheme,
    authority: Authority,
    opening: JoinHandle<Result<(Stream, Instant), BoxError>>,
}

impl Connect {
    pub(super) fn new(trust: Trust, proxies: Proxies, limit: Duration) -> Self {
        let proxies = (proxies == Proxies::FromEnvironment).then(|| Arc::new(Matcher::from_env()));
        Self { trust, proxies, limit, tls: Arc::default(), early: Arc::default() }
    }

    pub(super) fn open_early(&self, service: &Uri) {
        let (Some(scheme), Some(authority)) = (service.scheme().cloned(), service.authority().cloned()) else { return };
        let opening = self.open(service.clone());
        let opening = tokio::spawn(async move { opening.await.map(|stream| (stream, Instant::now())) });
        *self.early.lock().unwrap_or_else(PoisonError::into_inner) = Some(Early { scheme, authority, opening });
    }

    fn take_early(&self, service: &Uri) -> Option<Early> {
        let mut early = self.early.lock().unwrap_or_else(PoisonError::into_inner);
        early.take_if(|early| service.scheme() == Some(&early.scheme) && service.authority() == Some(&early.authority))
    }

    fn open(&self, service: Uri) -> impl Future<Output = Result<Stream, BoxError>> + Send + 'static {
        let (connect, limit) = (self.clone(), self.limit);
        async move { timeout(limit, connect.open_without_limit(service)).await? }
    }

    async fn open_without_limit(self, service: Uri) -> Result<Stream, BoxError> {
        let mut tcp = TcpConnector::new();
        tcp.set_nodelay(true);
        // TLS comes after it.
        tcp.enforce_http(false);
        if service.scheme() != Some(&Scheme::HTTPS) {
            return Ok(MaybeHttpsStream::Http(tcp.call(service).await?));
        }
        let tls = self.tls.get_or_init(|| tls_config(self.trust)).clone()?;
        match self.proxies.as_ref().and_then(|proxies| proxies.intercept(&service)) {
            None => HttpsConnector::from((tcp, tls)).call(service).await,
            Some(proxy) => {
                let mut tunnel = Tunnel::new(proxy.uri().clone(), tcp);
                if let Some(credentials) = proxy.basic_auth() {
                    tunnel = tunnel.with_auth(credentials.clone());
                }
                HttpsConnector::from((tunnel, tls)).call(service).await
            }
        }
    }
}

impl Service<Uri> for Connect {
    type Response = Stream;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, service: Uri) -> Self::Future {
        let early = self.take_early(&service);
        let opening = self.open(service);
        Box::pin(async move {
            if let Some(early) = early
                && let Ok(Ok((stream, since))) = early.opening.await
                && since.elapsed() < EARLY_AGE
            {
                return Ok(stream);
            }
            opening.await
        })
    }
}

fn tls_config(trust: Trust) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    match trust {
        Trust::Amazon => roots.add_parsable_certificates(AMAZON_ROOTS.iter().map(|root| CertificateDer::from(*root))),
        Trust::System => roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs),
    };
    if roots.is_empty() {
        return Err("the system has no certificates of authorities".to_owned());
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Amazon's certificates, which the build script picks from Mozilla's list.
const AMAZON_ROOTS: &[&[u8]] = include!(concat!(env!("OUT_DIR"), "/amazon-roots.rs"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amazons_certificates_can_be_read() {
        assert_eq!(AMAZON_ROOTS.len(), 5);
        let mut roots = RootCertStore::empty();
        let certificates = AMAZON_ROOTS.iter().map(|root| CertificateDer::from(*root));
        assert_eq!(roots.add_parsable_certificates(certificates), (5, 0));
        assert!(tls_config(Trust::Amazon).is_ok());
    }
}
