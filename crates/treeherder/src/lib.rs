//! A client of Treeherder's API: the revision and the author of a push, its decision task, and the states and results of
//! its jobs. It reads `GET /api/project/PROJECT/push/ID/`, `.../push/decisiontask/?push_ids=ID` and
//! `.../jobs/?push_id=ID`.

mod body;
mod decision_task;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use catalog::taskcluster::TaskId;
use chrono::{DateTime, TimeDelta, Utc};
use fetch::{FetchError, Fetcher};
use http::{StatusCode, Uri};
use requests::following::Sighting;
use requests::planning::Runs;
use requests::push::Push;
use runtime::{CacheEntry, CacheStatus, Cached, Clock, Cooldown, Unavailable};

pub use crate::decision_task::DecisionTask;
use body::Names;

/// Maximum time of an answer about a push. A person waits for it.
const PUSH_TIMEOUT: Duration = Duration::from_secs(3);
/// Maximum time of all answers about the jobs of a push together: they are large.
const JOBS_TIMEOUT: Duration = Duration::from_secs(10);
/// Maximum time of one page of jobs. It is less than `JOBS_TIMEOUT`, so that a Treeherder that does not answer at all
/// is recognized by the first page.
const PAGE_TIMEOUT: Duration = Duration::from_secs(8);
/// Maximum size of an answer about a push, in bytes: it lists the revisions of the push.
const MAX_PUSH_BYTES: usize = 1024 * 1024;
/// Maximum size of a page of jobs, in bytes: each job has some kilobytes.
const MAX_PAGE_BYTES: usize = 16 * 1024 * 1024;
/// Number of jobs of a page: the most that Treeherder returns.
const PAGE_SIZE: usize = 2000;
/// Maximum number of jobs that are read of a push. The largest push had some 20,000.
const MAX_JOBS: usize = 100_000;
/// Pause after a failure: of all requests if Treeherder was unreachable, and otherwise of requests for the same push.
/// A person waits for each attempt.
const FAILURE_COOLDOWN: TimeDelta = TimeDelta::seconds(5);
/// Maximum number of pushes in memory. People trigger jobs on a few at a time.
const MAX_CACHED_PUSHES: usize = 1000;

/// A client of Treeherder's API.
pub struct Treeherder {
    url: String,
    ttl: TimeDelta,
    clock: Clock,
    pushes: Fetcher,
    jobs: Fetcher,
    state: Mutex<LookupState>,
}

#[derive(Default)]
struct LookupState {
    /// Answers about pushes, and the pauses after failures. `None` for a push that Treeherder does not know.
    pushes: PushCache<Arc<Push>>,
    /// Answers about decision tasks, and the pauses after failures. `None` for a push that has none.
    decision_tasks: PushCache<TaskId>,
    /// The pauses after failures of lists of jobs.
    jobs: HashMap<PushKey, Cooldown>,
    /// The pause after Treeherder was unreachable.
    unreachable: Cooldown,
}

/// The project and the id of a push.
type PushKey = (String, u64);

/// Answers about pushes.
type PushCache<T> = HashMap<PushKey, Arc<Cached<Option<T>>>>;

/// Why there is no answer. Each reason is for the log.
enum Failure {
    /// Treeherder answers no request: it cannot be reached, or the proxy in front of it reports that it is down.
    Unreachable(String),
    /// Treeherder answers about this push too late, or with something unusable. It may answer about other pushes.
    Invalid(String),
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::Unreachable(reason) => Self::Unreachable(reason),
            FetchError::TimedOut(_) | FetchError::Broken(_) | FetchError::TooLarge(_) => {
                Self::Invalid(error.to_string())
            }
        }
    }
}

impl Failure {
    /// An answer with an unexpected status.
    fn of(status: StatusCode) -> Self {
        let reason = format!("it answers with {status}");
        match status {
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                Self::Unreachable(reason)
            }
            _ => Self::Invalid(reason),
        }
    }
}

/// The result of looking up a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushLookup {
    /// The push.
    Found(Arc<Push>),
    /// Treeherder does not know the push.
    Unknown,
    /// Treeherder does not answer, or its answer about this push is unusable. Holds the reason, for the log.
    Unavailable(String),
}

/// Reads the address of a Treeherder.
///
/// # Errors
/// The value is not such an address. The message states what is expected.
pub fn address(value: &str) -> Result<String, &'static str> {
    let expected = "an address is expected, with http:// or https:// and without a query, for example \
                    https://treeherder.mozilla.org";
    let uri: Uri = value.parse().map_err(|_| expected)?;
    let is_whole = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() && uri.query().is_none();
    if is_whole { Ok(value.trim_end_matches('/').to_owned()) } else { Err(expected) }
}

impl Treeherder {
    /// A client of the Treeherder at `url`, which has no slash at the end. Answers about pushes are reused for `ttl`.
    pub fn new(url: impl Into<String>, ttl: TimeDelta, clock: Clock) -> Self {
        Self {
            url: url.into(),
            ttl,
            clock,
            pushes: Fetcher::new(PUSH_TIMEOUT, MAX_PUSH_BYTES),
            jobs: Fetcher::new(PAGE_TIMEOUT, MAX_PAGE_BYTES),
            state: Mutex::default(),
        }
    }

    /// Whether the answer about a push is in memory, so that `push` needs no request.
    pub fn has_cached(&self, project: &str, push_id: u64) -> bool {
        let now = (self.clock)();
        let cached = self.state().pushes.get(&(project.to_owned(), push_id)).cloned();
        cached.and_then(|cached| cached.peek()).is_some_and(|entry| self.is_fresh(&entry, now))
    }

    /// Looks up a push. The project's name must not need percent-encoding.
    pub async fn push(&self, project: &str, push_id: u64) -> PushLookup {
        let key = (project.to_owned(), push_id);
        let load = async { Ok(self.fetch_push(project, push_id).await?.map(Arc::new)) };
        match self.look_up(key, |state| &mut state.pushes, load).await {
            Ok(Some(push)) => PushLookup::Found(push),
            Ok(None) => PushLookup::Unknown,
            Err(reason) => PushLookup::Unavailable(reason),
        }
    }

    /// An answer about a push that is in memory and fresh, or else the result of `load`. The error is for the log.
    async fn look_up<T: Clone>(
        &self,
        key: PushKey,
        cache: fn(&mut LookupState) -> &mut PushCache<T>,
        load: impl Future<Output = Result<Option<T>, Failure>>,
    ) -> Result<Option<T>, String> {
        let now = (self.clock)();
        let cached = self.cached(cache(&mut self.state()), key, now);
        let is_fresh = |entry: &CacheEntry<_>, now| self.is_fresh(entry, now);
        if let Some(entry) = cached.peek().filter(|entry| is_fresh(entry, now)) {
            return Ok(entry.value);
        }
        if let Some(reason) = self.unreachable(now) {
            return Err(reason);
        }
        let load = async || load.await.map_err(|failure| self.record(failure, (self.clock)()));
        match cached.get(&self.clock, is_fresh, load).await {
            Ok((_, CacheStatus::Stale { reason })) | Err(Unavailable(reason)) => Err(reason),
            Ok((CacheEntry { value, .. }, _)) => Ok(value),
        }
    }

    /// Returns the runs of the jobs with these names on a push, and whether an action that adds jobs runs there; none for a
    /// push that Treeherder does not know. The names are those of Buildbot jobs and labels of Taskcluster jobs.
    ///
    /// # Errors
    /// Treeherder does not answer, or its answer is unusable. The message is for the log.
    pub async fn runs(&self, project: &str, push_id: u64, names: &BTreeSet<String>) -> Result<Runs, String> {
        let mut runs = Runs::default();
        let names = Names::new(names);
        self.jobs(project, push_id, "", |page| body::add_runs(page, &names, &mut runs)).await?;
        Ok(runs)
    }

    /// Returns the runs of the Buildbot jobs with these names on a push, each with its result and the time at which it was
    /// submitted; none for a push that Treeherder does not know.
    ///
    /// Treeherder lists only the jobs of one build system if it is asked to: its API filters by fields of jobs, of which
    /// `build_system_type` is one (`JobFilter` in Treeherder's `treeherder/webapp/api/jobs.py`). So the thousands of
    /// Taskcluster jobs of a push are not sent.
    ///
    /// # Errors
    /// Treeherder does not answer, or its answer is unusable. The message is for the log.
    pub async fn sightings(
        &self,
        project: &str,
        push_id: u64,
        names: &BTreeSet<String>,
    ) -> Result<Vec<Sighting>, String> {
        let mut sightings = Vec::new();
        let add = |page: &[u8]| body::add_sightings(page, names, &mut sightings);
        self.jobs(project, push_id, "&build_system_type=buildbot", add).await?;
        Ok(sightings)
    }

    /// Fetches the jobs of a push. `add` takes each page and returns the number of jobs in it.
    async fn jobs(
        &self,
        project: &str,
        push_id: u64,
        filter: &str,
        add: impl FnMut(&[u8]) -> Result<usize, String>,
    ) -> Result<(), String> {
        let key = (project.to_owned(), push_id);
        let now = (self.clock)();
        let paused = self.state().jobs.get(&key).and_then(|jobs| jobs.reason(now, FAILURE_COOLDOWN).map(str::to_owned));
        if let Some(reason) = self.unreachable(now).or(paused) {
            return Err(reason);
        }
        let fetched = tokio::time::timeout(JOBS_TIMEOUT, self.fetch_jobs(project, push_id, filter, add)).await;
        let fetched = fetched.unwrap_or_else(|_| Err(Failure::Invalid("its answers take too long".to_owned())));
        fetched.map_err(|failure| {
            let now = (self.clock)();
            let is_invalid = matches!(failure, Failure::Invalid(_));
            let reason = self.record(failure, now);
            if is_invalid {
                let mut state = self.state();
                state.jobs.retain(|_, jobs| jobs.reason(now, FAILURE_COOLDOWN).is_some());
                if state.jobs.len() < MAX_CACHED_PUSHES {
                    state.jobs.entry(key).or_default().start(now, &reason);
                }
            }
            reason
        })
    }

    async fn fetch_jobs(
        &self,
        project: &str,
        push_id: u64,
        filter: &str,
        mut add: impl FnMut(&[u8]) -> Result<usize, String>,
    ) -> Result<(), Failure> {
        for offset in (0..MAX_JOBS).step_by(PAGE_SIZE) {
            let query = format!("push_id={push_id}{filter}&count={PAGE_SIZE}&offset={offset}");
            let (status, body) = self.jobs.get(&format!("{}/api/project/{project}/jobs/?{query}", self.url)).await?;
            if status != StatusCode::OK {
                return Err(Failure::of(status));
            }
            if add(&body).map_err(Failure::Invalid)? < PAGE_SIZE {
                return Ok(());
            }
        }
        Err(Failure::Invalid(format!("the push has more than {MAX_JOBS} jobs")))
    }

    async fn fetch_push(&self, project: &str, push_id: u64) -> Result<Option<Push>, Failure> {
        let url = format!("{}/api/project/{project}/push/{push_id}/", self.url);
        match self.pushes.get(&url).await? {
            (StatusCode::OK, body) => body::push(&body).map(Some).map_err(Failure::Invalid),
            (StatusCode::NOT_FOUND, _) => Ok(None),
            (other, _) => Err(Failure::of(other)),
        }
    }

    /// That there is none is never fresh: Treeherder may learn of it at any moment.
    fn is_fresh<T>(&self, entry: &CacheEntry<Option<T>>, now: DateTime<Utc>) -> bool {
        entry.value.is_some() && (now - entry.at).abs() < self.ttl
    }

    /// The cached answer about a push. Makes room if there are too many: first answers that are no longer fresh go,
    /// then all.
    fn cached<T: Clone>(&self, cache: &mut PushCache<T>, key: PushKey, now: DateTime<Utc>) -> Arc<Cached<Option<T>>> {
        if cache.len() >= MAX_CACHED_PUSHES && !cache.contains_key(&key) {
            cache.retain(|_, cached| cached.peek().is_some_and(|entry| self.is_fresh(&entry, now)));
            if cache.len() >= MAX_CACHED_PUSHES {
                cache.clear();
            }
        }
        cache.entry(key).or_default().clone()
    }

    /// Why no request is sent, while the pause after Treeherder was unreachable lasts.
    fn unreachable(&self, now: DateTime<Utc>) -> Option<String> {
        self.state().unreachable.reason(now, FAILURE_COOLDOWN).map(str::to_owned)
    }

    /// Starts the pause of all requests if Treeherder is unreachable. Returns the reason, for the log.
    fn record(&self, failure: Failure, now: DateTime<Utc>) -> String {
        match failure {
            Failure::Unreachable(reason) => {
                let reason = format!("Treeherder: {reason}");
                self.state().unreachable.start(now, &reason);
                reason
            }
            Failure::Invalid(reason) => format!("Treeherder: {reason}"),
        }
    }

    fn state(&self) -> MutexGuard<'_, LookupState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
