//! `GET /api/projects/`, `/api/ingests/` and `/api/ingests/latest/`.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use catalog::list::etag;
use http::HeaderMap;
use http_api::{Caching, Problem, RequestLog, ResponseBody, Validators};
use serde::Serialize;
use store::Found;

use crate::api::{Ingest, Ingests, Project, Projects};
use crate::catalog::{CatalogService, with_staleness};
use crate::problems::NO_INGEST;
use crate::query;

/// Every project
///
/// How many jobs each has, where they run, when its list changed, and whether it is stale: whether an ingest that was
/// due was missed.
#[utoipa::path(
    get,
    path = "/api/projects/",
    tag = "Catalog",
    operation_id = "listProjects",
    responses((status = 200, description = "The projects, by name", body = Projects))
)]
pub(crate) async fn projects(
    State(catalog): State<Arc<CatalogService>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    request_log: RequestLog,
) -> Result<Response, Problem> {
    query::no_parameters(query.as_deref())?;
    let pointers = catalog.pointers(&request_log).await?;
    let reports = catalog.reports(&request_log).await?;
    let projects = pointers.value.iter().map(|(name, pointer)| {
        let updated_at = pointer.provenance.updated_at;
        let (checked_at, missed) = catalog.missed(&reports.value, name, pointer);
        Project {
            name: name.clone(),
            jobs: pointer.summary.jobs,
            build_systems: pointer.summary.build_systems.clone(),
            platforms: pointer.summary.platforms.clone(),
            updated_at,
            checked_at,
            stale: missed > 0,
            runnable_jobs: format!("/api/project/{name}/runnable_jobs/"),
        }
    });
    let answer = Projects { projects: projects.collect() };
    json(&catalog, &headers, &answer, pointers.stale_for.or(reports.stale_for))
}

/// The last ingests
///
/// The results of the last 20 of each build system, newest first.
#[utoipa::path(
    get,
    path = "/api/ingests/",
    tag = "Catalog",
    operation_id = "listIngests",
    responses((status = 200, description = "The ingests", body = Ingests))
)]
pub(crate) async fn ingests(
    State(catalog): State<Arc<CatalogService>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    request_log: RequestLog,
) -> Result<Response, Problem> {
    query::no_parameters(query.as_deref())?;
    let Found { value: reports, stale_for, .. } = catalog.reports(&request_log).await?;
    json(&catalog, &headers, &Ingests { ingests: reports.iter().map(Ingest::from).collect() }, stale_for)
}

/// The last ingest
#[utoipa::path(
    get,
    path = "/api/ingests/latest/",
    tag = "Catalog",
    operation_id = "getLatestIngest",
    responses((status = 200, description = "The ingest", body = Ingest))
)]
pub(crate) async fn latest_ingest(
    State(catalog): State<Arc<CatalogService>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    request_log: RequestLog,
) -> Result<Response, Problem> {
    query::no_parameters(query.as_deref())?;
    let Found { value: reports, stale_for, .. } = catalog.reports(&request_log).await?;
    match reports.first() {
        Some(report) => json(&catalog, &headers, &Ingest::from(report), stale_for),
        None => Err(Problem::new(&NO_INGEST, "Nothing has been ingested in the last 90 days.")),
    }
}

fn json(
    catalog: &CatalogService,
    headers: &HeaderMap,
    answer: &impl Serialize,
    stale_for: Option<i64>,
) -> Result<Response, Problem> {
    let body = serde_json::to_vec(answer).expect("numbers, strings and times can be written to memory");
    let etag = etag(&body);
    let validators = Validators { etag: &etag, last_modified: None, caching: Caching::Public(catalog.max_age()) };
    let response = validators.answer(headers, "application/json", ResponseBody::packed_for(headers, body))?;
    Ok(with_staleness(response, stale_for))
}
