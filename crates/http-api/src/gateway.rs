//! Events of gateways (payload format 2.0: HTTP APIs and function URLs), prepared for `lambda_http`.
//!
//! Clients control most of an event, and `lambda_http` panics or fails on unusual values. This module reads the event
//! first: it repairs a field whose meaning is clear, and otherwise marks the request, so that `ApiLayer` refuses, logs
//! and counts it. The address and the headers are set as the client sent them: `lambda_http` would resolve `..` in a
//! path and refuse headers that are not ASCII.

use axum::Router;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use lambda_http::request::LambdaRequest;
use lambda_http::{Adapter, Service as _};
use lambda_runtime::{Context, LambdaEvent};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tower::ServiceExt as _;

use crate::problem::{BAD_REQUEST, Problem};

/// Characters that a query must encode (RFC 3986, 3.4). A percent sign stays: the query arrives as the client sent it.
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
/// Characters that a path must encode (RFC 3986, 3.3), besides the percent sign.
const IN_PATH: &AsciiSet = &IN_QUERY.add(b'?').add(b'[').add(b']');
/// The second label in the host name of a function URL.
const FUNCTION_URL: &str = "lambda-url";

/// A request as it is read from an event.
#[derive(Debug, Default)]
struct Readable {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    /// The body in the event: text, or valid base64.
    body: Option<String>,
    is_base64: bool,
    /// Why the request is refused, as a sentence for the client.
    refused: Option<&'static str>,
}

/// Answers any event of a gateway, in the format that `lambda_http` writes.
///
/// # Errors
/// `lambda_http` does not accept the prepared event. The tests show no such event: invalid requests have an answer too.
pub async fn answer_event(
    app: Router,
    event: LambdaEvent<Box<RawValue>>,
) -> Result<impl Serialize + Send, lambda_http::Error> {
    let LambdaEvent { payload, context } = event;
    let Readable { method, uri, headers, body, is_base64, refused } = readable(payload.get());
    let plain = json!({
        "version": "2.0",
        "requestContext": {"http": {"method": method.as_str()}},
        "body": body,
        "isBase64Encoded": is_base64,
    });
    let as_sent = move |mut request: lambda_http::Request| {
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = headers.clone();
        if let Some(detail) = refused {
            request.extensions_mut().insert(Problem::new(&BAD_REQUEST, detail));
        }
        request
    };
    let event: LambdaRequest = serde_json::from_value(plain)?;
    Ok(Adapter::from(app.map_request(as_sent)).call(LambdaEvent::new(event, context)).await?)
}

/// Reads an event. A field that cannot be read has its default, and `refused` has the reason.
fn readable(event: &str) -> Readable {
    let read = serde_json::from_str(event).ok();
    let Some(Value::Object(event)) = read else {
        return Readable {
            refused: Some("The request cannot be read: its text is not Unicode."),
            ..Readable::default()
        };
    };
    let (headers, body, method, uri) = (headers(event.get("headers")), body(&event), method(&event), uri(&event));
    let wrong = [headers.as_ref().err(), body.as_ref().err(), method.as_ref().err(), uri.as_ref().err()];
    let refused = wrong.into_iter().flatten().next().copied();
    let (body, is_base64) = body.unwrap_or_default();
    Readable {
        method: method.unwrap_or_default(),
        uri: uri.unwrap_or_default(),
        headers: headers.unwrap_or_default(),
        body,
        is_base64,
        refused,
    }
}

fn method(event: &Map<String, Value>) -> Result<Method, &'static str> {
    let name = about(event, "http").and_then(|http| http.get("method")).and_then(Value::as_str).unwrap_or_default();
    Method::from_bytes(name.as_bytes()).map_err(|_| "The request cannot be read: its method is not valid.")
}

/// The headers. A header with an invalid name is skipped, because no code reads it. A header with an invalid value is
/// refused, because it may be an important one, such as `Idempotency-Key`.
fn headers(given: Option<&Value>) -> Result<HeaderMap, &'static str> {
    let mut headers = HeaderMap::new();
    for (name, value) in given.and_then(Value::as_object).into_iter().flatten() {
        let Ok(name) = HeaderName::from_bytes(name.as_bytes()) else { continue };
        let value = value.as_str().and_then(|value| HeaderValue::from_bytes(value.as_bytes()).ok());
        let value =
            value.ok_or("The request cannot be read: the value of a header has characters that are not allowed.")?;
        headers.try_append(name, value).map_err(|_| "The request cannot be read: it has too many headers.")?;
    }
    Ok(headers)
}

/// The body in the event, and whether it is base64.
fn body(event: &Map<String, Value>) -> Result<(Option<String>, bool), &'static str> {
    let is_base64 = event.get("isBase64Encoded").and_then(Value::as_bool).unwrap_or_default();
    match event.get("body") {
        None | Some(Value::Null) => Ok((None, false)),
        Some(Value::String(text)) if is_base64 && STANDARD.decode(text).is_err() => {
            Err("The request cannot be read: its body is not valid base64.")
        }
        Some(Value::String(text)) => Ok((Some(text.clone()), is_base64)),
        Some(_) => Err("The request cannot be read: its body is not text."),
    }
}

/// The path and the query as the client sent them.
fn uri(event: &Map<String, Value>) -> Result<Uri, &'static str> {
    let text = |name| event.get(name).and_then(Value::as_str);
    let path = text("rawPath").ok_or("The request cannot be read: it has no path.")?;
    let slash = if path.starts_with('/') { "" } else { "/" };
    let mut sent = format!("{slash}{}", path_as_sent(path, comes_decoded(event)));
    if let Some(query) = text("rawQueryString").filter(|query| !query.is_empty()) {
        sent.push('?');
        sent.extend(utf8_percent_encode(query, IN_QUERY));
    }
    PathAndQuery::try_from(sent).map(Uri::from).map_err(|_| "The request cannot be read: its address is not valid.")
}

/// Whether the gateway decoded the path: an HTTP API does, a function URL does not.
fn comes_decoded(event: &Map<String, Value>) -> bool {
    let domain = about(event, "domainName").and_then(Value::as_str).unwrap_or_default();
    domain.split('.').nth(1) != Some(FUNCTION_URL)
}

/// Restores the percent-encoding of a path.
///
/// An HTTP API decodes a path once, except the encoded percent sign (`%25`), so every other percent sign stands for
/// itself. A function URL passes the path as the client sent it, and a percent sign stands for itself only if two
/// hexadecimal digits do not follow it.
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

/// A member of the event's request context.
fn about<'e>(event: &'e Map<String, Value>, name: &str) -> Option<&'e Value> {
    event.get("requestContext")?.get(name)
}

/// The id that Lambda gave the event, if the request came from Lambda.
pub(crate) fn lambda_request_id<B>(request: &Request<B>) -> Option<String> {
    request.extensions().get::<Context>().map(|context| context.request_id.clone())
}
