//! Why a command failed, and the exit code for it.

use std::io::{self, Write as _};
use std::process::ExitCode;

use etl::ingest::IngestError;
use runtime::settings::SettingsError;
use store::StoreError;
use trigger_api::error::TriggerError;

/// The exit codes, for the help.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
  0  done; for an ingest: published, or unchanged
  1  internal error, or the output cannot be written; for a watched request: some jobs did not
     succeed, or the time is up; for a new request: it was interrupted
  2  usage: a flag or a variable is missing or wrong
  3  refused: by a guard, because the document is broken, or because the request does not exist
     or cannot be retried; the old catalog stays; for a new request: no job matches, or the
     service refuses it
  4  the source cannot be reached, or its connection broke
  5  the store, the queue, Treeherder or the service cannot be reached
  6  another ingest published at the same time; the next one catches up";

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A setting is missing or wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// An argument or an input is wrong.
    #[error("{0}")]
    Usage(String),
    /// An ingest failed.
    #[error(transparent)]
    Ingest(#[from] IngestError),
    /// An ingest was refused. The printed report has the reasons.
    #[error("the catalog stays as it was")]
    IngestRefused,
    /// The store or the queue failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The trigger service refused or failed.
    #[error("{0}{cause}", cause = cause(.0))]
    Service(#[from] TriggerError),
    /// What was asked for cannot be done.
    #[error("{0}")]
    Refused(String),
    /// A service that is needed does not answer.
    #[error("{0}")]
    Unreachable(String),
    /// A request that was watched did not end well, or one that was made was interrupted.
    #[error("{0}")]
    Unsuccessful(String),
    /// The program or a service that it needs failed.
    #[error("{0}")]
    Internal(String),
    /// Standard output or a file cannot be written.
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
}

/// The cause of an error, in brackets, if it has one.
fn cause(error: &TriggerError) -> String {
    error.cause().map(|cause| format!(" ({cause})")).unwrap_or_default()
}

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::Internal(_) | Self::Output(_) | Self::Unsuccessful(_) => 1,
            Self::Settings(_) | Self::Usage(_) => 2,
            Self::Ingest(error) => error.exit_code(),
            Self::Store(StoreError::Superseded { .. }) => 6,
            Self::Store(_) | Self::Unreachable(_) => 5,
            Self::Service(error) if error.is_unavailable() => 5,
            Self::IngestRefused | Self::Refused(_) | Self::Service(_) => 3,
        }
    }
}

/// Reports a failure on standard error and returns the exit code. A reader that closes the pipe early, like `head`, is
/// not a failure.
pub(crate) fn exit_code(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            let _ = writeln!(io::stderr(), "runnable-jobs: {failure}");
            ExitCode::from(failure.code())
        }
    }
}
