//! Conditional and compressed answers.

use std::io::Write as _;
use std::time::SystemTime;

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use flate2::Compression;
use flate2::write::GzEncoder;
use headers::{HeaderMapExt as _, IfModifiedSince, IfNoneMatch, LastModified};
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::problem::{ANSWER_TOO_LARGE, Problem};

/// Maximum size of a function's response as the platform counts it: JSON, in which a text body is a string and any
/// other body is base64.
const MAX_RESPONSE: usize = 6 * 1024 * 1024;
/// Room for the headers and the rest of that JSON.
const OVERHEAD: usize = 16 * 1024;
/// Minimum size of a body that is compressed, in bytes.
const MIN_COMPRESSED: usize = 1024;

/// The validators of an answer: a client sends them back to ask whether the answer changed.
#[derive(Debug, Clone)]
pub struct Validators<'a> {
    /// Identifies the body, in any encoding.
    pub etag: &'a str,
    /// When the body changed last.
    pub last_modified: Option<DateTime<Utc>>,
    /// Which caches may store it.
    pub caching: Caching,
}

/// Which caches may store an answer, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caching {
    /// All caches, for this number of seconds without revalidation.
    Public(u32),
    /// All caches, which revalidate it each time.
    Revalidated,
    /// All caches, for a year without revalidation: the address changes with the body.
    Immutable,
    /// Only the client's own cache, which revalidates each time. The answer depends on the caller.
    Private,
}

/// A body in the encoding in which it is sent.
#[derive(Debug, Clone)]
pub enum ResponseBody {
    /// As it is.
    Plain(Bytes),
    /// Compressed with gzip.
    Gzip(Bytes),
}

impl ResponseBody {
    /// A body made for this request, compressed if the client accepts gzip and the body is large enough.
    pub fn packed_for(headers: &HeaderMap, plain: Vec<u8>) -> Self {
        if plain.len() >= MIN_COMPRESSED && accepts_gzip(headers) {
            Self::Gzip(gzip(&plain).into())
        } else {
            Self::Plain(plain.into())
        }
    }

    /// Whether the platform can send the body.
    fn fits(&self) -> bool {
        let bytes = match self {
            Self::Gzip(packed) => packed.len().div_ceil(3) * 4,
            Self::Plain(plain) if 2 * plain.len() + OVERHEAD <= MAX_RESPONSE => return true,
            // Quotes and backslashes are escaped in a JSON string; other bytes of our answers are not.
            Self::Plain(plain) => plain.len() + plain.iter().filter(|byte| matches!(byte, b'"' | b'\\')).count(),
        };
        bytes + OVERHEAD <= MAX_RESPONSE
    }
}

/// Compresses a body with the fastest level, because the result is sent once.
///
/// # Panics
/// Never: writing to memory does not fail.
pub fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(plain.len() / 8), Compression::fast());
    encoder.write_all(plain).expect("memory can be written");
    encoder.finish().expect("memory can be written")
}

/// Whether the client accepts gzip (RFC 9110, 12.5.3).
pub fn accepts_gzip(headers: &HeaderMap) -> bool {
    let mut any = false;
    for item in
        headers.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).flat_map(|v| v.split(','))
    {
        let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
        let weight = parameters.trim().strip_prefix("q=").map_or(Some(1.0), |weight| weight.parse::<f32>().ok());
        let is_wanted = weight.is_some_and(|weight| weight > 0.0);
        match name.trim().to_ascii_lowercase().as_str() {
            "gzip" | "x-gzip" => return is_wanted,
            "*" => any = is_wanted,
            _ => {}
        }
    }
    any
}

impl Validators<'_> {
    /// The answer `304 Not Modified`, if the client has the current body in the encoding that it would be sent in.
    /// Callers check this before they read the body.
    pub fn not_modified(&self, request: &HeaderMap, gzip: bool) -> Option<Response> {
        let etag = self.tag(gzip);
        let is_held = if request.contains_key(IF_NONE_MATCH) {
            let known: Option<IfNoneMatch> = request.typed_get();
            !known?.precondition_passes(&etag.parse().ok()?)
        } else {
            let since: Option<IfModifiedSince> = request.typed_get();
            !since?.is_modified(SystemTime::from(self.last_modified?))
        };
        is_held.then(|| {
            let mut response = StatusCode::NOT_MODIFIED.into_response();
            self.put(response.headers_mut(), gzip);
            response
        })
    }

    /// The answer with the body, or `304 Not Modified`.
    ///
    /// # Errors
    /// The body is larger than the platform can send.
    pub fn answer(
        &self,
        request: &HeaderMap,
        content_type: &'static str,
        body: ResponseBody,
    ) -> Result<Response, Problem> {
        match self.not_modified(request, matches!(body, ResponseBody::Gzip(_))) {
            Some(not_modified) => Ok(not_modified),
            None => self.ok(content_type, body),
        }
    }

    /// The answer with the body.
    ///
    /// # Errors
    /// The body is larger than the platform can send.
    pub fn ok(&self, content_type: &'static str, body: ResponseBody) -> Result<Response, Problem> {
        if !body.fits() {
            let detail = match body {
                ResponseBody::Plain(plain) => format!(
                    "The answer has {} bytes, more than fit into one response: accept gzip (Accept-Encoding: gzip), or \
                     ask for pages with count and offset.",
                    plain.len()
                ),
                ResponseBody::Gzip(packed) => format!(
                    "The answer has {} bytes even when compressed, more than fit into one response: ask for pages with \
                     count and offset.",
                    packed.len()
                ),
            };
            return Err(Problem::new(&ANSWER_TOO_LARGE, detail));
        }
        let (bytes, gzip) = match body {
            ResponseBody::Plain(bytes) => (bytes, false),
            ResponseBody::Gzip(bytes) => (bytes, true),
        };
        let mut response = bytes.into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        if gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        self.put(headers, gzip);
        Ok(response)
    }

    /// The strong validator of one encoding: the two have different bytes.
    fn tag(&self, gzip: bool) -> String {
        if gzip { format!("\"{}-gzip\"", self.etag) } else { format!("\"{}\"", self.etag) }
    }

    fn put(&self, headers: &mut HeaderMap, gzip: bool) {
        if let Ok(etag) = HeaderValue::try_from(self.tag(gzip)) {
            headers.insert(ETAG, etag);
        }
        if let Some(time) = self.last_modified {
            headers.typed_insert(LastModified::from(SystemTime::from(time)));
        }
        let (control, vary) = match self.caching {
            Caching::Public(seconds) => {
                (HeaderValue::try_from(format!("public, max-age={seconds}")), "Accept-Encoding")
            }
            Caching::Revalidated => (Ok(HeaderValue::from_static("no-cache")), "Accept-Encoding"),
            Caching::Immutable => {
                (Ok(HeaderValue::from_static("public, max-age=31536000, immutable")), "Accept-Encoding")
            }
            Caching::Private => (Ok(HeaderValue::from_static("private, no-cache")), "Accept-Encoding, Authorization"),
        };
        if let Ok(control) = control {
            headers.insert(CACHE_CONTROL, control);
        }
        headers.insert(VARY, HeaderValue::from_static(vary));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asks(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn gzip_is_sent_to_clients_that_accept_it() {
        for (value, expected) in [
            ("gzip", true),
            ("deflate, GZIP;q=0.5", true),
            ("br, *", true),
            ("*;q=0.1, gzip;q=0", false),
            ("gzip;q=0, *", false),
            ("gzip;q=0.000", false),
            ("gzip;q=x", false),
            ("identity", false),
            ("", false),
        ] {
            assert_eq!(accepts_gzip(&asks(&[("accept-encoding", value)])), expected, "{value}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn a_client_that_has_the_body_in_its_encoding_gets_304() {
        let time = "2026-11-23T06:00:00Z".parse().unwrap();
        let validators = Validators { etag: "ab", last_modified: Some(time), caching: Caching::Public(30) };
        let held = |pairs, gzip| validators.not_modified(&asks(pairs), gzip).is_some();
        assert!(held(&[("if-none-match", "\"ab-gzip\"")], true));
        assert!(held(&[("if-none-match", "\"x\", W/\"ab\"")], false));
        assert!(held(&[("if-none-match", "*")], false));
        assert!(!held(&[("if-none-match", "\"ab\"")], true));
        assert!(!held(&[("if-none-match", "ab")], false));
        assert!(held(&[("if-modified-since", "Mon, 23 Nov 2026 06:00:00 GMT")], true));
        assert!(!held(&[("if-modified-since", "Mon, 23 Nov 2026 05:59:59 GMT")], true));
        assert!(!held(&[("if-modified-since", "yesterday")], true));
        // An entity tag takes precedence over a time.
        let both = [("if-none-match", "\"x\""), ("if-modified-since", "Mon, 23 Nov 2026 06:00:00 GMT")];
        assert!(!held(&both, true));
    }

    #[test]
    fn the_header_says_which_caches_may_store_an_answer_and_for_how_long() {
        for (caching, control, vary) in [
            (Caching::Public(30), "public, max-age=30", "Accept-Encoding"),
            (Caching::Revalidated, "no-cache", "Accept-Encoding"),
            (Caching::Immutable, "public, max-age=31536000, immutable", "Accept-Encoding"),
            (Caching::Private, "private, no-cache", "Accept-Encoding, Authorization"),
        ] {
            let validators = Validators { etag: "ab", last_modified: None, caching };
            let response = validators.ok("application/json", ResponseBody::Plain("{}".into())).unwrap();
            assert_eq!(response.headers()["cache-control"], control);
            assert_eq!(response.headers()["vary"], vary);
        }
    }

    #[test]
    fn a_body_that_the_platform_cannot_send_is_refused() {
        let validators = Validators { etag: "ab", last_modified: None, caching: Caching::Private };
        let fits = |body| validators.ok("application/json", body).is_ok();
        assert!(fits(ResponseBody::Plain(vec![b'x'; 6_200_000].into())));
        assert!(!fits(ResponseBody::Plain(vec![b'"'; 3_200_000].into())));
        assert!(fits(ResponseBody::Gzip(vec![0; 4_700_000].into())));
        assert!(!fits(ResponseBody::Gzip(vec![0; 4_710_000].into())));
    }
}
