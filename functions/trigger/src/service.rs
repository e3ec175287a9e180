//! What is done with a request for jobs: who may ask is checked, each job is looked up, the request is kept, and then it
//! is queued. The HTTP routes and the command line are its two fronts.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use http_api::{Problem, RequestLog};
use requests::email::Email;
use requests::idempotency::{Claim, ClaimStatus, IdempotencyKey, RequestContent};
use requests::permissions::{Author, Permissions};
use requests::planning::{PlanContext, Planning, names_to_check, needed_by, plan};
use requests::request::{JobCode, JobState, NewRequest, Push, Request, RequestId, RequestedJob, count_jobs};
use requests::resolve::{Renames, resolve_names};
use requests::runs::Runs;
use runtime::Clock;
use store::{Consistency, Queue, RequestsTable, StoreError, Ticket, UpdateResult};
use treeherder::Treeherder;

use crate::api;
use crate::budget::{Budget, refund, share, too_many};
use crate::catalog::CatalogNames;
use crate::outcome::{OutcomeKind, TriggerOutcome};
use crate::problems::{
    BAD_KEY, CHANGED_MEANWHILE, IN_PROGRESS, KEY_REUSED, NO_KNOWN_JOBS, NOTHING_TO_RETRY, STILL_OPEN, STORE_UNAVAILABLE,
};

/// When to ask again after the store did not answer, in seconds: by then it is known what came of a request.
pub(crate) const RETRY_AFTER: u32 = 30;
/// How long somebody who asks for the same at the same time waits for the first one's answer, and how often they look.
const MAX_POLLS: u32 = 20;
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// What happens to requests while Treeherder does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithoutTreeherder {
    /// The rules of domains and of the allow-list decide alone.
    PermissionsOnly,
    /// They are refused.
    Refuse,
}

/// Takes requests.
pub struct TriggerService {
    /// What can be asked for.
    pub catalog: CatalogNames,
    /// Where requests are kept.
    pub requests: RequestsTable,
    /// Where they go from here.
    pub queue: Queue,
    /// Who wrote a push.
    pub treeherder: Treeherder,
    /// Where people find it: links start with this.
    pub treeherder_public_url: String,
    /// Who may ask.
    pub permissions: Permissions,
    /// What happens while nobody can tell who wrote a push.
    pub without_treeherder: WithoutTreeherder,
    /// How much one may ask for.
    pub budget: Budget,
    /// How names changed.
    pub renames: Renames,
    /// How jobs are planned: when they are forwarded, and here to tell what would be done then.
    pub planning: Planning,
    /// Tells the time.
    pub clock: Clock,
    /// Makes names of requests differ.
    pub random: Arc<dyn Fn() -> u128 + Send + Sync>,
}

/// Who asks for which jobs.
#[derive(Debug, Clone)]
pub struct Submission {
    /// The project.
    pub project: String,
    /// The push.
    pub push_id: u64,
    /// The jobs' names, at least one.
    pub names: Vec<String>,
    /// The push's decision task.
    pub decision_task_id: Option<String>,
    /// Who asks.
    pub requester: Email,
    /// The service that asks on behalf of the requester.
    pub on_behalf_by: Option<String>,
    /// What the client calls this request.
    pub idempotency_key: Option<String>,
}

impl Submission {
    /// What it is recognised by.
    fn key(&self) -> Result<IdempotencyKey, Problem> {
        let asked = RequestContent {
            requester: &self.requester,
            project: &self.project,
            push: self.push_id,
            names: &self.names,
            decision_task_id: self.decision_task_id.as_deref(),
        };
        let Some(header) = &self.idempotency_key else { return Ok(IdempotencyKey::from_content(&asked)) };
        let wrong = |expected| Problem::new(&BAD_KEY, format!("The Idempotency-Key is wrong: {expected}."));
        IdempotencyKey::from_header(header, &asked).map_err(wrong)
    }
}

/// The table, noting what it costs when it is done with.
pub(crate) struct Metered<'l> {
    table: RequestsTable,
    request_log: &'l RequestLog,
}

impl std::ops::Deref for Metered<'_> {
    type Target = RequestsTable;

    fn deref(&self) -> &RequestsTable {
        &self.table
    }
}

impl Drop for Metered<'_> {
    fn drop(&mut self) {
        let cost = self.table.cost();
        self.request_log.add_read_units(cost.read_units);
        self.request_log.record("store_operations", cost.operations);
        self.request_log.record("write_units", cost.write_units);
        self.request_log.add_damaged(cost.damaged);
    }
}

/// The store does not answer, and nothing was requested.
pub(crate) fn unavailable(error: &StoreError) -> Problem {
    let detail =
        "Requests cannot be read or kept at the moment, so nothing was requested. Please try again in half a minute.";
    Problem::new(&STORE_UNAVAILABLE, detail).retry_after(RETRY_AFTER).because(error.to_string())
}

/// The store did not answer a write, which it may have done or not.
fn uncertain(whether: &str, error: &StoreError) -> Problem {
    let detail = format!(
        "The store did not answer, so it is not known whether {whether}. Ask for the same again in half a minute: it \
         will not run twice."
    );
    Problem::new(&STORE_UNAVAILABLE, detail).retry_after(RETRY_AFTER).because(error.to_string())
}

impl TriggerService {
    pub(crate) fn metered<'l>(&self, request_log: &'l RequestLog) -> Metered<'l> {
        Metered { table: self.requests.metered(), request_log }
    }

    /// A request.
    ///
    /// # Errors
    /// The store does not answer.
    pub(crate) async fn request(&self, id: RequestId, request_log: &RequestLog) -> Result<Option<Request>, Problem> {
        let table = self.metered(request_log);
        match table.request(id, Consistency::Eventual).await {
            // It may have been made a moment ago, by the one who asks.
            Ok(None) => table.request(id, Consistency::Consistent).await.map_err(|error| unavailable(&error)),
            found => found.map_err(|error| unavailable(&error)),
        }
    }

    /// Reads from the table, and notes what that costs.
    pub(crate) async fn read<T>(
        &self,
        request_log: &RequestLog,
        read: impl AsyncFnOnce(&RequestsTable) -> Result<T, StoreError>,
    ) -> Result<T, Problem> {
        read(&self.metered(request_log)).await.map_err(|error| unavailable(&error))
    }

    /// Whether a person may trigger jobs on a request's push, as far as the request itself tells.
    pub(crate) fn may_trigger(&self, person: &Email, request: &Request) -> bool {
        self.permissions.check(&request.project, person, Author::of(request.pushed.as_ref())).is_ok()
    }

    /// Judges an order as `submit` does and plans it as it would be when it is forwarded, and does nothing but to count
    /// that as a request.
    ///
    /// # Errors
    /// It would be refused.
    pub async fn check(&self, submission: &Submission, request_log: &RequestLog) -> Result<TriggerOutcome, Problem> {
        let names = self.catalog.names(&submission.project, request_log).await?;
        submission.key()?;
        let now = (self.clock)();
        self.budget.refuse_exhausted(&submission.requester, now)?;
        let share = share(&submission.requester, RequestId::new(now, (self.random)()), now);
        let spent = self.budget.spend(&self.metered(request_log), share, 0, request_log).await?;
        self.admit(&submission.project, submission.push_id, &submission.requester, request_log).await?;
        let jobs = resolve_names(&submission.names, &names, &self.renames);
        let accepted = some_accepted(&submission.project, &jobs)?;
        self.budget.check_size(accepted)?;
        self.budget.limits.check_jobs(spent, accepted, share.window).map_err(too_many)?;
        let jobs = self.plan_now(submission, &jobs, request_log).await;
        Ok(TriggerOutcome { request: None, jobs, kind: OutcomeKind::DryRun })
    }

    async fn plan_now(
        &self,
        submission: &Submission,
        jobs: &[RequestedJob],
        request_log: &RequestLog,
    ) -> Vec<RequestedJob> {
        let names_to_check: BTreeSet<String> =
            names_to_check(jobs, &self.planning).into_iter().map(ToOwned::to_owned).collect();
        let runs = if names_to_check.is_empty() {
            Some(Runs::default())
        } else {
            let response = self.treeherder.runs(&submission.project, submission.push_id, &names_to_check).await;
            response.inspect_err(|reason| request_log.record("error", reason.clone())).ok()
        };
        let context = PlanContext { now: (self.clock)(), batch: 0, is_repeat: false };
        plan(jobs, runs.as_ref(), &self.planning, context)
    }

    /// Takes an order: checks it, keeps it, and queues it.
    ///
    /// # Errors
    /// It was refused, and nothing came of it; or, where the detail says so, nobody knows what came of it.
    pub async fn submit(&self, submission: &Submission, request_log: &RequestLog) -> Result<TriggerOutcome, Problem> {
        self.catalog.names(&submission.project, request_log).await?;
        submission.key()?;
        let push =
            self.admit_counted(&submission.project, submission.push_id, &submission.requester, request_log).await?;
        self.accept(submission, push.map(|push| (*push).clone()), request_log).await
    }

    /// The same for an order of which it is known that it may be: an operator's.
    ///
    /// # Errors
    /// As `submit`.
    pub async fn accept(
        &self,
        submission: &Submission,
        pushed: Option<Push>,
        request_log: &RequestLog,
    ) -> Result<TriggerOutcome, Problem> {
        let names = self.catalog.names(&submission.project, request_log).await?;
        let now = (self.clock)();
        let id = RequestId::new(now, (self.random)());
        let key = submission.key()?;
        let is_named = submission.idempotency_key.is_some();
        let claim = key.claim(id, now);
        let table = self.metered(request_log);
        let claimed = match self.claim(&table, &key, &claim, is_named).await {
            // Treeherder may have been asked about another push for each.
            Err(problem) if *problem.error_code() == KEY_REUSED => {
                let share = share(&submission.requester, id, now);
                return Err(self.budget.count_refusal(&table, share, problem, request_log).await);
            }
            claimed => claimed?,
        };
        match claimed {
            Claimed::Existing(request, earlier) => {
                request_log.record("request", request.id.to_string());
                let found = table.with_jobs(*request, Consistency::Consistent).await;
                let (request, jobs) = found.map_err(|error| unavailable(&error))?;
                let seconds = (now - earlier.claimed_at).num_seconds().max(0);
                let kind = if is_named { OutcomeKind::Replayed } else { OutcomeKind::Duplicate(seconds) };
                return Ok(TriggerOutcome { request: Some(request), jobs, kind });
            }
            Claimed::Ours { never_kept: Some(earlier) } => {
                refund(&table, share(&submission.requester, earlier.request, earlier.claimed_at), request_log).await;
            }
            Claimed::Ours { never_kept: None } => {}
        }

        // From here on the key is ours, and is given back if nothing comes of it.
        let jobs = resolve_names(&submission.names, &names, &self.renames);
        let taken = async {
            let accepted = count_jobs(&jobs).get(&JobState::Accepted).copied().unwrap_or_default();
            let fits = self.budget.check_size(accepted);
            // To find out that none exists, or too many, is work too: it counts as a request.
            let charged = if fits.is_ok() { accepted } else { 0 };
            self.budget.spend(&table, share(&submission.requester, id, now), charged, request_log).await?;
            fits?;
            some_accepted(&submission.project, &jobs)
        };
        if let Err(problem) = taken.await {
            self.release(&table, &key, &claim, request_log).await;
            return Err(problem);
        }
        let new_request = NewRequest {
            project: submission.project.clone(),
            push_id: submission.push_id,
            pushed,
            requester: submission.requester.clone(),
            on_behalf_by: submission.on_behalf_by.clone(),
            decision_task_id: submission.decision_task_id.clone(),
        };
        let request = Request::new(id, new_request, &jobs, now);
        request_log.record("request", id.to_string());
        if let Err(error) = table.create(&request, &jobs, now).await {
            // The key is not given back: asking again finds out whether the request was kept.
            return Err(uncertain("your request was kept", &error));
        }
        let request = self.send(&table, request, request_log).await;
        Ok(TriggerOutcome { request: Some(request), jobs, kind: OutcomeKind::Created })
    }

    /// Claims the key, or finds the earlier request that has it.
    async fn claim(
        &self,
        table: &RequestsTable,
        key: &IdempotencyKey,
        claim: &Claim,
        is_named: bool,
    ) -> Result<Claimed, Problem> {
        let (mut instead_of, mut never_kept) = (None, None);
        for _ in 0..MAX_POLLS {
            let earlier =
                table.claim(&key.name, claim, instead_of.as_ref()).await.map_err(|error| unavailable(&error))?;
            let Some(earlier) = earlier else { return Ok(Claimed::Ours { never_kept }) };
            let stored =
                table.request(earlier.request, Consistency::Consistent).await.map_err(|error| unavailable(&error))?;
            match (earlier.status(&key.fingerprint, claim.claimed_at, stored.is_some()), stored) {
                (ClaimStatus::Replay, Some(request)) => return Ok(Claimed::Existing(Box::new(request), earlier)),
                (ClaimStatus::Mismatch, _) => {
                    let detail =
                        "This Idempotency-Key stands for another request of yours: use a new key for a new request.";
                    return Err(Problem::new(&KEY_REUSED, detail));
                }
                (ClaimStatus::Expired | ClaimStatus::Replay, stored) => {
                    never_kept = stored.is_none().then(|| earlier.clone());
                    instead_of = Some(earlier);
                }
                (ClaimStatus::InProgress, _) if is_named => break,
                // Somebody clicked twice: the first click's answer is theirs too.
                (ClaimStatus::InProgress, _) => {
                    instead_of = None;
                    tokio::time::sleep(POLL_INTERVAL).await;
                }
            }
        }
        let detail = "The same request is being worked at. Ask again in a moment to have its answer.";
        Err(Problem::new(&IN_PROGRESS, detail).retry_after(1))
    }

    async fn release(&self, table: &RequestsTable, key: &IdempotencyKey, claim: &Claim, request_log: &RequestLog) {
        if let Err(error) = table.release(&key.name, claim).await {
            // It ends by itself in half a minute.
            request_log.record("error", error.to_string());
        }
    }

    /// Queues a request that is kept. If the queue or the store does not answer, it stays as it is: the sweeper does it.
    async fn send(&self, table: &RequestsTable, request: Request, request_log: &RequestLog) -> Request {
        match enqueue(table, &self.queue, &request, (self.clock)()).await {
            Ok(Some(queued)) => queued,
            Ok(None) => request,
            Err(error) => {
                request_log.record("error", error.to_string());
                request
            }
        }
    }

    /// Sends the failed and unroutable jobs of a request again. `by` is the person who asks for that; an operator has
    /// neither to be admitted nor a budget.
    ///
    /// # Errors
    /// There is nothing to send, or it was refused.
    pub async fn retry(
        &self,
        request: &Request,
        by: Option<&Email>,
        request_log: &RequestLog,
    ) -> Result<TriggerOutcome, Problem> {
        request_log.record("request", request.id.to_string());
        let names = self.catalog.names(&request.project, request_log).await?;
        if let Some(person) = by {
            self.admit_counted(&request.project, request.push_id, person, request_log).await?;
        }
        if request.state.is_open() {
            let detail = format!("The request is {}: jobs of it are on their way still.", request.state.as_str());
            return Err(Problem::new(&STILL_OPEN, detail));
        }
        let now = (self.clock)();
        let table = self.metered(request_log);
        let mut jobs = table.jobs(request.id, Consistency::Consistent).await.map_err(|error| unavailable(&error))?;
        // Of builds, the first test that needs each.
        let tests = jobs.iter().rev().filter_map(|job| Some((job.build.clone()?, job.name.clone())));
        let tests: HashMap<String, String> = tests.collect();
        let again = jobs.iter_mut().filter(|job| job.state.can_be_retried());
        let mut sought = Vec::new();
        for job in again {
            // The catalog may have changed since.
            let name = [job.name.clone()];
            sought.extend(name.clone());
            for resolved in resolve_names(&name, &names, &self.renames) {
                let asked_as = resolved.asked_as.clone().or_else(|| job.asked_as.clone());
                let is_added = !job.is_asked_for() && resolved.exists();
                let added = || (Some(JobCode::NeededBuild), tests.get(&job.name).map(|test| needed_by(test)));
                let (code, reason) = if is_added { added() } else { (resolved.code, resolved.reason) };
                *job = RequestedJob { asked_as, code, reason, ..resolved };
                job.code = job.code.or_else(|| job.name_change_code());
            }
        }
        if sought.is_empty() {
            let detail = "No job of this request failed or was unroutable, so there is nothing to send again.";
            return Err(Problem::new(&NOTHING_TO_RETRY, detail));
        }
        let Some(next) = request.retried(&jobs, by.cloned(), now) else {
            let rejected: Vec<RequestedJob> = jobs.into_iter().filter(|job| sought.contains(&job.name)).collect();
            return Err(no_known_jobs(&request.project, &rejected));
        };
        // Under an id of its own: of two who retry at once, each pays, and one gets it back.
        let share = by.map(|person| share(person, RequestId::new(now, (self.random)()), now));
        if let Some(share) = share {
            let is_spent = |job: &&RequestedJob| job.state == JobState::Accepted && job.is_asked_for();
            let jobs = u32::try_from(jobs.iter().filter(is_spent).count()).unwrap_or(u32::MAX);
            self.budget.check_size(jobs)?;
            self.budget.spend(&table, share, jobs, request_log).await?;
        }
        match table
            .update(&next, Some(&jobs), now)
            .await
            .map_err(|error| uncertain("the jobs are sent again", &error))?
        {
            UpdateResult::Stored => {}
            UpdateResult::Conflict => {
                if let Some(share) = share {
                    refund(&table, share, request_log).await;
                }
                let detail = "Somebody else changed this request at the same time. Read it again before retrying.";
                return Err(Problem::new(&CHANGED_MEANWHILE, detail));
            }
        }
        let request = self.send(&table, next, request_log).await;
        Ok(TriggerOutcome { request: Some(request), jobs, kind: OutcomeKind::Created })
    }
}

/// Whose a key is.
enum Claimed {
    /// Ours now. An earlier claim of it meant nothing any more, if its request never came to be.
    Ours { never_kept: Option<Claim> },
    /// An earlier request's.
    Existing(Box<Request>, Claim),
}

/// Puts a request into the queue and then notes that it is there. None if somebody else changed it meanwhile, which is
/// as good: whoever takes it from the queue may be quicker than the note.
///
/// # Errors
/// The queue does not take it, or the note cannot be made: then it may be in the queue, and will be put there once more.
pub(crate) async fn enqueue(
    table: &RequestsTable,
    queue: &Queue,
    request: &Request,
    now: DateTime<Utc>,
) -> Result<Option<Request>, StoreError> {
    let Some(queued) = request.queued(now) else { return Ok(None) };
    queue.send(Ticket { request_id: request.id, attempt: request.attempt }).await?;
    match table.update(&queued, None, now).await? {
        UpdateResult::Stored => Ok(Some(queued)),
        UpdateResult::Conflict => Ok(None),
    }
}

/// How many jobs are accepted, if any are.
fn some_accepted(project: &str, jobs: &[RequestedJob]) -> Result<u32, Problem> {
    match count_jobs(jobs).get(&JobState::Accepted) {
        Some(accepted) => Ok(*accepted),
        None => Err(no_known_jobs(project, jobs)),
    }
}

fn no_known_jobs(project: &str, jobs: &[RequestedJob]) -> Problem {
    let detail = match jobs {
        [one] => format!("{project} has no job '{}', so nothing was requested.{}", one.name, did_you_mean(one)),
        _ => format!("{project} has none of these {} jobs, so nothing was requested.", jobs.len()),
    };
    let jobs = serde_json::to_value(api::jobs(project, jobs)).unwrap_or_default();
    Problem::new(&NO_KNOWN_JOBS, detail).with("jobs", jobs)
}

fn did_you_mean(job: &RequestedJob) -> String {
    job.closest.as_ref().map(|closest| format!(" Did you mean '{closest}'?")).unwrap_or_default()
}
