//! The endpoints of Mozilla's Dockerflow: version, heartbeat, load balancer heartbeat.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::CACHE_CONTROL;
use http::{HeaderValue, StatusCode};
use http_api::RequestLog;

use crate::api::{Health, Heartbeat, Version};
use crate::catalog::CatalogService;

/// The version of the service
#[utoipa::path(
    get,
    path = "/__version__",
    tag = "Operations",
    operation_id = "getVersion",
    responses((status = 200, description = "The version", body = Version)),
)]
pub(crate) async fn version() -> Json<Version> {
    Json(Version {
        source: "runnable-jobs".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: option_env!("RUNNABLE_JOBS_COMMIT").unwrap_or_default().to_owned(),
        build: catalog::RULES.to_owned(),
    })
}

/// The health of the service
///
/// Whether the store answers, and whether the last ingest that was due succeeded.
#[utoipa::path(
    get,
    path = "/__heartbeat__",
    tag = "Operations",
    operation_id = "getHeartbeat",
    responses(
        (status = 200, description = "All checks passed", body = Heartbeat),
        (status = 503, description = "A check failed; the details have the reason", body = Heartbeat),
    ),
)]
pub(crate) async fn heartbeat(State(catalog): State<Arc<CatalogService>>, request_log: RequestLog) -> Response {
    let heartbeat_reports = catalog.heartbeat_reports(&request_log).await;
    let store = match &heartbeat_reports {
        Some(_) => (Health::Ok, "it can be read".to_owned()),
        // The reason is only logged, because it names tables and roles.
        None => (Health::Error, "it cannot be read; the function's log has the reason".to_owned()),
    };
    let fresh = match &heartbeat_reports {
        Some(reports) => catalog.freshness(reports),
        None => (Health::Error, "unknown, because the store does not answer".to_owned()),
    };
    let found = [("store", store), ("catalog", fresh)];
    let status = found.iter().map(|(_, (health, _))| *health).max().unwrap_or(Health::Ok);
    let checks = found.iter().map(|(name, (health, _))| ((*name).to_owned(), *health)).collect();
    let details: BTreeMap<String, String> =
        found.into_iter().map(|(name, (_, detail))| (name.to_owned(), detail)).collect();
    let code = if status == Health::Ok { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut response = (code, Json(Heartbeat { status, checks, details })).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Whether the function runs
///
/// Uses no other service.
#[utoipa::path(
    get,
    path = "/__lbheartbeat__",
    tag = "Operations",
    operation_id = "getLoadBalancerHeartbeat",
    responses((status = 200, description = "The function runs")),
)]
pub(crate) async fn load_balancer_heartbeat() -> StatusCode {
    StatusCode::OK
}
