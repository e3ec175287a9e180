//! The pointer to a list, as an item.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use catalog::list::{PackedList, Summary};
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
    /// Parts of the packed list.
    pub parts: usize,
    /// Parts of the index. A pointer of an earlier release has none.
    pub index_parts: usize,
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
    /// The pointer to a packed list.
    pub(super) fn new(list: &PackedList, generation: u64, provenance: &Provenance) -> Self {
        Self {
            generation,
            etag: list.etag.clone(),
            summary: list.summary.clone(),
            parts: list.parts().len(),
            index_parts: list.index_parts().len(),
            body_bytes: list.body_bytes,
            packed_bytes: list.gzip.len(),
            provenance: provenance.clone(),
        }
    }

    /// Whether an earlier release wrote it, without a summary or an index. An ingest then writes it anew.
    pub fn is_outdated(&self) -> bool {
        self.summary.jobs > 0 && (self.summary.build_systems.is_empty() || self.index_parts == 0)
    }

    pub(super) fn to_item<'o>(&self, owner: impl Into<ListOwner<'o>>) -> Item {
        let mut item = pointer_key(owner);
        let updated_at = self.provenance.updated_at.to_rfc3339_opts(SecondsFormat::Secs, true);
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
                ("updated_at", AttributeValue::S(updated_at)),
            ]
            .map(|(name, value)| (name.to_owned(), value)),
        );
        let systems = self.summary.build_systems.iter().map(|(name, jobs)| (name.clone(), number(*jobs)));
        item.insert("build_systems".to_owned(), AttributeValue::M(systems.collect()));
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
