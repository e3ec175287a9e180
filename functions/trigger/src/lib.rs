//! The trigger API: checks who asks for jobs, resolves the names of the jobs, stores and queues the request, and shows
//! what happens to it.

mod accept;
pub mod actions;
mod admission;
pub mod api;
mod body;
pub mod budget;
pub mod call_log;
pub mod catalog;
pub mod error;
mod error_codes;
pub mod outcome;
mod reference;
mod resolve;
mod retry;
mod routes;
pub mod service;
pub mod settings;
pub mod sweep;

use std::sync::Arc;

use axum::Router;
use axum::routing::{MethodRouter, get, post};
use http_api::{ApiLayer, Identity, IdentitySettings};
use runtime::{Aws, Clock, LogSink};
use store::{CatalogTable, Queue, RequestsTable};
use treeherder::Treeherder;

use crate::actions::TaskclusterActions;
use crate::budget::Budget;
use crate::catalog::CatalogNames;
pub use crate::reference::openapi;
use crate::routes::AppState;
use crate::service::TriggerService;
use crate::settings::Settings;

/// What the names of the function's metrics start with.
pub const METRICS: &str = "Trigger";

/// The dependencies of the service: tables, queue, clock and randomness.
pub struct Dependencies {
    /// The catalog table, of which only lists of pushes are written.
    pub catalog: CatalogTable,
    /// The requests table.
    pub requests: RequestsTable,
    /// The queue that the forwarder reads.
    pub queue: Queue,
    /// The clock.
    pub clock: Clock,
    /// The source of randomness for request ids.
    pub random: Arc<dyn Fn() -> u128 + Send + Sync>,
}

impl Dependencies {
    /// The tables and the queue that the settings name.
    pub fn new(settings: &Settings, aws: &Aws, clock: Clock, random: Arc<dyn Fn() -> u128 + Send + Sync>) -> Self {
        Self {
            catalog: CatalogTable::new(aws.dynamodb(), &settings.catalog_table),
            requests: RequestsTable::new(aws.dynamodb(), &settings.requests_table),
            queue: Queue::new(aws.sqs(), &settings.queue_url),
            clock,
            random,
        }
    }
}

impl TriggerService {
    /// A service with these settings and dependencies.
    pub fn new(settings: &Settings, dependencies: Dependencies) -> Self {
        let Dependencies { catalog, requests, queue, clock, random } = dependencies;
        Self {
            catalog: CatalogNames::new(
                catalog,
                settings.taskcluster.clone(),
                settings.fresh,
                settings.cache_bytes,
                clock.clone(),
            ),
            requests,
            queue,
            treeherder: Treeherder::new(&settings.treeherder_url, settings.treeherder_ttl, clock.clone()),
            taskcluster: settings.taskcluster.clone().map(TaskclusterActions::new),
            urls: settings.public_urls(),
            permissions: settings.permissions.clone(),
            without_treeherder: settings.without_treeherder,
            budget: Budget::new(settings.limits),
            renames: settings.renames.clone(),
            planning: settings.planning,
            clock,
            random,
        }
    }
}

/// The function: its routes within the layer of all HTTP functions. `log` takes a line of JSON a request.
pub fn app(settings: Settings, dependencies: Dependencies, log: LogSink) -> Router {
    let (allowed_origins, clock) = (settings.allowed_origins.clone().into(), dependencies.clock.clone());
    ApiLayer { name: METRICS, allowed_origins, clock, log }.wrap(routes(settings, dependencies))
}

/// The routes alone, for a program that puts one layer around the routes of several functions.
pub fn routes(mut settings: Settings, dependencies: Dependencies) -> Router {
    let clock = dependencies.clock.clone();
    if settings.identity.as_ref().is_some_and(IdentitySettings::lacks_service_clients) {
        tracing::warn!("no service can sign in: RUNNABLE_JOBS_OIDC_SERVICE_CLIENTS names none");
    }
    let identity = settings.identity.take().map(|settings| Identity::new(settings, clock));
    let state = Arc::new(AppState { service: TriggerService::new(&settings, dependencies), identity });
    let routes = Router::new();
    let routes = at(routes, "/api/project/{project}/push/{push_id}/trigger_runnable_jobs", post(routes::trigger));
    // The path until 2018.
    let routes = at(routes, "/api/project/{project}/resultset/{push_id}/trigger_runnable_jobs", post(routes::trigger));
    let routes = at(routes, "/api/project/{project}/push/{push_id}/trigger_requests", get(routes::of_push));
    let routes = at(routes, "/api/project/{project}/trigger_requests/{request_id}", get(routes::one));
    let routes = at(routes, "/api/project/{project}/trigger_requests/{request_id}/retry", post(routes::retry));
    let routes = at(routes, "/api/trigger_requests", get(routes::mine));
    routes.with_state(state)
}

/// Adds a resource, with and without the trailing slash.
fn at(routes: Router<Arc<AppState>>, path: &str, method: MethodRouter<Arc<AppState>>) -> Router<Arc<AppState>> {
    routes.route(path, method.clone()).route(&format!("{path}/"), method)
}
