//! The requests table: requests, the claims of their keys, and the budgets of requesters.
//!
//! | pk | sk | what |
//! | --- | --- | --- |
//! | `request#ID` | `head` | a request, with its jobs as gzipped JSON if they are few: reading it costs half a read unit |
//! | `request#ID` | `jobs` | the jobs of a request that has many, as gzipped JSON |
//! | `idempotency#HASH` | `claim` | the request that owns a key |
//! | `budget#REQUESTER#HOUR` | `budget` | jobs in that hour, and the requests of each of its minutes with their jobs |
//! | `push#PROJECT#PUSH` | `action` | the lock of a push: the action that runs on it, or is being triggered |
//!
//! Indexes, keys only: `by_push` (`project#push`, id), `by_requester` (requester, id), and `open` (sparse). The index `open`
//! has two partitions: `open`, with the open requests by the time at which they are due for a check, and `followed`, with
//! the forwarded requests whose jobs have not all ended, by the time of their last change.
//!
//! What is known about actions of Taskcluster is stored with the head, not with the jobs: progress of an action changes a
//! small item alone. The states of labels follow from it, and are set when head and jobs were read together.
//!
//! A new request exists once its head is written; jobs that are stored apart are written before it. Every later change is
//! one call, on condition that the request was not changed since it was read: an update of the head, which leaves the jobs
//! where they are; one item with the jobs; or a transaction of head and jobs. How large the request is then decides between
//! the last two. A jobs item that an earlier change wrote stays behind when the jobs move into the head. It is not read: a
//! head has its jobs, or it has the digest of those that are stored apart.
//!
//! Every item has `expires_at`, which the code checks where it matters,
//! because the store deletes late.
//!
//! An item that cannot be read, such as one of a newer version, is logged, counted and skipped in lists.

mod budget;
mod followed;
mod layout;
mod push_lock;
mod reading;
mod writing;

use std::sync::{Mutex, PoisonError};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::put_item::builders::PutItemFluentBuilder;
use aws_sdk_dynamodb::types::{
    AttributeValue, ConsumedCapacity, ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure,
};
use requests::idempotency::Claim;

pub use self::budget::BudgetShare;
pub use self::followed::FollowedRequest;
use self::layout::{claim_item, claim_key, read_claim};
pub use self::push_lock::PushLock;
pub use self::reading::{RequestWithJobs, StoredRequest};
pub use self::writing::UpdateResult;
use crate::StoreError;
use crate::items::{Item, is_condition, table_error, units};

/// The requests table.
#[derive(Debug)]
pub struct RequestsTable {
    client: Client,
    table: String,
    cost: Mutex<Cost>,
}

/// The cost of the operations on the table so far.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Cost {
    /// Operations.
    pub operations: u32,
    /// Read units charged.
    pub read_units: f64,
    /// Write units charged.
    pub write_units: f64,
    /// Stored items that could not be read.
    pub damaged: u32,
}

impl RequestsTable {
    /// The requests in `table`.
    pub fn new(client: Client, table: impl Into<String>) -> Self {
        Self { client, table: table.into(), cost: Mutex::default() }
    }

    /// The same table with a meter of its own, to measure the cost of one call.
    #[must_use]
    pub fn metered(&self) -> Self {
        Self::new(self.client.clone(), &self.table)
    }

    /// The cost of the operations on the table so far.
    pub fn cost(&self) -> Cost {
        *self.cost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, read_units: f64, write_units: f64) {
        let mut cost = self.cost.lock().unwrap_or_else(PoisonError::into_inner);
        cost.operations += 1;
        cost.read_units += read_units;
        cost.write_units += write_units;
    }

    /// Counts and logs a stored item that cannot be read.
    fn record_damaged(&self, error: &StoreError) {
        tracing::error!(%error, "a stored item cannot be read");
        self.cost.lock().unwrap_or_else(PoisonError::into_inner).damaged += 1;
    }

    fn count_read<'c>(&self, consumed: impl IntoIterator<Item = &'c ConsumedCapacity>) {
        self.count(units(consumed), 0.0);
    }

    fn count_written<'c>(&self, consumed: impl IntoIterator<Item = &'c ConsumedCapacity>) {
        self.count(0.0, units(consumed));
    }

    /// Claims a key. Returns `None` if the claim is successful, or else the claim of the owner.
    ///
    /// `instead_of` is an expired claim that is replaced. A claim that cannot be read is replaced too.
    ///
    /// # Errors
    /// The table cannot be written, or it is not known whether it was.
    pub async fn claim(
        &self,
        name: &str,
        claim: &Claim,
        instead_of: Option<&Claim>,
    ) -> Result<Option<Claim>, StoreError> {
        let item = claim_item(name, claim)?;
        let earlier = instead_of.map(|earlier| ("request", AttributeValue::S(earlier.request.to_string())));
        let Some(holder) = self.put_claim(&item, earlier).await? else { return Ok(None) };
        let until = holder.get("expires_at").cloned();
        let unread = match read_claim(name, holder) {
            Ok(holder) => return Ok(if_other(holder, claim)),
            Err(error) => error,
        };
        self.record_damaged(&unread);
        // Every claim has `expires_at`. If another request took the key over meanwhile, the value differs.
        let earlier = until.map(|until| ("expires_at", until));
        match self.put_claim(&item, earlier).await? {
            None => Ok(None),
            Some(holder) => Ok(if_other(read_claim(name, holder)?, claim)),
        }
    }

    /// Writes a claim if there is none, or one with this attribute. Returns the claim that prevents it.
    async fn put_claim(
        &self,
        item: &Item,
        instead_of: Option<(&str, AttributeValue)>,
    ) -> Result<Option<Item>, StoreError> {
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item.clone()));
        let put = match instead_of {
            None => put.condition_expression("attribute_not_exists(pk)"),
            Some((name, value)) => put
                .condition_expression("attribute_not_exists(pk) OR #name = :value")
                .expression_attribute_names("#name", name)
                .expression_attribute_values(":value", value),
        };
        self.put_unless_held("claiming the key of a request", put).await
    }

    /// Writes an item on the condition of `put`. Returns the item that prevents it.
    async fn put_unless_held(&self, action: &str, put: PutItemFluentBuilder) -> Result<Option<Item>, StoreError> {
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
                Ok(Some(item))
            }
        }
    }

    /// Releases a key whose request was not stored.
    ///
    /// # Errors
    /// The table cannot be written; the claim then expires.
    pub async fn release(&self, name: &str, claim: &Claim) -> Result<(), StoreError> {
        let request = self.client.delete_item().table_name(&self.table).set_key(Some(claim_key(name)));
        let request = request.condition_expression("#request = :ours");
        let request = request.expression_attribute_names("#request", "request");
        let request = request.expression_attribute_values(":ours", AttributeValue::S(claim.request.to_string()));
        match request.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await {
            Ok(output) => self.count_written(&output.consumed_capacity),
            Err(error) if is_condition(&error) => self.count(0.0, 1.0),
            Err(error) => return Err(table_error(&self.table, "releasing the key of a request", &error)),
        }
        Ok(())
    }
}

/// The owner's claim, unless it is our own from an earlier attempt.
fn if_other(holder: Claim, ours: &Claim) -> Option<Claim> {
    (holder.request != ours.request).then_some(holder)
}
