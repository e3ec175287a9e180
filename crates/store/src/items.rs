//! What both tables share: keys, attributes, errors, and the reading of many items at once.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{AttributeValue, ConsumedCapacity, KeysAndAttributes, ReturnConsumedCapacity};
use runtime::Backoff;

use crate::StoreError;

/// How often in a row the store may leave items unprocessed. The pauses add up to 12.75 s.
const MAX_UNPROCESSED: u32 = 9;
const UNPROCESSED_BACKOFF: Backoff = Backoff::new(Duration::from_millis(50), MAX_UNPROCESSED - 1);

pub(crate) type Item = HashMap<String, AttributeValue>;

pub(crate) fn key(pk: &str, sk: &str) -> Item {
    [("pk", pk), ("sk", sk)].map(|(name, value)| (name.to_owned(), AttributeValue::S(value.to_owned()))).into()
}

#[allow(clippy::needless_pass_by_value)] // Numbers are copied.
pub(crate) fn number(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// The key of an item, for messages.
pub(crate) fn key_of(item: &Item) -> String {
    let part = |name| item.get(name).and_then(|value| value.as_s().ok()).map_or("?", String::as_str);
    format!("{} {}", part("pk"), part("sk"))
}

/// A string of an item.
pub(crate) fn text<'i>(item: &'i Item, name: &str) -> Result<&'i str, StoreError> {
    let value = item.get(name).and_then(|value| value.as_s().ok());
    value.map(String::as_str).ok_or_else(|| StoreError::damaged(key_of(item), format!("it has no string {name}")))
}

/// A number of an item.
pub(crate) fn count<T: std::str::FromStr>(item: &Item, name: &str) -> Result<T, StoreError> {
    let value = item.get(name).and_then(|value| value.as_n().ok()).and_then(|value| value.parse().ok());
    value.ok_or_else(|| StoreError::damaged(key_of(item), format!("it has no number {name}")))
}

/// The units that the store charged.
pub(crate) fn units<'c>(consumed: impl IntoIterator<Item = &'c ConsumedCapacity>) -> f64 {
    consumed.into_iter().filter_map(ConsumedCapacity::capacity_units).sum()
}

pub(crate) fn is_condition<E, R>(error: &SdkError<E, R>) -> bool
where
    E: ProvideErrorMetadata,
{
    error.code() == Some("ConditionalCheckFailedException")
}

/// An error of the SDK. Adds the name of a table that does not exist, which the service leaves out.
pub(crate) fn table_error<E, R>(table: &str, action: impl Into<String>, error: &SdkError<E, R>) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
    R: std::fmt::Debug,
{
    match StoreError::service(action, error) {
        StoreError::Service { action, reason } if error.code() == Some("ResourceNotFoundException") => {
            StoreError::Service { action, reason: format!("{reason} (table {table})") }
        }
        error => error,
    }
}

/// Reads items by key, a hundred at a time, and again those that the store left unprocessed. Calls `count` with the cost
/// of each request.
pub(crate) async fn get_all(
    client: &Client,
    table: &str,
    action: &str,
    mut keys: Vec<Item>,
    is_consistent: bool,
    count: impl Fn(&[ConsumedCapacity]),
) -> Result<Vec<Item>, StoreError> {
    let mut items = Vec::with_capacity(keys.len());
    let mut unprocessed_retry = UnprocessedRetry::new(action);
    while !keys.is_empty() {
        let batch: Vec<Item> = keys.split_off(keys.len().saturating_sub(100));
        let wanted = KeysAndAttributes::builder().set_keys(Some(batch));
        let wanted = wanted.consistent_read(is_consistent).build();
        let wanted = wanted.map_err(|error| StoreError::damaged("a key", error.to_string()))?;
        let request = client.batch_get_item().request_items(table, wanted);
        let request = request.return_consumed_capacity(ReturnConsumedCapacity::Total);
        let output = request.send().await.map_err(|error| table_error(table, action, &error))?;
        count(output.consumed_capacity());
        items.extend(output.responses.unwrap_or_default().into_values().flatten());
        let unprocessed = output.unprocessed_keys.unwrap_or_default().into_values().flat_map(|rest| rest.keys);
        let before = keys.len();
        keys.extend(unprocessed);
        unprocessed_retry.pause_if(keys.len() > before).await?;
    }
    Ok(items)
}

/// The retries of a request for many items, of which the store may leave some unprocessed.
pub(crate) struct UnprocessedRetry<'a> {
    action: &'a str,
    backoff: Backoff,
}

impl<'a> UnprocessedRetry<'a> {
    pub(crate) fn new(action: &'a str) -> Self {
        Self { action, backoff: UNPROCESSED_BACKOFF }
    }

    /// Pauses if the last request left items unprocessed; fails when that happened too often in a row.
    pub(crate) async fn pause_if(&mut self, left_unprocessed: bool) -> Result<(), StoreError> {
        if !left_unprocessed {
            self.backoff = UNPROCESSED_BACKOFF;
        } else if !self.backoff.pause().await {
            let reason = format!("the store left items unprocessed {MAX_UNPROCESSED} times in a row");
            return Err(StoreError::Service { action: self.action.to_owned(), reason });
        }
        Ok(())
    }
}
