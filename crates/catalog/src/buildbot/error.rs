//! Why a dump is refused.

use std::io;

use crate::json::JsonError;

/// Why a document is refused, and where in it.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The source holds nothing.
    #[error("the source is empty")]
    Empty,
    /// The source is not JSON at all, for example a page of HTML.
    #[error("this is not JSON: it starts with '{first}'")]
    NotJson {
        /// The first character.
        first: String,
    },
    /// The text breaks off or is not JSON, or something has another shape than in allthethings.json.
    #[error("{path}: {what} (byte {offset})")]
    Malformed {
        /// The path to the place, for example `builders.Linux try build.properties`.
        path: String,
        /// What is wrong there.
        what: String,
        /// Where, in bytes of the uncompressed document.
        offset: u64,
    },
    /// The document has no `builders`.
    #[error("this is not allthethings.json: it has no \"builders\"")]
    NoBuilders,
    /// The document is longer than allowed.
    #[error("the uncompressed document has more than {limit} bytes, the configured maximum")]
    TooLong {
        /// The configured maximum.
        limit: u64,
    },
    /// The compressed document is longer than allowed.
    #[error("the compressed document is longer than the configured maximum of {limit} uncompressed bytes allows")]
    SourceTooLong {
        /// The configured maximum.
        limit: u64,
    },
    /// The stream broke: the connection, the disk, or the compressed data.
    #[error("{path}: the source broke off: {error} (byte {offset})")]
    Input {
        /// The path to the place that was being read.
        path: String,
        /// The error of the stream.
        error: io::Error,
        /// Where, in bytes of the uncompressed document.
        offset: u64,
    },
}

impl ReadError {
    pub(crate) fn new(error: JsonError, path: &[&str]) -> Self {
        let path = if path.is_empty() { "the document".to_owned() } else { path.join(".") };
        match error {
            JsonError::Syntax { what, offset } => Self::Malformed { path, what, offset },
            JsonError::Input { error, offset } => Self::Input { path, error, offset },
            JsonError::TooLong { limit } => Self::TooLong { limit },
        }
    }
}
