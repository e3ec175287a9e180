//! Fetches from configured hosts only, whatever address another service names.

use std::error::Error as _;
use std::io::{self, Read};
use std::sync::OnceLock;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use http::StatusCode;
use http::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};
use reqwest::{Client, ClientBuilder, Response, Url};
use tokio_util::io::{StreamReader, SyncIoBridge};

use crate::hosts::{AllowedHosts, Refusal};
use crate::{FetchError, broken, client_builder, collect, no_answer, root_cause};

/// Why there is no answer from a guarded address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GuardedError {
    /// The address may not be fetched. Nothing was sent.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There is no complete answer.
    #[error(transparent)]
    Failed(#[from] FetchError),
}

/// Why a POST has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// The request was certainly not sent: the address is refused, or there is no connection.
    #[error(transparent)]
    Unsent(#[from] GuardedError),
    /// The request was certainly not sent: its body is longer than this number of bytes.
    #[error("the body of the request has more than {0} bytes")]
    TooLong(usize),
    /// The request may have arrived, and may have had an effect.
    #[error(transparent)]
    Unanswered(FetchError),
}

/// Maximum size of the body of a POST, in bytes.
pub const MAX_POST_BYTES: usize = 10 * 1024 * 1024;

/// Fetches from the allowed hosts. It follows no redirect and sends no credentials on its own: no cookie, no password
/// of a file or of an address, and nothing through a proxy, which would resolve names unchecked. Bodies may be gzipped.
#[derive(Debug)]
pub struct GuardedFetcher {
    hosts: AllowedHosts,
    idle_timeout: Duration,
    /// Without TLS and with it, each made for its first request.
    clients: [OnceLock<Result<Client, String>>; 2],
    /// The same for POST. These keep no connection: a kept one may have been closed by the server, and then it is not
    /// known whether a request that was written to it arrived.
    posting_clients: [OnceLock<Result<Client, String>>; 2],
}

impl GuardedFetcher {
    /// A client for these hosts. An answer that brings no byte for `idle_timeout` ends.
    pub const fn new(hosts: AllowedHosts, idle_timeout: Duration) -> Self {
        Self {
            hosts,
            idle_timeout,
            clients: [const { OnceLock::new() }; 2],
            posting_clients: [const { OnceLock::new() }; 2],
        }
    }

    /// Returns the answer, of which only the head has been read. A redirect is an answer like any other. The answer
    /// has to be complete in `timeout`, with its body.
    ///
    /// # Errors
    /// The address is refused, or there is no answer in time.
    pub async fn get(&self, url: &Url, timeout: Duration) -> Result<Answer, GuardedError> {
        self.hosts.check(url)?;
        let with_tls = url.scheme() != "http";
        let client = self.clients[usize::from(with_tls)].get_or_init(|| {
            let client = self.client(with_tls)?.read_timeout(self.idle_timeout);
            client.build().map_err(root_cause)
        });
        let client = client.as_ref().map_err(|reason| FetchError::Unreachable(reason.clone()))?;
        match client.get(url.clone()).timeout(timeout).send().await {
            Ok(answer) => Ok(Answer(answer)),
            Err(error) => Err(match refusal(&error) {
                Some(refusal) => GuardedError::Refused(refusal),
                None => GuardedError::Failed(no_answer(error)),
            }),
        }
    }

    /// Sends a request with a body once, over a connection of its own. Returns the answer, of which only the head has
    /// been read. A redirect is an answer like any other. The answer has to be complete in `timeout`, with its body.
    ///
    /// # Errors
    /// The address is refused, or there is no answer in time.
    pub async fn post(
        &self,
        url: &Url,
        headers: HeaderMap,
        body: Vec<u8>,
        timeout: Duration,
    ) -> Result<Answer, PostError> {
        self.hosts.check(url).map_err(GuardedError::from)?;
        if body.len() > MAX_POST_BYTES {
            return Err(PostError::TooLong(MAX_POST_BYTES));
        }
        let with_tls = url.scheme() != "http";
        let client = self.posting_clients[usize::from(with_tls)].get_or_init(|| {
            let client = self.client(with_tls)?.pool_max_idle_per_host(0);
            client.build().map_err(root_cause)
        });
        let unreachable = |reason: &String| GuardedError::Failed(FetchError::Unreachable(reason.clone()));
        let client = client.as_ref().map_err(unreachable)?;
        match client.post(url.clone()).headers(headers).body(body).timeout(timeout).send().await {
            Ok(answer) => Ok(Answer(answer)),
            Err(error) => Err(match refusal(&error) {
                Some(refusal) => PostError::Unsent(refusal.into()),
                // TLS belongs to the connection.
                None if error.is_connect() || error.is_builder() => PostError::Unsent(no_answer(error).into()),
                None => PostError::Unanswered(no_answer(error)),
            }),
        }
    }

    fn client(&self, with_tls: bool) -> Result<ClientBuilder, String> {
        let gzip = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("gzip"))]);
        let client = client_builder(with_tls)?.connect_timeout(self.idle_timeout);
        Ok(client.no_proxy().dns_resolver(self.hosts.resolver()).default_headers(gzip))
    }
}

/// The refusal of the resolver, which is the cause of a failed connection.
fn refusal(error: &reqwest::Error) -> Option<Refusal> {
    let mut cause = error.source();
    while let Some(error) = cause {
        if let Some(refusal) = error.downcast_ref::<Refusal>() {
            return Some(refusal.clone());
        }
        cause = error.source();
    }
    None
}

/// An answer whose body has not been read.
#[derive(Debug)]
pub struct Answer(Response);

impl Answer {
    /// The status.
    pub fn status(&self) -> StatusCode {
        self.0.status()
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        self.0.headers()
    }

    /// The number of bytes of the body as it is sent, if known.
    pub fn content_length(&self) -> Option<u64> {
        self.0.content_length()
    }

    /// The body as it was sent.
    ///
    /// # Errors
    /// It is not complete in time, or it is longer than `max_bytes`.
    pub async fn bytes(mut self, max_bytes: usize) -> Result<Vec<u8>, FetchError> {
        collect(&mut self.0, max_bytes).await
    }

    /// The body as it is sent, as by `blocking_body`.
    pub fn into_read(self) -> impl Read + Send + 'static {
        blocking_body(self.0)
    }
}

/// The body of an answer, to be read on a thread that may block. The `io::Error` of a read holds a [`FetchError`].
///
/// # Panics
/// It is not called in a Tokio runtime, or it is read on a thread that must not block.
pub fn blocking_body(response: Response) -> impl Read + Send + 'static {
    let bytes = StreamReader::new(response.bytes_stream().map_err(|error| io::Error::other(broken(error))));
    SyncIoBridge::new(Box::pin(bytes))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(5);

    /// A fetcher of a service that sends these bytes and then nothing more, its address, and the request.
    async fn serving(sent: &'static str) -> (GuardedFetcher, Url, tokio::task::JoinHandle<String>) {
        let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: Url = format!("http://{}/", service.local_addr().unwrap()).parse().unwrap();
        let request = tokio::spawn(async move {
            let (mut connection, _) = service.accept().await.unwrap();
            let mut request = [0; 1024];
            let length = connection.read(&mut request).await.unwrap();
            connection.write_all(sent.as_bytes()).await.unwrap();
            tokio::spawn(async move {
                let _connection = connection;
                std::future::pending::<()>().await;
            });
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        (GuardedFetcher::new(AllowedHosts::new(&url, []), Duration::from_millis(200)), url, request)
    }

    #[tokio::test]
    async fn a_request_carries_nothing_but_what_it_needs() {
        let (fetcher, url, request) =
            serving("HTTP/1.1 200 OK\r\nset-cookie: a=b\r\ncontent-length: 2\r\n\r\n{}").await;
        let answer = fetcher.get(&url, TIMEOUT).await.unwrap();
        assert_eq!((answer.status(), answer.content_length()), (StatusCode::OK, Some(2)));
        assert_eq!(answer.bytes(2).await.unwrap(), b"{}");
        let request = request.await.unwrap().to_lowercase();
        let mut names: Vec<_> =
            request.lines().skip(1).filter_map(|line| line.split_once(':')).map(|it| it.0).collect();
        names.sort_unstable();
        assert_eq!(names, ["accept", "accept-encoding", "host", "user-agent"]);
    }

    #[tokio::test]
    async fn a_name_that_stands_for_this_machine_is_refused_before_a_connection() {
        let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: Url = format!("https://localhost:{}/", service.local_addr().unwrap().port()).parse().unwrap();
        let fetcher = GuardedFetcher::new(AllowedHosts::new(&url, []), TIMEOUT);
        let refused = fetcher.get(&url, TIMEOUT).await.unwrap_err();
        assert!(matches!(refused, GuardedError::Refused(Refusal::Address { .. })), "{refused}");
        assert!(tokio::time::timeout(Duration::from_millis(50), service.accept()).await.is_err());
    }

    #[tokio::test]
    async fn another_host_is_refused() {
        let (fetcher, ..) = serving("").await;
        let other = "https://example.org/".parse().unwrap();
        let refused = fetcher.get(&other, TIMEOUT).await.unwrap_err();
        assert_eq!(refused, GuardedError::Refused(Refusal::Host("example.org".to_owned())));
    }

    #[tokio::test]
    async fn a_body_that_stops_or_takes_too_long_ends() {
        let half = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{\"keys\"";
        for timeout in [TIMEOUT, Duration::from_millis(100)] {
            let (fetcher, url, _) = serving(half).await;
            let answer = fetcher.get(&url, timeout).await.unwrap();
            let mut body = answer.into_read();
            let read = tokio::task::spawn_blocking(move || body.read_to_end(&mut Vec::new()));
            let error = tokio::time::timeout(Duration::from_secs(2), read).await.unwrap().unwrap().unwrap_err();
            assert!(matches!(error.downcast::<FetchError>(), Ok(FetchError::TimedOut(_))));
        }
    }

    fn unanswered(result: Result<Answer, PostError>) -> FetchError {
        match result.unwrap_err() {
            PostError::Unanswered(error) => error,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_post_carries_its_body_and_is_sent_once() {
        let (fetcher, url, request) = serving("HTTP/1.1 307 Moved\r\nlocation: /\r\ncontent-length: 2\r\n\r\n{}").await;
        let headers = HeaderMap::from_iter([(http::header::CONTENT_TYPE, HeaderValue::from_static("a/b"))]);
        let answer = fetcher.post(&url, headers, b"a body".to_vec(), TIMEOUT).await.unwrap();
        assert_eq!(answer.status(), StatusCode::TEMPORARY_REDIRECT);
        assert_eq!(answer.bytes(2).await.unwrap(), b"{}");
        let request = request.await.unwrap();
        assert!(request.starts_with("POST / HTTP/1.1\r\ncontent-type: a/b\r\n"), "{request}");
        assert!(request.ends_with("\r\n\r\na body"), "{request}");
    }

    #[tokio::test]
    async fn a_post_without_a_connection_was_certainly_not_sent() {
        let (fetcher, url, _) = serving("").await;
        let post = async |fetcher: &GuardedFetcher, url: &str, body| {
            fetcher.post(&url.parse().unwrap(), HeaderMap::new(), body, TIMEOUT).await.unwrap_err()
        };
        let refused = post(&fetcher, "https://example.org/", Vec::new()).await;
        let refusal = Refusal::Host("example.org".to_owned());
        assert_eq!(refused, PostError::Unsent(GuardedError::Refused(refusal)));
        let too_long = post(&fetcher, url.as_str(), vec![0; MAX_POST_BYTES + 1]).await;
        assert_eq!(too_long, PostError::TooLong(MAX_POST_BYTES));

        // A name that stands for this machine, and a port on which nothing listens.
        let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = service.local_addr().unwrap();
        let named: Url = format!("https://localhost:{}/", address.port()).parse().unwrap();
        let refused =
            post(&GuardedFetcher::new(AllowedHosts::new(&named, []), TIMEOUT), named.as_str(), Vec::new()).await;
        assert!(matches!(refused, PostError::Unsent(GuardedError::Refused(Refusal::Address { .. }))), "{refused:?}");
        drop(service);
        let local: Url = format!("http://{address}/").parse().unwrap();
        let unsent =
            post(&GuardedFetcher::new(AllowedHosts::new(&local, []), TIMEOUT), local.as_str(), Vec::new()).await;
        assert!(matches!(unsent, PostError::Unsent(GuardedError::Failed(FetchError::Unreachable(_)))), "{unsent:?}");
    }

    #[tokio::test]
    async fn a_post_that_was_sent_may_have_arrived_whatever_comes_after() {
        // The connection ends without an answer, brings none in time, or brings something else.
        for (sent, hangs) in [("", false), ("HTTP/1.1 200 OK\r\n", true), ("nonsense\r\n\r\n", false)] {
            let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url: Url = format!("http://{}/", service.local_addr().unwrap()).parse().unwrap();
            let connections = tokio::spawn(async move {
                let mut connections = Vec::new();
                while let Ok(accepted) = tokio::time::timeout(Duration::from_millis(700), service.accept()).await {
                    let (mut connection, _) = accepted.unwrap();
                    let _ = connection.read(&mut [0; 1024]).await.unwrap();
                    connection.write_all(sent.as_bytes()).await.unwrap();
                    connections.push(hangs.then_some(connection));
                }
                connections.len()
            });
            let fetcher = GuardedFetcher::new(AllowedHosts::new(&url, []), TIMEOUT);
            let timeout = Duration::from_millis(300);
            let error = unanswered(fetcher.post(&url, HeaderMap::new(), b"{}".to_vec(), timeout).await);
            assert_eq!(matches!(error, FetchError::TimedOut(_)), hangs, "{error}");
            assert_eq!(connections.await.unwrap(), 1, "it is not repeated");
        }
    }

    #[tokio::test]
    async fn a_post_has_a_connection_of_its_own() {
        let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: Url = format!("http://{}/", service.local_addr().unwrap()).parse().unwrap();
        let fetcher = GuardedFetcher::new(AllowedHosts::new(&url, []), TIMEOUT);
        for _ in 0..2 {
            let post = fetcher.post(&url, HeaderMap::new(), Vec::new(), TIMEOUT);
            let serve = async {
                // Both requests get here only if the second has a new connection.
                let (mut connection, _) = service.accept().await.unwrap();
                let _ = connection.read(&mut [0; 1024]).await.unwrap();
                connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
                connection
            };
            let (answer, connection) = tokio::join!(post, serve);
            assert_eq!(answer.unwrap().bytes(0).await.unwrap(), b"");
            std::mem::forget(connection);
        }
    }
}
