//! What is done with messages of the queue: each names a request, whose jobs are published and then recorded.

use std::collections::HashMap;
use std::time::Duration;

use pulse::{Content, Fate, Form, Message, Publisher};
use serde::Serialize;
use store::kept::Clock;
use store::{Read, RequestsTable, StoreError, Stored, Ticket};
use trigger::request::{Job, JobState, Request};

/// How often the queue gives a message out before it goes to the dead letters (`maxReceiveCount` in
/// infra/template.yaml): the last time, what cannot be forwarded has failed.
pub(crate) const MOST_TIMES: u32 = 5;
/// What is not started when so little time is left goes back to the queue: a connection may have to be opened twice, and
/// its confirms be waited for twice, for five seconds each.
pub const TIME_NEEDED: Duration = Duration::from_secs(22);
/// Said of a job that nobody on Pulse takes.
const NO_LISTENER: &str =
    "Pulse has no listener for this project: nobody will run it. It can be retried when there is one.";

/// Forwards requests.
pub struct Forwarder {
    /// Where requests are kept.
    pub requests: RequestsTable,
    /// Where their jobs go.
    pub publisher: Publisher,
    /// The exchange, for envelopes.
    pub exchange: String,
    /// How the listeners of some projects want the message.
    pub forms: HashMap<String, Form>,
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
    pub times: u32,
}

/// Whether a message is to stay in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Left {
    /// It is done with.
    Done,
    /// It is to come back, for this reason.
    Again(String),
}

/// What is logged of a message.
#[derive(Debug, Default, Serialize)]
pub struct Line {
    /// The request.
    pub request: String,
    /// Its project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Jobs that are forwarded now.
    pub forwarded: u32,
    /// Jobs for which there is no listener.
    pub unroutable: u32,
    /// Jobs that failed.
    pub failed: u32,
    /// Why the message is to come back, or why jobs failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Seconds between the request and now.
    pub age_seconds: i64,
}

/// A request whose jobs are to be published.
struct Loaded {
    place: usize,
    request: Request,
    jobs: Vec<Job>,
    /// The place in `jobs` of each that was not rejected.
    numbered: Vec<usize>,
    messages: Vec<Message>,
    is_last_time: bool,
}

impl Forwarder {
    /// Forwards the requests that messages name, all of their jobs one behind the other, and records what became of each.
    /// Tells of each message whether it is done with; one that fails does not hold up the others.
    pub async fn forward(&self, deliveries: &[Delivery], log: &mut impl FnMut(&Line)) -> Vec<Left> {
        let mut left = vec![Left::Done; deliveries.len()];
        let mut loaded: Vec<Loaded> = Vec::new();
        for (place, delivery) in deliveries.iter().enumerate() {
            match self.load(place, delivery, &loaded).await {
                Ok(Some(one)) => loaded.push(one),
                Ok(None) => {}
                Err(reason) => {
                    log(&Line { request: shown(&delivery.body), error: Some(reason.clone()), ..Line::default() });
                    left[place] = Left::Again(reason);
                }
            }
        }
        let messages: Vec<Message> = loaded.iter().flat_map(|one| one.messages.iter().cloned()).collect();
        let mut fates =
            if messages.is_empty() { Vec::new() } else { self.publisher.publish(&messages).await }.into_iter();
        for one in loaded {
            let place = one.place;
            let fates: Vec<Fate> = fates.by_ref().take(one.messages.len()).collect();
            let (line, again) = self.record(one, &fates).await;
            log(&line);
            if let Some(reason) = again {
                left[place] = Left::Again(reason);
            }
        }
        left
    }

    /// What a message names. None if nothing is to be done: the request was forwarded before, or sent again since.
    async fn load(&self, place: usize, delivery: &Delivery, others: &[Loaded]) -> Result<Option<Loaded>, String> {
        let ticket: Ticket =
            serde_json::from_str(&delivery.body).map_err(|error| format!("the message is no ticket: {error}"))?;
        let read = async {
            let Some(request) = self.requests.request(ticket.request_id, Read::Consistent).await? else {
                return Ok(None);
            };
            let jobs = self.requests.jobs(ticket.request_id, Read::Consistent).await?;
            Ok::<_, StoreError>(Some((request, jobs)))
        };
        let found = read.await.map_err(|error| error.to_string())?;
        let (request, jobs) = found.ok_or_else(|| format!("there is no request {}", ticket.request_id))?;
        let is_here = others.iter().any(|other| other.request.id == request.id);
        if request.round != ticket.round || !request.state.is_open() || is_here {
            return Ok(None);
        }
        // Rejected jobs were never on their way: they have no number.
        let numbered: Vec<usize> = jobs
            .iter()
            .enumerate()
            .filter(|(_, job)| job.state != JobState::Rejected)
            .map(|(place, _)| place)
            .collect();
        let messages = self.messages(&request, &jobs, &numbered);
        let is_last_time = delivery.times >= MOST_TIMES;
        Ok(Some(Loaded { place, request, jobs, numbered, messages, is_last_time }))
    }

    /// The messages of all jobs that are still to be forwarded. Those of which nobody knows whether they arrived are made
    /// again as they were, with the same ids: a message never holds jobs of before and behind one that is done with.
    fn messages(&self, request: &Request, jobs: &[Job], numbered: &[usize]) -> Vec<Message> {
        let form = self.forms.get(&request.project).copied().unwrap_or_default();
        let prefix = format!("{}.{}", request.id, request.round);
        let is_open = |place: &usize| jobs[*place].state == JobState::Accepted;
        let mut messages = Vec::new();
        let mut first = 0;
        for run in numbered.chunk_by(|one, other| is_open(one) == is_open(other)) {
            if is_open(&run[0]) {
                let names: Vec<&str> = run.iter().map(|place| jobs[*place].name.as_str()).collect();
                let content = Content {
                    project: &request.project,
                    push_id: request.push_id,
                    requester: request.requester.as_str(),
                    decision_task_id: request.decision_task_id.as_deref(),
                    jobs: &names,
                    first,
                    asked_at: request.created_at().unwrap_or_default(),
                };
                messages.extend(Message::all(&prefix, &self.exchange, &content, form));
            }
            first += run.len();
        }
        messages
    }

    /// Records what became of a request's jobs. Tells why its message is to come back, if it is.
    async fn record(&self, one: Loaded, fates: &[Fate]) -> (Line, Option<String>) {
        let Loaded { request, mut jobs, numbered, messages, is_last_time, .. } = one;
        let now = (self.clock)();
        let age = request.created_at().map_or(0, |taken| (now - taken).num_seconds());
        let mut line = Line {
            request: request.id.to_string(),
            project: Some(request.project.clone()),
            age_seconds: age,
            ..Line::default()
        };
        let mut again = None;
        for (message, fate) in messages.iter().zip(fates) {
            let (state, reason) = match fate {
                Fate::Forwarded => (JobState::Forwarded, None),
                Fate::Unroutable => (JobState::Unroutable, Some(NO_LISTENER.to_owned())),
                Fate::Refused(reason) => (JobState::Failed, Some(told(reason))),
                Fate::Lost(reason) if is_last_time => (JobState::Failed, Some(told(reason))),
                Fate::Lost(reason) => {
                    again = Some(reason.clone());
                    continue;
                }
            };
            if let Fate::Refused(reason) | Fate::Lost(reason) = fate {
                line.error = Some(reason.clone());
            }
            let count = u32::try_from(message.jobs.len()).unwrap_or(u32::MAX);
            match state {
                JobState::Forwarded => line.forwarded += count,
                JobState::Unroutable => line.unroutable += count,
                _ => line.failed += count,
            }
            for place in &numbered[message.jobs.clone()] {
                jobs[*place].state = state;
                jobs[*place].reason.clone_from(&reason);
            }
        }
        if line.forwarded + line.unroutable + line.failed > 0 {
            again = match self.store(request, &jobs).await {
                Ok(()) => again,
                Err(reason) => Some(reason),
            };
        }
        if again.is_some() {
            line.error.clone_from(&again);
        }
        (line, again)
    }

    /// Stores what became of a request's jobs. Whoever queued it may note that only now: it is then read once more, as to
    /// publish its jobs again would be worse.
    async fn store(&self, mut request: Request, jobs: &[Job]) -> Result<(), String> {
        let meanwhile = || "somebody else changed the request at the same time".to_owned();
        for _ in 0..3 {
            let now = (self.clock)();
            let stored = self.requests.update(&request.settled(jobs, now), Some(jobs), now).await;
            if stored.map_err(|error| error.to_string())? == Stored::Yes {
                return Ok(());
            }
            let found = self.requests.request(request.id, Read::Consistent).await.map_err(|error| error.to_string())?;
            let is_same =
                |found: &Request| (found.round, &found.jobs) == (request.round, &request.jobs) && found.state.is_open();
            request = found.filter(is_same).ok_or_else(meanwhile)?;
        }
        Err(meanwhile())
    }
}

/// What people are told of a failure.
fn told(reason: &str) -> String {
    format!("It could not be forwarded to Pulse: {reason}. It can be retried.")
}

/// As much of a message that is none of ours as goes into the log.
fn shown(body: &str) -> String {
    serde_json::from_str::<Ticket>(body)
        .map_or_else(|_| body.chars().take(100).collect(), |ticket| ticket.request_id.to_string())
}
