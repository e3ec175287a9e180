//! What a gateway hands to Lambda (payload format 2.0: HTTP APIs and function URLs), made readable for `lambda_http`.
//!
//! A client decides over most of an event, and `lambda_http` panics or fails over what is odd in it. So an event is read here
//! first: a field that is odd is mended where its meaning is plain, and else the edge refuses the request, as one that it
//! logs and counts. The address and the headers are set as they were sent: `lambda_http` would resolve `..` in a path and
//! refuse headers that are not ASCII.

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

/// An event that can be read.
#[derive(Debug, Default)]
struct Readable {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    /// As the event has it: text, or base64 that can be decoded.
    body: Option<String>,
    is_base64: bool,
    /// Why the request is refused, in a sentence for the client.
    refused: Option<&'static str>,
}

/// Answers a gateway's event, whatever it holds. The answer is what `lambda_http` writes for this payload format.
///
/// # Errors
/// The event cannot be handed to `lambda_http`, which the tests show of none: a request that is wrong has an answer.
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

/// Reads an event. What cannot be understood is left as it is by default, with the reason to refuse it.
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

/// The body as the event has it, and whether that is base64.
fn body(event: &Map<String, Value>) -> Result<(Option<String>, bool), &'static str> {
    let is_base64 = event.get("isBase64Encoded").and_then(Value::as_bool).unwrap_or_default();
    match event.get("body") {
        None | Some(Value::Null) => Ok((None, false)),
        Some(Value::String(text)) if is_base64 && STANDARD.decode(text).is_err() => {
            Err("The request cannot be read: its body is not as it claims.")
        }
        Some(Value::String(text)) => Ok((Some(text.clone()), is_base64)),
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
