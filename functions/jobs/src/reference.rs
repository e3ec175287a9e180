//! The API reference: the OpenAPI document, and a page that renders it.
//!
//! The document is generated from the code by `cargo run -p jobs --example openapi`, checked in, and served as it is
//! checked in; a test holds it against the code. The page is Swagger UI, which the build takes from a crate.

use std::sync::LazyLock;

use axum::Router;
use axum::response::{Redirect, Response};
use axum::routing::get;
use catalog::jobs::{etag, unpack};
use http::header::CONTENT_SECURITY_POLICY;
use http::{HeaderMap, HeaderValue};
use http_edge::{Body, EDGE_KINDS, Kind, Problem, Validators, accepts_gzip};
use utoipa::OpenApi;

use crate::problems::KINDS;

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
    // It stands in a parameter, from where it is not collected.
    components(schemas(crate::api::Field)),
    tags(
        (name = "Lists", description = "What can be run"),
        (name = "Catalog", description = "Where the lists come from, and how old they are"),
        (name = "Operations", description = "Mozilla's Dockerflow"),
    ),
)]
struct Document;

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

async fn page(headers: HeaderMap) -> Result<Response, Problem> {
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

fn text(headers: &HeaderMap, content_type: &'static str, text: &str) -> Result<Response, Problem> {
    answer(headers, content_type, &etag(text.as_bytes()), Body::packed_for(headers, text.into()))
}

fn packed(headers: &HeaderMap, content_type: &'static str, gzip: &'static [u8]) -> Result<Response, Problem> {
    let body = if accepts_gzip(headers) {
        Body::Gzip(gzip.into())
    } else {
        Body::Plain(unpack(gzip).expect("the build packed it").into())
    };
    answer(headers, content_type, &etag(gzip), body)
}

fn answer(headers: &HeaderMap, content_type: &'static str, etag: &str, body: Body) -> Result<Response, Problem> {
    let validators = Validators { etag, last_modified: None, max_age: MAX_AGE };
    match validators.not_modified(headers, matches!(body, Body::Gzip(_))) {
        Some(not_modified) => Ok(not_modified),
        None => validators.ok(content_type, body),
    }
}
