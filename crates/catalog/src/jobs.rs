//! A project's list of runnable jobs: the body that HTTP serves, and how it is packed for the store.
//!
//! The body has the shape of Treeherder's own list of 2015-2019, so that its clients work unchanged.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::sync::LazyLock;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::builder_name::{Classification, classify};

/// The greatest part that a packed list is cut into, in bytes: a `DynamoDB` item holds 400 KB, keys included.
pub const MAX_PART: usize = 380_000;

/// A fingerprint of the rules that make the lists: other rules may make other lists of the same dump.
pub const RULES: &str = env!("CATALOG_RULES");

/// A job that can be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Job<'d> {
    /// The builder name.
    pub name: &'d str,
    /// The builder name of the build that a test needs, where there is one.
    pub upstream: Option<&'d str>,
}

/// The jobs of each project: the projects by name, each with its jobs by name.
pub type Projects<'d> = BTreeMap<&'d str, Vec<Job<'d>>>;

/// A job as Treeherder listed it. The order of the fields is the order of the body.
#[derive(Serialize)]
struct Listed<'j> {
    build_platform_id: u64,
    build_platform: &'j str,
    build_os: &'j str,
    build_architecture: &'j str,
    machine_platform_id: u64,
    platform: &'j str,
    machine_platform_os: &'j str,
    machine_platform_architecture: &'j str,
    job_group_id: u64,
    job_group_name: &'j str,
    job_group_symbol: &'j str,
    job_group_description: &'j str,
    job_type_id: u64,
    job_type_name: &'j str,
    job_type_symbol: &'j str,
    job_type_description: &'j str,
    option_collection_hash: &'j str,
    ref_data_name: &'j str,
    build_system_type: &'j str,
    platform_option: &'j str,
    job_coalesced_to_guid: Option<&'j str>,
    state: &'j str,
    result: &'j str,
    upstream: Option<&'j str>,
}

impl<'j> Listed<'j> {
    fn new(job: &Job<'j>, says: &'j Classification<'j>, symbol: &'j str) -> Self {
        let platform_id = stable_id(&[says.os(), says.platform(), says.architecture()]);
        Self {
            build_platform_id: platform_id,
            build_platform: says.platform(),
            build_os: says.os(),
            build_architecture: says.architecture(),
            machine_platform_id: platform_id,
            platform: says.platform(),
            machine_platform_os: says.os(),
            machine_platform_architecture: says.architecture(),
            job_group_id: stable_id(&[says.job_group_name(), says.job_group_symbol()]),
            job_group_name: says.job_group_name(),
            job_group_symbol: says.job_group_symbol(),
            job_group_description: "",
            job_type_id: stable_id(&[says.job_type_name(), symbol]),
            job_type_name: says.job_type_name(),
            job_type_symbol: symbol,
            job_type_description: "",
            option_collection_hash: option_collection_hash(says.option()),
            ref_data_name: job.name,
            build_system_type: "buildbot",
            platform_option: says.option(),
            job_coalesced_to_guid: None,
            state: "runnable",
            result: "runnable",
            upstream: job.upstream,
        }
    }
}

/// A positive integer that stays the same for the same words, where Treeherder had a database key. It has at most 53
/// bits, so that JavaScript holds it exactly.
fn stable_id(words: &[&str]) -> u64 {
    let bytes = words.iter().flat_map(|word| word.bytes().chain([0]));
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    (hash >> 11).max(1)
}

/// Treeherder's hash of a collection of options: the SHA-1 of their sorted names, joined. Buildbot's jobs have one.
fn option_collection_hash(option: &str) -> &'static str {
    static HASHES: LazyLock<Vec<(&str, String)>> = LazyLock::new(|| {
        let hash = |option: &'static str| (option, hex(&sha1::Sha1::digest(option)));
        ["opt", "debug", "pgo", "asan", "tsan", "cc", "addon"].map(hash).into()
    });
    HASHES.iter().find(|(known, _)| *known == option).map_or("", |(_, hash)| hash)
}

fn hex(bytes: &[u8]) -> String {
    let digit = |four: u8| char::from_digit(u32::from(four), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

/// Writes the body of a project's list to `body`. Each name that the grammar does not know is told to
/// `unknown`.
///
/// `jobs` are in the order of their names.
///
/// # Panics
/// Never: writing to memory does not fail.
pub fn write_body(project: &str, jobs: &[Job<'_>], body: &mut Vec<u8>, mut unknown: impl FnMut(&str)) {
    body.extend_from_slice(b"{\"meta\":{\"repository\":");
    put(body, project);
    body.extend_from_slice(b",\"offset\":0,\"count\":");
    put(body, &jobs.len());
    body.extend_from_slice(b"},\"results\":[");
    for (number, job) in jobs.iter().enumerate() {
        let says = classify(job.name);
        if !says.is_known() {
            unknown(job.name);
        }
        if number > 0 {
            body.push(b',');
        }
        put(body, &Listed::new(job, &says, &says.job_type_symbol()));
    }
    body.extend_from_slice(b"]}");
}

/// Appends a value as JSON.
fn put<T: Serialize + ?Sized>(body: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(body, value).expect("strings and numbers can be written to memory");
}

/// A project's list, ready to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedList {
    /// What names the body; see `etag`.
    pub etag: String,
    /// How many jobs it has.
    pub jobs: usize,
    /// Bytes of the body.
    pub body_bytes: usize,
    /// The body, packed.
    pub gzip: Vec<u8>,
}

impl PackedList {
    /// Packs a body of so many jobs.
    pub fn new(body: &[u8], jobs: usize) -> Self {
        Self { etag: etag(body), jobs, body_bytes: body.len(), gzip: pack(body) }
    }

    /// The packed list, cut into parts that fit an item each.
    pub fn parts(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.gzip.chunks(MAX_PART)
    }
}

/// What names a body: half of its SHA-256, in hexadecimal. The same jobs have the same tag, whatever packed them.
pub fn etag(body: &[u8]) -> String {
    hex(&Sha256::digest(body)[..16])
}

/// Packs a body with gzip. The result is the same wherever and whenever it is made.
///
/// # Panics
/// Never: writing to memory does not fail.
pub fn pack(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 16), Compression::new(6));
    encoder.write_all(body).expect("memory can be written");
    encoder.finish().expect("memory can be written")
}

/// Unpacks a list that was packed with `pack` and joined again.
///
/// # Errors
/// Bytes that are no gzip, or not all of it.
pub fn unpack(packed: &[u8]) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    GzDecoder::new(packed).read_to_end(&mut body)?;
    Ok(body)
}
