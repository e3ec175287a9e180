//! Requests to Taskcluster's services, without credentials.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use catalog::taskcluster::TaskId;
use chrono::DateTime;
use fetch::gzip::UnpackError;
use fetch::{AllowedHosts, Answer, GuardedError, GuardedFetcher, PostError, Url};
use http::StatusCode;
use http::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use runtime::Backoff;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::{ErrorBody, TaskclusterError};
use crate::settings::{TaskclusterSettings, is_index_path};
use crate::task::{TaskDefinition, TaskStatus};

/// Maximum size of an answer of a service, packed and unpacked: the largest that they give.
pub(crate) const MAX_ANSWER_BYTES: usize = 10 * 1024 * 1024;
/// Maximum pause that an answer can ask for. A longer one counts as this.
const MAX_RETRY_AFTER: Duration = Duration::from_hours(1);

/// The type of bodies.
pub(crate) const JSON: &str = "application/json";

/// The characters that are percent-encoded in a part of a path: those of JavaScript's `encodeURIComponent`, which
/// Taskcluster's own clients use. Slashes are among them.
const PART: AsciiSet = NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');

/// A client of one Taskcluster. It sends no credentials, but with [`Taskcluster::trigger_hook`].
pub struct Taskcluster {
    root_url: Url,
    pub(crate) fetcher: GuardedFetcher,
    pub(crate) timing: Timing,
    requests: AtomicU64,
}

/// How long things may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    /// A question to a service, with its retries. A person may wait for it.
    pub(crate) question: Duration,
    /// One attempt at it.
    pub(crate) attempt: Duration,
    /// The time without a byte after which an answer ends.
    pub(crate) idle: Duration,
    /// The pauses after 5xx and broken connections.
    pub(crate) backoff: Backoff,
    /// The call of a hook. If the Queue hangs, Hooks answers after 30 seconds.
    pub(crate) trigger: Duration,
}

impl Timing {
    const DEFAULT: Self = Self {
        question: Duration::from_secs(10),
        attempt: Duration::from_secs(5),
        idle: Duration::from_secs(10),
        backoff: Backoff::new(Duration::from_millis(200), 2),
        trigger: Duration::from_secs(35),
    };
}

/// A task in the Index.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct IndexedTask {
    task_id: String,
}

#[derive(Deserialize)]
struct StatusBody {
    status: TaskStatus,
}

impl Taskcluster {
    /// A client of the Taskcluster of these settings.
    pub fn new(settings: TaskclusterSettings) -> Self {
        Self::with_timing(settings, Timing::DEFAULT)
    }

    pub(crate) fn with_timing(settings: TaskclusterSettings, timing: Timing) -> Self {
        let TaskclusterSettings { root_url, artifact_hosts, .. } = settings;
        let fetcher = GuardedFetcher::new(AllowedHosts::new(&root_url, artifact_hosts), timing.idle);
        Self { root_url, fetcher, timing, requests: AtomicU64::new(0) }
    }

    /// The number of requests that the client has sent or tried to send so far, with retries and redirects.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    pub(crate) fn count_request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    /// Finds the task at a path of the Index. The Index holds only tasks that completed. `None` if there is none at it.
    ///
    /// # Errors
    /// The path is malformed, or there is no usable answer.
    pub async fn find_task(&self, index_path: &str) -> Result<Option<TaskId>, TaskclusterError> {
        if !is_index_path(index_path) {
            return Err(TaskclusterError::Broken("a path in the Index is expected: words between dots".to_owned()));
        }
        let found: Option<IndexedTask> = self.ask("index", &["task", index_path]).await?;
        let id = found.map(|task| task.task_id.parse()).transpose();
        id.map_err(|_| TaskclusterError::Broken("the Index names a task whose id is malformed".to_owned()))
    }

    /// The definition of a task. `None` if the Queue does not know it, or has forgotten it.
    ///
    /// # Errors
    /// There is no usable answer.
    pub async fn task(&self, id: &TaskId) -> Result<Option<TaskDefinition>, TaskclusterError> {
        self.ask("queue", &["task", id.as_str()]).await
    }

    /// The state of a task and of its runs. `None` if the Queue does not know it, or has forgotten it.
    ///
    /// # Errors
    /// There is no usable answer.
    pub async fn status(&self, id: &TaskId) -> Result<Option<TaskStatus>, TaskclusterError> {
        let found: Option<StatusBody> = self.ask("queue", &["task", id.as_str(), "status"]).await?;
        Ok(found.map(|body| body.status))
    }

    /// Asks a service. `None` if it answers that the thing does not exist.
    async fn ask<T: DeserializeOwned>(&self, service: &str, path: &[&str]) -> Result<Option<T>, TaskclusterError> {
        self.question(&self.url(service, path)?, None).await
    }

    /// Asks a question, which may have a body. It is repeated if there is no answer. `None` if the answer is that the
    /// thing does not exist.
    pub(crate) async fn question<T: DeserializeOwned>(
        &self,
        url: &Url,
        body: Option<&Value>,
    ) -> Result<Option<T>, TaskclusterError> {
        let deadline = Instant::now() + self.timing.question;
        let (status, headers, body) = self
            .retried(deadline, |left| async move {
                let timeout = left.min(self.timing.attempt);
                let answer = match body {
                    None => self.attempt(url, timeout).await?,
                    Some(body) => self.attempt_post(url, body, timeout).await?,
                };
                let (status, headers) = (answer.status(), answer.headers().clone());
                let body = answer.bytes(MAX_ANSWER_BYTES).await.map_err(TaskclusterError::from)?;
                Ok((status, headers, unpacked(body)?))
            })
            .await?;
        match status {
            StatusCode::OK => match serde_json::from_slice(&body) {
                Ok(found) => Ok(Some(found)),
                Err(_) if is_html(&headers) => Err(html()),
                // The error may quote the answer.
                Err(error) => Err(TaskclusterError::Broken(format!(
                    "its answer is not what is expected, at line {}, column {}",
                    error.line(),
                    error.column()
                ))),
            },
            status => match ErrorBody::read(&body) {
                // A 404 without the code is from a proxy, or for a route that does not exist.
                error if status == StatusCode::NOT_FOUND && error.code == "ResourceNotFound" => Ok(None),
                error if error.code.is_empty() && is_html(&headers) => Err(html()),
                error => Err(error.unexpected(status)),
            },
        }
    }

    /// The address of a call of a service.
    pub(crate) fn url(&self, service: &str, path: &[&str]) -> Result<Url, TaskclusterError> {
        let mut address = format!("/api/{service}/v1");
        for part in path {
            address.push('/');
            address.extend(utf8_percent_encode(part, &PART));
        }
        self.root_url.join(&address).map_err(|_| TaskclusterError::Broken("the root URL is wrong".to_owned()))
    }

    /// One GET, of which 5xx and 429 are errors.
    pub(crate) async fn attempt(&self, url: &Url, timeout: Duration) -> Result<Answer, Failed> {
        self.count_request();
        let answer = self.fetcher.get(url, timeout).await.map_err(|error| match error {
            GuardedError::Refused(_) => Failed::ForGood(error.into()),
            GuardedError::Failed(_) => Failed::ForNow(error.into()),
        })?;
        usable(answer)
    }

    /// One POST without credentials, which changes nothing. 5xx and 429 are errors.
    async fn attempt_post(&self, url: &Url, body: &Value, timeout: Duration) -> Result<Answer, Failed> {
        self.count_request();
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(JSON))]);
        let answer = self.fetcher.post(url, headers, body.to_string().into_bytes(), timeout).await;
        usable(answer.map_err(|error| match error {
            PostError::Unsent(error @ GuardedError::Refused(_)) => Failed::ForGood(error.into()),
            PostError::Unsent(error @ GuardedError::Failed(_)) => Failed::ForNow(error.into()),
            PostError::Unanswered(error) => Failed::ForNow(error.into()),
            PostError::TooLong(_) => Failed::ForGood(TaskclusterError::Broken(error.to_string())),
        })?)
    }

    /// Attempts something, given the time that is left, until it succeeds, fails for good, or there is no time or no
    /// retry left.
    // Not an `AsyncFn`: the compiler would not see that its futures can be sent.
    pub(crate) async fn retried<T, F: Future<Output = Result<T, Failed>>>(
        &self,
        deadline: Instant,
        attempt: impl Fn(Duration) -> F,
    ) -> Result<T, TaskclusterError> {
        let mut backoff = self.timing.backoff;
        loop {
            let left = time_left(deadline)?;
            let error = match attempt(left).await {
                Ok(done) => return Ok(done),
                Err(Failed::ForGood(error)) => return Err(error),
                Err(Failed::ForNow(error)) => error,
            };
            let pause = tokio::time::timeout_at(deadline.into(), backoff.pause()).await;
            if !pause.unwrap_or(false) {
                return Err(error);
            }
        }
    }
}

/// An answer that is neither 5xx nor 429.
fn usable(answer: Answer) -> Result<Answer, Failed> {
    let status = answer.status();
    if status != StatusCode::TOO_MANY_REQUESTS && !status.is_server_error() {
        return Ok(answer);
    }
    let retry_after = retry_after(answer.headers());
    let error = TaskclusterError::Unavailable { retry_after, reason: format!("it answers {status}") };
    // A server that asks for a pause gets it, from the caller.
    let is_for_good = retry_after.is_some() || status == StatusCode::TOO_MANY_REQUESTS;
    Err(if is_for_good { Failed::ForGood(error) } else { Failed::ForNow(error) })
}

/// How an attempt failed.
pub(crate) enum Failed {
    /// The next attempt may succeed.
    ForNow(TaskclusterError),
    /// The next attempt would fail in the same way.
    ForGood(TaskclusterError),
}

impl From<TaskclusterError> for Failed {
    fn from(error: TaskclusterError) -> Self {
        match error {
            TaskclusterError::Unavailable { .. } => Self::ForNow(error),
            _ => Self::ForGood(error),
        }
    }
}

/// The time until the deadline.
pub(crate) fn time_left(deadline: Instant) -> Result<Duration, TaskclusterError> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(TaskclusterError::unavailable("it takes too long to answer")) } else { Ok(left) }
}

/// The whole body of an answer, unpacked.
pub(crate) fn unpacked(body: Vec<u8>) -> Result<Vec<u8>, TaskclusterError> {
    let mut read = Vec::new();
    let mut unpacked = fetch::gzip::unpacked(std::io::Cursor::new(body), MAX_ANSWER_BYTES as u64);
    match std::io::Read::read_to_end(&mut unpacked, &mut read) {
        Ok(_) => Ok(read),
        Err(error) => match error.get_ref().and_then(|error| error.downcast_ref()) {
            Some(UnpackError::TooLarge(limit)) => Err(TaskclusterError::TooLarge(*limit)),
            _ => Err(TaskclusterError::Broken(format!("its answer cannot be unpacked: {error}"))),
        },
    }
}

/// Whether the body is a page for people. Taskcluster sends none, but a proxy in front of it does.
pub(crate) fn is_html(headers: &HeaderMap) -> bool {
    text(headers, &CONTENT_TYPE).is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/html"))
}

pub(crate) fn html() -> TaskclusterError {
    TaskclusterError::unavailable("a page in HTML stands in the place of the answer")
}

pub(crate) fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// The pause that an answer asks for, in seconds or as a date, which is compared with the server's own clock.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = text(headers, &RETRY_AFTER)?.trim();
    let pause = if let Ok(seconds) = value.parse() {
        Duration::from_secs(seconds)
    } else {
        let date = |text: &str| DateTime::parse_from_rfc2822(text.trim()).ok();
        let (until, now) = (date(value)?, date(text(headers, &DATE)?)?);
        (until - now).to_std().unwrap_or_default()
    };
    Some(pause.min(MAX_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause(headers: &[(HeaderName, &str)]) -> Option<u64> {
        let headers = headers.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect();
        retry_after(&headers).map(|pause| pause.as_secs())
    }

    #[test]
    fn a_pause_is_in_seconds_or_until_a_date() {
        let now = (DATE, "Wed, 25 Nov 2026 10:00:00 GMT");
        assert_eq!(pause(&[(RETRY_AFTER, "120")]), Some(120));
        assert_eq!(pause(&[(RETRY_AFTER, "0")]), Some(0));
        assert_eq!(pause(&[(RETRY_AFTER, "Wed, 25 Nov 2026 10:01:30 GMT"), now.clone()]), Some(90));
        assert_eq!(pause(&[(RETRY_AFTER, "Wed, 25 Nov 2026 09:00:00 GMT"), now.clone()]), Some(0));
        assert_eq!(pause(&[(RETRY_AFTER, "999999999")]), Some(3600));
        for wrong in ["", "-1", "soon", "1.5", "99999999999999999999999", "Wed, 99 Nov 2026 10:00:00 GMT"] {
            assert_eq!(pause(&[(RETRY_AFTER, wrong), now.clone()]), None, "{wrong}");
        }
        assert_eq!(pause(&[]), None);
    }
}
