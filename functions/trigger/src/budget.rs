//! The budgets of requesters: the limits, and what is counted against them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use requests::email::Email;
use requests::id::RequestId;
use requests::rate_limits::{Limit, RateLimits, Spent, Window};
use store::{BudgetShare, RequestsTable};

use crate::call_log::CallLog;
use crate::error::TriggerError;

/// The budgets, which the store counts.
pub struct Budget {
    /// The limits.
    pub limits: RateLimits,
    /// Requesters without a request left, and in which minute: the store need not be asked again.
    exhausted: Mutex<HashMap<Email, Window>>,
}

impl Budget {
    /// Budgets with these limits.
    pub fn new(limits: RateLimits) -> Self {
        Self { limits, exhausted: Mutex::default() }
    }

    /// Refuses a requester who is known to have no request left in this minute, without asking the store.
    ///
    /// # Errors
    /// There is no request left.
    pub(crate) fn refuse_exhausted(&self, requester: &Email, now: DateTime<Utc>) -> Result<(), TriggerError> {
        let window = Window::at(now);
        let is_exhausted = self.exhausted().get(requester).is_some_and(|since| since.is_minute_of(window));
        if is_exhausted { Err(TriggerError::TooManyRequests(self.limits.minute_is_full(window))) } else { Ok(()) }
    }

    /// Takes a request with this number of jobs out of a budget, and returns what is spent then.
    ///
    /// # Errors
    /// There is not enough left, or the store does not answer; nothing is spent then.
    pub(crate) async fn spend(
        &self,
        table: &RequestsTable,
        share: BudgetShare<'_>,
        jobs: u32,
        log: &CallLog,
    ) -> Result<Spent, TriggerError> {
        match table.spend(share, jobs, &self.limits).await {
            Ok(Ok(spent)) => Ok(spent),
            Ok(Err(exceeded)) => {
                if exceeded.limit == Limit::Requests {
                    self.record_exhausted(share);
                }
                Err(TriggerError::TooManyRequests(exceeded))
            }
            Err(error) => {
                // The store may have counted it.
                refund(table, share, log).await;
                Err(TriggerError::StoreUnavailable(error))
            }
        }
    }

    /// Counts a refused request. Returns the refusal, or that the requester has no request left.
    pub(crate) async fn count_refusal(
        &self,
        table: &RequestsTable,
        share: BudgetShare<'_>,
        refusal: TriggerError,
        log: &CallLog,
    ) -> TriggerError {
        match self.spend(table, share, 0, log).await {
            Err(error @ TriggerError::TooManyRequests(_)) => error,
            _ => refusal,
        }
    }

    /// Refuses more jobs than any hour allows.
    ///
    /// # Errors
    /// The request has more jobs.
    pub(crate) fn check_size(&self, jobs: u32) -> Result<(), TriggerError> {
        self.limits.check_size(jobs).map_err(TriggerError::TooManyJobs)
    }

    fn record_exhausted(&self, share: BudgetShare<'_>) {
        let mut exhausted = self.exhausted();
        exhausted.retain(|_, since| since.is_minute_of(share.window));
        exhausted.insert(share.requester.clone(), share.window);
    }

    fn exhausted(&self) -> MutexGuard<'_, HashMap<Email, Window>> {
        self.exhausted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A requester's share of a budget, counted in the minute of its request.
pub(crate) fn share(requester: &Email, request: RequestId, at: DateTime<Utc>) -> BudgetShare<'_> {
    BudgetShare { requester, window: Window::at(at), request }
}

/// Refunds the share of a request that was not stored.
pub(crate) async fn refund(table: &RequestsTable, share: BudgetShare<'_>, log: &CallLog) {
    if let Err(error) = table.refund(share).await {
        // The share ends with its hour.
        log.set_error(&error);
    }
}
