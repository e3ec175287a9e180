//! The lock of a push: one action at a time runs on it. It is one item, written on condition that no other action holds it.

use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};
use chrono::{DateTime, Utc};
use requests::id::RequestId;
use serde::{Deserialize, Serialize};

use super::RequestsTable;
use super::layout::push_value;
use crate::StoreError;
use crate::items::{Item, is_condition, key, number, table_error};

/// The lock of a push, which an action holds from before its hook is called until it has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushLock {
    /// The project.
    pub project: String,
    /// The push, by its number in Treeherder.
    pub push_id: u64,
    /// The marker of the action that holds the lock. Only this action can release it.
    pub marker: String,
    /// The request of the action.
    pub request: RequestId,
    /// When the lock ends, if it is not released before. Stored in seconds.
    #[serde(with = "chrono::serde::ts_seconds")]
    pub expires_at: DateTime<Utc>,
}

/// The key of the lock of a push.
fn lock_key(project: &str, push_id: u64) -> Item {
    key(&format!("push#{}", push_value(project, push_id)), "action")
}

impl RequestsTable {
    /// Takes the lock of a push. Returns `None` if the action has it now, or else the lock of the action that holds it.
    ///
    /// An action that has the lock already keeps it: the time at which it expires is written. An expired lock
    /// of another action is replaced. Either way it is one write.
    ///
    /// # Errors
    /// The table cannot be written, it is not known whether it was, or the lock of the other action cannot be read. The
    /// latter ends when it expires.
    pub async fn lock_push(&self, lock: &PushLock, now: DateTime<Utc>) -> Result<Option<PushLock>, StoreError> {
        let (project, push_id) = (lock.project.as_str(), lock.push_id);
        let damaged = |error: serde_dynamo::Error| StoreError::DamagedLock {
            push: push_value(project, push_id),
            what: error.to_string(),
        };
        let mut item: Item = serde_dynamo::to_item(lock).map_err(damaged)?;
        item.extend(lock_key(project, push_id));
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
        // The store deletes an expired item late, and a lost answer makes the SDK write once more.
        let put =
            put.condition_expression("attribute_not_exists(#expires_at) OR #expires_at <= :now OR #marker = :marker");
        let put = put.expression_attribute_names("#expires_at", "expires_at");
        let put = put.expression_attribute_names("#marker", "marker");
        let put = put.expression_attribute_values(":now", number(now.timestamp()));
        let put = put.expression_attribute_values(":marker", AttributeValue::S(lock.marker.clone()));
        let holder = self.put_unless_held("locking a push", put).await?;
        let holder = holder.map(|item| serde_dynamo::from_item(item).map_err(damaged)).transpose();
        holder.inspect_err(|error| self.record_damaged(error))
    }

    /// Releases the lock of a push if the action of this marker holds it.
    ///
    /// # Errors
    /// The table cannot be written; the lock then ends when it expires.
    pub async fn unlock_push(&self, project: &str, push_id: u64, marker: &str) -> Result<(), StoreError> {
        let request = self.client.delete_item().table_name(&self.table).set_key(Some(lock_key(project, push_id)));
        let request = request.condition_expression("#marker = :marker").expression_attribute_names("#marker", "marker");
        let request = request.expression_attribute_values(":marker", AttributeValue::S(marker.to_owned()));
        match request.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await {
            Ok(output) => self.count_written(&output.consumed_capacity),
            // There is no lock, for example after an earlier attempt whose answer was lost, or another action holds it.
            Err(error) if is_condition(&error) => self.count(0.0, 1.0),
            Err(error) => return Err(table_error(&self.table, "unlocking a push", &error)),
        }
        Ok(())
    }
}
