//! The HTTP routes: triggering jobs, following what becomes of that, and retrying.

use std::sync::Arc;

use axum::body::Body as RequestBody;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use catalog::jobs::etag;
use chrono::{DateTime, Utc};
use http::header::{CACHE_CONTROL, LOCATION, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_edge::{Body, Caching, Caller, Identity, Ledger, Path, Problem, Validators};
use serde::Serialize;
use store::Read;
use trigger::email::Email;
use trigger::request::{Request, RequestId};

use crate::api::{Summary, TriggerRequest, TriggerRequests, Triggered};
use crate::body::{self, Parameters};
use crate::desk::{Desk, Order};
use crate::outcome::{How, Outcome};
use crate::problems::{BAD_BODY, BAD_PARAMETER, NOT_ALLOWED};

const IDEMPOTENCY_KEY: &str = "idempotency-key";
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const JSON: &str = "application/json";

/// What the routes work with.
pub(crate) struct Counter {
    pub(crate) desk: Desk,
    /// None: nobody can sign in.
    pub(crate) identity: Option<Identity>,
}

impl Counter {
    async fn caller(&self, headers: &HeaderMap, ledger: &Ledger) -> Result<Caller, Problem> {
        let Some(identity) = &self.identity else {
            let detail = "Nobody can sign in here: no sign-in is configured.";
            return Err(Problem::new(&http_edge::SIGN_IN, detail).challenge("Bearer"));
        };
        identity.caller(headers, ledger).await
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
    State(counter): State<Arc<Counter>>,
    Path((project, push_id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    ledger: Ledger,
    body: RequestBody,
) -> Result<Response, Problem> {
    let caller = counter.caller(&headers, &ledger).await?;
    let project = body::project(&project)?.to_owned();
    ledger.note("project", project.as_str());
    let push_id = body::push_id(&push_id)?;
    let parameters = Parameters::read(query.as_deref(), &["dry_run"])?;
    let wanted = body::read(&headers, body, &counter.desk.budget.limits).await?;
    ledger.note("jobs", wanted.names.len());
    let (requester, on_behalf_by) = requester(caller, wanted.requester)?;
    let idempotency_key = idempotency_key(&headers)?;
    let order = Order {
        project,
        push_id,
        names: wanted.names,
        decision_task_id: wanted.decision_task_id,
        requester,
        on_behalf_by,
        idempotency_key,
    };
    let desk = &counter.desk;
    let outcome =
        if parameters.is_dry_run { desk.check(&order, &ledger).await? } else { desk.submit(&order, &ledger).await? };
    note(&ledger, &outcome);
    Ok(answered(&outcome, &outcome.told(&order.project, order.push_id)))
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

fn note(ledger: &Ledger, outcome: &Outcome) {
    let how = match outcome.how {
        How::Made => "made",
        How::Replayed => "replayed",
        How::Repeated(_) => "repeated",
        How::Checked => "checked",
    };
    ledger.note("outcome", how);
}

fn answered(outcome: &Outcome, answer: &Triggered) -> Response {
    let status = if outcome.how == How::Checked { StatusCode::OK } else { StatusCode::ACCEPTED };
    let mut response = (status, axum::Json(answer)).into_response();
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(url) = answer.status_url.as_deref().and_then(|url| HeaderValue::try_from(url).ok()) {
        headers.insert(LOCATION, url);
    }
    if outcome.how == How::Replayed {
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
    State(counter): State<Arc<Counter>>,
    Path((project, id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    ledger: Ledger,
) -> Result<Response, Problem> {
    let caller = counter.caller(&headers, &ledger).await?;
    Parameters::read(query.as_deref(), &[])?;
    let desk = &counter.desk;
    let request = find(desk, &project, &id, &ledger).await?;
    let shows_people = shows_people(desk, person(caller)?.as_ref(), &request);
    let etag = etag_of(&request, shows_people);
    // Which encoding the client holds is not known: it depends on the length of what is not read for this.
    let held = private(&etag).not_modified(&headers, true).or_else(|| private(&etag).not_modified(&headers, false));
    let (request, mut response) = if let Some(not_modified) = held {
        (request, not_modified)
    } else {
        // Head and jobs of one version: where they differ, both are read again, and it may be a later one.
        let (request, jobs) = desk.read(&ledger, async |table| table.with_jobs(request, Read::Eventual).await).await?;
        let answer = TriggerRequest::new(&request, &jobs, &desk.treeherder_public_url, shows_people);
        let response = private(&etag_of(&request, shows_people)).ok(JSON, packed(&headers, &answer))?;
        (request, response)
    };
    if let Some(seconds) = retry_after(&request, (desk.clock)()) {
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
async fn find(desk: &Desk, project: &str, id: &str, ledger: &Ledger) -> Result<Request, Problem> {
    let project = body::project(project)?;
    ledger.note("project", project);
    let found: RequestId = body::request_id(id)?;
    ledger.note("request", found.to_string());
    let request = desk.request(found, ledger).await?.filter(|request| request.project == project);
    request.ok_or_else(|| body::unknown_request(id))
}

/// Who asked is told to themselves, and to those who may trigger jobs on the same push.
fn shows_people(desk: &Desk, reader: Option<&Email>, request: &Request) -> bool {
    reader.is_some_and(|reader| *reader == request.requester || desk.may(reader, request))
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
    State(counter): State<Arc<Counter>>,
    Path((project, id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    ledger: Ledger,
) -> Result<Response, Problem> {
    let caller = counter.caller(&headers, &ledger).await?;
    Parameters::read(query.as_deref(), &[])?;
    let Some(by) = person(caller)? else {
        let detail = "Only people retry requests: sign in as yourself.";
        return Err(Problem::new(&NOT_ALLOWED, detail).with("rule", "retry"));
    };
    let request = find(&counter.desk, &project, &id, &ledger).await?;
    let outcome = counter.desk.retry(&request, Some(&by), &ledger).await?;
    Ok(answered(&outcome, &outcome.told(&request.project, request.push_id)))
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
    State(counter): State<Arc<Counter>>,
    Path((project, push_id)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    ledger: Ledger,
) -> Result<Response, Problem> {
    let reader = person(counter.caller(&headers, &ledger).await?)?;
    let project = body::project(&project)?;
    ledger.note("project", project);
    let push_id = body::push_id(&push_id)?;
    let wanted = Parameters::read(query.as_deref(), &["before", "count"])?;
    let found = counter
        .desk
        .read(&ledger, async |table| table.of_push(project, push_id, wanted.before, wanted.page() + 1).await);
    let path = format!("/api/project/{project}/push/{push_id}/trigger_requests/?");
    listed(&counter.desk, &headers, reader.as_ref(), found.await?, &wanted, &path)
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
    State(counter): State<Arc<Counter>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    ledger: Ledger,
) -> Result<Response, Problem> {
    let reader = person(counter.caller(&headers, &ledger).await?)?;
    let wanted = Parameters::read(query.as_deref(), &["requester", "before", "count"])?;
    let bad = |detail| Problem::new(&BAD_PARAMETER, detail).with("parameter", "requester");
    if !wanted.is_mine {
        return Err(bad("Whose requests? 'requester=me' is expected."));
    }
    let me = reader.ok_or_else(|| bad("A service has no requests of its own, so it is nobody's 'me'."))?;
    let found =
        counter.desk.read(&ledger, async |table| table.of_requester(&me, wanted.before, wanted.page() + 1).await);
    listed(&counter.desk, &headers, Some(&me), found.await?, &wanted, "/api/trigger_requests/?requester=me&")
}

/// A page of requests, of which one more than wanted was read, to tell whether there is another.
fn listed(
    desk: &Desk,
    headers: &HeaderMap,
    reader: Option<&Email>,
    mut found: Vec<Request>,
    wanted: &Parameters,
    path: &str,
) -> Result<Response, Problem> {
    let has_more = found.len() > wanted.page();
    found.truncate(wanted.page());
    let next = found.last().filter(|_| has_more).map(|last| {
        let count = wanted.count.map(|count| format!("count={count}&")).unwrap_or_default();
        format!("{path}{count}before={}", last.id)
    });
    let summary = |request| Summary::new(request, &desk.treeherder_public_url, shows_people(desk, reader, request));
    let answer = TriggerRequests { results: found.iter().map(summary).collect(), next };
    let etag = etag(&serde_json::to_vec(&answer).unwrap_or_default());
    private(&etag).answer(headers, JSON, packed(headers, &answer))
}

fn packed(headers: &HeaderMap, answer: &impl Serialize) -> Body {
    Body::packed_for(headers, serde_json::to_vec(answer).expect("numbers, strings and times can be written to memory"))
}
