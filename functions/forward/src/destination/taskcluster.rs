//! Taskcluster: how the labels of a request become an action of its push. The state machine is
//! [`requests::triggering`]; this performs its effects.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use catalog::taskcluster::TaskId;
use chrono::{DateTime, TimeDelta, Utc};
use requests::action::LabelWaitReason;
use requests::job::{JobCode, RequestedJob};
use requests::planning::Runs;
use requests::refusal::ActionRefusal;
use requests::request::Request;
use requests::state::{JobState, RequestState};
use requests::triggering::{Called, Change, Effect, LabelRun, Locked, Outage, Prepared, Searched};
use runtime::Aws;
use store::{Consistency, PushLock, StoreError, UpdateResult};
use taskcluster::{Credentials, PrepareError, PreparedAction, Taskcluster, TriggerError, fits};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::batch::{DeliveryLog, Forwarder};
use crate::record::Recorded;

/// Maximum time of preparing an action, and of a call of a hook. After a call that takes longer, its task is searched for.
const PREPARE_TIMEOUT: Duration = Duration::from_secs(12);
const CALL_TIMEOUT: Duration = Duration::from_secs(15);
/// No action is begun when less than this remains.
pub(crate) const TIME_FOR_ACTION: Duration = Duration::from_secs(28);
/// When a lock ends that was not released: an action has a day until its deadline.
const LOCK_TIME: TimeDelta = TimeDelta::hours(26);

/// Taskcluster as the destination of labels.
pub struct TaskclusterDestination {
    /// The client.
    pub client: Taskcluster,
    /// The projects whose labels may be triggered, each with its level.
    pub levels: BTreeMap<String, u8>,
    /// The credentials with which hooks are called. Without any, no label is triggered.
    pub credentials: Option<CredentialsSource>,
}

/// Where the credentials are that hooks are called with.
pub enum CredentialsSource {
    /// They are given.
    Given(Credentials),
    /// They are in this parameter of Parameter Store. They are read when the first hook is called, and again after
    /// Taskcluster did not accept them.
    Parameter {
        /// The name of the parameter.
        name: String,
        /// The client of Parameter Store.
        aws: Box<Aws>,
        /// The credentials as they were read.
        read: Mutex<Option<Arc<Credentials>>>,
    },
}

impl CredentialsSource {
    async fn get(&self) -> Result<Arc<Credentials>, String> {
        let (name, aws, read) = match self {
            Self::Given(credentials) => return Ok(Arc::new(credentials.clone())),
            Self::Parameter { name, aws, read } => (name, aws, read),
        };
        let mut read = read.lock().await;
        if let Some(credentials) = &*read {
            return Ok(credentials.clone());
        }
        let text = aws.parameter(name).await.map_err(|error| error.to_string())?;
        let credentials = Credentials::read(&text).map_err(|what| format!("the parameter {name}: {what}"))?;
        Ok(read.insert(Arc::new(credentials)).clone())
    }

    async fn forget(&self) {
        if let Self::Parameter { read, .. } = self {
            *read.lock().await = None;
        }
    }
}

/// An action that can be called.
pub(crate) struct ReadyAction {
    pub(crate) action: PreparedAction,
    credentials: Arc<Credentials>,
}

/// What a pass over the labels of a request came to.
pub(crate) struct LabelsDone {
    pub(crate) request: Request,
    pub(crate) jobs: Vec<RequestedJob>,
    /// Why the pass has to be repeated, if it has.
    pub(crate) again: Option<String>,
}

impl LabelsDone {
    /// Why labels are not triggered, for the log.
    pub(crate) fn trouble(&self) -> Option<String> {
        match &self.request.label_wait.as_ref()?.why {
            LabelWaitReason::ActionRuns { .. } => None,
            LabelWaitReason::Unavailable { error } | LabelWaitReason::Unanswered { error } => Some(error.clone()),
        }
    }
}

impl Forwarder {
    /// Triggers the labels of a request whose other jobs are published. Returns its log line, and why its message in the
    /// queue is to be retried, if it is. `seen` is the version of the request before anything was recorded.
    pub(crate) async fn finish(
        &self,
        recorded: Recorded,
        seen: u64,
        runs: Option<&Runs>,
        until: Option<Instant>,
    ) -> (DeliveryLog, Option<String>) {
        let Recorded { mut line, again, request, jobs, is_stored } = recorded;
        let is_due = jobs.iter().any(RequestedJob::is_open_label);
        if !is_stored || !is_due {
            return (line, again);
        }
        let before = jobs.clone();
        let other_action = runs.and_then(Runs::running_action).map(ToOwned::to_owned);
        let done = self.trigger_labels(request, jobs, other_action, until).await;
        let now_in = |state: JobState| {
            let pairs = before.iter().zip(&done.jobs);
            pairs.filter(move |(before, after)| before.state != state && after.state == state).map(|(_, job)| job)
        };
        let count = |is: &dyn Fn(JobCode) -> bool| {
            let jobs = now_in(JobState::Failed).filter(|job| job.code.is_some_and(is));
            u32::try_from(jobs.count()).unwrap_or(u32::MAX)
        };
        line.forwarded += u32::try_from(now_in(JobState::Forwarded).count()).unwrap_or(u32::MAX);
        line.failed += count(&JobCode::is_for_operators);
        line.waiting = done.request.job_count(JobState::Waiting);
        line.refused_by_taskcluster = count(&|code| code == JobCode::MissingScopes);
        line.refused += line.refused_by_taskcluster;
        let reason = now_in(JobState::Failed).next().and_then(RequestedJob::reason_text);
        line.taskcluster = done.trouble().or(reason);
        let mut again = done.again.or(again);
        if again.is_none() && done.request.version == seen && done.request.state == RequestState::Waiting {
            // The sweeper put the next check off until this pass is over.
            let settle = |request: &Request, now| self.with_results(request, &done.jobs, now);
            again = self.store(&done.request, None, settle).await.err();
        }
        if again.is_some() {
            line.error.clone_from(&again);
        }
        (line, again)
    }

    /// Triggers the labels of a request, as far as that is possible now. `other_action` is the task of an action that
    /// Treeherder shows to be running on the push. Nothing is begun after `until`.
    pub(crate) async fn trigger_labels(
        &self,
        request: Request,
        jobs: Vec<RequestedJob>,
        other_action: Option<String>,
        until: Option<Instant>,
    ) -> LabelsDone {
        let mut run = LabelRun::new(request, jobs, other_action);
        let mut prepared: Option<ReadyAction> = None;
        let mut again = None;
        let mut effect = run.start((self.clock)());
        loop {
            if until.zip(time_needed(&effect)).is_some_and(|(until, needed)| until < Instant::now() + needed) {
                again = Some("too little time is left to trigger an action".to_owned());
                break;
            }
            effect = match effect {
                Effect::Done => break,
                Effect::Search { hook, marker, since } => {
                    let found = self.search(&hook, &marker, since).await;
                    run.searched(found, (self.clock)())
                }
                Effect::Lock { marker } => match self.lock(run.request(), marker).await {
                    Ok(locked) => run.locked(locked, (self.clock)()),
                    Err(error) => {
                        again = Some(error.to_string());
                        break;
                    }
                },
                Effect::Prepare { marker, labels } => {
                    let (found, action) = self.prepare(run.request(), &labels, &marker).await;
                    prepared = action;
                    run.prepared(found, (self.clock)())
                }
                Effect::Store(change) => match self.store_change(&run, &change).await {
                    Ok((request, jobs)) => run.stored(request, jobs, (self.clock)()),
                    Err(reason) => {
                        again = Some(reason);
                        break;
                    }
                },
                Effect::Call => {
                    let called = self.call(prepared.take()).await;
                    run.called(called, (self.clock)())
                }
                Effect::Unlock { marker } => {
                    let request = run.request();
                    if let Err(error) = self.requests.unlock_push(&request.project, request.push_id, &marker).await {
                        // The next action of the push takes the lock over.
                        tracing::warn!(%error, "a push stays locked");
                    }
                    break;
                }
            };
        }
        let (request, jobs) = run.into_parts();
        LabelsDone { request, jobs, again }
    }

    async fn search(&self, hook: &str, marker: &str, since: DateTime<Utc>) -> Searched {
        let Some(destination) = &self.taskcluster else {
            return Searched::Failed("no Taskcluster is configured".to_owned());
        };
        let Ok(hook) = hook.parse() else { return Searched::Failed(format!("the hook {hook} is malformed")) };
        match tokio::time::timeout(PREPARE_TIMEOUT, destination.client.find_action(&hook, marker, since)).await {
            Ok(Ok(Some(task))) => Searched::Found(task.as_str().to_owned()),
            Ok(Ok(None)) => Searched::Absent,
            Ok(Err(error)) => Searched::Failed(error.to_string()),
            Err(_) => Searched::Failed("the search takes too long".to_owned()),
        }
    }

    /// Locks the push of a request. A lock that its action does not need any more is taken over.
    async fn lock(&self, request: &Request, marker: String) -> Result<Locked, StoreError> {
        let now = (self.clock)();
        let (project, push_id) = (request.project.clone(), request.push_id);
        let lock = PushLock { project, push_id, marker, request: request.id, expires_at: now + LOCK_TIME };
        let Some(held) = self.requests.lock_push(&lock, now).await? else { return Ok(Locked::Ours) };
        let holder = if held.request == request.id {
            Some(request.clone())
        } else {
            self.requests.request(held.request, Consistency::Consistent).await?
        };
        let is_held = |holder: &Request| holder.needs_lock(&held.marker);
        let Some(holder) = holder.filter(is_held) else {
            self.requests.unlock_push(&lock.project, lock.push_id, &held.marker).await?;
            let is_ours = self.requests.lock_push(&lock, now).await?.is_none();
            return Ok(if is_ours { Locked::Ours } else { Locked::Held { task_id: None } });
        };
        let mut actions = holder.actions.iter().filter(|action| action.marker(holder.id) == held.marker);
        Ok(Locked::Held { task_id: actions.next().and_then(|action| action.task_id.clone()) })
    }

    pub(crate) async fn prepare<'s>(
        &'s self,
        request: &Request,
        labels: &[String],
        marker: &str,
    ) -> (Prepared, Option<ReadyAction>) {
        let configured = |destination: &'s TaskclusterDestination| {
            let level = destination.levels.get(&request.project).copied()?;
            Some((&destination.client, destination.credentials.as_ref()?, level))
        };
        let Some((client, source, level)) = self.taskcluster.as_ref().and_then(configured) else {
            return (Prepared::Refused(ActionRefusal::ProjectNotConfigured), None);
        };
        let credentials = match source.get().await {
            Ok(credentials) => credentials,
            Err(reason) => return (Prepared::Unavailable(outage(reason, None, false)), None),
        };
        let decision_task: Option<TaskId> = request.decision_task_id.as_ref().and_then(|id| id.parse().ok());
        let Some(decision_task) = decision_task else {
            let message = "the push's decision task is not known".to_owned();
            return (Prepared::Refused(ActionRefusal::NoActions { message }), None);
        };
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        let labels = &labels[..fits(&labels)];
        let revision = request.pushed.as_ref().map(|pushed| pushed.revision.as_str());
        let action = client.prepare_action(&decision_task, &request.project, revision, labels, marker, level);
        match tokio::time::timeout(PREPARE_TIMEOUT, action).await {
            Ok(Ok(action)) => {
                let ready = Prepared::Ready { hook: action.hook.to_string(), labels: labels.len() };
                (ready, Some(ReadyAction { action, credentials }))
            }
            Ok(Err(PrepareError::Refused(refusal))) => (Prepared::Refused(refusal), None),
            Ok(Err(PrepareError::Unavailable { reason, retry_after })) => {
                (Prepared::Unavailable(outage(reason, retry_after, false)), None)
            }
            Err(_) => (Prepared::Unavailable(outage("it takes too long to answer".to_owned(), None, false)), None),
        }
    }

    async fn call(&self, ready: Option<ReadyAction>) -> Called {
        let (Some(destination), Some(ReadyAction { action, credentials })) = (&self.taskcluster, ready) else {
            return Called::Unsent(outage("the hook was not prepared".to_owned(), None, false));
        };
        let call = destination.client.trigger_hook(&action, &credentials, (self.clock)());
        match tokio::time::timeout(CALL_TIMEOUT, call).await {
            Ok(Ok(task)) => Called::Task(task.as_str().to_owned()),
            Ok(Err(TriggerError::Refused(refusal))) => {
                if let (ActionRefusal::BadCredentials { .. }, Some(source)) = (&refusal, &destination.credentials) {
                    source.forget().await;
                }
                Called::Refused(refusal)
            }
            Ok(Err(TriggerError::Unsent { reason, retry_after })) => {
                Called::Unsent(outage(reason, retry_after, retry_after.is_some()))
            }
            Ok(Err(TriggerError::Unanswered { reason })) => Called::Unanswered(reason),
            Err(_) => Called::Unanswered("it takes too long to answer".to_owned()),
        }
    }

    /// Stores a change of a request's labels. If something else changed the request meanwhile, and not its labels, the
    /// change is made to what is stored now.
    async fn store_change(&self, run: &LabelRun, change: &Change) -> Result<(Request, Vec<RequestedJob>), String> {
        let meanwhile = || "the request was changed at the same time".to_owned();
        let seen = run.request();
        let mut current = seen.clone();
        for _ in 0..3 {
            let now = (self.clock)();
            let (next, jobs) = change.apply(&current, run.jobs(), &self.planning, now);
            let changed = (next.jobs_digest != current.jobs_digest).then_some(&jobs[..]);
            let stored = self.requests.update(&next, changed, now).await;
            if stored.map_err(|error| error.to_string())? == UpdateResult::Stored {
                return Ok((next, jobs));
            }
            let found = self.requests.request(seen.id, Consistency::Consistent).await;
            let of_labels = |request: &Request| {
                (request.attempt, request.state.is_open(), request.jobs_digest.clone(), request.actions.clone())
            };
            let is_same = |found: &Request| of_labels(found) == of_labels(seen);
            current = found.map_err(|error| error.to_string())?.filter(is_same).ok_or_else(meanwhile)?;
        }
        Err(meanwhile())
    }
}

/// How long the steps take that begin with this one, if the pass may end before it.
fn time_needed(effect: &Effect) -> Option<Duration> {
    match effect {
        Effect::Search { .. } => Some(PREPARE_TIMEOUT),
        Effect::Lock { .. } => Some(TIME_FOR_ACTION),
        _ => None,
    }
}

fn outage(error: String, retry_after: Option<Duration>, is_rate_limit: bool) -> Outage {
    let retry_after = retry_after.and_then(|pause| TimeDelta::from_std(pause).ok());
    Outage { error, retry_after, is_rate_limit }
}
