//! `serve`: the page, lists, triggering and the API reference on one port, without Lambda.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;

use clap::Args;
use http_api::ApiLayer;
use jobs::settings::TriggerAddress;
use runtime::settings::variables::{
    ALLOWED_ORIGINS, CATALOG_TABLE, FRESH_SECONDS, QUEUE_URL, REQUESTS_TABLE, SCHEDULE, TASKCLUSTER_SCHEDULE,
};
use runtime::{Aws, ClientProfile};
use store::CatalogTable;
use tokio::net::TcpListener;
use trigger_api::settings::TRIGGER_RULES;

use super::{clock, lookup, trigger_dependencies};
use crate::failure::Failure;

#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// The address and port to serve; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8000")]
    listen: SocketAddr,
    /// The catalog table
    #[arg(long, visible_alias = "catalog-table", env = CATALOG_TABLE, hide_env_values = true, value_name = "NAME")]
    table: Option<String>,
    /// The requests table
    #[arg(long, env = REQUESTS_TABLE, hide_env_values = true, value_name = "TABLE")]
    requests_table: Option<String>,
    /// The address of the queue of requests
    #[arg(long, env = QUEUE_URL, hide_env_values = true, value_name = "URL")]
    queue_url: Option<String>,
    /// When ingests are due: six fields of an `EventBridge` cron expression in UTC
    #[arg(long, env = SCHEDULE, hide_env_values = true, value_name = "CRON")]
    schedule: Option<String>,
    /// When ingests of Taskcluster are due
    #[arg(long, env = TASKCLUSTER_SCHEDULE, hide_env_values = true, value_name = "CRON")]
    taskcluster_schedule: Option<String>,
    /// For how many seconds a list is served from memory before the store is asked whether it is current
    #[arg(long, env = FRESH_SECONDS, hide_env_values = true, value_name = "SECONDS")]
    fresh: Option<String>,
    /// The origins whose scripts may read the answers, separated by commas
    #[arg(long, env = ALLOWED_ORIGINS, hide_env_values = true, value_name = "ORIGINS")]
    allowed_origins: Option<String>,
}

pub(crate) async fn run(arguments: Serve) -> Result<(), Failure> {
    let Serve { listen, table, requests_table, queue_url, schedule, taskcluster_schedule, fresh, allowed_origins } =
        arguments;
    let flags = [
        (CATALOG_TABLE, table),
        (REQUESTS_TABLE, requests_table),
        (QUEUE_URL, queue_url),
        (SCHEDULE, schedule),
        (TASKCLUSTER_SCHEDULE, taskcluster_schedule),
        (FRESH_SECONDS, fresh),
        (ALLOWED_ORIGINS, allowed_origins),
    ];
    let lookup = |variable: &str| lookup(&flags, variable);
    let mut jobs_settings = jobs::settings::Settings::read(lookup)?;
    let trigger_settings = trigger_settings(lookup)?;
    if trigger_settings.is_none() && jobs_settings.page.trigger == TriggerAddress::Here {
        jobs_settings.page.trigger = TriggerAddress::Nowhere;
    }
    let aws = Aws::from_environment(ClientProfile::Request).await?;

    let cannot = |error| Failure::Usage(format!("{listen} cannot be listened on: {error}"));
    let listener = TcpListener::bind(listen).await.map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    let _ = writeln!(io::stderr(), "Serving http://{address}/ until Ctrl-C");

    let allowed_origins = jobs_settings.allowed_origins.clone().into();
    let catalog_table = CatalogTable::new(aws.dynamodb(), &jobs_settings.catalog_table);
    let mut routes = jobs::routes(jobs_settings, catalog_table, clock());
    if let Some(settings) = trigger_settings {
        let dependencies = trigger_dependencies(&settings, &aws);
        routes = routes.merge(trigger_api::routes(settings, dependencies));
    } else {
        let _ = writeln!(
            io::stderr(),
            "Serving lists only: to serve triggering too, set {REQUESTS_TABLE}, {QUEUE_URL} and {TRIGGER_RULES}"
        );
    }
    #[expect(clippy::print_stdout, reason = "the log is what this command prints")]
    let log = Arc::new(|line: &str| println!("{line}"));
    // One layer around all routes: a request has one id, one answer of it and one line in the log.
    let app = ApiLayer { name: "Serve", allowed_origins, clock: clock(), log }.wrap(routes);
    http_api::listen(listener, app).await.map_err(Failure::Output)
}

/// The settings of the trigger function, or `None` if none of the variables is set that it requires beside the catalog
/// table. If only some of them are set, a missing one is an error: the operator wants triggering.
fn trigger_settings(
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<Option<trigger_api::settings::Settings>, Failure> {
    let is_set = |variable| lookup(variable).is_some_and(|value| !value.is_empty());
    if [REQUESTS_TABLE, QUEUE_URL, TRIGGER_RULES].into_iter().any(is_set) {
        return Ok(Some(trigger_api::settings::Settings::read(lookup)?));
    }
    Ok(None)
}
