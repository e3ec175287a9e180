//! Serves each project's runnable jobs over HTTP: the routes, what is held in memory, and what is configured.

pub mod api;
mod catalog;
mod health;
mod lists;
mod overview;
mod problems;
mod public;
mod query;
mod reference;
pub mod settings;

use std::sync::Arc;

use axum::Router;
use axum::routing::{MethodRouter, get};
use http_api::ApiLayer;
use store::CatalogTable;

use crate::catalog::CatalogCache;
pub use crate::reference::openapi;
use crate::settings::Settings;
pub use store::cached::Clock;

/// The function: its routes within the layer of all HTTP functions. `log` takes a line of JSON a request.
pub fn app(settings: Settings, table: CatalogTable, clock: Clock, log: Arc<dyn Fn(&str) + Send + Sync>) -> Router {
    let allowed_origins = settings.allowed_origins.clone().into();
    let routes = routes(settings, table, clock.clone());
    ApiLayer { name: "Jobs", allowed_origins, clock, log }.wrap(routes)
}

/// The routes alone, for a program that puts one layer around the routes of several functions.
pub fn routes(settings: Settings, table: CatalogTable, clock: Clock) -> Router {
    let Settings { catalog_table: _, schedule, fresh, allowed_origins: _, memory } = settings;
    let catalog = Arc::new(CatalogCache::new(table, schedule, fresh, memory, clock));
    let routes = Router::new()
        .route("/__version__", get(health::version))
        .route("/__heartbeat__", get(health::heartbeat))
        .route("/__lbheartbeat__", get(health::load_balancer_heartbeat))
        // Labels of Taskcluster hold slashes, which some gateways decode: the name is all of the rest.
        .route("/api/project/{project}/runnable_jobs/{*ref_data_name}", get(lists::job));
    let routes = at(routes, "/api/project/{project}/runnable_jobs", get(lists::list));
    let routes = at(routes, "/api/projects", get(overview::projects));
    let routes = at(routes, "/api/ingests", get(overview::ingests));
    let routes = at(routes, "/api/ingests/latest", get(overview::latest_ingest));
    routes.with_state(catalog).merge(reference::routes())
}

/// A resource, with and without the last slash.
fn at(
    routes: Router<Arc<CatalogCache>>,
    path: &str,
    method: MethodRouter<Arc<CatalogCache>>,
) -> Router<Arc<CatalogCache>> {
    routes.route(path, method.clone()).route(&format!("{path}/"), method)
}
