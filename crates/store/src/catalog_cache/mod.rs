//! The catalog in memory: the lists and names of projects and pushes, read when a request needs them. Those of projects
//! are checked against the store when they are no longer fresh, and still used while the store does not answer.
//!
//! Both the function that serves lists and the one that triggers jobs use it. It is a module of this crate and not a
//! crate of its own, because its contents are what `CatalogTable` reads, and both users depend on this crate anyway. It
//! knows neither HTTP nor the log: callers turn `CatalogError` into an answer and `ReadStats` into a log line.

mod error;
mod list;
mod push;
mod reports;
mod stats;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use catalog::list::{Names, is_project_name};
use catalog::suggest::suggest;
use chrono::{DateTime, TimeDelta, Utc};
use runtime::{CacheEntry, CacheStatus, Cached, Clock};

pub use self::error::CatalogError;
pub use self::list::{List, SearchableList};
pub use self::stats::ReadStats;
use crate::{CatalogTable, Consistency, ListOwner, ListPointer, Report, StoreError};

/// Maximum number of projects in memory of which it is not known whether they exist, while the store does not answer.
const MAX_UNCHECKED: usize = 500;
/// Maximum time of one read, with all its requests and the pauses between them. An answer takes three reads at most,
/// and Lambda ends the functions after ten seconds (`Timeout` in infra/template.yaml).
const READ_TIMEOUT: Duration = Duration::from_secs(3);
/// How many similar names of projects are suggested.
const MAX_SUGGESTIONS: usize = 3;

/// The catalog in memory.
pub struct CatalogCache {
    table: CatalogTable,
    fresh: TimeDelta,
    max_bytes: usize,
    clock: Clock,
    /// By `ListOwner::unique_name`.
    owners: Mutex<HashMap<String, Arc<Owner>>>,
    /// The number of requests so far, to find the least recently used list.
    requests: AtomicU64,
    known_projects: Cached<Arc<BTreeSet<String>>>,
    pointers: Cached<Arc<BTreeMap<String, ListPointer>>>,
    reports: Cached<Arc<Vec<Report>>>,
    heartbeat_reports: Cached<Arc<Vec<Report>>>,
}

/// A project or a push in memory.
#[derive(Default)]
struct Owner {
    /// Of a project; `None` if the store has no such project.
    pointer: Cached<Option<Arc<ListPointer>>>,
    list: Cached<Arc<List>>,
    searchable: Cached<Arc<SearchableList>>,
    names: Cached<Arc<ListNames>>,
    /// Bytes of memory that it used after its last request.
    bytes: AtomicUsize,
    /// The number of the last request for it.
    last_used: AtomicU64,
}

/// The names of a list's jobs, and the ETag of the list.
struct ListNames {
    etag: String,
    names: Arc<Names>,
}

/// A value of the catalog, where it comes from, and its age if it may be out of date.
#[derive(Debug, Clone)]
pub struct Found<T> {
    /// The value.
    pub value: T,
    /// Where it comes from.
    pub status: CacheStatus,
    /// Seconds since the store confirmed the value, if the store does not answer now.
    pub stale_for: Option<i64>,
}

impl CatalogCache {
    /// The catalog in `table`. Data is used for the time `fresh` before the store is asked whether it is current, and
    /// lists use at most `max_bytes` of memory, except the one that was requested last.
    pub fn new(table: CatalogTable, fresh: TimeDelta, max_bytes: usize, clock: Clock) -> Self {
        Self {
            table,
            fresh,
            max_bytes,
            clock,
            owners: Mutex::default(),
            requests: AtomicU64::new(0),
            known_projects: Cached::default(),
            pointers: Cached::default(),
            reports: Cached::default(),
            heartbeat_reports: Cached::default(),
        }
    }

    /// A project's pointer.
    ///
    /// # Errors
    /// There is no such project, or the store does not answer.
    pub async fn pointer(&self, name: &str, stats: &ReadStats) -> Result<Found<Arc<ListPointer>>, CatalogError> {
        if !is_project_name(name.as_bytes()) {
            return Err(self.unknown(name, stats).await);
        }
        // Reading the store for every unknown name would let anyone run up its bill.
        if !self.owners().contains_key(name) && self.is_known_to_be_absent(name) {
            return Err(self.unknown(name, stats).await);
        }
        let project = self.entry(name.into());
        let load = async || self.read(stats, async |table| Ok(table.pointer(name).await?.map(Arc::new))).await;
        match project.pointer.get(&self.clock, |entry, now| self.is_fresh(entry, now), load).await {
            Ok((CacheEntry { value: Some(pointer), at }, from)) => {
                Ok(self.found((CacheEntry { value: pointer, at }, from)))
            }
            Ok((CacheEntry { value: None, .. }, _)) => {
                self.evict(name);
                Err(self.unknown(name, stats).await)
            }
            Err(unavailable) => {
                // The entry remembers that the store failed. The number of entries for unchecked names is limited.
                if self.owners().len() > MAX_UNCHECKED {
                    self.evict(name);
                }
                Err(unavailable.into())
            }
        }
    }

    /// The list that a pointer names; if it cannot be read, the list before it.
    ///
    /// # Errors
    /// The list cannot be read, and there is none in memory.
    pub async fn list<'o>(
        &self,
        owner: impl Into<ListOwner<'o>>,
        pointer: &Arc<ListPointer>,
        stats: &ReadStats,
    ) -> Result<Found<Arc<List>>, CatalogError> {
        let owner = owner.into();
        let cached = self.entry(owner);
        let is_current = |entry: &CacheEntry<Arc<List>>, _| entry.value.pointer.etag == pointer.etag;
        let load = async || self.read_list(owner, pointer, stats).await;
        let found = self.found(cached.list.get(&self.clock, is_current, load).await?);
        self.mark_used(owner, &cached);
        Ok(found)
    }

    /// The jobs of the list that a pointer names; if it cannot be read, of the list before it.
    ///
    /// # Errors
    /// The list cannot be read, and none is in memory.
    pub async fn searchable_list<'o>(
        &self,
        owner: impl Into<ListOwner<'o>>,
        pointer: &Arc<ListPointer>,
        stats: &ReadStats,
    ) -> Result<Found<Arc<SearchableList>>, CatalogError> {
        let owner = owner.into();
        let cached = self.entry(owner);
        let is_current = |entry: &CacheEntry<Arc<SearchableList>>, _| entry.value.pointer.etag == pointer.etag;
        let load = async || {
            let listing = self.of_list(owner, &cached, pointer, stats).await?;
            Ok::<_, StoreError>(Arc::new(SearchableList { pointer: pointer.clone(), listing }))
        };
        let found = self.found(cached.searchable.get(&self.clock, is_current, load).await?);
        self.mark_used(owner, &cached);
        Ok(found)
    }

    /// The names of a project's jobs; if the current list cannot be read, those of the list before it.
    ///
    /// # Errors
    /// There is no such project, or its list cannot be read and there are no names in memory.
    pub async fn names(&self, name: &str, stats: &ReadStats) -> Result<Found<Arc<Names>>, CatalogError> {
        let pointer = self.pointer(name, stats).await?.value;
        self.names_of(name, &pointer, stats).await
    }

    /// The names of the jobs of the list that a pointer names; if it cannot be read, of the list before it.
    ///
    /// # Errors
    /// The list cannot be read, and there are no names in memory.
    pub async fn names_of<'o>(
        &self,
        owner: impl Into<ListOwner<'o>>,
        pointer: &Arc<ListPointer>,
        stats: &ReadStats,
    ) -> Result<Found<Arc<Names>>, CatalogError> {
        let owner = owner.into();
        let cached = self.entry(owner);
        let is_current = |entry: &CacheEntry<Arc<ListNames>>, _| entry.value.etag == pointer.etag;
        let load = async || {
            let names = self.of_list(owner, &cached, pointer, stats).await?;
            Ok::<_, StoreError>(Arc::new(ListNames { etag: pointer.etag.clone(), names: Arc::new(names) }))
        };
        let Found { value, status, stale_for } = self.found(cached.names.get(&self.clock, is_current, load).await?);
        self.mark_used(owner, &cached);
        Ok(Found { value: value.names.clone(), status, stale_for })
    }

    /// The pointers of all projects.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn pointers(&self, stats: &ReadStats) -> Result<Found<Arc<BTreeMap<String, ListPointer>>>, CatalogError> {
        let names = self.known_projects(stats).await?;
        let load = async || {
            self.read(stats, async |table| {
                let mut pointers = BTreeMap::new();
                for (name, pointer) in table.pointers(names.iter().map(String::as_str), Consistency::Eventual).await? {
                    match pointer {
                        Ok(pointer) => drop(pointers.insert(name, pointer)),
                        Err(error) => {
                            tracing::error!(project = name, %error, "a project is skipped");
                            stats.add_damaged();
                        }
                    }
                }
                Ok(Arc::new(pointers))
            })
            .await
        };
        Ok(self.found(self.pointers.get(&self.clock, |entry, now| self.is_fresh(entry, now), load).await?))
    }

    /// Uses the table within the time limit, and records the cost.
    async fn read<T>(
        &self,
        stats: &ReadStats,
        read: impl AsyncFnOnce(&CatalogTable) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let table = self.table.metered();
        // In a box: the compiler limits how deep futures are nested.
        let result = match tokio::time::timeout(READ_TIMEOUT, Box::pin(read(&table))).await {
            Ok(result) => result,
            Err(_) => Err(StoreError::Unreachable {
                action: "reading the catalog".to_owned(),
                reason: format!("no answer within {} s", READ_TIMEOUT.as_secs()),
            }),
        };
        stats.add_read_units(table.usage().read_units);
        if let Err(error) = &result {
            stats.set_error(error.to_string());
        }
        result
    }

    fn found<T>(&self, (entry, status): (CacheEntry<T>, CacheStatus)) -> Found<T> {
        let stale_for = status.is_stale().then(|| ((self.clock)() - entry.at).num_seconds().max(0));
        Found { value: entry.value, status, stale_for }
    }

    fn is_fresh<T>(&self, entry: &CacheEntry<T>, now: DateTime<Utc>) -> bool {
        now - entry.at < self.fresh
    }

    fn is_known_to_be_absent(&self, name: &str) -> bool {
        let known = self.known_projects.peek();
        known.is_some_and(|known| self.is_fresh(&known, (self.clock)()) && !known.value.contains(name))
    }

    async fn known_projects(&self, stats: &ReadStats) -> Result<Arc<BTreeSet<String>>, CatalogError> {
        let load =
            async || self.read(stats, async |table| Ok(Arc::new(table.projects(Consistency::Eventual).await?))).await;
        let is_fresh = |entry: &CacheEntry<_>, now| self.is_fresh(entry, now);
        let (entry, _) = self.known_projects.get(&self.clock, is_fresh, load).await?;
        Ok(entry.value)
    }

    /// The error for a project that does not exist, with suggestions.
    async fn unknown(&self, name: &str, stats: &ReadStats) -> CatalogError {
        // If the names of the projects cannot be read, the answer is still true without suggestions.
        let known = self.known_projects(stats).await.unwrap_or_default();
        let suggestions = suggest(name, known.iter().map(String::as_str), MAX_SUGGESTIONS);
        CatalogError::UnknownProject { suggestions: suggestions.into_iter().map(str::to_owned).collect() }
    }

    /// The entry of a project or a push, which is made if there is none.
    fn entry(&self, owner: ListOwner<'_>) -> Arc<Owner> {
        let name = owner.unique_name();
        let mut owners = self.owners();
        match owners.get(&*name) {
            Some(cached) => cached.clone(),
            None => owners.entry(name.into_owned()).or_default().clone(),
        }
    }

    fn evict(&self, name: &str) {
        self.owners().remove(name);
    }

    /// Records that a list was requested, and evicts the least recently used others while they use too much memory.
    fn mark_used(&self, owner: ListOwner<'_>, cached: &Owner) {
        let name = owner.unique_name();
        cached.bytes.store(cached.bytes(), Ordering::Relaxed);
        cached.last_used.store(self.requests.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        let mut owners = self.owners();
        loop {
            let bytes: usize = owners.values().map(|owner| owner.bytes.load(Ordering::Relaxed)).sum();
            let others = owners.iter().filter(|(other, _)| **other != *name);
            let oldest = others.min_by_key(|(_, owner)| owner.last_used.load(Ordering::Relaxed));
            match oldest.map(|(oldest, _)| oldest.clone()) {
                Some(oldest) if bytes > self.max_bytes => owners.remove(&oldest),
                _ => break,
            };
        }
    }

    fn owners(&self) -> MutexGuard<'_, HashMap<String, Arc<Owner>>> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Owner {
    /// Bytes of memory that it uses, roughly.
    fn bytes(&self) -> usize {
        let list = self.list.peek().map_or(0, |entry| entry.value.bytes());
        let searchable = self.searchable.peek().map_or(0, |entry| entry.value.listing.bytes());
        list + searchable + self.names.peek().map_or(0, |entry| entry.value.names.bytes())
    }
}
