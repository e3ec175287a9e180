//! Events of gateways: every event is a request and has an answer.
#![allow(clippy::unwrap_used, reason = "a helper of a test may fail as the test may")]

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery};
use axum::routing;
use http::{HeaderMap, Method};
use http_api::{ApiLayer, answer_event};
use lambda_runtime::{Context, LambdaEvent};
use proptest::prelude::*;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

type Lines = Arc<Mutex<Vec<Value>>>;

const HTTP_API: &str = "abcdefghij.execute-api.us-east-1.amazonaws.com";
const FUNCTION_URL: &str = "abcdefghijklmnopqrstuvwxyz012345.lambda-url.us-east-1.on.aws";

/// An answer as a gateway reads it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct GatewayAnswer {
    status_code: u16,
    headers: Map<String, Value>,
    #[serde(default)]
    body: String,
    is_base64_encoded: bool,
}

/// A function that answers with the request.
fn app() -> (Router, Lines) {
    let lines = Lines::default();
    let log = {
        let lines = lines.clone();
        Arc::new(move |line: &str| lines.lock().unwrap().push(serde_json::from_str(line).unwrap()))
    };
    let repeat = async |name: Option<Path<String>>,
                        RawQuery(query): RawQuery,
                        method: Method,
                        headers: HeaderMap,
                        body: Bytes| {
        let header = |name: &str| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let body = String::from_utf8(body.to_vec()).map_err(std::string::FromUtf8Error::into_bytes);
        axum::Json(json!({
            "name": name.map(|Path(name)| name), "query": query, "method": method.as_str(), "x-a": header("x-a"), "body": body,
        }))
    };
    let routes = Router::new()
        .route("/jobs/{*name}", routing::any(repeat))
        .route("/alive", routing::any(repeat))
        .route("/gzip", routing::any(async || ([("content-encoding", "gzip")], "packed")))
        .route("/bytes", routing::any(async || vec![0xff_u8, 0]));
    let clock = Arc::new(|| "2026-11-23T06:00:00Z".parse().unwrap());
    (ApiLayer { name: "Test", allowed_origins: [].into(), clock, log }.wrap(routes), lines)
}

fn event(domain: &str, path: &str, query: &str) -> Value {
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query,
        "headers": {"host": domain, "x-forwarded-proto": "https"},
        "requestContext": {
            "domainName": domain, "stage": "$default", "requestId": "r",
            "http": {"method": "GET", "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.7"},
        },
        "isBase64Encoded": false,
    })
}

/// The answer to an event, and its line in the log.
async fn ask(event: &str) -> (GatewayAnswer, Value) {
    let (answer, line) = written(event).await;
    (serde_json::from_value(answer).unwrap(), line)
}

/// The answer as JSON, and the line in the log.
async fn written(event: &str) -> (Value, Value) {
    let (app, lines) = app();
    let payload = RawValue::from_string(event.to_owned()).unwrap();
    let mut context = Context::default();
    "from-lambda".clone_into(&mut context.request_id);
    let answer = answer_event(app, LambdaEvent::new(payload, context)).await.unwrap();
    let answer = serde_json::to_value(answer).unwrap();
    let mut lines = lines.lock().unwrap();
    assert_eq!(lines.len(), 1, "one line a request");
    assert_eq!(lines[0]["status"], answer["statusCode"]);
    assert_eq!(answer["headers"]["x-request-id"], lines[0]["request_id"]);
    (answer, lines.pop().unwrap())
}

async fn repeated(event: &Value) -> Value {
    let (answer, _) = ask(&event.to_string()).await;
    assert_eq!((answer.status_code, answer.is_base64_encoded), (200, false), "{event} {answer:?}");
    serde_json::from_str(&answer.body).unwrap()
}

/// The event with one member replaced, or removed if the value is null. The name is a path: `/requestContext/stage`.
fn with(mut event: Value, place: &str, value: Value) -> Value {
    let (parent, name) = place.rsplit_once('/').unwrap();
    let parent = event.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    if value.is_null() {
        parent.remove(name);
    } else {
        parent.insert(name.to_owned(), value);
    }
    event
}

#[tokio::test]
async fn characters_that_a_uri_cannot_contain_are_encoded() {
    for query in ["a=<b>", "a=b c", "a=\"b\"", "a=b#c", "a=\u{e9}", "a=`{|}^\\", "a=\u{0}\n", "%", "a=%zz"] {
        let said = repeated(&event(HTTP_API, "/alive", query)).await;
        let sent: Vec<u8> = percent_encoding::percent_decode_str(query).collect();
        let got: Vec<u8> = percent_encoding::percent_decode_str(said["query"].as_str().unwrap()).collect();
        assert_eq!(got, sent, "{query}");
    }
    assert_eq!(repeated(&event(HTTP_API, "/alive", "a=b%20c+d&e")).await["query"], "a=b%20c+d&e");
    for host in ["", "a b", "[", "a:b:c", "\u{e9}"] {
        let odd = with(event(HTTP_API, "/alive", ""), "/headers/host", json!(host));
        repeated(&with(odd.clone(), "/requestContext/domainName", json!(host))).await;
        repeated(&with(odd, "/headers/x-forwarded-proto", json!("a b"))).await;
    }
    for stage in [json!("a b"), json!(7), json!("?"), Value::Null] {
        repeated(&with(event(HTTP_API, "/alive", ""), "/requestContext/stage", stage)).await;
    }
}

/// Each name as the client sends it and as each gateway passes it on.
#[tokio::test]
async fn a_name_arrives_as_it_was_sent_through_every_gateway() {
    for (sent, by_http_api, name) in [
        ("a", "a", "a"),
        ("a%20b%20c", "a b c", "a b c"),
        ("a%23b", "a#b", "a#b"),
        ("a%3Fb", "a?b", "a?b"),
        ("a+b", "a+b", "a+b"),
        ("a%2Bb", "a+b", "a+b"),
        ("test-linux64/opt-mochitest", "test-linux64/opt-mochitest", "test-linux64/opt-mochitest"),
        ("test-linux64%2Fopt", "test-linux64/opt", "test-linux64/opt"),
        ("a//b", "a//b", "a//b"),
        ("100%25", "100%25", "100%"),
        ("a%2523b", "a%2523b", "a%23b"),
        ("a%252Fb", "a%252Fb", "a%2Fb"),
        ("a%252525b", "a%252525b", "a%2525b"),
        ("%C3%A9%E2%82%AC", "\u{e9}\u{20ac}", "\u{e9}\u{20ac}"),
        ("a%22%3C%3E%5B%5D%7C%5Cb", "a\"<>[]|\\b", "a\"<>[]|\\b"),
        ("..%2Fb", "../b", "../b"),
        ("../b", "../b", "../b"),
        ("a;b=c,d@e:f", "a;b=c,d@e:f", "a;b=c,d@e:f"),
    ] {
        let by_url = repeated(&event(FUNCTION_URL, &format!("/jobs/{sent}"), "")).await;
        assert_eq!(by_url["name"], name, "{sent} by a function URL");
        let by_api = repeated(&event(HTTP_API, &format!("/jobs/{by_http_api}"), "")).await;
        assert_eq!(by_api["name"], name, "{sent} by an HTTP API");
    }
    // If the gateway decoded the percent sign too, the following characters would still identify it.
    for (by_http_api, name) in [("100%", "100%"), ("a%23b", "a%23b"), ("a%b", "a%b")] {
        assert_eq!(repeated(&event(HTTP_API, &format!("/jobs/{by_http_api}"), "")).await["name"], name);
    }
    assert_eq!(repeated(&event(FUNCTION_URL, "/jobs/a%zz%", "")).await["name"], "a%zz%");
}

#[tokio::test]
async fn an_unreadable_request_is_refused_and_logged_as_an_error_of_the_client() {
    let usual = || event(HTTP_API, "/alive", "");
    let encoded = |body| with(with(usual(), "/isBase64Encoded", json!(true)), "/body", json!(body));
    for (odd, about) in [
        ("{\"rawPath\": \"\\ud800\"}".to_owned(), "not Unicode"),
        ("[]".to_owned(), "not Unicode"),
        ("{}".to_owned(), "its method is not valid"),
        (with(usual(), "/rawPath", Value::Null).to_string(), "it has no path"),
        (with(usual(), "/rawPath", json!(["/alive"])).to_string(), "it has no path"),
        (with(usual(), "/requestContext", Value::Null).to_string(), "its method is not valid"),
        (with(usual(), "/requestContext/http/method", json!("G T")).to_string(), "its method is not valid"),
        (with(usual(), "/requestContext/http/method", json!("")).to_string(), "its method is not valid"),
        (with(usual(), "/headers/idempotency-key", json!("a\nb")).to_string(), "the value of a header"),
        (with(usual(), "/headers/idempotency-key", json!(["a"])).to_string(), "the value of a header"),
        (encoded("?").to_string(), "its body is not valid base64"),
        (encoded("YQ=").to_string(), "its body is not valid base64"),
        (with(usual(), "/body", json!({"a": 1})).to_string(), "its body is not text"),
    ] {
        let (answer, line) = ask(&odd).await;
        let problem: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((answer.status_code, &problem["code"]), (400, &json!("bad_request")), "{odd} {problem}");
        assert!(problem["detail"].as_str().unwrap().contains(about), "{odd} {problem}");
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        assert_eq!(problem["request_id"], "from-lambda");
        assert_eq!(
            (&line["level"], &line["code"], &line["TestErrors"]),
            (&json!("INFO"), &json!("bad_request"), &Value::Null)
        );
    }
}

#[tokio::test]
async fn headers_and_bodies_arrive_as_they_were_sent() {
    let usual = || event(HTTP_API, "/alive", "");
    assert_eq!(repeated(&with(usual(), "/headers/X-A", json!("b, c"))).await["x-a"], "b, c");
    assert_eq!(repeated(&with(usual(), "/headers/x-a", json!("\u{e9}"))).await["x-a"], "\u{e9}");
    assert_eq!(repeated(&with(usual(), "/headers/a b", json!("c"))).await["x-a"], Value::Null);
    assert_eq!(repeated(&with(usual(), "/headers", json!(7))).await["x-a"], Value::Null);
    assert_eq!(repeated(&with(usual(), "/cookies", json!(["a=\n", 7]))).await["method"], "GET");
    let encoded = |text: &str| with(with(usual(), "/isBase64Encoded", json!(true)), "/body", json!(text));
    assert_eq!(repeated(&with(usual(), "/body", json!("\u{e9}"))).await["body"], json!({"Ok": "\u{e9}"}));
    assert_eq!(repeated(&encoded("YWI=")).await["body"], json!({"Ok": "ab"}));
    assert_eq!(repeated(&encoded("/wA=")).await["body"], json!({"Err": [255, 0]}));
    assert_eq!(repeated(&encoded("")).await["body"], json!({"Ok": ""}));
    assert_eq!(repeated(&with(usual(), "/requestContext/http/method", json!("PUT"))).await["method"], "PUT");
}

#[tokio::test]
async fn an_answer_is_text_or_base64_and_has_each_header_once() {
    for (path, body, is_base64) in [("/gzip", "cGFja2Vk", true), ("/bytes", "/wA=", true), ("/nowhere", "{", false)] {
        let (answer, _) = ask(&event(HTTP_API, path, "").to_string()).await;
        assert!(answer.body.starts_with(body) && answer.is_base64_encoded == is_base64, "{answer:?}");
    }
    let (answer, _) = written(&event(HTTP_API, "/alive", "").to_string()).await;
    assert_eq!(answer["headers"]["x-content-type-options"], "nosniff");
    assert_eq!(answer.get("multiValueHeaders").and_then(Value::as_object).map_or(0, Map::len), 0, "{answer}");
    let (answer, line) =
        ask(&with(event(HTTP_API, "/alive", ""), "/headers/x-request-id", json!("r1")).to_string()).await;
    assert_eq!((&answer.headers["x-request-id"], &line["request_id"]), (&json!("r1"), &json!("r1")));
}

/// Values for the members of an event.
fn odd_value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        any::<String>(),
        "[/%?#a-f0-9<> \"\\[\\]{}|^`\\\\.:@+&=-]{0,20}",
        Just("/alive".to_owned()),
        "/jobs/.{0,10}",
        "[A-Za-z0-9+/=]{0,12}",
    ];
    prop_oneof![
        4 => text.prop_map(Value::String),
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::Bool),
        1 => any::<f64>().prop_map(|number| json!(number)),
        1 => Just(json!([1, "a"])),
        1 => proptest::collection::hash_map(any::<String>(), any::<String>(), 0..4).prop_map(|map| json!(map)),
    ]
}

const PLACES: [&str; 15] = [
    "/version",
    "/rawPath",
    "/rawQueryString",
    "/headers",
    "/headers/host",
    "/headers/x-forwarded-proto",
    "/headers/x-a",
    "/body",
    "/isBase64Encoded",
    "/cookies",
    "/requestContext",
    "/requestContext/http",
    "/requestContext/http/method",
    "/requestContext/domainName",
    "/requestContext/stage",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn every_event_has_an_answer_that_is_not_a_server_error(
        changes in proptest::collection::vec((0..PLACES.len(), odd_value()), 1..5),
        is_function_url in any::<bool>(),
    ) {
        let mut event = event(if is_function_url { FUNCTION_URL } else { HTTP_API }, "/alive", "a=b");
        for (place, value) in changes {
            let (parent, name) = PLACES[place].rsplit_once('/').unwrap();
            if let Some(parent) = event.pointer_mut(parent).and_then(Value::as_object_mut) {
                parent.insert(name.to_owned(), value);
            }
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (answer, _) = runtime.block_on(ask(&event.to_string()));
        prop_assert!((200..500).contains(&answer.status_code), "{event} {answer:?}");
    }

    #[test]
    fn any_name_can_be_requested(name in "[^\u{0}]{1,30}") {
        let encoded: String = percent_encoding::utf8_percent_encode(&name, percent_encoding::NON_ALPHANUMERIC).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let by_url = runtime.block_on(repeated(&event(FUNCTION_URL, &format!("/jobs/{encoded}"), "")));
        prop_assert_eq!(by_url["name"].as_str().unwrap(), name.as_str());
        // As an HTTP API decodes it: everything except the percent sign.
        let decoded = name.replace('%', "%25");
        let by_api = runtime.block_on(repeated(&event(HTTP_API, &format!("/jobs/{decoded}"), "")));
        prop_assert_eq!(by_api["name"].as_str().unwrap(), name.as_str());
    }
}
