//! The names of the jobs of projects and pushes, as the service uses them: reads are recorded in the request's log, and
//! errors are answers.

use std::sync::Arc;

use catalog::list::Names;
use catalog::taskcluster::TaskId;
use chrono::TimeDelta;
use push_lists::{PushListError, PushLists};
use runtime::Clock;
use store::{CatalogCache, CatalogError, CatalogTable, Found, ReadStats};
use taskcluster::TaskclusterSettings;

use crate::call_log::CallLog;
use crate::error::TriggerError;

/// The catalog for the service.
pub struct CatalogNames {
    cache: CatalogCache,
    /// `None` if no Taskcluster is configured.
    pushes: Option<PushLists>,
}

impl CatalogNames {
    /// The catalog in `table`. Names are used for the time `fresh` before the store is asked whether they are current,
    /// and use at most `max_bytes` of memory.
    pub fn new(
        table: CatalogTable,
        taskcluster: Option<TaskclusterSettings>,
        fresh: TimeDelta,
        max_bytes: usize,
        clock: Clock,
    ) -> Self {
        let pushes = taskcluster.map(|settings| PushLists::new(settings, clock.clone()));
        Self { cache: CatalogCache::new(table, fresh, max_bytes, clock), pushes }
    }

    /// The names of a project's jobs.
    ///
    /// # Errors
    /// There is no such project, or the store does not answer.
    pub async fn names(&self, project: &str, log: &CallLog) -> Result<Arc<Names>, TriggerError> {
        let stats = ReadStats::default();
        let found = self.cache.names(project, &stats).await;
        finish(found.map_err(|error| of_catalog(project, error)), &stats, log)
    }

    /// The names of the jobs that a request is judged by: those of its push if it names the push's decision task and a
    /// Taskcluster is configured, and otherwise those of its project.
    ///
    /// # Errors
    /// There is no such project or push list, or the store or Taskcluster does not answer.
    pub async fn names_for(
        &self,
        project: &str,
        decision_task: Option<&str>,
        log: &CallLog,
    ) -> Result<Arc<Names>, TriggerError> {
        // An id that no task can have was accepted by an earlier release; no list is kept under it.
        let decision_task = decision_task.and_then(|id| id.parse::<TaskId>().ok());
        let (Some(pushes), Some(decision_task)) = (&self.pushes, decision_task) else {
            return self.names(project, log).await;
        };
        let stats = ReadStats::default();
        let found = async {
            let pointer = pushes.pointer(&self.cache, project, &decision_task, &stats).await;
            let pointer = pointer.map_err(|error| of_push(project, error))?;
            let names = self.cache.names_of(&decision_task, &pointer, &stats).await;
            names.map_err(|error| of_catalog(project, error))
        };
        finish(found.await, &stats, log)
    }
}

/// Records what reading the names cost, and whether they may be out of date.
fn finish(
    found: Result<Found<Arc<Names>>, TriggerError>,
    stats: &ReadStats,
    log: &CallLog,
) -> Result<Arc<Names>, TriggerError> {
    log.add_read_units(stats.read_units());
    if let Some(error) = stats.error() {
        log.set_error(&error);
    }
    let names = found?;
    if names.status.is_stale() {
        log.mark_stale();
    }
    Ok(names.value)
}

fn of_catalog(project: &str, error: CatalogError) -> TriggerError {
    match error {
        CatalogError::UnknownProject { suggestions } => {
            TriggerError::UnknownProject { project: project.to_owned(), suggestions }
        }
        CatalogError::Unavailable(reason) => TriggerError::CatalogUnavailable(reason),
    }
}

fn of_push(project: &str, error: PushListError) -> TriggerError {
    match error {
        PushListError::UnknownProject { suggestions, .. } => {
            TriggerError::UnknownProject { project: project.to_owned(), suggestions }
        }
        PushListError::CatalogUnavailable(reason) => TriggerError::CatalogUnavailable(reason),
        error => TriggerError::NoPushList(error),
    }
}
