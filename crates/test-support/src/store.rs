//! Tables in the emulator for one test each, and a proxy that makes the store fail.

pub mod http;
pub mod proxy;
pub mod queue;

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
    ProjectionType, ScalarAttributeType,
};
use chrono::{DateTime, Utc};

/// An item of a table.
pub type Item = HashMap<String, AttributeValue>;

/// The address of the emulator.
pub fn endpoint() -> String {
    std::env::var("AWS_ENDPOINT_URL")
        .expect("AWS_ENDPOINT_URL is not set: these tests need the emulator, run them by `make test`")
}

/// A name that no other test has.
pub fn unique(what: &str) -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("{what}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// The configuration of the programs, with another endpoint and shorter pauses between attempts.
pub async fn config(endpoint: &str) -> SdkConfig {
    let retries = RetryConfig::standard().with_max_attempts(8).with_initial_backoff(Duration::from_millis(2));
    let config = aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(runtime::http_client());
    config.endpoint_url(endpoint).retry_config(retries).load().await
}

/// DynamoDB at an endpoint: the emulator, or a proxy.
pub async fn client(endpoint: &str) -> Client {
    Client::new(&config(endpoint).await)
}

/// Makes an empty catalog table, with the keys of `infra/template.yaml`, and returns its name.
pub async fn new_table(client: &Client) -> String {
    let name = unique("catalog");
    let mut request = client.create_table().table_name(&name).billing_mode(BillingMode::PayPerRequest);
    for (attribute, kind) in [("pk", KeyType::Hash), ("sk", KeyType::Range)] {
        request = request.key_schema(key_element(attribute, kind));
        request = request.attribute_definitions(attribute_of(attribute, ScalarAttributeType::S));
    }
    request.send().await.expect("the emulator makes a table");
    name
}

/// Makes an empty requests table, with the keys and indexes of `infra/template.yaml`, and returns its name.
pub async fn new_requests_table(client: &Client) -> String {
    let name = unique("requests");
    let mut request = client.create_table().table_name(&name).billing_mode(BillingMode::PayPerRequest);
    for (attribute, kind) in [("pk", KeyType::Hash), ("sk", KeyType::Range)] {
        request = request.key_schema(key_element(attribute, kind));
    }
    for attribute in ["pk", "sk", "push", "requester", "id", "open"] {
        request = request.attribute_definitions(attribute_of(attribute, ScalarAttributeType::S));
    }
    request = request.attribute_definitions(attribute_of("due_at", ScalarAttributeType::N));
    for (index, hash, range) in
        [("by_push", "push", "id"), ("by_requester", "requester", "id"), ("open", "open", "due_at")]
    {
        let keys = Projection::builder().projection_type(ProjectionType::KeysOnly).build();
        let index = GlobalSecondaryIndex::builder()
            .index_name(index)
            .key_schema(key_element(hash, KeyType::Hash))
            .key_schema(key_element(range, KeyType::Range))
            .projection(keys);
        request = request.global_secondary_indexes(index.build().expect("a whole index"));
    }
    request.send().await.expect("the emulator makes a table");
    name
}

fn key_element(attribute: &str, kind: KeyType) -> KeySchemaElement {
    KeySchemaElement::builder().attribute_name(attribute).key_type(kind).build().expect("a whole key")
}

fn attribute_of(attribute: &str, kind: ScalarAttributeType) -> AttributeDefinition {
    let definition = AttributeDefinition::builder().attribute_name(attribute).attribute_type(kind);
    definition.build().expect("a whole attribute")
}

/// Everything in a table, by partition and sort key.
pub async fn items(client: &Client, table: &str) -> BTreeMap<(String, String), Item> {
    let mut items = BTreeMap::new();
    let mut pages = client.scan().table_name(table).consistent_read(true).into_paginator().send();
    while let Some(page) = pages.next().await {
        for item in page.expect("the table can be read").items.unwrap_or_default() {
            let key = |name: &str| item[name].as_s().expect("keys are strings").clone();
            items.insert((key("pk"), key("sk")), item);
        }
    }
    items
}

/// The same without the reports of ingests.
pub async fn catalog_items(client: &Client, table: &str) -> BTreeMap<(String, String), Item> {
    let mut items = items(client, table).await;
    items.retain(|(pk, _), _| !pk.starts_with("ingest"));
    items
}

/// Damages an item: sets one of its attributes, or removes it.
pub async fn set(client: &Client, table: &str, key: (&str, &str), name: &str, value: Option<AttributeValue>) {
    let request = client.get_item().table_name(table).consistent_read(true);
    let request = request.key("pk", AttributeValue::S(key.0.to_owned())).key("sk", AttributeValue::S(key.1.to_owned()));
    let mut item = request.send().await.expect("the table can be read").item.expect("the item is there");
    item.remove(name);
    item.extend(value.map(|value| (name.to_owned(), value)));
    client.put_item().table_name(table).set_item(Some(item)).send().await.expect("the table can be written");
}

/// Deletes an item.
pub async fn delete(client: &Client, table: &str, key: (&str, &str)) {
    let request = client.delete_item().table_name(table);
    let request = request.key("pk", AttributeValue::S(key.0.to_owned())).key("sk", AttributeValue::S(key.1.to_owned()));
    request.send().await.expect("the table can be written");
}

/// The number in an attribute.
pub fn number(item: &Item, name: &str) -> Option<i64> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

/// A time in RFC 3339.
pub fn at(time: &str) -> DateTime<Utc> {
    time.parse().expect("a time")
}

/// Bytes that gzip cannot compress; the same for the same seed.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[0]
    })
    .take(length)
    .collect()
}
