//! The OpenAPI document of the whole API.
//!
//! Each HTTP function describes its own operations and error codes. The document is the jobs function's part, which has
//! the title and the tags, with the trigger function's part merged into it. It is checked in as
//! `docs/reference/openapi.json`, and the jobs function serves that file.

use serde_json::Value;

use crate::failure::Failure;
use crate::output::print_text;

/// The extension with the error codes, from which the reference makes its table.
const ERROR_CODES: &str = "x-error-codes";

/// Prints the document.
pub(crate) fn print() -> Result<(), Failure> {
    print_text(&document().map_err(|error| Failure::Internal(format!("internal error: {error}")))?)
}

/// The document, with a newline at its end.
pub(crate) fn document() -> serde_json::Result<String> {
    let mut document: Value = serde_json::from_str(&jobs::openapi()?)?;
    let mut part: Value = serde_json::from_str(&trigger_api::openapi()?)?;
    // What both parts have, such as the schema of errors, is the same in both.
    for place in ["/paths", "/components/schemas"] {
        if let (Some(Value::Object(ours)), Some(Value::Object(theirs))) =
            (document.pointer_mut(place), part.pointer_mut(place))
        {
            ours.append(theirs);
        }
    }
    document["components"]["securitySchemes"] = part["components"]["securitySchemes"].take();
    if let (Value::Array(ours), Value::Array(theirs)) = (&mut document[ERROR_CODES], part[ERROR_CODES].take()) {
        for error_code in theirs {
            if ours.iter().all(|known| known["code"] != error_code["code"]) {
                ours.push(error_code);
            }
        }
    }
    serde_json::to_string_pretty(&document).map(|json| json + "\n")
}
