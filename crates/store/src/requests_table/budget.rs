//! The budget of a requester: one item per hour. A request spends its share under its own id, so that a repeated write
//! spends it once, and so that it can be refunded.

use std::collections::HashMap;

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    AttributeValue, ReturnConsumedCapacity, ReturnValue, ReturnValuesOnConditionCheckFailure,
};
use requests::email::Email;
use requests::id::RequestId;
use requests::rate_limits::{Exceeded, RateLimits, Spent, Window};

use super::RequestsTable;
use super::layout::CLEANUP_GRACE;
use crate::items::{Item, is_condition, key, number, table_error};
use crate::{Consistency, StoreError};

/// Maximum number of attempts to spend, while other requests change the budget at the same time.
const ATTEMPTS: u32 = 5;
/// How many characters of a request's id are stored: they hold 50 random bits, to distinguish requests of one minute.
const ID_SUFFIX_LENGTH: usize = 10;

/// The share of a request in a requester's budget.
#[derive(Debug, Clone, Copy)]
pub struct BudgetShare<'r> {
    /// The owner of the budget.
    pub requester: &'r Email,
    /// The hour and minute in which it is counted.
    pub window: Window,
    /// The request.
    pub request: RequestId,
}

impl BudgetShare<'_> {
    /// The key of the budget's item.
    fn key(&self) -> Item {
        key(&format!("budget#{}#{}", self.requester, self.window.hour), "budget")
    }

    /// The attribute that holds the requests of the minute.
    fn minute_attribute(&self) -> String {
        format!("requests_{}", self.window.minute)
    }

    /// The end of the id, which distinguishes the requests of the minute.
    fn id_suffix(&self) -> String {
        let mut id = self.request.to_string();
        id.split_off(id.len().saturating_sub(ID_SUFFIX_LENGTH))
    }

    /// The stored form of the share, with the number of jobs.
    fn entry(&self, jobs: u32) -> String {
        format!("{}={jobs}", self.id_suffix())
    }

    /// What the item says is spent.
    fn spent(&self, item: Option<&Item>) -> Spent {
        let jobs = match item.and_then(|item| item.get("jobs")) {
            Some(AttributeValue::N(jobs)) => jobs.parse().unwrap_or_default(),
            _ => 0,
        };
        Spent { jobs, requests: u32::try_from(self.entries(item).len()).unwrap_or(u32::MAX) }
    }

    /// The stored shares of the minute.
    fn entries<'i>(&self, item: Option<&'i Item>) -> &'i [String] {
        match item.and_then(|item| item.get(&self.minute_attribute())) {
            Some(AttributeValue::Ss(entries)) => entries,
            _ => &[],
        }
    }
}

impl RequestsTable {
    /// Spends a request with this number of jobs. Spending the same share again has no effect. Returns what is spent then,
    /// or the limit that would be exceeded, in which case nothing is spent.
    ///
    /// # Errors
    /// The table cannot be written, or it is not known whether it was.
    pub async fn spend(
        &self,
        share: BudgetShare<'_>,
        jobs: u32,
        limits: &RateLimits,
    ) -> Result<Result<Spent, Exceeded>, StoreError> {
        // The condition below does not check a budget without an item: more than a whole budget is refused here.
        if let Err(exceeded) = limits.check(Spent::default(), jobs, share.window) {
            return Ok(Err(exceeded));
        }
        for _ in 0..ATTEMPTS {
            let found = match self.try_to_spend(share, jobs, limits).await? {
                Ok(spent) => return Ok(Ok(spent)),
                Err(Some(item)) => Some(item),
                // The condition failed, and the store does not return the item.
                Err(None) => self.item(|| "reading a budget".to_owned(), share.key(), Consistency::Consistent).await?,
            };
            let spent = share.spent(found.as_ref());
            if share.entries(found.as_ref()).contains(&share.entry(jobs)) {
                // An earlier attempt was successful.
                return Ok(Ok(spent));
            }
            if let Err(exceeded) = limits.check(spent, jobs, share.window) {
                return Ok(Err(exceeded));
            }
        }
        let reason = format!("the budget was another at each of {ATTEMPTS} attempts");
        Err(StoreError::Service { action: "counting a request".to_owned(), reason })
    }

    /// What is spent now; or, if the condition failed, the item on which it failed, if the store returns it.
    async fn try_to_spend(
        &self,
        share: BudgetShare<'_>,
        jobs: u32,
        limits: &RateLimits,
    ) -> Result<Result<Spent, Option<Item>>, StoreError> {
        let update = self.client.update_item().table_name(&self.table).set_key(Some(share.key()));
        let update = update.update_expression("SET expires_at = :end ADD jobs :jobs, #minute :notes");
        let update = update.condition_expression(
            "(attribute_not_exists(jobs) OR jobs <= :room) AND (attribute_not_exists(#minute) OR (size(#minute) < :max \
             AND NOT contains(#minute, :note)))",
        );
        let update = update.expression_attribute_names("#minute", share.minute_attribute());
        let entry = share.entry(jobs);
        let values = [
            (":end", number(share.window.ends_at() + CLEANUP_GRACE.num_seconds())),
            (":jobs", number(jobs)),
            (":notes", AttributeValue::Ss(vec![entry.clone()])),
            (":note", AttributeValue::S(entry)),
            (":room", number(limits.jobs_per_hour.saturating_sub(jobs))),
            (":max", number(limits.requests_per_minute)),
        ];
        let values: HashMap<_, _> = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let update = update.set_expression_attribute_values(Some(values)).return_values(ReturnValue::AllNew);
        let update = update.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match update.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await {
            Ok(output) => {
                self.count_written(&output.consumed_capacity);
                Ok(Ok(share.spent(output.attributes.as_ref())))
            }
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                    self.count(0.0, 1.0);
                    Ok(Err(failed.item.clone()))
                }
                _ => Err(table_error(&self.table, "counting a request", &error)),
            },
        }
    }

    /// Refunds the share of a request that was not stored, if it was spent.
    ///
    /// # Errors
    /// The table cannot be read or written; the share then ends with its hour.
    pub async fn refund(&self, share: BudgetShare<'_>) -> Result<(), StoreError> {
        let action = "refunding a share of a budget";
        let item = self.item(|| action.to_owned(), share.key(), Consistency::Consistent).await?;
        let id_suffix = share.id_suffix();
        let spent_jobs = share.entries(item.as_ref()).iter().find_map(|entry| {
            let (owner, jobs) = entry.split_once('=')?;
            (owner == id_suffix).then(|| jobs.parse::<u32>().ok()).flatten()
        });
        let Some(jobs) = spent_jobs else { return Ok(()) };
        let update = self.client.update_item().table_name(&self.table).set_key(Some(share.key()));
        let update = update.update_expression("ADD jobs :back DELETE #minute :notes");
        let update = update.condition_expression("contains(#minute, :note)");
        let update = update.expression_attribute_names("#minute", share.minute_attribute());
        let entry = share.entry(jobs);
        let update = update.expression_attribute_values(":back", number(-i64::from(jobs)));
        let update = update.expression_attribute_values(":notes", AttributeValue::Ss(vec![entry.clone()]));
        let update = update.expression_attribute_values(":note", AttributeValue::S(entry));
        match update.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await {
            Ok(output) => self.count_written(&output.consumed_capacity),
            // An earlier attempt was successful.
            Err(error) if is_condition(&error) => self.count(0.0, 1.0),
            Err(error) => return Err(table_error(&self.table, action, &error)),
        }
        Ok(())
    }
}
