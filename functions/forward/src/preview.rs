//! What forwarding a message of the queue would do now. Nothing is published or stored.

use std::collections::BTreeMap;

use pulse::Message;
use requests::job::RequestedJob;
use requests::state::JobState;
use requests::triggering::Prepared;
use serde::Serialize;

use crate::batch::{Delivery, Forwarder};

/// What forwarding a message of the queue would do.
#[derive(Debug, Serialize)]
pub struct Preview {
    /// The request.
    pub request: String,
    /// The project, which is the routing key.
    pub project: String,
    /// The messages that would be published.
    pub messages: Vec<PreviewedMessage>,
    /// The action that would be triggered for the labels; `None` without labels, or if it would be refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub action: Option<PreviewedAction>,
    /// The jobs that would not be forwarded, each with the reason.
    pub not_forwarded: BTreeMap<String, String>,
}

/// A message that would be published.
#[derive(Debug, Serialize)]
pub struct PreviewedMessage {
    /// The id.
    pub id: String,
    /// The body.
    pub body: serde_json::Value,
}

/// An action that would be triggered.
#[derive(Debug, Serialize)]
pub struct PreviewedAction {
    /// The hook that would be called, as `GROUP/ID`.
    pub hook: String,
    /// The input of the action.
    pub input: serde_json::Value,
}

impl Forwarder {
    /// What forwarding a message would do now; `None` if there is nothing to do.
    ///
    /// # Errors
    /// The request cannot be loaded.
    pub async fn preview(&self, delivery: &Delivery) -> Result<Option<Preview>, String> {
        let loaded = self.load(0, delivery).await.map_err(|error| error.to_string())?;
        let Some(mut one) = loaded else { return Ok(None) };
        let runs_by_push = self.fetch_runs(std::slice::from_ref(&one)).await;
        let planned = self.plan_jobs(&mut one, &runs_by_push);
        let before = std::mem::replace(&mut one.jobs, planned);
        let stays = |place: usize, job: &RequestedJob| match job.state {
            JobState::Waiting => true,
            JobState::Accepted => false,
            state => before.get(place).is_some_and(|before| before.state != state),
        };
        let not_forwarded = one.jobs.iter().enumerate().filter(|(place, job)| stays(*place, job));
        let why = |(_, job): (usize, &RequestedJob)| (job.name.clone(), job.reason_text().unwrap_or_default());
        let message = |message: Message| PreviewedMessage {
            id: message.id,
            body: serde_json::from_slice(&message.body).unwrap_or_default(),
        };
        let mut not_forwarded: BTreeMap<String, String> = not_forwarded.map(why).collect();
        let labels: Vec<String> =
            one.jobs.iter().filter(|job| job.is_open_label()).map(|job| job.name.clone()).collect();
        let mut action = None;
        if !labels.is_empty() {
            let number = one.request.actions.iter().map(|action| action.number).max().unwrap_or_default() + 1;
            let (prepared, ready) = self.prepare(&one.request, &labels, &format!("{}.{number}", one.request.id)).await;
            let reason = match prepared {
                Prepared::Ready { .. } => None,
                Prepared::Refused(refusal) => Some(refusal.sentence()),
                Prepared::Unavailable(outage) => Some(format!("Taskcluster: {}", outage.error)),
            };
            if let Some(reason) = reason {
                not_forwarded.extend(labels.into_iter().map(|label| (label, reason.clone())));
            }
            action =
                ready.map(|ready| PreviewedAction { hook: ready.action.hook.to_string(), input: ready.action.input });
        }
        Ok(Some(Preview {
            request: one.request.id.to_string(),
            project: one.request.project.clone(),
            messages: self.pulse.messages(&one.request, &one.jobs).into_iter().map(message).collect(),
            action,
            not_forwarded,
        }))
    }
}
