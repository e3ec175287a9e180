//! The trigger service: checks who asks, resolves job names, stores requests and queues them. The HTTP routes and the
//! command line call it; it knows neither.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use requests::email::Email;
use requests::id::RequestId;
use requests::idempotency::IdempotencyKey;
use requests::job::RequestedJob;
use requests::new_request::NewRequest;
use requests::permissions::{Author, Permissions};
use requests::planning::{PlanContext, Planning, Runs, names_to_check, plan};
use requests::request::Request;
use requests::resolve::Renames;
use runtime::Clock;
use store::{Consistency, Queue, RequestsTable, StoreError, StoredRequest, Ticket, UpdateResult};
use treeherder::Treeherder;

use crate::actions::{PreviewedPush, TaskclusterActions};
use crate::api::PublicUrls;
use crate::budget::{Budget, share};
use crate::call_log::{CallLog, MeteredTable};
use crate::catalog::CatalogNames;
use crate::error::TriggerError;
use crate::outcome::{OutcomeKind, TriggerOutcome};

/// What to do with requests while Treeherder is unavailable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WithoutTreeherder {
    /// Check the domains and the allow-list only.
    PermissionsOnly,
    /// Refuse all requests.
    Refuse,
}

/// The trigger service.
pub struct TriggerService {
    /// The names of each project's jobs.
    pub catalog: CatalogNames,
    /// The requests table.
    pub requests: RequestsTable,
    /// The queue that the forwarder reads.
    pub queue: Queue,
    /// Treeherder, for the author of a push and the runs on it.
    pub treeherder: Treeherder,
    /// The actions of Taskcluster, if one is configured.
    pub taskcluster: Option<TaskclusterActions>,
    /// The addresses with which links start.
    pub urls: PublicUrls,
    /// Who may trigger jobs.
    pub permissions: Permissions,
    /// What to do while Treeherder is unavailable.
    pub without_treeherder: WithoutTreeherder,
    /// The budgets of requesters.
    pub budget: Budget,
    /// The renames of jobs.
    pub renames: Renames,
    /// How jobs are planned; a dry run plans them as the forwarder would.
    pub planning: Planning,
    /// The clock.
    pub clock: Clock,
    /// The source of randomness for request ids.
    pub random: Arc<dyn Fn() -> u128 + Send + Sync>,
}

impl TriggerService {
    pub(crate) fn metered<'l>(&self, log: &'l CallLog) -> MeteredTable<'l> {
        MeteredTable::new(&self.requests, log)
    }

    /// A request, by its id.
    ///
    /// # Errors
    /// The store does not answer.
    pub(crate) async fn request(&self, id: RequestId, log: &CallLog) -> Result<Option<StoredRequest>, TriggerError> {
        let table = self.metered(log);
        match table.stored(id, Consistency::Eventual).await? {
            // The reader may have created it a moment ago.
            None => Ok(table.stored(id, Consistency::Consistent).await?),
            found => Ok(found),
        }
    }

    /// Reads from the table, and logs the cost.
    pub(crate) async fn read<T>(
        &self,
        log: &CallLog,
        read: impl AsyncFnOnce(&RequestsTable) -> Result<T, StoreError>,
    ) -> Result<T, TriggerError> {
        Ok(read(&self.metered(log)).await?)
    }

    /// Whether a person may trigger jobs on a request's push, by what the request itself stores.
    pub(crate) fn may_trigger(&self, person: &Email, request: &Request) -> bool {
        self.permissions.check(&request.project, person, Author::of(request.pushed.as_ref())).is_ok()
    }

    /// Checks a request as `submit` does and plans its jobs as the forwarder would. It stores nothing but the count of
    /// requests.
    ///
    /// # Errors
    /// The request would be refused.
    pub async fn check(&self, new_request: &NewRequest, log: &CallLog) -> Result<TriggerOutcome, TriggerError> {
        let NewRequest { project, push_id, requester, .. } = new_request;
        self.catalog.names(project, log).await?;
        IdempotencyKey::of(new_request).map_err(TriggerError::BadKey)?;
        let now = (self.clock)();
        self.budget.refuse_exhausted(requester, now)?;
        let id = RequestId::new(now, (self.random)());
        let share = share(requester, id, now);
        let spent = self.budget.spend(&self.metered(log), share, 0, log).await?;
        let pushed = self.admit(project, *push_id, requester, log).await?;
        let mut resolved = self.resolve(new_request, log).await?;
        let accepted = resolved.some_accepted(project)?;
        self.budget.check_size(accepted)?;
        self.budget.limits.check_jobs(spent, accepted, share.window).map_err(TriggerError::TooManyRequests)?;
        let (mut jobs, runs) = self.plan_now(project, *push_id, &resolved.jobs, log).await;
        let push = PreviewedPush {
            project,
            revision: pushed.as_ref().map(|pushed| pushed.revision.as_str()),
            decision_task_id: resolved.decision_task_id.as_deref(),
            runs: runs.as_ref(),
        };
        let actions = self.preview_actions(push, &mut jobs, id, log).await;
        Ok(TriggerOutcome { request: None, jobs, kind: OutcomeKind::DryRun, actions })
    }

    /// The jobs as the forwarder would plan them now, and the runs on the push, if Treeherder answers.
    async fn plan_now(
        &self,
        project: &str,
        push_id: u64,
        jobs: &[RequestedJob],
        log: &CallLog,
    ) -> (Vec<RequestedJob>, Option<Runs>) {
        let names_to_check: BTreeSet<String> =
            names_to_check(jobs, &self.planning).into_iter().map(ToOwned::to_owned).collect();
        let runs = if names_to_check.is_empty() {
            Some(Runs::default())
        } else {
            let response = self.treeherder.runs(project, push_id, &names_to_check).await;
            response.inspect_err(|reason| log.set_error(reason)).ok()
        };
        let context = PlanContext { now: (self.clock)(), batch: 0, is_repeat: false };
        (plan(jobs, runs.as_ref(), &self.planning, context), runs)
    }

    /// Queues a stored request. If the queue or the store does not answer, the request stays accepted, and the sweeper
    /// queues it.
    pub(crate) async fn send(&self, table: &RequestsTable, request: Request, log: &CallLog) -> Request {
        match enqueue(table, &self.queue, &request, (self.clock)()).await {
            Ok(Some(queued)) => queued,
            Ok(None) => request,
            Err(error) => {
                log.set_error(&error);
                request
            }
        }
    }
}

/// Queues a request and then records that. If another function changed the stored request meanwhile, its change stays:
/// the forwarder may be quicker than the record. Returns `None` for a request that is not to be queued.
///
/// # Errors
/// The queue or the table does not answer. The request may be in the queue, and will be queued once more.
pub(crate) async fn enqueue(
    table: &RequestsTable,
    queue: &Queue,
    request: &Request,
    now: DateTime<Utc>,
) -> Result<Option<Request>, StoreError> {
    let Some(queued) = request.queued(now) else { return Ok(None) };
    queue.send(Ticket { request_id: request.id, attempt: request.attempt }).await?;
    match table.update(&queued, None, now).await? {
        UpdateResult::Stored | UpdateResult::Conflict => Ok(Some(queued)),
    }
}
