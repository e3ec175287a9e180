//! The names of each project's jobs as this function holds them: read when they are first needed, asked about when they
//! are no longer fresh, and used on while the store does not answer.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use catalog::closest::closest;
use catalog::jobs::unpack;
use catalog::names::Names;
use chrono::TimeDelta;
use http_edge::{Ledger, Problem};
use store::kept::{Clock, Held, Kept, ReadFrom, Unavailable};
use store::{CatalogTable, Current, Read, StoreError};

use crate::problems::{STORE_UNAVAILABLE, UNKNOWN_PROJECT};

/// When to ask again after the store did not answer, in seconds.
const RETRY_AFTER: u32 = 10;

/// The catalog.
pub struct Catalog {
    table: CatalogTable,
    fresh: TimeDelta,
    clock: Clock,
    projects: Mutex<HashMap<String, Arc<Project>>>,
    known: Kept<Arc<BTreeSet<String>>>,
}

#[derive(Default)]
struct Project {
    pointer: Kept<Option<Arc<Current>>>,
    names: Kept<(String, Arc<Names>)>,
}

impl Catalog {
    /// The catalog in `table`; what was read of it is used for so long.
    pub fn new(table: CatalogTable, fresh: TimeDelta, clock: Clock) -> Self {
        Self { table, fresh, clock, projects: Mutex::default(), known: Kept::default() }
    }

    /// The names of a project's jobs.
    ///
    /// # Errors
    /// There is no such project, or the store does not answer.
    pub async fn names(&self, project: &str, ledger: &Ledger) -> Result<Arc<Names>, Problem> {
        let held = self.projects().get(project).cloned();
        let held = match held {
            Some(held) => held,
            // Names that do not exist cost nothing once it is known which do.
            None if !self.known(ledger).await?.contains(project) => return Err(self.unknown(project, ledger).await),
            None => self.projects().entry(project.to_owned()).or_default().clone(),
        };
        let load = async || self.read(ledger, async |table| Ok(table.current(project).await?.map(Arc::new))).await;
        let is_fresh = |held: &Held<_>, now| now - held.at < self.fresh;
        let (pointer, _) = held.pointer.get(&self.clock, is_fresh, load).await.map_err(|e| self.unavailable(e))?;
        let Some(current) = pointer.value else {
            self.projects().remove(project);
            return Err(self.unknown(project, ledger).await);
        };
        let is_current = |held: &Held<(String, Arc<Names>)>, _| held.value.0 == current.etag;
        let load = async || {
            let gzip = self.read(ledger, async |table| table.list(project, &current).await).await?;
            let damaged = |what: String| StoreError::Damaged { key: format!("list#{}", current.etag), what };
            let body = unpack(&gzip).map_err(|error| damaged(error.to_string()))?;
            let names = Names::read(&body).map_err(|error| damaged(error.to_string()))?;
            Ok((current.etag.clone(), Arc::new(names)))
        };
        let (names, from) = held.names.get(&self.clock, is_current, load).await.map_err(|e| self.unavailable(e))?;
        if from == ReadFrom::Stale {
            ledger.is_stale();
        }
        Ok(names.value.1)
    }

    async fn known(&self, ledger: &Ledger) -> Result<Arc<BTreeSet<String>>, Problem> {
        let load = async || self.read(ledger, async |table| Ok(Arc::new(table.projects(Read::Eventual).await?))).await;
        let is_fresh = |held: &Held<_>, now| now - held.at < self.fresh;
        let (held, _) = self.known.get(&self.clock, is_fresh, load).await.map_err(|e| self.unavailable(e))?;
        Ok(held.value)
    }

    async fn unknown(&self, project: &str, ledger: &Ledger) -> Problem {
        let known = self.known(ledger).await.unwrap_or_default();
        let nearest = closest(project, known.iter().map(String::as_str), 3);
        let detail = match nearest[..] {
            [] => format!("There is no project '{project}'. GET /api/projects/ lists those that there are."),
            _ => format!("There is no project '{project}'. Did you mean {}?", nearest.join(", ")),
        };
        Problem::new(&UNKNOWN_PROJECT, detail).with("closest", nearest)
    }

    async fn read<T>(
        &self,
        ledger: &Ledger,
        read: impl AsyncFnOnce(&CatalogTable) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let table = self.table.metered();
        let result = read(&table).await;
        ledger.add_read_units(table.usage().read_units);
        if let Err(error) = &result {
            ledger.note("error", error.to_string());
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
