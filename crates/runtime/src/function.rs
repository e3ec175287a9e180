//! How a Lambda function starts and ends.

use std::process::ExitCode;

use lambda_runtime::Error;

use crate::init_logging;
use crate::settings::SettingsError;

/// Runs a Lambda function: sets up logging, reads its configuration, and serves until the platform ends it.
///
/// Exits with 2 when the configuration is missing or wrong, and with 1 when the Lambda runtime fails. Both errors are
/// logged.
pub async fn run_function<C>(
    configure: impl FnOnce() -> Result<C, SettingsError>,
    serve: impl AsyncFnOnce(C) -> Result<(), Error>,
) -> ExitCode {
    init_logging();
    let configuration = match configure() {
        Ok(configuration) => configuration,
        Err(error) => {
            tracing::error!(%error, "the function is not configured");
            return ExitCode::from(2);
        }
    };
    // In a box: the compiler limits how deep futures are nested.
    match Box::pin(serve(configuration)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the Lambda runtime ended");
            ExitCode::FAILURE
        }
    }
}
