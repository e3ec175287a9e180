//! Reads requests: one, one with its jobs, and lists of requests.

use std::ops::Deref;

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ConsumedCapacity, ReturnConsumedCapacity};
use chrono::{DateTime, Utc};
use requests::email::Email;
use requests::id::RequestId;
use requests::job::{RequestedJob, count_jobs};
use requests::request::Request;

use super::RequestsTable;
use super::layout::{OPEN, PackedJobs, damaged, head_key, jobs_key, push_value, read_head};
use crate::items::{self, Item, number, table_error};
use crate::{Consistency, StoreError};

/// How often head and jobs of a request are read, if they are changed between the two reads.
const MAX_READS: u32 = 3;

/// A request as it was read, with its jobs if they are stored in the same item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRequest {
    request: Request,
    /// `None` if the jobs are stored apart.
    packed: Option<PackedJobs>,
}

impl StoredRequest {
    /// Reads a stored head.
    pub(super) fn read(mut head: Item) -> Result<Self, StoreError> {
        let packed = PackedJobs::take_from(&mut head);
        Ok(Self { request: read_head(head)?, packed })
    }

    /// The request, without its jobs.
    pub fn into_request(self) -> Request {
        self.request
    }

    /// The request, with its jobs unless they are stored apart.
    pub(super) fn unpack(self) -> Result<Unpacked, StoreError> {
        let Self { request, packed } = self;
        let Some(packed) = packed else { return Ok(Unpacked::Apart(request)) };
        let mut jobs = packed.unpack(request.id)?;
        request.apply_actions(&mut jobs);
        Ok(Unpacked::Whole((request, jobs)))
    }
}

impl Deref for StoredRequest {
    type Target = Request;

    fn deref(&self) -> &Request {
        &self.request
    }
}

/// A request that was read without what the store keeps beside it. Its jobs are read when they are needed.
impl From<Request> for StoredRequest {
    fn from(request: Request) -> Self {
        Self { request, packed: None }
    }
}

/// A request and its jobs.
pub type RequestWithJobs = (Request, Vec<RequestedJob>);

/// What one item has of a request.
pub(super) enum Unpacked {
    /// All of it.
    Whole(RequestWithJobs),
    /// The request. Its jobs are stored apart.
    Apart(Request),
}

impl RequestsTable {
    /// A request. An eventually consistent read costs half a read unit.
    ///
    /// # Errors
    /// The table cannot be read, or the item is damaged.
    pub async fn request(&self, id: RequestId, consistency: Consistency) -> Result<Option<Request>, StoreError> {
        Ok(self.stored(id, consistency).await?.map(StoredRequest::into_request))
    }

    /// The same for a reader that may need the jobs: a small request has them in the same item.
    ///
    /// # Errors
    /// The table cannot be read, or the item is damaged.
    pub async fn stored(&self, id: RequestId, consistency: Consistency) -> Result<Option<StoredRequest>, StoreError> {
        let action = || format!("reading request {id}");
        let item = self.item(action, head_key(id), consistency).await?;
        item.map(StoredRequest::read).transpose().inspect_err(|error| self.record_damaged(error))
    }

    /// Adds the jobs to a request that was read with the same consistency. If the jobs are stored apart and the two do not
    /// belong together, both are read again, consistently: the request may then be a later version.
    ///
    /// # Errors
    /// The table cannot be read, or an item is missing or damaged.
    pub async fn with_jobs(
        &self,
        request: impl Into<StoredRequest>,
        consistency: Consistency,
    ) -> Result<RequestWithJobs, StoreError> {
        let request = match request.into().unpack().inspect_err(|error| self.record_damaged(error))? {
            Unpacked::Whole(whole) => return Ok(whole),
            Unpacked::Apart(request) => request,
        };
        let id = request.id;
        if let Some(packed) = self.packed(id, consistency).await? {
            let mut jobs = packed.unpack(id).inspect_err(|error| self.record_damaged(error))?;
            if packed.belongs_to(&request, &jobs) {
                request.apply_actions(&mut jobs);
                return Ok((request, jobs));
            }
        }
        self.read_consistent(id).await?.ok_or_else(|| damaged(id, "it was deleted meanwhile"))
    }

    /// A request with its jobs, as they are now.
    ///
    /// # Errors
    /// The table cannot be read, or an item is missing or damaged.
    pub async fn read_consistent(&self, id: RequestId) -> Result<Option<RequestWithJobs>, StoreError> {
        let mut read = 0;
        loop {
            let Some(stored) = self.stored(id, Consistency::Consistent).await? else { return Ok(None) };
            let mut request = match stored.unpack().inspect_err(|error| self.record_damaged(error))? {
                Unpacked::Whole(whole) => return Ok(Some(whole)),
                Unpacked::Apart(request) => request,
            };
            let packed = self.packed(id, Consistency::Consistent).await?;
            let unpacked = packed.ok_or_else(|| damaged(id, "its jobs are missing"));
            let unpacked = unpacked.and_then(|packed| Ok((packed.unpack(id)?, packed)));
            let (mut jobs, packed) = unpacked.inspect_err(|error| self.record_damaged(error))?;
            read += 1;
            let is_pair = packed.belongs_to(&request, &jobs);
            if is_pair || read == MAX_READS {
                request.apply_actions(&mut jobs);
                if !is_pair {
                    // A request does not change that often: the two were stored so. The jobs count.
                    request.job_counts = count_jobs(&jobs);
                }
                return Ok(Some((request, jobs)));
            }
        }
    }

    async fn packed(&self, id: RequestId, consistency: Consistency) -> Result<Option<PackedJobs>, StoreError> {
        let action = || format!("reading the jobs of request {id}");
        let item = self.item(action, jobs_key(id), consistency).await?;
        let packed = item.map(|item| PackedJobs::read(id, item)).transpose();
        packed.inspect_err(|error| self.record_damaged(error))
    }

    pub(super) async fn item(
        &self,
        action: impl Fn() -> String,
        key: Item,
        consistency: Consistency,
    ) -> Result<Option<Item>, StoreError> {
        let request = self.client.get_item().table_name(&self.table).set_key(Some(key));
        let request = request.consistent_read(consistency == Consistency::Consistent);
        let request = request.return_consumed_capacity(ReturnConsumedCapacity::Total);
        let output = request.send().await.map_err(|error| table_error(&self.table, action(), &error))?;
        self.count_read(&output.consumed_capacity);
        Ok(output.item)
    }

    /// The requests on a push, newest first: at most `count` that are older than `before`. Requests that cannot be read are
    /// left out, and counted in the cost.
    ///
    /// # Errors
    /// The table cannot be read.
    pub async fn of_push(
        &self,
        project: &str,
        push_id: u64,
        before: Option<RequestId>,
        count: usize,
    ) -> Result<Vec<Request>, StoreError> {
        self.newest("by_push", "push", &push_value(project, push_id), before, count).await
    }

    /// The requests of a requester, newest first, as in `of_push`.
    ///
    /// # Errors
    /// The table cannot be read.
    pub async fn of_requester(
        &self,
        requester: &Email,
        before: Option<RequestId>,
        count: usize,
    ) -> Result<Vec<Request>, StoreError> {
        self.newest("by_requester", "requester", requester.as_str(), before, count).await
    }

    async fn newest(
        &self,
        index: &str,
        attribute: &str,
        value: &str,
        before: Option<RequestId>,
        count: usize,
    ) -> Result<Vec<Request>, StoreError> {
        let query = self.client.query().table_name(&self.table).index_name(index).scan_index_forward(false);
        let query = query.expression_attribute_names("#of", attribute);
        let query = query.expression_attribute_values(":of", AttributeValue::S(value.to_owned()));
        let query = match before {
            None => query.key_condition_expression("#of = :of"),
            Some(before) => query
                .key_condition_expression("#of = :of AND id < :before")
                .expression_attribute_values(":before", AttributeValue::S(before.to_string())),
        };
        let mut requests = self.readable("listing requests", query, count).await?;
        requests.sort_by_key(|request| std::cmp::Reverse(request.id));
        Ok(requests)
    }

    /// The open requests that are due by `now`, those that are due longest first. Those that cannot be read are left out,
    /// and counted in the cost.
    ///
    /// # Errors
    /// The table cannot be read.
    pub async fn due(&self, now: DateTime<Utc>, count: usize) -> Result<Vec<Request>, StoreError> {
        let query = self.client.query().table_name(&self.table).index_name("open");
        let query = query.key_condition_expression("#open = :open AND due_at <= :now");
        let query = query.expression_attribute_names("#open", "open");
        let query = query.expression_attribute_values(":open", AttributeValue::S(OPEN.to_owned()));
        let query = query.expression_attribute_values(":now", number(now.timestamp()));
        let mut requests = self.readable("listing open requests", query, count).await?;
        requests.sort_by_key(|request| (request.due_at, request.id));
        Ok(requests)
    }

    /// The first requests that an index names and that can be read.
    async fn readable(
        &self,
        action: &str,
        query: QueryFluentBuilder,
        count: usize,
    ) -> Result<Vec<Request>, StoreError> {
        let query = query.return_consumed_capacity(ReturnConsumedCapacity::Total);
        let mut requests: Vec<Request> = Vec::new();
        let mut start = None;
        loop {
            // One page holds all, unless some cannot be read: an entry has some 200 bytes, and a page up to 1 MB.
            let max = count.saturating_sub(requests.len()).max(1);
            let query = query.clone().limit(i32::try_from(max).unwrap_or(i32::MAX)).set_exclusive_start_key(start);
            let output = query.send().await.map_err(|error| table_error(&self.table, action, &error))?;
            self.count_read(&output.consumed_capacity);
            requests.extend(self.heads(output.items.unwrap_or_default()).await?);
            start = output.last_evaluated_key;
            if start.is_none() || requests.len() >= count {
                return Ok(requests);
            }
        }
    }

    /// The requests that an index names, without those that cannot be read.
    async fn heads(&self, named: Vec<Item>) -> Result<Vec<Request>, StoreError> {
        let keys = named.into_iter().map(|mut item| {
            item.retain(|name, _| ["pk", "sk"].contains(&name.as_str()));
            item
        });
        let count = |consumed: &[ConsumedCapacity]| self.count_read(consumed);
        let items = items::get_all(&self.client, &self.table, "reading requests", keys.collect(), true, count).await?;
        let read = |item| read_head(item).inspect_err(|error| self.record_damaged(error)).ok();
        Ok(items.into_iter().filter_map(read).collect())
    }
}
