//! The publisher against a real RabbitMQ with Pulse's users and rights.
#![allow(clippy::unwrap_used, reason = "a helper of a test may fail as the test may")]

use std::num::NonZeroU32;
use std::time::Duration;

use lapin::types::ShortString;
use pulse::{Credentials, Publisher, PulseSettings};
use requests::delivery::DeliveryOutcome;
use serde_json::{Value, json};
use test_support::broker::{Listener, Wire, address, message, project, publisher, settings};

/// Has the exchange made, as listeners cannot.
async fn made() -> Publisher {
    let publisher = publisher(&address("PULSE_URL"));
    assert_eq!(publisher.publish(&[message("none", &project(), &["a"])], None).await, [DeliveryOutcome::Unroutable]);
    publisher
}

#[tokio::test]
async fn a_listener_receives_the_message_in_the_expected_format() {
    let publisher = made().await;
    let project = project();
    let listener = Listener::on(&project).await;
    assert_eq!(publisher.publish(&[message("id-1", &project, &["a", "b"])], None).await, [DeliveryOutcome::Confirmed]);
    let got = listener.next().await.unwrap();
    let body: Value = serde_json::from_slice(&got.data).unwrap();
    let expected = json!({"version": 1, "project": project, "resultset_id": "87268", "requester": "someone@mozilla.com",
        "requested_jobs": ["a", "b"], "decision_task_id": "", "timestamp": "1795413600"});
    assert_eq!(body, expected);
    assert_eq!(got.routing_key.as_str(), project);
    let properties = got.properties;
    assert_eq!(properties.message_id().as_ref().map(ShortString::as_str), Some("id-1.0"));
    assert_eq!(properties.content_type().as_ref().map(ShortString::as_str), Some("application/json"));
    assert_eq!(properties.app_id().as_ref().map(ShortString::as_str), Some("runnable-jobs"));
    assert_eq!((*properties.delivery_mode(), *properties.timestamp()), (Some(2), Some(1_795_413_600)));
}

#[tokio::test]
async fn a_connection_can_be_opened_before_there_is_anything_to_publish() {
    let publisher = publisher(&address("PULSE_URL"));
    for _ in 0..2 {
        assert_eq!(publisher.connect_now().await, Ok(()));
    }
    assert_eq!(publisher.opened(), 1);
    let (settings, mut user) = settings(&address("PULSE_URL"));
    user.password = "wrong".to_owned();
    let refused = Publisher::new(settings, user, NonZeroU32::MAX).connect_now().await.unwrap_err();
    assert!(refused.contains("ACCESS_REFUSED"), "{refused}");
}

#[tokio::test]
async fn each_message_of_a_batch_has_its_own_outcome() {
    let publisher = made().await;
    let (heard, unheard) = (project(), project());
    let listener = Listener::on(&heard).await;
    // Many, as the broker confirms in another order than it gives back.
    let batch: Vec<_> = (0..400)
        .map(|number| message(&format!("id-{number}"), if number % 2 == 0 { &heard } else { &unheard }, &["a"]))
        .collect();
    let outcomes = publisher.publish(&batch, None).await;
    for (number, outcome) in outcomes.iter().enumerate() {
        assert_eq!(
            *outcome,
            if number % 2 == 0 { DeliveryOutcome::Confirmed } else { DeliveryOutcome::Unroutable },
            "{number}"
        );
    }
    for number in (0..400).step_by(2) {
        let got = listener.next().await.unwrap();
        assert_eq!(got.properties.message_id().as_ref().map(ShortString::as_str), Some(&*format!("id-{number}.0")));
    }
    assert_eq!(publisher.opened(), 1);
}

#[tokio::test]
async fn a_lost_connection_is_opened_once_more() {
    let _ = made().await;
    let wire = Wire::new().await;
    let publisher = publisher(&wire.url);
    let project = project();
    let listener = Listener::on(&project).await;
    assert_eq!(publisher.publish(&[message("id-1", &project, &["a"])], None).await, [DeliveryOutcome::Confirmed]);
    wire.cut();
    assert_eq!(publisher.publish(&[message("id-2", &project, &["a"])], None).await, [DeliveryOutcome::Confirmed]);
    assert_eq!(publisher.opened(), 2);
    // It may be noticed only later that a connection is gone.
    wire.cut();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(publisher.publish(&[message("id-3", &project, &["a"])], None).await, [DeliveryOutcome::Confirmed]);
    for id in ["id-1.0", "id-2.0", "id-3.0"] {
        let got = listener.next().await.unwrap();
        assert_eq!(got.properties.message_id().as_ref().map(ShortString::as_str), Some(id));
    }
}

#[tokio::test]
async fn an_unreachable_broker_means_a_retry() {
    let url = address("PULSE_URL");
    let (before, _) = url.rsplit_once('@').unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let publisher = publisher(&format!("{before}@{closed}/%2f"));
    let messages = [message("id-1", &project(), &["a"]), message("id-2", &project(), &["a"])];
    for outcome in publisher.publish(&messages, None).await {
        let DeliveryOutcome::Unknown(unconfirmed) = outcome else { panic!("{outcome:?}") };
        assert!(unconfirmed.reason.starts_with("the connection to the broker: "), "{unconfirmed:?}");
        assert_eq!((unconfirmed.is_rejection, unconfirmed.may_have_arrived), (false, false));
    }
}

#[tokio::test]
async fn a_refusal_of_the_broker_means_a_retry_because_it_may_be_temporary() {
    let url = address("PULSE_URL");
    let (right, me) = settings(&url);
    let (_, listener) = settings(&address("AMQP_URL"));
    let wrong_password = Credentials { password: "wrong".to_owned(), ..me.clone() };
    let vhost = PulseSettings::read(&url.replace("/%2f", "/nowhere"), "treeherder", None).unwrap().0;
    for (settings, user, said) in
        [(right.clone(), wrong_password, "ACCESS_REFUSED"), (right, listener, "ACCESS_REFUSED"), (vhost, me, "nowhere")]
    {
        let publisher = Publisher::new(settings, user, NonZeroU32::MAX);
        let outcomes = publisher.publish(&[message("id-1", &project(), &["a"])], None).await;
        let [DeliveryOutcome::Unknown(unconfirmed)] = &outcomes[..] else { panic!("{said}: {outcomes:?}") };
        assert!(unconfirmed.is_rejection && unconfirmed.reason.contains(said), "{said}: {unconfirmed:?}");
        assert!(!unconfirmed.may_have_arrived);
    }
}

#[tokio::test]
async fn a_message_that_was_sent_and_not_confirmed_may_have_arrived() {
    let _ = made().await;
    let wire = Wire::new().await;
    let publisher = publisher(&wire.url);
    let project = project();
    let listener = Listener::on(&project).await;
    publisher.connect_now().await.unwrap();
    wire.mute();
    let outcomes = publisher.publish(&[message("id-1", &project, &["a"])], None).await;
    let [DeliveryOutcome::Unknown(unconfirmed)] = &outcomes[..] else { panic!("{outcomes:?}") };
    // The second attempt cannot even sign in, and that the first one was sent is not forgotten.
    assert!(unconfirmed.may_have_arrived && !unconfirmed.is_rejection, "{unconfirmed:?}");
    assert!(listener.next().await.is_some());
}

#[tokio::test]
async fn messages_that_a_blocked_broker_does_not_take_go_over_another_connection() {
    made().await;
    let wire = Wire::new().await;
    let publisher = publisher(&wire.url);
    publisher.connect_now().await.unwrap();
    let project = project();
    let listener = Listener::on(&project).await;
    wire.block();
    // What is written before the client has read that still arrives; so this asks until nothing does.
    let batch = |number: usize| [message(&format!("id-{number}"), &project, &["a"])];
    let mut number = 0;
    let began = loop {
        let began = std::time::Instant::now();
        assert_eq!(publisher.publish(&batch(number), None).await, [DeliveryOutcome::Confirmed]);
        if publisher.opened() == 2 {
            break began;
        }
        number += 1;
    };
    assert!(began.elapsed() >= Duration::from_secs(5), "it waits as long as for a confirm");
    for expected in 0..=number {
        let got = listener.next().await.unwrap();
        let id = got.properties.message_id().as_ref().map(ToString::to_string);
        assert_eq!(id, Some(format!("id-{expected}.0")));
    }
}
