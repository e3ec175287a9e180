//! Sends requests again: one, or all in the dead-letter queue.

use std::time::Duration;

use requests::request::Request;
use serde::Serialize;
use store::{Consistency, Queue, ReceivedMessage, Ticket};
use trigger_api::api::Triggered;
use trigger_api::call_log::CallLog;
use trigger_api::outcome::{OutcomeKind, TriggerOutcome};
use trigger_api::service::TriggerService;

use super::Operator;
use crate::failure::Failure;
use crate::output::{print_json_line, print_text};

/// How long to wait for another message before the queue counts as empty.
const EMPTY_AFTER: Duration = Duration::from_secs(1);

/// What was done with a message.
#[derive(Serialize)]
struct Done {
    /// The body of the message.
    message: String,
    /// Whether it stays in the dead-letter queue.
    left: bool,
    /// What was done, or the reason why nothing was.
    detail: String,
}

/// Retries the requests in the dead-letter queue at `url`.
pub(super) async fn dead_letters(operator: &Operator<'_>, url: &str, as_json: bool) -> Result<(), Failure> {
    let (service, letters) = (operator.service().await?, Queue::new(operator.aws().await?.sqs(), url));
    let mut left = Vec::new();
    let all = retry_all(&service, &letters, &mut left, as_json).await;
    // They were held until now, so that none was received twice.
    for received in &left {
        letters.release(received).await?;
    }
    let done = all?;
    if !as_json {
        print_text(&format!("{done} removed from the dead-letter queue, {} left there\n", left.len()))?;
    }
    match left.len() {
        0 => Ok(()),
        count => Err(Failure::Refused(format!("{count} could not be tried again"))),
    }
}

async fn retry_all(
    service: &TriggerService,
    letters: &Queue,
    left: &mut Vec<ReceivedMessage>,
    as_json: bool,
) -> Result<u32, Failure> {
    let mut removed = 0;
    loop {
        let received = letters.receive(10, EMPTY_AFTER).await?;
        if received.is_empty() {
            return Ok(removed);
        }
        for received in received {
            let tried = try_again(service, &received.body).await;
            let (is_left, detail) = match &tried {
                Ok(detail) => (false, detail.clone()),
                Err(failure) => (true, failure.to_string()),
            };
            let done = Done { message: received.body.trim().to_owned(), left: is_left, detail };
            if is_left {
                left.push(received);
            } else {
                letters.remove(&received).await?;
                removed += 1;
            }
            if as_json {
                print_json_line(&done)?;
            } else {
                print_text(&format!("{}: {}\n", done.message, done.detail))?;
            }
        }
    }
}

/// Does what a message needs, and returns a sentence that says what.
async fn try_again(service: &TriggerService, body: &str) -> Result<String, Failure> {
    let ticket: Ticket =
        serde_json::from_str(body).map_err(|_| Failure::Usage("it is no message of ours".to_owned()))?;
    match service.requests.request(ticket.request_id, Consistency::Consistent).await? {
        None => Ok("there is no such request any more".to_owned()),
        Some(request) if request.attempt != ticket.attempt => Ok("it was sent again since".to_owned()),
        Some(request) if !request.state.is_open() && !request.job_counts.keys().any(|state| state.can_be_retried()) => {
            Ok(format!("it is {}: nothing is left to be done", request.state.as_str()))
        }
        Some(request) => Ok(send_again(service, &request).await?.message),
    }
}

/// Sends the failed jobs of a request again. An open request is queued again instead: its message may be lost, and a
/// second message does no harm.
pub(super) async fn send_again(service: &TriggerService, request: &Request) -> Result<Triggered, Failure> {
    if !request.state.is_open() {
        let outcome = service.retry(request, None, &CallLog::default()).await?;
        return Ok(outcome.response(&request.project, request.push_id, &service.urls));
    }
    let stored = service.requests.read_consistent(request.id).await?;
    let (request, jobs) =
        stored.ok_or_else(|| Failure::Refused(format!("request {} was deleted meanwhile", request.id)))?;
    service.queue.send(Ticket { request_id: request.id, attempt: request.attempt }).await?;
    let outcome = TriggerOutcome { request: Some(request.clone()), jobs, kind: OutcomeKind::Created, actions: None };
    let response = outcome.response(&request.project, request.push_id, &service.urls);
    let message = format!("The request is {} still, and is queued again.", request.state.as_str());
    Ok(Triggered { message, ..response })
}
