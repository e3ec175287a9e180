//! A function that accepts the issuer's tokens.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use chrono::DateTime;
use http::{HeaderMap, Request, StatusCode};
use http_api::{ApiLayer, Identity, IdentitySettings, KeySource, RequestLog};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use test_support::issuer::{AUDIENCE, ISSUER, NOW, SCOPE, SERVICES};
use tower::ServiceExt as _;

/// A function that answers with the caller.
#[derive(Clone)]
pub(crate) struct App {
    router: Router,
    lines: Arc<Mutex<Vec<Value>>>,
    now: Arc<AtomicI64>,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The caller, or the error.
    pub(crate) body: String,
    /// The request's line in the log.
    pub(crate) line: Value,
}

impl App {
    pub(crate) fn new(keys: &str) -> Self {
        Self::taking(keys, Some(SERVICES))
    }

    pub(crate) fn taking(keys: &str, service_audience: Option<&str>) -> Self {
        let settings = IdentitySettings {
            issuer: ISSUER.to_owned(),
            audience: AUDIENCE.to_owned(),
            service_audience: service_audience.map(ToOwned::to_owned),
            service_clients: ["treeherder", "sheriff"].map(ToOwned::to_owned).into(),
            service_scope: SCOPE.to_owned(),
            keys: KeySource::read(keys).unwrap(),
        };
        let now = Arc::new(AtomicI64::new(NOW));
        let seconds = now.clone();
        let clock = Arc::new(move || DateTime::from_timestamp(seconds.load(Ordering::Relaxed), 0).unwrap());
        let identity = Arc::new(Identity::new(settings, clock.clone()));
        let whoami = async move |headers: HeaderMap, request_log: RequestLog| {
            identity.caller(&headers, &request_log).await.map(|caller| format!("{caller:?}"))
        };
        let lines = Arc::new(Mutex::new(Vec::new()));
        let log = {
            let lines = lines.clone();
            Arc::new(move |line: &str| lines.lock().unwrap().push(serde_json::from_str(line).unwrap()))
        };
        let layer = ApiLayer { name: "Test", allowed_origins: [].into(), clock, log };
        Self { router: layer.wrap(Router::new().route("/whoami", get(whoami))), lines, now }
    }

    /// Sets the clock to this many seconds after the start.
    pub(crate) fn at(&self, seconds: i64) -> &Self {
        self.now.store(NOW + seconds, Ordering::Relaxed);
        self
    }

    pub(crate) async fn ask(&self, token: &str) -> Answer {
        self.ask_with(&[format!("Bearer {token}").as_bytes()]).await
    }

    /// Asks with these Authorization headers.
    pub(crate) async fn ask_with(&self, authorization: &[&[u8]]) -> Answer {
        let mut request = Request::get("/whoami").header("x-request-id", "r1");
        for value in authorization {
            request = request.header("authorization", *value);
        }
        let response = self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        let line = self.lines.lock().unwrap().pop().unwrap();
        Answer { status: parts.status, headers: parts.headers, body, line }
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The reason in the log.
    pub(crate) fn reason(&self) -> &str {
        self.line["error"].as_str().unwrap_or_default()
    }

    /// Asserts that this person is the caller.
    pub(crate) fn assert_is(&self, email: &str) {
        assert_eq!(self.body, format!("Person {{ email: {email:?} }}"), "{}", self.reason());
        assert_eq!((self.status, self.line["caller"].as_str()), (StatusCode::OK, Some("person")));
    }

    /// Asserts that the token was refused for this reason, which only the log contains, without any part of the token.
    pub(crate) fn assert_refused(&self, token: &str, reason: &str) {
        assert_eq!(self.reason(), format!("token: {reason}"), "{token}");
        let body: Value = serde_json::from_str(&self.body).unwrap();
        let expected = json!({
            "type": "/api/docs/#bad_token", "title": "Sign-in not valid", "status": 401, "code": "bad_token",
            "detail": "The sign-in is not valid (any more): please sign in again.", "request_id": "r1",
        });
        assert_eq!((self.status, body), (StatusCode::UNAUTHORIZED, expected), "{reason}");
        assert_eq!(self.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
        assert_eq!(self.line["caller"], Value::Null);
        self.assert_leaks_nothing_of(token);
    }

    /// Asserts that neither the answer nor the log contains a part of the token or the address.
    pub(crate) fn assert_leaks_nothing_of(&self, token: &str) {
        let said = format!("{} {:?} {}", self.body, self.headers, self.line);
        for piece in token.as_bytes().windows(20).map(|piece| str::from_utf8(piece).unwrap()) {
            assert!(!said.contains(piece), "{piece}: {said}");
        }
        assert!(!said.contains("mozilla.com"), "{said}");
    }
}
