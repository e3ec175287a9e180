//! The same function on a port, for development and for measuring.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use chrono::Utc;
use clap::Parser;
use jobs::settings::Settings;
use runtime::settings::variables::{ALLOWED_ORIGINS, CATALOG_TABLE, FRESH_SECONDS, SCHEDULE};
use runtime::{Aws, ClientProfile};
use store::CatalogTable;
use tokio::net::TcpListener;

/// Serves each project's runnable jobs over HTTP, as the function does in Lambda.
///
/// Region, credentials and endpoint of the store are taken from where every AWS program takes them. One line of JSON is
/// printed a request.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The address and port to serve; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8000")]
    listen: SocketAddr,
    /// The catalog table.
    #[arg(long, env = CATALOG_TABLE, hide_env_values = true)]
    table: Option<String>,
    /// When ingests are due: six fields of an EventBridge cron expression, in UTC.
    #[arg(long, env = SCHEDULE, hide_env_values = true)]
    schedule: Option<String>,
    /// For how many seconds a list is served from memory before the store is asked whether it is current.
    #[arg(long, env = FRESH_SECONDS, hide_env_values = true, value_name = "SECONDS")]
    fresh: Option<String>,
    /// The origins whose scripts may read the answers, with commas between them.
    #[arg(long, env = ALLOWED_ORIGINS, hide_env_values = true, value_name = "ORIGINS")]
    allowed_origins: Option<String>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    runtime::init_logging();
    match serve(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&format!("error: {error}"));
            ExitCode::FAILURE
        }
    }
}

async fn serve(arguments: Arguments) -> Result<(), String> {
    let Arguments { listen, table, schedule, fresh, allowed_origins } = arguments;
    let given =
        [(CATALOG_TABLE, table), (SCHEDULE, schedule), (FRESH_SECONDS, fresh), (ALLOWED_ORIGINS, allowed_origins)];
    let lookup =
        |variable: &str| given.iter().find(|(known, _)| *known == variable).and_then(|(_, value)| value.clone());
    let settings = Settings::read(lookup).map_err(|error| error.to_string())?;
    let aws = Aws::from_environment(ClientProfile::Request).await.map_err(|error| error.to_string())?;
    let table = CatalogTable::new(aws.dynamodb(), &settings.catalog_table);
    let cannot = |error| format!("{listen} cannot be listened on: {error}");
    let listener = TcpListener::bind(listen).await.map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    #[expect(clippy::disallowed_methods, reason = "the edge at which time enters")]
    let clock = Arc::new(Utc::now);
    #[expect(clippy::print_stdout, reason = "the log is what this program prints")]
    let log = Arc::new(|line: &str| println!("{line}"));
    say(&format!("Serving http://{address}/api/docs/ until Ctrl-C"));
    http_api::listen(listener, jobs::app(settings, table, clock, log)).await.map_err(|error| error.to_string())
}

#[expect(clippy::print_stderr, reason = "what is for the person, not for the log")]
fn say(line: &str) {
    eprintln!("{line}");
}
