//! What a client requests, before anything is checked against the catalog or Treeherder.

use crate::email::Email;

/// What a client requests. [`IdempotencyKey`](crate::idempotency::IdempotencyKey) hashes it,
/// [`Request::new`](crate::request::Request::new) consumes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRequest {
    /// The project.
    pub project: String,
    /// The push, by its number in Treeherder.
    pub push_id: u64,
    /// The names of the jobs as the client sent them, at least one.
    pub names: Vec<String>,
    /// The push's decision task, if the client named it.
    pub decision_task_id: Option<String>,
    /// The person for whom the jobs are requested.
    pub requester: Email,
    /// The service that asks on behalf of the requester.
    pub on_behalf_by: Option<String>,
    /// The value of the header `Idempotency-Key`, unchecked.
    pub idempotency_key: Option<String>,
}

impl NewRequest {
    /// A person's request for these jobs, without a decision task and without an idempotency key.
    pub fn new(project: impl Into<String>, push_id: u64, requester: Email, names: Vec<String>) -> Self {
        Self {
            project: project.into(),
            push_id,
            names,
            decision_task_id: None,
            requester,
            on_behalf_by: None,
            idempotency_key: None,
        }
    }
}
