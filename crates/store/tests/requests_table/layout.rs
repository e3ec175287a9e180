//! Requests in one item and in two: every way from one layout to the other, and what happens when the store fails there.

use aws_sdk_dynamodb::primitives::Blob;
use requests::history::{Event, EventDetail};
use store::StoreError;

use super::*;

/// Where the jobs of a request are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// With the head, in one item.
    Whole,
    /// In an item of their own. The head has none.
    Apart,
}
use Layout::{Apart, Whole};

const LAYOUTS: [Layout; 2] = [Whole, Apart];

impl Layout {
    /// Jobs that are stored so.
    fn jobs(self) -> Vec<RequestedJob> {
        match self {
            Whole => jobs(16),
            Apart => many_jobs(),
        }
    }

    /// How a request is stored.
    fn of(items: &BTreeMap<String, Item>) -> Self {
        if items["head"].contains_key("data") { Whole } else { Apart }
    }
}

/// A stored request.
async fn created(table: &RequestsTable, random: u128, layout: Layout) -> (Request, Vec<RequestedJob>) {
    let jobs = layout.jobs();
    let request = request(7, random, &jobs, morning());
    table.create(&request, &jobs, morning()).await.unwrap();
    (request, jobs)
}

/// The next version of a request, with jobs of this layout that are forwarded.
fn changed(request: &Request, layout: Layout, number: u64) -> (Request, Vec<RequestedJob>) {
    let mut jobs = forwarded(layout.jobs());
    (jobs[0].planned, jobs[0].batch) = (true, number);
    (request.with_results(&jobs, TimeDelta::minutes(2), later(number.try_into().unwrap())), jobs)
}

/// However a request is read, it is this one.
async fn assert_is_stored(table: &RequestsTable, expected: &(Request, Vec<RequestedJob>)) {
    let id = expected.0.id;
    assert_eq!(table.read_consistent(id).await.unwrap().as_ref(), Some(expected));
    assert_eq!(table.read_all(&[id]).await.unwrap(), std::slice::from_ref(expected));
    for consistency in [Consistency::Eventual, Consistency::Consistent] {
        assert_eq!(table.request(id, consistency).await.unwrap().as_ref(), Some(&expected.0));
        let stored = table.stored(id, consistency).await.unwrap().unwrap();
        assert_eq!(table.with_jobs(stored, consistency).await.unwrap(), *expected);
        // A head from a list, without what was stored beside it.
        assert_eq!(table.with_jobs(expected.0.clone(), consistency).await.unwrap(), *expected);
    }
    let listed = table.of_push("try", 7, None, 100).await.unwrap();
    assert_eq!(listed.iter().find(|request| request.id == id), Some(&expected.0));
}

#[tokio::test]
async fn a_request_passes_the_limit_in_both_directions_and_nothing_stale_is_read() {
    let (table, client, name) = table().await;
    let (mut request, mut jobs) = created(&table, 1, Whole).await;
    // Few jobs, many, few again, and so on; between, the head alone changes.
    let layouts = [Whole, Apart, Whole, Whole, Apart, Apart, Whole, Apart];
    for (number, layout) in (1..).zip(layouts) {
        let metered = table.metered();
        (request, jobs) = changed(&request, layout, number);
        assert_eq!(metered.update(&request, Some(&jobs), morning()).await.unwrap(), UpdateResult::Stored);
        assert_eq!(metered.cost().operations, 1, "all or nothing: one call");
        assert_eq!(Layout::of(&items_of(&client, &name, &request).await), layout, "{number}");
        assert_is_stored(&table, &(request.clone(), jobs.clone())).await;

        request = request.postponed(later(60));
        assert_eq!(table.update(&request, None, morning()).await.unwrap(), UpdateResult::Stored);
        assert_eq!(Layout::of(&items_of(&client, &name, &request).await), layout, "the jobs stay where they are");
        assert_is_stored(&table, &(request.clone(), jobs.clone())).await;
    }
    assert_eq!(jobs.len(), 20);
}

#[tokio::test]
async fn a_request_that_is_read_whole_costs_one_operation() {
    let (table, ..) = table().await;
    for (layout, operations) in [(Whole, 1), (Apart, 2)] {
        let (request, jobs) = created(&table, operations.into(), layout).await;
        let metered = table.metered();
        let stored = metered.stored(request.id, Consistency::Eventual).await.unwrap().unwrap();
        assert_eq!(metered.with_jobs(stored, Consistency::Eventual).await.unwrap(), (request.clone(), jobs));
        assert_eq!(metered.cost().operations, operations);
        let metered = table.metered();
        metered.read_consistent(request.id).await.unwrap();
        metered.read_all(&[request.id]).await.unwrap();
        assert_eq!(metered.cost().operations, 2 * operations);
    }
}

#[tokio::test]
async fn one_of_two_concurrent_changes_is_made() {
    for (random, from) in (1..).zip(LAYOUTS) {
        let (table, _, name) = table().await;
        let (kept, jobs) = created(&table, random, from).await;
        let one = kept.queued(later(1)).unwrap();
        assert_eq!(table.update(&one, None, later(1)).await.unwrap(), UpdateResult::Stored);
        let other = kept.postponed(later(2));
        assert_eq!(table.update(&other, None, later(2)).await.unwrap(), UpdateResult::Conflict);
        for to in LAYOUTS {
            let (other, others_jobs) = changed(&kept, to, 2);
            assert_eq!(table.update(&other, Some(&others_jobs), later(2)).await.unwrap(), UpdateResult::Conflict);
        }
        assert_is_stored(&table, &(one.clone(), jobs)).await;

        // A transaction that the store cancelled for a reason of its own is not a conflict.
        let busy = behind(&name, |_| Plan::Refuse("TransactionCanceledException")).await;
        let (next, next_jobs) = changed(&one, Apart, 3);
        assert!(busy.update(&next, Some(&next_jobs), later(3)).await.is_err());
        // One that is not over is.
        let busy = behind(&name, |_| Plan::Refuse("TransactionConflictException")).await;
        let (whole, whole_jobs) = changed(&one, Whole, 3);
        assert_eq!(busy.update(&whole, Some(&whole_jobs), later(3)).await.unwrap(), UpdateResult::Conflict);
        assert_eq!(busy.update(&one.postponed(later(3)), None, later(3)).await.unwrap(), UpdateResult::Conflict);

        assert_eq!(table.update(&next, Some(&next_jobs), later(3)).await.unwrap(), UpdateResult::Stored);
        assert_is_stored(&table, &(next, next_jobs)).await;
    }
}

#[tokio::test]
async fn a_request_does_not_exist_if_one_of_its_writes_fails() {
    for (layout, failing) in [(Whole, 0), (Apart, 0), (Apart, 1)] {
        let (table, _, name) = table().await;
        let jobs = layout.jobs();
        let request = request(7, 1, &jobs, morning());
        let broken =
            behind(&name, move |write| if write >= failing { Plan::Refuse("InternalServerError") } else { Plan::Pass });
        assert!(broken.await.create(&request, &jobs, morning()).await.is_err());
        assert_eq!(table.request(request.id, Consistency::Consistent).await.unwrap(), None);
        assert!(table.of_push("try", 7, None, 10).await.unwrap().is_empty());
        // It may be made once more.
        table.create(&request, &jobs, morning()).await.unwrap();
        assert_is_stored(&table, &(request, jobs)).await;
    }
}

/// The store did what it was asked, and its answer was lost: the SDK asks again.
#[tokio::test]
async fn a_lost_answer_is_not_mistaken_for_a_concurrent_write() {
    let (table, _, name) = table().await;
    let lossy =
        |lost| behind(&name, move |write| if write == lost { Plan::Lose("ThrottlingException") } else { Plan::Pass });
    for (random, (from, lost)) in (1..).zip([(Whole, 0), (Apart, 0), (Apart, 1)]) {
        for to in LAYOUTS {
            let jobs = from.jobs();
            let request = request(7, random * 10 + to as u128, &jobs, morning());
            lossy(lost).await.create(&request, &jobs, morning()).await.unwrap();
            let queued = request.queued(later(1)).unwrap();
            assert_eq!(lossy(0).await.update(&queued, None, later(1)).await.unwrap(), UpdateResult::Stored);
            assert_is_stored(&table, &(queued.clone(), jobs)).await;
            let (next, jobs) = changed(&queued, to, 2);
            assert_eq!(lossy(0).await.update(&next, Some(&jobs), later(2)).await.unwrap(), UpdateResult::Stored);
            assert_is_stored(&table, &(next, jobs)).await;
        }
    }
    let (key, claim) = claim("k", morning(), 1);
    assert_eq!(lossy(0).await.claim(&key.name, &claim, None).await.unwrap(), None);
    lossy(0).await.release(&key.name, &claim).await.unwrap();
}

/// The store refuses a change before it does anything, or its answer is lost and the caller ends: the request is the
/// earlier version or the later one, in each direction.
#[tokio::test]
async fn a_change_that_fails_is_stored_whole_or_not_at_all() {
    let (table, _, name) = table().await;
    let mut random = 0;
    for from in LAYOUTS {
        for to in LAYOUTS {
            for (plan, is_stored) in
                [(Plan::Refuse("ValidationException"), false), (Plan::Lose("ValidationException"), true)]
            {
                random += 1;
                let before = created(&table, random, from).await;
                let after = changed(&before.0, to, 1);
                let broken = behind(&name, move |_| plan).await;
                assert!(broken.update(&after.0, Some(&after.1), later(1)).await.is_err());
                assert_is_stored(&table, if is_stored { &after } else { &before }).await;
            }
        }
    }
}

/// The items of a request as earlier releases wrote them: the jobs always apart.
async fn stored_by_an_earlier_release(
    client: &Client,
    name: &str,
    (request, jobs): &(Request, Vec<RequestedJob>),
    has_digest: bool,
) {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let pk = format!("request#{}", request.id);
    let mut head: Item = serde_dynamo::to_item(request).unwrap();
    head.extend([("pk".to_owned(), text(&pk)), ("sk".to_owned(), text("head"))]);
    head.extend([("push".to_owned(), text("try#7")), ("open".to_owned(), text("open"))]);
    let packed = {
        use std::io::Write as _;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(&serde_json::to_vec(jobs).unwrap()).unwrap();
        encoder.finish().unwrap()
    };
    let mut jobs: Item = [("pk".to_owned(), text(&pk)), ("sk".to_owned(), text("jobs"))].into();
    jobs.insert("data".to_owned(), AttributeValue::B(Blob::new(packed)));
    if has_digest {
        jobs.insert("digest".to_owned(), text(&request.jobs_digest));
    }
    for mut item in [head, jobs] {
        item.insert("expires_at".to_owned(), AttributeValue::N(later(90 * 86_400).timestamp().to_string()));
        client.put_item().table_name(name).set_item(Some(item)).send().await.unwrap();
    }
}

#[tokio::test]
async fn a_request_that_an_earlier_release_stored_is_read_and_changed() {
    let (table, client, name) = table().await;
    for (random, (layout, has_digest)) in (1..).zip([(Whole, true), (Whole, false), (Apart, true), (Apart, false)]) {
        let jobs = layout.jobs();
        let mut request = request(7, random, &jobs, morning());
        if !has_digest {
            request.jobs_digest = String::new();
            request.progress = None;
        }
        let stored = (request, jobs);
        stored_by_an_earlier_release(&client, &name, &stored, has_digest).await;
        assert_is_stored(&table, &stored).await;

        // Changes of the head leave it so, and changes of the jobs make it one item if they are few.
        let (request, jobs) = stored;
        let queued = request.queued(later(1)).unwrap();
        assert_eq!(table.update(&queued, None, later(1)).await.unwrap(), UpdateResult::Stored);
        assert_eq!(Layout::of(&items_of(&client, &name, &queued).await), Apart);
        assert_is_stored(&table, &(queued.clone(), jobs)).await;
        let (next, jobs) = changed(&queued, layout, 2);
        assert_eq!(table.update(&next, Some(&jobs), later(2)).await.unwrap(), UpdateResult::Stored);
        assert_eq!(Layout::of(&items_of(&client, &name, &next).await), layout);
        assert_is_stored(&table, &(next, jobs)).await;
    }
}

/// An earlier release, which may run while a later one is deployed, or after it is rolled back, would write the head of a
/// request without the jobs in it.
#[tokio::test]
async fn an_earlier_release_cannot_read_a_head_that_has_its_jobs() {
    let (table, client, name) = table().await;
    for (random, layout) in (1..).zip(LAYOUTS) {
        let (request, _) = created(&table, random, layout).await;
        let queued = request.queued(later(1)).unwrap();
        for request in [&request, &queued] {
            let head = items_of(&client, &name, request).await.remove("head").unwrap();
            let read_by_an_earlier_release = serde_dynamo::from_item::<_, Request>(head);
            assert_eq!(read_by_an_earlier_release.is_ok(), layout == Apart);
            table.update(&queued, None, later(1)).await.unwrap();
        }
    }
}

/// What a head may lack is removed when it does.
#[tokio::test]
async fn a_change_of_the_head_removes_what_it_has_no_more() {
    let (table, ..) = table().await;
    for (random, layout) in (1..).zip(LAYOUTS) {
        let (request, jobs) = created(&table, random, layout).await;
        let detail = Some(EventDetail::Text("x".to_owned()));
        let event = Event { at: later(1), state: RequestState::Failed, detail, by: Some(someone()) };
        let full = Request { version: 2, events_left_out: 7, history: vec![event], ..request.clone() };
        table.update(&full, None, later(1)).await.unwrap();
        assert_is_stored(&table, &(full, jobs.clone())).await;
        let bare = Request {
            version: 3,
            state: RequestState::Failed,
            pushed: None,
            on_behalf_by: None,
            decision_task_id: None,
            events_left_out: 0,
            progress: None,
            ..request
        };
        table.update(&bare, None, later(1)).await.unwrap();
        assert_is_stored(&table, &(bare, jobs)).await;
        assert_eq!(table.due(later(86_400), 10).await.unwrap().len(), 0, "it is not open any more");
    }
}

#[tokio::test]
async fn a_new_request_costs_a_known_number_of_operations_and_units() {
    let (table, ..) = table().await;
    // Entries in three indexes, which do not change when the request is queued.
    for (random, (layout, operations, units)) in
        (1..).zip([(Whole, 2, 1.0 + 3.0 + 1.0), (Apart, 3, 5.0 + 1.0 + 3.0 + 1.0)])
    {
        let metered = table.metered();
        let (request, _) = created(&metered, random, layout).await;
        metered.update(&request.queued(later(1)).unwrap(), None, later(1)).await.unwrap();
        let cost = metered.cost();
        assert_eq!((cost.operations, cost.write_units), (operations, units));
    }
}

#[tokio::test]
async fn a_request_without_its_jobs_is_damaged() {
    let (table, client, name) = table().await;
    let (request, _) = created(&table, 1, Apart).await;
    test_support::store::delete(&client, &name, (&format!("request#{}", request.id), "jobs")).await;
    assert!(matches!(table.read_consistent(request.id).await, Err(StoreError::DamagedRequest { .. })));
}
