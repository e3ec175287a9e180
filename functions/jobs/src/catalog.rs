//! The catalog as this function holds it: each project's current list in memory, asked for again when it is no longer
//! fresh, and served on when the store does not answer.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use axum::response::Response;
use bytes::Bytes;
use catalog::list::Listing;
use catalog::list::is_project_name;
use catalog::list::unpack;
use catalog::schedule::Cron;
use catalog::suggest::suggest;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use http::HeaderValue;
use http::header::{AGE, WARNING};
use http_api::{Problem, RequestLog};
use store::cached::{CacheEntry, CacheStatus, Cached, Clock, Unavailable};
use store::{CatalogTable, Consistency, ListPointer, Report, StoreError};

use crate::api::Health;
use crate::problems::{STORE_UNAVAILABLE, UNKNOWN_PROJECT};

/// How many of the last ingests are told.
pub(crate) const MAX_REPORTS: usize = 20;
/// How long the last ingest's report is not asked for again by a heartbeat.
const HEARTBEAT_TTL: TimeDelta = TimeDelta::seconds(5);
/// How many places are held for projects while the store cannot tell whether they exist.
const MAX_UNCHECKED: usize = 500;
/// How long one reading may take, with all its requests and the pauses between them. An answer takes three at most, and
/// Lambda ends the function after ten seconds (`Timeout` in infra/template.yaml).
const READ_TIMEOUT: Duration = Duration::from_secs(3);
/// When to ask again after the store did not answer, in seconds.
const RETRY_AFTER: u32 = 10;

/// The catalog.
pub(crate) struct CatalogCache {
    table: CatalogTable,
    schedule: Option<Cron>,
    fresh: TimeDelta,
    memory: usize,
    clock: Clock,
    projects: Mutex<HashMap<String, Arc<Project>>>,
    /// Counts requests, so that the project that was asked for longest ago can be told.
    requests: AtomicU64,
    names: Cached<Arc<BTreeSet<String>>>,
    pointers: Cached<Arc<BTreeMap<String, ListPointer>>>,
    reports: Cached<Arc<Vec<Report>>>,
    heartbeat_reports: Cached<Arc<Vec<Report>>>,
}

/// What is held of a project.
#[derive(Default)]
struct Project {
    /// None where the store has no such project.
    pointer: Cached<Option<Arc<ListPointer>>>,
    list: Cached<Arc<List>>,
    bytes: AtomicUsize,
    last_used: AtomicU64,
}

/// A project's list as it was read, and what was made of it since.
pub(crate) struct List {
    /// The pointer that named it.
    pub(crate) pointer: Arc<ListPointer>,
    /// As it is stored.
    pub(crate) gzip: Bytes,
    plain: OnceLock<Arc<[u8]>>,
    listing: OnceLock<Arc<Listing>>,
}

/// Something of the catalog, and how old it is if the store could not be asked.
#[derive(Debug, Clone)]
pub(crate) struct Found<T> {
    /// What was found.
    pub(crate) value: T,
    /// Seconds since the store said so, where it does not answer now.
    pub(crate) stale_for: Option<i64>,
}

impl<T> Found<T> {
    fn new(held: CacheEntry<T>, from: CacheStatus, clock: &Clock) -> Self {
        let stale_for = (from == CacheStatus::Stale).then(|| (clock() - held.at).num_seconds().max(0));
        Self { value: held.value, stale_for }
    }
}

impl List {
    /// The body, unpacked.
    ///
    /// # Errors
    /// What is stored is no gzip.
    pub(crate) fn plain(&self) -> Result<Arc<[u8]>, Problem> {
        if let Some(plain) = self.plain.get() {
            return Ok(plain.clone());
        }
        let plain = unpack(&self.gzip).map_err(|error| damaged(&self.pointer, error))?;
        Ok(self.plain.get_or_init(|| plain.into()).clone())
    }

    /// The jobs in it.
    ///
    /// # Errors
    /// What is stored is no list.
    pub(crate) fn listing(&self) -> Result<Arc<Listing>, Problem> {
        if let Some(listing) = self.listing.get() {
            return Ok(listing.clone());
        }
        let listing = Listing::read(self.plain()?).map_err(|error| damaged(&self.pointer, error))?;
        Ok(self.listing.get_or_init(|| Arc::new(listing)).clone())
    }

    fn bytes(&self) -> usize {
        let plain = self.plain.get().map_or(0, |plain| plain.len());
        self.gzip.len() + plain + self.listing.get().map_or(0, |listing| listing.bytes())
    }
}

fn damaged(pointer: &ListPointer, error: impl std::fmt::Display) -> Problem {
    unavailable(format!("the stored list {} is damaged: {error}", pointer.etag))
}

fn unavailable(reason: impl Into<String>) -> Problem {
    let detail = "The catalog cannot be read at the moment. Please try again in a few seconds.";
    Problem::new(&STORE_UNAVAILABLE, detail).retry_after(RETRY_AFTER).because(reason)
}

impl CatalogCache {
    /// The catalog in `table`.
    pub(crate) fn new(
        table: CatalogTable,
        schedule: Option<Cron>,
        fresh: TimeDelta,
        memory: usize,
        clock: Clock,
    ) -> Self {
        Self {
            table,
            schedule,
            fresh,
            memory,
            clock,
            projects: Mutex::default(),
            requests: AtomicU64::new(0),
            names: Cached::default(),
            pointers: Cached::default(),
            reports: Cached::default(),
            heartbeat_reports: Cached::default(),
        }
    }

    /// For how many seconds an answer may be used without asking again.
    pub(crate) fn max_age(&self) -> u32 {
        u32::try_from(self.fresh.num_seconds()).unwrap_or_default()
    }

    /// A project's pointer.
    ///
    /// # Errors
    /// There is no such project, or the store does not answer.
    pub(crate) async fn pointer(
        &self,
        name: &str,
        request_log: &RequestLog,
    ) -> Result<Found<Arc<ListPointer>>, Problem> {
        request_log.record("project", name.chars().take(100).collect::<String>());
        if !is_project_name(name.as_bytes()) {
            return Err(self.unknown(name, request_log).await);
        }
        let held = self.cached(name);
        if held.is_none() && self.names.peek().is_some_and(|names| self.is_fresh(&names) && !names.value.contains(name))
        {
            // Known to be unknown: asking the store for each would let anybody run up its bill.
            return Err(self.unknown(name, request_log).await);
        }
        let project = held.unwrap_or_else(|| self.entry(name));
        let load = async || self.read(request_log, async |table| Ok(table.pointer(name).await?.map(Arc::new))).await;
        match project.pointer.get(&self.clock, |held, now| now - held.at < self.fresh, load).await {
            Ok((CacheEntry { value: Some(pointer), at }, from)) => {
                request_log.record("cache", if from == CacheStatus::Loaded { "revalidated" } else { "memory" });
                Ok(self.found(CacheEntry { value: pointer, at }, from, request_log))
            }
            Ok((CacheEntry { value: None, .. }, _)) => {
                self.evict(name);
                Err(self.unknown(name, request_log).await)
            }
            Err(Unavailable(reason)) => {
                // The place remembers that the store failed. Of names that nobody can check just now, only so many.
                if self.projects().len() > MAX_UNCHECKED {
                    self.evict(name);
                }
                Err(unavailable(reason))
            }
        }
    }

    /// The list that a pointer names; if the store does not answer, the one before it.
    ///
    /// # Errors
    /// There is none, and the store does not answer.
    pub(crate) async fn list(
        &self,
        name: &str,
        pointer: &Arc<ListPointer>,
        request_log: &RequestLog,
    ) -> Result<Found<Arc<List>>, Problem> {
        let project = self.cached(name).unwrap_or_else(|| self.entry(name));
        let is_current = |held: &CacheEntry<Arc<List>>, _| held.value.pointer.etag == pointer.etag;
        let load = async || {
            let gzip = self.read(request_log, async |table| table.list(name, pointer).await).await?;
            let list =
                List { pointer: pointer.clone(), gzip: gzip.into(), plain: OnceLock::new(), listing: OnceLock::new() };
            Ok(Arc::new(list))
        };
        let (held, from) =
            project.list.get(&self.clock, is_current, load).await.map_err(|Unavailable(reason)| unavailable(reason))?;
        if from == CacheStatus::Loaded {
            request_log.record("cache", "store");
        }
        project.bytes.store(held.value.bytes(), Ordering::Relaxed);
        project.last_used.store(self.requests.fetch_add(1, Ordering::Relaxed), Ordering::Relaxed);
        self.keep_within_memory(name);
        Ok(self.found(held, from, request_log))
    }

    /// Every project's pointer.
    ///
    /// # Errors
    /// The store does not answer.
    pub(crate) async fn pointers(
        &self,
        request_log: &RequestLog,
    ) -> Result<Found<Arc<BTreeMap<String, ListPointer>>>, Problem> {
        let names = self.names(request_log).await?.value;
        let load = async || {
            self.read(request_log, async |table| {
                let mut pointers = BTreeMap::new();
                for (name, pointer) in table.pointers(names.iter().map(String::as_str), Consistency::Eventual).await? {
                    match pointer {
                        Ok(pointer) => drop(pointers.insert(name, pointer)),
                        Err(error) => {
                            tracing::error!(project = name, %error, "a project is left out");
                            request_log.add_damaged(1);
                        }
                    }
                }
                Ok(Arc::new(pointers))
            })
            .await
        };
        let is_fresh = |held: &CacheEntry<_>, now| now - held.at < self.fresh;
        let got = self.pointers.get(&self.clock, is_fresh, load).await;
        let (held, from) = got.map_err(|Unavailable(reason)| unavailable(reason))?;
        Ok(self.found(held, from, request_log))
    }

    /// What the last ingests found, newest first.
    ///
    /// # Errors
    /// The store does not answer.
    pub(crate) async fn reports(&self, request_log: &RequestLog) -> Result<Found<Arc<Vec<Report>>>, Problem> {
        let load = async || {
            self.read(request_log, async |table| Ok(Arc::new(readable(table, MAX_REPORTS, request_log).await?))).await
        };
        let got = self.reports.get(&self.clock, |held, now| now - held.at < self.fresh, load).await;
        let (held, from) = got.map_err(|Unavailable(reason)| unavailable(reason))?;
        Ok(self.found(held, from, request_log))
    }

    /// The reports that it takes to tell whether the catalog is fresh, as the store has them now.
    ///
    /// None if the store does not answer.
    pub(crate) async fn heartbeat_reports(&self, request_log: &RequestLog) -> Option<Arc<Vec<Report>>> {
        let load = async || {
            self.read(request_log, async |table| {
                let last = table.each_report(1).await?;
                let is_enough = match last.first() {
                    Some(Ok(report)) => report.succeeded() && report.only.is_empty(),
                    Some(Err(_)) => false,
                    None => true,
                };
                let last = last.into_iter().flatten().collect();
                Ok(Arc::new(if is_enough { last } else { readable(table, MAX_REPORTS, request_log).await? }))
            })
            .await
        };
        match self.heartbeat_reports.get(&self.clock, |held, now| now - held.at < HEARTBEAT_TTL, load).await {
            Ok((held, CacheStatus::Hit | CacheStatus::Loaded)) => Some(held.value),
            Ok((_, CacheStatus::Stale)) | Err(_) => None,
        }
    }

    /// When an ingest last told of `project`, and how many ingests were missed since. `updated_at`, when its list
    /// changed last, stands in where the reports do not reach back far enough.
    pub(crate) fn missed(&self, reports: &[Report], project: &str, updated_at: DateTime<Utc>) -> (DateTime<Utc>, u64) {
        let told = |report: &&Report| {
            report.succeeded() && (report.only.is_empty() || report.only.iter().any(|only| only == project))
        };
        let last = reports.iter().find(told).map_or(updated_at, |report| report.started_at.max(updated_at));
        (last, self.missed_since(last))
    }

    /// Whether the catalog is what its source says, as far as the schedule lets one expect.
    pub(crate) fn freshness(&self, reports: &[Report]) -> (Health, String) {
        let Some(last) = reports.iter().find(|report| report.succeeded() && report.only.is_empty()) else {
            let detail = match reports {
                [] => "nothing was ever ingested".to_owned(),
                _ => format!("none of the last {} ingests succeeded", reports.len()),
            };
            return (Health::Error, detail);
        };
        let time = last.started_at.to_rfc3339_opts(SecondsFormat::Secs, true);
        match self.missed_since(last.started_at) {
            0 if self.schedule.is_none() => (Health::Ok, format!("last ingested at {time}; no schedule is configured")),
            0 => (Health::Ok, format!("last ingested at {time}")),
            missed => (Health::Error, format!("last ingested at {time}; {missed} ingests were due since and missed")),
        }
    }

    fn missed_since(&self, last: DateTime<Utc>) -> u64 {
        self.schedule.as_ref().map_or(0, |schedule| schedule.missed(last, (self.clock)()))
    }

    /// Reads from the table, and notes what that cost.
    async fn read<T>(
        &self,
        request_log: &RequestLog,
        read: impl AsyncFnOnce(&CatalogTable) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let table = self.table.metered();
        let result = match tokio::time::timeout(READ_TIMEOUT, read(&table)).await {
            Ok(result) => result,
            Err(_) => Err(StoreError::Unreachable {
                action: "reading the catalog".to_owned(),
                reason: format!("no answer within {} s", READ_TIMEOUT.as_secs()),
            }),
        };
        request_log.add_read_units(table.usage().read_units);
        if let Err(error) = &result {
            // In the request's line, also where the answer is a good one, from what was held.
            request_log.record("error", error.to_string());
        }
        result
    }

    fn found<T>(&self, held: CacheEntry<T>, from: CacheStatus, request_log: &RequestLog) -> Found<T> {
        let found = Found::new(held, from, &self.clock);
        if found.stale_for.is_some() {
            request_log.mark_stale();
            request_log.record("cache", "stale");
        }
        found
    }

    fn is_fresh<T>(&self, held: &CacheEntry<T>) -> bool {
        (self.clock)() - held.at < self.fresh
    }

    async fn names(&self, request_log: &RequestLog) -> Result<Found<Arc<BTreeSet<String>>>, Problem> {
        let load = async || {
            self.read(request_log, async |table| Ok(Arc::new(table.projects(Consistency::Eventual).await?))).await
        };
        let got = self.names.get(&self.clock, |held, now| now - held.at < self.fresh, load).await;
        let (held, from) = got.map_err(|Unavailable(reason)| unavailable(reason))?;
        Ok(self.found(held, from, request_log))
    }

    async fn unknown(&self, name: &str, request_log: &RequestLog) -> Problem {
        // If the names cannot be read, the answer is no less true without them.
        let names = self.names(request_log).await.map(|names| names.value).unwrap_or_default();
        let nearest = suggest(name, names.iter().map(String::as_str), 3);
        let shown: String = name.chars().take(100).collect();
        let detail = match nearest[..] {
            [] => format!("There is no project '{shown}'. GET /api/projects/ lists those that there are."),
            _ => format!("There is no project '{shown}'. Did you mean {}?", nearest.join(", ")),
        };
        Problem::new(&UNKNOWN_PROJECT, detail).with("closest", nearest)
    }

    fn cached(&self, name: &str) -> Option<Arc<Project>> {
        self.projects().get(name).cloned()
    }

    fn entry(&self, name: &str) -> Arc<Project> {
        self.projects().entry(name.to_owned()).or_default().clone()
    }

    fn evict(&self, name: &str) {
        self.projects().remove(name);
    }

    /// Lets go of the projects that were asked for longest ago while there is more than memory is meant for.
    fn keep_within_memory(&self, asked_now: &str) {
        let mut projects = self.projects();
        loop {
            let held: usize = projects.values().map(|project| project.bytes.load(Ordering::Relaxed)).sum();
            let others = projects.iter().filter(|(name, _)| *name != asked_now);
            let oldest = others.min_by_key(|(_, project)| project.last_used.load(Ordering::Relaxed));
            match oldest.map(|(name, _)| name.clone()) {
                Some(name) if held > self.memory => projects.remove(&name),
                _ => break,
            };
        }
    }

    fn projects(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Project>>> {
        self.projects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The last reports that can be read. The others are logged and counted.
async fn readable(table: &CatalogTable, last: usize, request_log: &RequestLog) -> Result<Vec<Report>, StoreError> {
    let read = |report: Result<Report, StoreError>| {
        let left_out = |error: &StoreError| {
            tracing::error!(%error, "a report is left out");
            request_log.add_damaged(1);
        };
        report.inspect_err(left_out).ok()
    };
    Ok(table.each_report(last).await?.into_iter().filter_map(read).collect())
}

/// Tells that an answer is older than it should be.
pub(crate) fn with_staleness(mut response: Response, stale_for: Option<i64>) -> Response {
    if let Some(seconds) = stale_for {
        response.headers_mut().insert(AGE, HeaderValue::from(seconds));
        let warning = HeaderValue::from_static("110 runnable-jobs \"Response is Stale\"");
        response.headers_mut().insert(WARNING, warning);
    }
    response
}
