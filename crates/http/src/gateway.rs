//! What a gateway hands to Lambda (payload format 2.0: HTTP APIs and function URLs), read into a request, and the answer
//! to it.
//!
//! A client decides over most of an event, so whatever it holds becomes a request: a field that is odd is mended where
//! its meaning is plain, and else the edge refuses the request, as one that it logs and counts.

use axum::Router;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::CONTENT_ENCODING;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::BodyExt as _;
use lambda_runtime::{Context, LambdaEvent};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tower::ServiceExt as _;

use crate::problem::{BAD_REQUEST, Problem};

/// What a query cannot hold as it is (RFC 3986, 3.4). A percent sign stays: the query arrives as it was sent.
const IN_QUERY: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');
/// What a path cannot hold as it is (RFC 3986, 3.3), beside the percent sign.
const IN_PATH: &AsciiSet = &IN_QUERY.add(b'?').add(b'[').add(b']');
/// What Lambda puts behind the id of a function URL.
const FUNCTION_URL: &str = "lambda-url";

/// An answer as a gateway takes it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct GatewayAnswer {
    /// The HTTP status.
    pub status_code: u16,
    /// The headers, each name once.
    pub headers: Map<String, Value>,
    /// The body: text, or any bytes in base64.
    pub body: String,
    /// Whether the body is in base64.
    pub is_base64_encoded: bool,
}

/// Answers a gateway's event, whatever it holds.
pub async fn answer_event(app: Router, event: LambdaEvent<Box<RawValue>>) -> GatewayAnswer {
    let LambdaEvent { payload, context } = event;
    let mut request = request(payload.get());
    request.extensions_mut().insert(context);
    let Ok(response) = app.oneshot(request).await;
    let (parts, body) = response.into_parts();
    // The bodies of this service are in memory.
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let (body, is_base64_encoded) = written(body, &parts.headers);
    GatewayAnswer { status_code: parts.status.as_u16(), headers: joined(&parts.headers), body, is_base64_encoded }
}

fn written(body: Bytes, headers: &HeaderMap) -> (String, bool) {
    let text = if headers.contains_key(CONTENT_ENCODING) { Err(body) } else { as_text(body) };
    text.map_or_else(|bytes| (STANDARD.encode(bytes), true), |text| (text, false))
}

fn as_text(body: Bytes) -> Result<String, Bytes> {
    String::from_utf8(body.into()).map_err(|error| error.into_bytes().into())
}

/// A header that repeats is one with commas (RFC 9110, 5.3).
fn joined(headers: &HeaderMap) -> Map<String, Value> {
    let value = |name| {
        let values: Vec<_> =
            headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes())).collect();
        values.join(", ")
    };
    headers.keys().map(|name| (name.as_str().to_owned(), value(name).into())).collect()
}

/// The request that an event stands for. What cannot be understood has the answer with it, for the edge.
fn request(event: &str) -> Request<Body> {
    let read = serde_json::from_str(event).ok();
    let Some(Value::Object(mut event)) = read else {
        return refused(Request::default(), "The request cannot be read: its text is not Unicode.");
    };
    let mut request = Request::default();
    let headers = headers(event.get("headers"));
    let body = body(&mut event);
    let method = method(&event);
    let uri = uri(&event);
    let wrong = [headers.as_ref().err(), body.as_ref().err(), method.as_ref().err(), uri.as_ref().err()];
    let wrong = wrong.into_iter().flatten().next().copied();
    *request.headers_mut() = headers.unwrap_or_default();
    *request.body_mut() = body.unwrap_or_default();
    *request.method_mut() = method.unwrap_or_default();
    *request.uri_mut() = uri.unwrap_or_default();
    match wrong {
        Some(wrong) => refused(request, wrong),
        None => request,
    }
}

fn refused(mut request: Request<Body>, detail: &'static str) -> Request<Body> {
    request.extensions_mut().insert(Problem::new(&BAD_REQUEST, detail));
    request
}

fn method(event: &Map<String, Value>) -> Result<Method, &'static str> {
    let name = about(event, "http").and_then(|http| http.get("method")).and_then(Value::as_str).unwrap_or_default();
    Method::from_bytes(name.as_bytes()).map_err(|_| "The request cannot be read: its method is none.")
}

/// The headers. One whose name is none can be none that is read, and is left out; one whose value is none is refused, as
/// it may be one on which much depends, such as `Idempotency-Key`.
fn headers(given: Option<&Value>) -> Result<HeaderMap, &'static str> {
    let mut headers = HeaderMap::new();
    for (name, value) in given.and_then(Value::as_object).into_iter().flatten() {
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else { continue };
        let value = value.as_str().and_then(|value| HeaderValue::from_bytes(value.as_bytes()).ok());
        let value =
            value.ok_or("The request cannot be read: the value of a header has characters that none can have.")?;
        headers.try_append(name, value).map_err(|_| "The request cannot be read: it has too many headers.")?;
    }
    Ok(headers)
}

fn body(event: &mut Map<String, Value>) -> Result<Body, &'static str> {
    let is_encoded = event.get("isBase64Encoded").and_then(Value::as_bool).unwrap_or_default();
    match event.remove("body") {
        None | Some(Value::Null) => Ok(Body::empty()),
        Some(Value::String(text)) if is_encoded => {
            let bytes =
                STANDARD.decode(text).map_err(|_| "The request cannot be read: its body is not as it claims.")?;
            Ok(bytes.into())
        }
        Some(Value::String(text)) => Ok(text.into()),
        Some(_) => Err("The request cannot be read: its body is no text."),
    }
}

/// The path and the query as they were sent.
fn uri(event: &Map<String, Value>) -> Result<Uri, &'static str> {
    let text = |name| event.get(name).and_then(Value::as_str);
    let path = text("rawPath").ok_or("The request cannot be read: it has no path.")?;
    let slash = if path.starts_with('/') { "" } else { "/" };
    let mut sent = format!("{slash}{}", path_as_sent(path, comes_decoded(event)));
    if let Some(query) = text("rawQueryString").filter(|query| !query.is_empty()) {
        sent.push('?');
        sent.extend(utf8_percent_encode(query, IN_QUERY));
    }
    PathAndQuery::try_from(sent).map(Uri::from).map_err(|_| "The request cannot be read: its address is none.")
}

/// Whether the path comes without its percent-encoding: from an HTTP API, but not from a function URL.
fn comes_decoded(event: &Map<String, Value>) -> bool {
    let domain = about(event, "domainName").and_then(Value::as_str).unwrap_or_default();
    domain.split('.').nth(1) != Some(FUNCTION_URL)
}

/// A path with its percent-encoding.
///
/// An HTTP API decodes a path once, but leaves the encoded percent sign (`%25`) as it is; so another one stands for
/// itself. From a function URL a path comes as it was sent, and a percent sign stands for itself only where two digits do
/// not follow it.
fn path_as_sent(path: &str, comes_decoded: bool) -> String {
    let mut sent = String::with_capacity(path.len() + path.len() / 4);
    let mut parts = path.split('%');
    sent.extend(parts.next().map(|first| utf8_percent_encode(first, IN_PATH)).into_iter().flatten());
    for part in parts {
        let is_escape = if comes_decoded {
            part.starts_with("25")
        } else {
            part.as_bytes().get(..2).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
        };
        sent.push_str(if is_escape { "%" } else { "%25" });
        sent.extend(utf8_percent_encode(part, IN_PATH));
    }
    sent
}

/// What the event says of the request itself.
fn about<'e>(event: &'e Map<String, Value>, name: &str) -> Option<&'e Value> {
    event.get("requestContext")?.get(name)
}

/// The id that Lambda gave an event, if it was one.
pub(crate) fn lambda_request_id<B>(request: &Request<B>) -> Option<String> {
    request.extensions().get::<Context>().map(|context| context.request_id.clone())
}
