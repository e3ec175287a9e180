//! The HTTP routes: trigger jobs, follow requests, and retry them.

use std::sync::Arc;

use axum::body::Body as RequestBody;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use catalog::list::etag;
use chrono::{DateTime, Utc};
use http::header::{CACHE_CONTROL, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_api::{Caching, Caller, Identity, Path, Problem, RequestLog, ResponseBody, Validators};
use requests::email::Email;
use requests::id::RequestId;
use requests::pause::pause;
use requests::request::Request;
use requests::state::RequestState;
use serde::Serialize;
use store::{Consistency, StoredRequest};

use crate::api::{Summary, TriggerRequest, TriggerRequests, Triggered};
use crate::body::{self, Parameters, person};
use crate::call_log::CallLog;
use crate::error_codes::{BAD_PARAMETER, NOT_ALLOWED};
use crate::outcome::{OutcomeKind, TriggerOutcome};
use crate::service::TriggerService;

const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const JSON: &str = "application/json";

/// The state that the routes share.
pub(crate) struct AppState {
    pub(crate) service: TriggerService,
    /// `None` if no sign-in is configured.
    pub(crate) identity: Option<Identity>,
}

impl AppState {
    async fn caller(&self, headers: &HeaderMap, request_log: &RequestLog) -> Result<Caller, Problem> {
        let Some(identity) = &self.identity else {
            let detail = "Sign-in is not configured here.";
            return Err(Problem::new(&http_api::SIGN_IN, detail).challenge("Bearer"));
        };
        identity.caller(headers, request_log).await
    }
}

/// A log of calls of the service, whose observations it copies to the request log when it is dropped.
struct LoggedCalls<'l> {
    calls: CallLog,
    request_log: &'l RequestLog,
}

impl<'l> LoggedCalls<'l> {
    fn new(request_log: &'l RequestLog) -> Self {
        Self { calls: CallLog::default(), request_log }
    }
}

impl std::ops::Deref for LoggedCalls<'_> {
    type Target = CallLog;

    fn deref(&self) -> &CallLog {
        &self.calls
    }
}

impl Drop for LoggedCalls<'_> {
    fn drop(&mut self) {
        let (observed, log) = (self.calls.observations(), self.request_log);
        if let Some(id) = observed.request {
            log.record("request", id.to_string());
        }
        if let Some(error) = observed.error {
            log.record("error", error);
        }
        if observed.is_stale {
            log.mark_stale();
        }
        log.add_read_units(observed.read_units);
        if let Some(cost) = observed.last_cost {
            log.record("store_operations", cost.operations);
            log.record("write_units", cost.write_units);
        }
        log.add_damaged(observed.damaged);
    }
}

/// Trigger jobs on a push
///
/// Stores the request and queues it: builder names for Pulse, labels for an action of the push in Taskcluster. Each job is
/// checked by itself: a job that the project does not have is rejected with the closest name, and the others are queued. With an `Idempotency-Key`, a repeated request gets the first
/// answer again for a day, marked by `Idempotent-Replayed`; without a key, a request for the same jobs of the same push
/// within a minute is a repetition.
#[utoipa::path(
    post,
    path = "/api/project/{project}/push/{push_id}/trigger_runnable_jobs/",
    tag = "Trigger",
    operation_id = "triggerRunnableJobs",
    params(
        ("project" = String, Path, max_length = 100, pattern = "^[A-Za-z0-9._-]*[A-Za-z0-9_-][A-Za-z0-9._-]*$",
            description = "The project", example = "try"),
        ("push_id" = u64, Path, maximum = 999_999_999_999_999_999_i64,
            description = "The push, by its number in Treeherder", example = 1001),
        ("dry_run" = Option<bool>, Query, description = "Check everything, store and queue nothing. The answer has the \
            actions that would run labels"),
        ("Idempotency-Key" = Option<String>, Header, max_length = 257, pattern = r#"^("[!#-\[\]-~]{1,255}"|[!#-\[\]-~]{1,255})$"#,
            description = "A key of the client for this request, so that it can be sent again without running twice"),
    ),
    request_body = crate::body::TriggerBody,
    responses(
        (status = 202, description = "The request is stored", body = Triggered),
        (status = 200, description = "A dry run: what would happen", body = Triggered),
    ),
    security(("sign_in" = []))
)]
pub(crate) async fn trigger(
    State(state): State<Arc<AppState>>,
    Path((project, push_id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    request_log: RequestLog,
    body: RequestBody,
) -> Result<Response, Problem> {
    let caller = state.caller(&headers, &request_log).await?;
    let project = body::project(&project)?.to_owned();
    request_log.record("project", project.as_str());
    let push_id = body::push_id(&push_id)?;
    let parameters = Parameters::read(query.as_deref(), &["dry_run"])?;
    let service = &state.service;
    let target = (project.clone(), push_id);
    let new_request = body::read(&headers, body, &service.budget.limits, target, caller, &request_log).await?;
    let log = LoggedCalls::new(&request_log);
    let outcome = if parameters.is_dry_run {
        service.check(&new_request, &log).await?
    } else {
        service.submit(new_request, &log).await?
    };
    record_outcome(&request_log, &outcome);
    Ok(answered(&outcome, &outcome.response(&project, push_id, &service.urls)))
}

fn record_outcome(request_log: &RequestLog, outcome: &TriggerOutcome) {
    let kind = match outcome.kind {
        OutcomeKind::Created => "made",
        OutcomeKind::Replayed => "replayed",
        OutcomeKind::Duplicate(_) => "repeated",
        OutcomeKind::DryRun => "checked",
    };
    request_log.record("outcome", kind);
}

fn answered(outcome: &TriggerOutcome, answer: &Triggered) -> Response {
    let status = if outcome.kind == OutcomeKind::DryRun { StatusCode::OK } else { StatusCode::ACCEPTED };
    let mut response = (status, axum::Json(answer)).into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(url) = answer.status_url.as_deref().and_then(|url| HeaderValue::try_from(url).ok()) {
        headers.insert(LOCATION, url);
    }
    if outcome.kind == OutcomeKind::Replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// One request
///
/// The state, the jobs and the history of a request, and what became of each job. Until every job has ended, `Retry-After`
/// says when to ask again; with `If-None-Match` that costs next to nothing.
#[utoipa::path(
    get,
    path = "/api/project/{project}/trigger_requests/{request_id}/",
    tag = "Trigger",
    operation_id = "getTriggerRequest",
    params(
        ("project" = String, Path, max_length = 100, pattern = "^[A-Za-z0-9._-]*[A-Za-z0-9_-][A-Za-z0-9._-]*$",
            description = "The project", example = "try"),
        ("request_id" = String, Path, min_length = 26, max_length = 26, pattern = "^[0-7][0-9A-HJKMNP-TV-Z]{25}$",
            description = "The id of the request"),
    ),
    responses((status = 200, description = "The request", body = TriggerRequest)),
    security(("sign_in" = []))
)]
pub(crate) async fn one(
    State(state): State<Arc<AppState>>,
    Path((project, id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    request_log: RequestLog,
) -> Result<Response, Problem> {
    let caller = state.caller(&headers, &request_log).await?;
    Parameters::read(query.as_deref(), &[])?;
    let service = &state.service;
    let log = LoggedCalls::new(&request_log);
    let request = find(service, &project, &id, &log).await?;
    let shows_people = shows_people(service, person(caller)?.as_ref(), &request);
    let etag = etag_of(&request, shows_people);
    // The encoding that the client has is not known: it depends on the length of the body, which is not read here.
    let held = private(&etag).not_modified(&headers, true).or_else(|| private(&etag).not_modified(&headers, false));
    let (request, mut response) = if let Some(not_modified) = held {
        (request.into_request(), not_modified)
    } else {
        // Head and jobs of one version: if they were read apart and differ, it may be a later one.
        let (request, jobs) =
            service.read(&log, async |table| table.with_jobs(request, Consistency::Eventual).await).await?;
        let answer = TriggerRequest::new(&request, &jobs, &service.urls, shows_people);
        let response = private(&etag_of(&request, shows_people)).ok(JSON, packed(&headers, &answer))?;
        (request, response)
    };
    if let Some(seconds) = retry_after(&request, (service.clock)()) {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    Ok(response)
}

/// The entity tag of a request as a reader may see it.
fn etag_of(request: &Request, shows_people: bool) -> String {
    format!("{}-{}{}", request.id, request.version, if shows_people { "-people" } else { "" })
}

fn private(etag: &str) -> Validators<'_> {
    Validators { etag, last_modified: None, caching: Caching::Private }
}

/// The number of seconds after which a client should ask again, unless the request has ended. While the request is open, it
/// is short soon after a change, since a person may be watching. While its jobs are followed, it is the pause of the
/// follower.
fn retry_after(request: &Request, now: DateTime<Utc>) -> Option<u32> {
    // Requests that earlier versions forwarded have no progress, and are not followed.
    if request.state == RequestState::Forwarded && request.progress.is_some() {
        let changed = DateTime::from_timestamp(request.due_at, 0).unwrap_or(now);
        return u32::try_from(pause(now - changed).num_seconds()).ok();
    }
    let changed = request.history.last().map_or(now, |event| event.at);
    request.state.is_open().then(|| match (now - changed).num_seconds() {
        ..30 => 2,
        30..300 => 10,
        _ => 60,
    })
}

/// The request of this id in the project.
async fn find(
    service: &TriggerService,
    project: &str,
    id: &str,
    log: &LoggedCalls<'_>,
) -> Result<StoredRequest, Problem> {
    let project = body::project(project)?;
    log.request_log.record("project", project);
    let found: RequestId = body::request_id(id)?;
    log.set_request(found);
    let request = service.request(found, log).await?.filter(|request| request.project == project);
    request.ok_or_else(|| body::unknown_request(id))
}

/// Whether the reader may see e-mail addresses: the requester may, and people who may trigger jobs on the push.
fn shows_people(service: &TriggerService, reader: Option<&Email>, request: &Request) -> bool {
    reader.is_some_and(|reader| *reader == request.requester || service.may_trigger(reader, request))
}

/// Retry a request
///
/// Sends the failed and unroutable jobs again, under the rules of a new request: it requires permission to trigger jobs on
/// the push, and counts against the budget. Builds that were added for tests do not count. Jobs that were forwarded are not
/// sent again, whatever became of them. A job whose `detail` says that it may have arrived may then run twice.
#[utoipa::path(
    post,
    path = "/api/project/{project}/trigger_requests/{request_id}/retry/",
    tag = "Trigger",
    operation_id = "retryTriggerRequest",
    params(
        ("project" = String, Path, max_length = 100, pattern = "^[A-Za-z0-9._-]*[A-Za-z0-9_-][A-Za-z0-9._-]*$",
            description = "The project", example = "try"),
        ("request_id" = String, Path, min_length = 26, max_length = 26, pattern = "^[0-7][0-9A-HJKMNP-TV-Z]{25}$",
            description = "The id of the request"),
    ),
    responses((status = 202, description = "The jobs are sent again", body = Triggered)),
    security(("sign_in" = []))
)]
pub(crate) async fn retry(
    State(state): State<Arc<AppState>>,
    Path((project, id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    request_log: RequestLog,
) -> Result<Response, Problem> {
    let caller = state.caller(&headers, &request_log).await?;
    Parameters::read(query.as_deref(), &[])?;
    let Some(by) = person(caller)? else {
        let detail = "Only people retry requests: sign in as yourself.";
        return Err(Problem::new(&NOT_ALLOWED, detail).with("rule", "retry"));
    };
    let log = LoggedCalls::new(&request_log);
    let request = find(&state.service, &project, &id, &log).await?;
    let outcome = state.service.retry(&request, Some(&by), &log).await?;
    Ok(answered(&outcome, &outcome.response(&request.project, request.push_id, &state.service.urls)))
}

/// The requests on a push
///
/// Newest first. A request of the last second may be missing.
#[utoipa::path(
    get,
    path = "/api/project/{project}/push/{push_id}/trigger_requests/",
    tag = "Trigger",
    operation_id = "listTriggerRequestsOfPush",
    params(
        ("project" = String, Path, max_length = 100, pattern = "^[A-Za-z0-9._-]*[A-Za-z0-9_-][A-Za-z0-9._-]*$",
            description = "The project", example = "try"),
        ("push_id" = u64, Path, maximum = 999_999_999_999_999_999_i64,
            description = "The push, by its number in Treeherder", example = 1001),
        ("count" = Option<u64>, Query, minimum = 1, maximum = 100, description = "How many at most (default: 20)"),
        ("before" = Option<String>, Query, min_length = 26, max_length = 26, pattern = "^[0-7][0-9A-HJKMNP-TV-Z]{25}$",
            description = "Only requests that are older than this one"),
    ),
    responses((status = 200, description = "The requests", body = TriggerRequests)),
    security(("sign_in" = []))
)]
pub(crate) async fn of_push(
    State(state): State<Arc<AppState>>,
    Path((project, push_id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    request_log: RequestLog,
) -> Result<Response, Problem> {
    let reader = person(state.caller(&headers, &request_log).await?)?;
    let project = body::project(&project)?;
    request_log.record("project", project);
    let push_id = body::push_id(&push_id)?;
    let parsed = Parameters::read(query.as_deref(), &["before", "count"])?;
    let log = LoggedCalls::new(&request_log);
    let found =
        state.service.read(&log, async |table| table.of_push(project, push_id, parsed.before, parsed.page() + 1).await);
    let path = format!("/api/project/{project}/push/{push_id}/trigger_requests/?");
    listed(&state.service, &headers, reader.as_ref(), found.await?, &parsed, &path)
}

/// Your own requests
///
/// Newest first. A request of the last second may be missing.
#[utoipa::path(
    get,
    path = "/api/trigger_requests/",
    tag = "Trigger",
    operation_id = "listTriggerRequests",
    params(
        ("requester" = String, Query, pattern = "^me$", example = "me", description = "Whose requests: `me` is the person who signed in"),
        ("count" = Option<u64>, Query, minimum = 1, maximum = 100, description = "How many at most (default: 20)"),
        ("before" = Option<String>, Query, min_length = 26, max_length = 26, pattern = "^[0-7][0-9A-HJKMNP-TV-Z]{25}$",
            description = "Only requests that are older than this one"),
    ),
    responses((status = 200, description = "The requests", body = TriggerRequests)),
    security(("sign_in" = []))
)]
pub(crate) async fn mine(
    State(state): State<Arc<AppState>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    request_log: RequestLog,
) -> Result<Response, Problem> {
    let reader = person(state.caller(&headers, &request_log).await?)?;
    let parsed = Parameters::read(query.as_deref(), &["requester", "before", "count"])?;
    let bad = |detail| Problem::new(&BAD_PARAMETER, detail).with("parameter", "requester");
    if !parsed.is_mine {
        return Err(bad("Whose requests? 'requester=me' is expected."));
    }
    let me = reader.ok_or_else(|| bad("A service has no requests of its own: 'me' is for people."))?;
    let log = LoggedCalls::new(&request_log);
    let found = state.service.read(&log, async |table| table.of_requester(&me, parsed.before, parsed.page() + 1).await);
    listed(&state.service, &headers, Some(&me), found.await?, &parsed, "/api/trigger_requests/?requester=me&")
}

/// A page of requests. One more than the page holds was read, to know whether there is another page.
fn listed(
    service: &TriggerService,
    headers: &HeaderMap,
    reader: Option<&Email>,
    mut found: Vec<Request>,
    parsed: &Parameters,
    path: &str,
) -> Result<Response, Problem> {
    let has_more = found.len() > parsed.page();
    found.truncate(parsed.page());
    let next = found.last().filter(|_| has_more).map(|last| {
        let count = parsed.count.map(|count| format!("count={count}&")).unwrap_or_default();
        format!("{path}{count}before={}", last.id)
    });
    let summary = |request| Summary::new(request, &service.urls, shows_people(service, reader, request));
    let answer = TriggerRequests { results: found.iter().map(summary).collect(), next };
    let etag = etag(&serde_json::to_vec(&answer).unwrap_or_default());
    private(&etag).answer(headers, JSON, packed(headers, &answer))
}

fn packed(headers: &HeaderMap, answer: &impl Serialize) -> ResponseBody {
    ResponseBody::packed_for(
        headers,
        serde_json::to_vec(answer).expect("numbers, strings and times can be written to memory"),
    )
}
