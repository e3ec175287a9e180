//! The HTTP client for other services. It limits the time and the size of each answer, follows no redirect, and returns
//! errors that a caller can act on. [`GuardedFetcher`] is for addresses that another service names.

use std::error::Error;
use std::sync::OnceLock;
use std::time::Duration;

use http::uri::Scheme;
use http::{Request, StatusCode};
use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Response};

pub use address::is_public;
pub use guarded::{Answer, GuardedError, GuardedFetcher, MAX_POST_BYTES, PostError, blocking_body};
pub use hosts::{AllowedHosts, Host, Refusal, is_loopback};
pub use reqwest::Url;
pub use tls::trusting_the_system;

mod address;
mod guarded;
pub mod gzip;
mod hosts;
mod tls;

/// Why there is no answer. Each message is for the log and does not contain the address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The service cannot be reached: it accepts no connection in time, or closes the connection without an answer.
    #[error("{0}")]
    Unreachable(String),
    /// The service can be reached, but the answer to this request is not complete in time.
    #[error("{0}")]
    TimedOut(String),
    /// The answer breaks off, or is not valid HTTP.
    #[error("{0}")]
    Broken(String),
    /// The answer is longer than this number of bytes.
    #[error("the answer has more than {0} bytes")]
    TooLarge(usize),
}

/// Fetches from one service.
#[derive(Debug)]
pub struct Fetcher {
    timeout: Duration,
    max_bytes: usize,
    /// Without TLS and with it, each made for its first request.
    clients: [OnceLock<Result<Client, String>>; 2],
}

impl Fetcher {
    /// A client with this limit of time for a whole answer, and this limit of size for its body.
    pub const fn new(timeout: Duration, max_bytes: usize) -> Self {
        Self { timeout, max_bytes, clients: [const { OnceLock::new() }; 2] }
    }

    /// Returns the status and the body of the answer. A redirect is an answer like any other.
    ///
    /// # Errors
    /// There is no complete answer in time, or it is too large.
    pub async fn get(&self, url: &str) -> Result<(StatusCode, Vec<u8>), FetchError> {
        let client = self.client_for(!url.starts_with("http:"))?;
        let mut answer = client.get(url).send().await.map_err(no_answer)?;
        let body = collect(&mut answer, self.max_bytes).await?;
        Ok((answer.status(), body))
    }

    /// Sends a request of any kind and returns the whole answer. A redirect is an answer like any other.
    ///
    /// # Errors
    /// There is no complete answer in time, or it is too large. The request may have arrived all the same.
    pub async fn send(&self, request: Request<Vec<u8>>) -> Result<http::Response<Vec<u8>>, FetchError> {
        let client = self.client_for(request.uri().scheme() != Some(&Scheme::HTTP))?;
        let mut answer = client.execute(request.try_into().map_err(no_answer)?).await.map_err(no_answer)?;
        let mut whole = http::Response::new(collect(&mut answer, self.max_bytes).await?);
        *whole.status_mut() = answer.status();
        *whole.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(whole)
    }

    fn client_for(&self, with_tls: bool) -> Result<&Client, FetchError> {
        let client = self.clients[usize::from(with_tls)].get_or_init(|| self.client(with_tls));
        client.as_ref().map_err(|reason| FetchError::Unreachable(reason.clone()))
    }

    fn client(&self, with_tls: bool) -> Result<Client, String> {
        // The limit for connecting is shorter: a timeout of the whole request then means that there was a connection.
        let (connect_timeout, timeout) = (self.timeout / 2, self.timeout);
        let client = client_builder(with_tls)?.connect_timeout(connect_timeout).timeout(timeout);
        client.build().map_err(root_cause)
    }
}

/// What all clients share.
fn client_builder(with_tls: bool) -> Result<ClientBuilder, String> {
    let client = Client::builder().redirect(Policy::none());
    let client = client.user_agent(concat!("runnable-jobs/", env!("CARGO_PKG_VERSION")));
    let tls = if with_tls { tls::trusting_the_system() } else { tls::trusting_nothing() };
    Ok(client.tls_backend_preconfigured(tls?))
}

/// Reads a body of at most `max_bytes` bytes.
async fn collect(answer: &mut Response, max_bytes: usize) -> Result<Vec<u8>, FetchError> {
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(broken)? {
        if body.len() + chunk.len() > max_bytes {
            return Err(FetchError::TooLarge(max_bytes));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The request failed before an answer began. A timeout on an open connection says nothing about other requests to the
/// same service.
fn no_answer(error: reqwest::Error) -> FetchError {
    let is_slow = error.is_timeout() && !error.is_connect();
    let reason = root_cause(error);
    if is_slow { FetchError::TimedOut(reason) } else { FetchError::Unreachable(reason) }
}

/// The request failed while the answer was read.
fn broken(error: reqwest::Error) -> FetchError {
    let is_slow = error.is_timeout();
    let reason = root_cause(error);
    if is_slow { FetchError::TimedOut(reason) } else { FetchError::Broken(reason) }
}

/// The innermost cause, without the address.
fn root_cause(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause: &dyn Error = &error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// Fetches from a service that sends these bytes and then nothing more.
    async fn fetch_from(sent: String) -> Result<(StatusCode, Vec<u8>), FetchError> {
        let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", service.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut connection, _) = service.accept().await.unwrap();
            let _ = connection.read(&mut [0; 1024]).await.unwrap();
            connection.write_all(sent.as_bytes()).await.unwrap();
            std::future::pending::<()>().await;
        });
        let fetcher = Fetcher::new(Duration::from_millis(200), 10);
        tokio::time::timeout(Duration::from_secs(5), fetcher.get(&url)).await.unwrap()
    }

    #[tokio::test]
    async fn an_incomplete_answer_times_out() {
        let late = "operation timed out".to_owned();
        assert_eq!(fetch_from(String::new()).await, Err(FetchError::TimedOut(late.clone())));
        let half = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{\"keys\"";
        assert_eq!(fetch_from(half.to_owned()).await, Err(FetchError::TimedOut(late)));
    }

    #[tokio::test]
    async fn a_service_without_a_connection_is_unreachable() {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", closed.local_addr().unwrap());
        drop(closed);
        let fetcher = Fetcher::new(Duration::from_secs(5), 10);
        assert!(matches!(fetcher.get(&url).await, Err(FetchError::Unreachable(_))));

        // The accept queue is full, so that a connection is never made.
        let full = tokio::net::TcpSocket::new_v4().unwrap();
        full.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let full = full.listen(1).unwrap();
        let address = full.local_addr().unwrap();
        let waiting: Vec<_> = (0..8).map(|_| tokio::net::TcpStream::connect(address)).collect();
        let waiting: Vec<_> = waiting.into_iter().map(tokio::spawn).collect();
        let fetcher = Fetcher::new(Duration::from_millis(400), 10);
        let filled = async {
            loop {
                let attempt = tokio::time::timeout(Duration::from_millis(100), tokio::net::TcpStream::connect(address));
                let Ok(connected) = attempt.await else { break };
                std::mem::forget(connected);
            }
        };
        tokio::time::timeout(Duration::from_secs(5), filled).await.unwrap();
        assert!(matches!(fetcher.get(&format!("http://{address}/")).await, Err(FetchError::Unreachable(_))));
        waiting.iter().for_each(tokio::task::JoinHandle::abort);
    }

    #[tokio::test]
    async fn a_service_that_does_not_speak_tls_is_unreachable_at_an_https_address() {
        let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("https://{}/", service.local_addr().unwrap());
        tokio::spawn(async move {
            let (mut connection, _) = service.accept().await.unwrap();
            connection.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
            std::future::pending::<()>().await;
        });
        let error = Fetcher::new(Duration::from_secs(5), 10).get(&url).await.unwrap_err();
        assert!(matches!(&error, FetchError::Unreachable(reason) if reason.contains("corrupt message")), "{error}");
    }

    #[tokio::test]
    async fn an_answer_over_the_limit_is_too_large() {
        let answer = |body: &str| format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        assert_eq!(fetch_from(answer("0123456789")).await, Ok((StatusCode::OK, b"0123456789".to_vec())));
        assert_eq!(fetch_from(answer("0123456789x")).await, Err(FetchError::TooLarge(10)));
    }

    #[tokio::test]
    async fn a_request_is_sent_with_its_headers_and_its_body_and_the_answer_has_headers_too() {
        let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/path?a=b", service.local_addr().unwrap());
        let served = tokio::spawn(async move {
            let (mut connection, _) = service.accept().await.unwrap();
            let mut request = [0; 1024];
            let length = connection.read(&mut request).await.unwrap();
            let answer = b"HTTP/1.1 429 Slow\r\nretry-after: 7\r\ncontent-length: 2\r\n\r\n{}";
            connection.write_all(answer).await.unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        let fetcher = Fetcher::new(Duration::from_secs(5), 10);
        let request = Request::post(&url).header("idempotency-key", "k").body(b"a body".to_vec()).unwrap();
        let answer = fetcher.send(request).await.unwrap();
        assert_eq!((answer.status(), answer.body().as_slice()), (StatusCode::TOO_MANY_REQUESTS, b"{}".as_slice()));
        assert_eq!(answer.headers()["retry-after"], "7");
        let request = served.await.unwrap();
        assert!(request.starts_with("POST /path?a=b HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("\r\nidempotency-key: k\r\n") && request.ends_with("\r\n\r\na body"), "{request}");
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed() {
        let answer = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(fetch_from(answer.to_owned()).await, Ok((StatusCode::FOUND, Vec::new())));
    }
}
