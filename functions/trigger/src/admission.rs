//! Whether a person may trigger jobs on a push. Lookups in Treeherder that end in a refusal count against the budget.

use std::sync::Arc;

use requests::email::Email;
use requests::id::RequestId;
use requests::permissions::Author;
use requests::push::Push;
use treeherder::PushLookup;

use crate::budget::share;
use crate::call_log::CallLog;
use crate::error::TriggerError;
use crate::service::{TriggerService, WithoutTreeherder};

impl TriggerService {
    /// The push, if `requester` may trigger jobs on it; `None` if Treeherder does not answer and the rules allow it anyway.
    pub(crate) async fn admit(
        &self,
        project: &str,
        push_id: u64,
        requester: &Email,
        log: &CallLog,
    ) -> Result<Option<Arc<Push>>, TriggerError> {
        let push = match self.treeherder.push(project, push_id).await {
            PushLookup::Found(push) => Some(push),
            PushLookup::Unknown => {
                return Err(TriggerError::UnknownPush { project: project.to_owned(), push_id });
            }
            PushLookup::Unavailable(reason) => {
                log.set_error(&reason);
                if self.without_treeherder == WithoutTreeherder::Refuse {
                    return Err(TriggerError::TreeherderUnavailable(reason));
                }
                None
            }
        };
        match self.permissions.check(project, requester, Author::of(push.as_deref())) {
            Ok(()) => Ok(push),
            Err(denied) => Err(TriggerError::NotAllowed { project: project.to_owned(), denied }),
        }
    }

    /// As `admit`. A refusal after a lookup in Treeherder counts as a request, so that lookups are limited too.
    pub(crate) async fn admit_counted(
        &self,
        project: &str,
        push_id: u64,
        requester: &Email,
        log: &CallLog,
    ) -> Result<Option<Arc<Push>>, TriggerError> {
        let now = (self.clock)();
        if self.treeherder.has_cached(project, push_id) {
            return self.admit(project, push_id, requester, log).await;
        }
        self.budget.refuse_exhausted(requester, now)?;
        let refusal = match self.admit(project, push_id, requester, log).await {
            Err(error) if !error.is_unavailable() => error,
            admitted => return admitted,
        };
        let share = share(requester, RequestId::new(now, (self.random)()), now);
        Err(self.budget.count_refusal(&self.metered(log), share, refusal, log).await)
    }
}
