//! Fetching keys from the issuer, and the pauses between fetches.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use test_support::issuer::{EC, EMAIL, Key, NOW, RSA, jwks, person, with};

use crate::app::App;

/// How long the issuer takes to answer: long enough for other requests to arrive meanwhile.
const LATENCY: Duration = Duration::from_millis(20);

/// The issuer's server, which gives the same answer to every request.
struct Issuer {
    url: String,
    asked: Arc<AtomicUsize>,
    answer: Arc<Mutex<String>>,
}

impl Issuer {
    async fn start(answer: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        let (asked, answer) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(answer)));
        let this = Self { url, asked: asked.clone(), answer: answer.clone() };
        tokio::spawn(async move {
            loop {
                let (mut connection, _) = listener.accept().await.unwrap();
                asked.fetch_add(1, Ordering::Relaxed);
                let answer = answer.lock().unwrap().clone();
                tokio::spawn(async move {
                    let _ = connection.read(&mut [0; 4096]).await.unwrap();
                    tokio::time::sleep(LATENCY).await;
                    // The client may have closed the connection.
                    let _ = connection.write_all(answer.as_bytes()).await;
                });
            }
        });
        this
    }

    async fn with(keys: &[&Key]) -> Self {
        Self::start(ok(&jwks(keys))).await
    }

    fn answers(&self, answer: String) {
        *self.answer.lock().unwrap() = answer;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn ok(body: &str) -> String {
    answer("200 OK", body)
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nconnection: close\r\n\r\n{body}")
}

#[tokio::test]
async fn keys_are_fetched_when_a_token_needs_them_and_used_for_an_hour() {
    let issuer = Issuer::with(&[&RSA, &EC]).await;
    let app = App::new(&issuer.url);
    assert_eq!(issuer.asked(), 0);
    let forever = with(person(), "exp", (NOW + 100_000).into());
    for (seconds, asked) in [(0, 1), (1, 1), (3599, 1), (3600, 2), (3601, 2), (7199, 2), (7200, 3)] {
        app.at(seconds).ask(&RSA.token(&forever)).await.assert_is(EMAIL);
        app.ask(&EC.token(&forever)).await.assert_is(EMAIL);
        assert_eq!(issuer.asked(), asked, "after {seconds} s");
    }
}

#[tokio::test]
async fn an_unknown_key_id_causes_one_fetch_in_30_seconds() {
    let issuer = Issuer::with(&[&RSA]).await;
    let app = App::new(&issuer.url);
    let (old, new) = (RSA.token(&person()), EC.token(&person()));
    app.ask(&old).await.assert_is(EMAIL);
    // They were just fetched.
    app.at(29).ask(&new).await.assert_refused(&new, "its key id is unknown");
    assert_eq!(issuer.asked(), 1);
    app.at(30).ask(&new).await.assert_refused(&new, "its key id is unknown");
    assert_eq!(issuer.asked(), 2);
    issuer.answers(ok(&jwks(&[&EC])));
    for made_up in ["x", "y", "z"] {
        let token = EC.token_of(&with(EC.header(), "kid", made_up.into()).to_string(), &person().to_string());
        app.at(59).ask(&token).await.assert_refused(&token, "its key id is unknown");
    }
    app.ask(&old).await.assert_is(EMAIL);
    assert_eq!(issuer.asked(), 2);
    app.at(60).ask(&new).await.assert_is(EMAIL);
    assert_eq!(issuer.asked(), 3);
    app.ask(&old).await.assert_refused(&old, "its key id is unknown");
}

#[tokio::test]
async fn of_many_requests_at_the_same_time_one_fetches() {
    let issuer = Issuer::with(&[&RSA]).await;
    let app = App::new(&issuer.url);
    let token = RSA.token(&person());
    for answer in join_all((0..20).map(|_| app.ask(&token))).await {
        answer.assert_is(EMAIL);
    }
    assert_eq!(issuer.asked(), 1);
    issuer.answers(ok(&jwks(&[&RSA, &EC])));
    let new = EC.token(&person());
    for answer in join_all((0..20).map(|_| app.at(30).ask(&new))).await {
        answer.assert_is(EMAIL);
    }
    assert_eq!(issuer.asked(), 2);
}

#[tokio::test]
async fn a_fetch_completes_when_the_client_closes_the_connection() {
    let issuer = Issuer::with(&[&RSA]).await;
    let app = App::new(&issuer.url);
    let token = RSA.token(&person());
    let gone = tokio::time::timeout(LATENCY / 2, app.ask(&token)).await;
    assert!(gone.is_err());
    app.ask(&token).await.assert_is(EMAIL);
    assert_eq!(issuer.asked(), 1);
}

#[tokio::test]
async fn the_old_keys_stay_in_use_while_the_issuer_fails() {
    let issuer = Issuer::with(&[&RSA]).await;
    let app = App::new(&issuer.url);
    let forever = RSA.token(&with(person(), "exp", (NOW + 100_000).into()));
    app.ask(&forever).await.assert_is(EMAIL);
    let without_ours = json!({"keys": [with(RSA.jwk(), "use", "enc".into())]}).to_string();
    for (nth, wrong) in (1..).zip([answer("500 Oops", ""), ok("<html>"), ok("{\"keys\": []}"), ok(&without_ours)]) {
        issuer.answers(wrong);
        app.at(3600 + 30 * nth).ask(&forever).await.assert_is(EMAIL);
        // Not again for each request.
        app.at(3600 + 30 * nth + 29).ask(&forever).await.assert_is(EMAIL);
        assert_eq!(issuer.asked(), 1 + usize::try_from(nth).unwrap());
    }
    issuer.answers(ok(&jwks(&[&EC])));
    app.at(4000).ask(&forever).await.assert_refused(&forever, "its key id is unknown");
}

#[tokio::test]
async fn without_any_keys_every_sign_in_fails_until_a_fetch_succeeds() {
    let elsewhere = Issuer::with(&[&RSA]).await;
    let redirect = format!("HTTP/1.1 302 Found\r\nlocation: {}\r\nconnection: close\r\n\r\n", elsewhere.url);
    let huge = ok(&format!("{}{}", " ".repeat(256 * 1024), jwks(&[&RSA])));
    let token = RSA.token(&person());
    for (wrong, reason) in [
        (answer("404 Not Found", ""), "the issuer's keys: the issuer answers with 404 Not Found"),
        (redirect, "the issuer's keys: the issuer answers with 302 Found"),
        (huge, "the issuer's keys: the issuer: the answer has more than 262144 bytes"),
        (ok("{\"keys\": []}"), "the issuer's keys: no key in it can check a token: "),
        (ok("<html>"), "the issuer's keys: not a JWKS: "),
        (String::new(), "the issuer's keys: "),
    ] {
        let issuer = Issuer::start(wrong).await;
        let app = App::new(&issuer.url);
        for seconds in [0, 4] {
            let failed = app.at(seconds).ask(&token).await;
            let body: Value = serde_json::from_str(&failed.body).unwrap();
            let expected = (StatusCode::SERVICE_UNAVAILABLE, Some("sign_in_unavailable"));
            assert_eq!((failed.status, body["code"].as_str()), expected);
            assert_eq!(body["detail"], "Sign-ins cannot be checked at the moment: please try again soon.");
            assert_eq!((failed.header("retry-after"), failed.header("www-authenticate")), (Some("5"), None));
            assert!(failed.reason().starts_with(reason), "{}", failed.reason());
            failed.assert_leaks_nothing_of(&token);
        }
        assert_eq!(issuer.asked(), 1);
        issuer.answers(ok(&jwks(&[&RSA])));
        app.at(5).ask(&token).await.assert_is(EMAIL);
    }
    assert_eq!(elsewhere.asked(), 0);
}

#[tokio::test]
async fn a_token_with_invalid_claims_causes_no_fetch() {
    let issuer = Issuer::with(&[&RSA]).await;
    let app = App::new(&issuer.url);
    let text = person().to_string();
    for token in [
        "garbage".to_owned(),
        RSA.token(&with(person(), "iss", "https://other.example.org/".into())),
        RSA.token(&with(person(), "aud", "other".into())),
        RSA.token(&with(person(), "exp", (NOW - 100).into())),
        RSA.token_of(&with(RSA.header(), "alg", "HS256".into()).to_string(), &text),
        RSA.token_of(&with(RSA.header(), "jku", issuer.url.clone().into()).to_string(), &text),
    ] {
        assert_eq!(app.ask(&token).await.status, StatusCode::UNAUTHORIZED);
    }
    let without = app.ask_with(&[]).await;
    assert_eq!((without.status, issuer.asked()), (StatusCode::UNAUTHORIZED, 0));
}
