//! Why an ingest did not publish.

use catalog::buildbot::ReadError;
use store::{FailureCode, ReportOutcome, StoreError};

use crate::source::SourceError;

/// Why an ingest did not publish.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The document is broken, or not a dump.
    #[error("{0}")]
    Broken(#[from] ReadError),
    /// A guard refused it. The reasons are in the report.
    #[error("refused: {}", .0.join("; "))]
    Refused(Vec<String>),
    /// The source cannot be reached.
    #[error("{0}")]
    Source(#[from] SourceError),
    /// The store cannot be reached, or holds damaged items.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// Neither the source nor the catalog has the requested project.
    #[error("the source has no project '{0}', and neither has the catalog")]
    NoProject(String),
    /// The program is at fault.
    #[error("internal error: {0}")]
    Internal(String),
}

impl IngestError {
    /// The exit code of the command line, for a scheduler to act on.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Internal(_) => 1,
            Self::NoProject(_) => 2,
            Self::Broken(ReadError::Input { .. }) | Self::Source(_) => 4,
            Self::Broken(_) | Self::Refused(_) => 3,
            Self::Store(StoreError::Superseded { .. }) => 6,
            Self::Store(_) => 5,
        }
    }

    /// The code of the error in the report.
    pub(crate) fn code(&self) -> FailureCode {
        match self {
            Self::Internal(_) => FailureCode::Internal,
            Self::NoProject(_) => FailureCode::UnknownProject,
            Self::Broken(ReadError::Input { .. }) | Self::Source(_) => FailureCode::SourceUnavailable,
            Self::Broken(_) => FailureCode::DocumentBroken,
            Self::Refused(_) => FailureCode::Guarded,
            Self::Store(StoreError::Superseded { .. }) => FailureCode::Superseded,
            Self::Store(_) => FailureCode::StoreUnavailable,
        }
    }

    /// The outcome of an ingest that ends with this error.
    pub(crate) fn outcome(&self) -> ReportOutcome {
        match self.exit_code() {
            3 => ReportOutcome::Refused,
            6 => ReportOutcome::Superseded,
            _ => ReportOutcome::Failed,
        }
    }
}
