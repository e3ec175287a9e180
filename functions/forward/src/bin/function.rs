//! The Lambda function that forwards requests from the queue, and follows the jobs of those that were forwarded.

use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent};
use forward::settings::Settings;
use forward::{Delivery, DeliveryLog, Disposition, Forwarder, TIME_NEEDED, TIME_TO_RECORD, print_line, print_round};
use lambda_runtime::{Context, Error, LambdaEvent, service_fn};
use runtime::settings::environment;
use runtime::{Aws, ClientProfile, Incident, metrics, system_clock};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio::time::Instant;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let configure = || Ok((Settings::read(environment)?, Aws::from_lambda(environment, ClientProfile::Request)?));
    runtime::run_function(configure, async |(settings, aws): (Settings, Aws)| {
        aws.connect_early().await;
        // The first event makes the forwarder, which reads the secret. The forwarder and its connection are kept.
        let forwarder = OnceCell::new();
        let handler = service_fn(async |event: LambdaEvent<Value>| {
            let make = async || Forwarder::new(&settings, &aws, system_clock()).await;
            let forwarder = forwarder.get_or_try_init(make).await.map_err(failed)?;
            let LambdaEvent { payload, context } = event;
            // The event of the schedule.
            if payload["follow"] == true {
                let until = Instant::now() + time_left(&context).saturating_sub(TIME_TO_RECORD);
                let report = forwarder.follow_round(Some(until)).await;
                print_round(&report, &forwarder.clock);
                return Ok::<_, Error>(json!(report));
            }
            let messages: SqsEvent = serde_json::from_value(payload).map_err(failed)?;
            if messages.records.is_empty() {
                // An operator invokes the function without records to check that Pulse accepts the credentials. From
                // then on listeners can bind to the exchange.
                forwarder.pulse.publisher.connect_now().await.map_err(failed)?;
            }
            Ok(json!(forward_all(forwarder, messages, &context).await))
        });
        lambda_runtime::run(handler).await
    })
    .await
}

/// Prints the log line of an invocation that ends with this error.
#[expect(clippy::print_stdout, reason = "Lambda collects the log from standard output")]
fn failed(error: impl Into<Error>) -> Error {
    let error = error.into();
    println!("{}", metrics::failure(&error, system_clock()(), Incident::FunctionFailed));
    error
}

/// The time until Lambda ends the invocation.
fn time_left(context: &Context) -> Duration {
    #[expect(clippy::disallowed_methods, reason = "time enters the program here")]
    let now = SystemTime::now();
    context.deadline().duration_since(now).unwrap_or(Duration::ZERO)
}

async fn forward_all(forwarder: &Forwarder, messages: SqsEvent, context: &Context) -> SqsBatchResponse {
    let mut failed = Vec::new();
    let deliveries: Vec<Delivery> = messages
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
    let left = time_left(context);
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
