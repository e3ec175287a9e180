//! The kinds of errors that this function's own routes answer with.

use http::StatusCode;
use http_api::ErrorCode;

/// No such project.
pub(crate) const UNKNOWN_PROJECT: ErrorCode = ErrorCode {
    status: StatusCode::NOT_FOUND,
    code: "unknown_project",
    title: "Unknown project",
    meaning: "The catalog has no such project. The member closest tells the nearest names; GET /api/projects/ lists all.",
};
/// No such job in the project.
pub(crate) const UNKNOWN_JOB: ErrorCode = ErrorCode {
    status: StatusCode::NOT_FOUND,
    code: "unknown_job",
    title: "Unknown job",
    meaning: "The project has no such job. The member closest tells the nearest names.",
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
    meaning: "What was asked for cannot be read or kept at the moment, and no copy of it is held. Retry-After tells when to \
              ask again. Of a request to run jobs the detail tells if it is not known what came of it.",
};

/// All of them.
pub(crate) const ERROR_CODES: [&ErrorCode; 5] =
    [&UNKNOWN_PROJECT, &UNKNOWN_JOB, &NO_INGEST, &BAD_PARAMETER, &STORE_UNAVAILABLE];
