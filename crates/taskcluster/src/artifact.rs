//! Artifacts of tasks.

use std::io::Read;
use std::time::{Duration, Instant};

use catalog::taskcluster::TaskId;
use fetch::gzip::max_packed_bytes;
use fetch::{Answer, Url};
use http::StatusCode;
use http::header::{CONTENT_ENCODING, HeaderMap, HeaderName, LOCATION};

use crate::client::{Taskcluster, html, is_html, text, time_left, unpacked};
use crate::error::{ArtifactError, ErrorBody, Refusal, TaskclusterError, one_line};
use crate::task::{TaskRun, TaskState, TaskStatus};

/// Maximum number of redirects on the way to an artifact.
const MAX_REDIRECTS: usize = 5;
/// Maximum number of runs in which an artifact is looked for. Decision tasks have up to six.
const MAX_RUNS: usize = 10;
/// Maximum size of an answer that stands in the place of an artifact.
const MAX_ERROR_BYTES: usize = 64 * 1024;
/// Maximum length of an artifact's name, in bytes.
const MAX_NAME: usize = 1024;

/// How an artifact is stored.
const STORAGE_TYPE: HeaderName = HeaderName::from_static("x-taskcluster-artifact-storage-type");
/// The ways that are fetched. The Queue resolves a `link` to another artifact of the task.
const STORAGE_TYPES: [&str; 3] = ["s3", "object", "link"];

/// How large an artifact may be, and how long it may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ArtifactLimits {
    /// Maximum number of bytes, as they are sent and unpacked.
    pub max_bytes: u64,
    /// Maximum time from the first request to the last byte.
    pub timeout: Duration,
}

/// An artifact whose body has not been read.
pub struct Artifact {
    /// The bytes, unpacked if they are gzipped, up to the limit. To be read on a thread that may block. See
    /// [`ArtifactError::of_body`] for the errors.
    pub body: Box<dyn Read + Send>,
    /// The number of bytes as they are sent, if known.
    pub content_length: Option<u64>,
}

impl std::fmt::Debug for Artifact {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Artifact").field("content_length", &self.content_length).finish_non_exhaustive()
    }
}

impl Taskcluster {
    /// Fetches an artifact of a run of a task, or of its latest run.
    ///
    /// # Errors
    /// The artifact cannot be had. Of a task that has not ended, it may only be missing yet.
    pub async fn artifact(
        &self,
        id: &TaskId,
        run: Option<u32>,
        name: &str,
        limits: ArtifactLimits,
    ) -> Result<Artifact, ArtifactError> {
        self.fetch(id, run, name, limits.max_bytes, Instant::now() + limits.timeout).await
    }

    /// Fetches an artifact of the latest run of a task that has it. A run that Taskcluster repeated may have left it
    /// although the latest has not.
    ///
    /// # Errors
    /// The artifact cannot be had.
    pub async fn artifact_of_any_run(
        &self,
        id: &TaskId,
        name: &str,
        limits: ArtifactLimits,
    ) -> Result<Artifact, ArtifactError> {
        let deadline = Instant::now() + limits.timeout;
        match self.fetch(id, None, name, limits.max_bytes, deadline).await {
            Err(ArtifactError::Missing(_)) => {}
            found => return found,
        }
        let Some(status) = self.status(id).await? else {
            return Err(ArtifactError::Missing(format!("the task {id} does not exist, or has expired")));
        };
        // A run that has ended is looked at again even if it is the latest: it may have ended since.
        let ended = status.runs.iter().rev().filter(|run| !run.state.is_open()).take(MAX_RUNS);
        let mut first_error = None;
        for run in ended {
            match self.fetch(id, Some(run.run_id), name, limits.max_bytes, deadline).await {
                Err(ArtifactError::Missing(_)) => {}
                Err(error @ (ArtifactError::Expired(_) | ArtifactError::Failed { .. })) => {
                    first_error.get_or_insert(error);
                }
                found => return found,
            }
        }
        Err(match first_error {
            _ if status.state.is_open() => ArtifactError::NotYet(status.state),
            Some(error) => error,
            None => ArtifactError::Missing(never_there(&status)),
        })
    }

    async fn fetch(
        &self,
        id: &TaskId,
        run: Option<u32>,
        name: &str,
        max_bytes: u64,
        deadline: Instant,
    ) -> Result<Artifact, ArtifactError> {
        if !is_name(name) {
            return Err(ArtifactError::Broken("the name of an artifact is expected, such as public/a.json".to_owned()));
        }
        let run = run.map(|run| run.to_string());
        let mut url = match &run {
            Some(run) => self.url("queue", &["task", id.as_str(), "runs", run, "artifacts", name])?,
            None => self.url("queue", &["task", id.as_str(), "artifacts", name])?,
        };
        for redirects in 0..=MAX_REDIRECTS {
            let answer = self.retried(deadline, |left| self.attempt(&url, left)).await?;
            check_storage_type(&answer)?;
            let status = answer.status();
            if status.is_redirection() {
                url = target(&url, answer.headers())?;
            } else if redirects == 0 || status != StatusCode::OK {
                return Err(self.no_artifact(answer, redirects > 0, deadline).await);
            } else {
                return artifact(answer, max_bytes);
            }
        }
        Err(Refusal::Redirects(MAX_REDIRECTS).into())
    }

    /// The error of an answer that is neither an artifact nor a redirect.
    async fn no_artifact(&self, answer: Answer, is_from_storage: bool, deadline: Instant) -> ArtifactError {
        let (status, is_html) = (answer.status(), is_html(answer.headers()));
        if is_from_storage {
            return match status {
                // Storage that does not list what it holds forbids what it does not hold.
                StatusCode::NOT_FOUND | StatusCode::FORBIDDEN => {
                    ArtifactError::Missing(format!("the host of the artifact answers {status}"))
                }
                StatusCode::GONE => ArtifactError::Expired(format!("its host answers {status}")),
                _ => ArtifactError::Broken(format!("the host of the artifact answers {status}")),
            };
        }
        let body = async {
            let body = tokio::time::timeout(time_left(deadline)?, answer.bytes(MAX_ERROR_BYTES)).await;
            unpacked(body.map_err(|_| TaskclusterError::unavailable("it takes too long to answer"))??)
        };
        let error = match body.await {
            Ok(body) => ErrorBody::read(&body),
            Err(error) => return error.into(),
        };
        match status {
            StatusCode::OK => ArtifactError::Broken("the Queue does not say where the artifact is".to_owned()),
            StatusCode::NOT_FOUND if error.code == "ResourceNotFound" => ArtifactError::Missing(error.shown()),
            StatusCode::GONE if !error.code.is_empty() => ArtifactError::Expired(error.shown()),
            StatusCode::FAILED_DEPENDENCY => {
                let said = [one_line(&error.reason), error.shown()];
                let said: Vec<_> = said.into_iter().filter(|part| !part.is_empty()).collect();
                ArtifactError::Failed { reason: said.join(": ") }
            }
            _ if is_html && error.code.is_empty() => html().into(),
            _ => error.unexpected(status).into(),
        }
    }
}

/// Refuses an artifact that is stored in a way that is not fetched. If the header is repeated, each one counts.
fn check_storage_type(answer: &Answer) -> Result<(), ArtifactError> {
    for value in answer.headers().get_all(STORAGE_TYPE) {
        let storage_type = String::from_utf8_lossy(value.as_bytes());
        let storage_type = storage_type.trim().to_ascii_lowercase();
        let is_error = storage_type == "error" && answer.status() == StatusCode::FAILED_DEPENDENCY;
        if !is_error && !STORAGE_TYPES.contains(&&*storage_type) {
            return Err(Refusal::StorageType(one_line(&storage_type)).into());
        }
    }
    Ok(())
}

/// Where a redirect leads. Whether that may be fetched is checked when it is.
fn target(from: &Url, headers: &HeaderMap) -> Result<Url, ArtifactError> {
    let target = text(headers, &LOCATION).and_then(|location| from.join(location).ok());
    target.ok_or_else(|| ArtifactError::Broken("a redirect does not say where it leads".to_owned()))
}

/// The artifact in an answer of its host.
fn artifact(answer: Answer, max_bytes: u64) -> Result<Artifact, ArtifactError> {
    // No artifact that is read here is a page.
    if is_html(answer.headers()) {
        return Err(html().into());
    }
    // Gzip is recognised by its content, whatever this says; other codings are not asked for.
    let encodings = text(answer.headers(), &CONTENT_ENCODING).unwrap_or_default();
    let is_known =
        |coding: &str| ["", "identity", "gzip", "x-gzip"].iter().any(|known| coding.trim().eq_ignore_ascii_case(known));
    if !encodings.split(',').all(is_known) {
        return Err(ArtifactError::Broken(format!("the artifact is encoded as {:?}", one_line(encodings))));
    }
    let content_length = answer.content_length();
    if content_length.is_some_and(|length| length > max_packed_bytes(max_bytes)) {
        return Err(ArtifactError::TooLarge(max_bytes));
    }
    Ok(Artifact { body: Box::new(fetch::gzip::unpacked(answer.into_read(), max_bytes)), content_length })
}

/// Whether an artifact can have this name. A part of dots would lead to another address.
fn is_name(name: &str) -> bool {
    name.len() <= MAX_NAME
        && name.split('/').all(|part| !matches!(part, "" | "." | ".."))
        && !name.contains(char::is_control)
}

/// How a task ended that left no artifact.
fn never_there(status: &TaskStatus) -> String {
    let reason = status.runs.last().and_then(|run: &TaskRun| run.reason_resolved.as_deref());
    let reason = reason.map(one_line).filter(|reason| *reason != status.state.to_string());
    let ended = match (status.state, reason) {
        (TaskState::Unknown, _) => "is in an unknown state".to_owned(),
        (state, Some(reason)) => format!("ended as {state} ({reason})"),
        (state, None) => format!("ended as {state}"),
    };
    format!("the task {ended} and no run of it has the artifact")
}
