//! The clients of AWS services, made from the environment.

use std::error::Error;
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

/// How long a program waits for AWS, and how often it retries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientProfile {
    /// For programs that have minutes and must finish: up to eight attempts of at most a minute each.
    Batch,
    /// For programs that answer a request, while a client waits and Lambda bills the time. The store usually answers
    /// within 10 ms, so an attempt that takes 2 s is lost: it is repeated, at most three attempts are made, and after
    /// 4 s in all the program answers with an error or with what it has in memory.
    Request,
}

/// Clients that share a configuration and a connection pool.
#[derive(Debug, Clone)]
pub struct Aws {
    config: SdkConfig,
}

impl Aws {
    /// Reads region, credentials and endpoint from where every AWS program reads them. For the command line.
    ///
    /// # Errors
    /// No region is configured.
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

    /// Reads region, credentials and endpoint from the variables that Lambda sets, and from nowhere else. Profiles,
    /// single sign-on and metadata services would be a tenth of the function's binary, and Lambda does not use them.
    /// The clients trust only Amazon's certificates, unless `SSL_CERT_FILE` names others.
    ///
    /// # Errors
    /// The variable of the region is not set.
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
            config.set_http_client(Some(client.tls_context(amazon_tls_context()).build_https()));
        }
        config.set_endpoint_url(endpoint);
        Ok(Self { config: config.build() })
    }

    /// DynamoDB.
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&self.config)
    }

    /// SQS.
    pub fn sqs(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(&self.config)
    }

    /// S3. At an endpoint that is not AWS's own, the bucket is part of the path and not of the host name.
    pub fn s3(&self) -> aws_sdk_s3::Client {
        let own_endpoint = self.config.endpoint_url().is_some();
        let config = aws_sdk_s3::config::Builder::from(&self.config).force_path_style(own_endpoint);
        aws_sdk_s3::Client::from_conf(config.build())
    }

    pub(crate) fn config(&self) -> &SdkConfig {
        &self.config
    }
}

/// The innermost cause of an error: the SDK wraps a refused connection five times.
pub(crate) fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Reading all certificates of a system would take longer than the rest of a function's start.
fn amazon_tls_context() -> TlsContext {
    const ROOTS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/amazon-roots.pem"));
    let context = TlsContext::builder().with_trust_store(TrustStore::empty().with_pem_certificate(ROOTS));
    context.build().expect("the build script wrote valid certificates")
}

const NO_REGION: SettingsError =
    SettingsError::Missing { variable: "AWS_REGION", expected: "the region that the store is in" };

impl ClientProfile {
    /// How often throttled and failed requests are retried, with growing pauses.
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

    /// Making a client reads the certificates.
    #[test]
    fn a_function_needs_only_the_region_for_its_clients() {
        let region = |variable: &str| (variable == "AWS_REGION").then(|| "us-east-1".to_owned());
        let aws = Aws::from_lambda(region, ClientProfile::Request).unwrap();
        assert!(aws.config.http_client().is_some());
        aws.dynamodb();
        let error = Aws::from_lambda(|_| None, ClientProfile::Request).unwrap_err();
        assert_eq!(error.to_string(), "AWS_REGION is not set: the region that the store is in is expected");
    }

    #[test]
    fn another_endpoint_or_other_certificates_use_the_certificates_of_the_system() {
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
