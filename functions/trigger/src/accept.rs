//! A new request: its key is claimed, its jobs are resolved, and it is stored and queued.

use std::time::Duration;

use requests::id::RequestId;
use requests::idempotency::{Claim, ClaimStatus, IdempotencyKey};
use requests::new_request::NewRequest;
use requests::push::Push;
use requests::request::Request;
use store::{Consistency, RequestsTable, StoredRequest};

use crate::budget::{refund, share};
use crate::call_log::CallLog;
use crate::error::TriggerError;
use crate::outcome::{OutcomeKind, TriggerOutcome};
use crate::resolve::Resolved;
use crate::service::TriggerService;

/// How often a repetition of a request that is in progress polls for its outcome, and how many times.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
const MAX_POLLS: u32 = 20;

/// The owner of a key.
enum Claimed {
    /// The new request. `never_kept` is an expired claim whose request was not stored.
    Ours { never_kept: Option<Claim> },
    /// An earlier request.
    Existing(Box<StoredRequest>, Claim),
}

impl TriggerService {
    /// Checks a request, stores it, and queues it.
    ///
    /// # Errors
    /// The request was refused, and nothing was requested; or, for `Uncertain`, it is not known whether it was stored.
    pub async fn submit(&self, new_request: NewRequest, log: &CallLog) -> Result<TriggerOutcome, TriggerError> {
        self.catalog.names(&new_request.project, log).await?;
        IdempotencyKey::of(&new_request).map_err(TriggerError::BadKey)?;
        let push = self.admit_counted(&new_request.project, new_request.push_id, &new_request.requester, log).await?;
        self.accept(new_request, push.map(|push| (*push).clone()), log).await
    }

    /// Stores and queues a request whose requester is known to be allowed, such as an operator's replay.
    ///
    /// # Errors
    /// As `submit`.
    pub async fn accept(
        &self,
        mut new_request: NewRequest,
        pushed: Option<Push>,
        log: &CallLog,
    ) -> Result<TriggerOutcome, TriggerError> {
        let now = (self.clock)();
        let id = RequestId::new(now, (self.random)());
        // The key is made of what the client sent: that does not depend on the push's decision task.
        let key = IdempotencyKey::of(&new_request).map_err(TriggerError::BadKey)?;
        let mut resolved = match self.resolve(&new_request, log).await {
            // Without the count, a client could have Taskcluster asked about any number of tasks.
            Err(refusal @ TriggerError::NoPushList(_)) => {
                let share = share(&new_request.requester, id, now);
                return Err(self.budget.count_refusal(&self.metered(log), share, refusal, log).await);
            }
            resolved => resolved?,
        };
        let is_named = new_request.idempotency_key.is_some();
        let claim = key.claim(id, now);
        let table = self.metered(log);
        let claimed = match self.claim(&table, &key, &claim, is_named).await {
            // Without the count, a client could have Treeherder asked about any number of pushes under one key.
            Err(TriggerError::KeyReused) => {
                let share = share(&new_request.requester, id, now);
                return Err(self.budget.count_refusal(&table, share, TriggerError::KeyReused, log).await);
            }
            claimed => claimed?,
        };
        match claimed {
            Claimed::Existing(request, earlier) => {
                log.set_request(request.id);
                let (request, jobs) = table.with_jobs(*request, Consistency::Consistent).await?;
                let seconds = (now - earlier.claimed_at).num_seconds().max(0);
                let kind = if is_named { OutcomeKind::Replayed } else { OutcomeKind::Duplicate(seconds) };
                return Ok(TriggerOutcome { request: Some(request), jobs, kind, actions: None });
            }
            Claimed::Ours { never_kept: Some(earlier) } => {
                refund(&table, share(&new_request.requester, earlier.request, earlier.claimed_at), log).await;
            }
            Claimed::Ours { never_kept: None } => {}
        }

        // From here on the key is ours. It is released if the request is refused.
        let accepted = resolved.some_accepted(&new_request.project);
        let spend = async {
            let fits = self.budget.check_size(*accepted.as_ref().unwrap_or(&0));
            // A request without accepted jobs, or with too many, counts as a request too: it takes work to find out.
            let charged = if fits.is_ok() { *accepted.as_ref().unwrap_or(&0) } else { 0 };
            self.budget.spend(&table, share(&new_request.requester, id, now), charged, log).await?;
            fits?;
            accepted
        };
        if let Err(error) = spend.await {
            self.release(&table, &key, &claim, log).await;
            return Err(error);
        }
        let Resolved { jobs, decision_task_id, .. } = resolved;
        new_request.decision_task_id = decision_task_id;
        let request = Request::new(id, new_request, pushed, &jobs, now);
        log.set_request(id);
        if let Err(error) = table.create(&request, &jobs, now).await {
            // The key is not released: a repetition finds out whether the request was stored.
            return Err(TriggerError::Uncertain { whether: "your request was stored", error });
        }
        let request = self.send(&table, request, log).await;
        Ok(TriggerOutcome { request: Some(request), jobs, kind: OutcomeKind::Created, actions: None })
    }

    /// Claims the key, or finds the earlier request that owns it.
    async fn claim(
        &self,
        table: &RequestsTable,
        key: &IdempotencyKey,
        claim: &Claim,
        is_named: bool,
    ) -> Result<Claimed, TriggerError> {
        let (mut instead_of, mut never_kept) = (None, None);
        for _ in 0..MAX_POLLS {
            let earlier = table.claim(&key.name, claim, instead_of.as_ref()).await?;
            let Some(earlier) = earlier else { return Ok(Claimed::Ours { never_kept }) };
            let stored = table.stored(earlier.request, Consistency::Consistent).await?;
            match (earlier.status(&key.fingerprint, claim.claimed_at, stored.is_some()), stored) {
                (ClaimStatus::Replay, Some(request)) => return Ok(Claimed::Existing(Box::new(request), earlier)),
                (ClaimStatus::Mismatch, _) => return Err(TriggerError::KeyReused),
                (ClaimStatus::Expired | ClaimStatus::Replay, stored) => {
                    never_kept = stored.is_none().then(|| earlier.clone());
                    instead_of = Some(earlier);
                }
                (ClaimStatus::InProgress, _) if is_named => break,
                // A double click: both requests get the first one's answer.
                (ClaimStatus::InProgress, _) => {
                    instead_of = None;
                    tokio::time::sleep(POLL_INTERVAL).await;
                }
            }
        }
        Err(TriggerError::InProgress)
    }

    async fn release(&self, table: &RequestsTable, key: &IdempotencyKey, claim: &Claim, log: &CallLog) {
        if let Err(error) = table.release(&key.name, claim).await {
            // The claim expires with its lease.
            log.set_error(&error);
        }
    }
}
