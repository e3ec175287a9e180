//! What a request's log line tells beside what the edge sees by itself.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde_json::{Map, Value};

/// Notes of one request, for its log line. Handlers take it as an argument.
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
    /// Notes a field of the log line.
    pub fn record(&self, field: &str, value: impl Into<Value>) {
        self.with(|notes| notes.fields.insert(field.to_owned(), value.into()));
    }

    /// Adds what the store charged for reading, in read units.
    pub fn add_read_units(&self, units: f64) {
        self.with(|notes| notes.read_units += units);
    }

    /// Notes that the answer is older than it should be.
    pub fn mark_stale(&self) {
        self.with(|notes| notes.is_stale = true);
    }

    /// Adds stored items that could not be read.
    pub fn add_damaged(&self, items: u32) {
        self.with(|notes| notes.damaged += items);
    }

    /// How many stored items could not be read.
    pub(crate) fn damaged(&self) -> u32 {
        self.with(|notes| notes.damaged)
    }

    /// The fields, the read units, and whether the answer is stale.
    pub(crate) fn close(&self) -> (Map<String, Value>, f64, bool) {
        self.with(|notes| (std::mem::take(&mut notes.fields), notes.read_units, notes.is_stale))
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
