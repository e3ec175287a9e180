//! The function as Lambda runs it.

use std::process::ExitCode;
use std::sync::Arc;

use chrono::Utc;
use desk::Means;
use desk::settings::Settings;
use store::{Aws, Pace};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    http_edge::init_logging();
    let lookup = |variable: &str| std::env::var(variable).ok();
    let configured =
        Settings::read(lookup).and_then(|settings| Ok((settings, Aws::from_lambda(lookup, Pace::Request)?)));
    let (settings, aws) = match configured {
        Ok(configured) => configured,
        Err(error) => {
            tracing::error!(%error, "the function is not configured");
            return ExitCode::from(2);
        }
    };
    #[expect(clippy::disallowed_methods, reason = "the edge at which time enters")]
    let clock = Arc::new(Utc::now);
    let chance = Arc::new(|| uuid::Uuid::new_v4().as_u128());
    let means = Means::new(&settings, &aws, clock, chance);
    #[expect(clippy::print_stdout, reason = "that is how the platform takes the log")]
    let log = Arc::new(|line: &str| println!("{line}"));
    match http_edge::run_lambda(desk::app(settings, means, log)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the Lambda runtime ended");
            ExitCode::FAILURE
        }
    }
}
