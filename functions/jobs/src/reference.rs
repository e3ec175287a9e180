//! The API reference: the OpenAPI document, and a page that renders it.
//!
//! Handlers tell what they take and what they answer with when all goes well; which errors they answer with, and the
//! headers that all answers have, are told here.
//!
//! The document is generated from the code by `cargo run -p jobs --example openapi`, checked in, and served as it is
//! checked in; a test holds it against the code. The page is Swagger UI, which the build takes from a crate.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::Router;
use axum::response::Redirect;
use axum::routing::get;
use catalog::jobs::{etag, unpack};
use http::header::CONTENT_SECURITY_POLICY;
use http::{HeaderMap, HeaderValue};
use http_edge::{ANSWER_TOO_LARGE, BAD_PATH, Body, EDGE_KINDS, Kind, Problem, URI_TOO_LONG, Validators, accepts_gzip};
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::schema::{Object, Type};
use utoipa::openapi::{Content, Ref, RefOr, Response, ResponseBuilder};
use utoipa::{Modify, OpenApi};

use crate::problems::{BAD_PARAMETER, KINDS, NO_INGEST, STORE_UNAVAILABLE, UNKNOWN_JOB, UNKNOWN_PROJECT};

/// How long browsers keep these files, in seconds.
const MAX_AGE: u32 = 3600;
/// The page runs its own scripts and asks this service, and nothing else. Swagger UI sets styles and shows images from
/// its style sheet.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);
const DOCUMENT: &str = include_str!("../openapi.json");
const PAGE: &str = include_str!("reference/index.html");
const START: &str = include_str!("reference/start.js");
const STYLE: &str = include_str!("reference/style.css");
/// Packed with gzip by the build.
const SWAGGER_UI: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui-bundle.js.gz"));
const SWAGGER_UI_STYLE: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/swagger-ui.css.gz"));

/// The document, from the code.
#[derive(Debug, OpenApi)]
#[openapi(
    info(
        title = "runnable-jobs",
        description = "Which jobs could run on a push to a Mozilla repository, in the shape of Treeherder's own \
            runnable-jobs API of 2015-2019.\n\nEvery answer has an `X-Request-Id`, the one that the request had or a \
            new one. Errors are `application/problem+json` (RFC 9457) with a stable `code`. Any request can also be \
            answered with `method_not_allowed` (405), `uri_too_long` (414) or `internal_error` (500). Paths work with \
            and without their last slash. An answer from a copy that could not be checked against the store has \
            `Warning: 110` and an `Age`.",
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
    ),
    // Seen from where the document is: the service need not be at the root of its host.
    servers((url = "..", description = "This service")),
    // What is not collected: it stands in a parameter, or is put in by `Common`.
    components(schemas(crate::api::Field, http_edge::ProblemBody)),
    modifiers(&Common),
    tags(
        (name = "Lists", description = "What can be run"),
        (name = "Catalog", description = "Where the lists come from, and how old they are"),
        (name = "Operations", description = "Mozilla's Dockerflow"),
    ),
)]
struct Document;

/// The errors and headers of each operation.
struct Common;

impl Modify for Common {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        for operation in document.paths.paths.values_mut().filter_map(|path| path.get.as_mut()) {
            let (own, is_cached): (&[&Kind], bool) = match operation.operation_id.as_deref().unwrap_or_default() {
                "listRunnableJobs" => {
                    (&[&BAD_PARAMETER, &BAD_PATH, &UNKNOWN_PROJECT, &ANSWER_TOO_LARGE, &STORE_UNAVAILABLE], true)
                }
                "getRunnableJob" => (
                    &[&BAD_PARAMETER, &BAD_PATH, &UNKNOWN_PROJECT, &UNKNOWN_JOB, &ANSWER_TOO_LARGE, &STORE_UNAVAILABLE],
                    true,
                ),
                "getLatestIngest" => (&[&BAD_PARAMETER, &NO_INGEST, &STORE_UNAVAILABLE], true),
                "listProjects" | "listIngests" => (&[&BAD_PARAMETER, &STORE_UNAVAILABLE], true),
                _ => (&[], false),
            };
            let responses = &mut operation.responses.responses;
            if is_cached {
                responses.insert("304".to_owned(), Response::new("The client holds it already").into());
                for status in ["200", "304"] {
                    put_header(responses, status, "ETag", "Names the answer in its encoding");
                    put_header(responses, status, "Cache-Control", "For how long not to ask again");
                }
            }
            for kind in own.iter().chain(&[&URI_TOO_LONG]) {
                let status = kind.status.as_str();
                let codes = own.iter().chain(&[&URI_TOO_LONG]).filter(|other| other.status == kind.status);
                let codes: Vec<String> = codes.map(|kind| format!("`{}`", kind.code)).collect();
                let content = Content::new(Some(Ref::from_schema_name("ProblemBody")));
                let response = ResponseBuilder::new().description(codes.join(", "));
                let response = response.content("application/problem+json", content).build();
                responses.insert(status.to_owned(), response.into());
                if **kind == STORE_UNAVAILABLE {
                    put_header(responses, status, "Retry-After", "In how many seconds to ask again");
                }
            }
            for status in responses.keys().cloned().collect::<Vec<_>>() {
                put_header(responses, &status, "X-Request-Id", "The request's id, as it was given or as it was made");
            }
        }
    }
}

fn put_header(responses: &mut BTreeMap<String, RefOr<Response>>, status: &str, name: &str, description: &str) {
    if let Some(RefOr::T(response)) = responses.get_mut(status) {
        let text = Object::with_type(Type::String);
        let header = HeaderBuilder::new().schema(Some(text)).description(Some(description)).build();
        response.headers.insert(name.to_owned(), header.into());
    }
}

/// The OpenAPI document as the code describes it, in JSON.
///
/// # Errors
/// Never: it is made of strings and numbers.
pub fn openapi() -> serde_json::Result<String> {
    // Through a value, so that it has no license but its name (an identifier), and keys in a steady order.
    Document::openapi().to_pretty_json().map(|json| json + "\n")
}

/// The routes of the reference.
pub(crate) fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    Router::new()
        .route("/api/openapi.json", get(async |headers: HeaderMap| text(&headers, "application/json", DOCUMENT)))
        .route("/api/docs", get(async || Redirect::permanent("docs/")))
        .route("/api/docs/", get(page))
        .route("/api/docs/start.js", get(async |headers: HeaderMap| text(&headers, "text/javascript", START)))
        .route("/api/docs/style.css", get(async |headers: HeaderMap| text(&headers, "text/css", STYLE)))
        .route(
            "/api/docs/swagger-ui-bundle.js",
            get(async |headers: HeaderMap| packed(&headers, "text/javascript", SWAGGER_UI)),
        )
        .route(
            "/api/docs/swagger-ui.css",
            get(async |headers: HeaderMap| packed(&headers, "text/css", SWAGGER_UI_STYLE)),
        )
}

async fn page(headers: HeaderMap) -> Result<axum::response::Response, Problem> {
    static FILLED: LazyLock<String> = LazyLock::new(|| {
        let row = |kind: &&Kind| {
            format!(
                "<tr id=\"{0}\"><td><code>{0}</code></td><td>{1}</td><td>{2}</td></tr>\n",
                kind.code,
                kind.status.as_u16(),
                kind.meaning
            )
        };
        let rows: String = KINDS.iter().chain(&EDGE_KINDS).map(row).collect();
        PAGE.replace("<!-- codes -->", &rows)
    });
    let mut response = text(&headers, "text/html; charset=utf-8", &FILLED)?;
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, POLICY);
    Ok(response)
}

fn text(headers: &HeaderMap, content_type: &'static str, text: &str) -> Result<axum::response::Response, Problem> {
    answer(headers, content_type, &etag(text.as_bytes()), Body::packed_for(headers, text.into()))
}

fn packed(
    headers: &HeaderMap,
    content_type: &'static str,
    gzip: &'static [u8],
) -> Result<axum::response::Response, Problem> {
    let body = if accepts_gzip(headers) {
        Body::Gzip(gzip.into())
    } else {
        Body::Plain(unpack(gzip).expect("the build packed it").into())
    };
    answer(headers, content_type, &etag(gzip), body)
}

fn answer(
    headers: &HeaderMap,
    content_type: &'static str,
    etag: &str,
    body: Body,
) -> Result<axum::response::Response, Problem> {
    let validators = Validators { etag, last_modified: None, max_age: MAX_AGE };
    validators.answer(headers, content_type, body)
}
