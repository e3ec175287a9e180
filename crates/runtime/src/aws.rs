//! The clients of the services, made from the environment.

use std::time::Duration;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};

use crate::settings::SettingsError;
use crate::{Archive, CatalogTable, Queue, RequestsTable, StoreError};

/// How long a program may wait for the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientProfile {
    /// It has minutes, and is better late than not done: up to eight attempts, of a minute at most.
    Batch,
    /// Somebody waits at the other end, and Lambda bills the waiting. The store mostly answers within some 10 ms: what
    /// takes 2 s is lost and worth another of three attempts, and after 4 s in all it is better to say no, or to serve
    /// what was read before.
    Request,
}

/// Clients that share a configuration and a connection pool.
#[derive(Debug, Clone)]
pub struct Aws {
    config: SdkConfig,
}

impl Aws {
    /// Reads region, credentials and endpoint as every AWS program does: for the command line.
    ///
    /// # Errors
    /// Nothing says which region the store is in.
    pub async fn from_environment(profile: ClientProfile) -> Result<Self, SettingsError> {
        let config = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .retry_config(profile.retries())
            .timeout_config(profile.timeouts())
            .load()
            .await;
        match config.region() {
            Some(_) => Ok(Self { config }),
            None => Err(NO_REGION),
        }
    }

    /// Takes region, credentials and endpoint from the variables that Lambda sets, and looks nowhere else. Profiles,
    /// single sign-on and metadata services would be a tenth of the function's binary, and of no use there. Nor are
    /// other certificates than Amazon's, unless `SSL_CERT_FILE` names some.
    ///
    /// # Errors
    /// The region's variable is not set.
    pub fn from_lambda(lookup: impl Fn(&str) -> Option<String>, profile: ClientProfile) -> Result<Self, SettingsError> {
        let region = lookup("AWS_REGION").ok_or(NO_REGION)?;
        let mut config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new(region))
            .credentials_provider(SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new()))
            .retry_config(profile.retries())
            .timeout_config(profile.timeouts());
        let set = |variable| lookup(variable).filter(|value| !value.is_empty());
        let endpoint = set("AWS_ENDPOINT_URL");
        if endpoint.is_none() && set("SSL_CERT_FILE").is_none() {
            let client = Builder::new().tls_provider(Provider::Rustls(CryptoMode::AwsLc));
            config.set_http_client(Some(client.tls_context(trust_in_aws_alone()).build_https()));
        }
        config.set_endpoint_url(endpoint);
        Ok(Self { config: config.build() })
    }

    /// The catalog in this table.
    pub fn catalog_table(&self, table: &str) -> CatalogTable {
        CatalogTable::new(aws_sdk_dynamodb::Client::new(&self.config), table)
    }

    /// The requests in this table.
    pub fn requests_table(&self, table: &str) -> RequestsTable {
        RequestsTable::new(aws_sdk_dynamodb::Client::new(&self.config), table)
    }

    /// The queue at this address.
    pub fn queue(&self, url: &str) -> Queue {
        Queue::new(aws_sdk_sqs::Client::new(&self.config), url)
    }

    /// The text of a secret of Secrets Manager.
    ///
    /// # Errors
    /// It cannot be read, or is no text.
    pub async fn secret(&self, id: &str) -> Result<String, StoreError> {
        // Its name is not repeated: it is a setting, in whose place the secret itself may stand by mistake.
        let action = || "reading a secret".to_owned();
        let client = aws_sdk_secretsmanager::Client::new(&self.config);
        let output = client.get_secret_value().secret_id(id).send().await;
        let output = output.map_err(|error| StoreError::service(action(), &error))?;
        let none = || StoreError::Service { action: action(), reason: "it is no text".to_owned() };
        output.secret_string.ok_or_else(none)
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

/// To read all certificates of a system takes longer than all else that a function does before it is ready.
fn trust_in_aws_alone() -> TlsContext {
    const ROOTS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/amazon-roots.pem"));
    let context = TlsContext::builder().with_trust_store(TrustStore::empty().with_pem_certificate(ROOTS));
    context.build().expect("there is nothing in it that could fail")
}

const NO_REGION: SettingsError =
    SettingsError::Missing { variable: "AWS_REGION", expected: "the region that the store is in" };

impl ClientProfile {
    /// How often throttled and failed requests are tried, with growing pauses.
    fn retries(self) -> RetryConfig {
        let (attempts, pause) = match self {
            Self::Batch => (8, 50),
            Self::Request => (3, 25),
        };
        RetryConfig::standard().with_max_attempts(attempts).with_initial_backoff(Duration::from_millis(pause))
    }

    fn timeouts(self) -> TimeoutConfig {
        let timeouts = TimeoutConfig::builder();
        match self {
            Self::Batch => {
                timeouts.connect_timeout(Duration::from_secs(5)).operation_attempt_timeout(Duration::from_mins(1))
            }
            Self::Request => timeouts
                .connect_timeout(Duration::from_secs(1))
                .operation_attempt_timeout(Duration::from_secs(2))
                .operation_timeout(Duration::from_secs(4)),
        }
        .build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// To make a client is to read the certificates.
    #[test]
    fn a_function_makes_its_clients_of_the_region_alone() {
        let region = |variable: &str| (variable == "AWS_REGION").then(|| "us-east-1".to_owned());
        let aws = Aws::from_lambda(region, ClientProfile::Request).unwrap();
        assert!(aws.config.http_client().is_some());
        aws.catalog_table("catalog");
        let error = Aws::from_lambda(|_| None, ClientProfile::Request).unwrap_err();
        assert_eq!(error.to_string(), "AWS_REGION is not set: the region that the store is in is expected");
    }

    #[test]
    fn another_endpoint_and_other_certificates_are_the_systems_affair() {
        for other in ["AWS_ENDPOINT_URL", "SSL_CERT_FILE"] {
            let lookup = |variable: &str| {
                let known = [("AWS_REGION", "us-east-1"), (other, "http://127.0.0.1:4566")];
                known.iter().find(|(name, _)| *name == variable).map(|(_, value)| (*value).to_owned())
            };
            assert!(
                Aws::from_lambda(lookup, ClientProfile::Request).unwrap().config.http_client().is_none(),
                "{other}"
            );
        }
    }
}
