//! The catalog as the routes use it: reads are recorded in the request's log, and errors are answers.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::response::Response;
use catalog::taskcluster::TaskId;
use http::HeaderValue;
use http::header::{AGE, WARNING};
use http_api::{Problem, RequestLog};
use push_lists::{PushListError, PushLists};
use runtime::{CacheStatus, Clock};
use store::{CatalogCache, CatalogError, Found, List, ListOwner, ListPointer, ReadStats, Report, SearchableList};

use crate::problems::{STORE_UNAVAILABLE, UNKNOWN_PROJECT};
use crate::query::{self, PushQuery};
use crate::settings::Schedules;

/// After how many seconds a client should ask again when the store does not answer.
const RETRY_AFTER: u32 = 10;
/// Maximum length of a project's name in the log and in answers, in characters.
const MAX_SHOWN: usize = 100;

/// The catalog for the routes.
pub(crate) struct CatalogService {
    cache: CatalogCache,
    /// `None` if no Taskcluster is configured.
    pushes: Option<PushLists>,
    max_age: u32,
    pub(crate) schedules: Schedules,
    pub(crate) clock: Clock,
}

impl CatalogService {
    /// Clients may reuse answers for `max_age` seconds. Ingests are due by `schedules`.
    pub(crate) fn new(
        cache: CatalogCache,
        pushes: Option<PushLists>,
        max_age: u32,
        schedules: Schedules,
        clock: Clock,
    ) -> Self {
        Self { cache, pushes, max_age, schedules, clock }
    }

    /// For how many seconds a client may reuse an answer.
    pub(crate) fn max_age(&self) -> u32 {
        self.max_age
    }

    /// The list of a project, or of the push that a request names.
    ///
    /// # Errors
    /// There is no such project or no list of the push, or the store or Taskcluster does not answer.
    pub(crate) async fn find(
        &self,
        project: String,
        push: PushQuery,
        request_log: &RequestLog,
    ) -> Result<ListFound, Problem> {
        let Some((pushes, decision_task)) = self.decision_task(&project, push, request_log).await? else {
            let pointer = self.pointer(&project, request_log).await?;
            return Ok(ListFound { owner: FoundOwner::Project(project), pointer });
        };
        request_log.record("project", shown(&project));
        request_log.record("decision_task", decision_task.as_str());
        let stats = ReadStats::default();
        let pointer = pushes.pointer(&self.cache, &project, &decision_task, &stats).await;
        record(&stats, request_log);
        let value = pointer.map_err(|error| push_problem(&project, error))?;
        request_log.record("cache", "memory");
        let pointer = Found { value, status: CacheStatus::Hit, stale_for: None };
        Ok(ListFound { owner: FoundOwner::Push(decision_task), pointer })
    }

    /// The decision task of the push that a request names. `None` if it names none, or if there is no Taskcluster: clients
    /// of Buildbot's years send decision tasks too.
    async fn decision_task(
        &self,
        project: &str,
        push: PushQuery,
        request_log: &RequestLog,
    ) -> Result<Option<(&PushLists, TaskId)>, Problem> {
        match (&self.pushes, push) {
            (Some(pushes), PushQuery { decision_task_id: Some(id), .. }) => {
                let parsed = id.parse().map_err(|error| {
                    query::bad("decision_task_id", format!("decision_task_id is '{}': {error}.", query::shown(&id)))
                });
                Ok(Some((pushes, parsed?)))
            }
            (Some(pushes), PushQuery { revision: Some(revision), .. }) => {
                // An unknown project is a better answer than an unknown revision, and costs Taskcluster nothing.
                self.pointer(project, request_log).await?;
                let task = pushes.decision_task(project, &revision).await;
                Ok(Some((pushes, task.map_err(|error| push_problem(project, error))?)))
            }
            (None, PushQuery { revision: Some(_), .. }) => {
                let detail = "This service has no Taskcluster, so that it has no lists of pushes.";
                Err(query::bad("revision", detail.to_owned()))
            }
            (None, PushQuery { .. }) | (Some(_), PushQuery { decision_task_id: None, revision: None }) => Ok(None),
        }
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
        request_log.record("project", shown(name));
        let stats = ReadStats::default();
        let result = self.cache.pointer(name, &stats).await;
        let found = finish(result, &stats, request_log).map_err(|error| problem(name, error))?;
        if !found.status.is_stale() {
            let is_read = found.status == CacheStatus::Loaded;
            request_log.record("cache", if is_read { "revalidated" } else { "memory" });
        }
        Ok(found)
    }

    /// The list that a pointer names; if it cannot be read, the list before it.
    ///
    /// # Errors
    /// The list cannot be read, and there is none in memory.
    pub(crate) async fn list(
        &self,
        owner: ListOwner<'_>,
        pointer: &Arc<ListPointer>,
        request_log: &RequestLog,
    ) -> Result<Found<Arc<List>>, Problem> {
        let stats = ReadStats::default();
        let result = self.cache.list(owner, pointer, &stats).await;
        read_from_store(result, &stats, request_log)
    }

    /// The jobs of the list that a pointer names; if it cannot be read, of the list before it.
    ///
    /// # Errors
    /// The list cannot be read, and there is none in memory.
    pub(crate) async fn searchable_list(
        &self,
        owner: ListOwner<'_>,
        pointer: &Arc<ListPointer>,
        request_log: &RequestLog,
    ) -> Result<Found<Arc<SearchableList>>, Problem> {
        let stats = ReadStats::default();
        let result = self.cache.searchable_list(owner, pointer, &stats).await;
        read_from_store(result, &stats, request_log)
    }

    /// The pointers of all projects.
    ///
    /// # Errors
    /// The store does not answer.
    pub(crate) async fn pointers(
        &self,
        request_log: &RequestLog,
    ) -> Result<Found<Arc<BTreeMap<String, ListPointer>>>, Problem> {
        let stats = ReadStats::default();
        finish(self.cache.pointers(&stats).await, &stats, request_log).map_err(|error| problem("", error))
    }

    /// The reports of the last ingests, newest first.
    ///
    /// # Errors
    /// The store does not answer.
    pub(crate) async fn reports(&self, request_log: &RequestLog) -> Result<Found<Arc<Vec<Report>>>, Problem> {
        let stats = ReadStats::default();
        finish(self.cache.reports(&stats).await, &stats, request_log).map_err(|error| problem("", error))
    }

    /// The reports that decide whether the catalog is fresh. `None` if the store does not answer.
    pub(crate) async fn heartbeat_reports(&self, request_log: &RequestLog) -> Option<Arc<Vec<Report>>> {
        let stats = ReadStats::default();
        let reports = self.cache.heartbeat_reports(&self.checked_build_systems(), &stats).await;
        record(&stats, request_log);
        reports
    }
}

/// Whose list was found.
pub(crate) enum FoundOwner {
    Project(String),
    Push(TaskId),
}

impl FoundOwner {
    pub(crate) fn as_ref(&self) -> ListOwner<'_> {
        match self {
            Self::Project(name) => ListOwner::Project(name),
            Self::Push(decision_task) => ListOwner::Push(decision_task),
        }
    }
}

/// The list that a request asks for.
pub(crate) struct ListFound {
    pub(crate) owner: FoundOwner,
    pub(crate) pointer: Found<Arc<ListPointer>>,
}

/// The answer to a request for the list of a push that failed.
fn push_problem(project: &str, error: PushListError) -> Problem {
    match (error.error_code(), error) {
        (Some(code), error) => error.problem(code),
        (None, PushListError::UnknownProject { suggestions, .. }) => {
            problem(project, CatalogError::UnknownProject { suggestions })
        }
        (None, error) => problem(project, CatalogError::Unavailable(error.cause().unwrap_or_default().to_owned())),
    }
}

/// Finishes the reading of a list, and records where it comes from.
fn read_from_store<T>(
    result: Result<Found<T>, CatalogError>,
    stats: &ReadStats,
    request_log: &RequestLog,
) -> Result<Found<T>, Problem> {
    let found = finish(result, stats, request_log).map_err(|error| problem("", error))?;
    if found.status == CacheStatus::Loaded {
        request_log.record("cache", "store");
    }
    Ok(found)
}

/// Records what the reads of an answer cost, and whether the answer may be out of date.
fn finish<T>(
    result: Result<Found<T>, CatalogError>,
    stats: &ReadStats,
    request_log: &RequestLog,
) -> Result<Found<T>, CatalogError> {
    record(stats, request_log);
    let found = result?;
    if found.status.is_stale() {
        request_log.mark_stale();
        request_log.record("cache", "stale");
    }
    Ok(found)
}

fn record(stats: &ReadStats, request_log: &RequestLog) {
    request_log.add_read_units(stats.read_units());
    request_log.add_damaged(stats.damaged());
    // Also where the answer is a good one, from memory.
    if let Some(error) = stats.error() {
        request_log.record("error", error);
    }
}

/// The answer to a request for the project `name` that failed.
pub(crate) fn problem(name: &str, error: CatalogError) -> Problem {
    match error {
        CatalogError::UnknownProject { suggestions } => {
            let shown = shown(name);
            let detail = match suggestions[..] {
                [] => format!("There is no project '{shown}'. GET /api/projects/ lists those that there are."),
                _ => format!("There is no project '{shown}'. Did you mean {}?", suggestions.join(", ")),
            };
            Problem::new(&UNKNOWN_PROJECT, detail).with("closest", suggestions)
        }
        CatalogError::Unavailable(reason) => {
            let detail = "The catalog cannot be read at the moment. Please try again in a few seconds.";
            Problem::new(&STORE_UNAVAILABLE, detail).retry_after(RETRY_AFTER).because(reason)
        }
    }
}

fn shown(name: &str) -> String {
    name.chars().take(MAX_SHOWN).collect()
}

/// Marks an answer that may be out of date.
pub(crate) fn with_staleness(mut response: Response, stale_for: Option<i64>) -> Response {
    if let Some(seconds) = stale_for {
        response.headers_mut().insert(AGE, HeaderValue::from(seconds));
        let warning = HeaderValue::from_static("110 runnable-jobs \"Response is Stale\"");
        response.headers_mut().insert(WARNING, warning);
    }
    response
}
