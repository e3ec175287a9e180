//! A value of the store that is kept in memory: read again when it is no longer good, and served on when the store does
//! not answer.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Mutex;

use crate::StoreError;

/// How long a store that failed is left alone: each request that waits for it costs seconds.
const LEFT_ALONE: TimeDelta = TimeDelta::seconds(5);

/// Tells the time. It is passed in, so that a test can tell another.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// A kept value. Of several who ask at the same time, one reads, and the others wait for it.
#[derive(Debug)]
pub struct Kept<T> {
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    held: Option<Held<T>>,
    failed: Option<(DateTime<Utc>, String)>,
}

/// A value that is held.
#[derive(Debug, Clone)]
pub struct Held<T> {
    /// The value.
    pub value: T,
    /// When the store said so.
    pub at: DateTime<Utc>,
}

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadFrom {
    /// It was held.
    Memory,
    /// It was read now.
    Store,
    /// It was held, and it is not known whether it is still so: the store does not answer.
    Stale,
}

/// The store does not answer, and nothing is held. Holds the reason, for the log.
#[derive(Debug)]
pub struct Unavailable(pub String);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self { state: Mutex::new(State { held: None, failed: None }) }
    }
}

impl<T: Clone> Kept<T> {
    /// What is held if `is_good` says so of it, or else what `load` reads.
    ///
    /// # Errors
    /// It cannot be read, and nothing is held.
    pub async fn get(
        &self,
        clock: &Clock,
        is_good: impl Fn(&Held<T>, DateTime<Utc>) -> bool,
        load: impl AsyncFnOnce() -> Result<T, StoreError>,
    ) -> Result<(Held<T>, ReadFrom), Unavailable> {
        let mut state = self.state.lock().await;
        let now = clock();
        if let Some(held) = state.held.as_ref().filter(|held| is_good(held, now)) {
            return Ok((held.clone(), ReadFrom::Memory));
        }
        let left_alone = state.failed.as_ref().filter(|(at, _)| (now - *at).abs() < LEFT_ALONE);
        let reason = match left_alone {
            Some((_, reason)) => reason.clone(),
            None => match load().await {
                Ok(value) => {
                    let held = Held { value, at: now };
                    *state = State { held: Some(held.clone()), failed: None };
                    return Ok((held, ReadFrom::Store));
                }
                Err(error) => {
                    let reason = error.to_string();
                    // By the clock of now: the attempt took its time.
                    state.failed = Some((clock(), reason.clone()));
                    reason
                }
            },
        };
        match &state.held {
            Some(held) => Ok((held.clone(), ReadFrom::Stale)),
            None => Err(Unavailable(reason)),
        }
    }

    /// What is held, unless somebody is reading it just now.
    pub fn peek(&self) -> Option<Held<T>> {
        self.state.try_lock().ok()?.held.clone()
    }
}
