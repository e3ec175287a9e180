//! Signed calls of the AWS services that speak JSON, without a client of the SDK: such a client is a whole crate for the
//! few calls that are made of it. Everything but the calls is the SDK's: credentials, signatures, the correction of the
//! clock, retries and time limits.

use std::borrow::Cow;

use aws_config::SdkConfig;
use aws_runtime::auth::SigV4OperationSigningConfig;
use aws_runtime::auth::sigv4::{SCHEME_ID, SigV4AuthScheme};
use aws_runtime::recursion_detection::RecursionDetectionInterceptor;
use aws_runtime::retries::classifiers::AwsErrorCodeClassifier;
use aws_runtime::service_clock_skew::{ServiceClockSkewClassifier, ServiceClockSkewInterceptor};
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime::client::retries::classifiers::{HttpStatusCodeClassifier, TransientErrorClassifier};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::auth::static_resolver::StaticAuthSchemeOptionResolver;
use aws_smithy_runtime_api::client::auth::{AuthSchemeOptionResolverParams, SharedAuthSchemeOptionResolver};
use aws_smithy_runtime_api::client::identity::SharedIdentityResolver;
use aws_smithy_runtime_api::client::interceptors::SharedInterceptor;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;
use aws_smithy_runtime_api::client::runtime_plugin::StaticRuntimePlugin;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::Layer;
use aws_smithy_types::error::metadata::{ErrorMetadata, ProvideErrorMetadata};
use serde_json::Value;

use crate::aws::address;

/// A service, and how it is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Service {
    /// Its name in addresses and signatures.
    name: &'static str,
    /// What precedes the name of an operation in the header `X-Amz-Target`.
    target: &'static str,
    content_type: &'static str,
}

const SQS: Service = Service { name: "sqs", target: "AmazonSQS", content_type: "application/x-amz-json-1.0" };
const SSM: Service = Service { name: "ssm", target: "AmazonSSM", content_type: "application/x-amz-json-1.1" };

/// A client of one service. Its clones share the credentials.
#[derive(Debug, Clone)]
pub struct JsonClient {
    operation: Operation<Call, Value, Refusal>,
}

/// Why a call failed. Boxed, because it holds the response.
pub type CallError = Box<SdkError<Refusal, HttpResponse>>;

/// What a service answers in place of a result.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.reason())]
pub struct Refusal {
    status: u16,
    metadata: ErrorMetadata,
}

/// The input of an operation.
#[derive(Debug)]
struct Call {
    operation: &'static str,
    body: String,
}

impl JsonClient {
    /// SQS, as configured.
    pub fn sqs(config: &SdkConfig) -> Self {
        Self::new(config, SQS)
    }

    /// Systems Manager, whose Parameter Store is read.
    pub(crate) fn ssm(config: &SdkConfig) -> Self {
        Self::new(config, SSM)
    }

    fn new(config: &SdkConfig, service: Service) -> Self {
        let mut operation = Operation::builder()
            .service_name(service.name)
            .operation_name("Call")
            .endpoint_url(&address(config, service.name))
            .runtime_plugin(signing(config, service))
            .interceptor(SharedInterceptor::permanent(RecursionDetectionInterceptor::new()))
            .with_connection_poisoning()
            .retry_classifier(HttpStatusCodeClassifier::default())
            .retry_classifier(TransientErrorClassifier::<Refusal>::new())
            .retry_classifier(AwsErrorCodeClassifier::<Refusal>::new())
            .retry_classifier(ServiceClockSkewClassifier::<Refusal>::new())
            .serializer(move |call: Call| request(service, call))
            .deserializer(|response: &HttpResponse| {
                result(response.status().as_u16(), response.body().bytes().unwrap_or_default())
            });
        if let Some(client) = config.http_client() {
            operation = operation.http_client(client);
        }
        if let Some(sleep) = config.sleep_impl() {
            operation = operation.sleep_impl(sleep);
        }
        if let Some(time) = config.time_source() {
            operation = operation.time_source(time);
        }
        if let Some(retries) = config.retry_config() {
            operation = operation.standard_retry(retries);
        }
        if let Some(timeouts) = config.timeout_config() {
            operation = operation.timeout_config(timeouts.clone());
        }
        if let Some(version) = config.behavior_version() {
            operation = operation.behavior_version(version);
        }
        Self { operation: operation.build() }
    }

    /// Calls an operation with this input, and returns its result. Throttled and failed calls are retried.
    ///
    /// # Errors
    /// The service refuses the call or cannot be reached, or its answer is not JSON.
    pub async fn call(&self, operation: &'static str, input: &Value) -> Result<Value, CallError> {
        self.operation.invoke(Call { operation, body: input.to_string() }).await.map_err(Box::new)
    }
}

/// Signature Version 4 with the configured credentials, for each attempt anew.
fn signing(config: &SdkConfig, service: Service) -> StaticRuntimePlugin {
    let mut layer = Layer::new("signing");
    layer.store_put(AuthSchemeOptionResolverParams::new(()));
    layer.store_put(SigV4OperationSigningConfig {
        name: Some(service.name.into()),
        region: config.region().cloned().map(Into::into),
        ..SigV4OperationSigningConfig::default()
    });
    let mut components = RuntimeComponentsBuilder::new("signing");
    components.set_auth_scheme_option_resolver(Some(SharedAuthSchemeOptionResolver::new(
        StaticAuthSchemeOptionResolver::new(vec![SCHEME_ID]),
    )));
    components.push_auth_scheme(SigV4AuthScheme::new());
    components.push_interceptor(SharedInterceptor::permanent(ServiceClockSkewInterceptor::new()));
    if let Some(provider) = config.credentials_provider() {
        components.set_identity_resolver(SCHEME_ID, SharedIdentityResolver::new(provider));
    }
    if let Some(cache) = config.identity_cache() {
        components.set_identity_cache(Some(cache));
    }
    StaticRuntimePlugin::new().with_config(layer.freeze()).with_runtime_components(components)
}

fn request(service: Service, call: Call) -> Result<HttpRequest, BoxError> {
    let mut request = HttpRequest::new(SdkBody::from(call.body));
    request.set_method("POST")?;
    request.set_uri("/")?;
    let headers = request.headers_mut();
    headers.try_insert("content-type", service.content_type)?;
    headers.try_insert("x-amz-target", format!("{}.{}", service.target, call.operation))?;
    Ok(request)
}

/// The result in an answer, which is empty for some operations.
fn result(status: u16, body: &[u8]) -> Result<Value, OrchestratorError<Refusal>> {
    if status == 200 {
        let body = if body.is_empty() { b"{}" } else { body };
        return serde_json::from_slice(body)
            .map_err(|error| OrchestratorError::other(format!("the answer is not JSON: {error}")));
    }
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    let mut metadata = ErrorMetadata::builder();
    if let Some(code) = said["__type"].as_str() {
        // Services write com.amazonaws.ssm#ParameterNotFound or ParameterNotFound.
        metadata = metadata.code(code.rsplit('#').next().unwrap_or(code));
    }
    if let Some(message) = said["message"].as_str().or_else(|| said["Message"].as_str()) {
        metadata = metadata.message(message);
    }
    Err(OrchestratorError::operation(Refusal { status, metadata: metadata.build() }))
}

impl Refusal {
    fn reason(&self) -> Cow<'_, str> {
        match (self.metadata.code(), self.metadata.message()) {
            (Some(code), Some(message)) => format!("{code}: {message}").into(),
            (Some(code), None) => code.into(),
            (None, _) => format!("the service answers {}", self.status).into(),
        }
    }
}

impl ProvideErrorMetadata for Refusal {
    fn meta(&self) -> &ErrorMetadata {
        &self.metadata
    }
}

#[cfg(test)]
mod tests;
