//! The outcome of a call of the service, and the API's answer for it.

use std::fmt::Write as _;

use requests::destination::Destination;
use requests::job::{JobCode, RequestedJob};
use requests::request::Request;
use requests::state::{JobState, RequestState};

use crate::api::{self, ActionPreview, PublicUrls, Triggered};

/// The outcome of triggering or retrying jobs.
#[derive(Debug)]
pub struct TriggerOutcome {
    /// The request, if there is one.
    pub request: Option<Request>,
    /// Its jobs.
    pub jobs: Vec<RequestedJob>,
    /// The kind of outcome.
    pub kind: OutcomeKind,
    /// In a dry run, the actions that would run labels; `None` if no label would be run, or if it is not known.
    pub actions: Option<Vec<ActionPreview>>,
}

/// The kind of outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutcomeKind {
    /// The request was created, or is sent again.
    Created,
    /// The client's key belongs to an earlier request.
    Replayed,
    /// An equal request was created this many seconds before.
    Duplicate(i64),
    /// A dry run: nothing was created.
    DryRun,
}

impl TriggerOutcome {
    /// The answer to a request for jobs on this push.
    pub fn response(&self, project: &str, push_id: u64, urls: &PublicUrls) -> Triggered {
        let request = self.request.as_ref();
        let state = match (self.kind, request) {
            // The first answer again.
            (OutcomeKind::Replayed, Some(request)) => {
                let was_queued = request.history.iter().any(|event| event.state == RequestState::Queued);
                if was_queued { RequestState::Queued.as_str() } else { RequestState::Accepted.as_str() }
            }
            (_, Some(request)) => request.state.as_str(),
            (_, None) => "checked",
        };
        // The job as it was before planning.
        let first = |job: &RequestedJob| {
            if !job.exists() || is_refused(job) {
                return job.clone();
            }
            RequestedJob {
                requested_name: job.requested_name.clone(),
                code: job.name_change_code(),
                destination: job.destination,
                ..RequestedJob::accepted(&job.name)
            }
        };
        let jobs: Vec<RequestedJob> = match self.kind {
            OutcomeKind::Replayed => self.jobs.iter().filter(|job| job.is_asked_for()).map(first).collect(),
            _ => self.jobs.clone(),
        };
        Triggered {
            message: self.message(project, push_id, state, &jobs),
            request_id: request.map(|request| request.id.to_string()),
            status_url: request.map(api::status_url),
            state: state.to_owned(),
            repeated: matches!(self.kind, OutcomeKind::Duplicate(_)),
            jobs: match request.filter(|_| self.kind != OutcomeKind::Replayed) {
                Some(request) => api::jobs_of(request, &jobs, urls),
                None => api::jobs(project, &jobs),
            },
            actions: self.actions.clone(),
        }
    }

    fn message(&self, project: &str, push_id: u64, state: &str, jobs: &[RequestedJob]) -> String {
        let number = |is: &dyn Fn(&&RequestedJob) -> bool| jobs.iter().filter(is).count();
        let unknown = number(&|job| !job.exists());
        let renamed = number(&|job| job.name_change_code() == Some(JobCode::Renamed));
        let corrected = number(&|job| job.name_change_code() == Some(JobCode::Corrected));
        let left_alone = number(&|job| job.state == JobState::Rejected && job.code == Some(JobCode::AlreadyRunning));
        // In a dry run, a job that has failed is one that the forwarder would fail.
        let would_fail = |job: &RequestedJob| self.kind == OutcomeKind::DryRun && job.state == JobState::Failed;
        let cannot_run = number(&|job| is_refused(job) || would_fail(job) && job.is_asked_for());
        let added = number(&|job| !job.is_asked_for());
        let (run, needed) = match self.kind {
            // When a request is sent again, its other jobs are finished.
            OutcomeKind::Created => {
                let is_sent = |job: &&RequestedJob| job.state == JobState::Accepted;
                let run = number(&|job| is_sent(job) && job.is_asked_for());
                (run, number(&|job| is_sent(job) && !job.is_asked_for()))
            }
            _ => (jobs.len() - unknown - left_alone - cannot_run - added, added),
        };
        let of = format!("push {push_id} of {project}");
        let (noun, are) = if run == 1 { ("1 job".to_owned(), "is") } else { (format!("{run} jobs"), "are") };
        let mut message = match (self.kind, state) {
            (OutcomeKind::Duplicate(seconds), _) => format!(
                "The same was requested {seconds} s ago: this is that request, which is {state}. Nothing was requested \
                 again."
            ),
            (OutcomeKind::DryRun, _) => format!("{noun} would be requested for {of}."),
            (_, "accepted") => {
                format!("{noun} for {of} {are} stored, but not queued yet. That is tried again every few minutes.")
            }
            (_, state) => format!("{noun} {are} {state} for {of}."),
        };
        let plural =
            |count: usize, one: &str, more: &str| if count == 1 { one.to_owned() } else { format!("{count} {more}") };
        if renamed > 0 {
            let _ = write!(message, " {} by another name now.", plural(renamed, "One goes", "go"));
        }
        if corrected > 0 {
            let named = plural(corrected, "One name was", "names were");
            let _ = write!(message, " {named} corrected in case or blanks.");
        }
        if needed > 0 {
            let _ = write!(
                message,
                " {} requested too.",
                plural(needed, "A build that is needed is", "builds that are needed are")
            );
        }
        // The jobs of a request show what they wait for; a dry run shows it here alone.
        if self.kind == OutcomeKind::DryRun {
            let waiting = |to: Destination| number(&|job| job.state == JobState::Waiting && job.destination == to);
            for (waiting, what) in [
                (waiting(Destination::Pulse), "a build first"),
                (waiting(Destination::Taskcluster), "an action that runs on the push"),
            ] {
                if waiting > 0 {
                    let _ = write!(message, " {} for {what}.", plural(waiting, "One would wait", "would wait"));
                }
            }
        }
        if left_alone > 0 {
            let _ = write!(message, " {} running already, and left alone.", plural(left_alone, "One is", "are"));
        }
        if cannot_run > 0 {
            let cannot = plural(cannot_run, "One Taskcluster job cannot", "Taskcluster jobs cannot");
            let _ = write!(message, " {cannot} be run on this push.");
        }
        if unknown > 0 {
            let left_out = plural(unknown, "One name is not known and was", "names are not known and were");
            let _ = write!(message, " {left_out} left out.");
        }
        if self.kind == OutcomeKind::Created && self.request.as_ref().is_some_and(|request| request.pushed.is_none()) {
            message += " Treeherder did not answer, so it is not known whether the push exists.";
        }
        message
    }
}

/// Whether the job is a label that was rejected when the request was made.
fn is_refused(job: &RequestedJob) -> bool {
    let codes = [JobCode::NotTriggerable, JobCode::NoDecisionTask, JobCode::TaskclusterUnavailable];
    job.state == JobState::Rejected && job.code.is_some_and(|code| codes.contains(&code))
}
