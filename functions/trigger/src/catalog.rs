//! The names of each project's jobs, as the service uses them: reads are recorded in the request's log, and errors are
//! answers.

use std::sync::Arc;

use catalog::list::Names;
use chrono::TimeDelta;
use runtime::Clock;
use store::{CatalogCache, CatalogError, CatalogTable, ReadStats};

use crate::call_log::CallLog;
use crate::error::TriggerError;

/// The catalog for the service.
pub struct CatalogNames(CatalogCache);

impl CatalogNames {
    /// The catalog in `table`. Names are used for the time `fresh` before the store is asked whether they are current,
    /// and use at most `max_bytes` of memory.
    pub fn new(table: CatalogTable, fresh: TimeDelta, max_bytes: usize, clock: Clock) -> Self {
        Self(CatalogCache::new(table, fresh, max_bytes, clock))
    }

    /// The names of a project's jobs.
    ///
    /// # Errors
    /// There is no such project, or the store does not answer.
    pub async fn names(&self, project: &str, log: &CallLog) -> Result<Arc<Names>, TriggerError> {
        let stats = ReadStats::default();
        let found = self.0.names(project, &stats).await;
        log.add_read_units(stats.read_units());
        if let Some(error) = stats.error() {
            log.set_error(&error);
        }
        let names = found.map_err(|error| match error {
            CatalogError::UnknownProject { suggestions } => {
                TriggerError::UnknownProject { project: project.to_owned(), suggestions }
            }
            CatalogError::Unavailable(reason) => TriggerError::CatalogUnavailable(reason),
        })?;
        if names.status.is_stale() {
            log.mark_stale();
        }
        Ok(names.value)
    }
}
