//! Who may ask for jobs.

use http::{Method, StatusCode};
use serde_json::json;

use crate::app::{AUTHOR, BUILD, SOMEONE, STRANGER, TestApp, path, push, service_token, token};
use test_support::issuer::{EC, Key, person, with};
use test_support::store::http::Message;

async fn on(app: &TestApp, project: &str, email: &str) -> crate::app::Answer {
    app.post(&path(project, "1001"), &token(email), &[], &json!({"requested_jobs": [BUILD]})).await
}

#[tokio::test]
async fn triggering_and_reading_need_a_sign_in() {
    let app = TestApp::new().await;
    let other_key = Key::ec("ec-1");
    let forged = format!("Bearer {}", other_key.token(&person()));
    let expired = format!("Bearer {}", EC.token(&with(person(), "exp", json!(test_support::issuer::NOW - 61))));
    let id = "01KAS4B0MRJ6WJ0RGDX8T0E4JQ";
    for (method, path) in [
        (Method::POST, path("try", "1001")),
        (Method::POST, format!("{}?dry_run=true", path("try", "1001"))),
        (Method::POST, format!("/api/project/try/trigger_requests/{id}/retry/")),
        (Method::GET, format!("/api/project/try/trigger_requests/{id}/")),
        (Method::GET, "/api/project/try/push/1001/trigger_requests/".to_owned()),
        (Method::GET, "/api/trigger_requests/?requester=me".to_owned()),
    ] {
        let json = ("content-type", "application/json");
        let bare = app.ask(method.clone(), &path, &[json], b"{\"requested_jobs\": [\"a\"]}").await;
        bare.problem(StatusCode::UNAUTHORIZED, "sign_in_needed");
        assert_eq!(bare.header("www-authenticate"), Some("Bearer"));
        for wrong in [&forged, &expired] {
            let answer = app.ask(method.clone(), &path, &[json, ("authorization", wrong)], b"{}").await;
            answer.problem(StatusCode::UNAUTHORIZED, "bad_token");
            let (said, log) = (answer.text(), app.line().to_string());
            for piece in wrong.as_bytes().windows(20).skip(7).map(|piece| std::str::from_utf8(piece).unwrap()) {
                assert!(!said.contains(piece) && !log.contains(piece), "{said} {log}");
            }
        }
    }
    assert!(app.items().await.is_empty());
}

#[tokio::test]
async fn without_a_configured_audience_every_sign_in_is_refused() {
    let app = TestApp::with(&[("RUNNABLE_JOBS_OIDC_AUDIENCE", "")]).await;
    app.trigger(SOMEONE, &[BUILD]).await.problem(StatusCode::UNAUTHORIZED, "sign_in_needed");
}

#[tokio::test]
async fn the_author_a_domain_and_the_allow_list_may() {
    let app = TestApp::new().await;
    for email in [AUTHOR, "Author@EXAMPLE.org", SOMEONE, "someone@Mozilla.COM", "dev@example.org"] {
        on(&app, "try", email).await.taken();
        app.wait(61);
    }
    for email in [
        STRANGER,
        "someone@mozilla.com.example.org",
        "someone@m\u{43e}zilla.com",
        "someone@sub.mozilla.com",
        "\u{430}uthor@example.org",
    ] {
        let problem = on(&app, "try", email).await.problem(StatusCode::FORBIDDEN, "not_allowed");
        assert_eq!(problem["rule"], "default", "{email}");
        let who = "Who may: the author of the push, everybody at mozilla.com and those on the allow-list.";
        assert!(problem["detail"].as_str().unwrap().ends_with(who), "{problem}");
        assert!(!problem.to_string().contains(AUTHOR), "the author is not shown");
    }
}

#[tokio::test]
async fn a_project_can_have_rules_of_its_own() {
    let app = TestApp::new().await;
    on(&app, "mozilla-release", "release@mozilla.com").await.taken();
    for email in [AUTHOR, SOMEONE, "dev@example.org"] {
        let problem = on(&app, "mozilla-release", email).await.problem(StatusCode::FORBIDDEN, "not_allowed");
        assert_eq!(problem["rule"], "projects.mozilla-release");
    }
}

#[tokio::test]
async fn a_service_requests_jobs_for_a_permitted_person() {
    let app = TestApp::new().await;
    let ask = async |body| app.post(&path("try", "1001"), &service_token(), &[], &body).await;
    let taken = ask(json!({"requested_jobs": [BUILD], "requester": SOMEONE})).await.taken();
    let seen = app.follow(&taken, SOMEONE).await.summary;
    assert_eq!((seen.requester.as_deref(), seen.on_behalf_by.as_deref()), (Some(SOMEONE), Some("treeherder")));

    let unnamed = ask(json!({"requested_jobs": [BUILD]})).await;
    unnamed.problem(StatusCode::BAD_REQUEST, "bad_body");
    let stranger = ask(json!({"requested_jobs": [BUILD], "requester": STRANGER})).await;
    stranger.problem(StatusCode::FORBIDDEN, "not_allowed");
    let retry = format!("{}retry/", taken.status_url.unwrap());
    app.post(&retry, &service_token(), &[], &json!({})).await.problem(StatusCode::FORBIDDEN, "not_allowed");
    let service = service_token();
    let mine = app.ask(Method::GET, "/api/trigger_requests/?requester=me", &[("authorization", &service)], b"").await;
    mine.problem(StatusCode::BAD_REQUEST, "bad_parameter");
}

#[tokio::test]
async fn a_person_cannot_request_jobs_for_another() {
    let app = TestApp::new().await;
    let ask = async |requester| {
        let body = json!({"requested_jobs": [BUILD], "requester": requester});
        app.post(&path("try", "1001"), &token(SOMEONE), &[], &body).await
    };
    let problem = ask("dev@example.org").await.problem(StatusCode::FORBIDDEN, "not_allowed");
    assert_eq!(problem["rule"], "requester");
    ask("Someone@MOZILLA.com").await.taken();
}

#[tokio::test]
async fn while_treeherder_does_not_answer_domains_and_the_allow_list_decide() {
    for answer in [
        None,
        Some(Message::answer("503 Service Unavailable", "{}")),
        Some(Message::answer("500 Internal Server Error", "{}")),
        Some(Message::answer("200 OK", "<html>")),
        Some(Message::answer("200 OK", r#"{"revision": "../../etc", "author": "author@example.org"}"#)),
        Some(Message::answer("302 Found", "").with("Location", "http://127.0.0.1:1/")),
        Some(Message::answer("200 OK", vec![b' '; 1_100_000])),
    ] {
        let app = TestApp::new().await;
        app.treeherder_answers(answer);
        let taken = app.trigger(SOMEONE, &[BUILD]).await.taken();
        let said = "1 job is queued for push 1001 of try. Treeherder did not answer, so it is not known whether the push exists.";
        assert_eq!(taken.message, said);
        assert!(app.line()["error"].as_str().unwrap().starts_with("Treeherder: "), "{}", app.line());
        let seen = app.follow(&taken, SOMEONE).await.summary;
        assert_eq!((seen.revision, seen.links.push), (None, None));
        let problem = app.trigger(AUTHOR, &[BUILD]).await.problem(StatusCode::FORBIDDEN, "not_allowed");
        assert!(
            problem["detail"].as_str().unwrap().contains("it is not known whether you are its author"),
            "{problem}"
        );
    }
}

#[tokio::test]
async fn all_requests_can_be_refused_while_treeherder_does_not_answer() {
    let app = TestApp::with(&[("RUNNABLE_JOBS_WITHOUT_TREEHERDER", "refuse")]).await;
    app.treeherder_answers(None);
    let answer = app.trigger(SOMEONE, &[BUILD]).await;
    answer.problem(StatusCode::SERVICE_UNAVAILABLE, "treeherder_unavailable");
    assert_eq!(answer.header("retry-after"), Some("30"));
    assert!(app.items().await.is_empty());
    // It is left alone for a moment, and then asked again.
    app.treeherder_answers(Some(push(AUTHOR)));
    let asked = app.asked_treeherder.load(std::sync::atomic::Ordering::SeqCst);
    app.trigger(SOMEONE, &[BUILD]).await.problem(StatusCode::SERVICE_UNAVAILABLE, "treeherder_unavailable");
    assert_eq!(app.asked_treeherder.load(std::sync::atomic::Ordering::SeqCst), asked);
    app.wait(5);
    app.trigger(SOMEONE, &[BUILD]).await.taken();
}

#[tokio::test]
async fn the_answer_of_treeherder_is_cached_for_a_minute() {
    let app = TestApp::new().await;
    let asked = || app.asked_treeherder.load(std::sync::atomic::Ordering::SeqCst);
    app.trigger(AUTHOR, &[BUILD]).await.taken();
    app.treeherder_answers(Some(push("other@example.org")));
    app.wait(59);
    app.trigger(AUTHOR, &[BUILD]).await.taken();
    assert_eq!(asked(), 1);
    app.wait(1);
    app.trigger(AUTHOR, &[BUILD]).await.problem(StatusCode::FORBIDDEN, "not_allowed");
    assert_eq!(asked(), 2);
}

#[tokio::test]
async fn a_push_whose_author_has_no_address_has_no_author() {
    let app = TestApp::new().await;
    app.treeherder_answers(Some(push("Some One <someone@mozilla.com>")));
    app.trigger(STRANGER, &[BUILD]).await.problem(StatusCode::FORBIDDEN, "not_allowed");
    app.trigger(SOMEONE, &[BUILD]).await.taken();
}

#[tokio::test]
async fn treeherders_page_may_send_the_headers_of_a_request() {
    let app = TestApp::new().await;
    let headers = [
        ("origin", "https://treeherder.mozilla.org"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization,content-type,idempotency-key"),
    ];
    let answer = app.ask(Method::OPTIONS, &path("try", "1001"), &headers, b"").await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
    assert_eq!(answer.header("access-control-allow-methods"), Some("POST, OPTIONS"));
    let allowed = answer.header("access-control-allow-headers").unwrap();
    assert!(
        ["Authorization", "Content-Type", "Idempotency-Key"].iter().all(|name| allowed.contains(name)),
        "{allowed}"
    );
}
