//! An exchange of our name that is something else. In a program of its own: there is one exchange of this name.
#![allow(clippy::unwrap_used, reason = "a helper of a test may fail as the test may")]

use lapin::options::{ExchangeDeclareOptions, ExchangeDeleteOptions};
use lapin::types::FieldTable;
use lapin::{Connection, ConnectionProperties, ExchangeKind};
use requests::delivery::DeliveryOutcome;
use test_support::broker::{address, message, project, publisher, settings};

#[tokio::test]
async fn an_exchange_of_another_type_is_refused_and_not_changed() {
    let url = address("PULSE_URL");
    let name = settings(&url).0.exchange();
    let connection = Connection::connect(&url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    channel.exchange_delete(name.clone().into(), ExchangeDeleteOptions::default()).await.unwrap();
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(name.clone().into(), ExchangeKind::Direct, options, FieldTable::default()).await.unwrap();

    let outcomes = publisher(&url).publish(&[message("id-1", &project(), &["a"])], None).await;

    channel.exchange_delete(name.into(), ExchangeDeleteOptions::default()).await.unwrap();
    assert!(
        matches!(&outcomes[..], [DeliveryOutcome::Rejected(reason)] if reason.contains("PRECONDITION_FAILED")),
        "{outcomes:?}"
    );
    assert_eq!(
        publisher(&url).publish(&[message("id-2", &project(), &["a"])], None).await,
        [DeliveryOutcome::Unroutable]
    );
}
