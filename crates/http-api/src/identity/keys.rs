//! The keys that tokens are signed with: configured, or fetched from the issuer, which rotates them.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use fetch::{Fetcher, Url};
use http::StatusCode;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind};
use runtime::{CacheEntry, CacheStatus, Cached, Clock, RetryPauses, Unavailable};
use serde::Deserialize;
use serde_json::Value;

/// How long fetched keys are used before they are fetched again.
const KEYS_TTL: TimeDelta = TimeDelta::hours(1);
/// Minimum interval between fetches while there are keys. Without it, tokens with made-up key ids would trigger a fetch
/// each.
const MIN_FETCH_INTERVAL: TimeDelta = TimeDelta::seconds(30);
/// Minimum interval between fetches while there are no keys, in seconds. It is short, because no sign-in can be checked
/// until a fetch succeeds.
pub(super) const FAILURE_COOLDOWN_SECONDS: u32 = 5;
const PAUSES: RetryPauses = RetryPauses {
    after_success: MIN_FETCH_INTERVAL,
    after_failure: MIN_FETCH_INTERVAL,
    while_empty: TimeDelta::seconds(FAILURE_COOLDOWN_SECONDS as i64),
};
/// Maximum time of a fetch. A person waits for it.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Maximum size of a key set, in bytes. A key has about one thousand bytes, and a few thousand with certificates.
const MAX_BYTES: usize = 256 * 1024;
/// The size of the modulus of accepted RSA keys, in bytes.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;
/// The size of an uncompressed point on P-256, in bytes.
const P256_BYTES: usize = 65;

/// The key that a token names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KeyQuery {
    /// The key's id. If `None`, there must be exactly one key for the algorithm.
    pub(super) id: Option<String>,
    /// RS256 or ES256.
    pub(super) algorithm: Algorithm,
}

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
    /// The value is neither, or none of the keys can check a token.
    pub fn read(value: &str) -> Result<Self, String> {
        let value = value.trim();
        if value.starts_with('{') {
            return KeySet::read(value.as_bytes()).map(|keys| Self(KeyLocation::Inline(keys)));
        }
        let expected = "the address of a JWKS is expected, with https:// (http:// for this machine alone) and without \
                        a user, or a JWKS itself, which starts with '{'";
        let url: Url = value.parse().map_err(|error| format!("{expected} ({error})"))?;
        let is_local = matches!(url.host_str(), Some("127.0.0.1" | "[::1]" | "localhost"));
        let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_local);
        let has_user = !url.username().is_empty() || url.password().is_some();
        if is_safe && !has_user { Ok(Self(KeyLocation::Url(url))) } else { Err(expected.to_owned()) }
    }
}

/// The keys of a set that can check tokens.
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
    /// The token names a key that cannot be right.
    Refused(&'static str),
    /// There are no keys. Holds the reason, for the log.
    NoKeys(String),
}

const UNKNOWN_ID: KeyError = KeyError::Refused("its key id is unknown");

impl KeySet {
    /// Reads a JSON Web Key Set. Keys for other purposes and of unknown types are skipped, as RFC 7517, 5 requires.
    fn read(json: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct JwksBody {
            keys: Vec<Value>,
        }
        let JwksBody { keys } = serde_json::from_slice(json).map_err(|error| {
            format!(
                "not a JWKS: it is not JSON, or has no list of keys, at line {}, column {}",
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
    /// `None` for a key that is not for checking signatures, or whose algorithm is not accepted.
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

/// The keys in use.
pub(super) enum Keys {
    Inline(KeySet),
    Fetched(Arc<FetchedKeys>),
}

/// Keys that are fetched when a token needs them.
pub(super) struct FetchedKeys {
    url: Url,
    clock: Clock,
    fetcher: Fetcher,
    cached: Cached<KeySet>,
}

impl Keys {
    pub(super) fn new(source: &KeySource, clock: Clock) -> Self {
        match &source.0 {
            KeyLocation::Inline(keys) => Self::Inline(keys.clone()),
            KeyLocation::Url(url) => Self::Fetched(Arc::new(FetchedKeys::new(url.clone(), clock))),
        }
    }

    /// The key that a token names.
    pub(super) async fn find(&self, query: &KeyQuery) -> Result<DecodingKey, KeyError> {
        match self {
            Self::Inline(keys) => keys.find(query),
            Self::Fetched(fetched) => fetched.find(query).await,
        }
    }
}

impl FetchedKeys {
    fn new(url: Url, clock: Clock) -> Self {
        Self { url, clock, fetcher: Fetcher::new(TIMEOUT, MAX_BYTES), cached: Cached::with_pauses(PAUSES) }
    }

    async fn find(self: &Arc<Self>, query: &KeyQuery) -> Result<DecodingKey, KeyError> {
        let in_memory = self.cached.get_without_load((self.clock)(), |keys, now| is_fresh(keys, now, query));
        let found = if let Some(found) = in_memory {
            found
        } else {
            let (this, query) = (self.clone(), query.clone());
            // A task of its own, so that the fetch completes even if the client closes its connection.
            let refreshed = tokio::spawn(async move { this.refresh(&query).await }).await;
            // If the task panics, older keys stay in use.
            refreshed.unwrap_or_else(|error| {
                let stale = |keys| (keys, CacheStatus::Stale { reason: error.to_string() });
                self.cached.peek().map(stale).ok_or_else(|| Unavailable(error.to_string()))
            })
        };
        match found {
            Ok((keys, _)) => keys.value.find(query),
            Err(Unavailable(reason)) => Err(KeyError::NoKeys(reason)),
        }
    }

    async fn refresh(&self, query: &KeyQuery) -> Result<(CacheEntry<KeySet>, CacheStatus), Unavailable> {
        let is_fresh = |keys: &CacheEntry<KeySet>, now| is_fresh(keys, now, query);
        self.cached.get(&self.clock, is_fresh, async || self.fetch().await).await
    }

    async fn fetch(&self) -> Result<KeySet, String> {
        let fetched = match self.fetcher.get(self.url.as_str()).await {
            Ok((StatusCode::OK, body)) => KeySet::read(&body),
            Ok((status, _)) => Err(format!("the issuer answers with {status}")),
            Err(error) => Err(format!("the issuer: {error}")),
        };
        // Without older keys the requests fail, and their log lines contain the reason.
        if let Err(reason) = &fetched
            && self.cached.peek().is_some()
        {
            tracing::warn!(error = %reason, "the issuer's keys cannot be fetched; the old ones stay in use");
        }
        fetched
    }
}

/// A key id that is unknown may be new: the keys are fetched again before their time.
fn is_fresh(keys: &CacheEntry<KeySet>, now: DateTime<Utc>, query: &KeyQuery) -> bool {
    (now - keys.at).abs() < KEYS_TTL && keys.value.find(query).err() != Some(UNKNOWN_ID)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_configured_or_fetched_over_https() {
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
    fn a_set_without_a_usable_key_is_refused() {
        let wrong = |json: &str| KeySource::read(json).unwrap_err();
        assert!(wrong("{\"keys\": 1}").starts_with("not a JWKS: "));
        assert!(wrong("{").starts_with("not a JWKS: "));
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
