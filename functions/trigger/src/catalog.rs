//! The names of each project's jobs as this function holds them: read when they are first needed, asked about when they
//! are no longer fresh, and used on while the store does not answer.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use catalog::list::Names;
use catalog::list::unpack;
use catalog::suggest::suggest;
use chrono::TimeDelta;
use http_api::{Problem, RequestLog};
use store::cached::{CacheEntry, CacheStatus, Cached, Clock, Unavailable};
use store::{CatalogTable, Consistency, ListPointer, StoreError};

use crate::problems::{STORE_UNAVAILABLE, UNKNOWN_PROJECT};

/// When to ask again after the store did not answer, in seconds.
const RETRY_AFTER: u32 = 10;

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
    pub async fn names(&self, project: &str, request_log: &RequestLog) -> Result<Arc<Names>, Problem> {
        let held = self.projects().get(project).cloned();
        let held = match held {
            Some(held) => held,
            // Names that do not exist cost nothing once it is known which do.
            None if !self.known(request_log).await?.contains(project) => {
                return Err(self.unknown(project, request_log).await);
            }
            None => self.projects().entry(project.to_owned()).or_default().clone(),
        };
        let load = async || self.read(request_log, async |table| Ok(table.pointer(project).await?.map(Arc::new))).await;
        let is_fresh = |held: &CacheEntry<_>, now| now - held.at < self.fresh;
        let (pointer, _) = held.pointer.get(&self.clock, is_fresh, load).await.map_err(|e| self.unavailable(e))?;
        let Some(pointer) = pointer.value else {
            self.projects().remove(project);
            return Err(self.unknown(project, request_log).await);
        };
        let is_current = |held: &CacheEntry<(String, Arc<Names>)>, _| held.value.0 == pointer.etag;
        let load = async || {
            let gzip = self.read(request_log, async |table| table.list(project, &pointer).await).await?;
            let damaged = |what: String| StoreError::Damaged { key: format!("list#{}", pointer.etag), what };
            let body = unpack(&gzip).map_err(|error| damaged(error.to_string()))?;
            let names = Names::read(&body).map_err(|error| damaged(error.to_string()))?;
            Ok((pointer.etag.clone(), Arc::new(names)))
        };
        let (names, from) = held.names.get(&self.clock, is_current, load).await.map_err(|e| self.unavailable(e))?;
        if from == CacheStatus::Stale {
            request_log.mark_stale();
        }
        Ok(names.value.1)
    }

    async fn known(&self, request_log: &RequestLog) -> Result<Arc<BTreeSet<String>>, Problem> {
        let load = async || {
            self.read(request_log, async |table| Ok(Arc::new(table.projects(Consistency::Eventual).await?))).await
        };
        let is_fresh = |held: &CacheEntry<_>, now| now - held.at < self.fresh;
        let (held, _) = self.known.get(&self.clock, is_fresh, load).await.map_err(|e| self.unavailable(e))?;
        Ok(held.value)
    }

    async fn unknown(&self, project: &str, request_log: &RequestLog) -> Problem {
        let known = self.known(request_log).await.unwrap_or_default();
        let nearest = suggest(project, known.iter().map(String::as_str), 3);
        let detail = match nearest[..] {
            [] => format!("There is no project '{project}'. GET /api/projects/ lists those that there are."),
            _ => format!("There is no project '{project}'. Did you mean {}?", nearest.join(", ")),
        };
        Problem::new(&UNKNOWN_PROJECT, detail).with("closest", nearest)
    }

    async fn read<T>(
        &self,
        request_log: &RequestLog,
        read: impl AsyncFnOnce(&CatalogTable) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let table = self.table.metered();
        let result = read(&table).await;
        request_log.add_read_units(table.usage().read_units);
        if let Err(error) = &result {
            request_log.record("error", error.to_string());
        }
        result
    }

    #[allow(clippy::unused_self, reason = "it reads as the other reasons to say no do")]
    fn unavailable(&self, Unavailable(reason): Unavailable) -> Problem {
        let detail =
            "The catalog cannot be read at the moment, so nothing was requested. Please try again in a few seconds.";
        Problem::new(&STORE_UNAVAILABLE, detail).retry_after(RETRY_AFTER).because(reason)
    }

    fn projects(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Project>>> {
        self.projects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
