//! Services' tokens.

use http::StatusCode;
use serde_json::{Value, json};

use crate::issuer::{App, EC, NOW, RSA, SCOPE, SERVICES, jwks, person, service, with};

fn but(name: &str, value: impl Into<Value>) -> Value {
    with(service(), name, value.into())
}

#[tokio::test]
async fn a_service_is_known_by_what_the_issuer_calls_it() {
    let app = App::new(&jwks(&[&RSA, &EC]));
    for (claims, client) in [
        (service(), "treeherder"),
        (but("azp", Value::Null), "treeherder@clients"),
        (but("aud", json!(["https://issuer.example.org/userinfo", SERVICES])), "treeherder"),
        (but("scope", SCOPE), "treeherder"),
        (but("scope", json!(["read:all", SCOPE])), "treeherder"),
        (but("exp", NOW - 30), "treeherder"),
    ] {
        let answer = app.ask(&RSA.token(&claims)).await;
        assert_eq!(answer.body, format!("Service {{ client: {client:?} }}"), "{}", answer.reason());
        assert_eq!((answer.status, answer.line["caller"].as_str()), (StatusCode::OK, Some("service")));
    }
}

#[tokio::test]
async fn a_service_without_the_scope_is_told_which() {
    let app = App::new(&jwks(&[&RSA]));
    for scope in [Value::Null, "".into(), "read:all".into(), "ask:on-behalf-of ASK:ON-BEHALF".into(), json!([7])] {
        let token = RSA.token(&but("scope", scope));
        let answer = app.ask(&token).await;
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((answer.status, body["code"].as_str()), (StatusCode::FORBIDDEN, Some("insufficient_scope")));
        assert_eq!(body["detail"], "The service's token lacks the scope 'ask:on-behalf'.");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer error=\"insufficient_scope\""));
        assert_eq!((answer.reason(), &answer.line["caller"]), ("token: the scope is missing", &Value::Null));
        answer.assert_tells_nothing_of(&token);
    }
}

#[tokio::test]
async fn a_service_is_held_to_the_same_rules_as_people() {
    let app = App::new(&jwks(&[&RSA]));
    let forged = EC.token_of(&RSA.header().to_string(), &but("scope", Value::Null).to_string());
    for (reason, token) in [
        ("expired 61 s ago", RSA.token(&but("exp", NOW - 61))),
        ("issued in 61 s", RSA.token(&but("iat", NOW + 61))),
        ("valid in 61 s", RSA.token(&but("nbf", NOW + 61))),
        ("it has another issuer", RSA.token(&but("iss", "https://other.example.org/"))),
        ("exp is missing", RSA.token(&but("exp", Value::Null))),
        ("iat is missing", RSA.token(&but("iat", Value::Null))),
        ("sub is missing", RSA.token(&but("sub", Value::Null))),
        ("azp is no name", RSA.token(&but("azp", ""))),
        ("azp is no name", RSA.token(&but("azp", "tree\nherder"))),
        // What it lacks is not told to somebody who is not the service.
        ("the signature is wrong", forged),
    ] {
        app.ask(&token).await.assert_refused(&token, reason);
    }
}

#[tokio::test]
async fn services_are_taken_only_where_that_is_configured() {
    let app = App::taking(&jwks(&[&RSA]), None);
    let token = RSA.token(&service());
    app.ask(&token).await.assert_refused(&token, "it is meant for another audience");
    let token = RSA.token(&with(person(), "scope", SCOPE.into()));
    assert!(app.ask(&token).await.body.starts_with("Person "));
}
