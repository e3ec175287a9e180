//! Reads the requests whose jobs are followed: their keys first, and then many requests with their jobs at once, the heads
//! before the jobs that are stored apart.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::types::{AttributeValue, ConsumedCapacity, ReturnConsumedCapacity};
use chrono::{DateTime, Utc};
use requests::id::RequestId;

use super::RequestsTable;
use super::layout::{FOLLOWED, PackedJobs, has_jobs, head_key, jobs_key};
use super::reading::{RequestWithJobs, StoredRequest, Unpacked};
use crate::StoreError;
use crate::items::{self, Item, key_of, table_error};

/// A request whose jobs are followed, as the index names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FollowedRequest {
    /// The request.
    pub id: RequestId,
    /// When something happened to it last.
    pub changed_at: DateTime<Utc>,
}

impl FollowedRequest {
    /// Reads an entry of the index, which has keys only.
    fn read(entry: &Item) -> Result<Self, StoreError> {
        let read = || {
            let id = entry.get("pk")?.as_s().ok()?.strip_prefix("request#")?.parse().ok()?;
            let changed_at = DateTime::from_timestamp(entry.get("due_at")?.as_n().ok()?.parse().ok()?, 0)?;
            Some(Self { id, changed_at })
        };
        let damaged =
            || StoreError::DamagedRequest { id: key_of(entry), what: "its keys are not those of one".to_owned() };
        read().ok_or_else(damaged)
    }
}

impl RequestsTable {
    /// At most `count` of the requests whose jobs are followed, those first that have not changed for longest. Only keys are
    /// read. The index may be behind the table.
    ///
    /// # Errors
    /// The table cannot be read.
    pub async fn followed(&self, count: usize) -> Result<Vec<FollowedRequest>, StoreError> {
        let query = self.client.query().table_name(&self.table).index_name("open");
        let query = query.key_condition_expression("#open = :followed").expression_attribute_names("#open", "open");
        let query = query.expression_attribute_values(":followed", AttributeValue::S(FOLLOWED.to_owned()));
        let query = query.return_consumed_capacity(ReturnConsumedCapacity::Total);
        let mut followed = Vec::new();
        let mut start = None;
        while followed.len() < count {
            let max = i32::try_from(count - followed.len()).unwrap_or(i32::MAX);
            let query = query.clone().limit(max).set_exclusive_start_key(start);
            let output = query.send().await;
            let output = output.map_err(|error| table_error(&self.table, "listing followed requests", &error))?;
            self.count_read(&output.consumed_capacity);
            let read = |entry| FollowedRequest::read(entry).inspect_err(|error| self.record_damaged(error)).ok();
            followed.extend(output.items.unwrap_or_default().iter().filter_map(read));
            start = output.last_evaluated_key;
            if start.is_none() {
                break;
            }
        }
        Ok(followed)
    }

    /// These requests with their jobs, in the same order, read with eventual consistency. Where head and jobs do not belong
    /// together, both are read again, consistently. Requests that were deleted are left out, and so are those that cannot be
    /// read, which are counted in the cost.
    ///
    /// # Errors
    /// The table cannot be read.
    pub async fn read_all(&self, ids: &[RequestId]) -> Result<Vec<RequestWithJobs>, StoreError> {
        let mut seen = HashSet::new();
        let ids: Vec<RequestId> = ids.iter().copied().filter(|id| seen.insert(*id)).collect();
        let mut found = Vec::with_capacity(ids.len());
        let read = async |action, key: fn(RequestId) -> Item, ids: &[RequestId]| {
            let keys = ids.iter().map(|id| key(*id)).collect();
            let count = |consumed: &[ConsumedCapacity]| self.count_read(consumed);
            let items = items::get_all(&self.client, &self.table, action, keys, false, count).await?;
            Ok::<_, StoreError>(items.into_iter().map(|item| (key_of(&item), item)).collect::<HashMap<_, _>>())
        };
        let mut heads = read("reading requests", head_key, &ids).await?;
        let is_apart = |id: &RequestId| heads.get(&key_of(&head_key(*id))).is_some_and(|head| !has_jobs(head));
        let apart: Vec<RequestId> = ids.iter().copied().filter(is_apart).collect();
        let mut jobs = read("reading the jobs of requests", jobs_key, &apart).await?;
        for id in ids {
            let Some(head) = heads.remove(&key_of(&head_key(id))) else { continue };
            match self.read_pair(id, head, jobs.remove(&key_of(&jobs_key(id)))).await {
                Ok(pair) => found.extend(pair),
                // It is counted already.
                Err(StoreError::DamagedRequest { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    /// A request and its jobs, of a head and of jobs that were read after it, if they are stored apart.
    async fn read_pair(
        &self,
        id: RequestId,
        head: Item,
        jobs: Option<Item>,
    ) -> Result<Option<RequestWithJobs>, StoreError> {
        let read = || {
            let request = match StoredRequest::read(head)?.unpack()? {
                Unpacked::Whole(whole) => return Ok(Some(whole)),
                Unpacked::Apart(request) => request,
            };
            let Some(jobs) = jobs else { return Ok(None) };
            let packed = PackedJobs::read(id, jobs)?;
            let mut jobs = packed.unpack(id)?;
            let is_pair = packed.belongs_to(&request, &jobs);
            request.apply_actions(&mut jobs);
            Ok(is_pair.then_some((request, jobs)))
        };
        match read().inspect_err(|error| self.record_damaged(error))? {
            Some(pair) => Ok(Some(pair)),
            None => self.read_consistent(id).await,
        }
    }
}
