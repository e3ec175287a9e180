//! The bodies of the answers, as the reference describes them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use requests::action::{Action, ActionState, LOOKED_FOR};
use requests::destination::Destination;
use requests::history::Event;
use requests::job::RequestedJob;
use requests::outcome::{Outcome, Progress, RunOf};
use requests::request::Request;
use requests::state::JobState;
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
    /// In a dry run, the actions of Taskcluster that would run the labels, one after the other. Left out if no label would
    /// be run, or if Taskcluster does not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub actions: Option<Vec<ActionPreview>>,
}

/// An action of Taskcluster that would run labels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActionPreview {
    /// The hook that would be called, with its group.
    #[schema(example = "project-gecko/in-tree-action-1-generic/0123abcdef")]
    pub hook: String,
    /// The labels that it would run.
    pub labels: Vec<String>,
    /// The size of the action's input, in bytes of JSON.
    pub input_bytes: usize,
    /// Builds that the labels need and that Treeherder does not show on the push: Taskcluster would start them too. Empty
    /// if Treeherder does not answer.
    pub also_starts: Vec<String>,
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
    /// The state: `accepted`, `rejected`, `waiting` (for a build, or for Taskcluster), `triggering` (the hook was called, and
    /// it is not known yet whether it made a task), `forwarded`, `unroutable` or `failed`.
    #[schema(example = "accepted")]
    pub state: String,
    /// What a program has to know beside the state.
    ///
    /// - Of the name: `unknown_job`; `renamed`: the job has another name now; `corrected`: the name was sent in another case
    ///   or with other blanks.
    /// - Of the plan: `needed_build`: a job that was asked for needs this build; `already_running`; `unplanned`: Treeherder
    ///   did not answer; `build_running`, `build_requested`: the job waits for that; `build_failed`; `waited_too_long`.
    /// - Of labels: `not_triggerable`: Taskcluster jobs of this project cannot be triggered here; `no_decision_task`: the
    ///   push has no usable decision task or list of actions; `action_unusable`; `hook_not_allowed`; `schema_changed`;
    ///   `input_refused`; `hook_missing`: the push is too old, or changes `.taskcluster.yml`; `missing_scopes`;
    ///   `hook_declined`; `rate_limited`; `taskcluster_unavailable`; `not_created`: the action ended without the job's task.
    /// - Of forwarded jobs: `not_seen`: the job did not appear in time.
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
    /// Where the job goes: `pulse` (a builder name) or `taskcluster` (a label). Left out for a name that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "pulse")]
    pub destination: Option<String>,
    /// What became of the job after it was forwarded. Left out while nothing is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub outcome: Option<JobOutcome>,
}

/// What became of a job after it was forwarded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JobOutcome {
    /// How far the job is: `unscheduled` (it waits for other tasks), `pending`, `running`, `completed`, or `not_seen` (it did
    /// not appear in time, and is not followed any more).
    #[schema(example = "completed")]
    pub state: String,
    /// Treeherder's word for the result of a completed job, of both build systems: `success`, `testfailed`, `busted`,
    /// `exception`, `usercancel`, `superseded`, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "success")]
    pub result: Option<String>,
    /// The job's task, if Taskcluster runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "fN1SbArXTPSVFNUvaOlinQ")]
    pub task_id: Option<String>,
    /// The job's number in Treeherder, if Buildbot runs it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub job_id: Option<u64>,
    /// A page about the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub url: Option<String>,
    /// Since when the job is in this state, as far as is known.
    pub since: DateTime<Utc>,
}

/// How many jobs of a request are how far. Rejected jobs are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProgressCounts {
    /// Jobs that have not begun.
    pub waiting: u32,
    /// Jobs that run.
    pub running: u32,
    /// Jobs that ended with success.
    pub succeeded: u32,
    /// Jobs that ended otherwise, could not be forwarded, or were not seen.
    pub failed: u32,
}

/// An action of Taskcluster that runs labels of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActionStatus {
    /// Its number within the request.
    pub number: u32,
    /// How far it is: `triggering` (the hook is being called), `running`, `ended`, or `uncertain` (the call was not answered,
    /// and it is not known whether there is a task).
    #[schema(example = "running")]
    pub state: String,
    /// The hook that was called, with its group.
    #[schema(example = "project-gecko/in-tree-action-1-generic/0123abcdef")]
    pub hook: String,
    /// The number of its jobs.
    pub jobs: usize,
    /// Its task; null while it is not known.
    pub task_id: Option<String>,
    /// A page about its task; null while that is not known.
    pub url: Option<String>,
    /// When the hook was called last.
    pub called_at: DateTime<Utc>,
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
    /// The state: `accepted`, `queued`, `waiting`, `forwarded` (jobs are followed to their end), `finished` (all of them have
    /// ended) or `failed` (none could be forwarded).
    #[schema(example = "queued")]
    pub state: String,
    /// The number of jobs in each state.
    #[schema(example = json!({"accepted": 2, "rejected": 1}))]
    pub job_counts: BTreeMap<String, u32>,
    /// How far the jobs are. Left out of requests that an earlier version stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub progress: Option<ProgressCounts>,
    /// When the request was accepted.
    pub created_at: DateTime<Utc>,
    /// When the request ended: it is finished, or failed. Null until then.
    pub finished_at: Option<DateTime<Utc>>,
    /// The requester's e-mail address; null for readers who may not trigger jobs on this push.
    #[schema(example = "someone@mozilla.com")]
    pub requester: Option<String>,
    /// The service that asked on behalf of the requester.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub on_behalf_by: Option<String>,
    /// The push's decision task, if the client named it or the request has labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub decision_task_id: Option<String>,
    /// The actions of Taskcluster that run labels of the request, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<ActionStatus>,
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

/// The addresses with which links start, without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrls {
    /// Treeherder's, for browsers.
    pub treeherder: String,
    /// Taskcluster's, if one is configured.
    pub taskcluster: Option<String>,
}

impl PublicUrls {
    /// The page of a push.
    fn push(&self, request: &Request) -> Option<String> {
        let pushed = request.pushed.as_ref()?;
        Some(format!("{}/jobs?repo={}&revision={}", self.treeherder, request.project, pushed.revision))
    }

    /// The page of a job in Treeherder.
    fn job(&self, request: &Request, id: u64) -> String {
        let push = self.push(request).unwrap_or_else(|| format!("{}/jobs?repo={}", self.treeherder, request.project));
        format!("{push}&selectedJob={id}")
    }

    /// The page of a task.
    fn task(&self, id: &str) -> Option<String> {
        self.taskcluster.as_ref().map(|root| format!("{root}/tasks/{id}"))
    }
}

/// The jobs of a request as the API shows them.
pub fn jobs_of(request: &Request, jobs: &[RequestedJob], urls: &PublicUrls) -> Vec<JobStatus> {
    let status = |job: &RequestedJob| JobStatus {
        detail: detail(request, job),
        outcome: job.outcome.as_ref().map(|outcome| JobOutcome::new(request, outcome, urls)),
        ..JobStatus::new(&request.project, job)
    };
    jobs.iter().map(status).collect()
}

/// A project's jobs as the API shows them, if they are those of no request, or as they were at its start.
pub fn jobs(project: &str, jobs: &[RequestedJob]) -> Vec<JobStatus> {
    jobs.iter().map(|job| JobStatus::new(project, job)).collect()
}

/// What a person has to know about a job of a request. Why a label waits stands in the head of the request.
pub fn detail(request: &Request, job: &RequestedJob) -> Option<String> {
    let wait = match (job.destination, job.state) {
        (Destination::Taskcluster, JobState::Waiting) => request.label_wait.as_ref().map(|wait| wait.why.sentence()),
        (Destination::Taskcluster, JobState::Triggering) => Some(LOOKED_FOR.to_owned()),
        _ => None,
    };
    match (wait, job.detail(&request.project)) {
        (Some(wait), Some(detail)) => Some(format!("{wait} {detail}")),
        (wait, detail) => wait.or(detail),
    }
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
            destination: job.exists().then(|| job.destination.as_str().to_owned()),
            outcome: None,
        }
    }
}

impl JobOutcome {
    fn new(request: &Request, outcome: &Outcome, urls: &PublicUrls) -> Self {
        let (task_id, job_id, url) = match &outcome.run {
            Some(RunOf::Task(id)) => (Some(id.clone()), None, urls.task(id)),
            Some(RunOf::Job(id)) => (None, Some(*id), Some(urls.job(request, *id))),
            None => (None, None, None),
        };
        let (state, result) = (outcome.state.as_str().to_owned(), outcome.result.clone());
        Self { state, result, task_id, job_id, url, since: outcome.since }
    }
}

impl From<Progress> for ProgressCounts {
    fn from(Progress { waiting, running, succeeded, failed }: Progress) -> Self {
        Self { waiting, running, succeeded, failed }
    }
}

impl ActionStatus {
    fn new(action: &Action, urls: &PublicUrls) -> Self {
        let state = match action.state {
            ActionState::Triggering => "triggering",
            ActionState::Running => "running",
            ActionState::Ended => "ended",
            ActionState::Uncertain => "uncertain",
        };
        Self {
            number: action.number,
            state: state.to_owned(),
            hook: action.hook.clone(),
            jobs: action.jobs.len(),
            task_id: action.task_id.clone(),
            url: action.task_id.as_ref().and_then(|id| urls.task(id)),
            called_at: action.called_at,
        }
    }
}

impl Summary {
    /// A request. It has the requester's address only if `shows_people`.
    pub fn new(request: &Request, urls: &PublicUrls, shows_people: bool) -> Self {
        let can_be_retried = !request.state.is_open() && request.job_counts.keys().any(|state| state.can_be_retried());
        let this = status_url(request);
        Self {
            request_id: request.id.to_string(),
            project: request.project.clone(),
            push_id: request.push_id,
            revision: request.pushed.as_ref().map(|pushed| pushed.revision.clone()),
            state: request.state.as_str().to_owned(),
            job_counts: request.job_counts.iter().map(|(state, count)| (state.as_str().to_owned(), *count)).collect(),
            progress: request.progress.map(ProgressCounts::from),
            created_at: request.created_at().unwrap_or_default(),
            finished_at: request.finished_at(),
            requester: shows_people.then(|| request.requester.to_string()),
            on_behalf_by: request.on_behalf_by.clone(),
            decision_task_id: request.decision_task_id.clone(),
            actions: request.actions.iter().map(|action| ActionStatus::new(action, urls)).collect(),
            links: Links { retry: can_be_retried.then(|| format!("{this}retry/")), this, push: urls.push(request) },
        }
    }
}

impl TriggerRequest {
    /// A request with its jobs. It has e-mail addresses only if `shows_people`.
    pub fn new(request: &Request, jobs: &[RequestedJob], urls: &PublicUrls, shows_people: bool) -> Self {
        let happened = |event: &Event| Happened {
            at: event.at,
            state: event.state.as_str().to_owned(),
            detail: event.detail_text(),
            by: event.by.as_ref().filter(|_| shows_people).map(ToString::to_string),
        };
        Self {
            summary: Summary::new(request, urls, shows_people),
            jobs: jobs_of(request, jobs, urls),
            history: request.history.iter().map(happened).collect(),
            events_left_out: Some(request.events_left_out).filter(|count| *count > 0),
        }
    }
}
