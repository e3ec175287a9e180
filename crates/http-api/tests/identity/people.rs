//! People's tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::StatusCode;
use serde_json::{Value, json};

use test_support::issuer::{
    AUDIENCE, EC, EMAIL, ISSUER, NOW, RSA, RSA_OTHER, RSA_SECOND, SCOPE, SERVICES, base64url, hmac_token, jwks, person,
    with,
};

use crate::app::App;

fn app() -> App {
    App::new(&jwks(&[&RSA, &EC]))
}

/// A person's claims with one of them replaced.
fn but(name: &str, value: impl Into<Value>) -> Value {
    with(person(), name, value.into())
}

/// The token with its nth part replaced.
fn part(token: &str, nth: usize, make: impl Fn(&str) -> String) -> String {
    let mut parts: Vec<String> = token.split('.').map(ToOwned::to_owned).collect();
    parts[nth] = make(&parts[nth]);
    parts.join(".")
}

#[tokio::test]
async fn a_person_who_signed_in_is_identified_by_the_address() {
    let without_id = json!({"alg": "ES256"}).to_string();
    for (what, token) in [
        ("RS256", RSA.token(&person())),
        ("ES256", EC.token(&person())),
        ("no key id, and one key for the algorithm", EC.token_of(&without_id, &person().to_string())),
        ("a list of one audience", RSA.token(&but("aud", json!([AUDIENCE])))),
        ("many audiences", RSA.token(&with(but("aud", json!(["other", AUDIENCE])), "azp", AUDIENCE.into()))),
        ("one audience and azp", RSA.token(&but("azp", AUDIENCE))),
        ("expired, but the clocks may differ", RSA.token(&but("exp", NOW - 30))),
        ("issued in the future, but the clocks may differ", RSA.token(&but("iat", NOW + 30))),
        ("not valid yet, but the clocks may differ", RSA.token(&but("nbf", NOW + 30))),
        ("valid since", RSA.token(&but("nbf", NOW - 1))),
    ] {
        let answer = app().ask(&token).await;
        assert_eq!(answer.reason(), "", "{what}");
        answer.assert_is(EMAIL);
    }
}

#[tokio::test]
async fn the_scheme_can_have_any_case_and_the_address_is_not_changed() {
    let token = RSA.token(&but("email", "Some.One+Try@Mozilla.COM"));
    for scheme in ["Bearer", "bearer", "BEARER", "bearer  "] {
        let answer = app().ask_with(&[format!("{scheme} {token}").as_bytes()]).await;
        answer.assert_is("Some.One+Try@Mozilla.COM");
    }
}

#[tokio::test]
async fn a_request_without_a_token_is_answered_with_how_to_sign_in() {
    for (authorization, reason) in [
        (&[] as &[&[u8]], "token: there is none"),
        (&[b"Basic c29tZW9uZTpzZWNyZXQtcGFzc3dvcmQ="], "token: the header has another scheme"),
        (&[b"Bearer"], "token: it is empty"),
        (&[b"Bearer "], "token: it is empty"),
        (&[b""], "token: the header has another scheme"),
    ] {
        let answer = app().ask_with(authorization).await;
        assert_eq!((answer.status, answer.reason()), (StatusCode::UNAUTHORIZED, reason));
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        assert_eq!(answer.line["code"], "sign_in_needed");
        assert!(answer.body.contains("\"sign_in_needed\""), "{}", answer.body);
        answer.assert_leaks_nothing_of("c29tZW9uZTpzZWNyZXQtcGFzc3dvcmQ=");
    }
}

type Cases = Vec<(&'static str, String)>;

/// Tokens of the issuer for another audience, for another time, or without a caller.
fn of_wrong_claims() -> Cases {
    let for_both = with(but("aud", json!([AUDIENCE, SERVICES])), "azp", AUDIENCE.into());
    let issued_to_another = with(but("aud", json!([AUDIENCE, "other"])), "azp", "other".into());
    let claims = [
        ("expired 312 s ago", but("exp", NOW - 312)),
        ("expired 60 s ago", but("exp", NOW - 60)),
        ("expired 9223372036854775807 s ago", but("exp", i64::MIN)),
        ("exp is missing", but("exp", Value::Null)),
        ("exp is not a whole number", but("exp", u64::MAX)),
        ("exp is not a whole number", but("exp", "2026-11-23")),
        ("issued in 61 s", but("iat", NOW + 61)),
        ("iat is missing", but("iat", Value::Null)),
        ("iat is not a whole number", but("iat", 1.5)),
        ("valid in 3600 s", but("nbf", NOW + 3600)),
        ("nbf is not a whole number", but("nbf", "soon")),
        ("it has another issuer", but("iss", "https://issuer.example.org")),
        ("iss is missing", but("iss", Value::Null)),
        ("iss is not text", but("iss", json!([ISSUER]))),
        ("it is meant for another audience", but("aud", "other")),
        ("it is meant for another audience", but("aud", json!([]))),
        ("aud is missing, or neither text nor a list", but("aud", Value::Null)),
        ("aud is missing, or neither text nor a list", but("aud", json!([AUDIENCE, 1]))),
        ("aud is missing, or neither text nor a list", but("aud", json!({AUDIENCE: 1}))),
        ("it is meant for people and for services at once", with(for_both, "scope", SCOPE.into())),
        ("it has many audiences and no azp", but("aud", json!([AUDIENCE, "other"]))),
        ("it was issued to another client", but("azp", "other")),
        ("it was issued to another client", issued_to_another),
        ("azp is not text", but("azp", json!([AUDIENCE]))),
        ("sub is missing", but("sub", Value::Null)),
        ("sub is not a name", but("sub", "")),
        ("sub is not a name", but("sub", "x".repeat(256))),
        ("sub is not text", but("sub", 7)),
        ("email is missing", but("email", Value::Null)),
        ("email is not text", but("email", json!([EMAIL]))),
        ("email is not an address", but("email", "someone@mozilla.com,other@mozilla.com")),
        ("email is not an address", but("email", "")),
    ];
    claims.into_iter().map(|(reason, claims)| (reason, RSA.token(&claims))).collect()
}

#[tokio::test]
async fn a_person_whose_address_is_not_verified_is_told_so() {
    for value in [Value::Null, false.into(), "true".into(), 1.into()] {
        let token = RSA.token(&but("email_verified", value.clone()));
        let answer = app().ask(&token).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{value}");
        assert!(answer.body.contains("\"code\":\"email_not_verified\""), "{value}: {}", answer.body);
        // Who forges a token learns nothing.
        let forged = RSA_OTHER.token(&but("email_verified", value.clone()));
        assert_eq!(app().ask(&forged).await.status, StatusCode::UNAUTHORIZED, "{value}");
    }
}

/// Tokens that are valid except for their signatures.
fn of_wrong_signatures() -> Cases {
    let (good, another, text) = (RSA.token(&person()), &*RSA_OTHER, person().to_string());
    let n = RSA.jwk()["n"].as_str().unwrap().to_owned();
    let unsigned = format!("{}.{}.", base64url("{\"alg\":\"none\"}"), base64url(&text));
    let rsa = |name, value: &str| RSA.token_of(&with(RSA.header(), name, value.into()).to_string(), &text);
    let ec_by_rsa_id = EC.token_of(&with(EC.header(), "kid", "rsa-1".into()).to_string(), &text);
    let brings_key = another.token_of(&with(RSA.header(), "jwk", another.jwk()).to_string(), &text);
    let critical = RSA.token_of(&with(RSA.header(), "crit", json!(["b64"])).to_string(), &text);
    vec![
        ("its header cannot be read", unsigned.clone()),
        ("its header cannot be read", format!("{unsigned}{}", good.rsplit_once('.').unwrap().1)),
        ("its algorithm is HS256", hmac_token("rsa-1", &person(), RSA.pem().as_bytes())),
        ("its algorithm is HS256", hmac_token("rsa-1", &person(), RSA.pem().trim().as_bytes())),
        ("its algorithm is HS256", hmac_token("rsa-1", &person(), RSA.jwk().to_string().as_bytes())),
        ("its algorithm is HS256", hmac_token("rsa-1", &person(), n.as_bytes())),
        ("its algorithm is RS384", rsa("alg", "RS384")),
        ("its key is for another algorithm", rsa("alg", "ES256")),
        ("its key is for another algorithm", rsa("kid", "ec-1")),
        ("its key is for another algorithm", ec_by_rsa_id),
        ("its key id is unknown", rsa("kid", "rsa-2")),
        ("its key id is unknown", rsa("kid", "")),
        ("it brings its own key", brings_key),
        ("it brings its own key", rsa("jku", "http://127.0.0.1/")),
        ("it brings its own key", rsa("x5u", "http://127.0.0.1/")),
        ("its header has a critical extension that is not supported", critical),
        ("the signature is wrong", another.token(&person())),
        ("the signature is wrong", part(&good, 1, |_| base64url(but("email", "other@mozilla.com").to_string()))),
        ("the signature is wrong", part(&good, 0, |_| base64url(with(RSA.header(), "typ", "jwt".into()).to_string()))),
        ("the signature is wrong", part(&good, 2, |signature| signature.chars().rev().collect())),
        ("the signature is wrong", part(&good, 2, |signature| signature[1..].to_owned())),
        ("the signature is wrong", part(&good, 2, |signature| format!("{signature}=="))),
        ("the signature is wrong", part(&good, 2, |_| String::new())),
        ("the signature is wrong", part(&EC.token(&person()), 2, |_| base64url([0; 64]))),
    ]
}

/// Signed text that is not a token, or is two tokens in one.
fn of_wrong_form() -> Cases {
    let (good, header, text) = (RSA.token(&person()), RSA.header().to_string(), person().to_string());
    let claims = |text: &str| RSA.token_of(&header, text);
    vec![
        ("its claims cannot be read", claims(&twice(&text, "email"))),
        ("its claims cannot be read", claims(&twice(&text, "em\\u0061il"))),
        ("its claims cannot be read", claims(&twice(&text, "aud"))),
        ("its claims cannot be read", claims("{\"email\": \"someone@mozilla.com\"")),
        ("its claims cannot be read", claims("\"someone@mozilla.com\"")),
        ("its claims cannot be read", part(&good, 1, |claims| format!("{claims}="))),
        ("its header cannot be read", RSA.token_of(&twice(&header, "alg"), &text)),
        ("its header cannot be read", RSA.token_of(&twice(&header, "kid"), &text)),
        ("its header cannot be read", RSA.token_of("[]", &text)),
        ("its header cannot be read", "..".to_owned()),
        ("its header cannot be read", format!(" \t{}", good.replace('.', " . "))),
        ("it does not have three parts", "undefined".to_owned()),
        ("it does not have three parts", good.rsplit_once('.').unwrap().0.to_owned()),
        ("it does not have three parts", format!("{good}.")),
        ("it does not have three parts", format!("{good}, Bearer {good}")),
    ]
}

#[tokio::test]
async fn all_invalid_tokens_are_refused_with_the_same_answer() {
    let app = app();
    for (reason, token) in [of_wrong_claims(), of_wrong_signatures(), of_wrong_form()].concat() {
        app.ask(&token).await.assert_refused(&token, reason);
    }
    app.ask(&RSA.token(&person())).await.assert_is(EMAIL);
}

/// The text of an object with one more member at its end.
fn twice(object: &str, name: &str) -> String {
    format!("{},\"{name}\":\"other@mozilla.com\"}}", object.strip_suffix('}').unwrap())
}

#[tokio::test]
async fn a_header_with_more_than_one_reading_is_refused() {
    let (app, token) = (app(), RSA.token(&person()));
    let header = format!("Bearer {token}");
    let two = app.ask_with(&[header.as_bytes(), header.as_bytes()]).await;
    two.assert_refused(&token, "there is more than one Authorization header");
    let odd = app.ask_with(&[format!("Bearer {token}\u{e9}").as_bytes()]).await;
    odd.assert_refused(&token, "the header is not ASCII");
}

#[tokio::test]
async fn a_token_of_more_than_8_kib_is_not_read() {
    let app = app();
    let with_name = |bytes| RSA.token(&but("name", "x".repeat(bytes)));
    let fits = with_name(5500);
    assert!((8000..=8192).contains(&fits.len()), "{}", fits.len());
    app.ask(&fits).await.assert_is(EMAIL);
    let long = with_name(5700);
    let reason = format!("it has {} bytes; at most 8192 are read", long.len());
    app.ask(&long).await.assert_refused(&long, &reason);
}

/// Some issuers write the modulus of a key as a signed number.
#[tokio::test]
async fn a_zero_before_the_modulus_of_a_key_changes_nothing() {
    let modulus = URL_SAFE_NO_PAD.decode(RSA.jwk()["n"].as_str().unwrap()).unwrap();
    let padded = with(RSA.jwk(), "n", base64url([&[0], &modulus[..]].concat()).into());
    let app = App::new(&json!({"keys": [padded]}).to_string());
    app.ask(&RSA.token(&person())).await.assert_is(EMAIL);
    app.ask(&RSA_OTHER.token(&person())).await.assert_refused(&RSA_OTHER.token(&person()), "the signature is wrong");
}

#[tokio::test]
async fn without_a_key_id_there_must_be_one_key_only() {
    let (second, text) = (&*RSA_SECOND, person().to_string());
    let token = RSA.token_of("{\"alg\": \"RS256\"}", &text);
    App::new(&jwks(&[&RSA, &EC])).ask(&token).await.assert_is(EMAIL);
    let two = App::new(&jwks(&[&RSA, second])).ask(&token).await;
    two.assert_refused(&token, "it names no key, and there is not exactly one for its algorithm");
    let none = App::new(&jwks(&[&EC])).ask(&token).await;
    none.assert_refused(&token, "it names no key, and there is not exactly one for its algorithm");
    let for_encryption = with(second.jwk(), "use", "enc".into());
    let keys = json!({"keys": [RSA.jwk(), for_encryption]}).to_string();
    App::new(&keys).ask(&token).await.assert_is(EMAIL);
}
