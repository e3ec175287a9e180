//! Requests are sent again: one, or all that the queue gave up on.

use std::time::Duration;

use desk::api::Triggered;
use desk::desk::Desk;
use desk::outcome::{How, Outcome};
use http_edge::Ledger;
use serde::Serialize;
use store::{Queue, Read, Taken, Ticket};
use trigger::request::Request;

use super::{Failure, Shell, json, print};

/// How long the queue is asked for another message before it counts as empty.
const EMPTY_AFTER: Duration = Duration::from_secs(1);

/// What became of a message.
#[derive(Serialize)]
struct Done {
    /// What it says.
    message: String,
    /// Whether it is left in the dead-letter queue.
    left: bool,
    /// What was done, or why nothing was.
    detail: String,
}

/// Tries the requests again that the dead-letter queue at `url` names.
pub(super) async fn dead_letters(shell: &Shell<'_>, url: &str, as_json: bool) -> Result<(), Failure> {
    let (desk, letters) = (shell.desk().await?, shell.aws().await?.queue(url));
    let mut left = Vec::new();
    let all = retry_all(&desk, &letters, &mut left, as_json).await;
    // Held until now, so that none was looked at twice.
    for taken in &left {
        letters.give_back(taken).await?;
    }
    let done = all?;
    if !as_json {
        print(&format!("{done} removed from the dead-letter queue, {} left there\n", left.len()))?;
    }
    match left.len() {
        0 => Ok(()),
        count => Err(Failure::Refused(format!("{count} could not be tried again"))),
    }
}

async fn retry_all(desk: &Desk, letters: &Queue, left: &mut Vec<Taken>, as_json: bool) -> Result<u32, Failure> {
    let mut removed = 0;
    loop {
        let taken = letters.take(10, EMPTY_AFTER).await?;
        if taken.is_empty() {
            return Ok(removed);
        }
        for taken in taken {
            let tried = try_again(desk, &taken.body).await;
            let (is_left, detail) = match &tried {
                Ok(detail) => (false, detail.clone()),
                Err(failure) => (true, failure.to_string()),
            };
            let done = Done { message: taken.body.trim().to_owned(), left: is_left, detail };
            if is_left {
                left.push(taken);
            } else {
                letters.remove(&taken).await?;
                removed += 1;
            }
            print(&if as_json { json(&done) } else { format!("{}: {}\n", done.message, done.detail) })?;
        }
    }
}

/// Does what a message needs, and tells that in a sentence.
async fn try_again(desk: &Desk, body: &str) -> Result<String, Failure> {
    let ticket: Ticket =
        serde_json::from_str(body).map_err(|_| Failure::Input("it is no message of ours".to_owned()))?;
    match desk.requests.request(ticket.request_id, Read::Consistent).await? {
        None => Ok("there is no such request any more".to_owned()),
        Some(request) if request.round != ticket.round => Ok("it was sent again since".to_owned()),
        Some(request) if !request.state.is_open() && !request.jobs.keys().any(|state| state.can_be_retried()) => {
            Ok(format!("it is {}: nothing is left to be done", request.state.as_str()))
        }
        Some(request) => Ok(send_again(desk, &request).await?.message),
    }
}

/// Sends what failed of a request again. One in which something is still to happen is queued again instead: its message may
/// have got lost, and to take up a request twice does no harm.
pub(super) async fn send_again(desk: &Desk, request: &Request) -> Result<Triggered, Failure> {
    if !request.state.is_open() {
        let outcome = desk.retry(request, None, &Ledger::default()).await?;
        return Ok(outcome.told(&request.project, request.push_id));
    }
    let (request, jobs) = desk.requests.with_jobs(request.clone(), Read::Consistent).await?;
    desk.queue.send(Ticket { request_id: request.id, round: request.round }).await?;
    let told = Outcome { request: Some(request.clone()), jobs, how: How::Made }.told(&request.project, request.push_id);
    let message = format!("The request is {} still, and is queued again.", request.state.as_str());
    Ok(Triggered { message, ..told })
}
