//! The error codes of lists of pushes, for the API of each function that uses them.

use http::StatusCode;
use http_api::{ErrorCode, Problem};

use crate::PushListError;

/// The decision task has not written its graph.
const NOT_READY: ErrorCode = ErrorCode {
    status: StatusCode::SERVICE_UNAVAILABLE,
    code: "push_list_not_ready",
    title: "List not ready yet",
    meaning: "The push's decision task has not written its list of jobs yet. Retry-After says when to ask again.",
};
/// There is no list for the push.
const NO_LIST: ErrorCode = ErrorCode {
    status: StatusCode::NOT_FOUND,
    code: "no_push_list",
    title: "No list for this push",
    meaning: "There is no such decision task, it is not one of the project, or it ended without a list of jobs; the \
              detail says which.",
};
/// The graph has expired.
const EXPIRED: ErrorCode = ErrorCode {
    status: StatusCode::GONE,
    code: "push_list_expired",
    title: "List expired",
    meaning: "Taskcluster has deleted the list of jobs of the push's decision task.",
};
/// The graph cannot be used.
const UNUSABLE: ErrorCode = ErrorCode {
    status: StatusCode::BAD_GATEWAY,
    code: "push_list_unusable",
    title: "List unusable",
    meaning: "The list of jobs of the push's decision task is broken, too large, or stored where it is not fetched; the \
              detail says what is wrong.",
};
/// Taskcluster does not answer.
const UNAVAILABLE: ErrorCode = ErrorCode {
    status: StatusCode::SERVICE_UNAVAILABLE,
    code: "taskcluster_unavailable",
    title: "Taskcluster unavailable",
    meaning: "Taskcluster does not answer at the moment. Retry-After says when to ask again.",
};

/// The error codes of this crate. A function adds its own for an unknown project and for a store that does not answer.
pub const ERROR_CODES: [&ErrorCode; 5] = [&NOT_READY, &NO_LIST, &EXPIRED, &UNUSABLE, &UNAVAILABLE];

impl PushListError {
    /// Its error code in the API. `None` for an unknown project and for a catalog that cannot be read: each function has
    /// codes of its own for them.
    pub fn error_code(&self) -> Option<&'static ErrorCode> {
        match self {
            Self::UnknownProject { .. } | Self::CatalogUnavailable(_) => None,
            Self::NotYet { .. } => Some(&NOT_READY),
            Self::UnknownTask { .. }
            | Self::NotADecisionTask { .. }
            | Self::OtherProject { .. }
            | Self::UnknownRevision { .. }
            | Self::Missing { .. } => Some(&NO_LIST),
            Self::Expired { .. } => Some(&EXPIRED),
            Self::Unusable { .. } => Some(&UNUSABLE),
            Self::TaskclusterUnavailable { .. } => Some(&UNAVAILABLE),
        }
    }

    /// The answer with this error code.
    pub fn problem(&self, code: &'static ErrorCode) -> Problem {
        let mut problem = Problem::new(code, self.to_string());
        if let Some(seconds) = self.retry_after() {
            problem = problem.retry_after(seconds);
        }
        match self.cause() {
            Some(cause) => problem.because(cause.to_owned()),
            None => problem,
        }
    }
}
