//! The lists of pushes: what a decision task's task graph can run, kept since its first use.

use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};
use catalog::list::PackedList;
use catalog::taskcluster::TaskId;
use chrono::{DateTime, TimeDelta, Utc};

use super::{CatalogTable, Consistency, EXPIRES_AT, ListOwner, ListPointer, Provenance};
use crate::StoreError;
use crate::items::{Item, count, is_condition, key_of, number, table_error, text};

/// How long a push's list is kept.
const RETENTION: TimeDelta = TimeDelta::days(14);
/// How long before its end a list is no longer used, so that a request that has its pointer can still read its parts.
const MARGIN: TimeDelta = TimeDelta::hours(1);

/// The pointer to the list of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushPointer {
    /// The project that the push belongs to.
    pub project: String,
    /// When the store may delete the list.
    pub expires_at: DateTime<Utc>,
    /// The list.
    pub list: ListPointer,
}

impl PushPointer {
    /// Whether the list can be used. The store deletes expired items late, and its parts one by one.
    pub fn is_usable(&self, now: DateTime<Utc>) -> bool {
        now < self.expires_at - MARGIN
    }

    fn to_item(&self, decision_task: &TaskId) -> Item {
        let mut item = self.list.to_item(decision_task);
        item.insert("project".to_owned(), AttributeValue::S(self.project.clone()));
        item.insert(EXPIRES_AT.to_owned(), number(self.expires_at.timestamp()));
        item
    }

    fn from_item(item: &Item) -> Result<Self, StoreError> {
        let expires_at = DateTime::from_timestamp(count(item, EXPIRES_AT)?, 0);
        Ok(Self {
            project: text(item, "project")?.to_owned(),
            expires_at: expires_at.ok_or_else(|| StoreError::damaged(key_of(item), "expires_at is not a time"))?,
            list: ListPointer::from_item(item)?,
        })
    }
}

impl CatalogTable {
    /// The pointer to the list of a push, if the list is kept and can still be used.
    ///
    /// # Errors
    /// The table cannot be read, or the pointer is damaged.
    pub async fn push_pointer(
        &self,
        decision_task: &TaskId,
        now: DateTime<Utc>,
    ) -> Result<Option<PushPointer>, StoreError> {
        let item = self.pointer_item(decision_task.into(), Consistency::Eventual).await?;
        let pointer = item.map(|item| PushPointer::from_item(&item)).transpose()?;
        // An index of another release cannot be read: the list is then made again.
        Ok(pointer.filter(|pointer| pointer.is_usable(now) && !pointer.list.is_outdated()))
    }

    /// Keeps the list of a push: its parts first, then the pointer. If another process keeps one meanwhile, returns the
    /// pointer to that one.
    ///
    /// # Errors
    /// The table cannot be written.
    pub async fn keep_push_list(
        &self,
        decision_task: &TaskId,
        project: &str,
        list: &PackedList,
        provenance: &Provenance,
    ) -> Result<PushPointer, StoreError> {
        let now = provenance.updated_at;
        let pointer = PushPointer {
            project: project.to_owned(),
            expires_at: now + RETENTION,
            list: ListPointer::new(list, 1, provenance),
        };
        let owner = ListOwner::Push(decision_task);
        self.write_parts(owner, list, now, Some(pointer.expires_at)).await?;
        if self.put_push_pointer(decision_task, &pointer, true).await? {
            return Ok(pointer);
        }
        let item = self.pointer_item(owner, Consistency::Consistent).await?;
        if let Some(Ok(other)) = item.map(|item| PushPointer::from_item(&item))
            && !other.list.is_outdated()
        {
            return Ok(other);
        }
        // It is damaged or of another release, or was deleted a moment ago.
        self.put_push_pointer(decision_task, &pointer, false).await?;
        Ok(pointer)
    }

    /// Writes a pointer, `if_absent` only where there is none that can be used. Returns whether it was written.
    async fn put_push_pointer(
        &self,
        decision_task: &TaskId,
        pointer: &PushPointer,
        if_absent: bool,
    ) -> Result<bool, StoreError> {
        let action = || format!("writing the pointer of {}", ListOwner::Push(decision_task));
        let mut request = self.client.put_item().table_name(&self.table).set_item(Some(pointer.to_item(decision_task)));
        if if_absent {
            let unusable = pointer.list.provenance.updated_at + MARGIN;
            request = request
                .condition_expression("attribute_not_exists(expires_at) OR expires_at <= :unusable")
                .expression_attribute_values(":unusable", number(unusable.timestamp()));
        }
        match request.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await {
            Ok(output) => {
                self.count_written(1, &output.consumed_capacity);
                Ok(true)
            }
            Err(error) if is_condition(&error) => Ok(false),
            Err(error) => Err(table_error(&self.table, action(), &error)),
        }
    }
}
