//! The catalog in memory, from a table in the emulator.
#![allow(clippy::unwrap_used, reason = "a helper of a test may fail as the test may")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use catalog::buildbot::{CatalogJob, write_body};
use catalog::list::PackedList;
use chrono::{DateTime, TimeDelta, Utc};
use runtime::CacheStatus;
use store::{CatalogCache, CatalogError, CatalogTable, ListPointer, Provenance, ReadStats};
use test_support::store::proxy::{Plan, Proxy};
use test_support::store::{at, client, delete, endpoint, new_table};

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

    async fn publish(&self, project: &str, jobs: usize, previous: Option<&ListPointer>) -> ListPointer {
        let names: Vec<String> = (0..jobs).map(|job| format!("Linux x86-64 try opt test mochitest-{job}")).collect();
        let jobs: Vec<CatalogJob<'_>> = names.iter().map(|name| CatalogJob { name, upstream: None }).collect();
        let mut body = Vec::new();
        let summary = write_body(project, &jobs, &mut body, |_| ());
        let updated_at = at("2026-11-23T06:00:00Z");
        let provenance = Provenance { source: "https://example.org/a.json".to_owned(), source_etag: None, updated_at };
        self.table.publish(project, &PackedList::new(&body, summary), previous, &provenance).await.unwrap()
    }

    async fn names(&self, project: &str) -> Result<(usize, CacheStatus), CatalogError> {
        let found = self.cache.names(project, &ReadStats::default()).await?;
        Ok((found.value.len(), found.status))
    }

    fn wait(&self, seconds: i64) {
        *self.now.lock().unwrap() += TimeDelta::seconds(seconds);
    }
}

#[tokio::test]
async fn names_are_limited_by_memory_and_the_least_recently_used_go_first() {
    let fixture = Fixture::with(100_000).await;
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
