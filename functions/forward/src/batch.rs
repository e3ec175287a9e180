//! A batch of messages of the queue: their requests are loaded, planned, published and recorded.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::{LocalBoxFuture, join_all};
use pulse::{Message, Publisher};
use requests::delivery::DeliveryOutcome;
use requests::following::{Following, names_to_follow, tasks_to_check};
use requests::id::RequestId;
use requests::job::RequestedJob;
use requests::planning::{PlanContext, Planning, Runs, names_to_check, plan};
use requests::request::Request;
use requests::state::{JobState, RequestState};
use runtime::{Aws, Clock};
use serde::Serialize;
use store::{Consistency, RequestsTable, StoreError, Ticket};
use tokio::time::Instant;
use treeherder::Treeherder;

use crate::destination::pulse::PulseDestination;
use crate::destination::taskcluster::{TIME_FOR_ACTION, TaskclusterDestination};
use crate::follow::{FollowReport, Follower};
use crate::settings::Settings;

/// Do not start a batch when less than this remains: an action has to fit in, even where all that comes before it is
/// slow. The messages go back to the queue. The `Timeout` in infra/template.yaml leaves some seconds for the start.
pub const TIME_NEEDED: Duration = Duration::from_secs(
    TIME_TO_LOOK.as_secs()
        + TIME_TO_ASK.as_secs()
        + TIME_TO_PUBLISH.as_secs()
        + TIME_FOR_ACTION.as_secs()
        + TIME_TO_RECORD.as_secs(),
);
/// Stop publishing when less than this remains: confirms take up to 5 s and recording up to 4 s.
pub const TIME_TO_RECORD: Duration = Duration::from_secs(10);
/// Maximum time of looking at the jobs of waiting requests that were forwarded before.
const TIME_TO_LOOK: Duration = Duration::from_secs(10);
/// Maximum time of asking Treeherder for the runs on the pushes.
const TIME_TO_ASK: Duration = Duration::from_secs(10);
/// Maximum time of publishing: opening a connection and waiting for confirms take up to 5 s each.
const TIME_TO_PUBLISH: Duration = Duration::from_secs(10);

/// Forwards requests.
pub struct Forwarder {
    /// The requests table.
    pub requests: RequestsTable,
    /// The destination of Buildbot jobs.
    pub pulse: PulseDestination,
    /// The destination of labels. `None` if no Taskcluster is configured.
    pub taskcluster: Option<TaskclusterDestination>,
    /// Treeherder, for the builds that tests need.
    pub treeherder: Treeherder,
    /// How jobs are planned.
    pub planning: Planning,
    /// How jobs are followed that were forwarded.
    pub following: Following,
    /// The clock.
    pub clock: Clock,
}

/// A message of the queue.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Its id in the batch.
    pub id: String,
    /// Its body.
    pub body: String,
    /// How often the queue has delivered it, this time included.
    pub receive_count: u32,
}

/// What to do with a message of the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// Remove it from the queue.
    Ack,
    /// Leave it in the queue, for this reason.
    Retry(String),
}

/// The log line of a message of the queue.
#[derive(Debug, Default, Serialize)]
pub struct DeliveryLog {
    /// The request.
    pub request: String,
    /// The project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Jobs that were forwarded.
    pub forwarded: u32,
    /// Jobs that wait for their builds, or for Taskcluster.
    pub waiting: u32,
    /// Jobs without a listener.
    pub unroutable: u32,
    /// Jobs that failed, but for labels that their push cannot run: these concern no operator.
    pub failed: u32,
    /// Jobs that the broker or Taskcluster refused, for example because of credentials: they failed, or are retried.
    pub refused: u32,
    /// Those of them that Taskcluster refused.
    #[serde(skip)]
    pub refused_by_taskcluster: u32,
    /// Stored items of the request that cannot be read.
    #[serde(skip)]
    pub damaged: u32,
    /// Why the message is retried, or why jobs failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why the builds on the push are not known.
    #[serde(rename = "unplanned", skip_serializing_if = "Option::is_none")]
    pub plan_skipped: Option<String>,
    /// Seconds since the request was created.
    pub age_seconds: i64,
    /// Why labels wait for Taskcluster, or why it cannot run them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub taskcluster: Option<String>,
    /// Milliseconds from publishing the first message of the batch to the last confirm; `None` if nothing was published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm_ms: Option<u64>,
}

/// A request whose jobs are to be forwarded.
pub(crate) struct PendingRequest {
    /// The index of its message in the batch.
    pub(crate) place: usize,
    pub(crate) request: Request,
    pub(crate) jobs: Vec<RequestedJob>,
    pub(crate) receive_count: u32,
    pub(crate) plan_skipped: Option<String>,
    /// Jobs that failed while they were planned.
    pub(crate) closed: u32,
    pub(crate) messages: Vec<Message>,
}

/// Why the request of a message of the queue cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    #[error("the message is not a ticket: {0}")]
    Ticket(#[from] serde_json::Error),
    #[error("there is no request {0}")]
    Request(RequestId),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A message of the queue of which nothing is published. It is retried if the line has an error.
struct Finished {
    place: usize,
    line: DeliveryLog,
}

/// The runs on pushes, or why Treeherder does not list them.
pub(crate) type RunsByPush = HashMap<(String, u64), Result<Runs, String>>;

impl PendingRequest {
    pub(crate) fn line(&self, now: DateTime<Utc>) -> DeliveryLog {
        DeliveryLog {
            request: self.request.id.to_string(),
            project: Some(self.request.project.clone()),
            waiting: self.request.job_count(JobState::Waiting),
            failed: self.closed,
            plan_skipped: self.plan_skipped.clone(),
            age_seconds: self.request.created_at().map_or(0, |created| (now - created).num_seconds()),
            ..DeliveryLog::default()
        }
    }

    fn push(&self) -> (String, u64) {
        (self.request.project.clone(), self.request.push_id)
    }
}

impl Forwarder {
    /// A forwarder with these settings. The credentials of the broker may have to be read from Parameter Store.
    ///
    /// # Errors
    /// The parameter cannot be read, or does not hold credentials.
    pub async fn new(settings: &Settings, aws: &Aws, clock: Clock) -> Result<Self, String> {
        let credentials = settings.user.credentials(aws).await?;
        Ok(Self {
            requests: RequestsTable::new(aws.dynamodb(), &settings.requests_table),
            taskcluster: settings.taskcluster(aws),
            pulse: PulseDestination {
                exchange: settings.pulse.exchange(),
                publisher: Publisher::new(settings.pulse.clone(), credentials, settings.max_per_second),
                formats: settings.formats.clone(),
            },
            // Treeherder caches pushes only, and the forwarder reads none.
            treeherder: Treeherder::new(&settings.treeherder_url, TimeDelta::zero(), clock.clone()),
            planning: settings.planning,
            following: settings.following,
            clock,
        })
    }

    /// Looks at the forwarded requests whose turn it is, and records what became of their jobs. Nothing is asked after
    /// `until`: the next round goes on.
    pub fn follow_round(&self, until: Option<Instant>) -> LocalBoxFuture<'_, FollowReport> {
        Box::pin(async move { self.follower().round(until).await })
    }

    fn follower(&self) -> Follower<'_> {
        Follower {
            requests: &self.requests,
            treeherder: &self.treeherder,
            taskcluster: self.taskcluster.as_ref().map(|taskcluster| &taskcluster.client),
            following: self.following,
            clock: &self.clock,
        }
    }

    /// Looks at the jobs of waiting requests that were forwarded before. If an action of such a request has ended, its next
    /// one can begin.
    async fn follow_waiting(&self, loaded: &mut [PendingRequest], until: Option<Instant>) {
        let is_followed = |one: &PendingRequest| {
            let is_any =
                || !tasks_to_check(&one.request, &one.jobs).is_empty() || !names_to_follow(&one.jobs).is_empty();
            one.request.state == RequestState::Waiting && is_any()
        };
        let (places, pairs): (Vec<usize>, Vec<_>) = loaded
            .iter()
            .enumerate()
            .filter(|(_, one)| is_followed(one))
            .map(|(place, one)| (place, (one.request.clone(), one.jobs.clone())))
            .unzip();
        if pairs.is_empty() {
            return;
        }
        let enough = Instant::now() + TIME_TO_LOOK;
        let until = until.map_or(enough, |until| until.min(enough));
        let mut report = FollowReport::default();
        let seen = self.follower().look_at(pairs, Some(until), &mut report).await;
        for (place, (request, jobs)) in places.into_iter().zip(seen) {
            (loaded[place].request, loaded[place].jobs) = (request, jobs);
        }
        if let Some(error) = report.error {
            tracing::warn!(error, "what became of forwarded jobs is not known");
        }
    }

    /// Forwards the requests that the messages name and records the outcome of each job. Returns what to do with each
    /// message; one that fails does not hold up the others. No job is published after `until`: its message is retried.
    ///
    /// The future is boxed, here and in `follow_round`, so that it is compiled with this library and not again with each
    /// program.
    pub fn forward<'f>(
        &'f self,
        deliveries: &'f [Delivery],
        until: Option<Instant>,
        log: &'f mut dyn FnMut(&DeliveryLog),
    ) -> LocalBoxFuture<'f, Vec<Disposition>> {
        Box::pin(self.forward_all(deliveries, until, log))
    }

    async fn forward_all(
        &self,
        deliveries: &[Delivery],
        until: Option<Instant>,
        log: &mut dyn FnMut(&DeliveryLog),
    ) -> Vec<Disposition> {
        let mut dispositions = vec![Disposition::Ack; deliveries.len()];
        let mut loaded = Vec::new();
        let mut seen = HashSet::new();
        let load = deliveries.iter().enumerate().map(|(place, delivery)| self.load(place, delivery));
        for (found, (place, delivery)) in join_all(load).await.into_iter().zip(deliveries.iter().enumerate()) {
            match found {
                // A message that was delivered twice may be in the batch twice.
                Ok(Some(one)) if seen.insert(one.request.id) => loaded.push(one),
                Ok(_) => {}
                Err(error) => {
                    let reason = error.to_string();
                    log(&DeliveryLog {
                        request: shown(&delivery.body),
                        error: Some(reason.clone()),
                        damaged: u32::from(matches!(error, LoadError::Store(StoreError::DamagedRequest { .. }))),
                        ..DeliveryLog::default()
                    });
                    dispositions[place] = Disposition::Retry(reason);
                }
            }
        }

        Box::pin(self.follow_waiting(&mut loaded, until)).await;
        let runs_by_push = self.fetch_runs(&loaded).await;
        let mut planned = Vec::with_capacity(loaded.len());
        for done in join_all(loaded.into_iter().map(|one| self.plan(one, &runs_by_push))).await {
            match done {
                Ok(one) => planned.push(one),
                Err(Finished { place, line }) => {
                    dispositions[place] = line.error.clone().map_or(Disposition::Ack, Disposition::Retry);
                    log(&line);
                }
            }
        }

        let messages: Vec<Message> = planned.iter().flat_map(|one| one.messages.iter().cloned()).collect();
        let start = Instant::now();
        let outcomes =
            if messages.is_empty() { Vec::new() } else { self.pulse.publisher.publish(&messages, until).await };
        let confirm_ms = (!messages.is_empty()).then(|| u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX));
        let mut outcomes = outcomes.into_iter();
        let finish = planned.into_iter().map(|one| {
            let outcomes: Vec<DeliveryOutcome> = outcomes.by_ref().take(one.messages.len()).collect();
            let runs = runs_by_push.get(&one.push()).and_then(|runs| runs.as_ref().ok());
            async move {
                let (place, seen) = (one.place, one.request.version);
                let confirm_ms = confirm_ms.filter(|_| !one.messages.is_empty());
                let recorded = self.record(one, &outcomes).await;
                (place, confirm_ms, self.finish(recorded, seen, runs, until).await)
            }
        });
        for (place, confirm_ms, (line, again)) in join_all(finish.collect::<Vec<_>>()).await {
            log(&DeliveryLog { confirm_ms, ..line });
            dispositions[place] = again.map_or(Disposition::Ack, Disposition::Retry);
        }
        dispositions
    }

    /// Loads the request that a message names. Returns `None` if there is nothing to do: the request was forwarded before,
    /// or was retried since.
    pub(crate) async fn load(&self, place: usize, delivery: &Delivery) -> Result<Option<PendingRequest>, LoadError> {
        let ticket: Ticket = serde_json::from_str(&delivery.body)?;
        let id = ticket.request_id;
        let is_done = |request: &Request| request.attempt != ticket.attempt || !request.state.is_open();
        let request = self.requests.stored(id, Consistency::Consistent).await?.ok_or(LoadError::Request(id))?;
        if is_done(&request) {
            return Ok(None);
        }
        let (request, jobs) = self.requests.with_jobs(request, Consistency::Consistent).await?;
        if is_done(&request) {
            return Ok(None);
        }
        Ok(Some(PendingRequest {
            place,
            request,
            jobs,
            receive_count: delivery.receive_count,
            plan_skipped: None,
            closed: 0,
            messages: Vec::new(),
        }))
    }

    /// Fetches the runs on each push that planning needs, once for all requests on the push.
    pub(crate) async fn fetch_runs(&self, loaded: &[PendingRequest]) -> RunsByPush {
        let mut pushes: HashMap<(String, u64), BTreeSet<String>> = HashMap::new();
        for one in loaded {
            let names_to_check = names_to_check(&one.jobs, &self.planning);
            // Whether an action runs on the push matters to any label.
            if !names_to_check.is_empty() || one.jobs.iter().any(RequestedJob::is_open_label) {
                pushes.entry(one.push()).or_default().extend(names_to_check.into_iter().map(ToOwned::to_owned));
            }
        }
        let ask = pushes.into_iter().map(async |((project, push_id), names_to_check)| {
            let runs = self.treeherder.runs(&project, push_id, &names_to_check).await;
            ((project, push_id), runs)
        });
        join_all(ask).await.into_iter().collect()
    }

    /// The jobs of a request as they are planned now.
    pub(crate) fn plan_jobs(&self, one: &mut PendingRequest, runs_by_push: &RunsByPush) -> Vec<RequestedJob> {
        let context =
            PlanContext { now: (self.clock)(), batch: one.request.version + 1, is_repeat: one.receive_count > 1 };
        let none = Runs::default();
        let runs = match runs_by_push.get(&one.push()) {
            None => Some(&none),
            Some(Ok(runs)) => Some(runs),
            Some(Err(reason)) => {
                one.plan_skipped = Some(reason.clone());
                None
            }
        };
        plan(&one.jobs, runs, &self.planning, context)
    }

    /// Plans the jobs of a request. The plan is stored before anything is published: if the batch has to be repeated, the
    /// same jobs go in the same messages.
    async fn plan(&self, mut one: PendingRequest, runs_by_push: &RunsByPush) -> Result<PendingRequest, Finished> {
        let planned = self.plan_jobs(&mut one, runs_by_push);
        let has_changed = planned != one.jobs;
        let goes = planned.iter().any(|job| job.state == JobState::Accepted || job.is_open_label());
        let has_failed = |(before, after): (&RequestedJob, &RequestedJob)| {
            before.state != JobState::Failed && after.state == JobState::Failed
        };
        let closed = one.jobs.iter().zip(&planned).filter(|pair| has_failed(*pair)).count();
        one.closed = u32::try_from(closed).unwrap_or(u32::MAX);
        one.jobs = planned;
        let stored = match (has_changed, goes) {
            (false, true) => Ok(one.request.clone()),
            (true, true) => {
                self.store(&one.request, Some(&one.jobs), |request, now| request.with_plan(&one.jobs, now)).await
            }
            // Nothing is published, so this is the result.
            (_, false) => {
                let jobs = has_changed.then_some(&one.jobs[..]);
                self.store(&one.request, jobs, |request, now| self.with_results(request, &one.jobs, now)).await
            }
        };
        let now = (self.clock)();
        match stored {
            Ok(request) => one.request = request,
            Err(reason) => {
                return Err(Finished { place: one.place, line: DeliveryLog { error: Some(reason), ..one.line(now) } });
            }
        }
        if !goes {
            return Err(Finished { place: one.place, line: one.line(now) });
        }
        one.messages = self.pulse.messages(&one.request, &one.jobs);
        Ok(one)
    }

    /// The request with the results of planning and forwarding its jobs.
    pub(crate) fn with_results(&self, request: &Request, jobs: &[RequestedJob], now: DateTime<Utc>) -> Request {
        request.with_results(jobs, request.next_check(jobs, &self.planning, now), now)
    }
}

/// The id of a message's request, or the beginning of a body that is not a ticket, for the log.
fn shown(body: &str) -> String {
    serde_json::from_str::<Ticket>(body)
        .map_or_else(|_| body.chars().take(100).collect(), |ticket| ticket.request_id.to_string())
}
