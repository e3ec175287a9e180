//! Takes requests to run jobs: who asks and may they, which of the jobs exist, keep it, queue it, and let people follow
//! what happens.

mod admission;
pub mod api;
mod body;
pub mod budget;
pub mod catalog;
pub mod desk;
pub mod outcome;
mod problems;
mod reference;
mod routes;
pub mod settings;
pub mod sweep;

use std::sync::Arc;

use axum::Router;
use axum::routing::{MethodRouter, get, post};
use http_edge::{Edge, Identity, IdentitySettings};
use store::kept::Clock;
use store::{Aws, CatalogTable, Queue, RequestsTable};
use treeherder::Treeherder;

use crate::budget::Budget;
use crate::catalog::Catalog;
use crate::desk::Desk;
pub use crate::reference::openapi;
use crate::routes::Counter;
use crate::settings::Settings;

/// What the function works with: tables, queue, and what differs from one second to the next.
pub struct Means {
    /// The catalog, which is read alone.
    pub catalog: CatalogTable,
    /// The requests.
    pub requests: RequestsTable,
    /// The queue to Pulse.
    pub queue: Queue,
    /// Tells the time.
    pub clock: Clock,
    /// Makes names of requests differ.
    pub chance: Arc<dyn Fn() -> u128 + Send + Sync>,
}

impl Means {
    /// The tables and the queue that the settings name.
    pub fn new(settings: &Settings, aws: &Aws, clock: Clock, chance: Arc<dyn Fn() -> u128 + Send + Sync>) -> Self {
        Self {
            catalog: aws.catalog_table(&settings.catalog_table),
            requests: aws.requests_table(&settings.requests_table),
            queue: aws.queue(&settings.queue_url),
            clock,
            chance,
        }
    }
}

impl Desk {
    /// A desk with these settings and means.
    pub fn new(settings: &Settings, means: Means) -> Self {
        let Means { catalog, requests, queue, clock, chance } = means;
        Self {
            catalog: Catalog::new(catalog, settings.fresh, clock.clone()),
            requests,
            queue,
            treeherder: Treeherder::new(&settings.treeherder_url, settings.treeherder_holds, clock.clone()),
            treeherder_public_url: settings.treeherder_public_url.clone(),
            rules: settings.rules.clone(),
            without_treeherder: settings.without_treeherder,
            budget: Budget::new(settings.limits),
            renames: settings.renames.clone(),
            planning: settings.planning,
            clock,
            chance,
        }
    }
}

/// The function: all its routes, in Lambda and on a port alike. `log` takes a line of JSON a request.
pub fn app(mut settings: Settings, means: Means, log: Arc<dyn Fn(&str) + Send + Sync>) -> Router {
    let clock = means.clock.clone();
    if settings.identity.as_ref().is_some_and(IdentitySettings::takes_no_service_by_mistake) {
        tracing::warn!("no service can sign in: RUNNABLE_JOBS_OIDC_SERVICE_CLIENTS names none");
    }
    let identity = settings.identity.take().map(|settings| Identity::new(settings, clock.clone()));
    let counter = Arc::new(Counter { desk: Desk::new(&settings, means), identity });
    let routes = Router::new();
    let routes = at(routes, "/api/project/{project}/push/{push_id}/trigger_runnable_jobs", post(routes::trigger));
    // What it was called until 2018.
    let routes = at(routes, "/api/project/{project}/resultset/{push_id}/trigger_runnable_jobs", post(routes::trigger));
    let routes = at(routes, "/api/project/{project}/push/{push_id}/trigger_requests", get(routes::of_push));
    let routes = at(routes, "/api/project/{project}/trigger_requests/{request_id}", get(routes::one));
    let routes = at(routes, "/api/project/{project}/trigger_requests/{request_id}/retry", post(routes::retry));
    let routes = at(routes, "/api/trigger_requests", get(routes::mine));
    Edge { name: "Trigger", allowed_origins: settings.allowed_origins.into(), clock, log }
        .around(routes.with_state(counter))
}

/// A resource, with and without the last slash.
fn at(routes: Router<Arc<Counter>>, path: &str, method: MethodRouter<Arc<Counter>>) -> Router<Arc<Counter>> {
    routes.route(path, method.clone()).route(&format!("{path}/"), method)
}
