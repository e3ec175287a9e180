//! The errors and headers of operations in the OpenAPI document, which are the same everywhere.

use std::collections::BTreeMap;

use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{Object, Type};
use utoipa::openapi::{Content, Ref, RefOr, Response, ResponseBuilder};

use crate::problem::{BAD_REQUEST, ErrorCode, URI_TOO_LONG};

/// The errors of any operation that each operation lists.
const ANYWHERE: [&ErrorCode; 2] = [&BAD_REQUEST, &URI_TOO_LONG];

type Responses = BTreeMap<String, RefOr<Response>>;

/// Adds the errors and the headers of an operation's answers. `errors` are those beyond the errors of any operation;
/// `is_cached` is whether the answers are conditional.
pub fn describe(operation: &mut Operation, errors: &[&'static ErrorCode], is_cached: bool) {
    let responses = &mut operation.responses.responses;
    if is_cached {
        responses.insert("304".to_owned(), Response::new("The client has the current answer").into());
        for status in ["200", "304"] {
            describe_header(responses, status, "ETag", "Identifies the answer in its encoding");
            describe_header(responses, status, "Cache-Control", "How long the answer may be reused");
        }
    }
    for kind in errors.iter().chain(&ANYWHERE) {
        let status = kind.status.as_str();
        let codes = errors.iter().chain(&ANYWHERE).filter(|other| other.status == kind.status);
        let codes: Vec<String> = codes.map(|kind| format!("`{}`", kind.code)).collect();
        let content = Content::new(Some(Ref::from_schema_name("ProblemBody")));
        let response = ResponseBuilder::new().description(codes.join(", "));
        let response = response.content("application/problem+json", content).build();
        responses.insert(status.to_owned(), response.into());
        if matches!(status, "429" | "503") {
            describe_header(responses, status, "Retry-After", "After how many seconds to try again");
        }
    }
    for status in responses.keys().cloned().collect::<Vec<_>>() {
        describe_header(responses, &status, "X-Request-Id", "The request's id, from the request or new");
    }
}

/// Adds a text header to the answer with this status, if the operation has such an answer.
pub fn describe_header(responses: &mut Responses, status: &str, name: &str, description: &str) {
    if let Some(RefOr::T(response)) = responses.get_mut(status) {
        let text = Object::with_type(Type::String);
        let header = HeaderBuilder::new().schema(Some(text)).description(Some(description)).build();
        response.headers.insert(name.to_owned(), header.into());
    }
}
