//! The Lambda function that serves lists.

use std::process::ExitCode;

use jobs::settings::Settings;
use runtime::settings::environment;
use runtime::{Aws, ClientProfile, print_log, system_clock};
use store::CatalogTable;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let configure = || Ok((Settings::read(environment)?, Aws::from_lambda(environment, ClientProfile::Request)?));
    runtime::run_function(configure, async |(settings, aws): (Settings, Aws)| {
        aws.connect_early().await;
        let table = CatalogTable::new(aws.dynamodb(), &settings.catalog_table);
        http_api::run_lambda(jobs::app(settings, table, system_clock(), print_log())).await
    })
    .await
}
