//! Tokens: reading one, checking its claims, and checking its signature. Claims are not trusted before the signature is
//! checked.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use jsonwebtoken::dangerous::insecure_decode_claims;
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, decode_header};
use ring::signature::{ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey};
use serde::Deserialize;
use serde_json::Value;

use super::keys::KeyQuery;
use super::problems::{bad_token, sign_in};
use super::settings::IdentitySettings;
use crate::problem::Problem;

/// Maximum length of a token, in bytes. A token with a person's few claims has about one thousand.
const MAX_TOKEN_LENGTH: usize = 8 * 1024;
/// Allowed difference between the issuer's clock and ours, in seconds.
const LEEWAY: i64 = 60;
/// Auth0's grant type (`gty`) of a token that a service got for itself.
const CLIENT_CREDENTIALS: &str = "client-credentials";
/// Maximum length of an e-mail address (RFC 3696, erratum 1690), in bytes.
const MAX_EMAIL_LENGTH: usize = 254;
/// Maximum length of the name of a person or a program (`sub`, OIDC Core 1.0, 2), in bytes.
const MAX_NAME_LENGTH: usize = 255;

/// The caller of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// A person who signed in.
    Person {
        /// The address that the issuer verified, as it is in the token.
        email: String,
    },
    /// A program that acts in its own name.
    Service {
        /// Its client id at the issuer.
        client: String,
    },
}

/// A token whose signature is not checked yet.
pub(super) struct Token<'a> {
    /// The signed part.
    message: &'a str,
    signature: &'a str,
    /// The key that it should be signed with.
    pub(super) query: KeyQuery,
    pub(super) claims: Claims,
}

/// The claims that are read. Each can be any JSON at first, because serde's message about a wrong type would repeat the
/// value, which must not be logged. Serde refuses a claim that occurs twice.
#[derive(Deserialize)]
pub(super) struct Claims {
    iss: Option<Value>,
    aud: Option<Value>,
    azp: Option<Value>,
    client_id: Option<Value>,
    gty: Option<Value>,
    sub: Option<Value>,
    exp: Option<Value>,
    iat: Option<Value>,
    nbf: Option<Value>,
    email: Option<Value>,
    email_verified: Option<Value>,
    scope: Option<Value>,
}

/// The token in the request (RFC 6750, 2.1).
pub(super) fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut sent = headers.get_all(AUTHORIZATION).iter();
    let header = sent.next().ok_or_else(|| sign_in("there is none"))?;
    if sent.next().is_some() {
        return Err(bad_token("there is more than one Authorization header"));
    }
    let header = header.to_str().map_err(|_| bad_token("the header is not ASCII"))?;
    let (scheme, token) = header.split_once(' ').unwrap_or((header, ""));
    let token = token.trim_start_matches(' ');
    if !scheme.eq_ignore_ascii_case("Bearer") {
        return Err(sign_in("the header has another scheme"));
    }
    if token.is_empty() { Err(sign_in("it is empty")) } else { Ok(token) }
}

impl<'a> Token<'a> {
    /// Splits a token into its parts.
    pub(super) fn read(token: &'a str) -> Result<Self, Problem> {
        if token.len() > MAX_TOKEN_LENGTH {
            return Err(bad_token(format!("it has {} bytes; at most {MAX_TOKEN_LENGTH} are read", token.len())));
        }
        let split = token.rsplit_once('.').filter(|(message, _)| message.matches('.').count() == 1);
        let (message, signature) = split.ok_or_else(|| bad_token("it does not have three parts"))?;
        // The header is unreadable too if the library does not know the algorithm, such as `none`.
        let header = decode_header(token).map_err(|_| bad_token("its header cannot be read"))?;
        if !matches!(header.alg, Algorithm::RS256 | Algorithm::ES256) {
            return Err(bad_token(format!("its algorithm is {:?}", header.alg)));
        }
        if header.crit.is_some() {
            return Err(bad_token("its header has a critical extension that is not supported"));
        }
        // A token must not choose the key that it is checked with (OIDC Core 1.0, 2).
        if header.jku.is_some() || header.jwk.is_some() || header.x5u.is_some() {
            return Err(bad_token("it brings its own key"));
        }
        let claims = insecure_decode_claims(token).map_err(|_| bad_token("its claims cannot be read"))?;
        Ok(Self { message, signature, query: KeyQuery { id: header.kid, algorithm: header.alg }, claims })
    }

    /// Whether this key signed the token.
    pub(super) fn is_signed_with(&self, key: &DecodingKey) -> bool {
        let Ok(signature) = URL_SAFE_NO_PAD.decode(self.signature) else { return false };
        let message = self.message.as_bytes();
        let checked = match (self.query.algorithm, key.kind()) {
            (Algorithm::RS256, DecodingKeyKind::RsaModulusExponent { n, e }) => {
                // Some issuers write the modulus with a zero before it, which `ring` refuses.
                let n = &n[n.iter().take_while(|byte| **byte == 0).count()..];
                RsaPublicKeyComponents { n, e }.verify(&RSA_PKCS1_2048_8192_SHA256, message, &signature)
            }
            (Algorithm::ES256, DecodingKeyKind::SecretOrDer(point)) => {
                UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(message, &signature)
            }
            _ => return false,
        };
        checked.is_ok()
    }
}

impl Claims {
    /// The caller that the token names, if the token is meant for this service and valid at `now`, in Unix seconds.
    pub(super) fn caller(&self, settings: &IdentitySettings, now: i64) -> Result<Caller, Problem> {
        if text("iss", self.iss.as_ref())? != settings.issuer {
            return Err(bad_token("it has another issuer"));
        }
        self.check_times(now)?;
        let sub = name("sub", self.sub.as_ref())?;
        let azp = self.azp.as_ref().map(|azp| name("azp", Some(azp))).transpose()?;
        let audiences =
            list(self.aud.as_ref()).ok_or_else(|| bad_token("aud is missing, or neither text nor a list"))?;
        let has = |audience: &str| audiences.contains(&audience);
        match (has(&settings.audience), settings.service_audience.as_deref().is_some_and(has)) {
            (true, true) => Err(bad_token("it is meant for people and for services at once")),
            (false, false) => Err(bad_token("it is meant for another audience")),
            (false, true) => self.service(sub, azp, settings),
            // OIDC Core 1.0, 3.1.3.7: with several audiences, the token must have been issued to us.
            (true, false) if audiences.len() > 1 && azp.is_none() => Err(bad_token("it has many audiences and no azp")),
            (true, false) if azp.is_some_and(|azp| azp != settings.audience) => {
                Err(bad_token("it was issued to another client"))
            }
            (true, false) => self.person(),
        }
    }

    /// Whether the token has this scope. Scopes are text with spaces between them (RFC 8693, 4.2), or a list.
    pub(super) fn has_scope(&self, scope: &str) -> bool {
        let scopes = match &self.scope {
            Some(Value::String(scopes)) => scopes.split(' ').collect(),
            other => list(other.as_ref()).unwrap_or_default(),
        };
        scopes.contains(&scope)
    }

    fn check_times(&self, now: i64) -> Result<(), Problem> {
        let expires = seconds("exp", self.exp.as_ref())?;
        if now.saturating_sub(expires) >= LEEWAY {
            return Err(bad_token(format!("expired {} s ago", now.saturating_sub(expires))));
        }
        let early = |at: i64| Some(at.saturating_sub(now)).filter(|early| *early > LEEWAY);
        if let Some(early) = early(seconds("iat", self.iat.as_ref())?) {
            return Err(bad_token(format!("issued in {early} s")));
        }
        let begins = self.nbf.as_ref().map(|nbf| seconds("nbf", Some(nbf))).transpose()?;
        match begins.and_then(early) {
            Some(early) => Err(bad_token(format!("valid in {early} s"))),
            None => Ok(()),
        }
    }

    /// The service that got the token with its own credentials. An access token that a person got through an
    /// application can have the same audience and scope, but names the person as its subject.
    fn service(&self, sub: &str, azp: Option<&str>, settings: &IdentitySettings) -> Result<Caller, Problem> {
        let client_id = self.client_id.as_ref().map(|id| name("client_id", Some(id))).transpose()?;
        let client = match (azp, client_id) {
            (Some(azp), Some(client_id)) if azp != client_id => return Err(bad_token("it names two clients")),
            (azp, client_id) => azp.or(client_id).ok_or_else(|| bad_token("it names no client"))?,
        };
        // Auth0 sets gty, and appends '@clients' to the client's id. RFC 9068, 2.2 has the client's id in client_id,
        // and also as the subject if no person is involved.
        let is_for_itself = match &self.gty {
            Some(gty) => gty == CLIENT_CREDENTIALS,
            None => client_id.is_some(),
        };
        let is_subject = sub.strip_suffix("@clients").unwrap_or(sub) == client;
        if !is_for_itself || !is_subject {
            return Err(bad_token("it was not issued to a service for itself"));
        }
        if !settings.service_clients.contains(client) {
            return Err(bad_token("its service is not listed"));
        }
        Ok(Caller::Service { client: client.to_owned() })
    }

    /// Whether the issuer confirms the person's address. Otherwise anybody could have claimed it.
    pub(super) fn is_verified(&self) -> bool {
        self.email_verified == Some(Value::Bool(true))
    }

    fn person(&self) -> Result<Caller, Problem> {
        let email = text("email", self.email.as_ref())?;
        if !is_email(email) {
            return Err(bad_token("email is not an address"));
        }
        Ok(Caller::Person { email: email.to_owned() })
    }
}

/// Whether an address has only one reading: no quotes, comments, routes or lists (RFC 5322, 3.4).
fn is_email(text: &str) -> bool {
    let is_odd = |letter: char| letter.is_whitespace() || letter.is_control() || "()<>[]:;\\,\"".contains(letter);
    let parts = text.split_once('@').filter(|(local, domain)| !local.is_empty() && !domain.is_empty());
    text.len() <= MAX_EMAIL_LENGTH && !text.contains(is_odd) && parts.is_some_and(|(_, domain)| !domain.contains('@'))
}

fn text<'a>(claim: &str, value: Option<&'a Value>) -> Result<&'a str, Problem> {
    let value = value.ok_or_else(|| bad_token(format!("{claim} is missing")))?;
    value.as_str().ok_or_else(|| bad_token(format!("{claim} is not text")))
}

/// The name of a person or a program.
fn name<'a>(claim: &str, value: Option<&'a Value>) -> Result<&'a str, Problem> {
    let name = text(claim, value)?;
    let is_name = (1..=MAX_NAME_LENGTH).contains(&name.len()) && !name.contains(char::is_control);
    if is_name { Ok(name) } else { Err(bad_token(format!("{claim} is not a name"))) }
}

/// A time. Issuers write whole seconds, though RFC 7519, 2 allows fractions.
fn seconds(claim: &str, value: Option<&Value>) -> Result<i64, Problem> {
    let value = value.ok_or_else(|| bad_token(format!("{claim} is missing")))?;
    value.as_i64().ok_or_else(|| bad_token(format!("{claim} is not a whole number")))
}

/// One string, or a list of strings only.
fn list(value: Option<&Value>) -> Option<Vec<&str>> {
    match value? {
        Value::String(one) => Some(vec![one]),
        Value::Array(many) => many.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_must_have_only_one_reading() {
        let longest = format!("{}@mozilla.com", "x".repeat(MAX_EMAIL_LENGTH - 12));
        for address in ["someone@mozilla.com", "some.one+try@example.org", "jürgen@bücher.example", &longest] {
            assert!(is_email(address), "{address}");
        }
        for address in [
            "",
            "someone",
            "@mozilla.com",
            "someone@",
            "a@b@mozilla.com",
            "a b@mozilla.com",
            "a@mozilla.com, b@c.org",
            "a@mozilla.com\n",
            "a@mozilla.com\0",
            "a\u{a0}b@mozilla.com",
            "\"a\"@mozilla.com",
            "<a@mozilla.com>",
            "a@mozilla.com(b)",
            "a@[127.0.0.1]",
            &format!("x{longest}"),
        ] {
            assert!(!is_email(address), "{address}");
        }
    }
}
