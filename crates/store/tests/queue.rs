//! The queue in the emulator, and what its programs see when SQS fails.

use std::time::Duration;

use requests::id::RequestId;
use runtime::JsonClient;
use store::{Queue, StoreError, Ticket};
use test_support::store::http::closed_address;
use test_support::store::proxy::{Plan, Proxy};
use test_support::store::{at, config, endpoint, queue, unique};

fn ticket() -> Ticket {
    Ticket { request_id: RequestId::new(at("2026-11-23T06:00:00Z"), 7), attempt: 2 }
}

/// A new queue, and the same queue behind a proxy that makes calls fail by this plan.
async fn behind(plan: impl FnMut(&str, usize) -> Plan + Send + 'static) -> (Proxy, Queue, Queue) {
    let proxy = Proxy::start(plan);
    let client = queue::client(&endpoint()).await;
    let url = queue::new_queue(&client, &unique("queue")).await;
    let through = JsonClient::sqs(&config(&proxy.endpoint).await);
    (proxy, Queue::new(through, &url), Queue::new(client, url))
}

fn service(error: StoreError) -> (String, String) {
    match error {
        StoreError::Service { action, reason } => (action, reason),
        other => panic!("not an answer of the service: {other:?}"),
    }
}

#[tokio::test]
async fn a_message_is_received_released_and_removed() {
    let (_, _, queue) = behind(|_, _| Plan::Pass).await;
    assert_eq!(queue.length().await.unwrap(), 0);
    assert!(queue.receive(10, Duration::ZERO).await.unwrap().is_empty());
    queue.send(ticket()).await.unwrap();
    assert_eq!(queue.length().await.unwrap(), 1);

    let [first] = &queue.receive(10, Duration::from_secs(1)).await.unwrap()[..] else { panic!("one message") };
    assert_eq!(serde_json::from_str::<Ticket>(&first.body).unwrap(), ticket());
    assert_eq!((first.receive_count, queue.length().await.unwrap()), (1, 0));
    assert!(queue.receive(10, Duration::ZERO).await.unwrap().is_empty(), "it is hidden");

    queue.release(first).await.unwrap();
    let [second] = &queue.receive(10, Duration::from_secs(1)).await.unwrap()[..] else { panic!("one message") };
    assert_eq!((second.receive_count, &second.body), (2, &first.body));
    queue.remove(second).await.unwrap();
    assert_eq!(queue.length().await.unwrap(), 0);
}

#[tokio::test]
async fn at_most_as_many_messages_are_received_as_are_wanted() {
    let (_, _, queue) = behind(|_, _| Plan::Pass).await;
    for _ in 0..3 {
        queue.send(ticket()).await.unwrap();
    }
    assert_eq!(queue.receive(2, Duration::ZERO).await.unwrap().len(), 2);
    assert_eq!(queue.receive(0, Duration::ZERO).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_throttled_send_is_retried_and_sent_once() {
    let mut calls = 0;
    let (proxy, through, queue) = behind(move |_, _| {
        calls += 1;
        if calls < 4 { Plan::Refuse("RequestThrottled") } else { Plan::Pass }
    })
    .await;
    through.send(ticket()).await.unwrap();
    assert_eq!(proxy.seen(), ["SendMessage"; 4]);
    assert_eq!(queue.length().await.unwrap(), 1);
}

#[tokio::test]
async fn a_refused_call_has_the_services_reason_and_is_not_retried() {
    let (proxy, through, _) = behind(|_, _| Plan::Refuse("AccessDeniedException")).await;
    let refused = |action: &str| (action.to_owned(), "AccessDeniedException: by the proxy".to_owned());
    assert_eq!(service(through.length().await.unwrap_err()), refused("counting the messages of a queue"));
    let error = through.receive(1, Duration::ZERO).await.unwrap_err();
    assert_eq!(service(error), refused("taking from the queue"));
    assert_eq!(proxy.seen(), ["GetQueueAttributes", "ReceiveMessage"]);
}

#[tokio::test]
async fn a_queue_that_does_not_exist_is_an_answer_of_the_service() {
    let client = queue::client(&endpoint()).await;
    let url = queue::new_queue(&client, &unique("queue")).await;
    let error = Queue::new(client, format!("{url}-gone")).send(ticket()).await.unwrap_err();
    let (action, reason) = service(error);
    assert_eq!(action, format!("queueing request {}", ticket().request_id));
    assert!(reason.contains("NonExistentQueue") || reason.contains("QueueDoesNotExist"), "{reason}");
}

#[tokio::test]
async fn a_queue_that_does_not_answer_is_unreachable() {
    let closed = Queue::new(queue::client(&closed_address()).await, "http://127.0.0.1/queue");
    let error = closed.send(ticket()).await.unwrap_err();
    assert!(matches!(&error, StoreError::Unreachable { action, .. } if action.starts_with("queueing")), "{error:?}");
}
