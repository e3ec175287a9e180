//! An issuer of tokens. Its RSA keys are files, because `ring` makes none; they protect nothing but tests.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};

/// The name of the issuer (`iss`).
pub const ISSUER: &str = "https://issuer.example.org/";
/// The audience of people's tokens.
pub const AUDIENCE: &str = "runnable-jobs";
/// The audience of services' tokens.
pub const SERVICES: &str = "https://runnable-jobs.example.org/";
/// The scope of services' tokens.
pub const SCOPE: &str = "ask:on-behalf";
/// The address of the person in `person`.
pub const EMAIL: &str = "someone@mozilla.com";
/// When the tests start, in seconds of Unix.
pub const NOW: i64 = 1_795_413_600;

/// An RSA key.
pub static RSA: LazyLock<Key> = LazyLock::new(|| Key::rsa("rsa-1", include_bytes!("../keys/rsa-1.pk8")));
/// Another RSA key with the same id.
pub static RSA_OTHER: LazyLock<Key> = LazyLock::new(|| Key::rsa("rsa-1", include_bytes!("../keys/rsa-1-other.pk8")));
/// An RSA key with another id.
pub static RSA_SECOND: LazyLock<Key> = LazyLock::new(|| Key::rsa("rsa-2", include_bytes!("../keys/rsa-2.pk8")));
/// A key on P-256.
pub static EC: LazyLock<Key> = LazyLock::new(|| Key::ec("ec-1"));

/// What X.509 writes before the modulus and the exponent of an RSA key of 2048 bits (RFC 5280, 4.1.2.7).
const RSA_2048_SPKI: &[u8] =
    b"\x30\x82\x01\x22\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00\x03\x82\x01\x0f\x00";

/// A key of the issuer.
pub struct Key {
    /// The key's id.
    pub id: &'static str,
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ec(EcdsaKeyPair),
}

impl Key {
    fn rsa(id: &'static str, pkcs8: &[u8]) -> Self {
        Self { id, pair: Pair::Rsa(RsaKeyPair::from_pkcs8(pkcs8).unwrap()) }
    }

    /// A new key on P-256.
    pub fn ec(id: &'static str) -> Self {
        let (algorithm, random) = (&ECDSA_P256_SHA256_FIXED_SIGNING, SystemRandom::new());
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        Self { id, pair: Pair::Ec(EcdsaKeyPair::from_pkcs8(algorithm, pkcs8.as_ref(), &random).unwrap()) }
    }

    /// The public half, as the issuer publishes it.
    pub fn jwk(&self) -> Value {
        match &self.pair {
            Pair::Rsa(pair) => {
                let PublicKeyComponents { n, e } = PublicKeyComponents::<Vec<u8>>::from(pair.public());
                json!({"kty": "RSA", "kid": self.id, "use": "sig", "alg": "RS256", "n": base64url(n), "e": base64url(e)})
            }
            Pair::Ec(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "kid": self.id, "x": base64url(x), "y": base64url(y)})
            }
        }
    }

    /// The public half, in PEM.
    pub fn pem(&self) -> String {
        let Pair::Rsa(pair) = &self.pair else { panic!("no RSA key") };
        let base64 = STANDARD.encode([RSA_2048_SPKI, pair.public().as_ref()].concat());
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
    pub fn header(&self) -> Value {
        json!({"alg": self.algorithm(), "typ": "JWT", "kid": self.id})
    }

    /// The token that the issuer makes of these claims.
    pub fn token(&self, claims: &Value) -> String {
        self.token_of(&self.header().to_string(), &claims.to_string())
    }

    /// A token of exactly this text, valid or not, signed with this key.
    pub fn token_of(&self, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", base64url(header), base64url(claims));
        let signature = match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).unwrap();
                signature
            }
            Pair::Ec(pair) => pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap().as_ref().to_vec(),
        };
        format!("{message}.{}", base64url(signature))
    }
}

/// A token whose signature is made with something that is not a secret.
pub fn hmac_token(kid: &str, claims: &Value, secret: &[u8]) -> String {
    let header = json!({"alg": "HS256", "typ": "JWT", "kid": kid});
    let message = format!("{}.{}", base64url(header.to_string()), base64url(claims.to_string()));
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
    format!("{message}.{}", base64url(signature))
}

/// Base64 for addresses, without padding.
pub fn base64url(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The JWKS of these keys.
pub fn jwks(keys: &[&Key]) -> String {
    json!({"keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>()}).to_string()
}

/// The claims of a person who just signed in.
pub fn person() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "ad|Mozilla-LDAP|someone", "iat": NOW - 10, "exp": NOW + 3600,
        "email": EMAIL, "email_verified": true, "nonce": "n-0S6_WzA2Mj", "name": "Some One",
    })
}

/// The claims of a service.
pub fn service() -> Value {
    json!({
        "iss": ISSUER, "aud": SERVICES, "sub": "treeherder@clients", "azp": "treeherder", "iat": NOW - 10,
        "exp": NOW + 3600, "scope": format!("read:all {SCOPE}"), "gty": "client-credentials",
    })
}

/// The claims with one of them replaced, or removed if the value is null.
pub fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    if claims[name].is_null() {
        claims.as_object_mut().unwrap().remove(name);
    }
    claims
}
