//! The function as Lambda runs it.

use std::process::ExitCode;
use std::sync::Arc;

use chrono::Utc;
use jobs::settings::Settings;
use store::{Aws, ClientProfile};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    http_api::init_logging();
    let lookup = |variable: &str| std::env::var(variable).ok();
    let configured =
        Settings::read(lookup).and_then(|settings| Ok((settings, Aws::from_lambda(lookup, ClientProfile::Request)?)));
    let (settings, aws) = match configured {
        Ok(configured) => configured,
        Err(error) => {
            tracing::error!(%error, "the function is not configured");
            return ExitCode::from(2);
        }
    };
    let table = aws.catalog_table(&settings.catalog_table);
    #[expect(clippy::disallowed_methods, reason = "the edge at which time enters")]
    let clock = Arc::new(Utc::now);
    #[expect(clippy::print_stdout, reason = "that is how the platform takes the log")]
    let log = Arc::new(|line: &str| println!("{line}"));
    match http_api::run_lambda(jobs::app(settings, table, clock, log)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the Lambda runtime ended");
            ExitCode::FAILURE
        }
    }
}
