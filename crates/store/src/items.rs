//! What both tables share: keys, attributes, errors, and the reading of many items at once.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{AttributeValue, ConsumedCapacity, KeysAndAttributes, ReturnConsumedCapacity};

use crate::StoreError;

/// Number of attempts to have unprocessed items taken. The pauses add up to 12.75 s.
const UNPROCESSED_ATTEMPTS: u32 = 9;
/// The first pause. Each pause is twice as long as the one before.
const INITIAL_BACKOFF: Duration = Duration::from_millis(50);

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
    let mut backoff = Backoff::new(action);
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
        backoff.wait_if(keys.len() > before).await?;
    }
    Ok(items)
}

/// The pauses between attempts to have unprocessed items taken. There is one writer at a time, so they have no jitter.
pub(crate) struct Backoff<'a> {
    action: &'a str,
    attempt: u32,
}

impl<'a> Backoff<'a> {
    pub(crate) fn new(action: &'a str) -> Self {
        Self { action, attempt: 0 }
    }

    /// Pauses if the last request left items unprocessed; fails when that happened too often in a row.
    pub(crate) async fn wait_if(&mut self, unprocessed: bool) -> Result<(), StoreError> {
        if !unprocessed {
            self.attempt = 0;
            return Ok(());
        }
        self.attempt += 1;
        if self.attempt == UNPROCESSED_ATTEMPTS {
            let reason = format!("the store left items unprocessed {UNPROCESSED_ATTEMPTS} times in a row");
            return Err(StoreError::Service { action: self.action.to_owned(), reason });
        }
        tokio::time::sleep(INITIAL_BACKOFF * 2_u32.pow(self.attempt - 1)).await;
        Ok(())
    }
}
