//! The function as Lambda runs it, fed by the queue.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use chrono::Utc;
use forward::settings::Settings;
use forward::{Delivery, DeliveryLog, Disposition, Forwarder, TIME_NEEDED, TIME_TO_RECORD, print_line};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use store::cached::Clock;
use store::{Aws, ClientProfile};
use tokio::sync::OnceCell;
use tokio::time::Instant;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    forward::init_logging();
    let lookup = |variable: &str| std::env::var(variable).ok();
    let configured =
        Settings::read(lookup).and_then(|settings| Ok((settings, Aws::from_lambda(lookup, ClientProfile::Request)?)));
    let (settings, aws) = match configured {
        Ok(configured) => configured,
        Err(error) => {
            tracing::error!(%error, "the function is not configured");
            return ExitCode::from(2);
        }
    };
    // Made by the first event: the secret is read then. It is kept, and its connection with it.
    let forwarder = OnceCell::new();
    let handler = service_fn(async |event: LambdaEvent<SqsEvent>| {
        let made = forwarder.get_or_try_init(async || Forwarder::new(&settings, &aws, clock()).await).await?;
        if event.payload.records.is_empty() {
            // Asked by a person, who wants to know whether Pulse takes us; listeners can bind from then on.
            made.pulse.publisher.connect_now().await?;
        }
        Ok::<_, Error>(forward_all(made, event).await)
    });
    match lambda_runtime::run(handler).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the Lambda runtime ended");
            ExitCode::FAILURE
        }
    }
}

fn clock() -> Clock {
    #[expect(clippy::disallowed_methods, reason = "the edge at which time enters")]
    Arc::new(Utc::now)
}

async fn forward_all(forwarder: &Forwarder, event: LambdaEvent<SqsEvent>) -> SqsBatchResponse {
    let mut failed = Vec::new();
    let deliveries: Vec<Delivery> = event
        .payload
        .records
        .into_iter()
        .map(|record| Delivery {
            id: record.message_id.unwrap_or_default(),
            body: record.body.unwrap_or_default(),
            receive_count: record
                .attributes
                .get("ApproximateReceiveCount")
                .and_then(|receive_count| receive_count.parse().ok())
                .unwrap_or(1),
        })
        .collect();
    #[expect(clippy::disallowed_methods, reason = "the edge at which time enters")]
    let left = event.context.deadline().duration_since(SystemTime::now()).unwrap_or(Duration::ZERO);
    if left < TIME_NEEDED {
        tracing::warn!(left_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX), "too late to start");
        failed.extend(deliveries.into_iter().map(|delivery| delivery.id));
    } else {
        let until = Instant::now() + left.saturating_sub(TIME_TO_RECORD);
        let mut log = |line: &DeliveryLog| print_line(line, &forwarder.clock);
        let what = forwarder.forward(&deliveries, Some(until), &mut log).await;
        let again = deliveries.into_iter().zip(what).filter(|(_, left)| matches!(left, Disposition::Retry(_)));
        failed.extend(again.map(|(delivery, _)| delivery.id));
    }
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = failed
        .into_iter()
        .map(|id| {
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id;
            failure
        })
        .collect();
    response
}
