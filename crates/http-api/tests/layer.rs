//! The behaviour that all routes share.
#![allow(clippy::unwrap_used, reason = "a helper of a test may fail as the test may")]

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode};
use http_api::{ApiLayer, Path, RequestLog};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;

type Lines = Arc<Mutex<Vec<Value>>>;

fn app() -> (Router, Lines) {
    let lines = Lines::default();
    let log = {
        let lines = lines.clone();
        Arc::new(move |line: &str| lines.lock().unwrap().push(serde_json::from_str(line).unwrap()))
    };
    let routes = Router::new()
        .route("/words/{word}", get(async |Path(word): Path<String>| ([("vary", "Accept-Encoding")], word)))
        .route(
            "/noted",
            get(async |request_log: RequestLog| {
                request_log.record("project", "try");
                request_log.add_read_units(0.5);
                request_log.add_read_units(8.0);
                request_log.mark_stale();
            }),
        )
        .route("/broken", get(async || -> &'static str { panic!("a secret") }));
    let layer = ApiLayer {
        name: "Test",
        allowed_origins: [HeaderValue::from_static("https://treeherder.mozilla.org")].into(),
        clock: Arc::new(|| "2026-11-23T06:00:00Z".parse().unwrap()),
        log,
    };
    (layer.wrap(routes), lines)
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    fn problem(&self) -> Value {
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        serde_json::from_slice(&self.body).unwrap()
    }
}

async fn ask(app: &Router, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    Answer { status: parts.status, headers: parts.headers, body }
}

#[tokio::test]
async fn a_request_keeps_its_id_or_gets_a_new_one() {
    let (app, lines) = app();
    let given =
        ask(&app, Method::GET, "/words/a", &[("x-request-id", "Root=1-67891233-abcdef012345678912345678")]).await;
    assert_eq!(given.header("x-request-id"), Some("Root=1-67891233-abcdef012345678912345678"));
    for bad in ["", "two words", "{\"log\": \"injected\"}", &"x".repeat(129)] {
        let made = ask(&app, Method::GET, "/words/a", &[("x-request-id", bad)]).await;
        let id = made.header("x-request-id").unwrap();
        assert_eq!(id.len(), 36, "{id}");
        assert_eq!(lines.lock().unwrap().last().unwrap()["request_id"], id);
    }
}

#[tokio::test]
async fn an_unknown_path_is_404_and_another_method_is_405_with_the_allowed_ones() {
    let (app, _) = app();
    let nowhere = ask(&app, Method::GET, "/nowhere", &[("x-request-id", "r1")]).await;
    assert_eq!(nowhere.status, StatusCode::NOT_FOUND);
    let problem = nowhere.problem();
    assert_eq!(problem["code"], "not_found");
    assert_eq!(problem["status"], 404);
    assert_eq!(problem["type"], "/api/docs/#not_found");
    assert_eq!(problem["request_id"], "r1");
    assert_eq!(problem["detail"], "Nothing is served at /nowhere.");
    let posted = ask(&app, Method::POST, "/noted", &[]).await;
    assert_eq!(posted.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(posted.header("allow"), Some("GET, HEAD, OPTIONS"));
    assert_eq!(posted.problem()["code"], "method_not_allowed");
}

#[tokio::test]
async fn head_is_get_without_the_body_for_answers_and_errors() {
    let (app, _) = app();
    let head = ask(&app, Method::HEAD, "/words/hello", &[]).await;
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (StatusCode::OK, Some("5"), 0));
    let error = ask(&app, Method::HEAD, "/nowhere", &[]).await;
    assert_eq!((error.status, error.body.len()), (StatusCode::NOT_FOUND, 0));
    assert_eq!(error.header("content-type"), Some("application/problem+json"));
}

#[tokio::test]
async fn options_lists_the_methods_of_a_path() {
    let (app, _) = app();
    let plain = ask(&app, Method::OPTIONS, "/noted", &[]).await;
    assert_eq!((plain.status, plain.header("allow")), (StatusCode::NO_CONTENT, Some("GET, HEAD, OPTIONS")));
    assert_eq!(ask(&app, Method::OPTIONS, "/nowhere", &[]).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn only_a_configured_origin_may_read_the_answers() {
    let (app, _) = app();
    let ours = [("origin", "https://treeherder.mozilla.org")];
    let read = ask(&app, Method::GET, "/words/a", &ours).await;
    assert_eq!(read.header("access-control-allow-origin"), Some("https://treeherder.mozilla.org"));
    assert!(read.header("access-control-expose-headers").unwrap().contains("ETag"));
    assert_eq!(read.header("access-control-allow-methods"), None);
    assert_eq!(read.headers.get_all("vary").iter().collect::<Vec<_>>(), ["Accept-Encoding, Origin"]);
    // Errors too, or the page could not show them.
    let error = ask(&app, Method::GET, "/nowhere", &ours).await;
    assert_eq!(error.header("access-control-allow-origin"), Some("https://treeherder.mozilla.org"));
    for other in ["https://example.org", "https://treeherder.mozilla.org.example.org", "null"] {
        let answer = ask(&app, Method::GET, "/words/a", &[("origin", other)]).await;
        assert_eq!(answer.header("access-control-allow-origin"), None);
        assert!(answer.header("vary").unwrap().contains("Origin"));
    }
}

#[tokio::test]
async fn a_preflight_of_a_configured_origin_is_answered() {
    let (app, _) = app();
    let asks = |origin| [("origin", origin), ("access-control-request-method", "GET")];
    let ours = ask(&app, Method::OPTIONS, "/noted", &asks("https://treeherder.mozilla.org")).await;
    assert_eq!(ours.status, StatusCode::NO_CONTENT);
    assert_eq!(ours.header("access-control-allow-methods"), Some("GET, HEAD, OPTIONS"));
    assert!(ours.header("access-control-allow-headers").unwrap().contains("If-None-Match"));
    let other = ask(&app, Method::OPTIONS, "/noted", &asks("https://example.org")).await;
    assert_eq!(other.header("access-control-allow-methods"), None);
}

#[tokio::test]
async fn an_address_that_is_too_long_or_unreadable_is_refused() {
    let (app, _) = app();
    let long = ask(&app, Method::GET, &format!("/words/{}", "x".repeat(4096)), &[]).await;
    assert_eq!((long.status, long.problem()["code"].as_str()), (StatusCode::URI_TOO_LONG, Some("uri_too_long")));
    let long = ask(&app, Method::GET, &format!("/noted?{}", "x".repeat(6145)), &[]).await;
    assert_eq!(long.problem()["detail"], "The query has 6145 bytes; at most 6144 are read.");
    let unreadable = ask(&app, Method::GET, "/words/%ff", &[]).await;
    assert_eq!((unreadable.status, unreadable.problem()["code"].as_str()), (StatusCode::BAD_REQUEST, Some("bad_path")));
    let unreadable = ask(&app, Method::GET, "/noted?search=%ff", &[]).await;
    let answered = (unreadable.status, unreadable.problem()["code"].as_str().map(ToOwned::to_owned));
    assert_eq!(answered, (StatusCode::BAD_REQUEST, Some("bad_request".to_owned())));
}

#[tokio::test]
async fn a_panic_is_answered_and_its_reason_is_only_logged() {
    let (app, lines) = app();
    let broken = ask(&app, Method::GET, "/broken", &[]).await;
    assert_eq!(broken.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(!String::from_utf8(broken.body.clone()).unwrap().contains("secret"));
    let line = lines.lock().unwrap().pop().unwrap();
    assert_eq!((line["code"].as_str(), line["error"].as_str()), (Some("internal_error"), Some("panic: a secret")));
    assert_eq!((line["level"].as_str(), line["TestErrors"].as_u64()), (Some("ERROR"), Some(1)));
}

#[tokio::test]
async fn every_request_writes_one_line_with_its_metrics() {
    let (app, lines) = app();
    ask(&app, Method::GET, "/noted?x=1", &[("x-request-id", "r1")]).await;
    let mut line = lines.lock().unwrap().pop().unwrap();
    assert!(line["duration_ms"].as_f64().unwrap() >= 0.0);
    line.as_object_mut().unwrap().remove("duration_ms");
    let metric = |name: &str, unit: &str| serde_json::json!({"Name": name, "Unit": unit});
    let expected = serde_json::json!({
        "_aws": {
            "Timestamp": 1_795_413_600_000_u64,
            "CloudWatchMetrics": [{
                "Namespace": "RunnableJobs",
                "Dimensions": [[]],
                "Metrics": [metric("TestStale", "Count"), metric("Incidents", "Count")],
            }],
        },
        "level": "INFO", "request_id": "r1", "method": "GET", "route": "/noted", "status": 200, "bytes": 0,
        "project": "try", "read_units": 8.5, "TestStale": 1, "Incidents": 0.34,
        "incident": "Lists are served without the store",
    });
    assert_eq!(line, expected);
    ask(&app, Method::GET, "/nowhere", &[]).await;
    assert_eq!(lines.lock().unwrap().pop().unwrap()["route"], Value::Null);
    assert!(lines.lock().unwrap().is_empty());
}

#[tokio::test]
async fn answers_cannot_be_framed_sniffed_or_scripted() {
    let (app, _) = app();
    for path in ["/words/a", "/nowhere"] {
        let answer = ask(&app, Method::GET, path, &[]).await;
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("content-security-policy"), Some("default-src 'none'; frame-ancestors 'none'"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert!(answer.header("strict-transport-security").is_some());
    }
}
