//! What the reads of one request cost and met.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What the reads of one request cost and met, for the log line of the request.
#[derive(Debug, Default)]
pub struct ReadStats(Mutex<Totals>);

#[derive(Debug, Default)]
struct Totals {
    read_units: f64,
    damaged: u32,
    error: Option<String>,
}

impl ReadStats {
    /// What the store charged, in read units.
    pub fn read_units(&self) -> f64 {
        self.totals().read_units
    }

    /// The number of stored items that could not be read and were skipped.
    pub fn damaged(&self) -> u32 {
        self.totals().damaged
    }

    /// The last error of the store, also if the answer came from memory then.
    pub fn error(&self) -> Option<String> {
        self.totals().error.clone()
    }

    pub(super) fn add_read_units(&self, units: f64) {
        self.totals().read_units += units;
    }

    pub(super) fn add_damaged(&self) {
        self.totals().damaged += 1;
    }

    pub(super) fn set_error(&self, error: String) {
        self.totals().error = Some(error);
    }

    fn totals(&self) -> MutexGuard<'_, Totals> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
