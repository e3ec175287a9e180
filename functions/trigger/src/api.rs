//! The shapes of the answers, as the reference describes them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use requests::history::Event;
use requests::job::RequestedJob;
use requests::request::Request;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What became of asking for jobs.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Triggered {
    /// What happened, in a sentence or two for people. It says no more than is known.
    #[schema(example = "2 jobs are queued for push 1001 of try.")]
    pub message: String,
    /// The request's name, by which it is asked for. None in a dry run.
    #[schema(example = "01KAS4B0MRJ6WJ0RGDX8T0E4JQ")]
    pub request_id: Option<String>,
    /// Where it can be followed: a path on this host. None in a dry run.
    #[schema(example = "/api/project/try/trigger_requests/01KAS4B0MRJ6WJ0RGDX8T0E4JQ/")]
    pub status_url: Option<String>,
    /// Where the request is: `accepted` (kept, to be queued), `queued`, or further; in a dry run `checked`.
    #[schema(example = "queued")]
    pub state: String,
    /// Whether it is an earlier request, which asked for the same a moment ago: nothing was requested again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeated: bool,
    /// The jobs, in the order in which they were asked for, each once; behind them builds that they need.
    pub jobs: Vec<JobStatus>,
}

/// A job of a request.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RequestedJob)]
pub struct JobStatus {
    /// Its name in the catalog; of a rejected one, the name that was asked for.
    #[schema(example = "Linux x86-64 try build")]
    pub name: String,
    /// The name that was asked for, where that is another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub asked_as: Option<String>,
    /// Where it is: `accepted`, `rejected`, `waiting`, `forwarded`, `unroutable` or `failed`.
    #[schema(example = "accepted")]
    pub state: String,
    /// What is to be said of it, for programs: `unknown_job`, `renamed` (it has another name now), or `corrected` (its name
    /// was sent in another case or with other blanks); once it is planned also `needed_build` (a job that was asked for
    /// needs this build), `already_running`, `unplanned` (Treeherder did not answer), `build_running` and
    /// `build_requested` (it waits for that), `build_failed`, or `waited_too_long`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub code: Option<String>,
    /// The same, in a sentence for people. Of a job that failed or was unroutable, though a message for it was sent and not
    /// confirmed, it says that it may have arrived: a retry may run it twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub detail: Option<String>,
    /// The name that was probably meant by one that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub closest: Option<String>,
}

/// A request and what became of it.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TriggerRequest {
    /// What it is, as in a list.
    #[serde(flatten)]
    pub summary: Summary,
    /// Its jobs, in the order in which they were asked for; behind them builds that they need.
    pub jobs: Vec<JobStatus>,
    /// What happened to it, oldest first: the first event, and the last fifty.
    pub history: Vec<Happened>,
    /// How many events behind the first one are left out of the history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub events_left_out: Option<u64>,
}

/// A request, without its jobs.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Summary {
    /// The request's name.
    #[schema(example = "01KAS4B0MRJ6WJ0RGDX8T0E4JQ")]
    pub request_id: String,
    /// The project.
    #[schema(example = "try")]
    pub project: String,
    /// The push, by its number in Treeherder.
    #[schema(example = 1001)]
    pub push_id: u64,
    /// The push's revision; null where Treeherder did not answer.
    pub revision: Option<String>,
    /// Where it is: `accepted`, `queued`, `waiting`, `forwarded` or `failed`.
    #[schema(example = "queued")]
    pub state: String,
    /// How many of its jobs are in which state.
    #[schema(example = json!({"accepted": 2, "rejected": 1}))]
    pub job_counts: BTreeMap<String, u32>,
    /// When it was taken.
    pub created_at: DateTime<Utc>,
    /// Who asked: an e-mail address; null for those who may not trigger jobs on this push.
    #[schema(example = "someone@mozilla.com")]
    pub requester: Option<String>,
    /// The service that asked on behalf of the requester.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub on_behalf_by: Option<String>,
    /// The push's decision task, if the client named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub decision_task_id: Option<String>,
    /// Where to go from here.
    pub links: Links,
}

/// Where to go from a request. Paths are on this host.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Links {
    /// The request itself.
    #[serde(rename = "self")]
    pub this: String,
    /// Sends its failed and unroutable jobs again. Null where there are none, or where something is still to happen.
    pub retry: Option<String>,
    /// The push on Treeherder. Null where its revision is not known.
    pub push: Option<String>,
}

/// Something that happened to a request.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Happened {
    /// When.
    pub at: DateTime<Utc>,
    /// Where the request was then.
    #[schema(example = "queued")]
    pub state: String,
    /// What is to be said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub detail: Option<String>,
    /// Who did it, where a person did; only for those who may trigger jobs on this push.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub by: Option<String>,
}

/// Requests, newest first.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TriggerRequests {
    /// The requests.
    pub results: Vec<Summary>,
    /// Where older ones are: a path on this host. Null where there are none.
    pub next: Option<String>,
}

/// Where a request can be followed.
pub fn status_url(request: &Request) -> String {
    format!("/api/project/{}/trigger_requests/{}/", request.project, request.id)
}

/// A project's jobs as the API shows them.
pub fn jobs(project: &str, jobs: &[RequestedJob]) -> Vec<JobStatus> {
    jobs.iter().map(|job| JobStatus::new(project, job)).collect()
}

impl JobStatus {
    fn new(project: &str, job: &RequestedJob) -> Self {
        Self {
            name: job.name.clone(),
            asked_as: job.asked_as.clone(),
            state: job.state.as_str().to_owned(),
            code: job.code.map(|code| code.as_str().to_owned()),
            detail: job.detail(project),
            closest: job.closest.clone(),
        }
    }
}

impl Summary {
    /// A request. It has the requester's address only if `shows_people`.
    pub fn new(request: &Request, treeherder: &str, shows_people: bool) -> Self {
        let can_be_retried = !request.state.is_open() && request.job_counts.keys().any(|state| state.can_be_retried());
        let this = status_url(request);
        let push = request
            .pushed
            .as_ref()
            .map(|pushed| format!("{treeherder}/jobs?repo={}&revision={}", request.project, pushed.revision));
        Self {
            request_id: request.id.to_string(),
            project: request.project.clone(),
            push_id: request.push_id,
            revision: request.pushed.as_ref().map(|pushed| pushed.revision.clone()),
            state: request.state.as_str().to_owned(),
            job_counts: request.job_counts.iter().map(|(state, count)| (state.as_str().to_owned(), *count)).collect(),
            created_at: request.created_at().unwrap_or_default(),
            requester: shows_people.then(|| request.requester.to_string()),
            on_behalf_by: request.on_behalf_by.clone(),
            decision_task_id: request.decision_task_id.clone(),
            links: Links { retry: can_be_retried.then(|| format!("{this}retry/")), this, push },
        }
    }
}

impl TriggerRequest {
    /// A request with its jobs. It has e-mail addresses only if `shows_people`.
    pub fn new(request: &Request, jobs: &[RequestedJob], treeherder: &str, shows_people: bool) -> Self {
        let happened = |event: &Event| Happened {
            at: event.at,
            state: event.state.as_str().to_owned(),
            detail: event.detail_text(),
            by: event.by.as_ref().filter(|_| shows_people).map(ToString::to_string),
        };
        Self {
            summary: Summary::new(request, treeherder, shows_people),
            jobs: self::jobs(&request.project, jobs),
            history: request.history.iter().map(happened).collect(),
            events_left_out: Some(request.events_left_out).filter(|count| *count > 0),
        }
    }
}
