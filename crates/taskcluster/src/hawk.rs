//! Signatures of requests by Hawk, as Taskcluster checks them.
//!
//! A signature holds for the method, the path with the query, the host, the port, the body, and what limits the
//! credentials; see `docs/design/apis/hawk` in Taskcluster's documentation.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use fetch::Url;
use ring::digest::{SHA256, digest};
use ring::hmac::{HMAC_SHA256, Key, sign};
use ring::rand::{SecureRandom as _, SystemRandom};
use serde_json::{Map, Value};

use crate::credentials::Credentials;

/// The number of random bytes in a nonce.
const NONCE_BYTES: usize = 9;

/// A request that is signed.
pub(crate) struct SignedRequest<'a> {
    pub(crate) method: &'a str,
    pub(crate) url: &'a Url,
    /// The type of the body and the body.
    pub(crate) payload: (&'a str, &'a [u8]),
}

impl SignedRequest<'_> {
    /// The header `Authorization`, which limits the credentials to `scopes`. `ts` is in seconds since 1970.
    pub(crate) fn authorization(&self, credentials: &Credentials, scopes: &[String], ts: i64, nonce: &str) -> String {
        let ext = ext(credentials, scopes);
        let hash = payload_hash(self.payload.0, self.payload.1);
        let mac = self.mac(credentials.access_token.as_bytes(), ts, nonce, &hash, &ext);
        let id = &credentials.client_id;
        format!(r#"Hawk id="{id}", ts="{ts}", nonce="{nonce}", hash="{hash}", ext="{ext}", mac="{mac}""#)
    }

    fn mac(&self, key: &[u8], ts: i64, nonce: &str, hash: &str, ext: &str) -> String {
        let Self { method, url, .. } = self;
        let path = url.path();
        let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or_default();
        let signed = format!("hawk.1.header\n{ts}\n{nonce}\n{method}\n{path}{query}\n{host}\n{port}\n{hash}\n{ext}\n");
        STANDARD.encode(sign(&Key::new(HMAC_SHA256, key), signed.as_bytes()))
    }
}

/// A random nonce. `None` if the system gives no random numbers.
pub(crate) fn nonce() -> Option<String> {
    let mut bytes = [0; NONCE_BYTES];
    SystemRandom::new().fill(&mut bytes).ok()?;
    Some(URL_SAFE_NO_PAD.encode(bytes))
}

/// What limits the credentials, and makes temporary ones valid.
fn ext(credentials: &Credentials, scopes: &[String]) -> String {
    let mut ext = Map::new();
    if let Some(certificate) = &credentials.certificate {
        ext.insert("certificate".to_owned(), certificate.clone());
    }
    ext.insert("authorizedScopes".to_owned(), scopes.into());
    STANDARD.encode(Value::Object(ext).to_string())
}

fn payload_hash(content_type: &str, body: &[u8]) -> String {
    let hashed = [format!("hawk.1.payload\n{content_type}\n").as_bytes(), body, b"\n"].concat();
    STANDARD.encode(digest(&SHA256, &hashed))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;

    const KEY: &str = "werxhqb98rpaxn39848xrunpaw3489ruxnpa98w4rxn";
    const TS: i64 = 1_353_832_234;
    const TEXT: (&str, &[u8]) = ("text/plain", b"Thank you for flying Hawk");

    /// The examples of Hawk's own documentation.
    #[test]
    fn signatures_are_those_of_the_documentation() {
        let url: Url = "http://example.com:8000/resource/1?b=1&a=2".parse().unwrap();
        let get = SignedRequest { method: "GET", url: &url, payload: TEXT };
        let mac = get.mac(KEY.as_bytes(), TS, "j4h3g2", "", "some-app-ext-data");
        assert_eq!(mac, "6R4rV5iE+NPoym+WwjeHzjAGXUtLNIxmo1vpMofpLAE=");

        let hash = payload_hash(TEXT.0, TEXT.1);
        assert_eq!(hash, "Yi9LfIIFRtBEPt74PVmbTF/xVAwPn7ub15ePICfgnuY=");
        let post = SignedRequest { method: "POST", url: &url, payload: TEXT };
        let mac = post.mac(KEY.as_bytes(), TS, "j4h3g2", &hash, "some-app-ext-data");
        assert_eq!(mac, "aSe1DERmZuRl3pI36/9BdZmnErTw3sNzOOAUlfeKjVw=");
    }

    #[test]
    fn every_part_of_a_request_is_signed() {
        let mac = |method, url: &str, key: &str, ts, nonce, hash, ext| {
            let url = url.parse().unwrap();
            SignedRequest { method, url: &url, payload: TEXT }.mac(key.as_bytes(), ts, nonce, hash, ext)
        };
        let url = "https://example.com/a?b=1";
        let macs = [
            mac("POST", url, KEY, 1, "n", "h", "e"),
            mac("PUT", url, KEY, 1, "n", "h", "e"),
            mac("POST", "https://example.com/a?b=2", KEY, 1, "n", "h", "e"),
            mac("POST", "https://example.com/a", KEY, 1, "n", "h", "e"),
            mac("POST", "https://example.com/b?b=1", KEY, 1, "n", "h", "e"),
            mac("POST", "https://example.org/a?b=1", KEY, 1, "n", "h", "e"),
            mac("POST", "https://example.com:444/a?b=1", KEY, 1, "n", "h", "e"),
            mac("POST", url, "other", 1, "n", "h", "e"),
            mac("POST", url, KEY, 2, "n", "h", "e"),
            mac("POST", url, KEY, 1, "m", "h", "e"),
            mac("POST", url, KEY, 1, "n", "g", "e"),
            mac("POST", url, KEY, 1, "n", "h", "f"),
        ];
        assert_eq!(macs.iter().collect::<BTreeSet<_>>().len(), macs.len());
        // The port is that of the scheme.
        assert_eq!(mac("POST", "https://example.com:443/a?b=1", KEY, 1, "n", "h", "e"), macs[0]);
    }

    #[test]
    fn the_header_limits_the_credentials_and_holds_the_certificate() {
        let url: Url = "https://tc.example.org/api/hooks/v1/hooks/g/a%2Fb/trigger".parse().unwrap();
        let request = SignedRequest { method: "POST", url: &url, payload: ("application/json", b"{}") };
        let scopes = ["hooks:trigger-hook:g/a/b".to_owned()];
        for certificate in [None, Some(json!({"version": 1, "seed": "x"}))] {
            let credentials = Credentials {
                client_id: "project/a".to_owned(),
                access_token: KEY.to_owned(),
                certificate: certificate.clone(),
            };
            let header = request.authorization(&credentials, &scopes, TS, "n0nce");
            let attribute = |name: &str| {
                let value = header.split(&format!(r#"{name}=""#)).nth(1).unwrap();
                value.split('"').next().unwrap().to_owned()
            };
            assert!(header.starts_with(r#"Hawk id="project/a", ts="1353832234", nonce="n0nce", hash=""#), "{header}");
            let ext: Value = serde_json::from_slice(&STANDARD.decode(attribute("ext")).unwrap()).unwrap();
            let mut expected = json!({"authorizedScopes": scopes});
            if let Some(certificate) = certificate {
                expected["certificate"] = certificate;
            }
            assert_eq!(ext, expected);
            let (hash, ext) = (attribute("hash"), attribute("ext"));
            assert_eq!(hash, payload_hash("application/json", b"{}"));
            assert_eq!(attribute("mac"), request.mac(KEY.as_bytes(), TS, "n0nce", &hash, &ext));
            assert!(!header.contains(KEY));
        }
    }

    #[test]
    fn a_nonce_is_random_and_can_stand_in_a_header() {
        let nonces: BTreeSet<_> = (0..100).map(|_| nonce().unwrap()).collect();
        assert_eq!(nonces.len(), 100);
        let is_plain = |nonce: &String| nonce.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
        assert!(nonces.iter().all(|nonce| nonce.len() == 12 && is_plain(nonce)));
    }
}
