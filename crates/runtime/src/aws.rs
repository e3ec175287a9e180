//! The clients of AWS services, made from the environment.

use std::error::Error;
use std::time::Duration;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::http::SharedHttpClient;

use crate::http_client::{Proxies, SharedClient, Trust};
use crate::json_client::JsonClient;
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
    http: SharedClient,
}

impl Aws {
    /// Reads region, credentials and endpoint from where every AWS program reads them. For the command line.
    ///
    /// # Errors
    /// No region is configured.
    pub async fn from_environment(profile: ClientProfile) -> Result<Self, SettingsError> {
        let http = SharedClient::new(Trust::System, Proxies::FromEnvironment, profile.connect_timeout());
        let config = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(http.clone())
            .retry_config(profile.retries())
            .timeout_config(profile.timeouts())
            .load()
            .await;
        match config.region() {
            Some(_) => Ok(Self { config, http }),
            None => Err(NO_REGION),
        }
    }

    /// Reads region, credentials and endpoint from the variables that Lambda sets, and from nowhere else. Profiles,
    /// single sign-on and metadata services would be a tenth of the function's binary, and Lambda does not use them.
    /// The clients trust only Amazon's certificates, unless `AWS_ENDPOINT_URL` names another service or `SSL_CERT_FILE`
    /// other certificates.
    ///
    /// # Errors
    /// The variable of the region is not set.
    pub fn from_lambda(lookup: impl Fn(&str) -> Option<String>, profile: ClientProfile) -> Result<Self, SettingsError> {
        let region = lookup("AWS_REGION").ok_or(NO_REGION)?;
        let set = |variable| lookup(variable).filter(|value| !value.is_empty());
        let endpoint = set("AWS_ENDPOINT_URL");
        let is_aws = endpoint.is_none() && set("SSL_CERT_FILE").is_none();
        let (trust, proxies) =
            if is_aws { (Trust::Amazon, Proxies::Ignored) } else { (Trust::System, Proxies::FromEnvironment) };
        let http = SharedClient::new(trust, proxies, profile.connect_timeout());
        let mut config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new(region))
            .credentials_provider(SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new()))
            .http_client(http.clone())
            .retry_config(profile.retries())
            .timeout_config(profile.timeouts());
        config.set_endpoint_url(endpoint);
        Ok(Self { config: config.build(), http })
    }

    /// Starts to open a connection to DynamoDB, so that it is open when the first request comes. If that fails, the
    /// first request opens a connection as usual.
    pub async fn connect_early(&self) {
        if let Ok(service) = address(&self.config, "dynamodb").parse() {
            self.http.open_early(&service);
            // The network is asked now, while the function makes its clients and routes.
            tokio::task::yield_now().await;
        }
    }

    /// DynamoDB.
    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&self.config)
    }

    /// SQS.
    pub fn sqs(&self) -> JsonClient {
        JsonClient::sqs(&self.config)
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

/// How the names of regions start whose services have other addresses than most.
const PARTITIONS: [(&str, &str); 6] = [
    ("cn-", "amazonaws.com.cn"),
    ("eusc-", "amazonaws.eu"),
    ("us-iso-", "c2s.ic.gov"),
    ("us-isob-", "sc2s.sgov.gov"),
    ("eu-isoe-", "cloud.adc-e.uk"),
    ("us-isof-", "csp.hci.ic.gov"),
];

/// The innermost cause of an error: the SDK wraps a refused connection five times.
pub(crate) fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// The address of a service: the configured endpoint, or AWS's own in the region.
pub(crate) fn address(config: &SdkConfig, service: &str) -> String {
    if let Some(endpoint) = config.endpoint_url() {
        return format!("{}/", endpoint.trim_end_matches('/'));
    }
    let region = config.region().map_or("", Region::as_ref);
    let domain = PARTITIONS.iter().find(|(start, _)| region.starts_with(start)).map_or("amazonaws.com", |(_, end)| end);
    format!("https://{service}.{region}.{domain}/")
}

/// The HTTP client of the command line, for tests that make clients themselves.
#[doc(hidden)]
pub fn http_client() -> SharedHttpClient {
    SharedHttpClient::new(SharedClient::new(
        Trust::System,
        Proxies::FromEnvironment,
        ClientProfile::Batch.connect_timeout(),
    ))
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

    /// Part of the limit of an attempt. The HTTP client keeps it.
    fn connect_timeout(self) -> Duration {
        match self {
            Self::Batch => Duration::from_secs(5),
            Self::Request => Duration::from_secs(1),
        }
    }

    fn timeouts(self) -> TimeoutConfig {
        let timeouts = TimeoutConfig::builder().connect_timeout(self.connect_timeout());
        match self {
            Self::Batch => timeouts.operation_attempt_timeout(Duration::from_mins(1)),
            Self::Request => {
                timeouts.operation_attempt_timeout(Duration::from_secs(2)).operation_timeout(Duration::from_secs(4))
            }
        }
        .build()
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::config::endpoint::{DefaultResolver, Params, ResolveEndpoint as _};
    use futures_util::FutureExt as _;

    use super::*;

    fn in_region(region: &str, variables: &[(&str, &str)]) -> Aws {
        let lookup = |variable: &str| match variable {
            "AWS_REGION" => Some(region.to_owned()),
            _ => variables.iter().find(|(name, _)| *name == variable).map(|(_, value)| (*value).to_owned()),
        };
        Aws::from_lambda(lookup, ClientProfile::Request).unwrap()
    }

    #[test]
    fn a_function_needs_only_the_region_for_its_clients() {
        in_region("us-east-1", &[]).dynamodb();
        let error = Aws::from_lambda(|_| None, ClientProfile::Request).unwrap_err();
        assert_eq!(error.to_string(), "AWS_REGION is not set: the region that the store is in is expected");
    }

    #[test]
    fn another_endpoint_or_other_certificates_use_the_certificates_of_the_system() {
        assert_eq!(in_region("us-east-1", &[]).http.trust(), Trust::Amazon);
        for other in ["AWS_ENDPOINT_URL", "SSL_CERT_FILE"] {
            let aws = in_region("us-east-1", &[(other, "http://127.0.0.1:4566")]);
            assert_eq!(aws.http.trust(), Trust::System, "{other}");
        }
    }

    #[test]
    fn the_addresses_of_services_are_those_that_the_sdk_uses() {
        for region in [
            "us-west-2",
            "us-gov-west-1",
            "cn-north-1",
            "eusc-de-east-1",
            "us-iso-east-1",
            "us-isob-east-1",
            "eu-isoe-west-1",
            "us-isof-south-1",
        ] {
            let parameters = Params::builder().region(region).use_fips(false).use_dual_stack(false).build().unwrap();
            let resolved = DefaultResolver::new().resolve_endpoint(&parameters).now_or_never();
            let resolved = resolved.unwrap().unwrap();
            let address = address(in_region(region, &[]).config(), "dynamodb");
            assert_eq!(address, format!("{}/", resolved.url()));
        }
        for endpoint in ["http://127.0.0.1:4566", "http://127.0.0.1:4566/"] {
            let local = in_region("us-east-1", &[("AWS_ENDPOINT_URL", endpoint)]);
            assert_eq!(address(local.config(), "sqs"), "http://127.0.0.1:4566/");
        }
    }
}
