//! What is done with messages of the queue: each names a request, whose jobs are planned, published and then recorded.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;
use pulse::{DeliveryOutcome, Message, MessageContent, MessageFormat, Publisher};
use requests::planning::{PlanContext, Planning, names_to_check, plan};
use requests::request::{JobState, Request, RequestId, RequestedJob};
use requests::runs::Runs;
use runtime::Aws;
use runtime::Clock;
use serde::Serialize;
use store::{Consistency, RequestsTable, StoreError, Ticket};
use tokio::time::Instant;
use treeherder::Treeherder;

use crate::settings::Settings;

/// What is not started when so little time is left goes back to the queue: Treeherder may take ten seconds to answer, a
/// connection may have to be opened, and confirms be waited for, for five seconds each.
pub const TIME_NEEDED: Duration = Duration::from_secs(30);
/// What is not published when so little time is left is not any more: confirms may take five seconds, and recording four.
pub const TIME_TO_RECORD: Duration = Duration::from_secs(10);

/// Forwards requests.
pub struct Forwarder {
    /// Where requests are kept.
    pub requests: RequestsTable,
    /// Where their jobs go.
    pub publisher: Publisher,
    /// Tells of the builds that tests need.
    pub treeherder: Treeherder,
    /// How jobs are planned.
    pub planning: Planning,
    /// The exchange, for envelopes.
    pub exchange: String,
    /// How the listeners of some projects want the message.
    pub formats: HashMap<String, MessageFormat>,
    /// Tells the time.
    pub clock: Clock,
}

/// A message of the queue.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// What it is called, for the answer.
    pub id: String,
    /// What it says.
    pub body: String,
    /// How often it was given out, this time included.
    pub receive_count: u32,
}

/// Whether a message is to stay in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// It is done with.
    Ack,
    /// It is to come back, for this reason.
    Retry(String),
}

/// What is logged of a message of the queue; the numbers as metrics.
#[derive(Debug, Default, Serialize)]
pub struct DeliveryLog {
    /// The request.
    pub request: String,
    /// Its project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Jobs that are forwarded now.
    #[serde(skip)]
    pub forwarded: u32,
    /// Jobs that wait for their builds.
    #[serde(skip)]
    pub waiting: u32,
    /// Jobs for which there is no listener.
    #[serde(skip)]
    pub unroutable: u32,
    /// Jobs that failed now.
    #[serde(skip)]
    pub failed: u32,
    /// Jobs that the broker refused now: they failed, or come back.
    #[serde(skip)]
    pub refused: u32,
    /// Stored items of the request that cannot be read.
    #[serde(skip)]
    pub damaged: u32,
    /// Why the message is to come back, or why jobs failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Why nobody knows of the builds.
    #[serde(rename = "unplanned", skip_serializing_if = "Option::is_none")]
    pub plan_skipped: Option<String>,
    /// Seconds between the request and now.
    #[serde(skip)]
    pub age_seconds: i64,
    /// Milliseconds from when the first message of the batch was published until the last was confirmed; none where
    /// nothing was published.
    #[serde(skip)]
    pub confirm_ms: Option<u64>,
}

/// What would be done with a message of the queue.
#[derive(Debug, Serialize)]
pub struct Preview {
    /// The request.
    pub request: String,
    /// Its project, which is the routing key.
    pub project: String,
    /// What would be published.
    pub messages: Vec<PreviewedMessage>,
    /// What would become of the other jobs that are not done with, and why.
    pub not_forwarded: BTreeMap<String, String>,
}

/// A message that would be published.
#[derive(Debug, Serialize)]
pub struct PreviewedMessage {
    /// Its id.
    pub id: String,
    /// Its body.
    pub body: serde_json::Value,
}

/// A request whose jobs are to be forwarded.
pub(crate) struct PendingRequest {
    pub(crate) place: usize,
    pub(crate) request: Request,
    pub(crate) jobs: Vec<RequestedJob>,
    pub(crate) receive_count: u32,
    pub(crate) plan_skipped: Option<String>,
    /// Jobs that planning closed.
    pub(crate) closed: u32,
    pub(crate) messages: Vec<Message>,
}

/// Why it is not known what a message of the queue wants.
#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error("the message is no ticket: {0}")]
    Ticket(#[from] serde_json::Error),
    #[error("there is no request {0}")]
    Request(RequestId),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A message of the queue of which nothing is published: it is done with, or comes back because of the line's error.
struct Finished {
    place: usize,
    line: DeliveryLog,
}

/// What Treeherder tells of pushes: their runs, or why it does not.
type RunsByPush = HashMap<(String, u64), Result<Runs, String>>;

impl PendingRequest {
    pub(crate) fn line(&self, now: DateTime<Utc>) -> DeliveryLog {
        DeliveryLog {
            request: self.request.id.to_string(),
            project: Some(self.request.project.clone()),
            waiting: self.request.job_count(JobState::Waiting),
            failed: self.closed,
            plan_skipped: self.plan_skipped.clone(),
            age_seconds: self.request.created_at().map_or(0, |taken| (now - taken).num_seconds()),
            ..DeliveryLog::default()
        }
    }

    fn push(&self) -> (String, u64) {
        (self.request.project.clone(), self.request.push_id)
    }

    /// The places of those jobs that ever were on their way: they are numbered in this order.
    pub(crate) fn numbered(&self) -> Vec<usize> {
        self.jobs.iter().enumerate().filter(|(_, job)| job.exists()).map(|(place, _)| place).collect()
    }
}

impl Forwarder {
    /// One with these settings. Who we are at the broker may have to be read from a secret.
    ///
    /// # Errors
    /// The secret cannot be read, or holds something else.
    pub async fn new(settings: &Settings, aws: &Aws, clock: Clock) -> Result<Self, String> {
        let credentials = settings.user.credentials(aws).await?;
        Ok(Self {
            requests: RequestsTable::new(aws.dynamodb(), &settings.requests_table),
            exchange: settings.pulse.exchange(),
            publisher: Publisher::new(settings.pulse.clone(), credentials, settings.max_per_second),
            // Only pushes would be held, and none is asked for.
            treeherder: Treeherder::new(&settings.treeherder_url, TimeDelta::zero(), clock.clone()),
            planning: settings.planning,
            formats: settings.formats.clone(),
            clock,
        })
    }

    /// Forwards the requests that messages name, all of their jobs one behind the other, and records what became of each.
    /// Tells of each message whether it is done with; one that fails does not hold up the others. What is not published by
    /// `until` comes back.
    pub async fn forward(
        &self,
        deliveries: &[Delivery],
        until: Option<Instant>,
        log: &mut impl FnMut(&DeliveryLog),
    ) -> Vec<Disposition> {
        let mut left = vec![Disposition::Ack; deliveries.len()];
        let mut loaded = Vec::new();
        let mut seen = HashSet::new();
        let load = deliveries.iter().enumerate().map(|(place, delivery)| self.load(place, delivery));
        for (found, (place, delivery)) in join_all(load).await.into_iter().zip(deliveries.iter().enumerate()) {
            match found {
                // A message that was given out twice is in the batch twice.
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
                    left[place] = Disposition::Retry(reason);
                }
            }
        }

        let runs_by_push = self.fetch_runs(&loaded).await;
        let mut planned = Vec::with_capacity(loaded.len());
        for done in join_all(loaded.into_iter().map(|one| self.plan(one, &runs_by_push))).await {
            match done {
                Ok(one) => planned.push(one),
                Err(Finished { place, line }) => {
                    left[place] = line.error.clone().map_or(Disposition::Ack, Disposition::Retry);
                    log(&line);
                }
            }
        }

        let messages: Vec<Message> = planned.iter().flat_map(|one| one.messages.iter().cloned()).collect();
        let start = Instant::now();
        let outcomes = if messages.is_empty() { Vec::new() } else { self.publisher.publish(&messages, until).await };
        let confirm_ms = (!messages.is_empty()).then(|| u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX));
        let mut outcomes = outcomes.into_iter();
        let record = planned.into_iter().map(|one| {
            let outcomes: Vec<DeliveryOutcome> = outcomes.by_ref().take(one.messages.len()).collect();
            async move { (one.place, self.record(one, &outcomes).await) }
        });
        for (place, (line, again)) in join_all(record.collect::<Vec<_>>()).await {
            log(&DeliveryLog { confirm_ms, ..line });
            left[place] = again.map_or(Disposition::Ack, Disposition::Retry);
        }
        left
    }

    /// What would be done with a message now; none if nothing would.
    ///
    /// # Errors
    /// It cannot be told.
    pub async fn preview(&self, delivery: &Delivery) -> Result<Option<Preview>, String> {
        let loaded = self.load(0, delivery).await.map_err(|error| error.to_string())?;
        let Some(mut one) = loaded else { return Ok(None) };
        let runs_by_push = self.fetch_runs(std::slice::from_ref(&one)).await;
        let planned = self.plan_jobs(&mut one, &runs_by_push);
        let before = std::mem::replace(&mut one.jobs, planned);
        let stays = |place: usize, job: &RequestedJob| match job.state {
            JobState::Waiting => true,
            JobState::Accepted => false,
            state => before.get(place).is_some_and(|before| before.state != state),
        };
        let not_forwarded = one.jobs.iter().enumerate().filter(|(place, job)| stays(*place, job));
        let why = |(_, job): (usize, &RequestedJob)| (job.name.clone(), job.reason.clone().unwrap_or_default());
        let message = |message: Message| PreviewedMessage {
            id: message.id,
            body: serde_json::from_slice(&message.body).unwrap_or_default(),
        };
        Ok(Some(Preview {
            request: one.request.id.to_string(),
            project: one.request.project.clone(),
            messages: self.messages(&one).into_iter().map(message).collect(),
            not_forwarded: not_forwarded.map(why).collect(),
        }))
    }

    /// What a message names. None if nothing is to be done: the request was forwarded before, or sent again since.
    async fn load(&self, place: usize, delivery: &Delivery) -> Result<Option<PendingRequest>, LoadError> {
        let ticket: Ticket = serde_json::from_str(&delivery.body)?;
        let id = ticket.request_id;
        let is_done = |request: &Request| request.attempt != ticket.attempt || !request.state.is_open();
        let request = self.requests.request(id, Consistency::Consistent).await?.ok_or(LoadError::Request(id))?;
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

    /// Asks Treeherder for what has to be known of each push, once for all requests on it.
    async fn fetch_runs(&self, loaded: &[PendingRequest]) -> RunsByPush {
        let mut pushes: HashMap<(String, u64), BTreeSet<String>> = HashMap::new();
        for one in loaded {
            let names_to_check = names_to_check(&one.jobs, &self.planning);
            if !names_to_check.is_empty() {
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
    fn plan_jobs(&self, one: &mut PendingRequest, runs_by_push: &RunsByPush) -> Vec<RequestedJob> {
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

    /// Plans the jobs of a request. What is decided is stored before anything is published: should that have to be done once
    /// more, the same jobs go in the same messages.
    async fn plan(&self, mut one: PendingRequest, runs_by_push: &RunsByPush) -> Result<PendingRequest, Finished> {
        let planned = self.plan_jobs(&mut one, runs_by_push);
        let has_changed = planned != one.jobs;
        let goes = planned.iter().any(|job| job.state == JobState::Accepted);
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
            // With nothing to publish, this is all.
            (_, false) => {
                let jobs = has_changed.then_some(&one.jobs[..]);
                self.store(&one.request, jobs, |request, now| request.with_results(&one.jobs, &self.planning, now))
                    .await
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
        one.messages = self.messages(&one);
        Ok(one)
    }

    /// The messages of all jobs that are to be forwarded. Those of which nobody knows whether they arrived are made again as
    /// they were, with the same ids: a message holds jobs of one part, and never jobs of before and behind one that is
    /// done with.
    fn messages(&self, one: &PendingRequest) -> Vec<Message> {
        let PendingRequest { request, jobs, .. } = one;
        let format = self.formats.get(&request.project).copied().unwrap_or_default();
        let prefix = format!("{}.{}", request.id, request.attempt);
        let goes_with = |place: &usize| (jobs[*place].state == JobState::Accepted, jobs[*place].batch);
        let mut messages = Vec::new();
        let mut first = 0;
        for run in one.numbered().chunk_by(|one, other| goes_with(one) == goes_with(other)) {
            if goes_with(&run[0]).0 {
                let names: Vec<&str> = run.iter().map(|place| jobs[*place].name.as_str()).collect();
                let content = MessageContent {
                    project: &request.project,
                    push_id: request.push_id,
                    requester: request.requester.as_str(),
                    decision_task_id: request.decision_task_id.as_deref(),
                    jobs: &names,
                    first,
                    requested_at: request.created_at().unwrap_or_default(),
                };
                messages.extend(Message::all(&prefix, &self.exchange, &content, format));
            }
            first += run.len();
        }
        messages
    }
}

/// As much of a message that is none of ours as goes into the log.
fn shown(body: &str) -> String {
    serde_json::from_str::<Ticket>(body)
        .map_or_else(|_| body.chars().take(100).collect(), |ticket| ticket.request_id.to_string())
}
