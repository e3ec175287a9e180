//! The lists of pushes as the cache reads and keeps them.

use catalog::list::PackedList;
use catalog::taskcluster::TaskId;

use super::{CatalogCache, ReadStats};
use crate::{Provenance, PushPointer, StoreError};

impl CatalogCache {
    /// The pointer to the list of a push, if the store keeps it. A damaged pointer counts as none: the list is then kept
    /// anew.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn push_pointer(
        &self,
        decision_task: &TaskId,
        stats: &ReadStats,
    ) -> Result<Option<PushPointer>, StoreError> {
        let now = (self.clock)();
        match self.read(stats, async |table| table.push_pointer(decision_task, now).await).await {
            Err(error @ StoreError::Damaged { .. }) => {
                tracing::error!(%error, "the list of a push is made anew");
                stats.add_damaged();
                Ok(None)
            }
            other => other,
        }
    }

    /// Keeps the list of a push in the store. Returns the pointer to the list of another process that was faster.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn keep_push_list(
        &self,
        decision_task: &TaskId,
        project: &str,
        list: &PackedList,
        provenance: &Provenance,
        stats: &ReadStats,
    ) -> Result<PushPointer, StoreError> {
        let keep =
            async |table: &crate::CatalogTable| table.keep_push_list(decision_task, project, list, provenance).await;
        self.read(stats, keep).await
    }
}
