//! The fields of a request's log line that handlers add.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde_json::{Map, Value};

/// Collects fields for the log line of one request. Handlers take it as an argument.
#[derive(Debug, Clone, Default)]
pub struct RequestLog(Arc<Mutex<LogFields>>);

#[derive(Debug, Default)]
struct LogFields {
    fields: Map<String, Value>,
    read_units: f64,
    is_stale: bool,
    damaged: u32,
}

impl RequestLog {
    /// Adds a field to the log line, or replaces it.
    pub fn record(&self, field: &str, value: impl Into<Value>) {
        self.with(|log| log.fields.insert(field.to_owned(), value.into()));
    }

    /// Adds to the read units that the store charged.
    pub fn add_read_units(&self, units: f64) {
        self.with(|log| log.read_units += units);
    }

    /// Marks the answer as possibly out of date.
    pub fn mark_stale(&self) {
        self.with(|log| log.is_stale = true);
    }

    /// Adds to the number of stored items that could not be read.
    pub fn add_damaged(&self, items: u32) {
        self.with(|log| log.damaged += items);
    }

    /// The number of stored items that could not be read.
    pub(crate) fn damaged(&self) -> u32 {
        self.with(|log| log.damaged)
    }

    /// The fields, the read units, and whether the answer is stale.
    pub(crate) fn close(&self) -> (Map<String, Value>, f64, bool) {
        self.with(|log| (std::mem::take(&mut log.fields), log.read_units, log.is_stale))
    }

    fn with<T>(&self, act: impl FnOnce(&mut LogFields) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<S: Sync> FromRequestParts<S> for RequestLog {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}
