//! The requests table against an emulator: what is kept, what is kept once, and what happens when the store fails.
#![allow(clippy::unwrap_used, reason = "a helper of a test may fail as the test may")]

mod layout;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, TimeDelta, Utc};
use requests::email::Email;
use requests::id::RequestId;
use requests::idempotency::{Claim, IdempotencyKey};
use requests::job::{JobCode, RequestedJob, count_jobs};
use requests::new_request::NewRequest;
use requests::push::Push;
use requests::rate_limits::{Exceeded, Limit, RateLimits, Spent, Window};
use requests::request::Request;
use requests::state::{JobState, RequestState};
use store::{BudgetShare, Consistency, RequestsTable, UpdateResult};
use test_support::store::proxy::{Plan, Proxy};
use test_support::store::{Item, at, client, endpoint, items, new_requests_table, number, set};

fn morning() -> DateTime<Utc> {
    at("2026-11-23T06:00:00Z")
}

fn later(seconds: i64) -> DateTime<Utc> {
    morning() + TimeDelta::seconds(seconds)
}

fn someone() -> Email {
    "someone@mozilla.com".parse().unwrap()
}

fn jobs(count: usize) -> Vec<RequestedJob> {
    (0..count)
        .map(|number| RequestedJob::accepted(&format!("Ubuntu VM 12.04 x64 try opt test mochitest-{number}")))
        .collect()
}

/// Jobs that take too much room for the head of their request.
fn many_jobs() -> Vec<RequestedJob> {
    noisy_jobs(20, 250)
}

/// Jobs with names of so many characters that cannot be packed well.
fn noisy_jobs(count: usize, length: usize) -> Vec<RequestedJob> {
    let noise = test_support::store::noise(count * length, 7);
    let name = |noise: &[u8]| noise.iter().map(|byte| char::from(b' ' + byte % 95)).collect::<String>();
    noise.chunks(length).map(|noise| RequestedJob::accepted(&name(noise))).collect()
}

/// The jobs of a request, as they are now.
async fn jobs_of(table: &RequestsTable, request: &Request) -> Vec<RequestedJob> {
    table.read_consistent(request.id).await.unwrap().unwrap().1
}

/// The items of a request, by their sort keys.
async fn items_of(client: &Client, name: &str, request: &Request) -> BTreeMap<String, Item> {
    let pk = format!("request#{}", request.id);
    items(client, name).await.into_iter().filter(|(key, _)| key.0 == pk).map(|((_, sk), item)| (sk, item)).collect()
}

fn request(push_id: u64, random: u128, jobs: &[RequestedJob], now: DateTime<Utc>) -> Request {
    let new_request = NewRequest {
        on_behalf_by: Some("treeherder".to_owned()),
        decision_task_id: Some("Ab-_9fIzT8aXVvV2yWqhGQ".to_owned()),
        ..NewRequest::new("try", push_id, someone(), Vec::new())
    };
    let pushed = Some(Push { revision: "a".repeat(40), author: "author@example.org".parse().ok() });
    Request::new(RequestId::new(now, random), new_request, pushed, jobs, now)
}

async fn table() -> (RequestsTable, Client, String) {
    let client = client(&endpoint()).await;
    let name = new_requests_table(&client).await;
    (RequestsTable::new(client.clone(), &name), client, name)
}

/// The same table behind a proxy, which answers the writes by this plan, given the number of writes before.
async fn behind(name: &str, plan: impl Fn(usize) -> Plan + Send + 'static) -> RequestsTable {
    let mut writes = 0;
    let proxy = Proxy::start(move |operation, _| {
        if !test_support::store::proxy::is_write(operation) {
            return Plan::Pass;
        }
        writes += 1;
        plan(writes - 1)
    });
    RequestsTable::new(client(&proxy.endpoint).await, name)
}

fn claim(header: &str, now: DateTime<Utc>, random: u128) -> (IdempotencyKey, Claim) {
    let new_request = NewRequest::new("try", 1, someone(), vec!["a".to_owned()]);
    let key = IdempotencyKey::from_header(header, &new_request).unwrap();
    let claim = key.claim(RequestId::new(now, random), now);
    (key, claim)
}

#[tokio::test]
async fn a_request_is_read_as_it_was_stored() {
    let (table, ..) = table().await;
    let mut jobs = jobs(2);
    jobs.push(RequestedJob {
        state: JobState::Rejected,
        code: Some(JobCode::UnknownJob),
        suggestion: Some("x".to_owned()),
        ..RequestedJob::accepted("\u{e9} \"y\"")
    });
    for (random, jobs) in [(1, jobs.clone()), (2, [jobs, many_jobs()].concat())] {
        let request = request(7, random, &jobs, morning());
        table.create(&request, &jobs, morning()).await.unwrap();
        assert_eq!(table.request(request.id, Consistency::Consistent).await.unwrap().as_ref(), Some(&request));
        assert_eq!(table.read_consistent(request.id).await.unwrap(), Some((request, jobs)));
    }
    let other = RequestId::new(morning(), 3);
    assert_eq!(table.request(other, Consistency::Consistent).await.unwrap(), None);
    assert_eq!(table.read_consistent(other).await.unwrap(), None);
}

#[tokio::test]
async fn every_item_of_a_request_expires() {
    let (table, client, name) = table().await;
    let (key, claim) = claim("k", morning(), 1);
    for (random, jobs) in [(1, jobs(1)), (2, many_jobs())] {
        table.create(&request(7, random, &jobs, morning()), &jobs, morning()).await.unwrap();
    }
    table.claim(&key.name, &claim, None).await.unwrap();
    table.spend(share(&someone(), morning(), 1), 1, &RateLimits::default()).await.unwrap().unwrap();

    let items = items(&client, &name).await;
    assert_eq!(items.len(), 5);
    for ((pk, sk), item) in items {
        let end = number(&item, "expires_at").unwrap() - morning().timestamp();
        let expected = match pk.split('#').next() {
            Some("request") => 90 * 86_400,
            Some("idempotency") => 86_400 + 3600,
            _ => 3600 + 3600,
        };
        assert_eq!(end, expected, "{pk} {sk}");
    }
}

#[tokio::test]
async fn a_thousand_jobs_with_the_longest_names_fit() {
    let (table, ..) = table().await;
    let jobs = noisy_jobs(1000, 230);
    let request = request(7, 1, &jobs, morning());
    table.create(&request, &jobs, morning()).await.unwrap();
    assert_eq!(jobs_of(&table, &request).await, jobs);
}

#[tokio::test]
async fn requests_are_listed_by_push_and_by_requester_newest_first_and_in_pages() {
    let (table, ..) = table().await;
    let mut made = Vec::new();
    for (push, second) in [(7, 0), (8, 1), (7, 2), (7, 3)] {
        let request = request(push, 1, &jobs(1), later(second));
        table.create(&request, &jobs(1), later(second)).await.unwrap();
        made.push(request);
    }
    let [first, second, third, fourth] = &made[..] else { panic!("four were made") };
    let ids = |found: Vec<Request>| found.into_iter().map(|request| request.id).collect::<Vec<_>>();
    assert_eq!(ids(table.of_push("try", 7, None, 10).await.unwrap()), [fourth.id, third.id, first.id]);
    assert_eq!(ids(table.of_push("try", 7, None, 2).await.unwrap()), [fourth.id, third.id]);
    assert_eq!(ids(table.of_push("try", 7, Some(third.id), 2).await.unwrap()), [first.id]);
    assert_eq!(
        table.of_requester(&someone(), None, 10).await.unwrap(),
        [fourth, third, second, first].map(Clone::clone)
    );
    assert!(table.of_push("tr", 7, None, 10).await.unwrap().is_empty());
    assert!(table.of_requester(&"other@mozilla.com".parse().unwrap(), None, 10).await.unwrap().is_empty());
}

#[tokio::test]
async fn only_open_requests_are_due_and_the_oldest_first() {
    let (table, ..) = table().await;
    for second in [1, 0] {
        table.create(&request(7, 1, &jobs(1), later(second)), &jobs(1), later(second)).await.unwrap();
    }
    let seconds = async |now| {
        let due = table.due(now, 10).await.unwrap();
        due.iter().map(|request| request.due_at - morning().timestamp()).collect::<Vec<_>>()
    };
    assert!(seconds(later(119)).await.is_empty());
    assert_eq!(seconds(later(120)).await, [120]);
    assert_eq!(seconds(later(500)).await, [120, 121]);

    let first = &table.due(later(120), 1).await.unwrap()[0];
    let ended = Request { version: 2, state: RequestState::Failed, ..first.clone() };
    assert_eq!(table.update(&ended, None, later(500)).await.unwrap(), UpdateResult::Stored);
    assert_eq!(seconds(later(500)).await, [121]);
}

#[tokio::test]
async fn a_key_is_claimed_once_and_taken_over_from_its_last_claim() {
    let (table, ..) = table().await;
    let (key, first) = claim("k", morning(), 1);
    let (_, second) = claim("k", later(1), 2);
    let (_, third) = claim("k", later(2), 3);
    assert_eq!(table.claim(&key.name, &first, None).await.unwrap(), None);
    assert_eq!(table.claim(&key.name, &second, None).await.unwrap(), Some(first.clone()));
    assert_eq!(table.claim(&key.name, &second, Some(&first)).await.unwrap(), None);
    assert_eq!(table.claim(&key.name, &third, Some(&first)).await.unwrap(), Some(second.clone()));
    // Only its owner gives it back.
    table.release(&key.name, &first).await.unwrap();
    assert_eq!(table.claim(&key.name, &third, None).await.unwrap(), Some(second.clone()));
    table.release(&key.name, &second).await.unwrap();
    assert_eq!(table.claim(&key.name, &third, None).await.unwrap(), None);
}

#[tokio::test]
async fn one_of_fifty_concurrent_claims_of_a_key_succeeds() {
    let (table, ..) = table().await;
    let key = claim("k", morning(), 0).0;
    let claims: Vec<Claim> = (0..50).map(|random| claim("k", morning(), random).1).collect();
    let got = futures_util::future::join_all(claims.iter().map(|claim| table.claim(&key.name, claim, None))).await;
    let winners = got.iter().filter(|got| matches!(got, Ok(None))).count();
    assert_eq!(winners, 1);
    let holders: std::collections::HashSet<RequestId> =
        got.into_iter().filter_map(|got| got.unwrap()).map(|claim| claim.request).collect();
    assert_eq!(holders.len(), 1);
}

/// A share of a budget, for the request of this number.
fn share(requester: &Email, now: DateTime<Utc>, number: u128) -> BudgetShare<'_> {
    BudgetShare { requester, window: Window::at(now), request: RequestId::new(now, number) }
}

fn limit(spent: Result<Spent, Exceeded>) -> Result<Spent, Limit> {
    spent.map_err(|exceeded| exceeded.limit)
}

const FEW: RateLimits =
    RateLimits { jobs_per_request: 1000, body_bytes: 1000, requests_per_minute: 3, jobs_per_hour: 100 };

#[tokio::test]
async fn a_budget_is_spent_to_its_end_and_no_further() {
    let (table, ..) = table().await;
    let number = std::cell::Cell::new(0);
    let spend = async |jobs, now| {
        number.set(number.get() + 1);
        limit(table.spend(share(&someone(), now, number.get()), jobs, &FEW).await.unwrap())
    };
    assert_eq!(spend(101, morning()).await, Err(Limit::Jobs));
    assert_eq!(spend(90, morning()).await, Ok(Spent { jobs: 90, requests: 1 }));
    assert_eq!(spend(11, morning()).await, Err(Limit::Jobs));
    assert_eq!(spend(1, morning()).await, Ok(Spent { jobs: 91, requests: 2 }));
    assert_eq!(spend(0, morning()).await, Ok(Spent { jobs: 91, requests: 3 }));
    assert_eq!(spend(0, later(59)).await, Err(Limit::Requests));
    // The next minute, and the next hour.
    assert_eq!(spend(9, later(60)).await, Ok(Spent { jobs: 100, requests: 1 }));
    assert_eq!(spend(1, later(120)).await, Err(Limit::Jobs));
    assert_eq!(spend(1, later(3600)).await, Ok(Spent { jobs: 1, requests: 1 }));
    let other: Email = "other@mozilla.com".parse().unwrap();
    let others = table.spend(share(&other, morning(), 1), 100, &FEW).await.unwrap();
    assert_eq!(others, Ok(Spent { jobs: 100, requests: 1 }));
}

/// The store did what it was asked, and its answer was lost: the SDK asks again, and so may a caller.
#[tokio::test]
async fn a_share_is_taken_once_however_often_it_is_requested() {
    let (table, _, name) = table().await;
    let lossy = behind(&name, |write| if write == 0 { Plan::Lose("ThrottlingException") } else { Plan::Pass }).await;
    let someone = someone();
    let spent = lossy.spend(share(&someone, morning(), 1), 90, &FEW).await.unwrap();
    assert_eq!(spent, Ok(Spent { jobs: 90, requests: 1 }));
    for _ in 0..5 {
        let spent = table.spend(share(&someone, later(59), 1), 90, &FEW).await.unwrap();
        assert_eq!(spent, Ok(Spent { jobs: 90, requests: 1 }));
    }
    let [second, third] = [2, 3].map(|number| share(&someone, morning(), number));
    assert_eq!(table.spend(second, 5, &FEW).await.unwrap(), Ok(Spent { jobs: 95, requests: 2 }));
    // The last share of a minute too.
    let lossy = behind(&name, |write| if write == 0 { Plan::Lose("ThrottlingException") } else { Plan::Pass }).await;
    assert_eq!(lossy.spend(third, 5, &FEW).await.unwrap(), Ok(Spent { jobs: 100, requests: 3 }));
}

#[tokio::test]
async fn a_share_is_given_back_once_and_available_again() {
    let (table, _, name) = table().await;
    let someone = someone();
    let [first, second, third] = [1, 2, 3].map(|number| share(&someone, morning(), number));
    for (share, jobs) in [(first, 60), (second, 40)] {
        table.spend(share, jobs, &FEW).await.unwrap().unwrap();
    }
    let lossy = behind(&name, |write| if write == 0 { Plan::Lose("ThrottlingException") } else { Plan::Pass }).await;
    lossy.refund(first).await.unwrap();
    table.refund(first).await.unwrap();
    // It took nothing.
    table.refund(third).await.unwrap();
    assert_eq!(table.spend(third, 60, &FEW).await.unwrap(), Ok(Spent { jobs: 100, requests: 2 }));
}

/// The store says that its condition failed, and not on what.
#[tokio::test]
async fn a_failed_condition_without_its_item_lets_nothing_through() {
    let (table, _, name) = table().await;
    let someone = someone();
    let numbers = [1, 2, 3, 4].map(|number| share(&someone, morning(), number));
    for share in &numbers[..3] {
        table.spend(*share, 1, &FEW).await.unwrap().unwrap();
    }
    let mute = behind(&name, |_| Plan::Refuse("ConditionalCheckFailedException")).await;
    assert_eq!(limit(mute.spend(numbers[3], 1, &FEW).await.unwrap()), Err(Limit::Requests));
    assert_eq!(mute.spend(numbers[2], 1, &FEW).await.unwrap(), Ok(Spent { jobs: 3, requests: 3 }));
    // There is room, and yet the condition fails each time.
    assert!(mute.spend(share(&someone, later(60), 4), 1, &FEW).await.is_err());
}

#[tokio::test]
async fn fifty_concurrent_requests_spend_no_more_than_the_limit() {
    let (table, ..) = table().await;
    let someone = someone();
    let shares = (0..50).map(|number| share(&someone, morning(), number));
    let spent = futures_util::future::join_all(shares.map(|share| table.spend(share, 1, &FEW))).await;
    assert_eq!(spent.into_iter().filter(|spent| matches!(spent, Ok(Ok(_)))).count(), 3);
}

/// An item of an earlier version counts its requests in numbers.
#[tokio::test]
async fn a_budget_that_an_earlier_version_began_continues() {
    let (table, client, name) = table().await;
    let pk = format!("budget#someone@mozilla.com#{}", Window::at(morning()).hour);
    let put = client.put_item().table_name(&name).item("pk", AttributeValue::S(pk)).item("jobs", n(98));
    let put = put.item("sk", AttributeValue::S("budget".to_owned())).item("minute_0", n(2)).item("expires_at", n(1));
    put.send().await.unwrap();
    let someone = someone();
    let spent = table.spend(share(&someone, morning(), 1), 2, &FEW).await.unwrap();
    assert_eq!(spent, Ok(Spent { jobs: 100, requests: 1 }));
    assert_eq!(limit(table.spend(share(&someone, morning(), 2), 1, &FEW).await.unwrap()), Err(Limit::Jobs));
}

fn n(value: u32) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

#[tokio::test]
async fn a_damaged_request_is_reported_as_damaged() {
    let (table, client, name) = table().await;
    let request = request(7, 1, &jobs(1), morning());
    table.create(&request, &jobs(1), morning()).await.unwrap();
    let pk = format!("request#{}", request.id);
    for attribute in ["data", "state"] {
        set(&client, &name, (&pk, "head"), attribute, None).await;
        let said = table.read_consistent(request.id).await.unwrap_err().to_string();
        assert!(said.starts_with(&format!("the stored request {} is damaged: ", request.id)), "{said}");
    }
    assert!(table.request(request.id, Consistency::Consistent).await.is_err());
}

fn forwarded(jobs: Vec<RequestedJob>) -> Vec<RequestedJob> {
    jobs.into_iter().map(|job| RequestedJob { state: JobState::Forwarded, ..job }).collect()
}

/// A request with many jobs that was queued, and then forwarded.
async fn queued_and_forwarded(table: &RequestsTable, random: u128) -> (Request, Request) {
    let taken = request(7, random, &many_jobs(), morning());
    table.create(&taken, &many_jobs(), morning()).await.unwrap();
    let queued = taken.queued(later(1)).unwrap();
    assert_eq!(table.update(&queued, None, later(1)).await.unwrap(), UpdateResult::Stored);
    let ended = queued.with_results(&forwarded(many_jobs()), TimeDelta::minutes(2), later(2));
    (queued, ended)
}

#[tokio::test]
async fn matching_head_and_jobs_are_read_once() {
    let (table, ..) = table().await;
    let (queued, ended) = queued_and_forwarded(&table, 1).await;
    let operations = async |request: &Request| {
        let metered = table.metered();
        let found = metered.with_jobs(request.clone(), Consistency::Eventual).await.unwrap();
        (found, metered.cost().operations)
    };
    // The head alone changed since the jobs were written.
    assert_eq!(operations(&queued).await, ((queued.clone(), many_jobs()), 1));
    table.update(&ended, Some(&forwarded(many_jobs())), later(2)).await.unwrap();
    assert_eq!(operations(&ended).await, ((ended.clone(), forwarded(many_jobs())), 1));
    let postponed = ended.postponed(later(3));
    table.update(&postponed, None, later(3)).await.unwrap();
    assert_eq!(operations(&postponed).await, ((postponed.clone(), forwarded(many_jobs())), 1));
}

#[tokio::test]
async fn a_head_older_than_its_jobs_is_read_again_with_them() {
    let (table, ..) = table().await;
    let (queued, ended) = queued_and_forwarded(&table, 1).await;
    table.update(&ended, Some(&forwarded(many_jobs())), later(2)).await.unwrap();
    for read in [Consistency::Eventual, Consistency::Consistent] {
        assert_eq!(table.with_jobs(queued.clone(), read).await.unwrap(), (ended.clone(), forwarded(many_jobs())));
    }
    assert_eq!(table.read_consistent(queued.id).await.unwrap(), Some((ended, forwarded(many_jobs()))));
    assert_eq!(table.read_consistent(RequestId::new(morning(), 9)).await.unwrap(), None);
}

/// A reader with eventual consistency sees the new head and the old jobs.
#[tokio::test]
async fn old_jobs_are_not_served_with_a_later_head() {
    let (table, _, name) = table().await;
    let (queued, ended) = queued_and_forwarded(&table, 1).await;
    // From the first answer on, readers that need not be consistent get the same one.
    let held: Arc<Mutex<Option<test_support::store::http::Message>>> = Arc::default();
    let behind = test_support::store::http::serve(move |request| {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        let is_eventual = body.contains("jobs") && !body.contains("\"ConsistentRead\":true");
        let mut held = held.lock().unwrap();
        if !is_eventual {
            return test_support::store::http::forward(&endpoint(), &request).ok();
        }
        if held.is_none() {
            *held = test_support::store::http::forward(&endpoint(), &request).ok();
        }
        held.clone()
    });
    let reader = RequestsTable::new(client(&behind).await, &name);
    assert_eq!(reader.with_jobs(queued.clone(), Consistency::Eventual).await.unwrap(), (queued, many_jobs()));
    table.update(&ended, Some(&forwarded(many_jobs())), later(2)).await.unwrap();
    let metered = reader.metered();
    assert_eq!(metered.with_jobs(ended.clone(), Consistency::Eventual).await.unwrap(), (ended, forwarded(many_jobs())));
    assert_eq!(metered.cost().operations, 3, "the reader is behind, and reads both again");
}

#[tokio::test]
async fn requests_of_earlier_versions_are_matched_by_their_counts() {
    let (table, client, name) = table().await;
    let (queued, ended) = queued_and_forwarded(&table, 1).await;
    table.update(&ended, Some(&forwarded(many_jobs())), later(2)).await.unwrap();
    let pk = format!("request#{}", queued.id);
    let old = Request { jobs_digest: String::new(), ..ended.clone() };
    for (sk, attribute) in [("head", "jobs_digest"), ("jobs", "digest")] {
        set(&client, &name, (&pk, sk), attribute, None).await;
        let found = table.request(queued.id, Consistency::Consistent).await.unwrap().unwrap();
        assert_eq!(found, old);
        let metered = table.metered();
        assert_eq!(
            metered.with_jobs(found, Consistency::Eventual).await.unwrap(),
            (old.clone(), forwarded(many_jobs()))
        );
        assert_eq!(metered.cost().operations, 1);
        let stale = Request { jobs_digest: String::new(), ..queued.clone() };
        assert_eq!(table.with_jobs(stale, Consistency::Eventual).await.unwrap(), (old.clone(), forwarded(many_jobs())));
    }
}

#[tokio::test]
async fn head_and_jobs_that_never_match_are_made_to_agree() {
    let (table, client, name) = table().await;
    let (queued, _) = queued_and_forwarded(&table, 1).await;
    let pk = format!("request#{}", queued.id);
    set(&client, &name, (&pk, "jobs"), "digest", Some(AttributeValue::S("other".to_owned()))).await;
    let odd = Request { job_counts: count_jobs(&forwarded(many_jobs())), ..queued.clone() };
    let (found, read) = table.with_jobs(odd, Consistency::Eventual).await.unwrap();
    assert_eq!((&found.job_counts, read), (&count_jobs(&many_jobs()), many_jobs()));
}

/// Makes a head one of a version that this program does not know.
async fn make_unreadable(client: &Client, name: &str, request: &Request) {
    let state = Some(AttributeValue::S("of a newer version".to_owned()));
    set(client, name, (&format!("request#{}", request.id), "head"), "state", state).await;
}

#[tokio::test]
async fn requests_that_cannot_be_read_are_left_out_of_full_lists_and_counted() {
    let (table, client, name) = table().await;
    let mut made = Vec::new();
    for second in 0..7 {
        let request = request(7, 1, &jobs(1), later(second));
        table.create(&request, &jobs(1), later(second)).await.unwrap();
        made.push(request);
    }
    for place in [1, 4, 5] {
        make_unreadable(&client, &name, &made[place]).await;
    }
    let newest = [&made[6], &made[3], &made[2]].map(Clone::clone);
    for (count, damaged) in [(3, 2), (4, 3), (10, 3)] {
        let expected = if count == 3 { newest.to_vec() } else { [&newest[..], &made[..1]].concat() };
        let metered = table.metered();
        assert_eq!(metered.of_push("try", 7, None, count).await.unwrap(), expected, "{count}");
        assert_eq!(metered.cost().damaged, damaged, "{count}");
        assert_eq!(table.of_requester(&someone(), None, count).await.unwrap(), expected, "{count}");
    }
    let metered = table.metered();
    let due = metered.due(later(1000), 2).await.unwrap();
    assert_eq!((due, metered.cost().damaged), (vec![made[0].clone(), made[2].clone()], 1));
    assert_eq!(table.due(later(1000), 100).await.unwrap().len(), 4);
}

#[tokio::test]
async fn single_items_that_cannot_be_read_are_counted() {
    let (table, client, name) = table().await;
    for (random, jobs, sk) in [(1, jobs(1), "head"), (2, many_jobs(), "jobs")] {
        let request = request(7, random, &jobs, morning());
        table.create(&request, &jobs, morning()).await.unwrap();
        let data = Some(AttributeValue::B(aws_sdk_dynamodb::primitives::Blob::new(*b"no gzip")));
        set(&client, &name, (&format!("request#{}", request.id), sk), "data", data).await;
        let metered = table.metered();
        assert!(metered.read_consistent(request.id).await.is_err());
        assert_eq!(metered.cost().damaged, 1);
        let stored = metered.stored(request.id, Consistency::Eventual).await.unwrap().unwrap();
        assert_eq!(*stored, request, "its state can be read");
        assert!(metered.with_jobs(stored, Consistency::Eventual).await.is_err());
        assert_eq!(metered.cost().damaged, 2);
        make_unreadable(&client, &name, &request).await;
        assert!(metered.request(request.id, Consistency::Consistent).await.is_err());
        assert_eq!(metered.cost().damaged, 3);
    }
}

#[tokio::test]
async fn a_claim_that_cannot_be_read_is_taken_over_by_one() {
    let (table, client, name) = table().await;
    let (key, first) = claim("k", morning(), 1);
    assert_eq!(table.claim(&key.name, &first, None).await.unwrap(), None);
    let pk = format!("idempotency#{}", key.name);
    set(&client, &name, (&pk, "claim"), "fingerprint", None).await;
    let claims: Vec<Claim> = (2..12).map(|random| claim("k", later(1), random).1).collect();
    let metered = table.metered();
    let got = futures_util::future::join_all(claims.iter().map(|claim| metered.claim(&key.name, claim, None))).await;
    let got: Vec<Option<Claim>> = got.into_iter().map(Result::unwrap).collect();
    assert_eq!(got.iter().filter(|holder| holder.is_none()).count(), 1);
    assert!(metered.cost().damaged >= 1);
    let winner = &claims[got.iter().position(Option::is_none).unwrap()];
    assert!(got.iter().flatten().all(|holder| holder == winner));
}
