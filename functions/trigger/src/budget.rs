//! How much a person may ask for: the limits, and what is counted against them.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use http_api::{Problem, RequestLog};
use requests::email::Email;
use requests::rate_limits::{Exceeded, Limit, RateLimits, Spent, Window};
use requests::request::RequestId;
use store::{BudgetShare, RequestsTable};

use crate::problems::{TOO_MANY_JOBS, TOO_MANY_REQUESTS};
use crate::service::unavailable;

/// The budgets, which the store counts.
pub struct Budget {
    /// How much one may ask for.
    pub limits: RateLimits,
    /// Those who have no request left, by the minute for which that holds: the store need not be asked again.
    exhausted: Mutex<HashMap<Email, Window>>,
}

impl Budget {
    /// Budgets with these limits.
    pub fn new(limits: RateLimits) -> Self {
        Self { limits, exhausted: Mutex::default() }
    }

    /// Refuses a person of whom it is known here that they have no request left in this minute. It costs nothing.
    ///
    /// # Errors
    /// They have none.
    pub(crate) fn refuse_exhausted(&self, requester: &Email, now: DateTime<Utc>) -> Result<(), Problem> {
        let window = Window::at(now);
        let is_exhausted = self.exhausted().get(requester).is_some_and(|since| since.is_minute_of(window));
        if is_exhausted { Err(too_many(self.limits.minute_is_full(window))) } else { Ok(()) }
    }

    /// Takes a request of so many jobs out of a person's budget; what is spent then.
    ///
    /// # Errors
    /// There is not enough left, or the store does not answer; nothing is taken then.
    pub(crate) async fn spend(
        &self,
        table: &RequestsTable,
        share: BudgetShare<'_>,
        jobs: u32,
        request_log: &RequestLog,
    ) -> Result<Spent, Problem> {
        match table.spend(share, jobs, &self.limits).await {
            Ok(Ok(spent)) => Ok(spent),
            Ok(Err(exceeded)) => {
                if exceeded.limit == Limit::Requests {
                    self.record_exhausted(share);
                }
                Err(too_many(exceeded))
            }
            Err(error) => {
                // The store may have heard it.
                refund(table, share, request_log).await;
                Err(unavailable(&error))
            }
        }
    }

    /// Counts a refusal as a request without jobs: the refusal, or that there are too many.
    pub(crate) async fn count_refusal(
        &self,
        table: &RequestsTable,
        share: BudgetShare<'_>,
        refusal: Problem,
        request_log: &RequestLog,
    ) -> Problem {
        match self.spend(table, share, 0, request_log).await {
            Err(problem) if *problem.error_code() == TOO_MANY_REQUESTS => problem,
            _ => refusal,
        }
    }

    /// Refuses more jobs than any hour allows.
    ///
    /// # Errors
    /// There are more.
    pub(crate) fn check_size(&self, jobs: u32) -> Result<(), Problem> {
        self.limits.check_size(jobs).map_err(|detail| Problem::new(&TOO_MANY_JOBS, detail + " Nothing was requested."))
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

/// A person's share, counted in the minute in which its request was made.
pub(crate) fn share(requester: &Email, request: RequestId, at: DateTime<Utc>) -> BudgetShare<'_> {
    BudgetShare { requester, window: Window::at(at), request }
}

/// Gives back what a request took of which nothing came.
pub(crate) async fn refund(table: &RequestsTable, share: BudgetShare<'_>, request_log: &RequestLog) {
    if let Err(error) = table.refund(share).await {
        // It ends with its hour.
        request_log.record("error", error.to_string());
    }
}

pub(crate) fn too_many(exceeded: Exceeded) -> Problem {
    Problem::new(&TOO_MANY_REQUESTS, exceeded.detail).retry_after(exceeded.retry_after)
}
