//! Why an ingest did not publish.

use std::collections::BTreeMap;

use catalog::buildbot::ReadError;
use store::{FailureCode, ReportOutcome, StoreError};
use taskcluster::{ArtifactError, TaskclusterError};

use crate::source::SourceError;

/// Why an ingest, or the ingest of one project, did not publish.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The document is broken, or not what it should be.
    #[error("{0}")]
    Broken(#[from] ReadError),
    /// A guard refused it. The reasons are in the report.
    #[error("refused: {}", .0.join("; "))]
    Refused(Vec<String>),
    /// The task graph is that of these projects.
    #[error("{}", wrong_project(.0))]
    WrongProject(Vec<String>),
    /// The source cannot be reached.
    #[error("{0}")]
    Source(#[from] SourceError),
    /// Taskcluster gives no answer.
    #[error("{0}")]
    Taskcluster(#[from] TaskclusterError),
    /// The decision task's artifact cannot be had.
    #[error("{0}")]
    Artifact(#[from] ArtifactError),
    /// The store cannot be reached, or holds damaged items.
    #[error("{0}")]
    Store(#[from] StoreError),
    /// Neither the source nor the catalog has the requested project.
    #[error("the source has no project '{0}', and neither has the catalog")]
    NoProject(String),
    /// No task graph is configured for the requested project.
    #[error("no decision task and no file is configured for the project '{0}'")]
    NotConfigured(String),
    /// These projects were not published. The others were.
    #[error("{}", .0.iter().map(|(project, error)| format!("{project}: {error}")).collect::<Vec<_>>().join("; "))]
    Projects(BTreeMap<String, IngestError>),
    /// The program is at fault.
    #[error("internal error: {0}")]
    Internal(String),
}

fn wrong_project(projects: &[String]) -> String {
    match projects {
        [] => "nothing says of which project the graph is".to_owned(),
        _ => format!("the graph is of project {}", projects.join(", ")),
    }
}

/// The exit codes, from the worst.
const BY_SEVERITY: [u8; 7] = [1, 5, 4, 3, 2, 6, 0];

/// The worse of two exit codes.
pub fn worse(one: u8, other: u8) -> u8 {
    BY_SEVERITY.into_iter().find(|code| [one, other].contains(code)).unwrap_or(one)
}

impl IngestError {
    /// The exit code of the command line, for a scheduler to act on.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Projects(errors) => errors.values().map(Self::exit_code).fold(0, worse),
            Self::Internal(_) => 1,
            Self::NoProject(_) | Self::NotConfigured(_) => 2,
            Self::Taskcluster(TaskclusterError::Refused(_))
            | Self::Artifact(ArtifactError::Refused(_) | ArtifactError::TooLarge(_)) => 3,
            Self::Broken(ReadError::Input { .. }) | Self::Source(_) | Self::Taskcluster(_) | Self::Artifact(_) => 4,
            Self::Broken(_) | Self::Refused(_) | Self::WrongProject(_) => 3,
            Self::Store(StoreError::Superseded { .. }) => 6,
            Self::Store(_) => 5,
        }
    }

    /// The code of the error in the report. Of several projects, that of the worst.
    pub(crate) fn code(&self) -> FailureCode {
        match self {
            Self::Projects(errors) => {
                let worst = self.exit_code();
                let error = errors.values().find(|error| error.exit_code() == worst);
                error.map_or(FailureCode::Internal, Self::code)
            }
            Self::Internal(_) => FailureCode::Internal,
            Self::NoProject(_) | Self::NotConfigured(_) => FailureCode::UnknownProject,
            Self::Broken(ReadError::Input { .. }) | Self::Source(_) => FailureCode::SourceUnavailable,
            Self::Broken(_) | Self::Artifact(ArtifactError::TooLarge(_)) => FailureCode::DocumentBroken,
            Self::WrongProject(_) => FailureCode::WrongProject,
            Self::Taskcluster(TaskclusterError::Refused(_)) | Self::Artifact(ArtifactError::Refused(_)) => {
                FailureCode::Guarded
            }
            Self::Taskcluster(_) | Self::Artifact(ArtifactError::Unavailable { .. } | ArtifactError::Broken(_)) => {
                FailureCode::SourceUnavailable
            }
            Self::Artifact(_) => FailureCode::ArtifactMissing,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_of_several_projects_is_that_of_the_worst_and_names_them_all() {
        let refused = IngestError::Refused(vec!["too few".to_owned()]);
        let unavailable =
            IngestError::Taskcluster(TaskclusterError::Unavailable { retry_after: None, reason: "down".to_owned() });
        let errors = [("try".to_owned(), refused), ("autoland".to_owned(), unavailable)].into();
        let error = IngestError::Projects(errors);
        assert_eq!(error.to_string(), "autoland: Taskcluster: down; try: refused: too few");
        assert_eq!((error.exit_code(), error.code()), (4, FailureCode::SourceUnavailable));
        assert_eq!(error.outcome(), ReportOutcome::Failed);
        assert_eq!([worse(0, 6), worse(6, 3), worse(3, 5), worse(0, 0)], [6, 3, 5, 0]);
    }
}
