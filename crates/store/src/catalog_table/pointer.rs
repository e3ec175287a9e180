//! The pointer to a list, as an item.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use catalog::buildbot::BUILD_SYSTEM as BUILDBOT;
use catalog::list::{PackedList, Summary, index_format};
use chrono::{DateTime, SecondsFormat, Utc};

use super::owner::ListOwner;
use crate::StoreError;
use crate::items::{Item, count, key, key_of, number, text};

/// The start of the sort key of a list's parts.
pub(super) const LIST: &str = "list#";

pub(super) fn pointer_key<'o>(owner: impl Into<ListOwner<'o>>) -> Item {
    key(&owner.into().partition_key(), "current")
}

/// Part numbers have three digits, so that the order of the keys is the order of the parts.
pub(super) fn part_key(owner: ListOwner<'_>, etag: &str, part: usize) -> Item {
    key(&owner.partition_key(), &format!("{LIST}{etag}#{part:03}"))
}

/// The key of a part of a list's index. It starts like those of the list's parts, and expires with them.
pub(super) fn index_part_key(owner: ListOwner<'_>, etag: &str, part: usize) -> Item {
    key(&owner.partition_key(), &format!("{LIST}{etag}#index#{part:03}"))
}

/// The pointer to a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPointer {
    /// Counts up each time the pointer moves.
    pub generation: u64,
    /// The tag of the list's body.
    pub etag: String,
    /// What the list holds. A pointer of an earlier release has only the number of jobs.
    pub summary: Summary,
    /// Parts of the packed list. None of a list that is kept as its index alone, as those of pushes are.
    pub parts: usize,
    /// Parts of the index. A pointer of an earlier release has none.
    pub index_parts: usize,
    /// The format of the index (`index_format`). Empty in a pointer of an earlier release.
    pub index_format: String,
    /// The share of each build system. A pointer of an earlier release has none.
    pub shares: BTreeMap<String, Share>,
    /// Bytes of the body.
    pub body_bytes: usize,
    /// Bytes of the packed list.
    pub packed_bytes: usize,
    /// Where the list came from.
    pub provenance: Provenance,
}

/// Where and when a list came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provenance {
    /// The address of the source.
    pub source: String,
    /// The source's ETag, if it had one.
    pub source_etag: Option<String>,
    /// When the ingest that published it started.
    pub updated_at: DateTime<Utc>,
}

/// A build system's share of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Share {
    /// The tag of the body that its jobs alone would have.
    pub digest: String,
    /// When the ingest that changed it last started.
    pub updated_at: DateTime<Utc>,
}

/// The shares in a pointer.
fn shares(item: &Item) -> Result<BTreeMap<String, Share>, StoreError> {
    let Some(AttributeValue::M(shares)) = item.get("shares") else { return Ok(BTreeMap::new()) };
    let share = |(name, share): (&String, &AttributeValue)| {
        let wrong = || StoreError::damaged(key_of(item), format!("the share of {name} has no digest or no time"));
        let text = |attribute| share.as_m().ok()?.get(attribute)?.as_s().ok();
        let (digest, updated_at) = text("digest").zip(text("updated_at")).ok_or_else(wrong)?;
        let updated_at = updated_at.parse().map_err(|_| wrong())?;
        Ok((name.clone(), Share { digest: digest.clone(), updated_at }))
    };
    shares.iter().map(share).collect()
}

fn shown(time: DateTime<Utc>) -> AttributeValue {
    AttributeValue::S(time.to_rfc3339_opts(SecondsFormat::Secs, true))
}

/// The summary in a pointer. Pointers of earlier releases have no maps.
fn summary(item: &Item) -> Result<Summary, StoreError> {
    let build_systems = match item.get("build_systems") {
        Some(AttributeValue::M(systems)) => {
            let wrong = |name| StoreError::damaged(key_of(item), format!("build_systems has no number {name}"));
            let jobs = |name| count(systems, name).map_err(|_| wrong(name));
            systems.keys().map(|name| Ok((name.clone(), jobs(name)?))).collect::<Result<_, StoreError>>()?
        }
        _ => BTreeMap::new(),
    };
    let platforms = item.get("platforms").and_then(|platforms| platforms.as_ss().ok());
    Ok(Summary {
        jobs: count(item, "jobs")?,
        build_systems,
        platforms: platforms.into_iter().flatten().cloned().collect(),
    })
}

impl ListPointer {
    /// The pointer to a packed list, without shares.
    pub(super) fn new(list: &PackedList, generation: u64, provenance: &Provenance) -> Self {
        Self {
            generation,
            etag: list.etag.clone(),
            summary: list.summary.clone(),
            parts: list.parts().len(),
            index_parts: list.index_parts().len(),
            index_format: if list.index.is_empty() { String::new() } else { index_format() },
            shares: BTreeMap::new(),
            body_bytes: list.body_bytes,
            packed_bytes: list.gzip.len(),
            provenance: provenance.clone(),
        }
    }

    /// Whether another release wrote it, without a summary, without an index, or with an index of another format. An
    /// ingest then writes it anew.
    pub fn is_outdated(&self) -> bool {
        let has_index = self.index_parts > 0 && self.index_format == index_format();
        self.summary.jobs > 0 && (self.summary.build_systems.is_empty() || !has_index)
    }

    /// Number of jobs of a build system. All jobs are Buildbot's if an earlier release wrote the pointer.
    pub fn jobs_of(&self, build_system: &str) -> usize {
        let Summary { jobs, build_systems, .. } = &self.summary;
        let all = if build_systems.is_empty() && build_system == BUILDBOT { *jobs } else { 0 };
        build_systems.get(build_system).copied().unwrap_or(all)
    }

    /// The tag of the body that the jobs of a build system alone would have, if known. If the list has no other jobs, that
    /// is its own tag.
    pub fn digest_of(&self, build_system: &str) -> Option<&str> {
        let has_others = || self.summary.jobs != self.jobs_of(build_system);
        let share = self.shares.get(build_system).map(|share| share.digest.as_str());
        share.or_else(|| (self.summary.jobs > 0 && !has_others()).then_some(self.etag.as_str()))
    }

    /// When the jobs of a build system changed last.
    pub fn updated_at(&self, build_system: &str) -> DateTime<Utc> {
        self.shares.get(build_system).map_or(self.provenance.updated_at, |share| share.updated_at)
    }

    pub(super) fn to_item<'o>(&self, owner: impl Into<ListOwner<'o>>) -> Item {
        let mut item = pointer_key(owner);
        item.extend(
            [
                ("generation", number(self.generation)),
                ("etag", AttributeValue::S(self.etag.clone())),
                ("jobs", number(self.summary.jobs)),
                ("parts", number(self.parts)),
                ("index_parts", number(self.index_parts)),
                ("body_bytes", number(self.body_bytes)),
                ("packed_bytes", number(self.packed_bytes)),
                ("source", AttributeValue::S(self.provenance.source.clone())),
                ("updated_at", shown(self.provenance.updated_at)),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        let systems = self.summary.build_systems.iter().map(|(name, jobs)| (name.clone(), number(*jobs)));
        item.insert("build_systems".to_owned(), AttributeValue::M(systems.collect()));
        if !self.shares.is_empty() {
            let share = |(name, share): (&String, &Share)| {
                let attributes =
                    [("digest", AttributeValue::S(share.digest.clone())), ("updated_at", shown(share.updated_at))];
                let attributes = attributes.map(|(name, value)| (name.to_owned(), value));
                (name.clone(), AttributeValue::M(attributes.into()))
            };
            item.insert("shares".to_owned(), AttributeValue::M(self.shares.iter().map(share).collect()));
        }
        if self.index_parts > 0 {
            item.insert("index_format".to_owned(), AttributeValue::S(self.index_format.clone()));
        }
        if !self.summary.platforms.is_empty() {
            let platforms = self.summary.platforms.iter().cloned().collect();
            item.insert("platforms".to_owned(), AttributeValue::Ss(platforms));
        }
        let source_etag = self.provenance.source_etag.clone();
        item.extend(source_etag.map(|etag| ("source_etag".to_owned(), AttributeValue::S(etag))));
        item
    }

    pub(super) fn from_item(item: &Item) -> Result<Self, StoreError> {
        let updated_at = text(item, "updated_at")?.parse();
        let updated_at = updated_at.map_err(|_| StoreError::damaged(key_of(item), "updated_at is not a time"))?;
        Ok(Self {
            generation: count(item, "generation")?,
            etag: text(item, "etag")?.to_owned(),
            summary: summary(item)?,
            parts: count(item, "parts")?,
            index_parts: if item.contains_key("index_parts") { count(item, "index_parts")? } else { 0 },
            index_format: text(item, "index_format").unwrap_or_default().to_owned(),
            shares: shares(item)?,
            body_bytes: count(item, "body_bytes")?,
            packed_bytes: count(item, "packed_bytes")?,
            provenance: Provenance {
                source: text(item, "source")?.to_owned(),
                source_etag: text(item, "source_etag").ok().map(ToOwned::to_owned),
                updated_at,
            },
        })
    }
}
