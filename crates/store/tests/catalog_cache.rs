//! The catalog in memory, from a table in the emulator.
#![allow(clippy::unwrap_used, reason = "a helper of a test may fail as the test may")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::types::AttributeValue;
use catalog::buildbot::{CatalogJob, write_body, write_index};
use catalog::list::{Listing, PackedList, Selection};
use chrono::{DateTime, TimeDelta, Utc};
use runtime::CacheStatus;
use store::{CatalogCache, CatalogError, CatalogTable, ListPointer, Provenance, ReadStats};
use test_support::store::proxy::{Plan, Proxy};
use test_support::store::{at, client, delete, endpoint, new_table, set};

/// A table, a cache that reads it through a proxy, and the cache's clock.
struct Fixture {
    table: CatalogTable,
    client: aws_sdk_dynamodb::Client,
    name: String,
    cache: CatalogCache,
    proxy: Proxy,
    is_down: Arc<AtomicBool>,
    now: Arc<Mutex<DateTime<Utc>>>,
}

impl Fixture {
    async fn with(max_bytes: usize) -> Self {
        let client = client(&endpoint()).await;
        let name = new_table(&client).await;
        let is_down = Arc::new(AtomicBool::new(false));
        let down = is_down.clone();
        let plan = move |_: &str, _| {
            if down.load(Ordering::SeqCst) { Plan::Refuse("InternalServerError") } else { Plan::Pass }
        };
        let proxy = Proxy::start(plan);
        let now = Arc::new(Mutex::new(at("2026-11-23T07:00:00Z")));
        let clock = now.clone();
        let through_proxy = CatalogTable::new(test_support::store::client(&proxy.endpoint).await, &name);
        let clock = Arc::new(move || *clock.lock().unwrap());
        let cache = CatalogCache::new(through_proxy, TimeDelta::seconds(30), max_bytes, clock);
        Self { table: CatalogTable::new(client.clone(), &name), client, name, cache, proxy, is_down, now }
    }

    /// Publishes a list as an earlier release did, without an index.
    async fn publish(&self, project: &str, jobs: usize, previous: Option<&ListPointer>) -> ListPointer {
        self.publish_list(project, &list(project, jobs).with_index(Vec::new()), previous).await
    }

    async fn publish_list(&self, project: &str, list: &PackedList, previous: Option<&ListPointer>) -> ListPointer {
        let updated_at = at("2026-11-23T06:00:00Z");
        let provenance = Provenance { source: "https://example.org/a.json".to_owned(), source_etag: None, updated_at };
        self.table.publish(project, list, previous, &provenance).await.unwrap()
    }

    /// The answer to a request for the whole list of try as it is searched, and the number of damaged items met.
    async fn searched(&self) -> Result<(Vec<u8>, u32), CatalogError> {
        let stats = ReadStats::default();
        let pointer = self.cache.pointer("try", &stats).await?.value;
        let found = self.cache.searchable_list("try", &pointer, &stats).await?;
        Ok((found.value.listing.select(&Selection::default()), stats.damaged()))
    }

    async fn names(&self, project: &str) -> Result<(usize, CacheStatus), CatalogError> {
        let found = self.cache.names(project, &ReadStats::default()).await?;
        Ok((found.value.len(), found.status))
    }

    fn wait(&self, seconds: i64) {
        *self.now.lock().unwrap() += TimeDelta::seconds(seconds);
    }
}

/// A list with its index.
fn list(project: &str, jobs: usize) -> PackedList {
    let mut names: Vec<String> = (0..jobs).map(|job| format!("Linux x86-64 try opt test mochitest-{job}")).collect();
    names.sort();
    let jobs: Vec<CatalogJob<'_>> = names.iter().map(|name| CatalogJob { name, upstream: None }).collect();
    let mut body = Vec::new();
    let summary = write_body(project, &jobs, &mut body, |_| ());
    let list = PackedList::new(&body, summary);
    let index = write_index(project, &list.etag, &jobs);
    list.with_index(index)
}

/// What a search for everything has to answer.
fn answer(list: &PackedList) -> Vec<u8> {
    let body = catalog::list::unpack(&list.gzip).unwrap();
    Listing::read(body.into()).unwrap().select(&Selection::default())
}

#[tokio::test]
async fn a_search_and_a_look_up_of_names_read_the_index_and_not_the_list() {
    let fixture = Fixture::with(usize::MAX).await;
    let list = list("try", 12);
    let pointer = fixture.publish_list("try", &list, None).await;
    assert_eq!((pointer.parts, pointer.index_parts), (1, 1));
    delete(&fixture.client, &fixture.name, ("project#try", &format!("list#{}#000", pointer.etag))).await;
    assert_eq!(fixture.searched().await, Ok((answer(&list), 0)));
    assert_eq!(fixture.names("try").await, Ok((12, CacheStatus::Loaded)));
    let reads = fixture.proxy.seen().len();
    assert_eq!(fixture.searched().await, Ok((answer(&list), 0)));
    assert_eq!(fixture.names("try").await, Ok((12, CacheStatus::Hit)));
    assert_eq!(fixture.proxy.seen().len(), reads);
}

#[tokio::test]
async fn without_a_usable_index_the_list_is_searched() {
    let list = list("try", 12);
    let other_list = self::list("try", 11);
    // The index of another list that claims to be this one's: the ETag follows eight bytes.
    let mut of_fewer_jobs = other_list.index.clone();
    of_fewer_jobs[8..40].copy_from_slice(list.etag.as_bytes());
    let mut of_another_version = list.index.clone();
    of_another_version[3] += 1;
    for (index, damaged) in [
        (None, 1),
        (Some(b"noise".to_vec()), 1),
        (Some(list.index[..list.index.len() - 1].to_vec()), 1),
        (Some(other_list.index), 1),
        (Some(of_fewer_jobs), 1),
        (Some(of_another_version), 0),
    ] {
        let fixture = Fixture::with(usize::MAX).await;
        let pointer = fixture.publish_list("try", &list, None).await;
        let part = format!("list#{}#index#000", pointer.etag);
        match index.clone() {
            None => delete(&fixture.client, &fixture.name, ("project#try", &part)).await,
            Some(index) => {
                let data = Some(AttributeValue::B(index.into()));
                set(&fixture.client, &fixture.name, ("project#try", &part), "data", data).await;
            }
        }
        assert_eq!(fixture.searched().await, Ok((answer(&list), damaged)), "{index:?}");
        assert_eq!(fixture.names("try").await, Ok((12, CacheStatus::Loaded)), "{index:?}");
    }
}

#[tokio::test]
async fn a_list_in_memory_is_searched_while_its_index_cannot_be_read() {
    let fixture = Fixture::with(usize::MAX).await;
    let list = list("try", 12);
    fixture.publish_list("try", &list, None).await;
    let stats = ReadStats::default();
    let pointer = fixture.cache.pointer("try", &stats).await.unwrap().value;
    fixture.cache.list("try", &pointer, &stats).await.unwrap();
    fixture.is_down.store(true, Ordering::SeqCst);
    assert_eq!(fixture.searched().await, Ok((answer(&list), 0)));
}

#[tokio::test]
async fn the_index_of_a_replaced_list_expires_with_the_list() {
    let fixture = Fixture::with(usize::MAX).await;
    let first = fixture.publish_list("try", &list("try", 2), None).await;
    // Parts younger than an hour may belong to an ingest that is not at its end.
    let mut second = list("try", 3);
    second.index.clear();
    let provenance = Provenance { updated_at: at("2026-11-23T08:00:00Z"), ..first.provenance.clone() };
    fixture.table.publish("try", &second, Some(&first), &provenance).await.unwrap();
    let items = test_support::store::items(&fixture.client, &fixture.name).await;
    for part in ["000", "index#000"] {
        let item = &items[&("project#try".to_owned(), format!("list#{}#{part}", first.etag))];
        assert!(item.contains_key("expires_at"), "{part}");
    }
    assert!(!items[&("project#try".to_owned(), format!("list#{}#000", second.etag))].contains_key("expires_at"));
}

#[tokio::test]
async fn names_are_limited_by_memory_and_the_least_recently_used_go_first() {
    let fixture = Fixture::with(80_000).await;
    for project in ["a", "b", "c"] {
        fixture.publish(project, 300, None).await;
        assert_eq!(fixture.names(project).await, Ok((300, CacheStatus::Loaded)));
    }
    assert_eq!(fixture.names("c").await, Ok((300, CacheStatus::Hit)));
    assert_eq!(fixture.names("a").await, Ok((300, CacheStatus::Loaded)));
}

#[tokio::test]
async fn the_old_names_stay_in_use_while_the_new_list_cannot_be_read() {
    let fixture = Fixture::with(usize::MAX).await;
    let first = fixture.publish("try", 2, None).await;
    fixture.names("try").await.unwrap();
    let second = fixture.publish("try", 3, Some(&first)).await;
    delete(&fixture.client, &fixture.name, ("project#try", &format!("list#{}#000", second.etag))).await;
    fixture.wait(30);
    let (names, status) = fixture.names("try").await.unwrap();
    assert_eq!((names, status.is_stale()), (2, true));
}

#[tokio::test]
async fn names_are_made_from_a_list_in_memory() {
    let fixture = Fixture::with(usize::MAX).await;
    fixture.publish("try", 2, None).await;
    let stats = ReadStats::default();
    let pointer = fixture.cache.pointer("try", &stats).await.unwrap().value;
    fixture.cache.list("try", &pointer, &stats).await.unwrap();
    let reads = fixture.proxy.seen().len();
    assert_eq!(fixture.names("try").await, Ok((2, CacheStatus::Loaded)));
    assert_eq!(fixture.proxy.seen().len(), reads);
}

#[tokio::test]
async fn an_unknown_project_is_an_error_with_similar_names_and_a_failing_store_another() {
    let fixture = Fixture::with(usize::MAX).await;
    fixture.publish("try", 2, None).await;
    let unknown = CatalogError::UnknownProject { suggestions: vec!["try".to_owned()] };
    assert_eq!(fixture.names("tri").await, Err(unknown));
    fixture.is_down.store(true, Ordering::SeqCst);
    let stats = ReadStats::default();
    let error = fixture.cache.names("try", &stats).await.map(|_| ()).unwrap_err();
    assert!(matches!(&error, CatalogError::Unavailable(reason) if reason.contains("InternalServerError")), "{error}");
    assert!(stats.error().is_some());
}
