//! What the readers of the sources share: why a document is refused, and why a part of one is left out.

use std::fmt;
use std::io::{self, Read};

use crate::json::{BadText, JsonError, JsonReader, Text, ValueKind};

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
    /// The text breaks off or is not JSON, or something has another shape than the source has.
    #[error("{path}: {what} (byte {offset})")]
    Malformed {
        /// The path to the place, for example `builders.Linux try build`.
        path: String,
        /// What is wrong there.
        what: String,
        /// Where, in bytes of the uncompressed document.
        offset: u64,
    },
    /// The document is JSON, but another one than the source.
    #[error("{0}")]
    OtherDocument(&'static str),
    /// The document is longer than allowed.
    #[error("the uncompressed document has more than {limit} bytes, the configured maximum")]
    TooLong {
        /// The configured maximum.
        limit: u64,
    },
    /// The document holds more than is kept in memory.
    #[error("the document has more than {limit} {what}, the maximum")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// The maximum.
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

/// A part of a document that was left out, or that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The path to it.
    pub path: String,
    /// What is wrong with it.
    pub what: String,
    /// Where it stands, in bytes of the uncompressed document.
    pub offset: u64,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} (byte {})", self.path, self.what, self.offset)
    }
}

/// Why a part of a document is left out.
pub(crate) struct Fault {
    /// The member that is wrong, for example `properties.branch`; empty for the whole part.
    pub(crate) path: &'static str,
    pub(crate) what: String,
    pub(crate) offset: u64,
}

impl Fault {
    /// A string that cannot be used. Without a path it is the `subject`, for example `name`, of the part.
    pub(crate) fn bad_text(path: &'static str, subject: &str, text: &Text, bad: &BadText) -> Self {
        let subject = if path.is_empty() { format!("the {subject} ") } else { String::new() };
        let what = match bad {
            BadText::TooLong { length, limit } => format!("{subject}has {length} bytes, at most {limit} are allowed"),
            BadText::NotUtf8 => format!("{subject}is not UTF-8"),
            BadText::Control => format!("{subject}holds a control character"),
        };
        Self { path, what, offset: text.offset() }
    }

    /// Skips a value of the wrong kind, and returns the fault.
    pub(crate) fn unexpected<R: Read>(
        json: &mut JsonReader<R>,
        path: &'static str,
        expected: ValueKind,
    ) -> Result<Self, JsonError> {
        let found = json.kind()?;
        let offset = json.offset();
        json.skip()?;
        Ok(Self { path, what: format!("{} is expected, not {}", expected.noun(), found.noun()), offset })
    }
}
