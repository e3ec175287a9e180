//! The keys that tokens are signed with: given, or fetched from the issuer, who changes them now and then.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use http::StatusCode;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use reqwest::Url;
use serde::Deserialize;
use serde_json::Value;

use super::Clock;
use super::token::KeyQuery;
use crate::Fetcher;

/// How long fetched keys are used without asking whether they changed.
const KEYS_TTL: TimeDelta = TimeDelta::hours(1);
/// How long at least between two fetches while there are keys: else whoever makes key ids up has us ask for each.
const MIN_FETCH_INTERVAL: TimeDelta = TimeDelta::seconds(30);
/// How long at least between two fetches while there are none, in seconds: nobody can sign in until one succeeds.
pub(super) const FAILURE_COOLDOWN_SECONDS: u32 = 5;
/// How long a fetch may take. A person waits.
const TIMEOUT: Duration = Duration::from_secs(3);
/// The most of an answer that is read, in bytes. A key has about one thousand, or, with certificates, a few.
const MAX_BYTES: usize = 256 * 1024;
/// The bytes of the modulus of those RSA keys that can be checked with.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;
/// The bytes of an uncompressed point on P-256.
const P256_BYTES: usize = 65;

/// Where the keys come from.
#[derive(Debug, Clone)]
pub struct KeySource(KeyLocation);

#[derive(Debug, Clone)]
enum KeyLocation {
    Inline(KeySet),
    Url(Url),
}

impl KeySource {
    /// Reads a JSON Web Key Set (RFC 7517, 5), or the address of one: `https://`, or `http://` on this machine.
    ///
    /// # Errors
    /// It is neither, or no token could be checked with any of the keys.
    pub fn read(value: &str) -> Result<Self, String> {
        let value = value.trim();
        if value.starts_with('{') {
            return KeySet::read(value.as_bytes()).map(|keys| Self(KeyLocation::Inline(keys)));
        }
        let expected = "the address of a JWKS is expected, with https:// (http:// for this machine alone) and without a \
                        user, or a JWKS itself, which starts with '{'";
        let url: Url = value.parse().map_err(|error| format!("{expected} ({error})"))?;
        let is_local = matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
        let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_local);
        let has_user = !url.username().is_empty() || url.password().is_some();
        if is_safe && !has_user { Ok(Self(KeyLocation::Url(url))) } else { Err(expected.to_owned()) }
    }
}

/// The keys of a set that tokens can be checked with.
#[derive(Debug, Clone)]
pub(super) struct KeySet(Arc<[Key]>);

#[derive(Debug, Clone)]
struct Key {
    id: Option<String>,
    algorithm: Algorithm,
    public: DecodingKey,
}

/// Why there is no key for a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum KeyError {
    /// The token asks for none that could be right.
    Refused(&'static str),
    /// There are no keys at all.
    NoKeys(String),
}

const UNKNOWN_ID: KeyError = KeyError::Refused("its key id is unknown");

impl KeySet {
    /// Reads a JSON Web Key Set. Keys that are for something else, or not understood, are left out, as RFC 7517, 5 has it.
    fn read(json: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct JwksBody {
            keys: Vec<Value>,
        }
        let JwksBody { keys } = serde_json::from_slice(json).map_err(|error| {
            format!(
                "no JWKS: it is no JSON, or has no list of keys, at line {}, column {}",
                error.line(),
                error.column()
            )
        })?;
        let keys = keys.into_iter().filter_map(|key| Key::read(&serde_json::from_value(key).ok()?));
        let keys: Arc<[Key]> = keys.collect();
        if keys.is_empty() {
            return Err(
                "no key in it can check a token: one for RS256 (RSA of 2048 bits and more) or ES256 (P-256) is \
                        expected"
                    .to_owned(),
            );
        }
        Ok(Self(keys))
    }

    fn find(&self, query: &KeyQuery) -> Result<DecodingKey, KeyError> {
        let fits = |key: &&Key| key.algorithm == query.algorithm;
        let Some(id) = query.id.as_deref() else {
            let mut fitting = self.0.iter().filter(fits);
            return match (fitting.next(), fitting.next()) {
                (Some(only), None) => Ok(only.public.clone()),
                _ => Err(KeyError::Refused("it names no key, and there is not exactly one for its algorithm")),
            };
        };
        let mut named = self.0.iter().filter(|key| key.id.as_deref() == Some(id)).peekable();
        if named.peek().is_none() {
            return Err(UNKNOWN_ID);
        }
        named.find(fits).map(|key| key.public.clone()).ok_or(KeyError::Refused("its key is for another algorithm"))
    }
}

impl Key {
    /// None: it is not for checking signatures, or not with an algorithm that is taken.
    fn read(key: &Jwk) -> Option<Self> {
        let algorithm = match &key.algorithm {
            AlgorithmParameters::RSA(_) => Algorithm::RS256,
            AlgorithmParameters::EllipticCurve(point) if point.curve == EllipticCurve::P256 => Algorithm::ES256,
            _ => return None,
        };
        let about = &key.common;
        let is_for_signatures = about.public_key_use.as_ref().is_none_or(|used| *used == PublicKeyUse::Signature)
            && about.key_operations.as_ref().is_none_or(|used| used.contains(&KeyOperations::Verify))
            && about.key_algorithm.is_none_or(|named| named == KeyAlgorithm::from(algorithm));
        let public = DecodingKey::from_jwk(key).ok()?;
        let is_whole = match public.kind() {
            DecodingKeyKind::RsaModulusExponent { n, .. } => {
                RSA_BYTES.contains(&n.iter().skip_while(|byte| **byte == 0).count())
            }
            DecodingKeyKind::SecretOrDer(point) => point.len() == P256_BYTES,
        };
        (is_for_signatures && is_whole).then(|| Self { id: about.key_id.clone(), algorithm, public })
    }
}

/// The keys at hand.
pub(super) enum Keys {
    Inline(KeySet),
    Fetched(Arc<Fetched>),
}

/// Keys that are fetched when they are needed.
pub(super) struct Fetched {
    url: Url,
    clock: Clock,
    fetcher: Fetcher,
    state: Mutex<FetchState>,
    /// Held by the one who fetches.
    fetching: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct FetchState {
    held: Option<(DateTime<Utc>, KeySet)>,
    /// When the last fetch ended.
    tried: Option<DateTime<Utc>>,
    /// Why it failed, if it did.
    failure: String,
}

impl Keys {
    pub(super) fn new(source: &KeySource, clock: Clock) -> Self {
        match &source.0 {
            KeyLocation::Inline(keys) => Self::Inline(keys.clone()),
            KeyLocation::Url(url) => Self::Fetched(Arc::new(Fetched::new(url.clone(), clock))),
        }
    }

    /// The key that a token says it is signed with.
    pub(super) async fn find(&self, query: &KeyQuery) -> Result<DecodingKey, KeyError> {
        match self {
            Self::Inline(keys) => keys.find(query),
            Self::Fetched(fetched) => fetched.find(query).await,
        }
    }
}

impl Fetched {
    fn new(url: Url, clock: Clock) -> Self {
        let fetcher = Fetcher::new(TIMEOUT, MAX_BYTES);
        Self { url, clock, fetcher, state: Mutex::default(), fetching: tokio::sync::Mutex::default() }
    }

    async fn find(self: &Arc<Self>, query: &KeyQuery) -> Result<DecodingKey, KeyError> {
        if self.is_fetch_due(query) {
            let (this, query) = (self.clone(), query.clone());
            // A task of its own, which whoever asked cannot end by going away. Where it breaks, there are the old keys.
            let _ = tokio::spawn(async move { this.refresh(&query).await }).await;
        }
        let state = self.state();
        match &state.held {
            Some((_, keys)) => keys.find(query),
            None => Err(KeyError::NoKeys(state.failure.clone())),
        }
    }

    fn is_fetch_due(&self, query: &KeyQuery) -> bool {
        let now = (self.clock)();
        let state = self.state();
        let is_within = |at: DateTime<Utc>, span: TimeDelta| (now - at).abs() < span;
        let pause =
            if state.held.is_some() { MIN_FETCH_INTERVAL } else { TimeDelta::seconds(FAILURE_COOLDOWN_SECONDS.into()) };
        let is_wanting = match &state.held {
            Some((at, keys)) => !is_within(*at, KEYS_TTL) || keys.find(query).is_err_and(|why| why == UNKNOWN_ID),
            None => true,
        };
        is_wanting && !state.tried.is_some_and(|at| is_within(at, pause))
    }

    async fn refresh(&self, query: &KeyQuery) {
        let _alone = self.fetching.lock().await;
        // Another may have done it while this one waited.
        if !self.is_fetch_due(query) {
            return;
        }
        let fetched = match self.fetcher.get(self.url.as_str()).await {
            Ok((StatusCode::OK, body)) => KeySet::read(&body),
            Ok((status, _)) => Err(format!("the issuer answers with {status}")),
            Err(reason) => Err(format!("the issuer: {reason}")),
        };
        let now = (self.clock)();
        let mut state = self.state();
        state.tried = Some(now);
        match fetched {
            Ok(keys) => state.held = Some((now, keys)),
            Err(reason) => {
                // Without keys it is told by the requests that fail.
                if state.held.is_some() {
                    tracing::warn!(error = %reason, "the issuer's keys cannot be fetched; the old ones stay in use");
                }
                state.failure = reason;
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, FetchState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_given_or_fetched_over_https() {
        for address in [
            "https://issuer.example.org/.well-known/jwks.json",
            " https://issuer.example.org:8443/keys ",
            "http://127.0.0.1:5556/keys",
            "http://[::1]/keys",
            "http://localhost:5556/keys",
        ] {
            assert!(matches!(KeySource::read(address), Ok(KeySource(KeyLocation::Url(_)))), "{address}");
        }
        for address in [
            "",
            "issuer.example.org",
            "[]",
            "http://issuer.example.org/keys",
            "http://127.0.0.1.example.org/keys",
            "http://localhost@issuer.example.org/keys",
            "https://user:secret@issuer.example.org/keys",
            "file:///etc/keys.json",
            "https://",
        ] {
            let said = KeySource::read(address).unwrap_err();
            assert!(said.starts_with("the address of a JWKS is expected, with https://"), "{address}: {said}");
        }
    }

    #[test]
    fn a_set_without_a_key_for_us_is_refused() {
        let wrong = |json: &str| KeySource::read(json).unwrap_err();
        assert!(wrong("{\"keys\": 1}").starts_with("no JWKS: "));
        assert!(wrong("{").starts_with("no JWKS: "));
        let n = "x".repeat(341) + "w";
        let (x, y) = ("x".repeat(42) + "w", "y".repeat(42) + "w");
        let rsa = |more: &str| format!("{{\"kty\": \"RSA\", \"n\": \"{n}\", \"e\": \"AQAB\"{more}}}");
        let ec = |more: &str| format!("{{\"kty\": \"EC\", \"x\": \"{x}\", \"y\": \"{y}\"{more}}}");
        for (key, is_for_us) in [
            (rsa(""), true),
            (rsa(", \"use\": \"sig\", \"alg\": \"RS256\", \"key_ops\": [\"verify\"], \"kid\": \"1\""), true),
            (ec(", \"crv\": \"P-256\""), true),
            (rsa(", \"use\": \"enc\""), false),
            (rsa(", \"alg\": \"RS384\""), false),
            (rsa(", \"alg\": \"PS256\""), false),
            (rsa(", \"alg\": \"ES256\""), false),
            (rsa(", \"key_ops\": [\"sign\"]"), false),
            (rsa("").replace(&n, &n[..172]), false),
            (rsa("").replace(&n, "?"), false),
            (ec(", \"crv\": \"P-384\""), false),
            (ec(", \"crv\": \"secp256k1\""), false),
            (ec(", \"crv\": \"P-256\"").replace(&y, "AA"), false),
            ("{\"kty\": \"oct\", \"k\": \"c2VjcmV0\", \"alg\": \"HS256\"}".to_owned(), false),
            ("{\"kty\": \"OKP\", \"crv\": \"Ed25519\", \"x\": \"AA\"}".to_owned(), false),
            ("7".to_owned(), false),
        ] {
            let read = KeySource::read(&format!("{{\"keys\": [7, {key}]}}"));
            assert_eq!(read.is_ok(), is_for_us, "{key}: {read:?}");
        }
    }
}
