//! A value of the store that is kept in memory: read again when it is no longer good, and served on when the store does
//! not answer.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Mutex;

use crate::StoreError;

/// How long a store that failed is left alone: each request that waits for it costs seconds.
const FAILURE_COOLDOWN: TimeDelta = TimeDelta::seconds(5);

/// Tells the time. It is passed in, so that a test can tell another.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// A kept value. Of several who ask at the same time, one reads, and the others wait for it.
#[derive(Debug)]
pub struct Cached<T> {
    state: Mutex<CacheState<T>>,
}

#[derive(Debug)]
struct CacheState<T> {
    entry: Option<CacheEntry<T>>,
    failed: Option<(DateTime<Utc>, String)>,
}

/// A value that is held.
#[derive(Debug, Clone)]
pub struct CacheEntry<T> {
    /// The value.
    pub value: T,
    /// When the store said so.
    pub at: DateTime<Utc>,
}

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheStatus {
    /// It was held.
    Hit,
    /// It was read now.
    Loaded,
    /// It was held, and it is not known whether it is still so: the store does not answer.
    Stale,
}

/// The store does not answer, and nothing is held. Holds the reason, for the log.
#[derive(Debug)]
pub struct Unavailable(pub String);

impl<T> Default for Cached<T> {
    fn default() -> Self {
        Self { state: Mutex::new(CacheState { entry: None, failed: None }) }
    }
}

impl<T: Clone> Cached<T> {
    /// What is held if `is_fresh` says so of it, or else what `load` reads.
    ///
    /// # Errors
    /// It cannot be read, and nothing is held.
    pub async fn get(
        &self,
        clock: &Clock,
        is_fresh: impl Fn(&CacheEntry<T>, DateTime<Utc>) -> bool,
        load: impl AsyncFnOnce() -> Result<T, StoreError>,
    ) -> Result<(CacheEntry<T>, CacheStatus), Unavailable> {
        let mut state = self.state.lock().await;
        let now = clock();
        if let Some(entry) = state.entry.as_ref().filter(|entry| is_fresh(entry, now)) {
            return Ok((entry.clone(), CacheStatus::Hit));
        }
        let cooling_down = state.failed.as_ref().filter(|(at, _)| (now - *at).abs() < FAILURE_COOLDOWN);
        let reason = match cooling_down {
            Some((_, reason)) => reason.clone(),
            None => match load().await {
                Ok(value) => {
                    let entry = CacheEntry { value, at: now };
                    *state = CacheState { entry: Some(entry.clone()), failed: None };
                    return Ok((entry, CacheStatus::Loaded));
                }
                Err(error) => {
                    let reason = error.to_string();
                    // By the clock of now: the attempt took its time.
                    state.failed = Some((clock(), reason.clone()));
                    reason
                }
            },
        };
        match &state.entry {
            Some(entry) => Ok((entry.clone(), CacheStatus::Stale)),
            None => Err(Unavailable(reason)),
        }
    }

    /// What is held, unless somebody is reading it just now.
    pub fn peek(&self) -> Option<CacheEntry<T>> {
        self.state.try_lock().ok()?.entry.clone()
    }
}
