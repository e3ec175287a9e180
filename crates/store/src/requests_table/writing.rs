//! Writes requests: a new one, and its changes. Each change is one call, so all of it is stored or nothing.

use std::time::Duration;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::{TransactWriteItemsError, TransactWriteItemsOutput};
use aws_sdk_dynamodb::types::{AttributeValue, ConsumedCapacity, Put, ReturnConsumedCapacity, TransactWriteItem};
use chrono::{DateTime, Utc};
use requests::job::RequestedJob;
use requests::request::Request;
use runtime::Backoff;

use super::RequestsTable;
use super::layout::{HeadUpdate, RequestItems, damaged, head_key};
use crate::items::{Item, is_condition, number, table_error};
use crate::{Consistency, StoreError};

/// The pauses between attempts at a throttled transaction.
const THROTTLED_BACKOFF: Backoff = Backoff::new(Duration::from_millis(50), 4);
/// The condition that the request is the version that was read.
const IS_SEEN: &str = "#version = :seen";

/// The result of changing a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateResult {
    /// The change is stored.
    Stored,
    /// The request was changed since it was read: nothing was written.
    Conflict,
}

/// What came of an attempt to change a request.
type Attempt = Result<UpdateResult, StoreError>;

impl RequestsTable {
    /// Stores a new request. It exists once the head is written, even if the answer is lost.
    ///
    /// # Errors
    /// The table cannot be written, or it is not known whether it was.
    pub async fn create(&self, request: &Request, jobs: &[RequestedJob], now: DateTime<Utc>) -> Result<(), StoreError> {
        let head = match RequestItems::new(request, jobs, now)? {
            RequestItems::One(head) => head,
            RequestItems::Two { head, jobs } => {
                let action = || format!("storing the jobs of request {}", request.id);
                let put = self.client.put_item().table_name(&self.table).set_item(Some(jobs));
                let put = put.return_consumed_capacity(ReturnConsumedCapacity::Total);
                let output = put.send().await.map_err(|error| table_error(&self.table, action(), &error))?;
                self.count_written(&output.consumed_capacity);
                head
            }
        };
        let action = || format!("storing request {}", request.id);
        let put = self.client.put_item().table_name(&self.table).set_item(Some(head));
        let put = put.condition_expression("attribute_not_exists(pk)");
        let put = put.return_consumed_capacity(ReturnConsumedCapacity::Total);
        match put.send().await {
            Ok(output) => self.count_written(&output.consumed_capacity),
            // No other request has this id: an earlier attempt was successful.
            Err(error) if is_condition(&error) => self.count(0.0, 1.0),
            Err(error) => return Err(table_error(&self.table, action(), &error)),
        }
        Ok(())
    }

    /// Stores the next version of a request and, if they changed, its jobs: all or nothing.
    ///
    /// # Errors
    /// The table cannot be written, or it is not known whether it was.
    pub async fn update(
        &self,
        next: &Request,
        jobs: Option<&[RequestedJob]>,
        now: DateTime<Utc>,
    ) -> Result<UpdateResult, StoreError> {
        let written = match jobs.map(|jobs| RequestItems::new(next, jobs, now)).transpose()? {
            None => self.update_head(next, now).await,
            Some(RequestItems::One(item)) => self.put_whole(next, item).await,
            Some(RequestItems::Two { head, jobs }) => self.put_both(next, head, jobs).await,
        };
        if written? == UpdateResult::Stored {
            return Ok(UpdateResult::Stored);
        }
        self.count(0.0, 1.0);
        // The stored version may be this very change: an earlier attempt whose answer was lost.
        let stored = self.request(next.id, Consistency::Consistent).await?;
        Ok(if stored.as_ref() == Some(next) { UpdateResult::Stored } else { UpdateResult::Conflict })
    }

    /// Changes the head. Its jobs stay where they are.
    async fn update_head(&self, next: &Request, now: DateTime<Utc>) -> Attempt {
        let HeadUpdate { expression, names, mut values } = HeadUpdate::new(next, now)?;
        values.insert(":seen".to_owned(), seen(next));
        let update = self.client.update_item().table_name(&self.table).set_key(Some(head_key(next.id)));
        let update = update.update_expression(expression).condition_expression(IS_SEEN);
        let update = update.set_expression_attribute_names(Some(names)).set_expression_attribute_values(Some(values));
        let output = update.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await;
        self.written(next, output.map(|output| output.consumed_capacity))
    }

    /// Writes a head that has the jobs.
    async fn put_whole(&self, next: &Request, item: Item) -> Attempt {
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
        let put = put.condition_expression(IS_SEEN).expression_attribute_names("#version", "version");
        let put = put.expression_attribute_values(":seen", seen(next));
        let output = put.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await;
        self.written(next, output.map(|output| output.consumed_capacity))
    }

    /// The result of writing one item.
    fn written<E, R>(&self, next: &Request, output: Result<Option<ConsumedCapacity>, SdkError<E, R>>) -> Attempt
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
        R: std::fmt::Debug,
    {
        match output {
            Ok(consumed) => {
                self.count_written(&consumed);
                Ok(UpdateResult::Stored)
            }
            // The second: a transaction, which changes the request too, is not over.
            Err(error) if is_condition(&error) || error.code() == Some("TransactionConflictException") => {
                Ok(UpdateResult::Conflict)
            }
            Err(error) => Err(table_error(&self.table, changing(next), &error)),
        }
    }

    /// Writes a head and the jobs apart from it, in one transaction.
    async fn put_both(&self, next: &Request, head: Item, jobs: Item) -> Attempt {
        let head = Put::builder().table_name(&self.table).set_item(Some(head)).condition_expression(IS_SEEN);
        let head = head.expression_attribute_names("#version", "version");
        let head = head.expression_attribute_values(":seen", seen(next));
        let jobs = Put::builder().table_name(&self.table).set_item(Some(jobs));
        let write = |put: Result<Put, _>| Ok(TransactWriteItem::builder().put(put?).build());
        let writes: Result<Vec<_>, _> = [head.build(), jobs.build()].into_iter().map(write).collect();
        let writes = writes.map_err(|error: aws_sdk_dynamodb::error::BuildError| damaged(next.id, error))?;
        match self.transact(writes).await {
            Ok(output) => {
                self.count_written(output.consumed_capacity());
                Ok(UpdateResult::Stored)
            }
            Err(error) if is_conflict(&error) => Ok(UpdateResult::Conflict),
            Err(error) => Err(table_error(&self.table, changing(next), &error)),
        }
    }

    /// Writes in one transaction. The SDK does not retry a throttled transaction, whose error has another name.
    async fn transact(
        &self,
        writes: Vec<TransactWriteItem>,
    ) -> Result<TransactWriteItemsOutput, SdkError<TransactWriteItemsError>> {
        let mut backoff = THROTTLED_BACKOFF;
        loop {
            let request = self.client.transact_write_items().set_transact_items(Some(writes.clone()));
            let result = request.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await;
            if !result.as_ref().is_err_and(is_throttled) || !backoff.pause().await {
                return result;
            }
        }
    }
}

/// The version that was read.
fn seen(next: &Request) -> AttributeValue {
    number(next.version - 1)
}

fn changing(next: &Request) -> String {
    format!("changing request {}", next.id)
}

/// Whether a transaction failed on its condition or on a concurrent transaction.
fn is_conflict<R>(error: &SdkError<TransactWriteItemsError, R>) -> bool {
    cancelled_by(error).any(|code| ["ConditionalCheckFailed", "TransactionConflict"].contains(&code))
}

fn is_throttled<R>(error: &SdkError<TransactWriteItemsError, R>) -> bool {
    let is_throttling = |code| ["ThrottlingError", "ProvisionedThroughputExceeded"].contains(&code);
    cancelled_by(error).any(is_throttling) && cancelled_by(error).all(|code| code == "None" || is_throttling(code))
}

/// The reasons of a cancelled transaction, one for each of its writes.
fn cancelled_by<R>(error: &SdkError<TransactWriteItemsError, R>) -> impl Iterator<Item = &str> {
    let reasons = match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => cancelled.cancellation_reasons(),
        _ => &[],
    };
    reasons.iter().filter_map(|reason| reason.code())
}
