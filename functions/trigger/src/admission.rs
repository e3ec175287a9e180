//! Whether a person may trigger jobs on a push, and that Treeherder is not asked for that without end.

use std::sync::Arc;

use http_api::{Problem, RequestLog};
use requests::email::Email;
use requests::permissions::Author;
use requests::request::{Push, RequestId};
use treeherder::PushLookup;

use crate::budget::share;
use crate::problems::{NOT_ALLOWED, TREEHERDER_UNAVAILABLE, UNKNOWN_PUSH};
use crate::service::{RETRY_AFTER, TriggerService, WithoutTreeherder};

impl TriggerService {
    /// The push, if Treeherder tells of it and `requester` may trigger jobs on it.
    pub(crate) async fn admit(
        &self,
        project: &str,
        push_id: u64,
        requester: &Email,
        request_log: &RequestLog,
    ) -> Result<Option<Arc<Push>>, Problem> {
        let push = match self.treeherder.push(project, push_id).await {
            PushLookup::Found(push) => Some(push),
            PushLookup::Unknown => {
                let detail = format!("Treeherder knows no push {push_id} in {project}.");
                return Err(Problem::new(&UNKNOWN_PUSH, detail));
            }
            PushLookup::Unavailable(reason) => {
                request_log.record("error", reason.clone());
                if self.without_treeherder == WithoutTreeherder::Refuse {
                    let detail = "Treeherder does not tell of the push at the moment, so nothing was requested. Please try \
                                  again in half a minute.";
                    let problem = Problem::new(&TREEHERDER_UNAVAILABLE, detail).retry_after(RETRY_AFTER);
                    return Err(problem.because(reason));
                }
                None
            }
        };
        match self.permissions.check(project, requester, Author::of(push.as_deref())) {
            Ok(()) => Ok(push),
            Err(refusal) => {
                let mut detail =
                    format!("You may not trigger jobs on this push of {project}. Who may: {}.", refusal.who_could);
                if refusal.author_is_unknown {
                    detail +=
                        " Treeherder does not answer at the moment, so nobody can tell whether you are its author.";
                }
                Err(Problem::new(&NOT_ALLOWED, detail).with("rule", refusal.rule))
            }
        }
    }

    /// The same. A refusal for which Treeherder was asked counts as a request, so that nobody has it asked without end.
    pub(crate) async fn admit_counted(
        &self,
        project: &str,
        push_id: u64,
        requester: &Email,
        request_log: &RequestLog,
    ) -> Result<Option<Arc<Push>>, Problem> {
        let now = (self.clock)();
        if self.treeherder.has_cached(project, push_id) {
            return self.admit(project, push_id, requester, request_log).await;
        }
        self.budget.refuse_exhausted(requester, now)?;
        let refusal = match self.admit(project, push_id, requester, request_log).await {
            Err(problem) if problem.error_code().status.is_client_error() => problem,
            admitted => return admitted,
        };
        let share = share(requester, RequestId::new(now, (self.random)()), now);
        Err(self.budget.count_refusal(&self.metered(request_log), share, refusal, request_log).await)
    }
}
