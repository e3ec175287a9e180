//! Calls of a service that a test puts in place of AWS.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_async::time::StaticTimeSource;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use serde_json::json;

use super::*;

/// What the service does with an attempt.
#[derive(Debug, Clone, Copy)]
enum Answer {
    With(u16, &'static str),
    /// It closes the connection.
    Nothing,
    /// It accepts the request, and answers nothing.
    Silence,
}

use Answer::{Nothing, Silence, With};

/// A service that answers the attempts in turn, the last of these answers again and again, and keeps the requests.
#[derive(Debug, Clone)]
struct FakeService {
    answers: Arc<Mutex<VecDeque<Answer>>>,
    requests: Arc<Mutex<Vec<HttpRequest>>>,
}

impl FakeService {
    fn new(answers: &[Answer]) -> Self {
        Self { answers: Arc::new(Mutex::new(answers.iter().copied().collect())), requests: Arc::default() }
    }

    /// The configuration of a program that makes three attempts, on 2026-11-23 at 6 o'clock.
    fn config(&self) -> SdkConfig {
        let credentials = Credentials::new("AKIDEXAMPLE", "secret", Some("token".to_owned()), None, "test");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .http_client(self.clone())
            .sleep_impl(TokioSleep::new())
            .time_source(StaticTimeSource::new(UNIX_EPOCH + Duration::from_hours(498_726)))
            .retry_config(RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::from_millis(2)))
            .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(Duration::from_millis(200)).build())
            .build()
    }

    fn attempts(&self) -> usize {
        self.requests.lock().unwrap().len()
    }

    fn header(&self, attempt: usize, name: &str) -> Option<String> {
        self.requests.lock().unwrap()[attempt].headers().get(name).map(ToOwned::to_owned)
    }
}

impl HttpClient for FakeService {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for FakeService {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        self.requests.lock().unwrap().push(request);
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().copied() };
        match answer.expect("an answer for the test") {
            With(status, body) => HttpConnectorFuture::ready(Ok(HttpResponse::new(
                status.try_into().expect("a status"),
                SdkBody::from(body),
            ))),
            Nothing => HttpConnectorFuture::ready(Err(ConnectorError::io("closed".into()))),
            Silence => HttpConnectorFuture::new(std::future::pending()),
        }
    }
}

/// Calls the service, which answers so; returns the result and the number of attempts.
async fn send(answers: &[Answer]) -> (Result<Value, CallError>, usize) {
    let service = FakeService::new(answers);
    let result = JsonClient::sqs(&service.config()).call("SendMessage", &json!({"MessageBody": "x"})).await;
    (result, service.attempts())
}

/// The code and the message of an error.
fn refusal(error: &CallError) -> (Option<&str>, String) {
    let SdkError::ServiceError(refused) = &**error else { panic!("no answer: {error:?}") };
    (refused.err().code(), refused.err().to_string())
}

const THROTTLED: Answer = With(400, r#"{"__type": "com.amazonaws.sqs#RequestThrottled", "message": "too fast"}"#);

/// Computed with botocore for the same credentials, time and body.
#[tokio::test]
async fn a_call_is_signed_as_botocore_signs_it() {
    let service = FakeService::new(&[With(200, "{}")]);
    let input = json!({"Name": "/runnable-jobs/pulse", "WithDecryption": true});
    JsonClient::ssm(&service.config()).call("GetParameter", &input).await.unwrap();
    assert_eq!(service.requests.lock().unwrap()[0].uri(), "https://ssm.us-east-1.amazonaws.com/");
    assert_eq!(service.header(0, "x-amz-date").as_deref(), Some("20261123T060000Z"));
    assert_eq!(service.header(0, "x-amz-security-token").as_deref(), Some("token"));
    assert_eq!(service.header(0, "x-amz-target").as_deref(), Some("AmazonSSM.GetParameter"));
    let signed = service.header(0, "authorization").unwrap();
    let headers = "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target";
    assert!(signed.contains(headers), "{signed}");
    assert!(signed.ends_with("a6fc3dfd8da4212dc79d232aba040b1cea639f8b49782229c734b6cb51b6a090"), "{signed}");
}

#[tokio::test]
async fn an_answer_without_a_body_is_an_empty_result() {
    assert_eq!(send(&[With(200, "")]).await.0.unwrap(), json!({}));
    assert_eq!(send(&[With(200, r#"{"MessageId": "1"}"#)]).await.0.unwrap(), json!({"MessageId": "1"}));
}

#[tokio::test]
async fn an_answer_that_is_not_json_is_an_error() {
    let (result, attempts) = send(&[With(200, "<html>")]).await;
    let cause = crate::aws::root_cause(&*result.unwrap_err());
    assert!(cause.starts_with("the answer is not JSON: "), "{cause}");
    assert_eq!(attempts, 1);
}

#[tokio::test]
async fn a_throttled_call_is_retried_and_each_attempt_is_signed() {
    let service = FakeService::new(&[THROTTLED, THROTTLED, With(200, "{}")]);
    JsonClient::sqs(&service.config()).call("SendMessage", &json!({})).await.unwrap();
    assert_eq!(service.attempts(), 3);
    for attempt in 0..3 {
        assert!(service.header(attempt, "authorization").is_some(), "attempt {attempt}");
        assert_eq!(service.header(attempt, "x-amz-target").as_deref(), Some("AmazonSQS.SendMessage"));
        assert_eq!(service.header(attempt, "content-type").as_deref(), Some("application/x-amz-json-1.0"));
    }
}

#[tokio::test]
async fn endless_throttling_is_given_up_with_the_services_reason() {
    let (result, attempts) = send(&[THROTTLED]).await;
    let error = result.unwrap_err();
    assert_eq!(refusal(&error), (Some("RequestThrottled"), "RequestThrottled: too fast".to_owned()));
    assert_eq!(attempts, 3);
}

#[tokio::test]
async fn a_failing_service_and_a_closed_connection_are_retried() {
    for failure in [With(500, r#"{"__type": "InternalFailure"}"#), With(503, "<html>"), Nothing, Silence] {
        let (result, attempts) = send(&[failure, With(200, "{}")]).await;
        assert_eq!((result.unwrap(), attempts), (json!({}), 2), "{failure:?}");
    }
    let (result, attempts) = send(&[With(503, "<html>")]).await;
    assert_eq!((refusal(&result.unwrap_err()).1, attempts), ("the service answers 503".to_owned(), 3));
    let (result, attempts) = send(&[Nothing]).await;
    assert!(matches!(&*result.unwrap_err(), SdkError::DispatchFailure(_)));
    assert_eq!(attempts, 3);
    let (result, _) = send(&[Silence]).await;
    assert!(matches!(&*result.unwrap_err(), SdkError::TimeoutError(_)));
}

#[tokio::test]
async fn a_refused_call_is_not_retried_and_its_error_has_code_and_message() {
    for (status, body, code, reason) in [
        (400, r#"{"__type": "ParameterNotFound"}"#, Some("ParameterNotFound"), "ParameterNotFound"),
        (
            400,
            r#"{"__type": "com.amazonaws.ssm#AccessDeniedException", "Message": "not allowed"}"#,
            Some("AccessDeniedException"),
            "AccessDeniedException: not allowed",
        ),
        (
            400,
            r#"{"__type": "com.amazonaws.sqs#QueueDoesNotExist", "message": "no such queue"}"#,
            Some("QueueDoesNotExist"),
            "QueueDoesNotExist: no such queue",
        ),
        (403, r#"{"message": "no type"}"#, None, "the service answers 403"),
        (404, "", None, "the service answers 404"),
    ] {
        let (result, attempts) = send(&[With(status, body)]).await;
        assert_eq!(refusal(&result.unwrap_err()), (code, reason.to_owned()), "{body}");
        assert_eq!(attempts, 1, "{body}");
    }
}
