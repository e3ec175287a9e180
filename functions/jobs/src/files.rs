//! Answers with files that are a part of the program.

use axum::response::Response;
use catalog::list::{etag, unpack};
use http::HeaderMap;
use http_api::{Caching, Problem, ResponseBody, Validators, accepts_gzip};

/// A file that the build compressed with gzip.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PackedFile {
    pub(crate) content_type: &'static str,
    pub(crate) gzip: &'static [u8],
}

impl PackedFile {
    /// The answer with the file. Clients that do not accept gzip get it unpacked.
    pub(crate) fn answer(&self, request: &HeaderMap, caching: Caching) -> Result<Response, Problem> {
        let body = if accepts_gzip(request) {
            ResponseBody::Gzip(self.gzip.into())
        } else {
            ResponseBody::Plain(unpack(self.gzip).expect("the build script compressed it").into())
        };
        answer(request, self.content_type, &etag(self.gzip), body, caching)
    }
}

/// The answer with a text.
pub(crate) fn text(
    request: &HeaderMap,
    content_type: &'static str,
    text: &str,
    caching: Caching,
) -> Result<Response, Problem> {
    let body = ResponseBody::packed_for(request, text.into());
    answer(request, content_type, &etag(text.as_bytes()), body, caching)
}

fn answer(
    request: &HeaderMap,
    content_type: &'static str,
    etag: &str,
    body: ResponseBody,
    caching: Caching,
) -> Result<Response, Problem> {
    Validators { etag, last_modified: None, caching }.answer(request, content_type, body)
}
