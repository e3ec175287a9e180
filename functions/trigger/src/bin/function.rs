//! The Lambda function that accepts requests to run jobs.

use std::process::ExitCode;
use std::sync::Arc;

use runtime::settings::environment;
use runtime::{Aws, ClientProfile, print_log, system_clock};
use trigger_api::Dependencies;
use trigger_api::settings::Settings;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let configure = || Ok((Settings::read(environment)?, Aws::from_lambda(environment, ClientProfile::Request)?));
    runtime::run_function(configure, async |(settings, aws): (Settings, Aws)| {
        aws.connect_early().await;
        let random = Arc::new(|| uuid::Uuid::new_v4().as_u128());
        let dependencies = Dependencies::new(&settings, &aws, system_clock(), random);
        http_api::run_lambda(trigger_api::app(settings, dependencies, print_log())).await
    })
    .await
}
