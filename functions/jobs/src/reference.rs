//! The API reference: the OpenAPI document, and a page that renders it.
//!
//! Handlers describe their parameters and their answers when all goes well. The errors of each operation, and the headers
//! that all answers have, are described here.
//!
//! The document of the whole API is checked in as `docs/reference/openapi.json` and served from there.
//! `runnable-jobs openapi` generates it from the parts of all HTTP functions, and a test compares it with the file. The
//! page is Swagger UI, which the build takes from a crate.

use std::sync::LazyLock;

use axum::Router;
use axum::response::{Redirect, Response};
use axum::routing::get;
use catalog::list::FIELDS;
use http::header::CONTENT_SECURITY_POLICY;
use http::{HeaderMap, HeaderValue};
use http_api::{ANSWER_TOO_LARGE, BAD_PATH, Caching, ErrorCode, LAYER_ERROR_CODES, Problem};
use serde::Deserialize;
use serde_json::json;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{RefOr, Schema};
use utoipa::{Modify, OpenApi};

use crate::files::{self, PackedFile};
use crate::problems::{BAD_PARAMETER, ERROR_CODES, NO_INGEST, STORE_UNAVAILABLE, UNKNOWN_JOB, UNKNOWN_PROJECT};

/// Browsers may reuse these files for an hour.
const CACHING: Caching = Caching::Public(3600);
/// The page runs only its own scripts and connects only to this service. Swagger UI sets styles and shows images from
/// its style sheet.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
/// The document of the whole API.
const DOCUMENT: &str = include_str!("../../../docs/reference/openapi.json");
const PAGE: &str = include_str!("reference/index.html");
const START: &str = include_str!("reference/start.js");
const STYLE: &str = include_str!("reference/style.css");
const SWAGGER_UI: PackedFile = PackedFile {
    content_type: "text/javascript",
    gzip: include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui-bundle.js.gz")),
};
const SWAGGER_UI_STYLE: PackedFile =
    PackedFile { content_type: "text/css", gzip: include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui.css.gz")) };

/// The document, generated from the code.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "runnable-jobs",
        description = "Which jobs could run on a push to a Mozilla repository, in the shape of Treeherder's own \
            runnable-jobs API of 2015-2019; and running them. Lists are public. Triggering jobs, and seeing who \
            triggered them, needs a sign-in.\n\nEvery answer has an `X-Request-Id`, from the request or \
            new. Errors are `application/problem+json` (RFC 9457) with a stable `code`. Any request can also be \
            answered with `bad_request` (400), `method_not_allowed` (405), `uri_too_long` (414) or `internal_error` \
            (500). Paths work with and without their last slash. An answer that may be out of date, because the store does \
            not answer, has `Warning: 110` and an `Age`.",
        license(name = "MPL-2.0", identifier = "MPL-2.0"),
    ),
    paths(
        crate::lists::list,
        crate::lists::job,
        crate::overview::projects,
        crate::overview::ingests,
        crate::overview::latest_ingest,
        crate::health::version,
        crate::health::heartbeat,
        crate::health::load_balancer_heartbeat,
        crate::page::config,
    ),
    // Relative to the document: the service need not be at the root of its host.
    servers((url = "..", description = "This service")),
    // Schemas that utoipa does not collect: they are in a parameter, or added by `Common`.
    components(schemas(crate::api::Field, http_api::ProblemBody)),
    modifiers(&Common),
    tags(
        (name = "Lists", description = "The jobs that can be run"),
        (name = "Trigger", description = "Running jobs, and the status of requests"),
        (name = "Catalog", description = "The source and the age of the lists"),
        (name = "Page", description = "The page that jobs are picked on"),
        (name = "Operations", description = "Mozilla's Dockerflow"),
    ),
)]
struct Document;

/// The errors and headers of each operation.
struct Common;

impl Modify for Common {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        for operation in document.paths.paths.values_mut().filter_map(|path| path.get.as_mut()) {
            let (own, is_cached): (&[&'static ErrorCode], bool) = match operation
                .operation_id
                .as_deref()
                .unwrap_or_default()
            {
                "listRunnableJobs" => {
                    limit_fields(operation);
                    (&[&BAD_PARAMETER, &BAD_PATH, &UNKNOWN_PROJECT, &ANSWER_TOO_LARGE, &STORE_UNAVAILABLE], true)
                }
                "getRunnableJob" => (
                    &[&BAD_PARAMETER, &BAD_PATH, &UNKNOWN_PROJECT, &UNKNOWN_JOB, &ANSWER_TOO_LARGE, &STORE_UNAVAILABLE],
                    true,
                ),
                "getLatestIngest" => (&[&BAD_PARAMETER, &NO_INGEST, &STORE_UNAVAILABLE], true),
                "listProjects" | "listIngests" => (&[&BAD_PARAMETER, &STORE_UNAVAILABLE], true),
                "getPageConfig" => (&[], true),
                _ => (&[], false),
            };
            let of_push: &[&'static ErrorCode] = match operation.operation_id.as_deref() {
                Some("listRunnableJobs" | "getRunnableJob") => &push_lists::ERROR_CODES,
                _ => &[],
            };
            let errors: Vec<&'static ErrorCode> = own.iter().chain(of_push).copied().collect();
            http_api::describe(operation, &errors, is_cached);
        }
    }
}

/// Limits the parameter `fields` to as many as a job has.
fn limit_fields(operation: &mut Operation) {
    for parameter in operation.parameters.iter_mut().flatten() {
        if let RefOr::T(parameter) = parameter
            && parameter.name == "fields"
            && let Some(RefOr::T(Schema::Array(fields))) = &mut parameter.schema
        {
            fields.max_items = Some(FIELDS.len());
        }
    }
}

/// This function's part of the OpenAPI document, in JSON. It also has what describes the API as a whole: its title, its
/// tags, and the error codes of all routes.
///
/// # Errors
/// None: the document consists of strings and numbers.
pub fn openapi() -> serde_json::Result<String> {
    // Through a value, so that the license has only an identifier, and the keys are sorted.
    let mut document = serde_json::to_value(Document::openapi())?;
    let row =
        |error: &&ErrorCode| json!({"code": error.code, "status": error.status.as_u16(), "meaning": error.meaning});
    document["x-error-codes"] =
        ERROR_CODES.iter().chain(&push_lists::ERROR_CODES).chain(&LAYER_ERROR_CODES).map(row).collect();
    serde_json::to_string_pretty(&document).map(|json| json + "\n")
}

/// Adds the routes of the reference.
pub(crate) fn add_to<S: Clone + Send + Sync + 'static>(routes: Router<S>) -> Router<S> {
    routes
        .route("/api/openapi.json", get(async |headers: HeaderMap| text(&headers, "application/json", DOCUMENT)))
        .route("/api/docs", get(async || Redirect::permanent("docs/")))
        .route("/api/docs/", get(page))
        .route("/api/docs/start.js", get(async |headers: HeaderMap| text(&headers, "text/javascript", START)))
        .route("/api/docs/style.css", get(async |headers: HeaderMap| text(&headers, "text/css", STYLE)))
        .route("/api/docs/swagger-ui-bundle.js", get(async |headers: HeaderMap| SWAGGER_UI.answer(&headers, CACHING)))
        .route("/api/docs/swagger-ui.css", get(async |headers: HeaderMap| SWAGGER_UI_STYLE.answer(&headers, CACHING)))
}

fn text(headers: &HeaderMap, content_type: &'static str, text: &str) -> Result<Response, Problem> {
    files::text(headers, content_type, text, CACHING)
}

/// The error codes in the document.
#[derive(Deserialize)]
struct Codes {
    #[serde(rename = "x-error-codes")]
    codes: Vec<Row>,
}

/// A row of the table of error codes.
#[derive(Deserialize)]
struct Row {
    code: String,
    status: u16,
    meaning: String,
}

async fn page(headers: HeaderMap) -> Result<Response, Problem> {
    static FILLED: LazyLock<String> = LazyLock::new(|| {
        let document: Codes = serde_json::from_str(DOCUMENT).expect("a test compares it with the code");
        let row = |row: &Row| {
            let Row { code, status, meaning } = row;
            format!("<tr id=\"{code}\"><td><code>{code}</code></td><td>{status}</td><td>{meaning}</td></tr>\n")
        };
        PAGE.replace("<!-- codes -->", &document.codes.iter().map(row).collect::<String>())
    });
    let mut response = text(&headers, "text/html; charset=utf-8", &FILLED)?;
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, POLICY);
    Ok(response)
}
