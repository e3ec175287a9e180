//! The fields of a list's jobs, as the body has them. This module writes them and reads them back; no other module of
//! the crate spells them out.

use std::borrow::Cow;
use std::sync::LazyLock;

use serde::Deserialize;
use serde_json::value::RawValue;
use sha1::{Digest, Sha1};

use crate::hex::hex;
use crate::list::job::{ListedJob, ListedPlatform};
use crate::list::write::put;

/// The fields of a job, in the order in which the body has them.
///
/// An entry of Buildbot's has all but `tier`. One of Taskcluster's has no numbers, descriptions, operating system,
/// architecture, option hash and `job_coalesced_to_guid`.
pub const FIELDS: [&str; 25] = [
    "build_platform_id",
    "build_platform",
    "build_os",
    "build_architecture",
    "machine_platform_id",
    "platform",
    "machine_platform_os",
    "machine_platform_architecture",
    "job_group_id",
    "job_group_name",
    "job_group_symbol",
    "job_group_description",
    "job_type_id",
    "job_type_name",
    "job_type_symbol",
    "job_type_description",
    "option_collection_hash",
    "ref_data_name",
    "build_system_type",
    "platform_option",
    "job_coalesced_to_guid",
    "state",
    "result",
    "tier",
    "upstream",
];

/// Which fields the entry of a job has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EntryForm {
    /// The fields of Treeherder's own list, with numbers in place of its database keys. The tier is only written if the
    /// job has one.
    Full,
    /// The fields that Treeherder's page made of a task graph, and what the build system knows besides.
    Short,
}

impl EntryForm {
    /// The form of a job that runs there: a build system that does not know operating systems and architectures gives
    /// short entries.
    pub(super) fn of(platform: ListedPlatform<'_>) -> Self {
        if platform.os.is_empty() && platform.architecture.is_empty() { Self::Short } else { Self::Full }
    }
}

/// Appends fields to an entry that has fields already. Their names are written as they are.
macro_rules! put_fields {
    ($entry:expr, $($name:literal: $value:expr),+ $(,)?) => {{
        $(
            $entry.extend_from_slice(concat!(",\"", $name, "\":").as_bytes());
            put($entry, $value);
        )+
    }};
}

/// Begins an entry, which stays open, with where the job runs: the first fields of a job as Treeherder listed it. The
/// order of the fields is that of the body.
pub(super) fn begin_entry(entry: &mut Vec<u8>, platform: ListedPlatform<'_>) {
    let start = entry.len();
    let ListedPlatform { name, os, architecture } = platform;
    match EntryForm::of(platform) {
        EntryForm::Full => {
            let id = stable_id(&[os, name, architecture]);
            put_fields!(
                entry,
                "build_platform_id": &id,
                "build_platform": name,
                "build_os": os,
                "build_architecture": architecture,
                "machine_platform_id": &id,
                "platform": name,
                "machine_platform_os": os,
                "machine_platform_architecture": architecture,
            );
        }
        EntryForm::Short => put_fields!(entry, "build_platform": name, "platform": name),
    }
    entry[start] = b'{';
}

/// Appends the next fields: the group and the type of a job.
pub(super) fn put_label(entry: &mut Vec<u8>, form: EntryForm, job: &ListedJob<'_>) {
    let ListedJob { job_group_name, job_group_symbol, job_type_name, job_type_symbol, .. } = job;
    match form {
        EntryForm::Full => put_fields!(
            entry,
            "job_group_id": &stable_id(&[job_group_name, job_group_symbol]),
            "job_group_name": job_group_name,
            "job_group_symbol": job_group_symbol,
            "job_group_description": "",
            "job_type_id": &stable_id(&[job_type_name, job_type_symbol]),
            "job_type_name": job_type_name,
            "job_type_symbol": job_type_symbol,
            "job_type_description": "",
        ),
        EntryForm::Short => put_fields!(
            entry,
            "job_group_name": job_group_name,
            "job_group_symbol": job_group_symbol,
            "job_type_name": job_type_name,
            "job_type_symbol": job_type_symbol,
        ),
    }
}

/// Appends the next field: the hash of a job's option. A short entry has none.
pub(super) fn put_option_hash(entry: &mut Vec<u8>, form: EntryForm, option: &str) {
    if form == EntryForm::Full {
        put_fields!(entry, "option_collection_hash": &option_collection_hash(option));
    }
}

/// Appends the next field: the name of a job.
pub(super) fn put_name(entry: &mut Vec<u8>, name: &str) {
    put_fields!(entry, "ref_data_name": name);
}

/// Appends the next fields: how a job is run.
pub(super) fn put_kind(entry: &mut Vec<u8>, form: EntryForm, job: &ListedJob<'_>) {
    put_fields!(entry, "build_system_type": job.build_system, "platform_option": job.option);
    if form == EntryForm::Full {
        put_fields!(entry, "job_coalesced_to_guid": &());
    }
    put_fields!(entry, "state": "runnable", "result": "runnable");
    if let Some(tier) = job.tier {
        put_fields!(entry, "tier": &tier);
    }
}

/// Ends an entry with its last field: the build that the job needs.
pub(super) fn end_entry(entry: &mut Vec<u8>, upstream: Option<&str>) {
    put_fields!(entry, "upstream": &upstream);
    entry.push(b'}');
}

/// A positive integer that stays the same for the same words, where Treeherder had a database key. It has at most 31
/// bits, as those had: longer ones would make the packed lists a fifth larger, and hold nothing more.
fn stable_id(words: &[&str]) -> u64 {
    let add = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = words.iter().fold(0xcbf2_9ce4_8422_2325, |hash, word| add(word.bytes().fold(hash, add), 0));
    (hash >> 33).max(1)
}

/// Treeherder's hash of a collection of options: the SHA-1 of their sorted names, joined. A job with a hash has one option.
fn option_collection_hash(option: &str) -> Cow<'static, str> {
    static HASHES: LazyLock<Vec<(&str, String)>> = LazyLock::new(|| {
        let hash = |option: &'static str| (option, hex(&Sha1::digest(option)));
        ["opt", "debug", "pgo", "asan", "tsan", "cc", "addon"].map(hash).into()
    });
    match HASHES.iter().find(|(known, _)| *known == option) {
        Some((_, hash)) => Cow::Borrowed(hash),
        None => Cow::Owned(hex(&Sha1::digest(option))),
    }
}

/// Why a body cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the body is not a list of jobs: {0}")]
pub struct BadBody(#[from] serde_json::Error);

/// A body whose jobs are of type `J`.
#[derive(Deserialize)]
#[serde(bound(deserialize = "J: Deserialize<'de>"))]
pub(super) struct Body<J> {
    pub(super) results: Vec<J>,
}

/// A body with the name of its project, as JSON.
#[derive(Deserialize)]
pub(super) struct BodyOfProject<'b> {
    #[serde(borrow)]
    pub(super) meta: BodyMeta<'b>,
    #[serde(borrow)]
    pub(super) results: Vec<&'b RawValue>,
}

/// The `meta` of a body.
#[derive(Deserialize)]
pub(super) struct BodyMeta<'b> {
    #[serde(borrow)]
    pub(super) repository: &'b RawValue,
}

/// The name of a job, its build system, and the build that it needs.
#[derive(Deserialize)]
pub(super) struct NameFields<'b> {
    #[serde(borrow, rename = "ref_data_name")]
    pub(super) name: Cow<'b, str>,
    #[serde(borrow, default, rename = "build_system_type")]
    pub(super) build_system: Cow<'b, str>,
    #[serde(borrow, default)]
    pub(super) upstream: Option<Cow<'b, str>>,
}

/// What an entry says of a job, without what follows from that.
#[derive(Debug, Deserialize)]
pub struct JobFields<'b> {
    /// The job's name.
    #[serde(borrow, rename = "ref_data_name")]
    pub name: Cow<'b, str>,
    /// The name of the build that it needs.
    #[serde(borrow, default)]
    pub upstream: Option<Cow<'b, str>>,
    /// The platform.
    #[serde(borrow, default)]
    pub platform: Option<Cow<'b, str>>,
    /// The operating system; empty if the entry has none.
    #[serde(borrow, default, rename = "build_os")]
    pub os: Cow<'b, str>,
    /// The architecture; empty if the entry has none.
    #[serde(borrow, default, rename = "build_architecture")]
    pub architecture: Cow<'b, str>,
    /// The option (build type); several are separated by blanks.
    #[serde(borrow, default, rename = "platform_option")]
    pub option: Cow<'b, str>,
    /// The group's name.
    #[serde(borrow, default)]
    pub job_group_name: Cow<'b, str>,
    /// The group's symbol.
    #[serde(borrow, default)]
    pub job_group_symbol: Cow<'b, str>,
    /// The job type's name.
    #[serde(borrow, default)]
    pub job_type_name: Cow<'b, str>,
    /// The job type's symbol.
    #[serde(borrow, default)]
    pub job_type_symbol: Cow<'b, str>,
    /// The build system.
    #[serde(borrow, default)]
    pub build_system_type: Cow<'b, str>,
    /// The tier, if the entry has one.
    #[serde(default)]
    pub tier: Option<u8>,
}

/// The jobs of a body, each with its JSON.
///
/// # Errors
/// The body is not a list of jobs.
pub fn jobs_of(body: &[u8]) -> Result<Vec<(&RawValue, JobFields<'_>)>, BadBody> {
    let Body { results } = serde_json::from_slice::<Body<&RawValue>>(body)?;
    results.into_iter().map(|job| Ok((job, serde_json::from_str(job.get())?))).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::buildbot::vocabulary::{JOB_TYPES, PLATFORMS};

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

    #[test]
    fn an_option_that_buildbot_does_not_have_is_hashed_too() {
        assert_eq!(option_collection_hash("ccov"), hex(&Sha1::digest("ccov")));
        assert!(matches!(option_collection_hash("opt"), Cow::Borrowed(_)));
    }
}
