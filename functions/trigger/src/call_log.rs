//! What a call of the service did, for the log of its caller.

use std::sync::{Mutex, PoisonError};

use requests::id::RequestId;
use store::{Cost, RequestsTable};

/// What a call of the service did. The service fills it in; the caller reads it when the call has ended.
#[derive(Debug, Default)]
pub struct CallLog(Mutex<Observations>);

/// The observations of one call.
#[derive(Debug, Clone, Default)]
pub struct Observations {
    /// The request that the call is about.
    pub request: Option<RequestId>,
    /// The last error that did not end the call.
    pub error: Option<String>,
    /// Whether the answer may be older than it should be.
    pub is_stale: bool,
    /// Read units that the store charged.
    pub read_units: f64,
    /// The cost of the last use of the requests table.
    pub last_cost: Option<Cost>,
    /// Stored items that could not be read.
    pub damaged: u32,
}

impl CallLog {
    /// What was observed so far.
    pub fn observations(&self) -> Observations {
        self.with(|observed| observed.clone())
    }

    pub(crate) fn set_request(&self, id: RequestId) {
        self.with(|observed| observed.request = Some(id));
    }

    pub(crate) fn set_error(&self, error: &impl ToString) {
        let error = error.to_string();
        self.with(|observed| observed.error = Some(error));
    }

    pub(crate) fn mark_stale(&self) {
        self.with(|observed| observed.is_stale = true);
    }

    pub(crate) fn add_read_units(&self, units: f64) {
        self.with(|observed| observed.read_units += units);
    }

    fn add_cost(&self, cost: Cost) {
        self.with(|observed| {
            observed.read_units += cost.read_units;
            observed.damaged += cost.damaged;
            // The jobs of a small request are read with it: to add them is no use of the table.
            if cost.operations > 0 || observed.last_cost.is_none() {
                observed.last_cost = Some(cost);
            }
        });
    }

    fn with<T>(&self, act: impl FnOnce(&mut Observations) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The requests table with a meter of its own, which adds its cost to a log when it is dropped.
pub(crate) struct MeteredTable<'l> {
    table: RequestsTable,
    log: &'l CallLog,
}

impl<'l> MeteredTable<'l> {
    pub(crate) fn new(table: &RequestsTable, log: &'l CallLog) -> Self {
        Self { table: table.metered(), log }
    }
}

impl std::ops::Deref for MeteredTable<'_> {
    type Target = RequestsTable;

    fn deref(&self) -> &RequestsTable {
        &self.table
    }
}

impl Drop for MeteredTable<'_> {
    fn drop(&mut self) {
        self.log.add_cost(self.table.cost());
    }
}
