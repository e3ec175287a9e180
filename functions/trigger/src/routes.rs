//! The HTTP routes: triggering jobs, following what becomes of that, and retrying.

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
use requests::request::{Request, RequestId};
use serde::Serialize;
use store::Consistency;

use crate::api::{Summary, TriggerRequest, TriggerRequests, Triggered};
use crate::body::{self, Parameters};
use crate::outcome::{OutcomeKind, TriggerOutcome};
use crate::problems::{BAD_BODY, BAD_PARAMETER, NOT_ALLOWED};
use crate::service::{Submission, TriggerService};

const IDEMPOTENCY_KEY: &str = "idempotency-key";
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const JSON: &str = "application/json";

/// What the routes work with.
pub(crate) struct AppState {
    pub(crate) service: TriggerService,
    /// None: nobody can sign in.
    pub(crate) identity: Option<Identity>,
}

impl AppState {
    async fn caller(&self, headers: &HeaderMap, request_log: &RequestLog) -> Result<Caller, Problem> {
        let Some(identity) = &self.identity else {
            let detail = "Nobody can sign in here: no sign-in is configured.";
            return Err(Problem::new(&http_api::SIGN_IN, detail).challenge("Bearer"));
        };
        identity.caller(headers, request_log).await
    }
}

/// A person who signed in; a service is nobody.
fn person(caller: Caller) -> Result<Option<Email>, Problem> {
    match caller {
        Caller::Service { .. } => Ok(None),
        Caller::Person { email } => email.parse().map(Some).map_err(|_| {
            // The issuer verified it; but nobody is known by such an address here.
            Problem::new(&NOT_ALLOWED, "Your sign-in has no e-mail address that people are known by here.")
        }),
    }
}

/// Trigger jobs on a push
///
/// Keeps the request and queues it for Pulse. Each job is judged by itself: what the project does not have is rejected
/// with the closest name, and the rest goes on. With an `Idempotency-Key` the same request gets the first answer again,
/// for a day, marked by `Idempotent-Replayed`; without one, the same jobs of the same push within a minute are the same
/// request.
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
        ("dry_run" = Option<bool>, Query, description = "Judge everything, keep and queue nothing"),
        ("Idempotency-Key" = Option<String>, Header, max_length = 257, pattern = r#"^("[!#-\[\]-~]{1,255}"|[!#-\[\]-~]{1,255})$"#,
            description = "What the client calls this request, so that it can be sent again without running twice"),
    ),
    request_body = crate::body::TriggerBody,
    responses(
        (status = 202, description = "Kept; what is known of it", body = Triggered),
        (status = 200, description = "A dry run: what would come of it", body = Triggered),
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
    let parsed = body::read(&headers, body, &state.service.budget.limits).await?;
    request_log.record("jobs", parsed.names.len());
    let (requester, on_behalf_by) = requester(caller, parsed.requester)?;
    let idempotency_key = idempotency_key(&headers)?;
    let submission = Submission {
        project,
        push_id,
        names: parsed.names,
        decision_task_id: parsed.decision_task_id,
        requester,
        on_behalf_by,
        idempotency_key,
    };
    let service = &state.service;
    let outcome = if parameters.is_dry_run {
        service.check(&submission, &request_log).await?
    } else {
        service.submit(&submission, &request_log).await?
    };
    record_outcome(&request_log, &outcome);
    Ok(answered(&outcome, &outcome.response(&submission.project, submission.push_id)))
}

/// For whom jobs are asked for, and through which service.
fn requester(caller: Caller, named: Option<Email>) -> Result<(Email, Option<String>), Problem> {
    if let Caller::Service { client } = caller {
        let detail = "A service asks on behalf of somebody: their e-mail address is expected in 'requester'.";
        return named.map(|named| (named, Some(client))).ok_or_else(|| Problem::new(&BAD_BODY, detail));
    }
    let person = person(caller)?.filter(|person| named.as_ref().is_none_or(|named| named == person));
    let detail = "People ask for themselves: 'requester' is for services, and is somebody else.";
    person.map(|person| (person, None)).ok_or_else(|| Problem::new(&NOT_ALLOWED, detail).with("rule", "requester"))
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(key) = keys.next() else { return Ok(None) };
    match (key.to_str(), keys.next()) {
        (Ok(key), None) => Ok(Some(key.to_owned())),
        _ => Err(Problem::new(&crate::problems::BAD_KEY, "The Idempotency-Key is wrong: one, in ASCII, is expected.")),
    }
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
/// Where it is, each of its jobs, and what happened to it. While something is still to happen, `Retry-After` tells when
/// it is worth asking again; with `If-None-Match` that costs next to nothing.
#[utoipa::path(
    get,
    path = "/api/project/{project}/trigger_requests/{request_id}/",
    tag = "Trigger",
    operation_id = "getTriggerRequest",
    params(
        ("project" = String, Path, max_length = 100, pattern = "^[A-Za-z0-9._-]*[A-Za-z0-9_-][A-Za-z0-9._-]*$",
            description = "The project", example = "try"),
        ("request_id" = String, Path, min_length = 26, max_length = 26, pattern = "^[0-7][0-9A-HJKMNP-TV-Z]{25}$",
            description = "The request's name"),
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
    let request = find(service, &project, &id, &request_log).await?;
    let shows_people = shows_people(service, person(caller)?.as_ref(), &request);
    let etag = etag_of(&request, shows_people);
    // Which encoding the client holds is not known: it depends on the length of what is not read for this.
    let held = private(&etag).not_modified(&headers, true).or_else(|| private(&etag).not_modified(&headers, false));
    let (request, mut response) = if let Some(not_modified) = held {
        (request, not_modified)
    } else {
        // Head and jobs of one version: where they differ, both are read again, and it may be a later one.
        let (request, jobs) =
            service.read(&request_log, async |table| table.with_jobs(request, Consistency::Eventual).await).await?;
        let answer = TriggerRequest::new(&request, &jobs, &service.treeherder_public_url, shows_people);
        let response = private(&etag_of(&request, shows_people)).ok(JSON, packed(&headers, &answer))?;
        (request, response)
    };
    if let Some(seconds) = retry_after(&request, (service.clock)()) {
        response.headers_mut().insert(RETRY_AFTER, seconds.into());
    }
    Ok(response)
}

/// Names a version of a request, as it is shown to some.
fn etag_of(request: &Request, shows_people: bool) -> String {
    format!("{}-{}{}", request.id, request.version, if shows_people { "-people" } else { "" })
}

fn private(etag: &str) -> Validators<'_> {
    Validators { etag, last_modified: None, caching: Caching::Private }
}

/// How soon it is worth asking again, in seconds, while something is still to happen: often at first, when somebody
/// looks at it, and less and less.
fn retry_after(request: &Request, now: DateTime<Utc>) -> Option<u32> {
    let changed = request.history.last().map_or(now, |event| event.at);
    request.state.is_open().then(|| match (now - changed).num_seconds() {
        ..30 => 2,
        30..300 => 10,
        _ => 60,
    })
}

/// A request that the project has.
async fn find(service: &TriggerService, project: &str, id: &str, request_log: &RequestLog) -> Result<Request, Problem> {
    let project = body::project(project)?;
    request_log.record("project", project);
    let found: RequestId = body::request_id(id)?;
    request_log.record("request", found.to_string());
    let request = service.request(found, request_log).await?.filter(|request| request.project == project);
    request.ok_or_else(|| body::unknown_request(id))
}

/// Who asked is told to themselves, and to those who may trigger jobs on the same push.
fn shows_people(service: &TriggerService, reader: Option<&Email>, request: &Request) -> bool {
    reader.is_some_and(|reader| *reader == request.requester || service.may_trigger(reader, request))
}

/// Retry a request
///
/// Sends its failed and unroutable jobs again, under the rules of a new request: it takes the right to trigger jobs on the
/// push, and counts against the budget. Builds that were added for tests do not count. A job whose `detail` says that it may
/// have arrived may then run twice.
#[utoipa::path(
    post,
    path = "/api/project/{project}/trigger_requests/{request_id}/retry/",
    tag = "Trigger",
    operation_id = "retryTriggerRequest",
    params(
        ("project" = String, Path, max_length = 100, pattern = "^[A-Za-z0-9._-]*[A-Za-z0-9_-][A-Za-z0-9._-]*$",
            description = "The project", example = "try"),
        ("request_id" = String, Path, min_length = 26, max_length = 26, pattern = "^[0-7][0-9A-HJKMNP-TV-Z]{25}$",
            description = "The request's name"),
    ),
    responses((status = 202, description = "On its way once more", body = Triggered)),
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
    let request = find(&state.service, &project, &id, &request_log).await?;
    let outcome = state.service.retry(&request, Some(&by), &request_log).await?;
    Ok(answered(&outcome, &outcome.response(&request.project, request.push_id)))
}

/// The requests on a push
///
/// Newest first. A request of this very second may be missing.
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
        ("count" = Option<u64>, Query, minimum = 1, maximum = 100, description = "How many at most; 20 if not given"),
        ("before" = Option<String>, Query, min_length = 26, max_length = 26, pattern = "^[0-7][0-9A-HJKMNP-TV-Z]{25}$",
            description = "Only those that are older than this request"),
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
    let found = state
        .service
        .read(&request_log, async |table| table.of_push(project, push_id, parsed.before, parsed.page() + 1).await);
    let path = format!("/api/project/{project}/push/{push_id}/trigger_requests/?");
    listed(&state.service, &headers, reader.as_ref(), found.await?, &parsed, &path)
}

/// One's own requests
///
/// Newest first. A request of this very second may be missing.
#[utoipa::path(
    get,
    path = "/api/trigger_requests/",
    tag = "Trigger",
    operation_id = "listTriggerRequests",
    params(
        ("requester" = String, Query, pattern = "^me$", example = "me", description = "Whose: `me`, the one who signed in"),
        ("count" = Option<u64>, Query, minimum = 1, maximum = 100, description = "How many at most; 20 if not given"),
        ("before" = Option<String>, Query, min_length = 26, max_length = 26, pattern = "^[0-7][0-9A-HJKMNP-TV-Z]{25}$",
            description = "Only those that are older than this request"),
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
    let me = reader.ok_or_else(|| bad("A service has no requests of its own, so it is nobody's 'me'."))?;
    let found =
        state.service.read(&request_log, async |table| table.of_requester(&me, parsed.before, parsed.page() + 1).await);
    listed(&state.service, &headers, Some(&me), found.await?, &parsed, "/api/trigger_requests/?requester=me&")
}

/// A page of requests, of which one more than wanted was read, to tell whether there is another.
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
    let summary =
        |request| Summary::new(request, &service.treeherder_public_url, shows_people(service, reader, request));
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
