//! Pulse: how the jobs of a request become messages.

use std::collections::HashMap;

use pulse::{Message, MessageContent, MessageFormat, Publisher};
use requests::destination::Destination;
use requests::job::RequestedJob;
use requests::request::Request;
use requests::state::JobState;

/// Pulse as the destination of jobs.
pub struct PulseDestination {
    /// The publisher.
    pub publisher: Publisher,
    /// The name of the exchange, for envelopes.
    pub exchange: String,
    /// The message formats of projects whose listeners do not expect the default.
    pub formats: HashMap<String, MessageFormat>,
}

impl PulseDestination {
    /// The messages for all jobs that are to be forwarded. When a batch is repeated, unconfirmed messages are made again as
    /// they were, with the same ids: a message holds jobs of one batch number, and a finished job splits the jobs before
    /// it from those behind it.
    pub(crate) fn messages(&self, request: &Request, jobs: &[RequestedJob]) -> Vec<Message> {
        let format = self.formats.get(&request.project).copied().unwrap_or_default();
        let prefix = format!("{}.{}", request.id, request.attempt);
        let goes_with = |place: &usize| (jobs[*place].state == JobState::Accepted, jobs[*place].batch);
        let mut messages = Vec::new();
        let mut first = 0;
        for run in existing_jobs(jobs).chunk_by(|one, other| goes_with(one) == goes_with(other)) {
            if goes_with(&run[0]).0 {
                let names: Vec<&str> = run.iter().map(|place| jobs[*place].name.as_str()).collect();
                let content = MessageContent {
                    project: &request.project,
                    push_id: request.push_id,
                    requester: request.requester.as_str(),
                    decision_task_id: request.decision_task_id.as_deref(),
                    jobs: &names,
                    first,
                    requested_at: request.created_at().unwrap_or_default(),
                };
                messages.extend(Message::all(&prefix, &self.exchange, &content, format));
            }
            first += run.len();
        }
        messages
    }
}

/// The indexes of the jobs that exist and go to Pulse. The range [`Message::jobs`] is a range of this list.
pub(crate) fn existing_jobs(jobs: &[RequestedJob]) -> Vec<usize> {
    jobs.iter()
        .enumerate()
        .filter(|(_, job)| job.exists() && job.destination == Destination::Pulse)
        .map(|(index, _)| index)
        .collect()
}
