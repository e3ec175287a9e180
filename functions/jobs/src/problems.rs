//! The error codes of this function's own routes.

use http::StatusCode;
use http_api::ErrorCode;

/// No such project.
pub(crate) const UNKNOWN_PROJECT: ErrorCode = ErrorCode {
    status: StatusCode::NOT_FOUND,
    code: "unknown_project",
    title: "Unknown project",
    meaning: "The catalog has no such project. The member closest has similar names; GET /api/projects/ lists all.",
};
/// No such job in the project.
pub(crate) const UNKNOWN_JOB: ErrorCode = ErrorCode {
    status: StatusCode::NOT_FOUND,
    code: "unknown_job",
    title: "Unknown job",
    meaning: "The project has no such job. The member closest has similar names.",
};
/// Nothing was ever ingested.
pub(crate) const NO_INGEST: ErrorCode = ErrorCode {
    status: StatusCode::NOT_FOUND,
    code: "no_ingest",
    title: "No ingest yet",
    meaning: "Nothing has been ingested in the last 90 days.",
};
/// A query parameter is wrong.
pub(crate) const BAD_PARAMETER: ErrorCode = ErrorCode {
    status: StatusCode::BAD_REQUEST,
    code: "bad_parameter",
    title: "Bad parameter",
    meaning: "A query parameter is unknown, or its value is not what is expected. The member parameter names it.",
};
/// The store does not answer.
pub(crate) const STORE_UNAVAILABLE: ErrorCode = ErrorCode {
    status: StatusCode::SERVICE_UNAVAILABLE,
    code: "store_unavailable",
    title: "Store unavailable",
    meaning: "The store cannot be read or written at the moment, and there is no copy in memory. Try again after the \
              seconds in Retry-After. If the outcome of a request to run jobs is unknown, the detail says so.",
};

/// All error codes.
pub(crate) const ERROR_CODES: [&ErrorCode; 5] =
    [&UNKNOWN_PROJECT, &UNKNOWN_JOB, &NO_INGEST, &BAD_PARAMETER, &STORE_UNAVAILABLE];
