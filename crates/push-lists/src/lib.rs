//! The lists of pushes. A push's list has the jobs of its decision task's task graph, and the Buildbot jobs of its
//! project. The first request for it fetches the graph and keeps the list in the catalog table; later requests read it
//! there ([ADR 0033](../../../docs/adr/0033-a-pushs-list-is-made-once.md)).

mod error;
mod first_use;
mod problems;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use catalog::taskcluster::TaskId;
use chrono::{DateTime, TimeDelta, Utc};
use runtime::{CacheEntry, CacheStatus, Cached, Clock, Unavailable};
use store::{CatalogCache, ListPointer, PushPointer, ReadStats};
use taskcluster::{IndexPaths, Taskcluster, TaskclusterSettings};

pub use crate::error::PushListError;
pub use crate::problems::ERROR_CODES;

/// Maximum number of pushes, and of revisions, in memory. The lists themselves are in the catalog's cache.
const MAX_CACHED: usize = 1000;
/// How long the Index is not asked again about a revision that it does not know.
const UNKNOWN_REVISION_TTL: TimeDelta = TimeDelta::seconds(15);

/// How long the Index is asked for a decision task, and how long the first use of a list may take. Lambda ends the jobs
/// function after ten seconds (`Timeout` in infra/template.yaml), and its client then gets no answer of ours.
const FIND_TIME: Duration = Duration::from_secs(2);
const FIRST_USE_TIME: Duration = Duration::from_secs(6);

/// The lists of pushes.
pub struct PushLists {
    taskcluster: Taskcluster,
    /// The address of Taskcluster, for the provenance of lists.
    root_url: String,
    projects: BTreeMap<String, IndexPaths>,
    clock: Clock,
    pushes: Mutex<HashMap<TaskId, Arc<Cached<Lookup>>>>,
    revisions: Mutex<HashMap<PushName, Arc<Cached<Option<TaskId>>>>>,
}

/// The project and the revision of a push.
type PushName = (String, String);

/// What is known of a push.
type Lookup = Result<Arc<PushList>, PushListError>;

/// A push's list in the store.
#[derive(Debug)]
struct PushList {
    pushed: PushPointer,
    list: Arc<ListPointer>,
}

impl From<PushPointer> for PushList {
    fn from(pushed: PushPointer) -> Self {
        let list = Arc::new(pushed.list.clone());
        Self { pushed, list }
    }
}

impl PushLists {
    /// The lists of the pushes that a Taskcluster knows.
    pub fn new(settings: TaskclusterSettings, clock: Clock) -> Self {
        Self {
            root_url: settings.root_url.as_str().trim_end_matches('/').to_owned(),
            projects: settings.projects.clone(),
            taskcluster: Taskcluster::new(settings),
            clock,
            pushes: Mutex::default(),
            revisions: Mutex::default(),
        }
    }

    /// The pointer to the list of a push of `project`. The first time, the list is made; of several callers in one process
    /// one makes it. `catalog` then reads the list.
    ///
    /// # Errors
    /// There is no such list, or it cannot be made now.
    pub async fn pointer(
        &self,
        catalog: &CatalogCache,
        project: &str,
        decision_task: &TaskId,
        stats: &ReadStats,
    ) -> Result<Arc<ListPointer>, PushListError> {
        let cached = entry(&mut lock(&self.pushes), decision_task.clone());
        let is_current = |entry: &CacheEntry<Lookup>, now: DateTime<Utc>| match &entry.value {
            Ok(list) => list.pushed.is_usable(now),
            Err(error) => now - entry.at < error.time_to_live(),
        };
        let load = async || {
            if let Some(kept) = catalog.push_pointer(decision_task, stats).await? {
                return Ok(Ok(Arc::new(kept.into())));
            }
            let made = in_time(FIRST_USE_TIME, self.make(catalog, project, decision_task, stats)).await;
            Ok::<Lookup, store::StoreError>(made.map(|made| Arc::new(made.into())))
        };
        let (entry, _) = cached.get(&self.clock, is_current, load).await.map_err(unavailable)?;
        let found = entry.value?;
        if found.pushed.project != project {
            // That there is no such project is a better answer.
            catalog.pointer(project, stats).await.map_err(|error| PushListError::of_catalog(project, error))?;
            let (task, of) = (decision_task.clone(), found.pushed.project.clone());
            return Err(PushListError::OtherProject { task, project: project.to_owned(), of });
        }
        Ok(found.list.clone())
    }

    /// The decision task of the push with a revision.
    ///
    /// # Errors
    /// The Index has none, or cannot be asked.
    pub async fn decision_task(&self, project: &str, revision: &str) -> Result<TaskId, PushListError> {
        let unknown = || PushListError::UnknownRevision { project: project.to_owned(), revision: revision.to_owned() };
        let path = self.projects.get(project).and_then(|paths| paths.of_revision(revision)).ok_or_else(unknown)?;
        let cached = entry(&mut lock(&self.revisions), (project.to_owned(), revision.to_owned()));
        let is_current = |entry: &CacheEntry<Option<TaskId>>, now: DateTime<Utc>| {
            entry.value.is_some() || now - entry.at < UNKNOWN_REVISION_TTL
        };
        let mut failure = None;
        let load = async || {
            let find = async { self.taskcluster.find_task(&path).await.map_err(PushListError::from) };
            in_time(FIND_TIME, find).await.map_err(|error| {
                let reason = error.cause().map_or_else(|| error.to_string(), ToOwned::to_owned);
                failure = Some(error);
                reason
            })
        };
        match cached.get(&self.clock, is_current, load).await {
            Ok((CacheEntry { value: Some(task), .. }, _)) => Ok(task),
            Ok((_, CacheStatus::Stale { reason })) | Err(Unavailable(reason)) => {
                Err(failure.unwrap_or(PushListError::TaskclusterUnavailable { retry_after: None, reason }))
            }
            Ok(_) => Err(unknown()),
        }
    }
}

/// What an action gives if it ends in time.
async fn in_time<T>(
    time: Duration,
    action: impl Future<Output = Result<T, PushListError>>,
) -> Result<T, PushListError> {
    tokio::time::timeout(time, action).await.unwrap_or_else(|_| {
        let reason = format!("no answer within {} s", time.as_secs());
        Err(PushListError::TaskclusterUnavailable { retry_after: None, reason })
    })
}

/// The store does not answer.
fn unavailable(Unavailable(reason): Unavailable) -> PushListError {
    PushListError::CatalogUnavailable(reason)
}

/// The entry of a key, which is made if there is none. If there are too many entries, those that are not in use
/// are dropped.
fn entry<K: std::hash::Hash + Eq, T>(entries: &mut HashMap<K, Arc<Cached<T>>>, key: K) -> Arc<Cached<T>> {
    if entries.len() >= MAX_CACHED && !entries.contains_key(&key) {
        entries.retain(|_, cached| Arc::strong_count(cached) > 1);
    }
    entries.entry(key).or_default().clone()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
