//! Serves each project's runnable jobs over HTTP, and the page that people pick them on.

pub mod api;
mod catalog;
mod files;
mod freshness;
mod health;
mod lists;
mod overview;
mod page;
mod problems;
mod public;
mod query;
mod reference;
pub mod settings;

use std::sync::Arc;

use axum::Router;
use axum::routing::{MethodRouter, get};
use http_api::ApiLayer;
use push_lists::PushLists;
use runtime::{Clock, LogSink};
use store::{CatalogCache, CatalogTable};

use crate::catalog::CatalogService;
pub use crate::reference::openapi;
use crate::settings::Settings;

/// What the names of the function's metrics start with.
pub const METRICS: &str = "Jobs";

/// The function: its routes within the layer of all HTTP functions. `log` takes a line of JSON a request.
pub fn app(settings: Settings, table: CatalogTable, clock: Clock, log: LogSink) -> Router {
    let allowed_origins = settings.allowed_origins.clone().into();
    let routes = routes(settings, table, clock.clone());
    ApiLayer { name: METRICS, allowed_origins, clock, log }.wrap(routes)
}

/// The routes alone, for a program that puts one layer around the routes of several functions.
pub fn routes(settings: Settings, table: CatalogTable, clock: Clock) -> Router {
    let Settings { catalog_table: _, schedules, fresh, allowed_origins: _, cache_bytes, taskcluster, page } = settings;
    let max_age = u32::try_from(fresh.num_seconds()).unwrap_or_default();
    let cache = CatalogCache::new(table, fresh, cache_bytes, clock.clone());
    let pushes = taskcluster.map(|settings| PushLists::new(settings, clock.clone()));
    let catalog = Arc::new(CatalogService::new(cache, pushes, max_age, schedules, clock));
    let routes = Router::new()
        .route("/__version__", get(health::version))
        .route("/__heartbeat__", get(health::heartbeat))
        .route("/__lbheartbeat__", get(health::load_balancer_heartbeat))
        // Labels of Taskcluster contain slashes, which some gateways decode: the name is the rest of the path.
        .route("/api/project/{project}/runnable_jobs/{*ref_data_name}", get(lists::job));
    let routes = at(routes, "/api/project/{project}/runnable_jobs", get(lists::list));
    let routes = at(routes, "/api/projects", get(overview::projects));
    let routes = at(routes, "/api/ingests", get(overview::ingests));
    let routes = at(routes, "/api/ingests/latest", get(overview::latest_ingest));
    // Added to this router, because merging another one would add each of its routes twice.
    page::add_to(reference::add_to(routes), &page).with_state(catalog)
}

/// Adds a route with and without the slash at the end.
fn at(
    routes: Router<Arc<CatalogService>>,
    path: &str,
    method: MethodRouter<Arc<CatalogService>>,
) -> Router<Arc<CatalogService>> {
    routes.route(path, method.clone()).route(&format!("{path}/"), method)
}
