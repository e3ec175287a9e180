//! The error codes of this function's routes, and how the errors of the service become problem+json.

use http::StatusCode;
use http_api::{ErrorCode, Problem};

use crate::api;
use crate::error::TriggerError;

/// The project is not in the catalog.
pub(crate) const UNKNOWN_PROJECT: ErrorCode = ErrorCode {
    status: StatusCode::NOT_FOUND,
    code: "unknown_project",
    title: "Unknown project",
    meaning: "The catalog has no such project. The member closest has the nearest names; GET /api/projects/ lists all.",
};
/// Treeherder does not know the push.
pub(crate) const UNKNOWN_PUSH: ErrorCode = ErrorCode {
    status: StatusCode::NOT_FOUND,
    code: "unknown_push",
    title: "Unknown push",
    meaning: "Treeherder knows no such push in the project.",
};
/// The project has no such request.
pub(crate) const UNKNOWN_REQUEST: ErrorCode = ErrorCode {
    status: StatusCode::NOT_FOUND,
    code: "unknown_request",
    title: "Unknown request",
    meaning: "The project has no trigger request of this name. Requests are kept for 90 days.",
};
/// The body cannot be read.
pub(crate) const BAD_BODY: ErrorCode = ErrorCode {
    status: StatusCode::BAD_REQUEST,
    code: "bad_body",
    title: "Bad body",
    meaning: "The body is not the JSON that is expected; the detail says what is wrong, and where.",
};
/// The body is too long.
pub(crate) const BODY_TOO_LARGE: ErrorCode = ErrorCode {
    status: StatusCode::PAYLOAD_TOO_LARGE,
    code: "body_too_large",
    title: "Body too large",
    meaning: "The body has more bytes than the limit; the detail says how many are allowed.",
};
/// The Content-Type of the body is not JSON.
pub(crate) const NOT_JSON: ErrorCode = ErrorCode {
    status: StatusCode::UNSUPPORTED_MEDIA_TYPE,
    code: "not_json",
    title: "Not JSON",
    meaning: "The Content-Type must be application/json.",
};
/// A query parameter is wrong.
pub(crate) const BAD_PARAMETER: ErrorCode = ErrorCode {
    status: StatusCode::BAD_REQUEST,
    code: "bad_parameter",
    title: "Bad parameter",
    meaning: "A query parameter is unknown, or its value is not what is expected. The member parameter names it.",
};
/// The Idempotency-Key header is malformed.
pub(crate) const BAD_KEY: ErrorCode = ErrorCode {
    status: StatusCode::BAD_REQUEST,
    code: "bad_idempotency_key",
    title: "Bad Idempotency-Key",
    meaning: "The header Idempotency-Key is malformed; the detail says what is expected.",
};
/// Too many jobs in one request.
pub(crate) const TOO_MANY_JOBS: ErrorCode = ErrorCode {
    status: StatusCode::UNPROCESSABLE_ENTITY,
    code: "too_many_jobs",
    title: "Too many jobs",
    meaning: "The request names more jobs than one request may, or than one person may request in an hour; the detail says \
              how many are allowed. Nothing was requested.",
};
/// None of the jobs exists and can be run on the push.
pub(crate) const NO_KNOWN_JOBS: ErrorCode = ErrorCode {
    status: StatusCode::UNPROCESSABLE_ENTITY,
    code: "no_known_jobs",
    title: "No known jobs",
    meaning: "The project has none of the jobs, or the push cannot run those that it has. The member jobs has the reason \
              for each, and a suggestion where there is one. Nothing was requested.",
};
/// The key was used for something else.
pub(crate) const KEY_REUSED: ErrorCode = ErrorCode {
    status: StatusCode::UNPROCESSABLE_ENTITY,
    code: "idempotency_key_reused",
    title: "Idempotency-Key used before",
    meaning: "The Idempotency-Key stands for another request. Nothing was requested.",
};
/// An equal request is being processed.
pub(crate) const IN_PROGRESS: ErrorCode = ErrorCode {
    status: StatusCode::CONFLICT,
    code: "request_in_progress",
    title: "Request in progress",
    meaning: "An equal request is being processed. Retry-After says when to ask again for its answer.",
};
/// The requester is not allowed.
pub(crate) const NOT_ALLOWED: ErrorCode = ErrorCode {
    status: StatusCode::FORBIDDEN,
    code: "not_allowed",
    title: "Not allowed",
    meaning: "The requester may not trigger jobs on this push. The member rule names the rule that refused; the detail says \
              who is allowed.",
};
/// The requester exceeds a limit.
pub(crate) const TOO_MANY_REQUESTS: ErrorCode = ErrorCode {
    status: StatusCode::TOO_MANY_REQUESTS,
    code: "too_many_requests",
    title: "Too many requests",
    meaning: "The requester has asked for too much lately: requests in a minute, or jobs in an hour. Dry runs, retries and \
              refused requests for which Treeherder was asked count as requests too. Retry-After says when to ask again. \
              Nothing was requested.",
};
/// Treeherder does not answer, and is needed.
pub(crate) const TREEHERDER_UNAVAILABLE: ErrorCode = ErrorCode {
    status: StatusCode::SERVICE_UNAVAILABLE,
    code: "treeherder_unavailable",
    title: "Treeherder unavailable",
    meaning: "Treeherder does not answer at the moment. Nothing was requested.",
};
/// The store does not answer.
pub(crate) const STORE_UNAVAILABLE: ErrorCode = ErrorCode {
    status: StatusCode::SERVICE_UNAVAILABLE,
    code: "store_unavailable",
    title: "Store unavailable",
    meaning: "The store cannot be read or written at the moment. Nothing was requested, unless the detail says that this is \
              not known. Retry-After says when to ask again.",
};
/// No job can be retried.
pub(crate) const NOTHING_TO_RETRY: ErrorCode = ErrorCode {
    status: StatusCode::CONFLICT,
    code: "nothing_to_retry",
    title: "Nothing to retry",
    meaning: "No job of the request failed or was unroutable. A job that ran and failed is not sent again: request it anew.",
};
/// The request is open.
pub(crate) const STILL_OPEN: ErrorCode = ErrorCode {
    status: StatusCode::CONFLICT,
    code: "still_open",
    title: "Request still open",
    meaning: "Jobs of the request are still in progress. It can be retried when it has ended.",
};
/// The request was changed by another call.
pub(crate) const CHANGED_MEANWHILE: ErrorCode = ErrorCode {
    status: StatusCode::CONFLICT,
    code: "changed_meanwhile",
    title: "Request changed meanwhile",
    meaning: "The request was changed at the same time. Read it again before retrying.",
};

impl TriggerError {
    /// The name of its error code in the API.
    pub fn code(&self) -> &'static str {
        self.error_code().code
    }

    fn error_code(&self) -> &'static ErrorCode {
        match self {
            Self::UnknownProject { .. } => &UNKNOWN_PROJECT,
            Self::UnknownPush { .. } => &UNKNOWN_PUSH,
            Self::NotAllowed { .. } => &NOT_ALLOWED,
            Self::BadKey(_) => &BAD_KEY,
            Self::KeyReused => &KEY_REUSED,
            Self::InProgress => &IN_PROGRESS,
            Self::TooManyJobs(_) => &TOO_MANY_JOBS,
            Self::TooManyRequests(_) => &TOO_MANY_REQUESTS,
            Self::NoKnownJobs { .. } => &NO_KNOWN_JOBS,
            Self::StillOpen(_) => &STILL_OPEN,
            Self::NothingToRetry => &NOTHING_TO_RETRY,
            Self::ChangedMeanwhile => &CHANGED_MEANWHILE,
            Self::TreeherderUnavailable(_) => &TREEHERDER_UNAVAILABLE,
            Self::NoPushList(error) => error.error_code().unwrap_or(&STORE_UNAVAILABLE),
            Self::CatalogUnavailable(_) | Self::StoreUnavailable(_) | Self::Uncertain { .. } => &STORE_UNAVAILABLE,
        }
    }
}

impl From<TriggerError> for Problem {
    fn from(error: TriggerError) -> Self {
        let mut problem = Self::new(error.error_code(), error.to_string());
        if let Some(seconds) = error.retry_after() {
            problem = problem.retry_after(seconds);
        }
        if let Some(cause) = error.cause() {
            problem = problem.because(cause);
        }
        match error {
            TriggerError::UnknownProject { suggestions, .. } => problem.with("closest", suggestions),
            TriggerError::NotAllowed { denied, .. } => problem.with("rule", denied.rule),
            TriggerError::NoKnownJobs { project, jobs } => {
                problem.with("jobs", serde_json::to_value(api::jobs(&project, &jobs)).unwrap_or_default())
            }
            _ => problem,
        }
    }
}
