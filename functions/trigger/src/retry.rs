//! A retry: the failed and unroutable jobs of a request are sent again.

use std::collections::HashMap;

use requests::destination::Destination;
use requests::email::Email;
use requests::id::RequestId;
use requests::job::{JobCode, RequestedJob};
use requests::reason::JobReason;
use requests::request::Request;
use requests::state::JobState;
use store::{StoreError, UpdateResult};

use crate::budget::{refund, share};
use crate::call_log::CallLog;
use crate::error::TriggerError;
use crate::outcome::{OutcomeKind, TriggerOutcome};
use crate::service::TriggerService;

impl TriggerService {
    /// Sends the failed and unroutable jobs of a request again: those that were not forwarded. `by` is the person who asks for that; an operator needs no
    /// permission and has no budget.
    ///
    /// # Errors
    /// There is nothing to send, or the retry was refused.
    pub async fn retry(
        &self,
        request: &Request,
        by: Option<&Email>,
        log: &CallLog,
    ) -> Result<TriggerOutcome, TriggerError> {
        log.set_request(request.id);
        self.catalog.names(&request.project, log).await?;
        if let Some(person) = by {
            self.admit_counted(&request.project, request.push_id, person, log).await?;
        }
        let now = (self.clock)();
        let table = self.metered(log);
        // The request was read a while ago, and maybe not as it was then.
        let (request, mut jobs) = table.read_consistent(request.id).await?.ok_or_else(|| deleted(request.id))?;
        if request.state.is_open() {
            return Err(TriggerError::StillOpen(request.state));
        }
        let names = self.catalog.names_for(&request.project, request.decision_task_id.as_deref(), log).await?;
        // The first test that needs each build.
        let tests = jobs.iter().rev().filter_map(|job| Some((job.build.clone()?, job.name.clone())));
        let tests: HashMap<String, String> = tests.collect();
        let again = jobs.iter_mut().filter(|job| job.state.can_be_retried());
        let mut sought = Vec::new();
        for job in again {
            // The catalog may have changed since.
            let name = [job.name.clone()];
            sought.extend(name.clone());
            for resolved in self.resolve_by(&name, &request.project, &names) {
                let requested_name = resolved.requested_name.clone().or_else(|| job.requested_name.clone());
                let planned = !job.is_asked_for() && resolved.state == JobState::Accepted;
                let destination = if resolved.exists() { resolved.destination } else { job.destination };
                let (code, reason) = if planned {
                    let test = tests.get(&job.name).cloned();
                    (Some(JobCode::NeededBuild), test.map(|test| JobReason::NeededBuild { test }))
                } else {
                    (resolved.code, resolved.reason)
                };
                // The task of a call that was not answered is searched for before the label is triggered again.
                let in_doubt = job.in_doubt && destination == Destination::Taskcluster;
                *job = RequestedJob { requested_name, code, reason, planned, destination, in_doubt, ..resolved };
                job.code = job.code.or_else(|| job.name_change_code());
            }
        }
        if sought.is_empty() {
            return Err(TriggerError::NothingToRetry);
        }
        let Some(next) = request.retried(&jobs, by.cloned(), now) else {
            let rejected = jobs.into_iter().filter(|job| sought.contains(&job.name)).collect();
            return Err(TriggerError::NoKnownJobs { project: request.project.clone(), jobs: rejected });
        };
        // A share of its own: of two people who retry at once both pay, and the one who loses gets the share back.
        let share = by.map(|person| share(person, RequestId::new(now, (self.random)()), now));
        if let Some(share) = share {
            let is_spent = |job: &&RequestedJob| job.state == JobState::Accepted && job.is_asked_for();
            let jobs = u32::try_from(jobs.iter().filter(is_spent).count()).unwrap_or(u32::MAX);
            self.budget.check_size(jobs)?;
            self.budget.spend(&table, share, jobs, log).await?;
        }
        let uncertain = |error| TriggerError::Uncertain { whether: "the jobs are sent again", error };
        match table.update(&next, Some(&jobs), now).await.map_err(uncertain)? {
            UpdateResult::Stored => {}
            UpdateResult::Conflict => {
                if let Some(share) = share {
                    refund(&table, share, log).await;
                }
                return Err(TriggerError::ChangedMeanwhile);
            }
        }
        let request = self.send(&table, next, log).await;
        Ok(TriggerOutcome { request: Some(request), jobs, kind: OutcomeKind::Created, actions: None })
    }
}

fn deleted(id: RequestId) -> StoreError {
    StoreError::DamagedRequest { id: id.to_string(), what: "it was deleted meanwhile".to_owned() }
}
