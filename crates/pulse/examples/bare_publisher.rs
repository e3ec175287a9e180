//! How long lapin alone takes to publish a message and to get its confirm: `tools/bench/forward.py` compares the
//! publisher with it. Publishes once to the exchange that `PULSE_URL` and `PULSE_NAMESPACE` name, and then as many
//! times as the first argument says. Prints the microseconds that each confirm took.
#![allow(clippy::print_stdout, reason = "it is what this program is for")]

use std::error::Error;
use std::time::Instant;

use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions};
use lapin::types::FieldTable;
use lapin::{BasicProperties, Connection, ConnectionProperties, ExchangeKind};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("PULSE_URL")?;
    let exchange = format!("exchange/{}/v1/resultset-runnable-job-actions", std::env::var("PULSE_NAMESPACE")?);
    let more: u32 = std::env::args().nth(1).map_or(Ok(0), |count| count.parse())?;
    let connection = Connection::connect(&url, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    channel.exchange_declare(exchange.clone().into(), ExchangeKind::Topic, options, FieldTable::default()).await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    for _ in 0..=more {
        let start = Instant::now();
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let persistent = BasicProperties::default().with_delivery_mode(2);
        let sent = channel.basic_publish(exchange.clone().into(), "bench".into(), options, &[b'x'; 300], persistent);
        let confirm = sent.await?.await?;
        if !confirm.is_ack() {
            return Err("not confirmed".into());
        }
        println!("{}", start.elapsed().as_micros());
    }
    Ok(())
}
