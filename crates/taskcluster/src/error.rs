//! Errors of requests to Taskcluster, with messages for people.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use fetch::gzip::UnpackError;
use fetch::{FetchError, GuardedError};
use http::StatusCode;
use serde::Deserialize;

use crate::task::TaskState;

/// Maximum number of characters that are shown of a text from outside.
const MAX_SHOWN: usize = 200;

/// Why an address or an artifact is not fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The host is not configured, not public, or not fetched over https.
    #[error(transparent)]
    Address(#[from] fetch::Refusal),
    /// There are more redirects than this.
    #[error("it is redirected more than {0} times")]
    Redirects(usize),
    /// The artifact is stored in a way that is not fetched. A `reference` leads to an address that its task chose.
    #[error("an artifact with the storage type {0:?} is not fetched")]
    StorageType(String),
}

/// Why the Index or the Queue gives no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TaskclusterError {
    /// The address may not be fetched.
    #[error("Taskcluster: {0}")]
    Refused(#[from] Refusal),
    /// The answer is longer than this number of bytes.
    #[error("Taskcluster: the answer is longer than {0} bytes")]
    TooLarge(u64),
    /// Taskcluster cannot be reached, or asks to come back later.
    #[error("Taskcluster: {reason}")]
    Unavailable {
        /// How long to wait, if it says so.
        retry_after: Option<Duration>,
        /// What happened.
        reason: String,
    },
    /// The answer is not one that Taskcluster gives to a good request.
    #[error("Taskcluster: {0}")]
    Broken(String),
}

/// Why an artifact cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArtifactError {
    /// The task has not ended, and has not uploaded the artifact.
    #[error("the task is {0} and has not uploaded the artifact yet")]
    NotYet(TaskState),
    /// The artifact or the task does not exist.
    #[error("{0}")]
    Missing(String),
    /// The task uploaded an error in place of the artifact.
    #[error("the task failed to upload the artifact: {reason}")]
    Failed {
        /// The reason and the message that it left.
        reason: String,
    },
    /// The artifact expired. Holds what Taskcluster says about it.
    #[error("the artifact has expired: {0}")]
    Expired(String),
    /// The artifact is not fetched.
    #[error("the artifact is refused: {0}")]
    Refused(#[from] Refusal),
    /// The artifact is longer than this number of bytes, packed or unpacked.
    #[error("the artifact is longer than {0} bytes")]
    TooLarge(u64),
    /// Taskcluster or the host of the artifact cannot be reached, breaks off, or asks to come back later.
    #[error("Taskcluster: {reason}")]
    Unavailable {
        /// How long to wait, if it says so.
        retry_after: Option<Duration>,
        /// What happened.
        reason: String,
    },
    /// The answer is neither the artifact nor an error that Taskcluster gives to a good request.
    #[error("Taskcluster: {0}")]
    Broken(String),
}

impl TaskclusterError {
    pub(crate) fn unavailable(reason: impl Into<String>) -> Self {
        Self::Unavailable { retry_after: None, reason: reason.into() }
    }
}

impl From<GuardedError> for TaskclusterError {
    fn from(error: GuardedError) -> Self {
        match error {
            GuardedError::Refused(refusal) => Self::Refused(refusal.into()),
            GuardedError::Failed(error) => error.into(),
        }
    }
}

impl From<FetchError> for TaskclusterError {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::TooLarge(limit) => Self::TooLarge(limit as u64),
            FetchError::Unreachable(reason) | FetchError::TimedOut(reason) | FetchError::Broken(reason) => {
                Self::unavailable(reason)
            }
        }
    }
}

impl From<TaskclusterError> for ArtifactError {
    fn from(error: TaskclusterError) -> Self {
        match error {
            TaskclusterError::Refused(refusal) => Self::Refused(refusal),
            TaskclusterError::TooLarge(limit) => Self::TooLarge(limit),
            TaskclusterError::Unavailable { retry_after, reason } => Self::Unavailable { retry_after, reason },
            TaskclusterError::Broken(reason) => Self::Broken(reason),
        }
    }
}

impl ArtifactError {
    /// Why a read of an artifact's body failed.
    pub fn of_body(error: &io::Error) -> Self {
        let inner = error.get_ref();
        if let Some(UnpackError::TooLarge(limit)) = inner.and_then(|inner| inner.downcast_ref()) {
            return Self::TooLarge(*limit);
        }
        if let Some(error) = inner.and_then(|inner| inner.downcast_ref::<FetchError>()) {
            return TaskclusterError::from(error.clone()).into();
        }
        Self::Broken(format!("the artifact cannot be unpacked: {error}"))
    }
}

/// The body of an error: of the Queue and the Index, and of an artifact that is an error.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ErrorBody {
    pub(crate) code: String,
    pub(crate) reason: String,
    pub(crate) message: String,
}

impl ErrorBody {
    /// Reads a body. Missing fields are empty, and all are if it is not JSON.
    pub(crate) fn read(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }

    /// The message, for people.
    pub(crate) fn shown(&self) -> String {
        one_line(&self.message)
    }

    /// The error of a status that a good request does not get.
    pub(crate) fn unexpected(&self, status: StatusCode) -> TaskclusterError {
        let mut said = format!("it answers {status}");
        for part in [&self.code, &self.message] {
            let part = one_line(part);
            if !part.is_empty() {
                let _ = write!(said, ": {part}");
            }
        }
        TaskclusterError::Broken(said)
    }
}

/// The part of a text from outside that is for people: up to `---`, in one line, without control characters, and cut
/// if it is long.
pub(crate) fn one_line(text: &str) -> String {
    one_line_of(text, MAX_SHOWN)
}

/// The same with at most this number of characters.
pub(crate) fn one_line_of(text: &str, max_shown: usize) -> String {
    printable(text.split("---").next().unwrap_or_default(), max_shown)
}

/// A text in one line, without control characters, and cut if it is longer than this number of characters.
pub(crate) fn printable(text: &str, max_shown: usize) -> String {
    // Characters that reorder the text around them would show it as something else.
    let is_blank = |c: char| {
        c.is_whitespace()
            || c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let words: Vec<&str> = text.split(is_blank).filter(|word| !word.is_empty()).collect();
    let line = words.join(" ");
    match line.char_indices().nth(max_shown) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_shown_up_to_its_details_in_one_line() {
        let message = "Artifact not found\n\n---\n\n* method:     getLatestArtifact\n* statusCode: 404";
        assert_eq!(one_line(message), "Artifact not found");
        assert_eq!(one_line(" a\r\n\tb\u{1b}[31mc\u{0}\u{202e}d "), "a b [31mc d");
        assert_eq!(one_line(""), "");
        let long = one_line(&"é".repeat(1000));
        assert_eq!((long.chars().count(), long.chars().last()), (201, Some('…')));
    }

    #[test]
    fn an_unexpected_answer_is_shown_with_its_code() {
        let body = br#"{"code": "InsufficientScopes", "message": "This request requires credentials\n---\nx"}"#;
        let error = ErrorBody::read(body).unexpected(StatusCode::FORBIDDEN);
        let expected = "Taskcluster: it answers 403 Forbidden: InsufficientScopes: This request requires credentials";
        assert_eq!(error.to_string(), expected);
        assert_eq!(
            ErrorBody::read(b"<html>").unexpected(StatusCode::BAD_REQUEST).to_string(),
            "Taskcluster: it answers 400 Bad Request"
        );
    }
}
