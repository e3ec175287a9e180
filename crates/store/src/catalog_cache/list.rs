//! A project's list in memory, and what is made of it on demand.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use catalog::list::Listing;
use catalog::list::unpack;

use super::error::CatalogError;
use crate::ListPointer;

/// A project's list as it is stored, with its unpacked and its parsed form once a request needed them.
pub struct List {
    /// The pointer that named it.
    pub pointer: Arc<ListPointer>,
    /// The list as it is stored.
    pub gzip: Bytes,
    plain: OnceLock<Arc<[u8]>>,
    listing: OnceLock<Arc<Listing>>,
}

impl List {
    pub(super) fn new(pointer: Arc<ListPointer>, gzip: Vec<u8>) -> Self {
        Self { pointer, gzip: gzip.into(), plain: OnceLock::new(), listing: OnceLock::new() }
    }

    /// The list as JSON.
    ///
    /// # Errors
    /// The stored data is not gzip.
    pub fn plain(&self) -> Result<Arc<[u8]>, CatalogError> {
        if let Some(plain) = self.plain.get() {
            return Ok(plain.clone());
        }
        let plain = unpack(&self.gzip).map_err(|error| self.damaged(error))?;
        Ok(self.plain.get_or_init(|| plain.into()).clone())
    }

    /// The jobs of the list.
    ///
    /// # Errors
    /// The stored data is not a list.
    pub fn listing(&self) -> Result<Arc<Listing>, CatalogError> {
        if let Some(listing) = self.listing.get() {
            return Ok(listing.clone());
        }
        let listing = Listing::read(self.plain()?).map_err(|error| self.damaged(error))?;
        Ok(self.listing.get_or_init(|| Arc::new(listing)).clone())
    }

    /// Bytes of memory that it uses, roughly.
    pub(super) fn bytes(&self) -> usize {
        let plain = self.plain.get().map_or(0, |plain| plain.len());
        self.gzip.len() + plain + self.listing.get().map_or(0, |listing| listing.bytes())
    }

    fn damaged(&self, error: impl std::fmt::Display) -> CatalogError {
        CatalogError::Unavailable(format!("the stored list {} is damaged: {error}", self.pointer.etag))
    }
}
