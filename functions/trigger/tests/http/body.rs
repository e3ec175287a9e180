//! Bodies that are not what is expected.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{BUILD, SOMEONE, TestApp, path, token};

async fn send(app: &TestApp, content_type: Option<&str>, body: &[u8]) -> crate::app::Answer {
    let token = token(SOMEONE);
    let mut headers = vec![("authorization", token.as_str())];
    headers.extend(content_type.map(|value| ("content-type", value)));
    app.ask(Method::POST, &path("try", "1001"), &headers, body).await
}

#[tokio::test]
async fn an_unreadable_body_is_refused_with_a_reason_and_nothing_is_stored() {
    let app = TestApp::new().await;
    let deep = format!("{{\"requested_jobs\": {}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let name = |name: &str| json!({"requested_jobs": [name]}).to_string();
    let with = |field: &str, value: Value| {
        let mut body = json!({"requested_jobs": [BUILD]});
        body[field] = value;
        body.to_string()
    };
    for (body, said) in [
        (String::new(), "a JSON object is"),
        ("requested_jobs=a".to_owned(), "a JSON object is"),
        ("[]".to_owned(), "a JSON object is"),
        ("null".to_owned(), "a JSON object is"),
        ("\"a\"".to_owned(), "a JSON object is"),
        (r#"[["a"]]"#.to_owned(), "a JSON object is"),
        ("{\"requested_jobs\": [\"a\"]".to_owned(), "EOF while parsing"),
        ("{}".to_owned(), "'requested_jobs' is missing"),
        (deep, "invalid type: sequence, expected a string"),
        (r#"{"requested_jobs": ["a"], "requested_jobs": ["b"]}"#.to_owned(), "duplicate field `requested_jobs`"),
        (r#"{"requested_jobs": ["a"], "buildernames": ["b"]}"#.to_owned(), "both given"),
        (r#"{"requested_jobs": ["a"], "jobs": 1}"#.to_owned(), "unknown field `jobs`"),
        (r#"{"requested_jobs": [1]}"#.to_owned(), "invalid type: integer `1`, expected a string"),
        (r#"{"requested_jobs": "a"}"#.to_owned(), "invalid type: string"),
        (r#"{"requested_jobs": {"a": 1}}"#.to_owned(), "invalid type: map"),
        (r#"{"requested_jobs": []}"#.to_owned(), "is empty"),
        (r#"{"requested_jobs": null}"#.to_owned(), "invalid type: null, expected a sequence"),
        (r#"{"requested_jobs": ["a"], "buildernames": null}"#.to_owned(), "invalid type: null, expected a sequence"),
        (r#"{"requested_jobs": ["a"]} x"#.to_owned(), "trailing characters"),
        (r#"{"requested_jobs": ["\ud800"]}"#.to_owned(), "The body is not what is expected"),
        (name("a\0b"), "Name 1 of the jobs has a control character"),
        (name(""), "Name 1 of the jobs has 0 bytes"),
        (name(&"x".repeat(1001)), "Name 1 of the jobs has 1001 bytes"),
        (with("decision_task_id", json!("a b")), "'decision_task_id': a task id is expected"),
        (with("decisionTaskID", json!("a b")), "'decisionTaskID': a task id is expected"),
        (with("decision_task_id", json!(1)), "invalid type: integer"),
        (with("requester", json!("me")), "'requester': an e-mail address is expected"),
        (with(&"x".repeat(100_000), json!(1)), "unknown field"),
    ] {
        let answer = send(&app, Some("application/json"), body.as_bytes()).await;
        let problem = answer.problem(StatusCode::BAD_REQUEST, "bad_body");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(said) && detail.len() < 500, "{detail}");
    }
    send(&app, Some("application/json"), b"{\"requested_jobs\": [\"\xff\"]}")
        .await
        .problem(StatusCode::BAD_REQUEST, "bad_body");
    assert!(app.items().await.is_empty());
}

#[tokio::test]
async fn a_request_over_a_limit_is_refused_with_the_limit() {
    let app = TestApp::new().await;
    let names: Vec<String> = (0..1001).map(|number| format!("{number}")).collect();
    let answer = send(&app, Some("application/json"), json!({"requested_jobs": names}).to_string().as_bytes()).await;
    let problem = answer.problem(StatusCode::UNPROCESSABLE_ENTITY, "too_many_jobs");
    assert_eq!(problem["detail"], "1001 jobs are requested; at most 1000 are taken in one request.");

    let mut body = json!({"requested_jobs": [BUILD]}).to_string().into_bytes();
    body.resize(256 * 1024, b' ');
    send(&app, Some("application/json"), &body).await.taken();
    body.push(b' ');
    let problem = send(&app, Some("application/json"), &body).await;
    let problem = problem.problem(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large");
    assert!(problem["detail"].as_str().unwrap().contains("262144 bytes"), "{problem}");
}

#[tokio::test]
async fn a_body_needs_the_content_type_of_json() {
    let app = TestApp::new().await;
    let body = json!({"requested_jobs": [BUILD]}).to_string();
    for wrong in [None, Some("text/plain"), Some("application/x-www-form-urlencoded"), Some("application/jsonp")] {
        send(&app, wrong, body.as_bytes()).await.problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json");
    }
    send(&app, Some("Application/JSON; charset=utf-8"), body.as_bytes()).await.taken();
}
