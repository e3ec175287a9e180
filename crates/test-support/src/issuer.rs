//! An issuer, whose keys are made anew for each run, and a function that takes its tokens.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair, RsaPublicKeyComponents,
};
use aws_lc_rs::{encoding::AsDer as _, encoding::PublicKeyX509Der, hmac};
use axum::Router;
use axum::body::Body;
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use chrono::DateTime;
use http::{HeaderMap, Request, StatusCode};
use http_api::{ApiLayer, Identity, IdentitySettings, KeySource, RequestLog};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

pub(crate) const ISSUER: &str = "https://issuer.example.org/";
pub(crate) const AUDIENCE: &str = "runnable-jobs";
pub(crate) const SERVICES: &str = "https://runnable-jobs.example.org/";
pub(crate) const SCOPE: &str = "ask:on-behalf";
pub(crate) const EMAIL: &str = "someone@mozilla.com";
pub(crate) const NOW: i64 = 1_795_413_600;

pub(crate) static RSA: LazyLock<Key> = LazyLock::new(|| Key::rsa("rsa-1"));
pub(crate) static EC: LazyLock<Key> = LazyLock::new(|| Key::ec("ec-1"));

/// A key of the issuer.
pub(crate) struct Key {
    pub(crate) id: &'static str,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
}

impl Key {
    pub(crate) fn rsa(id: &'static str) -> Self {
        Self { id, pair: Pair::Rsa(RsaKeyPair::generate(KeySize::Rsa2048).unwrap()) }
    }

    pub(crate) fn ec(id: &'static str) -> Self {
        Self { id, pair: Pair::Ec(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap()) }
    }

    /// The public half, as the issuer tells it.
    pub(crate) fn jwk(&self) -> Value {
        match &self.pair {
            Pair::Rsa(pair) => {
                let RsaPublicKeyComponents { n, e } = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
                json!({"kty": "RSA", "kid": self.id, "use": "sig", "alg": "RS256", "n": base64url(n), "e": base64url(e)})
            }
            Pair::Ec(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "kid": self.id, "x": base64url(x), "y": base64url(y)})
            }
        }
    }

    /// The public half, as people keep it in files.
    pub(crate) fn pem(&self) -> String {
        let Pair::Rsa(pair) = &self.pair else { panic!("no RSA key") };
        let der: PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        let base64 = STANDARD.encode(der.as_ref());
        let lines: Vec<&str> = base64.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", lines.join("\n"))
    }

    fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Rsa(_) => "RS256",
            Pair::Ec(_) => "ES256",
        }
    }

    /// The header that the issuer writes.
    pub(crate) fn header(&self) -> Value {
        json!({"alg": self.algorithm(), "typ": "JWT", "kid": self.id})
    }

    /// The token that the issuer makes of these claims.
    pub(crate) fn token(&self, claims: &Value) -> String {
        self.token_of(&self.header().to_string(), &claims.to_string())
    }

    /// A token of this very text, signed with this key whatever the text is.
    pub(crate) fn token_of(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", base64url(header), base64url(claims));
        let signature = match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
                signature
            }
            Pair::Ec(pair) => pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap().as_ref().to_vec(),
        };
        format!("{message}.{}", base64url(signature))
    }
}

/// A token whose signature is made with a secret that is none.
pub(crate) fn hmac_token(kid: &str, claims: &Value, secret: &[u8]) -> String {
    let header = json!({"alg": "HS256", "typ": "JWT", "kid": kid});
    let message = format!("{}.{}", base64url(header.to_string()), base64url(claims.to_string()));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
    format!("{message}.{}", base64url(signature))
}

pub(crate) fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The issuer's keys.
pub(crate) fn jwks(keys: &[&Key]) -> String {
    json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()}).to_string()
}

/// What the issuer says of somebody who just signed in.
pub(crate) fn person() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "ad|Mozilla-LDAP|someone", "iat": NOW - 10, "exp": NOW + 3600,
        "email": EMAIL, "email_verified": true, "nonce": "n-0S6_WzA2Mj", "name": "Some One",
    })
}

/// What the issuer says of a service.
pub(crate) fn service() -> Value {
    json!({
        "iss": ISSUER, "aud": SERVICES, "sub": "treeherder@clients", "azp": "treeherder", "iat": NOW - 10,
        "exp": NOW + 3600, "scope": format!("read:all {SCOPE}"), "gty": "client-credentials",
    })
}

/// The claims with one of them replaced, or, by null, left out.
pub(crate) fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    if claims[name].is_null() {
        claims.as_object_mut().unwrap().remove(name);
    }
    claims
}

/// A function that tells who asks.
#[derive(Clone)]
pub(crate) struct App {
    router: Router,
    lines: Arc<Mutex<Vec<Value>>>,
    now: Arc<AtomicI64>,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// Who asks, or the error.
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
        let tell = now.clone();
        let clock = Arc::new(move || DateTime::from_timestamp(tell.load(Ordering::Relaxed), 0).unwrap());
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

    /// What the log has as the reason.
    pub(crate) fn reason(&self) -> &str {
        self.line["error"].as_str().unwrap_or_default()
    }

    /// That it is this person who asks.
    pub(crate) fn assert_is(&self, email: &str) {
        assert_eq!(self.body, format!("Person {{ email: {email:?} }}"), "{}", self.reason());
        assert_eq!((self.status, self.line["caller"].as_str()), (StatusCode::OK, Some("person")));
    }

    /// That the token was refused for this reason, which the log alone tells, and without a word of the token.
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
        self.assert_tells_nothing_of(token);
    }

    /// That neither the client nor the log is told a part of the token or who it is.
    pub(crate) fn assert_tells_nothing_of(&self, token: &str) {
        let said = format!("{} {:?} {}", self.body, self.headers, self.line);
        for piece in token.as_bytes().windows(20).map(|piece| str::from_utf8(piece).unwrap()) {
            assert!(!said.contains(piece), "{piece}: {said}");
        }
        assert!(!said.contains("mozilla.com"), "{said}");
    }
}
