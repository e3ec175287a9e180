//! A request is kept before it is queued, and both before anybody is told; and what happens where one of them fails.

use std::sync::Arc;

use desk::sweep::{Swept, sweep};
use http::StatusCode;
use store::kept::Clock;
use store::{Queue, RequestsTable, Ticket};
use trigger::plan::Planning;
use trigger::request::{JobState, Request, State, Waits};

use crate::bed::{BUILD, Bed, SOMEONE, TEST};
use crate::store_support::proxy::{Plan, is_write};

async fn swept(bed: &Bed) -> Swept {
    let now = bed.time();
    let clock: Clock = Arc::new(move || now);
    let queue = Queue::new(bed.queue.clone(), &bed.queue_url);
    sweep(&RequestsTable::new(bed.client.clone(), &bed.requests_name), &queue, &Planning::default(), &clock)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_request_costs_five_operations_and_one_message() {
    let bed = Bed::new().await;
    bed.trigger("dev@example.org", &[TEST]).await.taken();
    let seen = bed.watch();
    bed.trigger(SOMEONE, &[BUILD]).await.taken();
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen, ["PutItem", "UpdateItem", "PutItem", "PutItem", "SendMessage", "PutItem"]);
    let line = bed.line();
    assert_eq!((&line["store_operations"], &line["jobs"], &line["outcome"]), (&5.into(), &1.into(), &"made".into()));
}

/// The store fails at each of its writes in turn: before it does what it is asked, or after.
#[tokio::test]
async fn whatever_write_fails_nothing_is_lost_and_nothing_runs_twice() {
    for lost in [false, true] {
        for failing in 0..5 {
            let bed = Bed::new().await;
            let mut writes = 0;
            bed.plan(move |operation| {
                writes += usize::from(is_write(operation));
                match (is_write(operation) && writes == failing + 1, lost) {
                    (false, _) => Plan::Pass,
                    (true, false) => Plan::Refuse("ValidationException"),
                    (true, true) => Plan::Lose("ValidationException"),
                }
            });
            let answer = bed.trigger_as("k", &[BUILD]).await;
            bed.plan(|_| Plan::Pass);
            if failing == 4 {
                // It is in the queue, but nobody could note that.
                assert_eq!(answer.taken().state, "accepted", "write {failing}, lost: {lost}");
            } else {
                answer.problem(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable");
                assert_eq!(answer.header("retry-after"), Some("30"));
                assert!(bed.line()["error"].as_str().unwrap().contains("by the proxy"), "{}", bed.line());
            }
            bed.wait(31);
            let again = bed.trigger_as("k", &[BUILD]).await.taken();
            let items = bed.items().await;
            assert_eq!(items["request head"], 1, "write {failing}, lost: {lost}");
            bed.wait(120);
            swept(&bed).await;
            let messages = bed.queued().await;
            let id = again.request_id.clone().unwrap();
            assert!(
                !messages.is_empty()
                    && messages.iter().all(|message| message["request_id"] == *id && message["round"] == 1)
            );
            assert_eq!(bed.stored(&again).await.0.state, State::Queued, "write {failing}, lost: {lost}");
        }
    }
}

#[tokio::test]
async fn a_request_that_cannot_be_queued_is_kept_and_the_sweeper_queues_it_once() {
    let bed = Bed::new().await;
    bed.plan(|operation| if operation == "SendMessage" { Plan::Refuse("ValidationException") } else { Plan::Pass });
    let taken = bed.trigger(SOMEONE, &[BUILD, TEST]).await.taken();
    assert_eq!(taken.state, "accepted");
    let said = "2 jobs for push 1001 of try are kept, but not queued yet. That is tried again every few minutes.";
    assert_eq!(taken.message, said);
    assert!(bed.line()["error"].as_str().unwrap().starts_with("queueing request"), "{}", bed.line());
    bed.plan(|_| Plan::Pass);
    assert!(bed.queued().await.is_empty());

    bed.wait(119);
    assert_eq!(swept(&bed).await, Swept::default());
    bed.wait(1);
    assert_eq!(swept(&bed).await, Swept { queued: 1, oldest_seconds: 120, ..Swept::default() });
    assert_eq!(bed.queued().await.len(), 1);
    assert_eq!(bed.follow(&taken, SOMEONE).await.summary.state, "queued");
    bed.wait(1);
    assert_eq!(swept(&bed).await, Swept { oldest_seconds: 121, ..Swept::default() });
    assert!(bed.queued().await.is_empty());
    // What is on its way is not looked at in each sweep.
    bed.wait(180);
    assert_eq!(swept(&bed).await, Swept::default());
}

#[tokio::test]
async fn a_request_that_got_lost_is_queued_again_for_a_day() {
    let bed = Bed::new().await;
    let taken = bed.trigger(SOMEONE, &[BUILD]).await.taken();
    assert_eq!((taken.state.as_str(), bed.queued().await.len()), ("queued", 1));
    bed.wait(120);
    assert_eq!((swept(&bed).await.queued, bed.queued().await.len()), (0, 0));
    for _ in 0..23 {
        bed.wait(3600);
        assert_eq!((swept(&bed).await.queued, bed.queued().await.len()), (1, 1));
    }
    bed.wait(3600);
    let found = swept(&bed).await;
    assert_eq!((found.queued, found.failed, bed.queued().await.len()), (0, 1, 0));
    assert!(found.error.unwrap().ends_with("is queued, and never arrives"));
}

#[tokio::test]
async fn a_request_that_waits_is_looked_at_when_it_is_due() {
    let bed = Bed::new().await;
    let taken = bed.trigger(SOMEONE, &[TEST]).await.taken();
    bed.queued().await;
    let (request, mut jobs) = bed.stored(&taken).await;
    assert_eq!(jobs[0].build.as_deref(), Some(BUILD), "the forwarder learns of the build from here");
    jobs[0].state = JobState::Waiting;
    jobs[0].waits = Some(Waits { since: bed.time(), after: None });
    let waiting = request.settled(&jobs, &Planning::default(), bed.time());
    assert_eq!(bed.requests.update(&waiting, Some(&jobs), bed.time()).await.unwrap(), store::Stored::Yes);
    bed.wait(119);
    assert_eq!(swept(&bed).await, Swept::default());
    bed.wait(1);
    assert_eq!(swept(&bed).await, Swept { waiting: 1, oldest_seconds: 120, ..Swept::default() });
    assert_eq!(bed.queued().await.len(), 1);
    bed.wait(180);
    assert_eq!(swept(&bed).await, Swept::default(), "it is the forwarder's now");
    assert_eq!(bed.follow(&taken, SOMEONE).await.summary.state, "waiting");
}

#[tokio::test]
async fn a_sweeper_goes_on_where_one_request_fails() {
    let bed = Bed::new().await;
    bed.plan(|operation| if operation == "SendMessage" { Plan::Refuse("ValidationException") } else { Plan::Pass });
    bed.trigger(SOMEONE, &[BUILD]).await.taken();
    bed.trigger(SOMEONE, &[TEST]).await.taken();
    bed.wait(200);
    let now = bed.time();
    let clock: Clock = Arc::new(move || now);
    let nowhere = Queue::new(bed.queue.clone(), format!("{}-gone", bed.queue_url));
    let swept_nothing = sweep(&bed.requests, &nowhere, &Planning::default(), &clock).await.unwrap();
    assert_eq!((swept_nothing.failed, swept_nothing.queued), (2, 0));
    assert!(swept_nothing.error.unwrap().starts_with("queueing request"));
    assert_eq!(swept(&bed).await.queued, 2);
}

#[tokio::test]
async fn a_forwarder_that_is_quicker_than_the_note_is_not_undone() {
    let bed = Bed::new().await;
    let requests = RequestsTable::new(bed.client.clone(), &bed.requests_name);
    let taken = {
        bed.plan(|operation| if operation == "SendMessage" { Plan::Refuse("ValidationException") } else { Plan::Pass });
        bed.trigger(SOMEONE, &[BUILD]).await.taken()
    };
    let (request, _) = bed.stored(&taken).await;
    let forwarded = Request { version: 2, state: State::Forwarded, ..request.clone() };
    requests.update(&forwarded, None, bed.time()).await.unwrap();
    assert_eq!(
        requests.update(&request.queued(bed.time()).unwrap(), None, bed.time()).await.unwrap(),
        store::Stored::ChangedMeanwhile
    );
    assert_eq!(bed.stored(&taken).await.0.state, State::Forwarded);
}

#[test]
fn a_ticket_is_told_in_few_words() {
    let ticket = r#"{"request_id":"01KAS4B0MRJ6WJ0RGDX8T0E4JQ","round":2}"#;
    let read: Ticket = serde_json::from_str(ticket).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), ticket);
}
