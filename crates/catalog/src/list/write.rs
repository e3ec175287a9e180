//! A project's list of runnable jobs: the body that HTTP serves, and how it is packed for the store.
//!
//! The body has the shape of Treeherder's own list of 2015-2019, so that its clients work unchanged.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};
use std::ops::Range;
use std::sync::LazyLock;

use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::builder_name::{Classification, UNKNOWN, classify};

/// The greatest part that a packed list is cut into, in bytes: a `DynamoDB` item holds 400 KB, keys included.
pub const MAX_PART_BYTES: usize = 380_000;

/// A fingerprint of the rules that make the lists: other rules may make other lists of the same dump.
pub const RULES: &str = env!("CATALOG_RULES");

/// A job that can be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CatalogJob<'d> {
    /// The builder name.
    pub name: &'d str,
    /// The builder name of the build that a test needs, where there is one.
    pub upstream: Option<&'d str>,
}

/// What a list holds, at a glance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// How many jobs.
    pub jobs: usize,
    /// How many of them each build system has.
    pub build_systems: BTreeMap<String, usize>,
    /// The platforms that they run on, as far as the grammar knows them: what it makes of other names is as manifold as
    /// those are, and an item of the store is not for that.
    pub platforms: BTreeSet<String>,
}

/// The jobs of each project: the projects by name, each with its jobs by name.
pub type Projects<'d> = BTreeMap<&'d str, Vec<CatalogJob<'d>>>;

/// The build system of all jobs that allthethings.json tells of.
const BUILDBOT: &str = "buildbot";

/// Where a job runs: the first fields of a job as Treeherder listed it. The order of the fields is that of the body.
#[derive(Serialize)]
struct PlatformFields<'j> {
    build_platform_id: u64,
    build_platform: &'j str,
    build_os: &'j str,
    build_architecture: &'j str,
    machine_platform_id: u64,
    platform: &'j str,
    machine_platform_os: &'j str,
    machine_platform_architecture: &'j str,
}

impl<'j> PlatformFields<'j> {
    fn new(says: &Classification<'j>) -> Self {
        let (platform, os, architecture) = (says.platform(), says.os(), says.architecture());
        let platform_id = stable_id(&[os, platform, architecture]);
        Self {
            build_platform_id: platform_id,
            build_platform: platform,
            build_os: os,
            build_architecture: architecture,
            machine_platform_id: platform_id,
            platform,
            machine_platform_os: os,
            machine_platform_architecture: architecture,
        }
    }
}

/// What a job is: the other fields.
#[derive(Serialize)]
struct JobTypeFields<'j> {
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

impl<'j> JobTypeFields<'j> {
    fn new(job: &CatalogJob<'j>, says: &Classification<'j>, symbol: &'j str) -> Self {
        Self {
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
            build_system_type: BUILDBOT,
            platform_option: says.option(),
            job_coalesced_to_guid: None,
            state: "runnable",
            result: "runnable",
            upstream: job.upstream,
        }
    }
}

/// A positive integer that stays the same for the same words, where Treeherder had a database key. It has at most 31
/// bits, as those had: longer ones would make the packed lists a fifth larger, and hold nothing more.
fn stable_id(words: &[&str]) -> u64 {
    let bytes = words.iter().flat_map(|word| word.bytes().chain([0]));
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    (hash >> 33).max(1)
}

/// Treeherder's hash of a collection of options: the SHA-1 of their sorted names, joined. Buildbot's jobs have one.
fn option_collection_hash(option: &str) -> &'static str {
    static HASHES: LazyLock<Vec<(&str, String)>> = LazyLock::new(|| {
        let hash = |option: &'static str| (option, hex(&sha1::Sha1::digest(option)));
        ["opt", "debug", "pgo", "asan", "tsan", "cc", "addon"].map(hash).into()
    });
    HASHES.iter().find(|(known, _)| *known == option).map_or("", |(_, hash)| hash)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |four: u8| char::from_digit(u32::from(four), 16).unwrap_or_default();
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

/// Writes the body of a project's list to `body`, and tells what is in it. Each name that the grammar does not know is
/// told to `unknown`.
///
/// `jobs` are in the order of their names.
///
/// # Panics
/// Never: writing to memory does not fail.
pub fn write_body(
    project: &str,
    jobs: &[CatalogJob<'_>],
    body: &mut Vec<u8>,
    mut unknown: impl FnMut(&str),
) -> Summary {
    let mut platforms = BTreeSet::new();
    body.extend_from_slice(b"{\"meta\":{\"repository\":");
    put(body, project);
    body.extend_from_slice(b",\"offset\":0,\"count\":");
    put(body, &jobs.len());
    body.extend_from_slice(b"},\"results\":[");
    // Neighbours by name mostly run in the same place: its text is then copied, not made again. That is half the body.
    let mut last_place: Option<(&str, Range<usize>)> = None;
    for (number, job) in jobs.iter().enumerate() {
        let says = classify(job.name);
        if !says.is_known() {
            unknown(job.name);
        }
        if number > 0 {
            body.push(b',');
        }
        let start = body.len();
        match &last_place {
            Some((platform, text)) if *platform == says.platform() => body.extend_from_within(text.clone()),
            _ => {
                if says.os() != UNKNOWN {
                    platforms.insert(says.platform());
                }
                put(body, &PlatformFields::new(&says));
                body.pop();
            }
        }
        last_place = Some((says.platform(), start..body.len()));
        // The second object goes on where the first, whose brace is left out, ended.
        let seam = body.len();
        put(body, &JobTypeFields::new(job, &says, &says.job_type_symbol()));
        body[seam] = b',';
    }
    body.extend_from_slice(b"]}");
    Summary {
        jobs: jobs.len(),
        build_systems: (!jobs.is_empty()).then(|| (BUILDBOT.to_owned(), jobs.len())).into_iter().collect(),
        platforms: platforms.into_iter().map(ToOwned::to_owned).collect(),
    }
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
    /// What it holds.
    pub summary: Summary,
    /// Bytes of the body.
    pub body_bytes: usize,
    /// The body, packed.
    pub gzip: Vec<u8>,
}

impl PackedList {
    /// Packs a body that holds this.
    pub fn new(body: &[u8], summary: Summary) -> Self {
        Self { etag: etag(body), summary, body_bytes: body.len(), gzip: pack(body) }
    }

    /// The packed list, cut into parts that fit an item each.
    pub fn parts(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.gzip.chunks(MAX_PART_BYTES)
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
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 16), Compression::new(5));
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

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::vocabulary::{JOB_TYPES, PLATFORMS};

    #[test]
    fn no_two_platforms_or_job_types_share_an_id() {
        let platforms =
            PLATFORMS.iter().map(|platform| stable_id(&[platform.os, platform.name, platform.architecture]));
        let chunks = || (1..=100).map(|chunk| chunk.to_string()).chain([String::new()]);
        let types = JOB_TYPES.iter().flat_map(|job_type| {
            chunks().map(|chunk| stable_id(&[job_type.name, &format!("{}{chunk}", job_type.symbol)]))
        });
        assert_eq!(platforms.collect::<HashSet<_>>().len(), PLATFORMS.len());
        assert_eq!(types.collect::<HashSet<_>>().len(), JOB_TYPES.len() * 101);
    }
}
