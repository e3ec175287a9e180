//! The requests table against an emulator: heads with actions, the requests that are followed, and the locks of pushes.
#![allow(clippy::unwrap_used, reason = "a helper of a test may fail as the test may")]

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, TimeDelta, Utc};
use requests::action::{Action, ActionState, LabelWait, LabelWaitReason, Places};
use requests::id::RequestId;
use requests::job::{RequestedJob, count_jobs, digest};
use requests::new_request::NewRequest;
use requests::request::Request;
use requests::state::{JobState, RequestState};
use store::{Consistency, FollowedRequest, PushLock, RequestsTable, StoreError, UpdateResult};
use test_support::store::proxy::{Plan, Proxy, is_write};
use test_support::store::{at, client, endpoint, items, new_requests_table, number, set};

const TASK: &str = "Ab-_9fIzT8aXVvV2yWqhGQ";

fn morning() -> DateTime<Utc> {
    at("2026-11-23T06:00:00Z")
}

fn later(seconds: i64) -> DateTime<Utc> {
    morning() + TimeDelta::seconds(seconds)
}

fn labels(count: usize) -> Vec<RequestedJob> {
    (0..count)
        .map(|number| RequestedJob::accepted_label(&format!("test-linux2404-64/opt-mochitest-browser-{number}")))
        .collect()
}

fn request(random: u128, jobs: &[RequestedJob], now: DateTime<Utc>) -> Request {
    let new_request = NewRequest {
        decision_task_id: Some(TASK.to_owned()),
        ..NewRequest::new("try", 7, "someone@mozilla.com".parse().unwrap(), Vec::new())
    };
    Request::new(RequestId::new(now, random), new_request, None, jobs, now)
}

fn action(jobs: usize, state: ActionState) -> Action {
    Action {
        number: 1,
        jobs: Places::new(0..jobs),
        hook: "project-gecko/in-tree-action-1-generic/0123abcdef".to_owned(),
        state,
        task_id: (state != ActionState::Triggering).then(|| TASK.to_owned()),
        called_at: later(2),
    }
}

/// The next version of a request, with this action instead of those before.
fn with_action(request: &Request, jobs: &[RequestedJob], action: Action) -> Request {
    let mut jobs = jobs.to_vec();
    let next = Request { actions: vec![action], ..request.clone() };
    next.apply_actions(&mut jobs);
    next.with_results(&jobs, TimeDelta::minutes(1), later(3))
}

async fn table() -> (RequestsTable, Client, String) {
    let client = client(&endpoint()).await;
    let name = new_requests_table(&client).await;
    (RequestsTable::new(client.clone(), &name), client, name)
}

/// The same table behind a proxy that loses the answer of the first write.
async fn lossy(name: &str) -> RequestsTable {
    let mut writes = 0;
    let proxy = Proxy::start(move |operation, _| {
        writes += u32::from(is_write(operation));
        if is_write(operation) && writes == 1 { Plan::Lose("ThrottlingException") } else { Plan::Pass }
    });
    RequestsTable::new(client(&proxy.endpoint).await, name)
}

/// So many labels that they are stored apart from the head.
const MANY: usize = 1000;

/// A stored request whose two labels are followed.
async fn followed(table: &RequestsTable, random: u128, seconds: i64) -> (Request, Vec<RequestedJob>) {
    followed_labels(table, random, seconds, 2).await
}

/// A stored request whose labels are followed.
async fn followed_labels(
    table: &RequestsTable,
    random: u128,
    seconds: i64,
    count: usize,
) -> (Request, Vec<RequestedJob>) {
    let mut jobs = labels(count);
    let taken = request(random, &jobs, morning());
    table.create(&taken, &jobs, morning()).await.unwrap();
    let next = with_action(&taken, &jobs, action(count, ActionState::Running));
    let next = Request { due_at: later(seconds).timestamp(), ..next };
    next.apply_actions(&mut jobs);
    assert_eq!(table.update(&next, None, later(3)).await.unwrap(), UpdateResult::Stored);
    (next, jobs)
}

#[tokio::test]
async fn progress_of_an_action_changes_the_head_alone() {
    let (table, client, name) = table().await;
    let jobs = labels(MANY);
    let taken = request(1, &jobs, morning());
    table.create(&taken, &jobs, morning()).await.unwrap();
    let pk = format!("request#{}", taken.id);
    let key = (pk.clone(), "jobs".to_owned());
    let stored_jobs = items(&client, &name).await.remove(&key).unwrap();

    let mut before = taken;
    for (state, job_state, request_state) in [
        (ActionState::Triggering, JobState::Triggering, RequestState::Waiting),
        (ActionState::Running, JobState::Forwarded, RequestState::Forwarded),
    ] {
        let next = with_action(&before, &jobs, action(MANY, state));
        assert_eq!((next.state, &next.jobs_digest), (request_state, &before.jobs_digest));
        let metered = table.metered();
        assert_eq!(metered.update(&next, None, later(3)).await.unwrap(), UpdateResult::Stored);
        let cost = metered.cost();
        assert!(cost.write_units <= 4.0, "{cost:?}");

        // The states of the labels follow from the head, however they are read.
        let reads = [
            table.read_consistent(next.id).await.unwrap().unwrap(),
            table.with_jobs(next.clone(), Consistency::Eventual).await.unwrap(),
            table.read_all(&[next.id]).await.unwrap().remove(0),
        ];
        for (read, read_jobs) in reads {
            assert_eq!((&read, &next.jobs_digest), (&next, &digest(&read_jobs)));
            assert!(read_jobs.iter().all(|job| job.state == job_state), "{state:?}");
        }
        before = next;
    }
    let mut stored = items(&client, &name).await;
    assert_eq!(stored.remove(&key).unwrap(), stored_jobs);
    // An item of up to 1 KB costs one write unit.
    let head: usize = stored[&(pk, "head".to_owned())].iter().map(|(name, value)| name.len() + bytes(value)).sum();
    assert!(head < 2048, "{head}");
}

/// How many bytes a value counts, roughly: its text in Rust is longer than what is stored.
fn bytes(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) | AttributeValue::N(text) => text.len(),
        AttributeValue::L(values) => 3 + values.iter().map(|value| 1 + bytes(value)).sum::<usize>(),
        AttributeValue::M(values) => {
            3 + values.iter().map(|(name, value)| 1 + name.len() + bytes(value)).sum::<usize>()
        }
        _ => 1,
    }
}

#[tokio::test]
async fn labels_without_an_action_are_accepted_or_wait() {
    let (table, ..) = table().await;
    let jobs = labels(2);
    let taken = request(1, &jobs, morning());
    table.create(&taken, &jobs, morning()).await.unwrap();
    let first_of_two = with_action(&taken, &jobs, action(1, ActionState::Running));
    table.update(&first_of_two, None, later(3)).await.unwrap();
    let states = async || {
        let (_, jobs) = table.read_all(&[taken.id]).await.unwrap().remove(0);
        [jobs[0].state, jobs[1].state]
    };
    assert_eq!(states().await, [JobState::Forwarded, JobState::Accepted]);
    let why = LabelWaitReason::ActionRuns { task_id: Some(TASK.to_owned()) };
    let label_wait = Some(LabelWait { why, since: later(4), until: later(64), attempts: 0 });
    let waiting = Request { version: first_of_two.version + 1, label_wait, ..first_of_two };
    table.update(&waiting, None, later(4)).await.unwrap();
    assert_eq!(states().await, [JobState::Forwarded, JobState::Waiting]);
}

#[tokio::test]
async fn followed_requests_are_listed_by_their_last_change() {
    let (table, client, name) = table().await;
    let mut made = Vec::new();
    for (random, seconds) in [(1, 30), (2, 10), (3, 20)] {
        made.push(followed(&table, random, seconds).await.0);
    }
    // Neither an open request nor a finished one is followed.
    table.create(&request(4, &labels(1), morning()), &labels(1), morning()).await.unwrap();
    let finished = Request { version: 3, state: RequestState::Finished, ..made[0].clone() };
    assert_eq!(table.followed(10).await.unwrap().len(), 3);
    let entry =
        |place: usize, seconds| FollowedRequest { id: RequestId::clone(&made[place].id), changed_at: later(seconds) };
    let all = [entry(1, 10), entry(2, 20), entry(0, 30)];
    assert_eq!(table.followed(10).await.unwrap(), all);
    assert_eq!(table.followed(2).await.unwrap(), all[..2]);
    assert_eq!((table.followed(0).await.unwrap(), table.due(later(86_400), 10).await.unwrap().len()), (vec![], 1));
    table.update(&finished, None, later(40)).await.unwrap();
    assert_eq!(table.followed(10).await.unwrap(), all[..2]);

    // An entry that is none takes no place in the list; the next page has the rest.
    let odd = client.put_item().table_name(&name).item("pk", text("odd")).item("sk", text("head"));
    let odd = odd.item("open", text("followed")).item("due_at", AttributeValue::N("1".to_owned()));
    odd.send().await.unwrap();
    let metered = table.metered();
    assert_eq!(metered.followed(2).await.unwrap(), all[..2]);
    let cost = metered.cost();
    assert_eq!((cost.operations, cost.damaged), (2, 1));
    assert!(cost.read_units > 0.0, "the store returns what it charges");
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

#[tokio::test]
async fn many_requests_are_read_with_their_jobs_at_once() {
    let (table, ..) = table().await;
    let mut made = Vec::new();
    for random in 0..60 {
        made.push(followed_labels(&table, random, 10, if random % 20 == 0 { MANY } else { 2 }).await);
    }
    made.reverse();
    let mut ids: Vec<RequestId> = made.iter().map(|(request, _)| request.id).collect();
    // Ids that are named twice, and those of requests that were deleted.
    ids.insert(30, ids[0]);
    ids.insert(1, RequestId::new(morning(), 99));
    let metered = table.metered();
    assert_eq!(metered.read_all(&ids).await.unwrap(), made);
    let cost = metered.cost();
    assert_eq!((cost.operations, cost.damaged), (2, 0), "the heads, and the jobs of three");
    assert_eq!(table.read_all(&[]).await.unwrap(), []);
    // Small requests have their jobs with them.
    let metered = table.metered();
    let small: Vec<_> = made.into_iter().filter(|(_, jobs)| jobs.len() == 2).collect();
    let ids: Vec<RequestId> = small.iter().map(|(request, _)| request.id).collect();
    assert_eq!((metered.read_all(&ids).await.unwrap(), metered.cost().operations), (small, 1));
}

#[tokio::test]
async fn requests_that_cannot_be_read_do_not_hide_the_others() {
    let (table, client, name) = table().await;
    let mut made = Vec::new();
    for random in 0..5 {
        made.push(followed_labels(&table, random, 10, MANY).await);
    }
    made.push(followed(&table, 5, 10).await);
    made.push(followed(&table, 6, 10).await);
    let pk = |place: usize| format!("request#{}", made[place].0.id);
    let blob = |bytes: &[u8]| Some(AttributeValue::B(aws_sdk_dynamodb::primitives::Blob::new(bytes)));
    set(&client, &name, (&pk(0), "head"), "state", Some(text("of a newer version"))).await;
    set(&client, &name, (&pk(1), "jobs"), "data", blob(b"no gzip")).await;
    test_support::store::delete(&client, &name, (&pk(2), "jobs")).await;
    set(&client, &name, (&pk(6), "head"), "data", blob(b"no gzip")).await;
    // Head and jobs that never match are made to agree.
    set(&client, &name, (&pk(3), "jobs"), "digest", Some(text("other"))).await;
    let ids: Vec<RequestId> = made.iter().map(|(request, _)| request.id).collect();
    let metered = table.metered();
    let found = metered.read_all(&ids).await.unwrap();
    assert_eq!(found, made[3..6]);
    assert_eq!(found[0].0.job_counts, count_jobs(&found[0].1));
    assert_eq!(metered.cost().damaged, 4);
}

fn lock(number: u32, until: DateTime<Utc>) -> PushLock {
    let request = RequestId::new(morning(), u128::from(number));
    PushLock {
        project: "try".to_owned(),
        push_id: 7,
        marker: format!("{request}.{number}"),
        request,
        expires_at: until,
    }
}

#[tokio::test]
async fn a_lock_is_held_by_one_action_until_that_releases_it() {
    let (table, client, name) = table().await;
    let [first, second] = [1, 2].map(|number| lock(number, later(3600)));
    assert_eq!(table.lock_push(&first, morning()).await.unwrap(), None);
    assert_eq!(table.lock_push(&second, morning()).await.unwrap(), Some(first.clone()));
    // Other pushes are not locked.
    for (project, push_id) in [("try", 8), ("autoland", 7)] {
        let other = PushLock { project: project.to_owned(), push_id, ..second.clone() };
        assert_eq!(table.lock_push(&other, morning()).await.unwrap(), None);
    }
    // The holder writes its task.
    let running = PushLock { expires_at: later(7200), ..first.clone() };
    assert_eq!(table.lock_push(&running, later(1)).await.unwrap(), None);
    assert_eq!(table.lock_push(&second, later(2)).await.unwrap(), Some(running.clone()));
    let item = items(&client, &name).await.remove(&("push#try#7".to_owned(), "action".to_owned())).unwrap();
    assert_eq!(number(&item, "expires_at"), Some(later(7200).timestamp()), "the store deletes it then");

    table.unlock_push("try", 7, &second.marker).await.unwrap();
    assert_eq!(table.lock_push(&second, later(3)).await.unwrap(), Some(running));
    table.unlock_push("try", 7, &first.marker).await.unwrap();
    table.unlock_push("try", 7, &first.marker).await.unwrap();
    assert_eq!(table.lock_push(&second, later(4)).await.unwrap(), None);
}

#[tokio::test]
async fn an_expired_lock_is_replaced_though_the_store_has_not_deleted_it() {
    let (table, ..) = table().await;
    let first = lock(1, later(60));
    let second = lock(2, later(3600));
    assert_eq!(table.lock_push(&first, morning()).await.unwrap(), None);
    assert_eq!(table.lock_push(&second, later(59)).await.unwrap(), Some(first.clone()));
    assert_eq!(table.lock_push(&second, later(60)).await.unwrap(), None);
    // The first action can neither take nor release it any more.
    table.unlock_push("try", 7, &first.marker).await.unwrap();
    assert_eq!(table.lock_push(&first, later(61)).await.unwrap(), Some(second));
}

#[tokio::test]
async fn one_of_many_forwarders_gets_the_lock() {
    let (table, ..) = table().await;
    for now in [morning(), later(60)] {
        let locks: Vec<PushLock> = (0..20).map(|number| lock(number, now + TimeDelta::seconds(60))).collect();
        let got = futures_util::future::join_all(locks.iter().map(|lock| table.lock_push(lock, now))).await;
        let got: Vec<Option<PushLock>> = got.into_iter().map(Result::unwrap).collect();
        assert_eq!(got.iter().filter(|holder| holder.is_none()).count(), 1);
        let winner = &locks[got.iter().position(Option::is_none).unwrap()];
        assert!(got.iter().flatten().all(|holder| holder == winner));
    }
}

#[tokio::test]
async fn a_lost_answer_does_not_lose_the_lock() {
    let (table, _, name) = table().await;
    let [first, second] = [1, 2].map(|number| lock(number, later(3600)));
    assert_eq!(lossy(&name).await.lock_push(&first, morning()).await.unwrap(), None);
    assert_eq!(table.lock_push(&second, morning()).await.unwrap(), Some(first.clone()));
    lossy(&name).await.unlock_push("try", 7, &first.marker).await.unwrap();
    assert_eq!(table.lock_push(&second, morning()).await.unwrap(), None);
}

#[tokio::test]
async fn a_lock_costs_one_write() {
    let (table, ..) = table().await;
    let [first, second] = [1, 2].map(|number| lock(number, later(3600)));
    for lock in [&first, &second] {
        let metered = table.metered();
        metered.lock_push(lock, morning()).await.unwrap();
        let cost = metered.cost();
        assert_eq!(cost.operations, 1);
        assert!((cost.write_units - 1.0).abs() < f64::EPSILON, "{cost:?}");
    }
    table.unlock_push("try", 7, &second.marker).await.unwrap();
    table.unlock_push("try", 7, &first.marker).await.unwrap();
    assert_eq!(table.cost().operations, 2);
}

#[tokio::test]
async fn a_lock_that_cannot_be_read_is_reported_and_ends_when_it_expires() {
    let (table, client, name) = table().await;
    let [first, second] = [1, 2].map(|number| lock(number, later(60)));
    table.lock_push(&first, morning()).await.unwrap();
    set(&client, &name, ("push#try#7", "action"), "request", None).await;
    let metered = table.metered();
    let error = metered.lock_push(&second, later(1)).await.unwrap_err();
    assert!(matches!(&error, StoreError::DamagedLock { push, .. } if push == "try#7"), "{error}");
    assert_eq!(metered.cost().damaged, 1);
    assert_eq!(table.lock_push(&second, later(60)).await.unwrap(), None);
}
