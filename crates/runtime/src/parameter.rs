//! One parameter of Systems Manager's Parameter Store. A client of that service would be a whole crate for this one call.

use std::borrow::Cow;

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime::client::retries::classifiers::{HttpStatusCodeClassifier, TransientErrorClassifier};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::body::SdkBody;
use serde_json::{Value, json};

use crate::Aws;
use crate::aws::root_cause;

const TARGET: &str = "AmazonSSM.GetParameter";
const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// A parameter cannot be read. The message does not repeat the parameter's name: the setting that should hold the name
/// may hold the password itself by mistake.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("reading a parameter of Parameter Store: {0}")]
pub struct ParameterError(String);

/// What Parameter Store answers in place of a parameter, as `CODE: MESSAGE`.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Refusal(String);

impl Aws {
    /// Reads the decrypted value of a parameter.
    ///
    /// # Errors
    /// The parameter cannot be read, or its key cannot be used.
    pub async fn parameter(&self, name: &str) -> Result<String, ParameterError> {
        read(self.config(), name).await.map_err(ParameterError)
    }
}

async fn read(config: &SdkConfig, name: &str) -> Result<String, String> {
    let region = config.region().map_or("", |region| region.as_ref()).to_owned();
    let endpoint = endpoint(config.endpoint_url(), &region);
    let provider = config.credentials_provider().ok_or("there are no credentials")?;
    let credentials = provider.provide_credentials().await.map_err(|error| root_cause(&error))?;
    let body = json!({"Name": name, "WithDecryption": true}).to_string();
    #[expect(clippy::disallowed_methods, reason = "time enters the program here: AWS accepts a signature for minutes")]
    let now = std::time::SystemTime::now();
    let headers = signature(&endpoint, &region, credentials, now, &body).map_err(|error| root_cause(&*error))?;

    let mut operation = Operation::builder()
        .service_name("ssm")
        .operation_name("GetParameter")
        .endpoint_url(&endpoint)
        .no_auth()
        .retry_classifier(HttpStatusCodeClassifier::default())
        .retry_classifier(TransientErrorClassifier::<Refusal>::new())
        .serializer(move |()| request(&headers, &body))
        .deserializer(|response: &HttpResponse| {
            answer(response.status().as_u16(), response.body().bytes().unwrap_or_default())
                .map_err(|reason| OrchestratorError::operation(Refusal(reason)))
        });
    if let Some(client) = config.http_client() {
        operation = operation.http_client(client);
    }
    if let Some(sleep) = config.sleep_impl() {
        operation = operation.sleep_impl(sleep);
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
    operation.build().invoke(()).await.map_err(|error| match &error {
        SdkError::ServiceError(refused) => refused.err().to_string(),
        other => root_cause(other),
    })
}

/// The address of the service: an own endpoint, or AWS's.
fn endpoint(own: Option<&str>, region: &str) -> String {
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    own.map_or_else(|| format!("https://ssm.{region}.{domain}/"), |own| format!("{}/", own.trim_end_matches('/')))
}

/// The headers that sign the call with these credentials (Signature Version 4).
fn signature(
    endpoint: &str,
    region: &str,
    credentials: Credentials,
    now: std::time::SystemTime,
    body: &str,
) -> Result<Vec<(String, String)>, BoxError> {
    let identity = credentials.into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("ssm")
        .time(now)
        .settings(SigningSettings::default())
        .build()?
        .into();
    let headers = [("content-type", CONTENT_TYPE), ("x-amz-target", TARGET)];
    let signable = SignableRequest::new("POST", endpoint, headers.into_iter(), SignableBody::Bytes(body.as_bytes()))?;
    let (instructions, _) = sign(signable, &parameters)?.into_parts();
    Ok(instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

fn request(headers: &[(String, String)], body: &str) -> Result<HttpRequest, BoxError> {
    let mut request = HttpRequest::new(SdkBody::from(body));
    request.set_method("POST")?;
    request.set_uri("/")?;
    let fixed = [("content-type", CONTENT_TYPE), ("x-amz-target", TARGET)];
    let fixed = fixed.map(|(name, value)| (name.to_owned(), value.to_owned()));
    for (name, value) in fixed.iter().chain(headers) {
        request.headers_mut().try_insert(Cow::<'static, str>::Owned(name.clone()), value.clone())?;
    }
    Ok(request)
}

/// The value in an answer, or why there is none.
fn answer(status: u16, body: &[u8]) -> Result<String, String> {
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    if status == 200 {
        let value = said["Parameter"]["Value"].as_str();
        return value.map(ToOwned::to_owned).ok_or_else(|| "the answer has no value".to_owned());
    }
    let message = said["message"].as_str().or_else(|| said["Message"].as_str());
    // AWS writes com.amazonaws.ssm#ParameterNotFound or ParameterNotFound.
    match (said["__type"].as_str().map(|code| code.rsplit('#').next().unwrap_or(code)), message) {
        (Some(code), Some(message)) => Err(format!("{code}: {message}")),
        (Some(code), None) => Err(code.to_owned()),
        (None, _) => Err(format!("the service answers {status}")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn the_address_is_aws_own_in_the_region_or_the_configured_one() {
        assert_eq!(endpoint(None, "eu-west-1"), "https://ssm.eu-west-1.amazonaws.com/");
        assert_eq!(endpoint(None, "cn-north-1"), "https://ssm.cn-north-1.amazonaws.com.cn/");
        for own in ["http://127.0.0.1:4566", "http://127.0.0.1:4566/"] {
            assert_eq!(endpoint(Some(own), "eu-west-1"), "http://127.0.0.1:4566/");
        }
    }

    /// Computed with botocore for the same credentials, time and body.
    #[test]
    fn the_call_is_signed_as_botocore_signs_it() {
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", Some("token".to_owned()), None, "test");
        // 2026-11-23, 6 o'clock.
        let now = UNIX_EPOCH + Duration::from_hours(498_726);
        let body = r#"{"Name":"/runnable-jobs/pulse","WithDecryption":true}"#;
        let headers = signature("https://ssm.us-east-1.amazonaws.com/", "us-east-1", credentials, now, body).unwrap();
        let header = |wanted: &str| {
            headers.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.as_str())
        };
        assert_eq!(header("x-amz-date"), Some("20261123T060000Z"));
        assert_eq!(header("x-amz-security-token"), Some("token"));
        let signed = header("authorization").unwrap();
        let headers = "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target";
        assert!(signed.contains(headers), "{signed}");
        assert!(signed.ends_with("a6fc3dfd8da4212dc79d232aba040b1cea639f8b49782229c734b6cb51b6a090"), "{signed}");
    }

    #[test]
    fn an_answer_is_a_value_or_a_reason() {
        assert_eq!(answer(200, br#"{"Parameter": {"Value": "x"}}"#), Ok("x".to_owned()));
        for (status, body, reason) in [
            (200, "{}", "the answer has no value"),
            (400, r#"{"__type": "ParameterNotFound"}"#, "ParameterNotFound"),
            (
                400,
                r#"{"__type": "com.amazonaws.ssm#AccessDeniedException", "Message": "not allowed"}"#,
                "AccessDeniedException: not allowed",
            ),
            (503, "<html>", "the service answers 503"),
        ] {
            assert_eq!(answer(status, body.as_bytes()), Err(reason.to_owned()), "{body}");
        }
    }
}
