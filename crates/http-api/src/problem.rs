//! Errors as `application/problem+json` (RFC 9457) with a stable code.

use std::fmt;

use axum::response::{IntoResponse, Response};
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A kind of error: part of the API's contract.
#[derive(Debug, PartialEq, Eq)]
pub struct ErrorCode {
    /// The HTTP status.
    pub status: StatusCode,
    /// The code for programs. It never changes.
    pub code: &'static str,
    /// A short description.
    pub title: &'static str,
    /// What it means and what to do, for the reference.
    pub meaning: &'static str,
}

/// No route has this path.
pub(crate) const NOT_FOUND: ErrorCode = ErrorCode {
    status: StatusCode::NOT_FOUND,
    code: "not_found",
    title: "No such resource",
    meaning: "Nothing is served at this path.",
};
/// The path has no such method.
pub(crate) const METHOD_NOT_ALLOWED: ErrorCode = ErrorCode {
    status: StatusCode::METHOD_NOT_ALLOWED,
    code: "method_not_allowed",
    title: "Method not allowed",
    meaning: "The path exists, but not with this method. The Allow header lists the methods that it has.",
};
/// The path cannot be read.
pub const BAD_PATH: ErrorCode = ErrorCode {
    status: StatusCode::BAD_REQUEST,
    code: "bad_path",
    title: "Unreadable path",
    meaning: "The path is not percent-encoded UTF-8, or a part of it is not what is expected; the detail names it.",
};
/// The request is not valid HTTP.
pub(crate) const BAD_REQUEST: ErrorCode = ErrorCode {
    status: StatusCode::BAD_REQUEST,
    code: "bad_request",
    title: "Unreadable request",
    meaning: "A part of the request is not what HTTP allows: the method, the address, a header or the body; the detail \
              names it.",
};
/// The path or the query is too long.
pub const URI_TOO_LONG: ErrorCode = ErrorCode {
    status: StatusCode::URI_TOO_LONG,
    code: "uri_too_long",
    title: "Address too long",
    meaning: "The path or the query string is longer than this service reads; the detail states the limit.",
};
/// The answer is larger than the platform can send.
pub const ANSWER_TOO_LARGE: ErrorCode = ErrorCode {
    status: StatusCode::NOT_ACCEPTABLE,
    code: "answer_too_large",
    title: "Answer too large",
    meaning: "The answer does not fit into one response. Accept gzip (Accept-Encoding: gzip), or ask for smaller pages \
              (count).",
};
/// The service has a bug.
pub(crate) const INTERNAL: ErrorCode = ErrorCode {
    status: StatusCode::INTERNAL_SERVER_ERROR,
    code: "internal_error",
    title: "Internal error",
    meaning: "This service is at fault. Its log has the details under the request id.",
};

/// The errors that any route can answer with.
pub const LAYER_ERROR_CODES: [&ErrorCode; 7] =
    [&NOT_FOUND, &METHOD_NOT_ALLOWED, &BAD_PATH, &BAD_REQUEST, &URI_TOO_LONG, &ANSWER_TOO_LARGE, &INTERNAL];

/// An error answer. `ApiLayer` adds the request id and logs the cause.
#[derive(Debug, Clone)]
pub struct Problem(Box<Inside>);

/// Boxed, because every fallible function returns it.
#[derive(Debug, Clone)]
struct Inside {
    kind: &'static ErrorCode,
    detail: String,
    cause: Option<String>,
    members: Map<String, Value>,
    headers: HeaderMap,
}

/// The body of an error.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ProblemBody {
    /// The address of the error's description.
    #[schema(example = "/api/docs/#unknown_project")]
    pub r#type: String,
    /// The kind of error in a few words.
    pub title: String,
    /// The HTTP status.
    #[schema(minimum = 400, maximum = 599)]
    pub status: u16,
    /// What went wrong, as a sentence for people.
    pub detail: String,
    /// The kind of error, for programs. Codes do not change.
    #[schema(example = "unknown_project")]
    pub code: String,
    /// The request's id. The log has the details under it.
    pub request_id: String,
    /// Further members of this kind of error, for example `closest`.
    #[serde(flatten)]
    pub members: Map<String, Value>,
}

impl Problem {
    /// An error of this kind; `detail` is a sentence for people.
    pub fn new(kind: &'static ErrorCode, detail: impl Into<String>) -> Self {
        let (members, headers) = (Map::new(), HeaderMap::new());
        Self(Box::new(Inside { kind, detail: detail.into(), cause: None, members, headers }))
    }

    /// The error that nothing is served at an address: for a route of several paths, where the router cannot know.
    pub fn nothing_at(uri: &Uri) -> Self {
        Self::new(&NOT_FOUND, format!("Nothing is served at {}.", uri.path()))
    }

    /// Adds the cause, which is for the log and not for the client.
    #[must_use]
    pub fn because(mut self, cause: impl Into<String>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// Adds a member to the body.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.members.insert(name.to_owned(), value.into());
        self
    }

    /// Adds the number of seconds after which to try again.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.0.headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        self
    }

    /// Adds how to sign in (RFC 6750, 3).
    #[must_use]
    pub fn challenge(mut self, challenge: &'static str) -> Self {
        self.0.headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        self
    }

    /// The kind of error.
    pub fn error_code(&self) -> &'static ErrorCode {
        self.0.kind
    }

    /// The code and the cause, for the log.
    pub(crate) fn log(&self) -> (&'static str, Option<&str>) {
        (self.0.kind.code, self.0.cause.as_deref())
    }

    /// The answer to the client.
    pub(crate) fn render(self, request_id: &str) -> Response {
        let Inside { kind, detail, members, headers, cause: _ } = *self.0;
        let body = ProblemBody {
            r#type: format!("/api/docs/#{}", kind.code),
            title: kind.title.to_owned(),
            status: kind.status.as_u16(),
            detail,
            code: kind.code.to_owned(),
            request_id: request_id.to_owned(),
            members,
        };
        let json = serde_json::to_vec(&body).unwrap_or_default();
        let content_type = HeaderValue::from_static("application/problem+json");
        let mut response = (kind.status, [(header::CONTENT_TYPE, content_type)], json).into_response();
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response.headers_mut().extend(headers);
        response
    }
}

/// The detail and the cause, for operators.
impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0.detail)?;
        self.0.cause.iter().try_for_each(|cause| write!(out, " ({cause})"))
    }
}

impl IntoResponse for Problem {
    /// Without a body: `ApiLayer` writes it, because it knows the request's id.
    fn into_response(self) -> Response {
        let mut response = self.0.kind.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}
