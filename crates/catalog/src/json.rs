//! A pull reader of JSON text from a stream: constant memory, every error with its byte offset, strings as raw bytes.
//!
//! Three needs rule out `serde_json`: a name that is not UTF-8 must cost one builder and not the document, a string or
//! a nesting without end must not cost memory, and skipping has to run at the speed of memory.
//! `docs/adr/0002-own-json-reader.md` has the measurements. The reader accepts and refuses the same documents as
//! `serde_json` (a property test checks this), except for the bounds in `reader` and for text in strings, which only the
//! caller checks for UTF-8.

mod reader;
mod text;

pub(crate) use reader::{JsonError, JsonReader, ValueKind};
pub(crate) use text::{BadText, Text};

#[cfg(test)]
mod tests;
