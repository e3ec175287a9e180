//! The requests table: what was asked for, what it is recognised by, and how much each requester asked for.
//!
//! | pk | sk | what |
//! | --- | --- | --- |
//! | `request#ID` | `head` | a request without its jobs: small, so that to ask for its state costs half a read unit |
//! | `request#ID` | `jobs` | its jobs, as gzipped JSON |
//! | `idempotency#HASH` | `claim` | the request that a key stands for |
//! | `budget#REQUESTER#HOUR` | `budget` | jobs in that hour, and for each of its minutes which requests took how many |
//!
//! Indexes, of keys alone: `by_push` (`project#push`, id), `by_requester` (requester, id), and `open` (sparse: requests
//! in which something is still to happen, by when somebody should look at them).
//!
//! A new request is there when its head is: the jobs are written before it. Later they change together or not at all,
//! on condition that nobody changed the request since it was read. Every item ends by `expires_at`, which the code
//! checks where it matters: the store deletes late.

mod budget;

use std::io::{Read as _, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::{TransactWriteItemsError, TransactWriteItemsOutput};
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConsumedCapacity, Put, ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure,
    TransactWriteItem,
};
use chrono::{DateTime, TimeDelta, Utc};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use trigger::email::Email;
use trigger::once::Claim;
use trigger::request::{Job, Request, RequestId};

use crate::items::{self, Item, is_condition, key, number, table_error, units};
use crate::{Read, StoreError};

/// How long requests are kept.
const REQUESTS_STAY: TimeDelta = TimeDelta::days(90);
/// How long claims and budgets are kept beyond the time in which they mean something.
const CLEANED_UP_AFTER: TimeDelta = TimeDelta::hours(1);
/// How often a transaction is tried again that was throttled, and how long the first pause is; each is twice the one before.
const THROTTLED_ATTEMPTS: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// The one value of the index's key: it holds few requests, and is read in the order in which they are due.
const OPEN: &str = "open";

pub use self::budget::Share;

/// The requests table.
#[derive(Debug)]
pub struct RequestsTable {
    client: Client,
    table: String,
    cost: Mutex<Cost>,
}

/// What was asked of the table so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cost {
    /// Requests to the store.
    pub operations: u32,
    /// Read units charged.
    pub read_units: f64,
    /// Write units charged.
    pub write_units: f64,
}

/// What became of a change to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// It is stored.
    Yes,
    /// Somebody else changed the request since it was read: nothing was written.
    ChangedMeanwhile,
}

impl RequestsTable {
    /// The requests in `table`.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into(), cost: Mutex::default() }
    }

    /// The same table, with a cost of its own: what one request costs can then be told.
    #[must_use]
    pub fn metered(&self) -> Self {
        Self::new(self.client.clone(), &self.table)
    }

    /// What was asked of the table so far.
    pub fn cost(&self) -> Cost {
        *self.cost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, read_units: f64, write_units: f64) {
        let mut cost = self.cost.lock().unwrap_or_else(PoisonError::into_inner);
        cost.operations += 1;
        cost.read_units += read_units;
        cost.write_units += write_units;
    }

    fn count_read<'c>(&self, consumed: impl IntoIterator<Item = &'c ConsumedCapacity>) {
        self.count(units(consumed), 0.0);
    }

    fn count_written<'c>(&self, consumed: impl IntoIterator<Item = &'c ConsumedCapacity>) {
        self.count(0.0, units(consumed));
    }

    /// Keeps a new request. Once the head is written it is there, whatever is heard of it.
    ///
    /// # Errors
    /// The table cannot be written, or it is not known whether it was.
    pub async fn create(&self, request: &Request, jobs: &[Job], now: DateTime<Utc>) -> Result<(), StoreError> {
        let action = || format!("keeping the jobs of request {}", request.id);
        let put = self.client.put_item().table_name(&self.table).set_item(Some(jobs_item(request.id, jobs, now)?));
        let put = put.return_consumed_capacity(ReturnConsumedCapacity::Total);
        let output = put.send().await.map_err(|error| table_error(&self.table, action(), &error))?;
        self.count_written(&output.consumed_capacity);

        let action = || format!("keeping request {}", request.id);
        let put = self.client.put_item().table_name(&self.table).set_item(Some(head_item(request, now)?));
        let put = put.condition_expression("attribute_not_exists(pk)");
        let put = put.return_consumed_capacity(ReturnConsumedCapacity::Total);
        match put.send().await {
            Ok(output) => self.count_written(&output.consumed_capacity),
            // Nobody else has this id: an attempt before was heard after all.
            Err(error) if is_condition(&error) => self.count(0.0, 1.0),
            Err(error) => return Err(table_error(&self.table, action(), &error)),
        }
        Ok(())
    }

    /// Stores the next version of a request and, if they changed, its jobs: all or nothing.
    ///
    /// # Errors
    /// The table cannot be written, or it is not known whether it was.
    pub async fn update(&self, next: &Request, jobs: Option<&[Job]>, now: DateTime<Utc>) -> Result<Stored, StoreError> {
        let action = || format!("changing request {}", next.id);
        let put = Put::builder().table_name(&self.table).set_item(Some(head_item(next, now)?));
        let put = put.condition_expression("#version = :seen").expression_attribute_names("#version", "version");
        let put = put.expression_attribute_values(":seen", number(next.version - 1));
        let head = put.build().map_err(|error| damaged(next.id, error))?;
        let result = match jobs {
            None => {
                let put = self.client.put_item().table_name(&self.table).set_item(Some(head.item));
                let put = put.set_condition_expression(head.condition_expression);
                let put = put.set_expression_attribute_names(head.expression_attribute_names);
                let put = put.set_expression_attribute_values(head.expression_attribute_values);
                match put.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await {
                    Ok(output) => {
                        self.count_written(&output.consumed_capacity);
                        return Ok(Stored::Yes);
                    }
                    Err(error) if is_condition(&error) => Ok(()),
                    Err(error) => Err(table_error(&self.table, action(), &error)),
                }
            }
            Some(jobs) => {
                let put = Put::builder().table_name(&self.table).set_item(Some(jobs_item(next.id, jobs, now)?));
                let jobs = put.build().map_err(|error| damaged(next.id, error))?;
                let writes = [head, jobs].map(|put| TransactWriteItem::builder().put(put).build());
                match self.transact(writes.into()).await {
                    Ok(output) => {
                        self.count_written(output.consumed_capacity());
                        return Ok(Stored::Yes);
                    }
                    Err(error) if is_somebody_elses_change(&error) => Ok(()),
                    Err(error) => Err(table_error(&self.table, action(), &error)),
                }
            }
        };
        result?;
        self.count(0.0, 1.0);
        // It may be this very change that is there: an attempt before, of which nothing was heard.
        let stored = self.request(next.id, Read::Consistent).await?;
        Ok(if stored.as_ref() == Some(next) { Stored::Yes } else { Stored::ChangedMeanwhile })
    }

    /// Writes all or nothing. The SDK does not try a transaction again that was throttled: its error has another name.
    async fn transact(
        &self,
        writes: Vec<TransactWriteItem>,
    ) -> Result<TransactWriteItemsOutput, SdkError<TransactWriteItemsError>> {
        let mut attempt = 0;
        loop {
            let request = self.client.transact_write_items().set_transact_items(Some(writes.clone()));
            match request.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await {
                Err(error) if attempt < THROTTLED_ATTEMPTS && is_throttled(&error) => {
                    tokio::time::sleep(FIRST_PAUSE * 2_u32.pow(attempt)).await;
                    attempt += 1;
                }
                done => return done,
            }
        }
    }

    /// A request. Half a read unit, if it need not be consistent.
    ///
    /// # Errors
    /// The table cannot be read, or the item is damaged.
    pub async fn request(&self, id: RequestId, read: Read) -> Result<Option<Request>, StoreError> {
        let action = || format!("reading request {id}");
        let item = self.item(action, key(&partition(id), HEAD), read).await?;
        item.map(request_of).transpose()
    }

    /// The jobs of a request.
    ///
    /// # Errors
    /// The table cannot be read, or the item is missing or damaged.
    pub async fn jobs(&self, id: RequestId, read: Read) -> Result<Vec<Job>, StoreError> {
        let action = || format!("reading the jobs of request {id}");
        let item = self.item(action, key(&partition(id), JOBS), read).await?;
        let packed = match item.and_then(|mut item| item.remove("data")) {
            Some(AttributeValue::B(packed)) => packed.into_inner(),
            _ => return Err(damaged(id, "its jobs are missing")),
        };
        let mut json = Vec::new();
        GzDecoder::new(&*packed).read_to_end(&mut json).map_err(|error| damaged(id, error))?;
        serde_json::from_slice(&json).map_err(|error| damaged(id, error))
    }

    async fn item(&self, action: impl Fn() -> String, key: Item, read: Read) -> Result<Option<Item>, StoreError> {
        let request = self.client.get_item().table_name(&self.table).set_key(Some(key));
        let request = request.consistent_read(read == Read::Consistent);
        let request = request.return_consumed_capacity(ReturnConsumedCapacity::Total);
        let output = request.send().await.map_err(|error| table_error(&self.table, action(), &error))?;
        self.count_read(&output.consumed_capacity);
        Ok(output.item)
    }

    /// The requests on a push, newest first: at most `count`, of those that are older than `before`.
    ///
    /// # Errors
    /// The table cannot be read, or an item is damaged.
    pub async fn of_push(
        &self,
        project: &str,
        push_id: u64,
        before: Option<RequestId>,
        count: usize,
    ) -> Result<Vec<Request>, StoreError> {
        self.newest("by_push", "push", &push_key(project, push_id), before, count).await
    }

    /// The requests of a requester, in the same way.
    ///
    /// # Errors
    /// The table cannot be read, or an item is damaged.
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
        let query = query.limit(i32::try_from(count).unwrap_or(i32::MAX).max(1));
        // One page holds all: an entry is some 200 bytes, and a page a megabyte.
        let output = query.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await;
        let output = output.map_err(|error| table_error(&self.table, "listing requests", &error))?;
        self.count_read(&output.consumed_capacity);
        let mut requests = self.heads(output.items.unwrap_or_default()).await?;
        requests.sort_by_key(|request| std::cmp::Reverse(request.id));
        Ok(requests)
    }

    /// The open requests that somebody should have looked at by `now`, those that are due longest first.
    ///
    /// # Errors
    /// The table cannot be read, or an item is damaged.
    pub async fn due(&self, now: DateTime<Utc>, count: usize) -> Result<Vec<Request>, StoreError> {
        let query = self.client.query().table_name(&self.table).index_name("open");
        let query = query.key_condition_expression("#open = :open AND due_at <= :now");
        let query = query.expression_attribute_names("#open", "open");
        let query = query.expression_attribute_values(":open", AttributeValue::S(OPEN.to_owned()));
        let query = query.expression_attribute_values(":now", number(now.timestamp()));
        let query = query.limit(i32::try_from(count).unwrap_or(i32::MAX).max(1));
        let output = query.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await;
        let output = output.map_err(|error| table_error(&self.table, "listing open requests", &error))?;
        self.count_read(&output.consumed_capacity);
        let mut requests = self.heads(output.items.unwrap_or_default()).await?;
        requests.sort_by_key(|request| (request.due_at, request.id));
        Ok(requests)
    }

    /// The requests that an index names, as the table has them.
    async fn heads(&self, named: Vec<Item>) -> Result<Vec<Request>, StoreError> {
        let keys = named.into_iter().map(|mut item| {
            item.retain(|name, _| ["pk", "sk"].contains(&name.as_str()));
            item
        });
        let count = |consumed: &[ConsumedCapacity]| self.count_read(consumed);
        let items = items::get_all(&self.client, &self.table, "reading requests", keys.collect(), true, count).await?;
        items.into_iter().map(request_of).collect()
    }

    /// Claims a key. None if it is ours now, or else whose it is.
    ///
    /// `instead_of` is an earlier claim that means nothing any more.
    ///
    /// # Errors
    /// The table cannot be written, or it is not known whether it was.
    pub async fn claim(
        &self,
        name: &str,
        claim: &Claim,
        instead_of: Option<&Claim>,
    ) -> Result<Option<Claim>, StoreError> {
        let action = "claiming the key of a request";
        let mut item: Item = serde_dynamo::to_item(claim).map_err(|error| damaged(claim.request, error))?;
        item.extend(claim_key(name));
        item.insert("expires_at".to_owned(), number((claim.holds_until + CLEANED_UP_AFTER).timestamp()));
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
        let put = match instead_of {
            None => put.condition_expression("attribute_not_exists(pk)"),
            Some(earlier) => put
                .condition_expression("attribute_not_exists(pk) OR #request = :earlier")
                .expression_attribute_names("#request", "request")
                .expression_attribute_values(":earlier", AttributeValue::S(earlier.request.to_string())),
        };
        let put = put.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match put.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await {
            Ok(output) => {
                self.count_written(&output.consumed_capacity);
                Ok(None)
            }
            Err(error) => {
                let holder = error.as_service_error().and_then(|error| match error {
                    PutItemError::ConditionalCheckFailedException(failed) => failed.item.clone(),
                    _ => None,
                });
                let Some(item) = holder else { return Err(table_error(&self.table, action, &error)) };
                self.count(0.0, 1.0);
                let holder: Claim = serde_dynamo::from_item(item).map_err(|error| damaged(claim.request, error))?;
                // Our own: an attempt before was heard after all.
                Ok((holder.request != claim.request).then_some(holder))
            }
        }
    }

    /// Gives a key back: nothing came of the request.
    ///
    /// # Errors
    /// The table cannot be written; the claim then ends by itself.
    pub async fn release(&self, name: &str, claim: &Claim) -> Result<(), StoreError> {
        let request = self.client.delete_item().table_name(&self.table).set_key(Some(claim_key(name)));
        let request = request.condition_expression("#request = :ours");
        let request = request.expression_attribute_names("#request", "request");
        let request = request.expression_attribute_values(":ours", AttributeValue::S(claim.request.to_string()));
        match request.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await {
            Ok(output) => self.count_written(&output.consumed_capacity),
            Err(error) if is_condition(&error) => self.count(0.0, 1.0),
            Err(error) => return Err(table_error(&self.table, "giving back the key of a request", &error)),
        }
        Ok(())
    }
}

const HEAD: &str = "head";
const JOBS: &str = "jobs";

fn partition(id: RequestId) -> String {
    format!("request#{id}")
}

fn push_key(project: &str, push_id: u64) -> String {
    format!("{project}#{push_id}")
}

fn claim_key(name: &str) -> Item {
    key(&format!("idempotency#{name}"), "claim")
}

/// Whether a transaction failed because its condition did not hold, or because another was at work at the same time.
fn is_somebody_elses_change<R>(error: &SdkError<TransactWriteItemsError, R>) -> bool {
    cancelled_by(error).any(|code| ["ConditionalCheckFailed", "TransactionConflict"].contains(&code))
}

fn is_throttled<R>(error: &SdkError<TransactWriteItemsError, R>) -> bool {
    let is_throttling = |code| ["ThrottlingError", "ProvisionedThroughputExceeded"].contains(&code);
    cancelled_by(error).any(is_throttling) && cancelled_by(error).all(|code| code == "None" || is_throttling(code))
}

/// The reasons for which a transaction was cancelled, one for each of its writes.
fn cancelled_by<R>(error: &SdkError<TransactWriteItemsError, R>) -> impl Iterator<Item = &str> {
    let reasons = match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => cancelled.cancellation_reasons(),
        _ => &[],
    };
    reasons.iter().filter_map(|reason| reason.code())
}

#[allow(clippy::needless_pass_by_value)] // Errors are shown and done with.
fn damaged(id: RequestId, what: impl ToString) -> StoreError {
    StoreError::DamagedRequest { id: id.to_string(), what: what.to_string() }
}

fn head_item(request: &Request, now: DateTime<Utc>) -> Result<Item, StoreError> {
    let mut item: Item = serde_dynamo::to_item(request).map_err(|error| damaged(request.id, error))?;
    item.extend(key(&partition(request.id), HEAD));
    item.insert("push".to_owned(), AttributeValue::S(push_key(&request.project, request.push_id)));
    if request.state.is_open() {
        item.insert("open".to_owned(), AttributeValue::S(OPEN.to_owned()));
    }
    item.insert("expires_at".to_owned(), number((now + REQUESTS_STAY).timestamp()));
    Ok(item)
}

fn jobs_item(id: RequestId, jobs: &[Job], now: DateTime<Utc>) -> Result<Item, StoreError> {
    let json = serde_json::to_vec(jobs).map_err(|error| damaged(id, error))?;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(&json).map_err(|error| damaged(id, error))?;
    let packed = encoder.finish().map_err(|error| damaged(id, error))?;
    let mut item = key(&partition(id), JOBS);
    item.insert("data".to_owned(), AttributeValue::B(Blob::new(packed)));
    item.insert("expires_at".to_owned(), number((now + REQUESTS_STAY).timestamp()));
    Ok(item)
}

/// A head as it is stored; the attributes that are for the store alone are passed over.
fn request_of(item: Item) -> Result<Request, StoreError> {
    let id = match item.get("id") {
        Some(AttributeValue::S(id)) => id.clone(),
        _ => "without an id".to_owned(),
    };
    serde_dynamo::from_item(item).map_err(|error| StoreError::DamagedRequest { id, what: error.to_string() })
}
