//! How a list is packed for the store, and what names it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

use crate::hex::hex;

/// Maximum size of a part of a packed list, in bytes: a `DynamoDB` item holds 400 KB, keys included.
pub const MAX_PART_BYTES: usize = 380_000;

/// Maximum number of platforms in a summary, which has to fit into an item of the store.
pub(super) const MAX_PLATFORMS: usize = 1000;

/// What a list holds, in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Number of jobs.
    pub jobs: usize,
    /// Number of jobs of each build system.
    pub build_systems: BTreeMap<String, usize>,
    /// The known platforms that they run on, at most 1,000. An unknown platform of Buildbot's is the start of a job's
    /// name; there may be as many as jobs, too many for an item of the store.
    pub platforms: BTreeSet<String>,
}

/// A project's list, ready to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedList {
    /// The tag of the body; see `etag`.
    pub etag: String,
    /// What the body holds.
    pub summary: Summary,
    /// Bytes of the body.
    pub body_bytes: usize,
    /// The body, packed; empty for a list that is kept as its index alone.
    pub gzip: Vec<u8>,
    /// The index, as `write_index` made it; empty for a list without one.
    pub index: Vec<u8>,
    /// For each build system, the tag of the body that its jobs alone would have. Empty if unknown.
    pub digests: BTreeMap<String, String>,
}

impl PackedList {
    /// Packs a body with this summary.
    pub fn new(body: &[u8], summary: Summary) -> Self {
        let (etag, body_bytes, gzip) = (etag(body), body.len(), pack(body));
        Self { etag, summary, body_bytes, gzip, index: Vec::new(), digests: BTreeMap::new() }
    }

    /// A body with this summary that is kept as its index alone: `body_of_index` writes the body again.
    pub fn as_index(body: &[u8], summary: Summary, index: Vec<u8>) -> Self {
        let (etag, body_bytes) = (etag(body), body.len());
        Self { etag, summary, body_bytes, gzip: Vec::new(), index, digests: BTreeMap::new() }
    }

    /// The same list with this index.
    #[must_use]
    pub fn with_index(self, index: Vec<u8>) -> Self {
        Self { index, ..self }
    }

    /// The same list with these digests of each build system's jobs.
    #[must_use]
    pub fn with_digests(self, digests: BTreeMap<String, String>) -> Self {
        Self { digests, ..self }
    }

    /// The packed list, cut into parts that fit an item each.
    pub fn parts(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.gzip.chunks(MAX_PART_BYTES)
    }

    /// The index, cut alike.
    pub fn index_parts(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.index.chunks(MAX_PART_BYTES)
    }
}

/// The tag of a body: half of its SHA-256, in hexadecimal. It does not depend on how the body is packed.
pub fn etag(body: &[u8]) -> String {
    hex(&Sha256::digest(body)[..16])
}

/// Packs a body with gzip. The same body gives the same bytes, on any machine and at any time.
///
/// # Panics
/// Never: writing to memory does not fail.
pub fn pack(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 16), Compression::new(5));
    encoder.write_all(body).expect("memory can be written");
    encoder.finish().expect("memory can be written")
}

/// Unpacks a list that was packed with `pack` and joined again.
///
/// # Errors
/// The bytes are not gzip, or not all of it.
pub fn unpack(packed: &[u8]) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    GzDecoder::new(packed).read_to_end(&mut body)?;
    Ok(body)
}
