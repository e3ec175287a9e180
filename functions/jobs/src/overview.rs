//! `GET /api/projects/`, `/api/ingests/` and `/api/ingests/latest/`.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use catalog::jobs::etag;
use http::HeaderMap;
use http_edge::{Body, Ledger, Problem, ProblemBody, Validators};
use serde::Serialize;

use crate::api::{Ingest, Ingests, Project, Projects};
use crate::catalog::Catalog;
use crate::problems::NO_INGEST;
use crate::query;

/// Every project
///
/// How many jobs it has, where they run, when its list changed, and whether it is stale: whether an ingest that should
/// have checked it did not come.
#[utoipa::path(
    get,
    path = "/api/projects/",
    tag = "Catalog",
    operation_id = "listProjects",
    responses(
        (status = 200, description = "The projects, by name", body = Projects),
        (status = 304, description = "The client holds it already"),
        (status = 400, description = "`bad_parameter`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 414, description = "`uri_too_long`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "`store_unavailable`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn projects(
    State(catalog): State<Arc<Catalog>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    ledger: Ledger,
) -> Result<Response, Problem> {
    query::no_parameters(query.as_deref())?;
    let pointers = catalog.pointers(&ledger).await?.value;
    let reports = catalog.reports(&ledger).await?.value;
    let projects = pointers.iter().map(|(name, current)| {
        let updated_at = current.provenance.updated_at;
        // Where the reports do not reach back far enough, the list itself tells when it was made.
        let (checked_at, missed) = catalog.missed(&reports, name, updated_at);
        Project {
            name: name.clone(),
            jobs: current.summary.jobs,
            build_systems: current.summary.build_systems.clone(),
            platforms: current.summary.platforms.clone(),
            updated_at,
            checked_at,
            stale: missed > 0,
            runnable_jobs: format!("/api/project/{name}/runnable_jobs/"),
        }
    });
    json(&catalog, &headers, &Projects { projects: projects.collect() })
}

/// The last ingests
///
/// What each of the last 20 found and did, newest first.
#[utoipa::path(
    get,
    path = "/api/ingests/",
    tag = "Catalog",
    operation_id = "listIngests",
    responses(
        (status = 200, description = "The ingests", body = Ingests),
        (status = 304, description = "The client holds it already"),
        (status = 400, description = "`bad_parameter`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 414, description = "`uri_too_long`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "`store_unavailable`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn ingests(
    State(catalog): State<Arc<Catalog>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    ledger: Ledger,
) -> Result<Response, Problem> {
    query::no_parameters(query.as_deref())?;
    let reports = catalog.reports(&ledger).await?.value;
    json(&catalog, &headers, &Ingests { ingests: reports.iter().map(Ingest::from).collect() })
}

/// The last ingest
#[utoipa::path(
    get,
    path = "/api/ingests/latest/",
    tag = "Catalog",
    operation_id = "getLatestIngest",
    responses(
        (status = 200, description = "The ingest", body = Ingest),
        (status = 304, description = "The client holds it already"),
        (status = 400, description = "`bad_parameter`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 404, description = "`no_ingest`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 414, description = "`uri_too_long`", body = ProblemBody, content_type = "application/problem+json"),
        (status = 503, description = "`store_unavailable`", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
pub(crate) async fn latest_ingest(
    State(catalog): State<Arc<Catalog>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    ledger: Ledger,
) -> Result<Response, Problem> {
    query::no_parameters(query.as_deref())?;
    match catalog.reports(&ledger).await?.value.first() {
        Some(report) => json(&catalog, &headers, &Ingest::from(report)),
        None => Err(Problem::new(&NO_INGEST, "Nothing has been ingested in the last 90 days.")),
    }
}

fn json(catalog: &Catalog, headers: &HeaderMap, answer: &impl Serialize) -> Result<Response, Problem> {
    let body = serde_json::to_vec(answer).expect("numbers, strings and times can be written to memory");
    let etag = etag(&body);
    let validators = Validators { etag: &etag, last_modified: None, max_age: catalog.max_age() };
    let body = Body::packed_for(headers, body);
    match validators.not_modified(headers, matches!(body, Body::Gzip(_))) {
        Some(not_modified) => Ok(not_modified),
        None => validators.ok("application/json", body),
    }
}
