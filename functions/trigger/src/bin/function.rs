//! The function as Lambda runs it.

use std::process::ExitCode;
use std::sync::Arc;

use chrono::Utc;
use store::{Aws, ClientProfile};
use trigger_api::Dependencies;
use trigger_api::settings::Settings;

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
    #[expect(clippy::disallowed_methods, reason = "the edge at which time enters")]
    let clock = Arc::new(Utc::now);
    let random = Arc::new(|| uuid::Uuid::new_v4().as_u128());
    let dependencies = Dependencies::new(&settings, &aws, clock, random);
    #[expect(clippy::print_stdout, reason = "that is how the platform takes the log")]
    let log = Arc::new(|line: &str| println!("{line}"));
    match http_api::run_lambda(trigger_api::app(settings, dependencies, log)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the Lambda runtime ended");
            ExitCode::FAILURE
        }
    }
}
