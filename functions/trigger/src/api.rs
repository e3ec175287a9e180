//! The bodies of the answers, as the reference describes them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use requests::history::Event;
use requests::job::RequestedJob;
use requests::request::Request;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The outcome of triggering jobs.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Triggered {
    /// What happened, in a sentence or two for people.
    #[schema(example = "2 jobs are queued for push 1001 of try.")]
    pub message: String,
    /// The id of the request. Null in a dry run.
    #[schema(example = "01KAS4B0MRJ6WJ0RGDX8T0E4JQ")]
    pub request_id: Option<String>,
    /// Where the request can be followed: a path on this host. Null in a dry run.
    #[schema(example = "/api/project/try/trigger_requests/01KAS4B0MRJ6WJ0RGDX8T0E4JQ/")]
    pub status_url: Option<String>,
    /// The state of the request: `accepted` (stored, not queued yet), `queued`, or a later one; `checked` in a dry run.
    #[schema(example = "queued")]
    pub state: String,
    /// Whether this is an earlier, equal request: nothing was requested again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeated: bool,
    /// The jobs, each once, in the order of the request, followed by builds that they need.
    pub jobs: Vec<JobStatus>,
}

/// A job of a request.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RequestedJob)]
pub struct JobStatus {
    /// The name in the catalog; of a rejected job, the name that was asked for.
    #[schema(example = "Linux x86-64 try build")]
    pub name: String,
    /// The name that was asked for, where that is another.
    #[serde(rename = "asked_as", default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub requested_name: Option<String>,
    /// The state: `accepted`, `rejected`, `waiting`, `forwarded`, `unroutable` or `failed`.
    #[schema(example = "accepted")]
    pub state: String,
    /// What a program has to know beside the state: `unknown_job`, `renamed` (the job has another name now), or `corrected`
    /// (the name was sent in another case or with other blanks); after planning also `needed_build` (a job that was asked
    /// for needs this build), `already_running`, `unplanned` (Treeherder did not answer), `build_running` and
    /// `build_requested` (the job waits for that), `build_failed`, or `waited_too_long`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub code: Option<String>,
    /// What a person has to know beside the state, in a sentence or two. If a message for a failed or unroutable job was
    /// sent and not confirmed, the detail says that it may have arrived: a retry may run the job twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub detail: Option<String>,
    /// A suggestion for a name that is not known.
    #[serde(rename = "closest", default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub suggestion: Option<String>,
}

/// A request, its jobs and its history.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TriggerRequest {
    /// The request, as in a list.
    #[serde(flatten)]
    pub summary: Summary,
    /// The jobs, in the order of the request, followed by builds that they need.
    pub jobs: Vec<JobStatus>,
    /// The history, oldest first: the first event, and the last fifty.
    pub history: Vec<Happened>,
    /// How many events after the first one are left out of the history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub events_left_out: Option<u64>,
}

/// A request, without its jobs.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
pub struct Summary {
    /// The id of the request.
    #[schema(example = "01KAS4B0MRJ6WJ0RGDX8T0E4JQ")]
    pub request_id: String,
    /// The project.
    #[schema(example = "try")]
    pub project: String,
    /// The push, by its number in Treeherder.
    #[schema(example = 1001)]
    pub push_id: u64,
    /// The revision of the push; null if Treeherder did not answer.
    pub revision: Option<String>,
    /// The state: `accepted`, `queued`, `waiting`, `forwarded` or `failed`.
    #[schema(example = "queued")]
    pub state: String,
    /// The number of jobs in each state.
    #[schema(example = json!({"accepted": 2, "rejected": 1}))]
    pub job_counts: BTreeMap<String, u32>,
    /// When the request was accepted.
    pub created_at: DateTime<Utc>,
    /// The requester's e-mail address; null for readers who may not trigger jobs on this push.
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
    /// Related resources.
    pub links: Links,
}

/// Resources that are related to a request. Paths are on this host.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Links {
    /// The request itself.
    #[serde(rename = "self")]
    pub this: String,
    /// Sends the failed and unroutable jobs again. Null if there are none, or while the request is open.
    pub retry: Option<String>,
    /// The push on Treeherder. Null if its revision is not known.
    pub push: Option<String>,
}

/// An event in the history of a request.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Happened {
    /// When it happened.
    pub at: DateTime<Utc>,
    /// The state of the request from then on.
    #[schema(example = "queued")]
    pub state: String,
    /// What happened, beside the change of state.
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
    /// Where older requests are: a path on this host. Null if there are none.
    pub next: Option<String>,
}

/// The path of a request.
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
            requested_name: job.requested_name.clone(),
            state: job.state.as_str().to_owned(),
            code: job.code.map(|code| code.as_str().to_owned()),
            detail: job.detail(project),
            suggestion: job.suggestion.clone(),
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
