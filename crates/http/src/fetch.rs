//! Asking other people's services: bounded in time and in size, and nobody else than who was asked.

use std::sync::OnceLock;
use std::time::Duration;

use http::StatusCode;
use reqwest::Client;
use reqwest::redirect::Policy;

/// Why there is no answer, in words for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The service does not answer: it cannot be reached, or is silent.
    #[error("{0}")]
    NoAnswer(String),
    /// It answers, but the answer breaks off, takes too long, or is too long.
    #[error("{0}")]
    Broken(String),
}

/// Fetches from one service. What goes wrong is told in words for the log, without the address.
#[derive(Debug)]
pub struct Fetcher {
    patience: Duration,
    most_bytes: usize,
    /// Made when it is first needed: it reads certificates, which takes milliseconds.
    client: OnceLock<Result<Client, String>>,
}

impl Fetcher {
    /// One that waits so long for an answer to its end, and reads so many bytes of it.
    pub const fn new(patience: Duration, most_bytes: usize) -> Self {
        Self { patience, most_bytes, client: OnceLock::new() }
    }

    /// The status and the body of the answer at an address. A redirect is an answer like any other.
    ///
    /// # Errors
    /// There is no answer in time, or it cannot be read to its end.
    pub async fn get(&self, url: &str) -> Result<(StatusCode, Vec<u8>), FetchError> {
        let client = self.client.get_or_init(|| self.client()).as_ref();
        let client = client.map_err(|reason| FetchError::NoAnswer(reason.clone()))?;
        let mut answer = client.get(url).send().await.map_err(|error| FetchError::NoAnswer(innermost(error)))?;
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| FetchError::Broken(innermost(error)))? {
            if body.len() + piece.len() > self.most_bytes {
                return Err(FetchError::Broken(format!("the answer has more than {} bytes", self.most_bytes)));
            }
            body.extend_from_slice(&piece);
        }
        Ok((answer.status(), body))
    }

    fn client(&self) -> Result<Client, String> {
        let client = Client::builder().redirect(Policy::none()).connect_timeout(self.patience).timeout(self.patience);
        client.user_agent(concat!("runnable-jobs/", env!("CARGO_PKG_VERSION"))).build().map_err(innermost)
    }
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
        assert_eq!(fetched(String::new()).await, Err(FetchError::NoAnswer(late.clone())));
        let half = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{\"keys\"";
        assert_eq!(fetched(half.to_owned()).await, Err(FetchError::Broken(late)));
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
