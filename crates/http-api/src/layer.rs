//! The layer that every request passes: request id, log line, metrics, errors, CORS and security headers.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt as _;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ALLOW,
    CONTENT_SECURITY_POLICY, ORIGIN, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY, VARY, X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use http_body::Body as _;
use percent_encoding::percent_decode_str;
use runtime::metrics::{self, Metric};
use runtime::{Clock, Incident, LogSink};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::RequestLog;
use crate::gateway::lambda_request_id;
use crate::problem::{BAD_PATH, BAD_REQUEST, INTERNAL, METHOD_NOT_ALLOWED, Problem, URI_TOO_LONG};

/// Maximum length of the path and of the query string, in bytes. A path has room for the longest name of a job, 1,000
/// bytes, all of them percent-encoded. Together they are the 10 KiB that API Gateway accepts.
const MAX_PATH: usize = 4096;
const MAX_QUERY: usize = 6144;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Headers that a script of another origin may send, besides those that every script may send.
const ALLOWED_HEADERS: HeaderValue = HeaderValue::from_static(
    "Authorization, Content-Type, Idempotency-Key, If-Modified-Since, If-None-Match, X-Request-Id",
);
/// Headers that such a script may read.
const EXPOSED_HEADERS: HeaderValue = HeaderValue::from_static(
    "Age, ETag, Idempotent-Replayed, Location, Retry-After, Warning, WWW-Authenticate, X-Request-Id",
);
/// How long a browser may reuse the answer to a preflight request, in seconds.
const PREFLIGHT_MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

/// The metric that counts stored items that cannot be read.
pub const DAMAGED_ITEMS: &str = "DamagedItems";

/// What all routes of a function share.
#[derive(Clone)]
pub struct ApiLayer {
    /// The prefix of the function's metrics, for example `Jobs`.
    pub name: &'static str,
    /// The origins whose scripts may read the answers, exactly as browsers send them.
    pub allowed_origins: Arc<[HeaderValue]>,
    /// The clock.
    pub clock: Clock,
    /// Takes a line of JSON for each request.
    pub log: LogSink,
}

impl ApiLayer {
    /// Wraps a router in this layer.
    pub fn wrap(self, router: Router) -> Router {
        let inner = router
            .fallback(async |uri: Uri| Problem::nothing_at(&uri))
            .method_not_allowed_fallback(async |method: Method| {
                let detail = format!("{method} is not possible here; the Allow header lists the methods that are.");
                Problem::new(&METHOD_NOT_ALLOWED, detail)
            })
            .layer(from_fn(record_route));
        // Around the router and not around each route: the router adds the Allow header last.
        Router::new().fallback_service(inner).layer(from_fn_with_state(Arc::new(self), handle))
    }

    fn put_cors(&self, origin: Option<&HeaderValue>, is_preflight: bool, headers: &mut HeaderMap) {
        if self.allowed_origins.is_empty() {
            return;
        }
        // In one header: Lambda's interface sends only the first of several headers of the same name.
        let vary = match headers.get(VARY).and_then(|vary| vary.to_str().ok()) {
            Some(vary) => HeaderValue::try_from(format!("{vary}, Origin")),
            None => Ok(HeaderValue::from_static("Origin")),
        };
        if let Ok(vary) = vary {
            headers.insert(VARY, vary);
        }
        let Some(origin) = origin.filter(|origin| self.allowed_origins.contains(origin)) else { return };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED_HEADERS);
        if is_preflight && let Some(allowed) = headers.get(ALLOW).cloned() {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, allowed);
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED_HEADERS);
            headers.insert(ACCESS_CONTROL_MAX_AGE, PREFLIGHT_MAX_AGE);
        }
    }

    /// Writes the log line of a request, which contains its metrics.
    fn log(&self, line: &LogLine<'_>) {
        let (fields, read_units, is_stale) = line.request_log.close();
        let damaged = line.request_log.damaged();
        let mut json = json!({
            "level": if line.status.is_server_error() { "ERROR" } else { "INFO" },
            "request_id": line.request_id,
            "method": line.method.as_str(),
            "route": null,
            "status": line.status.as_u16(),
            "duration_ms": line.duration_ms,
            "bytes": line.bytes,
            "read_units": read_units,
        });
        let [errors, stale] = metric_names(self.name);
        let measured: [Metric<'_>; 3] = [
            (&errors, "Count", u8::from(line.status.is_server_error()).into()),
            (&stale, "Count", u8::from(is_stale).into()),
            (DAMAGED_ITEMS, "Count", damaged.into()),
        ];
        let incidents =
            Incident::that_occurred(&[(u32::from(is_stale), Incident::Stale), (damaged, Incident::DamagedItems)]);
        metrics::add_with_incidents(&mut json, (self.clock)(), &measured, &incidents);
        if let Some((code, cause)) = line.problem {
            json["code"] = code.into();
            if let Some(cause) = cause {
                json["error"] = cause.into();
            }
        }
        if let Value::Object(object) = &mut json {
            object.extend(fields);
        }
        (self.log)(&json.to_string());
    }
}

/// The metrics of requests to a function, whose `ApiLayer` has this name. If a request finds items that cannot be read,
/// `DAMAGED_ITEMS` is another.
pub fn metric_names(name: &str) -> [String; 2] {
    ["Errors", "Stale"].map(|metric| format!("{name}{metric}"))
}

impl std::fmt::Debug for ApiLayer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("ApiLayer").field("allowed_origins", &self.allowed_origins).finish_non_exhaustive()
    }
}

struct LogLine<'a> {
    request_id: &'a str,
    method: &'a Method,
    status: StatusCode,
    duration_ms: f64,
    bytes: Option<u64>,
    request_log: &'a RequestLog,
    problem: Option<(&'static str, Option<&'a str>)>,
}

/// Records the route in the log. Only the router knows it.
async fn record_route(request: Request, next: Next) -> Response {
    if let (Some(request_log), Some(route)) =
        (request.extensions().get::<RequestLog>(), request.extensions().get::<MatchedPath>())
    {
        request_log.record("route", route.as_str());
    }
    next.run(request).await
}

async fn handle(State(layer): State<Arc<ApiLayer>>, mut request: Request, next: Next) -> Response {
    let start = Instant::now();
    let request_log = RequestLog::default();
    request.extensions_mut().insert(request_log.clone());
    let method = request.method().clone();
    let request_id = request_id(&request);
    let origin = request.headers().get(ORIGIN).cloned();
    let is_preflight = method == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);

    let refused = request.extensions_mut().remove::<Problem>();
    let mut response = match refused.or_else(|| unreadable(request.uri())) {
        Some(problem) => problem.into_response(),
        None => AssertUnwindSafe(next.run(request)).catch_unwind().await.unwrap_or_else(|panic| {
            let said = panic.downcast_ref::<&str>().map(|said| (*said).to_owned());
            let said = said.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            let detail = "This service is at fault; its log has the details under the request id.";
            Problem::new(&INTERNAL, detail).because(format!("panic: {said}")).into_response()
        }),
    };
    let allowed = response.headers_mut().remove(ALLOW);
    let mut problem = response.extensions_mut().remove::<Problem>();
    if method == Method::OPTIONS && response.status() == StatusCode::METHOD_NOT_ALLOWED {
        problem = None;
        response = StatusCode::NO_CONTENT.into_response();
    } else if let Some(problem) = problem.clone() {
        response = problem.render(&request_id);
        if method == Method::HEAD {
            *response.body_mut() = axum::body::Body::empty();
        }
    }
    let status = response.status();
    let bytes = response.body().size_hint().exact();
    let headers = response.headers_mut();
    if let Some(allowed) = allowed.and_then(|allowed| with_options(&allowed)) {
        headers.insert(ALLOW, allowed);
    }
    layer.put_cors(origin.as_ref(), is_preflight, headers);
    put_security(headers);
    if let Ok(id) = HeaderValue::try_from(&request_id) {
        headers.insert(REQUEST_ID, id);
    }
    layer.log(&LogLine {
        request_id: &request_id,
        method: &method,
        status,
        duration_ms: (start.elapsed().as_secs_f64() * 1e6).round() / 1e3,
        bytes,
        request_log: &request_log,
        problem: problem.as_ref().map(Problem::log),
    });
    response
}

/// The client's request id, if it is safe to log; otherwise Lambda's, or a new one.
fn request_id(request: &Request) -> String {
    let is_plain = |id: &&str| {
        (1..=128).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:=/+".contains(&byte))
    };
    let given = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok()).filter(is_plain);
    given
        .map(ToOwned::to_owned)
        .or_else(|| lambda_request_id(request))
        .unwrap_or_else(|| uuid::Uuid::new_v4().to_string())
}

/// What keeps an address from being read. The parts of its path are read by `Path`.
fn unreadable(uri: &Uri) -> Option<Problem> {
    let of = |what, length: usize, limit| {
        (length > limit)
            .then(|| Problem::new(&URI_TOO_LONG, format!("The {what} has {length} bytes; at most {limit} are read.")))
    };
    let query = uri.query().unwrap_or_default();
    of("path", uri.path().len(), MAX_PATH).or_else(|| of("query", query.len(), MAX_QUERY)).or_else(|| {
        // Handlers would read a replacement character in its place, and find nothing.
        let decoded = percent_decode_str(query).decode_utf8();
        decoded.is_err().then(|| Problem::new(&BAD_REQUEST, "The query is not percent-encoded UTF-8."))
    })
}

/// The router's `Allow` header with `OPTIONS`, which the layer answers itself.
fn with_options(allowed: &HeaderValue) -> Option<HeaderValue> {
    let methods: Vec<&str> =
        allowed.to_str().ok()?.split(',').map(str::trim).filter(|method| !method.is_empty()).collect();
    HeaderValue::try_from(format!("{}, OPTIONS", methods.join(", "))).ok()
}

/// Adds headers that keep browsers from doing more with an answer than showing it. A page has its own policy.
fn put_security(headers: &mut HeaderMap) {
    let policy = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(policy);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
}

/// The parameters of a path. A path that cannot be read is answered with a `Problem`.
#[derive(Debug, Clone, Copy)]
pub struct Path<T>(pub T);

impl<T, S> FromRequestParts<S> for Path<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let read = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        read.map(|axum::extract::Path(value)| Self(value)).map_err(|error| match error {
            PathRejection::FailedToDeserializePathParams(error) => {
                Problem::new(&BAD_PATH, format!("The path cannot be read: {error}."))
            }
            other => Problem::new(&INTERNAL, "A route of this service is at fault.").because(other.to_string()),
        })
    }
}
