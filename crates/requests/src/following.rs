//! What becomes of jobs that were forwarded, by what Treeherder and Taskcluster say of them.
//!
//! | what is seen | the job |
//! | --- | --- |
//! | a run of a Buildbot job that is newer than the request | is as far as the run |
//! | no such run for the longest time that is allowed | was not seen |
//! | the action of a label ended, and made its task | is as far as the task |
//! | the action of a label ended, and did not make its task | failed; it can be retried |
//! | a task that Taskcluster does not know any more | was not seen |
//! | nothing, as nothing could be looked at | is as before, until it is not followed any more |
//!
//! Whatever is seen, every job ends: seven days after the longest time that is allowed it is not followed any more.
//! (Taskcluster ends each task five days after it was made, at the latest.)

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};
use serde::Deserialize;

use crate::action::{Action, ActionState};
use crate::destination::Destination;
use crate::job::{JobCode, RequestedJob};
use crate::outcome::{Outcome, OutcomeState, RunOf};
use crate::reason::JobReason;
use crate::request::Request;
use crate::settings::read_object;
use crate::state::JobState;

/// How long a job is followed after the longest time in which it has to appear.
const FOLLOWED_AFTER: TimeDelta = TimeDelta::days(7);
/// How old a task has to be before it counts as forgotten if Taskcluster does not know it.
const FORGOTTEN_AFTER: TimeDelta = TimeDelta::minutes(10);
/// The longest result that is kept, in characters.
const MAX_RESULT: usize = 50;

/// How jobs are followed, as it is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Following {
    /// The longest time until a Buildbot job appears on its push, in hours.
    pub max_hours: u32,
}

/// A run of a Buildbot job, as Treeherder lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Its number in Treeherder: later runs have higher numbers.
    pub id: u64,
    /// The name of the job.
    pub name: String,
    /// Treeherder's word for its state.
    pub state: String,
    /// Treeherder's word for its result.
    pub result: String,
    /// When it was submitted, in whole seconds.
    pub submitted_at: DateTime<Utc>,
}

/// A task, as Taskcluster describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenTask {
    /// Taskcluster's word for its state.
    pub state: String,
    /// Why it ended, in Taskcluster's word, such as `deadline-exceeded`.
    pub reason: Option<String>,
    /// Since when it is in this state, if that is known.
    pub since: Option<DateTime<Utc>>,
}

/// What an action made that has ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MadeTasks {
    /// The tasks, by their labels.
    pub tasks: BTreeMap<String, String>,
    /// The last lines of the action's log, as far as they can be read.
    pub log: String,
}

/// What was looked at, and what was seen. Nothing is concluded from what was not looked at.
#[derive(Debug, Clone, Default)]
pub struct Looks {
    /// The runs on each push, by the names of their jobs.
    pushes: HashMap<(String, u64), HashMap<String, Vec<Sighting>>>,
    /// The tasks; `None` for one that Taskcluster does not know.
    tasks: HashMap<String, Option<SeenTask>>,
    /// What ended actions made, by their tasks.
    made: HashMap<String, MadeTasks>,
}

impl Default for Following {
    fn default() -> Self {
        Self { max_hours: 24 }
    }
}

impl Following {
    /// Reads the settings from JSON; a field that is missing has its default.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn read(json: &str) -> Result<Self, String> {
        let read: Self = read_object(json)?;
        if !(1..=168).contains(&read.max_hours) {
            return Err("max_hours is 1 to 168".to_owned());
        }
        Ok(read)
    }

    /// How long a Buildbot job is waited for on its push.
    fn max_time(self) -> TimeDelta {
        TimeDelta::hours(self.max_hours.into())
    }

    /// How long a job is followed, whatever is seen of it.
    fn followed_for(self) -> TimeDelta {
        self.max_time() + FOLLOWED_AFTER
    }
}

impl SeenTask {
    /// How far a job with this task is. `None` if Taskcluster's word is not known.
    fn state(&self) -> Option<OutcomeState> {
        match self.state.as_str() {
            "unscheduled" => Some(OutcomeState::Unscheduled),
            "pending" => Some(OutcomeState::Pending),
            "running" => Some(OutcomeState::Running),
            "completed" | "failed" | "exception" => Some(OutcomeState::Completed),
            _ => None,
        }
    }

    /// Whether the task has ended.
    pub fn has_ended(&self) -> bool {
        self.state() == Some(OutcomeState::Completed)
    }

    /// The result of a task that has ended, in Treeherder's words.
    fn result(&self) -> Option<&'static str> {
        match (self.state.as_str(), self.reason.as_deref()) {
            ("completed", _) => Some("success"),
            ("failed", _) => Some("testfailed"),
            ("exception", Some("canceled")) => Some("usercancel"),
            ("exception", Some("superseded")) => Some("superseded"),
            ("exception", _) => Some("exception"),
            _ => None,
        }
    }

    /// How an action with this task ended.
    fn ending(&self) -> &str {
        self.reason.as_deref().filter(|_| self.state == "exception").unwrap_or(&self.state)
    }
}

impl Looks {
    /// The jobs of a push were looked at: Treeherder lists these runs of the jobs that were looked for.
    pub fn saw_push(&mut self, project: &str, push_id: u64, sightings: Vec<Sighting>) {
        let by_name = self.pushes.entry((project.to_owned(), push_id)).or_default();
        for sighting in sightings {
            by_name.entry(sighting.name.clone()).or_default().push(sighting);
        }
    }

    /// A task was looked at. `None`: Taskcluster does not know it.
    pub fn saw_task(&mut self, id: &str, task: Option<SeenTask>) {
        self.tasks.insert(id.to_owned(), task);
    }

    /// What an action made was looked at, after its task had ended. Tasks that it made and that were not looked at count as
    /// pending.
    pub fn saw_made(&mut self, action: &str, made: MadeTasks) {
        self.made.insert(action.to_owned(), made);
    }

    /// The running actions of a request whose tasks have ended.
    pub fn ended_actions<'r>(&self, request: &'r Request) -> impl Iterator<Item = &'r Action> {
        let running = request.actions.iter().filter(|action| action.state == ActionState::Running);
        running.filter(|action| {
            let task = action.task_id.as_ref().and_then(|id| self.tasks.get(id)?.as_ref());
            task.is_some_and(SeenTask::has_ended)
        })
    }
}

/// The names of the Buildbot jobs that are looked for on the push.
pub fn names_to_follow(jobs: &[RequestedJob]) -> BTreeSet<&str> {
    let followed = jobs.iter().filter(|job| job.destination == Destination::Pulse && is_followed(job));
    followed.map(|job| job.name.as_str()).collect()
}

/// The tasks whose states are looked at: those of running actions, and those of labels.
pub fn tasks_to_check<'r>(request: &'r Request, jobs: &'r [RequestedJob]) -> BTreeSet<&'r str> {
    let running = request.actions.iter().filter(|action| action.state == ActionState::Running);
    let actions = running.filter_map(|action| action.task_id.as_deref());
    let labels = jobs.iter().filter(|job| is_followed(job)).filter_map(|job| match &job.outcome.as_ref()?.run {
        Some(RunOf::Task(id)) => Some(id.as_str()),
        _ => None,
    });
    actions.chain(labels).collect()
}

/// Whether it is not known yet how the job ended.
fn is_followed(job: &RequestedJob) -> bool {
    job.state == JobState::Forwarded && !job.outcome.as_ref().is_some_and(Outcome::has_ended)
}

/// The request and its jobs after what was seen; `None` if nothing changed. An outcome that has ended stays as it is.
pub fn follow(
    request: &Request,
    jobs: &[RequestedJob],
    looks: &Looks,
    following: Following,
    now: DateTime<Utc>,
) -> Option<(Request, Vec<RequestedJob>)> {
    let mut followed = Followed { request: request.clone(), jobs: jobs.to_vec(), looks, following, now };
    followed.follow_actions();
    followed.follow_labels();
    followed.follow_builders();
    let Followed { request: next, jobs: after, .. } = followed;
    (next.actions != request.actions || after != jobs).then(|| (next.followed(&after, now), after))
}

/// A request while it is followed.
struct Followed<'l> {
    request: Request,
    jobs: Vec<RequestedJob>,
    looks: &'l Looks,
    following: Following,
    now: DateTime<Utc>,
}

/// How an action ended, for its labels.
enum ActionEnding<'l> {
    /// Its task ended.
    Ended { how: &'l str, made: &'l MadeTasks },
    /// Taskcluster does not know its task.
    Forgotten,
    /// It is not followed any more.
    NotSeen,
}

impl<'l> Followed<'l> {
    /// Ends the actions whose tasks have ended.
    fn follow_actions(&mut self) {
        for index in 0..self.request.actions.len() {
            let action = &self.request.actions[index];
            if action.state != ActionState::Running {
                continue;
            }
            let Some(ending) = self.action_ending(action) else { continue };
            let later = &self.request.actions[index + 1..];
            let is_last = |place: &usize| !later.iter().any(|action| action.jobs.contains(*place));
            for place in action.jobs.iter().filter(is_last) {
                if let Some(job) = self.jobs.get_mut(place).filter(|job| is_unmade_label(job)) {
                    end_label(job, &ending, self.looks, self.following, self.now);
                }
            }
            self.request.actions[index].state = ActionState::Ended;
        }
    }

    /// How an action ended; `None` if it runs, or if it is not known what it made.
    fn action_ending(&self, action: &Action) -> Option<ActionEnding<'l>> {
        let age = self.now - action.called_at;
        let task_id = action.task_id.as_deref();
        let ending = match task_id.and_then(|id| self.looks.tasks.get(id)) {
            Some(Some(task)) if task.has_ended() => {
                let made = task_id.and_then(|id| self.looks.made.get(id));
                made.map(|made| ActionEnding::Ended { how: task.ending(), made })
            }
            Some(None) if age >= FORGOTTEN_AFTER => Some(ActionEnding::Forgotten),
            _ => None,
        };
        ending.or_else(|| (age >= self.following.followed_for()).then_some(ActionEnding::NotSeen))
    }

    /// Looks at the tasks of labels.
    fn follow_labels(&mut self) {
        for place in 0..self.jobs.len() {
            let job = &self.jobs[place];
            if job.destination != Destination::Taskcluster || !is_followed(job) {
                continue;
            }
            let Some(outcome) = job.outcome.clone() else { continue };
            let seen = match &outcome.run {
                Some(RunOf::Task(id)) => self.looks.tasks.get(id),
                _ => None,
            };
            let asked_at = self.asked_at(place);
            let job = &mut self.jobs[place];
            match seen {
                Some(Some(task)) => set_outcome(job, task_outcome(task, outcome.run.as_ref(), self.now)),
                Some(None) if self.now - outcome.since >= FORGOTTEN_AFTER => {
                    not_seen(job, JobReason::TaskForgotten, self.now);
                }
                _ => {}
            }
            end_old(job, asked_at, self.following, self.now);
        }
    }

    /// Looks for the runs of Buildbot jobs.
    fn follow_builders(&mut self) {
        let push = self.looks.pushes.get(&(self.request.project.clone(), self.request.push_id));
        for place in 0..self.jobs.len() {
            let asked_at = self.asked_at(place);
            let job = &mut self.jobs[place];
            if job.destination != Destination::Pulse || !is_followed(job) {
                continue;
            }
            if let Some(push) = push {
                let runs = push.get(&job.name).map(Vec::as_slice).unwrap_or_default();
                match run_of(runs, asked_at) {
                    Some((run, state)) => set_outcome(job, Some(run_outcome(run, state, self.now))),
                    None if job.outcome.is_none() && self.now - asked_at >= self.following.max_time() => {
                        not_seen(job, JobReason::NotSeen { hours: self.following.max_hours }, self.now);
                    }
                    // A run that was seen and is gone may be followed by another one.
                    None => {}
                }
            }
            end_old(job, asked_at, self.following, self.now);
        }
    }

    /// When a job was asked for that was forwarded.
    fn asked_at(&self, place: usize) -> DateTime<Utc> {
        let action = self.request.actions.iter().rev().find(|action| action.jobs.contains(place));
        let asked_at = self.jobs[place].asked_at.or_else(|| action.map(|action| action.called_at));
        // Jobs that earlier versions forwarded have no time of their own.
        asked_at.or_else(|| self.request.created_at()).unwrap_or(self.now)
    }
}

/// Whether the job is a label whose action runs.
fn is_unmade_label(job: &RequestedJob) -> bool {
    job.destination == Destination::Taskcluster && job.state == JobState::Forwarded && job.outcome.is_none()
}

/// Gives a label its task, or says why there is none.
fn end_label(
    job: &mut RequestedJob,
    ending: &ActionEnding<'_>,
    looks: &Looks,
    following: Following,
    now: DateTime<Utc>,
) {
    match ending {
        ActionEnding::Ended { how, made } => match made.tasks.get(&job.name).map(|id| (id, looks.tasks.get(id))) {
            None | Some((_, Some(None))) => not_created(job, how, &made.log),
            Some((id, seen)) => {
                let run = RunOf::Task(id.clone());
                let outcome = seen.and_then(Option::as_ref).and_then(|task| task_outcome(task, Some(&run), now));
                let pending = Outcome { state: OutcomeState::Pending, result: None, run: Some(run), since: now };
                job.outcome = Some(outcome.unwrap_or(pending));
            }
        },
        ActionEnding::Forgotten => not_created(job, "Taskcluster does not know it any more", ""),
        ActionEnding::NotSeen => not_seen(job, end_not_seen(following), now),
    }
}

/// The first run since a job was asked for, and how far it is. Buildbot runs a job again by itself after `retry`.
fn run_of(runs: &[Sighting], asked_at: DateTime<Utc>) -> Option<(&Sighting, OutcomeState)> {
    let known = runs.iter().filter_map(|run| {
        let state = match (run.state.as_str(), run.result.as_str()) {
            ("unscheduled", _) => OutcomeState::Unscheduled,
            ("pending", _) => OutcomeState::Pending,
            ("running", _) => OutcomeState::Running,
            ("completed", "retry") => return None,
            ("completed", _) => OutcomeState::Completed,
            _ => return None,
        };
        // Treeherder's times are in whole seconds.
        (run.submitted_at >= asked_at.trunc_subsecs(0)).then_some((run, state))
    });
    known.min_by_key(|(run, _)| run.id)
}

fn run_outcome(run: &Sighting, state: OutcomeState, now: DateTime<Utc>) -> Outcome {
    let is_completed = state == OutcomeState::Completed;
    Outcome {
        state,
        result: is_completed.then(|| run.result.chars().take(MAX_RESULT).collect()),
        run: Some(RunOf::Job(run.id)),
        since: if state == OutcomeState::Pending { run.submitted_at } else { now },
    }
}

fn task_outcome(task: &SeenTask, run: Option<&RunOf>, now: DateTime<Utc>) -> Option<Outcome> {
    let (state, since) = (task.state()?, task.since.unwrap_or(now));
    Some(Outcome { state, result: task.result().map(str::to_owned), run: run.cloned(), since })
}

/// Sets the outcome of a job, unless it is what it was.
fn set_outcome(job: &mut RequestedJob, outcome: Option<Outcome>) {
    let what = |outcome: &Outcome| (outcome.state, outcome.result.clone(), outcome.run.clone());
    let Some(outcome) = outcome else { return };
    if job.outcome.as_ref().map(what) != Some(what(&outcome)) {
        job.outcome = Some(outcome);
    }
}

/// Ends a job that was followed for the longest time that is allowed.
fn end_old(job: &mut RequestedJob, asked_at: DateTime<Utc>, following: Following, now: DateTime<Utc>) {
    if is_followed(job) && now - asked_at >= following.followed_for() {
        not_seen(job, end_not_seen(following), now);
    }
}

fn end_not_seen(following: Following) -> JobReason {
    let hours = u32::try_from(following.followed_for().num_hours()).unwrap_or(u32::MAX);
    JobReason::EndNotSeen { hours }
}

/// The job is not followed any more.
fn not_seen(job: &mut RequestedJob, reason: JobReason, now: DateTime<Utc>) {
    let run = job.outcome.take().and_then(|outcome| outcome.run);
    job.outcome = Some(Outcome { state: OutcomeState::NotSeen, result: None, run, since: now });
    set_code(job, JobCode::NotSeen);
    job.reason = Some(reason);
}

/// The action of a label did not create its task.
fn not_created(job: &mut RequestedJob, how: &str, log: &str) {
    job.state = JobState::Failed;
    job.outcome = None;
    set_code(job, JobCode::NotCreated);
    job.reason = Some(JobReason::not_created(how, log));
}

/// Sets the code of a job. A build that the plan added keeps its own, which says that.
fn set_code(job: &mut RequestedJob, code: JobCode) {
    if job.is_asked_for() {
        job.code = Some(code);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn following_is_read_whole_or_not_at_all() {
        assert_eq!(Following::read("{}"), Ok(Following { max_hours: 24 }));
        assert_eq!(Following::read(r#"{"max_hours": 168}"#), Ok(Following { max_hours: 168 }));
        for (wrong, said) in [
            ("[]", "a JSON object"),
            (r#"{"max_hours": 0}"#, "max_hours is 1 to 168"),
            (r#"{"max_hours": 169}"#, "max_hours is 1 to 168"),
            (r#"{"hours": 1}"#, "a name or a value is not one that is expected, at line 1, column 8"),
        ] {
            let error = Following::read(wrong).unwrap_err();
            assert!(error.starts_with(said), "{error}");
        }
    }

    #[test]
    fn the_result_of_a_task_is_in_treeherders_words() {
        for (state, reason, result) in [
            ("completed", Some("completed"), Some("success")),
            ("failed", Some("failed"), Some("testfailed")),
            ("exception", Some("canceled"), Some("usercancel")),
            ("exception", Some("superseded"), Some("superseded")),
            ("exception", Some("deadline-exceeded"), Some("exception")),
            ("exception", None, Some("exception")),
            ("running", None, None),
            ("a new state", None, None),
        ] {
            let task = SeenTask { state: state.to_owned(), reason: reason.map(str::to_owned), since: None };
            assert_eq!((task.result(), task.has_ended()), (result, result.is_some()), "{state}");
        }
    }
}
