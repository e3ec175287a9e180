//! Services' tokens.

use http::StatusCode;
use serde_json::{Value, json};

use test_support::issuer::{EC, NOW, RSA, SCOPE, SERVICES, jwks, person, service, with};

use crate::app::App;

fn but(name: &str, value: impl Into<Value>) -> Value {
    with(service(), name, value.into())
}

/// The claims of another service.
fn of(client: &str) -> Value {
    with(but("azp", client), "sub", format!("{client}@clients").into())
}

fn rfc_9068() -> Value {
    with(but("client_id", "treeherder"), "sub", "treeherder".into())
}

#[tokio::test]
async fn a_service_is_identified_by_its_client_id() {
    let app = App::new(&jwks(&[&RSA, &EC]));
    for (claims, client) in [
        (service(), "treeherder"),
        (of("sheriff"), "sheriff"),
        (with(but("azp", Value::Null), "client_id", "treeherder".into()), "treeherder"),
        (with(but("client_id", "treeherder"), "sub", "treeherder".into()), "treeherder"),
        // As RFC 9068 defines them.
        (with(with(rfc_9068(), "azp", Value::Null), "gty", Value::Null), "treeherder"),
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
async fn the_answer_to_a_service_without_the_scope_names_the_scope() {
    let app = App::new(&jwks(&[&RSA]));
    for scope in [Value::Null, "".into(), "read:all".into(), "ask:on-behalf-of ASK:ON-BEHALF".into(), json!([7])] {
        let token = RSA.token(&but("scope", scope));
        let answer = app.ask(&token).await;
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        assert_eq!((answer.status, body["code"].as_str()), (StatusCode::FORBIDDEN, Some("insufficient_scope")));
        assert_eq!(body["detail"], "The service's token lacks the scope 'ask:on-behalf'.");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer error=\"insufficient_scope\""));
        assert_eq!((answer.reason(), &answer.line["caller"]), ("token: the scope is missing", &Value::Null));
        answer.assert_leaks_nothing_of(&token);
    }
}

/// The claims of an access token for this API that a person got through the service's application.
fn persons_access_token() -> Value {
    let claims = with(but("sub", "ad|Mozilla-LDAP|someone"), "gty", Value::Null);
    with(claims, "scope", format!("openid profile email {SCOPE}").into())
}

#[tokio::test]
async fn only_a_listed_service_with_a_token_for_itself_is_accepted() {
    let app = App::new(&jwks(&[&RSA]));
    let for_itself = "it was not issued to a service for itself";
    for (reason, claims) in [
        (for_itself, persons_access_token()),
        (for_itself, with(persons_access_token(), "client_id", "treeherder".into())),
        (for_itself, with(persons_access_token(), "gty", "client-credentials".into())),
        (for_itself, with(persons_access_token(), "sub", "ad|treeherder@clients".into())),
        (for_itself, but("gty", "password")),
        (for_itself, but("gty", "authorization_code")),
        (for_itself, but("gty", json!(["client-credentials"]))),
        (for_itself, but("gty", Value::Null)),
        (for_itself, with(rfc_9068(), "gty", "refresh_token".into())),
        (for_itself, with(with(rfc_9068(), "sub", "ad|Mozilla-LDAP|someone".into()), "gty", Value::Null)),
        (for_itself, but("sub", "sheriff@clients")),
        ("it names two clients", but("client_id", "sheriff")),
        ("it names no client", but("azp", Value::Null)),
        ("client_id is not a name", but("client_id", "")),
        ("client_id is not text", but("client_id", 7)),
        ("its service is not listed", of("other")),
        ("its service is not listed", of("TREEHERDER")),
        ("its service is not listed", of("treeherder@clients")),
    ] {
        let token = RSA.token(&claims);
        app.ask(&token).await.assert_refused(&token, reason);
    }
}

#[tokio::test]
async fn the_rules_for_people_apply_to_services_too() {
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
        ("azp is not a name", RSA.token(&but("azp", ""))),
        ("azp is not a name", RSA.token(&but("azp", "tree\nherder"))),
        // The missing scope is not named if the signature is wrong.
        ("the signature is wrong", forged),
    ] {
        app.ask(&token).await.assert_refused(&token, reason);
    }
}

#[tokio::test]
async fn services_are_accepted_only_if_configured() {
    let app = App::taking(&jwks(&[&RSA]), None);
    let token = RSA.token(&service());
    app.ask(&token).await.assert_refused(&token, "it is meant for another audience");
    let token = RSA.token(&with(person(), "scope", SCOPE.into()));
    assert!(app.ask(&token).await.body.starts_with("Person "));
}
