//! A list in memory: as it is served, and as it is searched.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use catalog::list::{BadBody, BadIndex, Listing, Names, body_of_index, pack, unpack};

use super::error::CatalogError;
use super::{CatalogCache, Owner, ReadStats};
use crate::{ListOwner, ListPointer, StoreError};

/// A list as it is stored, with its unpacked form once a request needed it.
pub struct List {
    /// The pointer that named it.
    pub pointer: Arc<ListPointer>,
    /// The list as it is stored.
    pub gzip: Bytes,
    plain: OnceLock<Arc<[u8]>>,
}

impl List {
    pub(super) fn new(pointer: Arc<ListPointer>, gzip: Vec<u8>) -> Self {
        Self { pointer, gzip: gzip.into(), plain: OnceLock::new() }
    }

    /// The list as JSON.
    ///
    /// # Errors
    /// The stored data is not gzip.
    pub fn plain(&self) -> Result<Arc<[u8]>, CatalogError> {
        self.unpacked().map_err(|error| CatalogError::Unavailable(error.to_string()))
    }

    fn unpacked(&self) -> Result<Arc<[u8]>, StoreError> {
        if let Some(plain) = self.plain.get() {
            return Ok(plain.clone());
        }
        let plain = unpack(&self.gzip).map_err(|error| damaged(&self.pointer, &error))?;
        Ok(self.plain.get_or_init(|| plain.into()).clone())
    }

    /// Bytes of memory that it uses, roughly.
    pub(super) fn bytes(&self) -> usize {
        self.gzip.len() + self.plain.get().map_or(0, |plain| plain.len())
    }
}

/// A list whose jobs can be found.
pub struct SearchableList {
    /// The pointer that named it.
    pub pointer: Arc<ListPointer>,
    /// The jobs.
    pub listing: Listing,
}

/// What is made of a list's index, or of its body.
pub(super) trait OfList: Sized {
    fn from_index(index: &[u8], etag: &str) -> Result<Self, BadIndex>;
    fn from_body(body: Arc<[u8]>) -> Result<Self, BadBody>;
    /// The number of jobs.
    fn jobs(&self) -> usize;
}

impl OfList for Listing {
    fn from_index(index: &[u8], etag: &str) -> Result<Self, BadIndex> {
        Self::from_index(index, etag)
    }

    fn from_body(body: Arc<[u8]>) -> Result<Self, BadBody> {
        Self::read(body)
    }

    fn jobs(&self) -> usize {
        self.len()
    }
}

impl OfList for Names {
    fn from_index(index: &[u8], etag: &str) -> Result<Self, BadIndex> {
        Self::from_index(index, etag)
    }

    fn from_body(body: Arc<[u8]>) -> Result<Self, BadBody> {
        Self::read(&body)
    }

    fn jobs(&self) -> usize {
        self.len()
    }
}

impl CatalogCache {
    /// Reads the index of a list and makes `T` of it. Makes it of the body if the index is missing or unusable, and also
    /// if the index cannot be read while the body is in memory.
    pub(super) async fn of_list<T: OfList>(
        &self,
        owner: ListOwner<'_>,
        cached: &Owner,
        pointer: &Arc<ListPointer>,
        stats: &ReadStats,
    ) -> Result<T, StoreError> {
        let in_memory = cached.list.peek().filter(|entry| entry.value.pointer.etag == pointer.etag);
        match self.of_index(owner, pointer, stats).await {
            Ok(Some(made)) => return Ok(made),
            Err(error @ StoreError::Damaged { .. }) => {
                tracing::error!(%owner, %error, "the index is not used");
                stats.add_damaged();
            }
            Err(error) if in_memory.is_none() => return Err(error),
            Ok(None) | Err(_) => {}
        }
        let list = match in_memory {
            Some(entry) => entry.value,
            None => self.read_list(owner, pointer, stats).await?,
        };
        T::from_body(list.unpacked()?).map_err(|error| damaged(pointer, &error))
    }

    /// What the index of a list gives. `None` if there is no index, or if it is that of another release.
    async fn of_index<T: OfList>(
        &self,
        owner: ListOwner<'_>,
        pointer: &ListPointer,
        stats: &ReadStats,
    ) -> Result<Option<T>, StoreError> {
        if pointer.index_parts == 0 {
            return Ok(None);
        }
        let index = self.read(stats, async |table| table.index(owner, pointer).await).await?;
        let damaged =
            |what: String| StoreError::damaged(format!("{} list#{}#index", owner.partition_key(), pointer.etag), what);
        match T::from_index(&index, &pointer.etag) {
            Ok(made) if made.jobs() == pointer.summary.jobs => Ok(Some(made)),
            Ok(made) => Err(damaged(format!("it has {} jobs, not {}", made.jobs(), pointer.summary.jobs))),
            Err(error) if error.is_of_another_release() => {
                tracing::info!(%owner, %error, "the index is not used");
                Ok(None)
            }
            Err(error) => Err(damaged(error.to_string())),
        }
    }

    /// Reads a list from the table. One that is kept as its index alone is packed again.
    pub(super) async fn read_list(
        &self,
        owner: ListOwner<'_>,
        pointer: &Arc<ListPointer>,
        stats: &ReadStats,
    ) -> Result<Arc<List>, StoreError> {
        let gzip = if pointer.parts == 0 {
            let index = self.read(stats, async |table| table.index(owner, pointer).await).await?;
            let body = body_of_index(&index, &pointer.etag).map_err(|error| damaged(pointer, &error))?;
            pack(&body)
        } else {
            self.read(stats, async |table| table.list(owner, pointer).await).await?
        };
        Ok(Arc::new(List::new(pointer.clone(), gzip)))
    }
}

fn damaged(pointer: &ListPointer, error: &impl ToString) -> StoreError {
    StoreError::damaged(format!("list#{}", pointer.etag), error.to_string())
}
