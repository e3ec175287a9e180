//! The catalog table: a pointer and the parts of packed lists for each project, and a report for each ingest.
//!
//! | pk | sk | what |
//! | --- | --- | --- |
//! | `project#NAME` | `current` | the pointer: generation, ETag, summary, source |
//! | `project#NAME` | `list#ETAG#N` | part N of a packed list; immutable but for `expires_at` |
//! | `project#NAME` | `list#ETAG#index#N` | part N of its index; the same |
//! | `graph#TASK` | `current` | the pointer to the list of a push, by its decision task; with its project |
//! | `graph#TASK` | `list#ETAG#...` | its parts, as those of a project |
//! | `projects` | `current` | the names of all projects, in a set |
//! | `ingest`, `ingest#BUILD_SYSTEM` | time | the report of an ingest; `ingest` alone has those of Buildbot |
//!
//! A list is published in this order, so that a crash anywhere leaves the old list served: its project's name in the
//! set, its parts, its pointer (on condition that it did not move since it was read), and then the expiry of the parts
//! that no pointer names any more. A project is removed in the opposite order. So everything that a crash leaves is
//! under a name that is in the set, where the next ingest finds it.
//!
//! A push's list never changes: its parts are written, and then its pointer, which all expire together.

mod owner;
mod pointer;
mod push_lists;
mod reports;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::get_item::GetItemOutput;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConsumedCapacity, PutRequest, ReturnConsumedCapacity, Select, WriteRequest,
};
use catalog::list::PackedList;
use chrono::{DateTime, TimeDelta, Utc};

use crate::StoreError;
use crate::items::{self, Item, UnprocessedRetry, is_condition, key, number, table_error, text};
pub use owner::ListOwner;
use owner::PROJECT;
use pointer::{LIST, index_part_key, part_key, pointer_key};
pub use pointer::{ListPointer, Provenance, Share};
pub use push_lists::PushPointer;

/// Condition: the pointer is the one that was read. Generations start anew for a project that was removed and came back.
const IS_SAME: &str = "generation = :seen AND etag = :etag";

/// How long a replaced list can still be read, for readers that hold its pointer.
const REPLACED_LIST_RETENTION: TimeDelta = TimeDelta::days(1);
/// Parts younger than this may belong to an ingest that is about to move the pointer to them.
const MIN_AGE: TimeDelta = TimeDelta::hours(1);
/// When the store may delete an item, in seconds since 1970.
const EXPIRES_AT: &str = "expires_at";

/// The catalog table.
#[derive(Debug)]
pub struct CatalogTable {
    client: Client,
    table: String,
    usage: Mutex<Usage>,
}

/// The consistency of reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consistency {
    /// Sees all earlier writes.
    Consistent,
    /// May miss the writes of the last second or so; costs half.
    Eventual,
}

/// The use of the table so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Usage {
    /// Items written, changed or deleted, without reports.
    pub items_written: u64,
    /// Bytes of the parts among them.
    pub bytes_written: u64,
    /// Read units charged.
    pub read_units: f64,
    /// Write units charged.
    pub write_units: f64,
}

impl CatalogTable {
    /// The catalog in `table`.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into(), usage: Mutex::default() }
    }

    /// The same table with a usage of its own, to measure one request.
    #[must_use]
    pub fn metered(&self) -> Self {
        Self::new(self.client.clone(), &self.table)
    }

    /// The use of the table so far.
    pub fn usage(&self) -> Usage {
        *self.usage.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn count(&self, add: impl FnOnce(&mut Usage)) {
        add(&mut self.usage.lock().unwrap_or_else(std::sync::PoisonError::into_inner));
    }

    fn count_read<'c>(&self, consumed: impl IntoIterator<Item = &'c ConsumedCapacity>) {
        let units: f64 = consumed.into_iter().filter_map(ConsumedCapacity::capacity_units).sum();
        self.count(|usage| usage.read_units += units);
    }

    fn count_written<'c>(&self, items: u64, consumed: impl IntoIterator<Item = &'c ConsumedCapacity>) {
        let units: f64 = consumed.into_iter().filter_map(ConsumedCapacity::capacity_units).sum();
        self.count(|usage| {
            usage.items_written += items;
            usage.write_units += units;
        });
    }

    /// A project's pointer, read with eventual consistency.
    ///
    /// # Errors
    /// The table cannot be read, or the pointer is damaged.
    pub async fn pointer(&self, project: &str) -> Result<Option<ListPointer>, StoreError> {
        let item = self.pointer_item(project.into(), Consistency::Eventual).await?;
        item.map(|item| ListPointer::from_item(&item)).transpose()
    }

    async fn pointer_item(&self, owner: ListOwner<'_>, consistency: Consistency) -> Result<Option<Item>, StoreError> {
        let action = || format!("reading the pointer of {owner}");
        let request = self.client.get_item().table_name(&self.table).set_key(Some(pointer_key(owner)));
        let request = request.consistent_read(consistency == Consistency::Consistent);
        let request = request.return_consumed_capacity(ReturnConsumedCapacity::Total);
        let GetItemOutput { item, consumed_capacity, .. } =
            request.send().await.map_err(|error| table_error(&self.table, action(), &error))?;
        self.count_read(&consumed_capacity);
        Ok(item)
    }

    /// The names of all projects that have a list or are about to.
    ///
    /// # Errors
    /// The table cannot be read.
    pub async fn projects(&self, consistency: Consistency) -> Result<BTreeSet<String>, StoreError> {
        let action = "reading the names of the projects";
        let request = self.client.get_item().table_name(&self.table).set_key(Some(key("projects", "current")));
        let request = request.consistent_read(consistency == Consistency::Consistent);
        let request = request.return_consumed_capacity(ReturnConsumedCapacity::Total);
        let output = request.send().await.map_err(|error| table_error(&self.table, action, &error))?;
        self.count_read(&output.consumed_capacity);
        let names = output.item.and_then(|mut item| item.remove("project_names"));
        Ok(names.and_then(|names| names.as_ss().ok().cloned()).unwrap_or_default().into_iter().collect())
    }

    /// The existing pointers of these projects; in place of a damaged one, its error.
    ///
    /// # Errors
    /// The table cannot be read.
    pub async fn pointers(
        &self,
        projects: impl IntoIterator<Item = &str>,
        consistency: Consistency,
    ) -> Result<BTreeMap<String, Result<ListPointer, StoreError>>, StoreError> {
        let keys: Vec<Item> = projects.into_iter().map(pointer_key).collect();
        let mut pointers = BTreeMap::new();
        for item in self.get_all("reading the pointers of the projects", keys, consistency).await? {
            let name = text(&item, "pk")?.trim_start_matches(PROJECT).to_owned();
            pointers.insert(name, ListPointer::from_item(&item));
        }
        Ok(pointers)
    }

    /// A packed list, joined from its parts. Reads with eventual consistency first, and then reads missing
    /// parts, which may be very new, consistently.
    ///
    /// # Errors
    /// The table cannot be read, or a part is missing.
    pub async fn list<'o>(
        &self,
        owner: impl Into<ListOwner<'o>>,
        pointer: &ListPointer,
    ) -> Result<Vec<u8>, StoreError> {
        let owner = owner.into();
        let keys = (0..pointer.parts).map(|part| part_key(owner, &pointer.etag, part)).collect();
        let what = format!("{} list#{}", owner.partition_key(), pointer.etag);
        self.joined(owner, keys, what, &format!("reading the list of {owner}")).await
    }

    /// The index of a list, joined from its parts, which are read like those of the list.
    ///
    /// # Errors
    /// The table cannot be read, or a part is missing.
    pub async fn index<'o>(
        &self,
        owner: impl Into<ListOwner<'o>>,
        pointer: &ListPointer,
    ) -> Result<Vec<u8>, StoreError> {
        let owner = owner.into();
        let keys = (0..pointer.index_parts).map(|part| index_part_key(owner, &pointer.etag, part)).collect();
        let what = format!("{} list#{}#index", owner.partition_key(), pointer.etag);
        self.joined(owner, keys, what, &format!("reading the index of {owner}")).await
    }

    /// The parts with these keys, joined.
    async fn joined(
        &self,
        owner: ListOwner<'_>,
        keys: Vec<Item>,
        what: String,
        action: &str,
    ) -> Result<Vec<u8>, StoreError> {
        let mut parts = BTreeMap::new();
        for consistency in [Consistency::Eventual, Consistency::Consistent] {
            let is_missing = |key: &&Item| text(key, "sk").is_ok_and(|place| !parts.contains_key(place));
            let missing: Vec<Item> = keys.iter().filter(is_missing).cloned().collect();
            for mut item in self.get_all(action, missing, consistency).await? {
                let place = text(&item, "sk")?.to_owned();
                match item.remove("data") {
                    Some(AttributeValue::B(data)) => parts.insert(place, data.into_inner()),
                    _ => {
                        return Err(StoreError::damaged(
                            format!("{} {place}", owner.partition_key()),
                            "it has no data",
                        ));
                    }
                };
            }
        }
        if parts.len() != keys.len() {
            let missing = format!("{} of its {} parts are there", parts.len(), keys.len());
            return Err(StoreError::damaged(what, missing));
        }
        Ok(parts.into_values().flatten().collect())
    }

    async fn get_all(&self, action: &str, keys: Vec<Item>, consistency: Consistency) -> Result<Vec<Item>, StoreError> {
        let count = |consumed: &[ConsumedCapacity]| self.count_read(consumed);
        items::get_all(&self.client, &self.table, action, keys, consistency == Consistency::Consistent, count).await
    }

    /// Publishes a project's list in place of `previous`.
    ///
    /// # Errors
    /// `Superseded` if the pointer is not `previous` any more: the list of another ingest is served.
    pub async fn publish(
        &self,
        project: &str,
        list: &PackedList,
        previous: Option<&ListPointer>,
        provenance: &Provenance,
    ) -> Result<ListPointer, StoreError> {
        let share = |(build_system, digest): (&String, &String)| {
            let same = previous.filter(|previous| previous.digest_of(build_system) == Some(digest));
            let updated_at = same.map_or(provenance.updated_at, |same| same.updated_at(build_system));
            (build_system.clone(), Share { digest: digest.clone(), updated_at })
        };
        let generation = previous.map_or(1, |previous| previous.generation + 1);
        let shares = list.digests.iter().map(share).collect();
        let pointer = ListPointer { shares, ..ListPointer::new(list, generation, provenance) };
        if previous.is_none() {
            self.add_name(project).await?;
        }
        self.write_parts(project.into(), list, provenance.updated_at, None).await?;
        self.move_pointer(project, &pointer, previous).await?;
        self.expire_parts(project, Some(&pointer.etag), provenance.updated_at).await?;
        Ok(pointer)
    }

    /// Takes a project out of the catalog.
    ///
    /// # Errors
    /// `Superseded` if the pointer is not `previous` any more.
    pub async fn remove(&self, project: &str, previous: &ListPointer, now: DateTime<Utc>) -> Result<(), StoreError> {
        let action = || format!("removing the pointer of {project}");
        let request = self.client.delete_item().table_name(&self.table).set_key(Some(pointer_key(project)));
        let request = request.condition_expression(IS_SAME);
        let request = request.expression_attribute_values(":seen", number(previous.generation));
        let request = request.expression_attribute_values(":etag", AttributeValue::S(previous.etag.clone()));
        let request = request.return_consumed_capacity(ReturnConsumedCapacity::Total);
        let output = request.send().await.map_err(|error| superseded_or(project, action(), &error))?;
        self.count_written(1, &output.consumed_capacity);
        self.forget(project, now).await
    }

    /// Removes a damaged pointer unconditionally. Its project can then be published as if it were new.
    ///
    /// # Errors
    /// The table cannot be written.
    pub async fn remove_damaged(&self, project: &str) -> Result<(), StoreError> {
        let action = || format!("removing the damaged pointer of {project}");
        let request = self.client.delete_item().table_name(&self.table).set_key(Some(pointer_key(project)));
        let request = request.return_consumed_capacity(ReturnConsumedCapacity::Total);
        let output = request.send().await.map_err(|error| table_error(&self.table, action(), &error))?;
        self.count_written(1, &output.consumed_capacity);
        Ok(())
    }

    /// Removes the rest of a project without a pointer: its parts and, last, its name in the set.
    ///
    /// # Errors
    /// The table cannot be read or written.
    pub async fn forget(&self, project: &str, now: DateTime<Utc>) -> Result<(), StoreError> {
        self.expire_parts(project, None, now).await?;
        self.name_project(project, "DELETE").await
    }

    /// Adds a project's name to the set.
    ///
    /// # Errors
    /// The table cannot be written.
    pub async fn add_name(&self, project: &str) -> Result<(), StoreError> {
        self.name_project(project, "ADD").await
    }

    async fn write_parts(
        &self,
        owner: ListOwner<'_>,
        list: &PackedList,
        written_at: DateTime<Utc>,
        expires_at: Option<DateTime<Utc>>,
    ) -> Result<(), StoreError> {
        let action = format!("writing the list of {owner}");
        let mut requests = Vec::new();
        let parts = list.parts().enumerate().map(|(part, data)| (part_key(owner, &list.etag, part), data));
        let index = list.index_parts().enumerate();
        let index = index.map(|(part, data)| (index_part_key(owner, &list.etag, part), data));
        for (mut item, data) in parts.chain(index) {
            item.insert("data".to_owned(), AttributeValue::B(Blob::new(data)));
            item.insert("written_at".to_owned(), number(written_at.timestamp()));
            item.extend(expires_at.map(|at| (EXPIRES_AT.to_owned(), number(at.timestamp()))));
            let put = PutRequest::builder().set_item(Some(item)).build();
            let put = put.map_err(|error| StoreError::damaged("a part", error.to_string()))?;
            requests.push(WriteRequest::builder().put_request(put).build());
        }
        let mut unprocessed_retry = UnprocessedRetry::new(&action);
        while !requests.is_empty() {
            // 25 items and 16 MB are the most that one request takes; 25 parts are 9.5 MB.
            let batch = requests.split_off(requests.len().saturating_sub(25));
            let sent = batch.len();
            let request = self.client.batch_write_item().request_items(&self.table, batch);
            let request = request.return_consumed_capacity(ReturnConsumedCapacity::Total);
            let output = request.send().await.map_err(|error| table_error(&self.table, &action, &error))?;
            let consumed = output.consumed_capacity.unwrap_or_default();
            let unprocessed: Vec<_> = output.unprocessed_items.unwrap_or_default().into_values().flatten().collect();
            self.count_written((sent - unprocessed.len()) as u64, &consumed);
            let left_unprocessed = !unprocessed.is_empty();
            requests.extend(unprocessed);
            unprocessed_retry.pause_if(left_unprocessed).await?;
        }
        self.count(|usage| usage.bytes_written += (list.gzip.len() + list.index.len()) as u64);
        Ok(())
    }

    async fn name_project(&self, project: &str, verb: &str) -> Result<(), StoreError> {
        let request = self.client.update_item().table_name(&self.table).set_key(Some(key("projects", "current")));
        let request = request.update_expression(format!("{verb} project_names :project"));
        let request = request.expression_attribute_values(":project", AttributeValue::Ss(vec![project.to_owned()]));
        let request = request.return_consumed_capacity(ReturnConsumedCapacity::Total);
        let action = || format!("writing the name of {project}");
        let output = request.send().await.map_err(|error| table_error(&self.table, action(), &error))?;
        self.count_written(1, &output.consumed_capacity);
        Ok(())
    }

    async fn move_pointer(
        &self,
        project: &str,
        pointer: &ListPointer,
        previous: Option<&ListPointer>,
    ) -> Result<(), StoreError> {
        let action = || format!("moving the pointer of {project}");
        let request = self.client.put_item().table_name(&self.table).set_item(Some(pointer.to_item(project)));
        let request = match previous {
            None => request.condition_expression("attribute_not_exists(pk)"),
            Some(previous) => request
                .condition_expression(IS_SAME)
                .expression_attribute_values(":seen", number(previous.generation))
                .expression_attribute_values(":etag", AttributeValue::S(previous.etag.clone())),
        };
        let request = request.return_consumed_capacity(ReturnConsumedCapacity::Total);
        let output = request.send().await.map_err(|error| superseded_or(project, action(), &error))?;
        self.count_written(1, &output.consumed_capacity);
        Ok(())
    }

    /// Makes the store delete, in a day, the parts of all lists of a project except `keep`.
    ///
    /// Recently written parts stay: an ingest that runs at the same time may be about to point to them. If it does not,
    /// the next change of the project expires them.
    async fn expire_parts(&self, project: &str, keep: Option<&str>, now: DateTime<Utc>) -> Result<(), StoreError> {
        let action = format!("expiring old lists of {project}");
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk AND begins_with(sk, :list)")
            .filter_expression("attribute_not_exists(expires_at) AND written_at < :young")
            .expression_attribute_values(":pk", AttributeValue::S(format!("{PROJECT}{project}")))
            .expression_attribute_values(":list", AttributeValue::S(LIST.to_owned()))
            .expression_attribute_values(":young", number((now - MIN_AGE).timestamp()))
            .select(Select::SpecificAttributes)
            .projection_expression("pk, sk, written_at")
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .into_paginator()
            .send();
        let kept = keep.map(|etag| format!("{LIST}{etag}#"));
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| table_error(&self.table, &action, &error))?;
            self.count_read(&page.consumed_capacity);
            for mut item in page.items.unwrap_or_default() {
                if kept.as_deref().is_some_and(|kept| text(&item, "sk").is_ok_and(|sk| sk.starts_with(kept))) {
                    continue;
                }
                let seen = item.remove("written_at");
                let request = self.client.update_item().table_name(&self.table).set_key(Some(item));
                let request = request.update_expression("SET expires_at = :then");
                // Another ingest may write the same part meanwhile: it is then current again.
                let request = request.condition_expression("written_at = :seen").set_expression_attribute_values(Some(
                    [(":then".to_owned(), number((now + REPLACED_LIST_RETENTION).timestamp()))]
                        .into_iter()
                        .chain(seen.map(|seen| (":seen".to_owned(), seen)))
                        .collect(),
                ));
                let request = request.return_consumed_capacity(ReturnConsumedCapacity::Total);
                match request.send().await {
                    Ok(output) => self.count_written(1, &output.consumed_capacity),
                    Err(error) if is_condition(&error) => {}
                    Err(error) => return Err(table_error(&self.table, &action, &error)),
                }
            }
        }
        Ok(())
    }
}

fn superseded_or<E, R>(project: &str, action: String, error: &SdkError<E, R>) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    if is_condition(error) {
        StoreError::Superseded { project: project.to_owned() }
    } else {
        StoreError::service(action, error)
    }
}
