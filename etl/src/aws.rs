//! The clients of the services, made from the environment.

use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use store::{Archive, CatalogTable};

use crate::settings::SettingsError;

/// Clients that share a configuration and a connection pool.
#[derive(Debug, Clone)]
pub struct Aws {
    config: SdkConfig,
}

impl Aws {
    /// Reads region, credentials and endpoint as every AWS program does. Throttled and failed requests are tried up to
    /// eight times, with back-off.
    ///
    /// # Errors
    /// Nothing says which region the store is in.
    pub async fn from_environment() -> Result<Self, SettingsError> {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(5))
            .operation_attempt_timeout(Duration::from_secs(60))
            .build();
        let retries = RetryConfig::standard().with_max_attempts(8).with_initial_backoff(Duration::from_millis(50));
        let config = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .retry_config(retries)
            .timeout_config(timeouts)
            .load()
            .await;
        match config.region() {
            Some(_) => Ok(Self { config }),
            None => Err(SettingsError::Missing { variable: "AWS_REGION", expected: "the region that the store is in" }),
        }
    }

    /// The catalog in this table.
    pub fn catalog_table(&self, table: &str) -> CatalogTable {
        CatalogTable::new(aws_sdk_dynamodb::Client::new(&self.config), table)
    }

    /// The archive in this bucket.
    pub fn archive(&self, bucket: &str) -> Archive {
        Archive::new(self.s3(), bucket)
    }

    /// S3. An endpoint that is not AWS's own has its buckets in the path, not in the host's name.
    pub fn s3(&self) -> aws_sdk_s3::Client {
        let own_endpoint = self.config.endpoint_url().is_some();
        let config = aws_sdk_s3::config::Builder::from(&self.config).force_path_style(own_endpoint);
        aws_sdk_s3::Client::from_conf(config.build())
    }
}
