//! Why the trigger service refuses a request, or cannot process it. Display is a sentence for the requester; `cause` is for
//! operators.

use push_lists::PushListError;
use requests::job::RequestedJob;
use requests::permissions::PermissionDenied;
use requests::rate_limits::Exceeded;
use requests::state::RequestState;
use store::StoreError;

/// Seconds after which a client should ask again if the catalog cannot be read.
const CATALOG_RETRY_AFTER: u32 = 10;
/// Seconds after which a client should ask again if the store or Treeherder does not answer. By then the outcome of an
/// uncertain write is known.
const RETRY_AFTER: u32 = 30;

/// Why the service refuses a request, or cannot process it.
#[derive(Debug, thiserror::Error)]
pub enum TriggerError {
    /// The catalog has no such project.
    #[error("There is no project '{project}'. {}", suggested_projects(.suggestions))]
    UnknownProject {
        /// The project.
        project: String,
        /// The names that are most like it.
        suggestions: Vec<String>,
    },
    /// Treeherder has no such push.
    #[error("Treeherder knows no push {push_id} in {project}.")]
    UnknownPush {
        /// The project.
        project: String,
        /// The push.
        push_id: u64,
    },
    /// The requester may not trigger jobs on the push.
    #[error("{}", not_allowed(.project, .denied))]
    NotAllowed {
        /// The project.
        project: String,
        /// The rule that refused, and who is allowed.
        denied: PermissionDenied,
    },
    /// The Idempotency-Key is malformed.
    #[error("The Idempotency-Key is wrong: {0}.")]
    BadKey(&'static str),
    /// The Idempotency-Key belongs to another request.
    #[error("This Idempotency-Key belongs to another request of yours: use a new key for a new request.")]
    KeyReused,
    /// An equal request is being processed.
    #[error("The same request is being processed. Ask again in a moment for its answer.")]
    InProgress,
    /// One request has more jobs than any hour allows.
    #[error("{0} Nothing was requested.")]
    TooManyJobs(String),
    /// The requester has used up their budget.
    #[error("{}", .0.detail)]
    TooManyRequests(Exceeded),
    /// None of the jobs exists and can be run on the push.
    #[error("{}", no_known_jobs(.project, .jobs))]
    NoKnownJobs {
        /// The project.
        project: String,
        /// The rejected jobs, with suggestions and reasons.
        jobs: Vec<RequestedJob>,
    },
    /// The request is open, so that it cannot be retried.
    #[error("The request is {}: jobs of it are on their way still.", .0.as_str())]
    StillOpen(RequestState),
    /// No job of the request can be retried.
    #[error("No job of this request failed or was unroutable, so there is nothing to send again.")]
    NothingToRetry,
    /// The request was changed between reading and writing it.
    #[error("This request was changed at the same time. Read it again before retrying.")]
    ChangedMeanwhile,
    /// Treeherder does not answer, and the configuration requires it.
    #[error("Treeherder does not answer at the moment, so nothing was requested. Please try again in half a minute.")]
    TreeherderUnavailable(String),
    /// The push has no list of jobs, or its list cannot be had now.
    #[error("{0} Nothing was requested.")]
    NoPushList(#[source] PushListError),
    /// The catalog cannot be read.
    #[error("The catalog cannot be read at the moment, so nothing was requested. Please try again in a few seconds.")]
    CatalogUnavailable(String),
    /// The requests table does not answer, and nothing was requested.
    #[error(
        "Requests cannot be read or stored at the moment, so nothing was requested. Please try again in half a minute."
    )]
    StoreUnavailable(#[source] StoreError),
    /// The requests table did not answer a write, which may have been done.
    #[error(
        "The store did not answer, so it is not known whether {whether}. Ask for the same again in half a minute: it \
         will not run twice."
    )]
    Uncertain {
        /// What may have been done.
        whether: &'static str,
        /// The error.
        #[source]
        error: StoreError,
    },
}

impl TriggerError {
    /// What lies behind the error: for operators, not for the requester.
    pub fn cause(&self) -> Option<String> {
        match self {
            Self::TreeherderUnavailable(cause) | Self::CatalogUnavailable(cause) => Some(cause.clone()),
            Self::StoreUnavailable(error) | Self::Uncertain { error, .. } => Some(error.to_string()),
            Self::NoPushList(error) => error.cause().map(ToOwned::to_owned),
            _ => None,
        }
    }

    /// Whether the catalog, the store, Treeherder or Taskcluster is unavailable: the request itself may be valid.
    pub fn is_unavailable(&self) -> bool {
        self.cause().is_some()
    }

    /// After how many seconds the client should ask again.
    pub(crate) fn retry_after(&self) -> Option<u32> {
        match self {
            Self::CatalogUnavailable(_) => Some(CATALOG_RETRY_AFTER),
            Self::TreeherderUnavailable(_) | Self::StoreUnavailable(_) | Self::Uncertain { .. } => Some(RETRY_AFTER),
            Self::TooManyRequests(exceeded) => Some(exceeded.retry_after),
            Self::NoPushList(error) => error.retry_after(),
            Self::InProgress => Some(1),
            _ => None,
        }
    }
}

impl From<StoreError> for TriggerError {
    fn from(error: StoreError) -> Self {
        Self::StoreUnavailable(error)
    }
}

fn suggested_projects(suggestions: &[String]) -> String {
    match suggestions {
        [] => "GET /api/projects/ lists all projects.".to_owned(),
        _ => format!("Did you mean {}?", suggestions.join(", ")),
    }
}

fn not_allowed(project: &str, denied: &PermissionDenied) -> String {
    let mut detail = format!("You may not trigger jobs on this push of {project}. Who may: {}.", denied.who_could);
    if denied.author_is_unknown {
        detail += " Treeherder does not answer at the moment, so it is not known whether you are its author.";
    }
    detail
}

fn no_known_jobs(project: &str, jobs: &[RequestedJob]) -> String {
    let cannot_run = jobs.iter().find_map(|job| job.reason_text().filter(|_| job.exists()));
    match (jobs, cannot_run) {
        ([one], Some(reason)) => format!("'{}' was not requested. {reason}", one.name),
        (_, Some(reason)) => {
            format!("None of these {} jobs can be run on this push, so nothing was requested. {reason}", jobs.len())
        }
        ([one], None) => {
            let suggestion = one.suggestion.as_ref().map(|name| format!(" Did you mean '{name}'?"));
            let name = &one.name;
            format!("{project} has no job '{name}', so nothing was requested.{}", suggestion.unwrap_or_default())
        }
        (_, None) => format!("{project} has none of these {} jobs, so nothing was requested.", jobs.len()),
    }
}
