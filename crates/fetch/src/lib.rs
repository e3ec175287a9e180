//! Asking other people's services: bounded in time and in size, and nobody else than who was asked.

use std::sync::OnceLock;
use std::time::Duration;

use http::StatusCode;
use reqwest::Client;
use reqwest::redirect::Policy;

/// Why there is no answer, in words for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The service cannot be reached: there is no connection to it, or none in time, or it closes it without an answer.
    #[error("{0}")]
    NoAnswer(String),
    /// It can be reached, but the answer to this request takes too long, breaks off, or is too long.
    #[error("{0}")]
    Broken(String),
}

/// Fetches from one service. What goes wrong is told in words for the log, without the address.
#[derive(Debug)]
pub struct Fetcher {
    timeout: Duration,
    max_bytes: usize,
    /// Made when it is first needed: it reads certificates, which takes milliseconds.
    client: OnceLock<Result<Client, String>>,
}

impl Fetcher {
    /// One that waits so long for an answer to its end, and reads so many bytes of it.
    pub const fn new(timeout: Duration, max_bytes: usize) -> Self {
        Self { timeout, max_bytes, client: OnceLock::new() }
    }

    /// The status and the body of the answer at an address. A redirect is an answer like any other.
    ///
    /// # Errors
    /// There is no answer in time, or it cannot be read to its end.
    pub async fn get(&self, url: &str) -> Result<(StatusCode, Vec<u8>), FetchError> {
        let client = self.client.get_or_init(|| self.client()).as_ref();
        let client = client.map_err(|reason| FetchError::NoAnswer(reason.clone()))?;
        let mut answer = client.get(url).send().await.map_err(unanswered)?;
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| FetchError::Broken(innermost(error)))? {
            if body.len() + piece.len() > self.max_bytes {
                return Err(FetchError::Broken(format!("the answer has more than {} bytes", self.max_bytes)));
            }
            body.extend_from_slice(&piece);
        }
        Ok((answer.status(), body))
    }

    fn client(&self) -> Result<Client, String> {
        // Connecting has to time out first: then a timeout of the whole says that there was a connection.
        let (connecting, whole) = (self.timeout / 2, self.timeout);
        let client = Client::builder().redirect(Policy::none()).connect_timeout(connecting).timeout(whole);
        client.user_agent(concat!("runnable-jobs/", env!("CARGO_PKG_VERSION"))).build().map_err(innermost)
    }
}

/// Why no answer has begun. A timeout on an open connection says nothing about other requests to the same service.
fn unanswered(error: reqwest::Error) -> FetchError {
    let is_slow = error.is_timeout() && !error.is_connect();
    let reason = innermost(error);
    if is_slow { FetchError::Broken(reason) } else { FetchError::NoAnswer(reason) }
}

/// The cause behind the causes, without the address.
fn innermost(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
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

    /// What comes of a service that sends this and then is silent.
    async fn fetched(sent: String) -> Result<(StatusCode, Vec<u8>), FetchError> {
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
    async fn an_answer_that_does_not_come_to_its_end_is_given_up() {
        let late = "operation timed out".to_owned();
        assert_eq!(fetched(String::new()).await, Err(FetchError::Broken(late.clone())));
        let half = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{\"keys\"";
        assert_eq!(fetched(half.to_owned()).await, Err(FetchError::Broken(late)));
    }

    #[tokio::test]
    async fn a_service_that_cannot_be_reached_does_not_answer() {
        let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", closed.local_addr().unwrap());
        drop(closed);
        let fetcher = Fetcher::new(Duration::from_secs(5), 10);
        assert!(matches!(fetcher.get(&url).await, Err(FetchError::NoAnswer(_))));

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
        assert!(matches!(fetcher.get(&format!("http://{address}/")).await, Err(FetchError::NoAnswer(_))));
        waiting.iter().for_each(tokio::task::JoinHandle::abort);
    }

    #[tokio::test]
    async fn no_more_is_read_than_is_wanted() {
        let answer = |body: &str| format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        assert_eq!(fetched(answer("0123456789")).await, Ok((StatusCode::OK, b"0123456789".to_vec())));
        assert_eq!(
            fetched(answer("0123456789x")).await,
            Err(FetchError::Broken("the answer has more than 10 bytes".to_owned()))
        );
    }

    #[tokio::test]
    async fn a_redirect_is_not_followed() {
        let answer = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(fetched(answer.to_owned()).await, Ok((StatusCode::FOUND, Vec::new())));
    }
}
