//! Where a source is read from: a file, standard input, a web server or S3.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use reqwest::header::{ETAG, HeaderMap, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};
use runtime::{Aws, Backoff};
use tokio_util::io::SyncIoBridge;

/// The pauses between requests to a web server before the source counts as unreachable.
const WEB_BACKOFF: Backoff = Backoff::new(Duration::from_secs(1), 2);
/// Maximum number of redirects.
const MAX_REDIRECTS: usize = 5;

/// The address of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourceLocation {
    /// `-`
    Stdin,
    /// A path.
    File(PathBuf),
    /// `http://` or `https://`
    Web(Url),
    /// `s3://BUCKET/KEY`
    S3 {
        /// The bucket.
        bucket: String,
        /// The key in it.
        key: String,
    },
}

impl FromStr for SourceLocation {
    type Err = String;

    fn from_str(address: &str) -> Result<Self, String> {
        match address.split_once("://") {
            None if address == "-" => Ok(Self::Stdin),
            None if address.is_empty() => Err("an address, a path or '-' is expected".to_owned()),
            None => Ok(Self::File(address.into())),
            Some(("http" | "https", _)) => {
                address.parse().map(Self::Web).map_err(|error| format!("not a valid address: {error}"))
            }
            Some(("s3", place)) => match place.split_once('/') {
                Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() => {
                    Ok(Self::S3 { bucket: bucket.to_owned(), key: key.to_owned() })
                }
                _ => Err("not the address of an object: s3://BUCKET/KEY is expected".to_owned()),
            },
            Some(_) => Err("its scheme is unknown: http, https, s3, a file or '-' can be read".to_owned()),
        }
    }
}

impl fmt::Display for SourceLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("standard input"),
            Self::File(path) => write!(f, "{}", path.display()),
            // The part before an '@' may be a password.
            Self::Web(url) if url.has_authority() && (!url.username().is_empty() || url.password().is_some()) => {
                let mut shown = url.clone();
                let _ = shown.set_password(None);
                let _ = shown.set_username("…");
                write!(f, "{shown}")
            }
            Self::Web(url) => write!(f, "{url}"),
            Self::S3 { bucket, key } => write!(f, "s3://{bucket}/{key}"),
        }
    }
}

/// The validators of one state of a source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Validators {
    /// The ETag, as it was given.
    pub etag: Option<String>,
    /// Last-Modified, as it was given.
    pub last_modified: Option<String>,
}

impl Validators {
    fn is_empty(&self) -> bool {
        self.etag.is_none() && self.last_modified.is_none()
    }
}

/// An opened source.
pub enum Opened {
    /// The source is unchanged since the state with these validators.
    NotModified,
    /// Its content.
    Content(Content),
}

/// The content of a source, to be read on a thread that may block.
pub struct Content {
    /// The bytes, compressed or not.
    pub bytes: Box<dyn Read + Send>,
    /// The number of bytes, if known.
    pub length: Option<u64>,
    /// The validators of this state.
    pub validators: Validators,
}

/// Why a source cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{address}: {reason}")]
pub struct SourceError {
    address: String,
    reason: String,
}

/// A client for web sources: bounded in time, and with few redirects.
///
/// # Errors
/// TLS cannot be configured.
fn web_client() -> Result<Client, String> {
    let client = Client::builder()
        // An address without TLS may redirect to one with it.
        .tls_backend_preconfigured(fetch::trusting_the_system()?)
        .user_agent(concat!("runnable-jobs-etl/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(Duration::from_secs(10))
        .read_timeout(Duration::from_secs(30))
        .redirect(Policy::custom(|attempt| match refused_redirect(attempt.previous(), attempt.url()) {
            Some(reason) => attempt.error(reason),
            None => attempt.follow(),
        }));
    client.build().map_err(|error| innermost(&error))
}

/// Why a redirect is not followed; `None` if it is. A redirect must not lead from TLS to plain HTTP.
fn refused_redirect(previous: &[Url], next: &Url) -> Option<&'static str> {
    if previous.len() > MAX_REDIRECTS {
        return Some("the server redirects too often");
    }
    let was_secure = previous.iter().any(|url| url.scheme() == "https");
    (was_secure && next.scheme() != "https").then_some("the server redirects from https to http")
}

impl SourceLocation {
    fn error(&self, reason: impl Into<String>) -> SourceError {
        SourceError { address: self.to_string(), reason: reason.into() }
    }

    /// Opens the source, unless it is unchanged since the state with the validators `known`.
    ///
    /// # Errors
    /// The source does not exist, cannot be reached, or answers that it is unchanged to a request without validators.
    pub async fn open(&self, known: &Validators, aws: Option<&Aws>) -> Result<Opened, SourceError> {
        match self {
            Self::Stdin => Ok(Opened::Content(Content {
                bytes: Box::new(io::stdin()),
                length: None,
                validators: Validators::default(),
            })),
            Self::File(path) => {
                let file = File::open(path).map_err(|error| self.error(error.to_string()))?;
                let metadata = file.metadata().map_err(|error| self.error(error.to_string()))?;
                if metadata.is_dir() {
                    return Err(self.error("is a folder"));
                }
                let length = metadata.is_file().then_some(metadata.len());
                Ok(Opened::Content(Content { bytes: Box::new(file), length, validators: Validators::default() }))
            }
            Self::Web(url) => self.open_web(url, known).await,
            Self::S3 { bucket, key } => match aws {
                Some(aws) => self.open_s3(&aws.s3(), bucket, key, known).await,
                None => Err(self.error("S3 needs a configuration for AWS")),
            },
        }
    }

    /// Not modified: valid only as the answer to a request with validators.
    fn not_modified(&self, sent: &Validators) -> Result<Opened, SourceError> {
        if sent.is_empty() {
            return Err(self.error("the server answered 304 Not Modified to a request without validators"));
        }
        Ok(Opened::NotModified)
    }

    async fn open_web(&self, url: &Url, known: &Validators) -> Result<Opened, SourceError> {
        let client = web_client().map_err(|reason| self.error(reason))?;
        let mut backoff = WEB_BACKOFF;
        let response = loop {
            let mut request = client.get(url.clone());
            for (name, value) in [(IF_NONE_MATCH, &known.etag), (IF_MODIFIED_SINCE, &known.last_modified)] {
                if let Some(value) = value {
                    request = request.header(name, value);
                }
            }
            let error = match request.send().await {
                Ok(response) if !response.status().is_server_error() => break response,
                Ok(response) => self.error(format!("the server answered {}", response.status())),
                Err(error) if error.is_redirect() => return Err(self.error(innermost(&error.without_url()))),
                Err(error) => self.error(innermost(&error.without_url())),
            };
            if !backoff.pause().await {
                return Err(error);
            }
            tracing::warn!(%error, "the source is requested again");
        };
        match response.status() {
            StatusCode::NOT_MODIFIED => self.not_modified(known),
            StatusCode::OK => {
                let validators = validators(response.headers());
                let length = response.content_length();
                Ok(Opened::Content(Content { bytes: Box::new(fetch::blocking_body(response)), length, validators }))
            }
            status => Err(self.error(format!("the server answered {status}"))),
        }
    }

    async fn open_s3(
        &self,
        client: &aws_sdk_s3::Client,
        bucket: &str,
        key: &str,
        known: &Validators,
    ) -> Result<Opened, SourceError> {
        let request = client.get_object().bucket(bucket).key(key).set_if_none_match(known.etag.clone());
        match request.send().await {
            Ok(object) => Ok(Opened::Content(Content {
                length: object.content_length.and_then(|length| u64::try_from(length).ok()),
                validators: Validators { etag: object.e_tag, last_modified: None },
                bytes: Box::new(SyncIoBridge::new(object.body.into_async_read())),
            })),
            Err(SdkError::ServiceError(error)) if error.raw().status().as_u16() == 304 => {
                // S3 gets only the ETag.
                self.not_modified(&Validators { etag: known.etag.clone(), last_modified: None })
            }
            Err(error) => {
                let reason = match (error.code(), error.message()) {
                    (Some(code), Some(message)) => format!("{code}: {message}"),
                    (Some(code), None) => code.to_owned(),
                    _ => innermost(&error),
                };
                Err(self.error(reason))
            }
        }
    }
}

fn validators(headers: &HeaderMap) -> Validators {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(ToOwned::to_owned);
    Validators { etag: header(ETAG), last_modified: header(LAST_MODIFIED) }
}

/// The innermost cause of an error, which has the useful message.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_decides_the_kind_of_source() {
        let parse = |address: &str| address.parse::<SourceLocation>();
        assert_eq!(parse("-"), Ok(SourceLocation::Stdin));
        assert_eq!(parse("a/b.json"), Ok(SourceLocation::File("a/b.json".into())));
        assert_eq!(
            parse("s3://bucket/a/b.json"),
            Ok(SourceLocation::S3 { bucket: "bucket".to_owned(), key: "a/b.json".to_owned() })
        );
        assert!(matches!(parse("https://example.org/a.json"), Ok(SourceLocation::Web(_))));
    }

    #[test]
    fn a_wrong_address_is_refused_with_what_is_expected() {
        let said = |address: &str| address.parse::<SourceLocation>().unwrap_err();
        assert_eq!(said("s3://bucket"), "not the address of an object: s3://BUCKET/KEY is expected");
        assert_eq!(said("ftp://host/a"), "its scheme is unknown: http, https, s3, a file or '-' can be read");
        assert_eq!(said(""), "an address, a path or '-' is expected");
        assert!(said("http://[").starts_with("not a valid address: "));
        assert!(!said("https://user:secret@[").contains("secret"));
    }

    #[test]
    fn a_redirect_is_followed_five_times_and_never_away_from_https() {
        let urls = |addresses: &[&str]| addresses.iter().map(|address| address.parse().unwrap()).collect::<Vec<Url>>();
        let refused = |previous: &[&str], next: &str| refused_redirect(&urls(previous), &next.parse().unwrap());
        let (secure, plain) = ("https://example.org/a", "http://example.org/a");
        assert_eq!(refused(&[plain], plain), None);
        assert_eq!(refused(&[plain], secure), None);
        assert_eq!(refused(&[secure; 5], secure), None);
        assert_eq!(refused(&[secure; 6], secure), Some("the server redirects too often"));
        assert_eq!(refused(&[secure], plain), Some("the server redirects from https to http"));
        assert_eq!(refused(&[plain, secure], plain), Some("the server redirects from https to http"));
    }

    #[test]
    fn a_password_in_an_address_is_not_shown() {
        let source: SourceLocation = "https://user:secret@example.org/a.json".parse().unwrap();
        assert_eq!(source.to_string(), "https://%E2%80%A6@example.org/a.json");
    }
}
