//! The lists of pushes in the catalog table, beside the emulator.
#![allow(clippy::unwrap_used, reason = "a helper of a test may fail as the test may")]

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use catalog::list::{MAX_PART_BYTES, PackedList, Summary};
use catalog::taskcluster::TaskId;
use chrono::{DateTime, TimeDelta, Utc};
use runtime::CacheStatus;
use store::{CatalogCache, CatalogTable, ListOwner, Provenance, PushPointer, ReadStats, StoreError};
use test_support::store::{at, client, delete, endpoint, items, new_table, noise, set};

async fn new_catalog() -> (CatalogTable, Client, String) {
    let client = client(&endpoint()).await;
    let name = new_table(&client).await;
    (CatalogTable::new(client.clone(), &name), client, name)
}

fn morning() -> DateTime<Utc> {
    at("2026-11-23T06:00:00Z")
}

fn decision_task() -> TaskId {
    "Ab-_9fIzT8aXVvV2yWqhGQ".parse().unwrap()
}

fn provenance(updated_at: DateTime<Utc>) -> Provenance {
    let source = "https://tc.example.org/api/queue/v1/task/Ab-_9fIzT8aXVvV2yWqhGQ".to_owned();
    Provenance { source, source_etag: None, updated_at }
}

/// A list of two parts with an index of one.
fn list(seed: u64) -> PackedList {
    let summary = Summary { jobs: 3, build_systems: [("taskcluster".to_owned(), 3)].into(), ..Summary::default() };
    PackedList::new(&noise(MAX_PART_BYTES + 1000, seed), summary).with_index(noise(1000, seed))
}

async fn keep(table: &CatalogTable, list: &PackedList, now: DateTime<Utc>) -> Result<PushPointer, StoreError> {
    table.keep_push_list(&decision_task(), "try", list, &provenance(now)).await
}

#[tokio::test]
async fn a_pushs_list_is_read_back_as_it_was_kept() {
    let (table, ..) = new_catalog().await;
    assert_eq!(table.push_pointer(&decision_task(), morning()).await.unwrap(), None);
    let list = list(1);

    let kept = keep(&table, &list, morning()).await.unwrap();

    assert_eq!((kept.project.as_str(), kept.expires_at), ("try", at("2026-12-07T06:00:00Z")));
    assert_eq!((kept.list.parts, kept.list.index_parts, kept.list.generation), (2, 1, 1));
    assert_eq!(table.push_pointer(&decision_task(), morning()).await.unwrap(), Some(kept.clone()));
    let id = decision_task();
    assert_eq!(table.list(&id, &kept.list).await.unwrap(), list.gzip);
    assert_eq!(table.index(&id, &kept.list).await.unwrap(), list.index);
}

#[tokio::test]
async fn all_items_of_a_pushs_list_expire_together_and_are_its_own() {
    let (table, client, name) = new_catalog().await;
    keep(&table, &list(1), morning()).await.unwrap();
    let stored = items(&client, &name).await;
    assert_eq!(stored.len(), 4);
    for ((partition, _), item) in stored {
        assert_eq!(partition, "graph#Ab-_9fIzT8aXVvV2yWqhGQ");
        assert_eq!(item["expires_at"].as_n().unwrap(), &at("2026-12-07T06:00:00Z").timestamp().to_string());
    }
}

#[tokio::test]
async fn of_two_that_are_kept_at_the_same_time_the_first_stays() {
    let (table, ..) = new_catalog().await;
    let first = keep(&table, &list(1), morning()).await.unwrap();
    let second = keep(&table, &list(2), morning() + TimeDelta::seconds(1)).await.unwrap();
    assert_eq!(second, first);
    assert_eq!(table.push_pointer(&decision_task(), morning()).await.unwrap(), Some(first));
}

#[tokio::test]
async fn an_expired_list_is_not_used_though_the_store_still_has_it_and_is_replaced() {
    let (table, ..) = new_catalog().await;
    let kept = keep(&table, &list(1), morning()).await.unwrap();
    let last_hour = kept.expires_at - TimeDelta::hours(1);
    assert!(table.push_pointer(&decision_task(), last_hour - TimeDelta::seconds(1)).await.unwrap().is_some());
    assert_eq!(table.push_pointer(&decision_task(), last_hour).await.unwrap(), None);
    let again = keep(&table, &list(2), last_hour + TimeDelta::seconds(1)).await.unwrap();
    assert_ne!(again.list.etag, kept.list.etag);
    assert_eq!(table.push_pointer(&decision_task(), last_hour).await.unwrap(), Some(again));
}

#[tokio::test]
async fn a_damaged_pointer_is_an_error_and_is_written_anew() {
    let (table, client, name) = new_catalog().await;
    let kept = keep(&table, &list(1), morning()).await.unwrap();
    let key = ("graph#Ab-_9fIzT8aXVvV2yWqhGQ", "current");
    set(&client, &name, key, "project", Some(AttributeValue::N("1".to_owned()))).await;
    let error = table.push_pointer(&decision_task(), morning()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the stored item graph#Ab-_9fIzT8aXVvV2yWqhGQ current is damaged: it has no string project; the next use of the \
         push's list writes it anew"
    );
    assert_eq!(keep(&table, &list(1), morning()).await.unwrap(), kept);
    assert_eq!(table.push_pointer(&decision_task(), morning()).await.unwrap(), Some(kept));
}

#[tokio::test]
async fn a_missing_part_is_an_error() {
    let (table, client, name) = new_catalog().await;
    let kept = keep(&table, &list(1), morning()).await.unwrap();
    let key = ("graph#Ab-_9fIzT8aXVvV2yWqhGQ", &*format!("list#{}#001", kept.list.etag));
    delete(&client, &name, key).await;
    let error = table.list(&decision_task(), &kept.list).await.unwrap_err();
    assert!(error.to_string().contains("1 of its 2 parts are there"), "{error}");
}

#[tokio::test]
async fn the_lists_of_a_push_and_of_a_project_share_the_memory_of_the_cache() {
    let (table, client, name) = new_catalog().await;
    let packed = list(1);
    let kept = keep(&table, &packed, morning()).await.unwrap();
    let published = table.publish("try", &list(2), None, &provenance(morning())).await.unwrap();
    let (kept, published) = (kept.list.into(), published.into());
    let id = decision_task();
    let read = async |cache: &CatalogCache, owner: ListOwner<'_>, pointer| {
        let found = cache.list(owner, pointer, &ReadStats::default()).await.unwrap();
        (found.value.gzip.len(), found.status)
    };
    let (of_push, of_project) = (ListOwner::Push(&id), ListOwner::Project("try"));
    for (max_bytes, again) in [(usize::MAX, CacheStatus::Hit), (packed.gzip.len(), CacheStatus::Loaded)] {
        let table = CatalogTable::new(client.clone(), &name);
        let cache = CatalogCache::new(table, TimeDelta::seconds(30), max_bytes, std::sync::Arc::new(morning));
        assert_eq!(read(&cache, of_push, &kept).await, (packed.gzip.len(), CacheStatus::Loaded));
        assert_eq!(read(&cache, of_push, &kept).await.1, CacheStatus::Hit);
        assert_eq!(read(&cache, of_project, &published).await.1, CacheStatus::Loaded);
        assert_eq!(read(&cache, of_push, &kept).await.1, again);
    }
}
