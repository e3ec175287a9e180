//! The index of a list: the same jobs as columns, stored beside the packed body for those who search the list or look
//! names up. It has everything that the body has, in a quarter of the bytes, and is not JSON
//! ([ADR 0028](../../../../docs/adr/0028-an-index-beside-each-list.md)).
//!
//! | bytes | content |
//! | --- | --- |
//! | 4 | `RJI` and the version, 2 |
//! | 4 | the fingerprint of the fields (`fields_fingerprint`), little-endian |
//! | 32 | the ETag of the list's body |
//! | the rest | gzip: the project's name (its length, its bytes), and the columns |

use std::io;

use flate2::{Decompress, FlushDecompress, Status};

use crate::list::columns::{Columns, ColumnsBuilder};
use crate::list::job::{ListedJob, ListedPlatform};
use crate::list::pack::{etag, pack};
use crate::list::words::{Reader, put_number};
use crate::list::write::write_body;

/// What every index starts with.
const START: [u8; 3] = *b"RJI";
/// The version of the format: the byte that follows.
const VERSION: u8 = 2;
/// Bytes of an ETag; see `etag`.
const ETAG_BYTES: usize = 32;
/// Maximum size of an unpacked index. That of 30,000 jobs has 0.5 MB.
const MAX_UNPACKED: usize = 64 << 20;
/// What `pack` may refer back to, as zlib counts it.
const WINDOW_BITS: u8 = 15;
/// How many bytes a byte of gzip can unpack to, at most.
const MAX_RATIO: usize = 1032;

/// Why an index cannot be used. The list can, then.
#[derive(Debug, thiserror::Error)]
pub enum BadIndex {
    /// It has another version.
    #[error("the index has another version")]
    Version,
    /// It was written for a body with other fields.
    #[error("the index was written for other fields of a job")]
    OtherFields,
    /// It is the index of another list.
    #[error("the index is that of another list")]
    OtherList,
    /// It cannot be unpacked.
    #[error("the index cannot be unpacked: {0}")]
    Packed(#[from] io::Error),
    /// It breaks the format.
    #[error("the index is malformed: {0}")]
    Malformed(&'static str),
}

impl BadIndex {
    /// Whether another release wrote the index. It is not damaged, then.
    pub fn is_of_another_release(&self) -> bool {
        matches!(self, Self::Version | Self::OtherFields)
    }
}

/// Writes the index of a project's list, whose body has this ETag. The same jobs give the same bytes.
///
/// # Panics
/// The names have four billion bytes, or the ETag is not one that `etag` made.
pub fn write_index<'j>(project: &str, etag: &str, jobs: impl IntoIterator<Item = ListedJob<'j>>) -> Vec<u8> {
    write_columns(project, etag, &mut jobs.into_iter())
}

/// Not generic, so that it is compiled with this crate's optimisation and not with that of its callers.
fn write_columns(project: &str, etag: &str, jobs: &mut dyn Iterator<Item = ListedJob<'_>>) -> Vec<u8> {
    assert_eq!(etag.len(), ETAG_BYTES, "an ETag of a body");
    let mut columns = ColumnsBuilder::default();
    for job in jobs {
        columns.push(job.into());
    }
    let mut unpacked = Vec::new();
    put_number(&mut unpacked, project.len());
    unpacked.extend_from_slice(project.as_bytes());
    columns.finish().encode(&mut unpacked);
    let mut index = START.to_vec();
    index.push(VERSION);
    index.extend_from_slice(&fields_fingerprint().to_le_bytes());
    index.extend_from_slice(etag.as_bytes());
    index.extend_from_slice(&pack(&unpacked));
    index
}

/// Names the format that `write_index` writes: its version, and the fingerprint of the fields. An index of another
/// format is not read (`BadIndex::is_of_another_release`): what keeps this name beside an index can find that out
/// without reading the index.
pub fn index_format() -> String {
    format!("{VERSION}-{:08x}", fields_fingerprint())
}

/// Writes the body again that the index of the list with this ETag was written beside.
///
/// # Errors
/// The index is malformed, of another list, or of another version.
pub fn body_of_index(index: &[u8], tag: &str) -> Result<Vec<u8>, BadIndex> {
    let (project, columns) = read_index(index, tag)?;
    let mut body = Vec::new();
    write_body(&project, (0..columns.rows.len()).map(|at| columns.job(at)), &mut body);
    if etag(&body) == tag { Ok(body) } else { Err(BadIndex::Malformed("its jobs are not those of the list")) }
}

/// Reads the index of the list with this ETag: the project's name and the jobs.
pub(super) fn read_index(index: &[u8], etag: &str) -> Result<(String, Columns), BadIndex> {
    let mut reader = Reader(index.strip_prefix(&START).ok_or(BadIndex::Malformed("it starts with other bytes"))?);
    if reader.take(1)? != [VERSION] {
        return Err(BadIndex::Version);
    }
    if reader.take(size_of::<u32>())? != fields_fingerprint().to_le_bytes() {
        return Err(BadIndex::OtherFields);
    }
    if reader.take(ETAG_BYTES)? != etag.as_bytes() {
        return Err(BadIndex::OtherList);
    }
    let unpacked = unpack_at_once(reader.0)?;
    let mut reader = Reader(&unpacked);
    let length = reader.number()? as usize;
    let project = str::from_utf8(reader.take(length)?).map_err(|_| BadIndex::Malformed("a word is not UTF-8"))?;
    let columns = Columns::decode(&mut reader)?;
    if !reader.0.is_empty() {
        return Err(BadIndex::Malformed("bytes follow its end"));
    }
    Ok((project.to_owned(), columns))
}

/// Unpacks gzip in one step, which needs neither the window nor the buffers of a reader.
fn unpack_at_once(packed: &[u8]) -> io::Result<Vec<u8>> {
    // Its last four bytes are the number of bytes that it unpacks to. They are checked together with its checksum.
    let length = packed.last_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes) as usize);
    let mut unpacked = Vec::with_capacity(length.min(MAX_UNPACKED).min(MAX_RATIO * packed.len()));
    let mut decompress = Decompress::new_gzip(WINDOW_BITS);
    match decompress.decompress_vec(packed, &mut unpacked, FlushDecompress::Finish)? {
        Status::StreamEnd if decompress.total_in() == packed.len() as u64 => Ok(unpacked),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// A fingerprint of what a body has of a job besides the words of an index. Answers from an index are written by this
/// code, and have to be those that the body gives: code that writes other fields does not use the index.
fn fields_fingerprint() -> u32 {
    let full = ListedJob {
        name: "name",
        upstream: Some("upstream"),
        build_system: "build system",
        platform: ListedPlatform { name: "platform", os: "os", architecture: "architecture" },
        option: "option",
        job_type_name: "type",
        job_type_symbol: "t".into(),
        job_group_name: "group",
        job_group_symbol: "g",
        tier: None,
    };
    let platform = ListedPlatform { name: "platform", os: "", architecture: "" };
    let short = ListedJob { platform, tier: Some(1), ..full.clone() };
    let mut body = Vec::with_capacity(1024);
    write_body("project", [full, short].into_iter(), &mut body);
    body.iter().fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
