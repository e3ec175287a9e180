//! The names of each project's jobs, as the service uses them: reads are recorded in the request's log, and errors are
//! answers.

use std::sync::Arc;

use catalog::names::Names;
use chrono::TimeDelta;
use http_api::{Problem, RequestLog};
use runtime::Clock;
use store::{CatalogCache, CatalogError, CatalogTable, ReadStats};

use crate::problems::{STORE_UNAVAILABLE, UNKNOWN_PROJECT};

/// After how many seconds a client should ask again when the store does not answer.
const RETRY_AFTER: u32 = 10;

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
    pub async fn names(&self, project: &str, request_log: &RequestLog) -> Result<Arc<Names>, Problem> {
        let stats = ReadStats::default();
        let found = self.0.names(project, &stats).await;
        request_log.add_read_units(stats.read_units());
        if let Some(error) = stats.error() {
            request_log.record("error", error);
        }
        let names = found.map_err(|error| problem(project, error))?;
        if names.status.is_stale() {
            request_log.mark_stale();
        }
        Ok(names.value)
    }
}

fn problem(project: &str, error: CatalogError) -> Problem {
    match error {
        CatalogError::UnknownProject { closest } => {
            let detail = match closest[..] {
                [] => format!("There is no project '{project}'. GET /api/projects/ lists those that there are."),
                _ => format!("There is no project '{project}'. Did you mean {}?", closest.join(", ")),
            };
            Problem::new(&UNKNOWN_PROJECT, detail).with("closest", closest)
        }
        CatalogError::Unavailable(reason) => {
            let detail = "The catalog cannot be read at the moment, so nothing was requested. Please try again in a \
                          few seconds.";
            Problem::new(&STORE_UNAVAILABLE, detail).retry_after(RETRY_AFTER).because(reason)
        }
    }
}
