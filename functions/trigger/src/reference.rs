//! This function's part of the OpenAPI document. `runnable-jobs openapi` merges it into the document of the whole API,
//! which the jobs function serves.

use http_api::{ANSWER_TOO_LARGE, BAD_PATH, ErrorCode, describe, describe_header};
use serde_json::{Value, json};
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::{Modify, OpenApi};

use crate::error_codes::{
    BAD_BODY, BAD_KEY, BAD_PARAMETER, BODY_TOO_LARGE, CHANGED_MEANWHILE, IN_PROGRESS, KEY_REUSED, NO_KNOWN_JOBS,
    NOT_ALLOWED, NOT_JSON, NOTHING_TO_RETRY, STILL_OPEN, STORE_UNAVAILABLE, TOO_MANY_JOBS, TOO_MANY_REQUESTS,
    TREEHERDER_UNAVAILABLE, UNKNOWN_PROJECT, UNKNOWN_PUSH, UNKNOWN_REQUEST,
};

/// The error codes of every operation.
const ALWAYS: [&ErrorCode; 7] = [
    &http_api::SIGN_IN,
    &http_api::BAD_TOKEN,
    &http_api::INSUFFICIENT_SCOPE,
    &http_api::EMAIL_NOT_VERIFIED,
    &http_api::KEYS_UNAVAILABLE,
    &BAD_PARAMETER,
    &STORE_UNAVAILABLE,
];
const TRIGGER: [&ErrorCode; 14] = [
    &BAD_PATH,
    &UNKNOWN_PROJECT,
    &UNKNOWN_PUSH,
    &BAD_BODY,
    &BODY_TOO_LARGE,
    &NOT_JSON,
    &BAD_KEY,
    &TOO_MANY_JOBS,
    &NO_KNOWN_JOBS,
    &KEY_REUSED,
    &IN_PROGRESS,
    &NOT_ALLOWED,
    &TOO_MANY_REQUESTS,
    &TREEHERDER_UNAVAILABLE,
];
const RETRY: [&ErrorCode; 12] = [
    &BAD_PATH,
    &UNKNOWN_PROJECT,
    &UNKNOWN_PUSH,
    &UNKNOWN_REQUEST,
    &NOTHING_TO_RETRY,
    &STILL_OPEN,
    &CHANGED_MEANWHILE,
    &TOO_MANY_JOBS,
    &NO_KNOWN_JOBS,
    &NOT_ALLOWED,
    &TOO_MANY_REQUESTS,
    &TREEHERDER_UNAVAILABLE,
];
const ONE: [&ErrorCode; 4] = [&BAD_PATH, &UNKNOWN_REQUEST, &NOT_ALLOWED, &ANSWER_TOO_LARGE];
const LIST: [&ErrorCode; 3] = [&BAD_PATH, &NOT_ALLOWED, &ANSWER_TOO_LARGE];
const MINE: [&ErrorCode; 2] = [&NOT_ALLOWED, &ANSWER_TOO_LARGE];

#[derive(Debug, OpenApi)]
#[openapi(
    paths(
        crate::routes::trigger,
        crate::routes::one,
        crate::routes::retry,
        crate::routes::of_push,
        crate::routes::mine,
    ),
    components(schemas(http_api::ProblemBody)),
    modifiers(&Common),
)]
struct Document;

/// Errors and headers of each operation, the sign-in, and the error codes.
struct Common;

impl Modify for Common {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let mut codes: Vec<&ErrorCode> = Vec::new();
        for path in document.paths.paths.values_mut() {
            for operation in [&mut path.get, &mut path.post].into_iter().flatten() {
                let (own, is_cached): (&[&'static ErrorCode], bool) = match operation.operation_id.as_deref() {
                    Some("triggerRunnableJobs") => (&TRIGGER, false),
                    Some("retryTriggerRequest") => (&RETRY, false),
                    Some("getTriggerRequest") => (&ONE, true),
                    Some("listTriggerRequests") => (&MINE, true),
                    _ => (&LIST, true),
                };
                let of_push: &[&'static ErrorCode] = if is_cached { &[] } else { &push_lists::ERROR_CODES };
                let errors: Vec<&'static ErrorCode> = ALWAYS.iter().chain(own).chain(of_push).copied().collect();
                codes.extend(errors.iter().filter(|kind| !codes.contains(kind)).copied().collect::<Vec<_>>());
                describe(operation, &errors, is_cached);
                let responses = &mut operation.responses.responses;
                describe_header(responses, "202", "Location", "Where the request can be followed");
                describe_header(responses, "401", "WWW-Authenticate", "How to sign in");
                if operation.operation_id.as_deref() == Some("triggerRunnableJobs") {
                    let replayed = "`true` if this is the first answer again";
                    describe_header(responses, "202", "Idempotent-Replayed", replayed);
                }
                if operation.operation_id.as_deref() == Some("getTriggerRequest") {
                    for status in ["200", "304"] {
                        describe_header(
                            responses,
                            status,
                            "Retry-After",
                            "The number of seconds after which to ask again",
                        );
                    }
                }
            }
        }
        let bearer = Http::builder().scheme(HttpAuthScheme::Bearer).bearer_format("JWT");
        let bearer = bearer.description(Some("An ID token of OpenID Connect, or a service's access token")).build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("sign_in", SecurityScheme::Http(bearer));
        let codes: Vec<Value> = codes
            .iter()
            .map(|kind| json!({"code": kind.code, "status": kind.status.as_u16(), "meaning": kind.meaning}))
            .collect();
        document.extensions = Some(Extensions::builder().add("x-error-codes", codes).build());
    }
}

/// This function's part of the OpenAPI document, in JSON.
///
/// # Errors
/// Never: it is made of strings and numbers.
pub fn openapi() -> serde_json::Result<String> {
    let mut document = serde_json::to_value(Document::openapi())?;
    // A derived schema cannot say that one of two keys is expected, nor that one of two ids is.
    let body = &mut document["components"]["schemas"]["TriggerBody"];
    body["oneOf"] = json!([{"required": ["requested_jobs"]}, {"required": ["buildernames"]}]);
    let id = json!({"type": "string", "minLength": 1});
    body["not"] = json!({
        "required": ["decision_task_id", "decisionTaskID"],
        "properties": {"decision_task_id": id, "decisionTaskID": id},
    });
    serde_json::to_string_pretty(&document).map(|json| json + "\n")
}
