//! The names of each project's jobs as this function holds them: read when they are first needed, asked about when they
//! are no longer fresh, and used on while the store does not answer.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use catalog::jobs::unpack;
use catalog::names::Names;
use catalog::suggest::suggest;
use chrono::TimeDelta;
use store::cached::{CacheEntry, CacheStatus, Cached, Clock, Unavailable};
use store::{CatalogTable, Consistency, ListPointer, StoreError};

use crate::call_log::CallLog;
use crate::error::TriggerError;

/// The catalog.
pub struct CatalogCache {
    table: CatalogTable,
    fresh: TimeDelta,
    clock: Clock,
    projects: Mutex<HashMap<String, Arc<Project>>>,
    known: Cached<Arc<BTreeSet<String>>>,
}

#[derive(Default)]
struct Project {
    pointer: Cached<Option<Arc<ListPointer>>>,
    names: Cached<(String, Arc<Names>)>,
}

impl CatalogCache {
    /// The catalog in `table`; what was read of it is used for so long.
    pub fn new(table: CatalogTable, fresh: TimeDelta, clock: Clock) -> Self {
        Self { table, fresh, clock, projects: Mutex::default(), known: Cached::default() }
    }

    /// The names of a project's jobs.
    ///
    /// # Errors
    /// There is no such project, or the store does not answer.
    pub async fn names(&self, project: &str, log: &CallLog) -> Result<Arc<Names>, TriggerError> {
        let held = self.projects().get(project).cloned();
        let held = match held {
            Some(held) => held,
            // Names that do not exist cost nothing once it is known which do.
            None if !self.known(log).await?.contains(project) => {
                return Err(self.unknown(project, log).await);
            }
            None => self.projects().entry(project.to_owned()).or_default().clone(),
        };
        let load = async || self.read(log, async |table| Ok(table.pointer(project).await?.map(Arc::new))).await;
        let is_fresh = |held: &CacheEntry<_>, now| now - held.at < self.fresh;
        let (pointer, _) = held.pointer.get(&self.clock, is_fresh, load).await.map_err(unavailable)?;
        let Some(pointer) = pointer.value else {
            self.projects().remove(project);
            return Err(self.unknown(project, log).await);
        };
        let is_current = |held: &CacheEntry<(String, Arc<Names>)>, _| held.value.0 == pointer.etag;
        let load = async || {
            let gzip = self.read(log, async |table| table.list(project, &pointer).await).await?;
            let damaged = |what: String| StoreError::Damaged { key: format!("list#{}", pointer.etag), what };
            let body = unpack(&gzip).map_err(|error| damaged(error.to_string()))?;
            let names = Names::read(&body).map_err(|error| damaged(error.to_string()))?;
            Ok((pointer.etag.clone(), Arc::new(names)))
        };
        let (names, from) = held.names.get(&self.clock, is_current, load).await.map_err(unavailable)?;
        if from == CacheStatus::Stale {
            log.mark_stale();
        }
        Ok(names.value.1)
    }

    async fn known(&self, log: &CallLog) -> Result<Arc<BTreeSet<String>>, TriggerError> {
        let load =
            async || self.read(log, async |table| Ok(Arc::new(table.projects(Consistency::Eventual).await?))).await;
        let is_fresh = |held: &CacheEntry<_>, now| now - held.at < self.fresh;
        let (held, _) = self.known.get(&self.clock, is_fresh, load).await.map_err(unavailable)?;
        Ok(held.value)
    }

    async fn unknown(&self, project: &str, log: &CallLog) -> TriggerError {
        let known = self.known(log).await.unwrap_or_default();
        let closest = suggest(project, known.iter().map(String::as_str), 3);
        let closest = closest.into_iter().map(ToString::to_string).collect();
        TriggerError::UnknownProject { project: project.to_owned(), closest }
    }

    async fn read<T>(
        &self,
        log: &CallLog,
        read: impl AsyncFnOnce(&CatalogTable) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let table = self.table.metered();
        let result = read(&table).await;
        log.add_read_units(table.usage().read_units);
        if let Err(error) = &result {
            log.set_error(error);
        }
        result
    }

    fn projects(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Project>>> {
        self.projects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn unavailable(Unavailable(reason): Unavailable) -> TriggerError {
    TriggerError::CatalogUnavailable(reason)
}
