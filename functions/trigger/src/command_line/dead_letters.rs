//! What the queue gave up on is tried once more.

use std::time::Duration;

use desk::desk::Desk;
use http_edge::Ledger;
use serde::Serialize;
use store::{Queue, Read, StoreError, Taken, Ticket};

use super::{Failure, Shell, json, print};

/// How long the queue is asked for another message before it counts as empty.
const EMPTY_AFTER: Duration = Duration::from_secs(2);

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
pub(super) async fn retry(shell: &Shell<'_>, url: &str, as_json: bool) -> Result<(), Failure> {
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

/// Does with a request what it needs, in a sentence.
async fn try_again(desk: &Desk, body: &str) -> Result<String, Failure> {
    let ticket: Ticket =
        serde_json::from_str(body).map_err(|_| Failure::Input("it is no message of ours".to_owned()))?;
    let store = |error: StoreError| Failure::Store(error);
    let Some(request) = desk.requests.request(ticket.request_id, Read::Consistent).await.map_err(store)? else {
        return Ok("there is no such request any more".to_owned());
    };
    if request.round != ticket.round {
        return Ok("it was sent again since".to_owned());
    }
    if request.state.is_open() {
        desk.queue.send(ticket).await.map_err(store)?;
        return Ok(format!("it is {}, and is queued again", request.state.as_str()));
    }
    if !request.jobs.keys().any(|state| state.can_be_retried()) {
        return Ok(format!("it is {}: nothing is left to be done", request.state.as_str()));
    }
    let outcome = desk.retry(&request, None, &Ledger::default()).await?;
    Ok(outcome.told(&request.project, request.push_id).message)
}
