//! `GET /api/project/{project}/runnable_jobs/` and one job of it.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::Response;
use bytes::Bytes;
use catalog::list::{Listing, Selection, etag, unpack};
use http::HeaderMap;
use http_api::{Caching, Path, Problem, RequestLog, ResponseBody, Validators, accepts_gzip};
use store::{Found, ListOwner, ListPointer};

use crate::api::{Field, JobWithRelatives, ListAnswer};
use crate::catalog::{CatalogService, ListFound, problem, with_staleness};
use crate::problems::UNKNOWN_JOB;
use crate::query::{self, View};

const JSON: &str = "application/json";

/// The jobs that can be run on a push of a project
///
/// Without parameters the answer is the stored list, as gzip if the client accepts it. Filters can be repeated and
/// match any of their values. `meta.count` is the requested count, or the number of jobs in the answer; `meta.total` is
/// how many jobs match the filters. Jobs are in the order of their names. With `view=grid` the answer has the same jobs
/// as columns, in fewer bytes, for a page that draws all of them.
#[utoipa::path(
    get,
    path = "/api/project/{project}/runnable_jobs/",
    tag = "Lists",
    operation_id = "listRunnableJobs",
    params(
        ("project" = String, Path, description = "The project, for example `try`", example = "try"),
        ("search" = Option<String>, Query, max_length = 500, example = "mochitest linux64",
            description = "A query, as in the page's field. A job matches if its line matches: name or label, symbol, \
                symbol and name of its group, platform, title of the platform, option. All words have to match: \
                `word` anywhere in the line, `^word` at its start, `word$` at its end, `!word` nowhere; of \
                `one | other` one is enough, and `\\ ` is a blank within a word. A word with capitals has to match \
                their case. A query without a word, such as `!`, matches all jobs"),
        ("platform" = Option<Vec<String>>, Query, max_length = 500, description = "Only jobs of this platform"),
        ("option" = Option<Vec<String>>, Query, max_length = 500,
            description = "Only jobs with this option (`opt`, `debug`, `pgo`, ...)"),
        ("job_group_symbol" = Option<Vec<String>>, Query, max_length = 500,
            description = "Only jobs of the group with this symbol"),
        ("job_type_symbol" = Option<Vec<String>>, Query, max_length = 500,
            description = "Only jobs of the type with this symbol"),
        ("build_system_type" = Option<Vec<String>>, Query, max_length = 500,
            description = "Only jobs of this build system"),
        ("view" = Option<String>, Query, pattern = "^grid$", description = "`grid`: the jobs as columns, from which a \
            page draws them. Not together with `fields`, `offset` and `count`"),
        ("fields" = Option<Vec<Field>>, Query, style = Form, explode = false, min_items = 1,
            description = "Only these fields of each job, separated by commas. A job without a field lacks it in the \
                answer too",
            example = json!(["ref_data_name", "platform"])),
        ("offset" = Option<u64>, Query, maximum = 4_294_967_295_i64, description = "How many jobs to skip"),
        ("count" = Option<u64>, Query, minimum = 1, maximum = 4_294_967_295_i64,
            description = "Maximum number of jobs in the answer (default: all)"),
        ("format" = Option<String>, Query, pattern = "^json$", description = "Sent by SETA's client. It has no effect"),
        ("decision_task_id" = Option<String>, Query,
            pattern = "^([A-Za-z0-9_-]{8}[Q-T][A-Za-z0-9_-][CGKOSWaeimquy26-][A-Za-z0-9_-]{10}[AQgw]|undefined|null)?$",
            example = "Ab-_9fIzT8aXVvV2yWqhGQ",
            description = "The push's decision task: the answer is the push's own list, with the jobs of this task's \
                graph and the project's Buildbot jobs. It has no effect if the service has no Taskcluster, or if it is \
                empty, `undefined` or `null`"),
        ("decisionTaskID" = Option<String>, Query, deprecated,
            pattern = "^([A-Za-z0-9_-]{8}[Q-T][A-Za-z0-9_-][CGKOSWaeimquy26-][A-Za-z0-9_-]{10}[AQgw]|undefined|null)?$",
            description = "The name of `decision_task_id` in 2016"),
        ("revision" = Option<String>, Query, max_length = 500,
            description = "The push's revision, if its decision task is not named; Taskcluster's Index knows it once the \
                decision task has completed"),
        ("push_id" = Option<String>, Query, max_length = 500, description = "The push. Treeherder's client sends it \
            since December 2018. It has no effect"),
    ),
    responses((status = 200, description = "The list, the selected part of it, or its grid", body = ListAnswer))
)]
pub(crate) async fn list(
    State(catalog): State<Arc<CatalogService>>,
    Path(project): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    request_log: RequestLog,
) -> Result<Response, Problem> {
    let view = query::view(query.as_deref())?;
    let ListFound { owner, pointer } = catalog.find(project, query::push(query.as_deref()), &request_log).await?;
    let owner = owner.as_ref();
    match view {
        View::WholeList => whole_list(&catalog, owner, &pointer, &headers, &request_log).await,
        View::Jobs(wanted) => {
            let list = catalog.searchable_list(owner, &pointer.value, &request_log).await?;
            let body = list.value.listing.select(&wanted);
            let response = respond(&catalog, served(&pointer, &list.value.pointer), &headers, body)?;
            Ok(with_staleness(response, list.stale_for.or(pointer.stale_for)))
        }
        View::Grid(wanted) => {
            let list = catalog.searchable_list(owner, &pointer.value, &request_log).await?;
            let (listing, served) = (&list.value.listing, served(&pointer, &list.value.pointer));
            let response = if wanted == Selection::default() {
                whole_grid(&catalog, served, &headers, listing)?
            } else {
                respond(&catalog, served, &headers, listing.grid_of(&wanted))?
            };
            Ok(with_staleness(response, list.stale_for.or(pointer.stale_for)))
        }
    }
}

/// The list as it is stored.
async fn whole_list(
    catalog: &CatalogService,
    owner: ListOwner<'_>,
    pointer: &Found<Arc<ListPointer>>,
    headers: &HeaderMap,
    request_log: &RequestLog,
) -> Result<Response, Problem> {
    let gzip = accepts_gzip(headers);
    if let Some(not_modified) = validators(catalog, &pointer.value).not_modified(headers, gzip) {
        return Ok(with_staleness(not_modified, pointer.stale_for));
    }
    let list = catalog.list(owner, &pointer.value, request_log).await?;
    let body = if gzip {
        ResponseBody::Gzip(list.value.gzip.clone())
    } else {
        ResponseBody::Plain(Bytes::from_owner(list.value.plain().map_err(|error| problem("", error))?))
    };
    let response = validators(catalog, served(pointer, &list.value.pointer)).ok(JSON, body)?;
    Ok(with_staleness(response, list.stale_for.or(pointer.stale_for)))
}

/// The grid of all jobs, which stays in memory, packed.
fn whole_grid(
    catalog: &CatalogService,
    pointer: &ListPointer,
    headers: &HeaderMap,
    listing: &Listing,
) -> Result<Response, Problem> {
    let grid = listing.packed_grid();
    let validators = Validators { etag: &grid.etag, ..validators(catalog, pointer) };
    let gzip = accepts_gzip(headers);
    if let Some(not_modified) = validators.not_modified(headers, gzip) {
        return Ok(not_modified);
    }
    let body = if gzip {
        ResponseBody::Gzip(Bytes::from_owner(grid.gzip.clone()))
    } else {
        ResponseBody::Plain(unpack(&grid.gzip).expect("it was packed in memory").into())
    };
    validators.ok(JSON, body)
}

/// One job, with the build that it needs and the tests that need it
///
/// The name is the builder name or the Taskcluster label, percent-encoded; slashes may stay. A name that differs in
/// case or blanks from exactly one job finds that job; `meta.asked_as` then has the requested name.
#[utoipa::path(
    get,
    path = "/api/project/{project}/runnable_jobs/{ref_data_name}/",
    tag = "Lists",
    operation_id = "getRunnableJob",
    params(
        ("project" = String, Path, description = "The project", example = "try"),
        ("ref_data_name" = String, Path, description = "The job's name", example = "Linux x86-64 try build"),
        ("decision_task_id" = Option<String>, Query,
            pattern = "^([A-Za-z0-9_-]{8}[Q-T][A-Za-z0-9_-][CGKOSWaeimquy26-][A-Za-z0-9_-]{10}[AQgw]|undefined|null)?$",
            example = "Ab-_9fIzT8aXVvV2yWqhGQ",
            description = "The push's decision task: the job is one of the push's own list"),
        ("decisionTaskID" = Option<String>, Query, deprecated,
            pattern = "^([A-Za-z0-9_-]{8}[Q-T][A-Za-z0-9_-][CGKOSWaeimquy26-][A-Za-z0-9_-]{10}[AQgw]|undefined|null)?$",
            description = "The name of `decision_task_id` in 2016"),
        ("revision" = Option<String>, Query, max_length = 500,
            description = "The push's revision, if its decision task is not named"),
    ),
    responses((status = 200, description = "The job", body = JobWithRelatives))
)]
pub(crate) async fn job(
    State(catalog): State<Arc<CatalogService>>,
    Path((project, name)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    request_log: RequestLog,
) -> Result<Response, Problem> {
    query::of_job(query.as_deref())?;
    let push = query::push(query.as_deref());
    let ListFound { owner, pointer } = catalog.find(project.clone(), push, &request_log).await?;
    let list = catalog.searchable_list(owner.as_ref(), &pointer.value, &request_log).await?;
    let listing = &list.value.listing;
    let bare = name.strip_suffix('/').unwrap_or(&name);
    let Some(body) = listing.job(bare) else {
        let nearest = listing.suggest(bare, 3);
        let shown: String = bare.chars().take(200).collect();
        let detail = match nearest[..] {
            [] => format!("{project} has no job '{shown}'."),
            _ => format!("{project} has no job '{shown}'. Did you mean one of these: {}?", nearest.join("; ")),
        };
        return Err(Problem::new(&UNKNOWN_JOB, detail).with("closest", nearest));
    };
    let response = respond(&catalog, served(&pointer, &list.value.pointer), &headers, body)?;
    Ok(with_staleness(response, list.stale_for.or(pointer.stale_for)))
}

/// The pointer of the served list: the newer one, unless its list could not be read.
fn served<'f>(pointer: &'f Found<Arc<ListPointer>>, of_list: &'f ListPointer) -> &'f ListPointer {
    if of_list.etag == pointer.value.etag { &pointer.value } else { of_list }
}

fn validators<'c>(catalog: &CatalogService, pointer: &'c ListPointer) -> Validators<'c> {
    Validators {
        etag: &pointer.etag,
        last_modified: Some(pointer.provenance.updated_at),
        caching: Caching::Public(catalog.max_age()),
    }
}

/// An answer with a body made for this request.
fn respond(
    catalog: &CatalogService,
    pointer: &ListPointer,
    headers: &HeaderMap,
    body: Vec<u8>,
) -> Result<Response, Problem> {
    let etag = etag(&body);
    let validators = Validators { etag: &etag, ..validators(catalog, pointer) };
    validators.answer(headers, JSON, ResponseBody::packed_for(headers, body))
}
