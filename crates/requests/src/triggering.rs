//! How labels become actions of Taskcluster, exactly once.
//!
//! A call of a hook is not idempotent, and its answer can be lost. So the call is recorded in the head of the request
//! before it is made, with a marker that travels in the action's input; and after a call whose answer is not known, the
//! action's task is searched for by the marker. The hook is called again only if there is certainly no task.
//!
//! [`LabelRun`] is the state machine of one pass over a request. It performs nothing itself: it names the next
//! [`Effect`], and is given what came of it. A pass may end between any two effects, because the process is killed or
//! the store does not answer; the next pass starts from the stored request.
//!
//! ```text
//!     decide ─► search ─► found: record its task ─► decide
//!        │         └────► absent for long enough ─► decide
//!        └────► lock the push ─► prepare ─► record the call ─► call ─► record its task ─► decide
//! ```
//!
//! A wait or a refusal is recorded wherever it comes up, and ends the pass.

mod change;

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};

use crate::action::{Action, ActionState, LabelWait, LabelWaitReason, Places};
use crate::job::RequestedJob;
use crate::refusal::ActionRefusal;
use crate::request::Request;

pub use self::change::Change;
use self::change::ChangeKind;

/// How long after a call its task may appear: the hooks service gives up after 30 s, and so does the client.
pub const SEARCH_TIME: TimeDelta = TimeDelta::minutes(2);
/// How long after the call was recorded it may be made. It has to end well before [`SEARCH_TIME`].
const MAX_CALL_DELAY: TimeDelta = TimeDelta::seconds(30);
/// The time until labels are tried again that wait for another action.
const ACTION_POLL_INTERVAL: TimeDelta = TimeDelta::minutes(1);
/// How often Taskcluster is tried in a row without an answer: with growing pauses some half an hour.
const MAX_ATTEMPTS: u32 = 5;
/// The first and the longest pause after Taskcluster did not answer.
const FIRST_PAUSE: TimeDelta = TimeDelta::minutes(1);
const MAX_PAUSE: TimeDelta = TimeDelta::minutes(16);

/// What a pass needs next.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Search for the task of an action by its marker.
    Search {
        /// The hook that was called.
        hook: String,
        /// The marker.
        marker: String,
        /// When it was called.
        since: DateTime<Utc>,
    },
    /// Lock the push for the action with this marker.
    Lock {
        /// The marker.
        marker: String,
    },
    /// Prepare an action, without credentials. It may take fewer of the labels, from the first on.
    Prepare {
        /// The marker.
        marker: String,
        /// The labels.
        labels: Vec<String>,
    },
    /// Change the stored request, unless something else changed it.
    Store(Change),
    /// Call the hook of the prepared action. Never repeated.
    Call,
    /// Unlock the push.
    Unlock {
        /// The marker of the action that locks it.
        marker: String,
    },
    /// The pass ends.
    Done,
}

/// What came of a search.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Searched {
    /// There is a task.
    Found(String),
    /// There is none now.
    Absent,
    /// It is not known, for this reason.
    Failed(String),
}

/// What came of locking a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Locked {
    /// The push is locked for this action.
    Ours,
    /// It is locked for another action.
    Held {
        /// That action's task, if it is known.
        task_id: Option<String>,
    },
}

/// What came of preparing an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prepared {
    /// The hook can be called.
    Ready {
        /// The hook, as `GROUP/ID`.
        hook: String,
        /// How many of the labels the action takes, at least one.
        labels: usize,
    },
    /// The labels cannot be run.
    Refused(ActionRefusal),
    /// Taskcluster does not answer.
    Unavailable(Outage),
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Called {
    /// The action's task.
    Task(String),
    /// There certainly is no task, and another call would be refused too.
    Refused(ActionRefusal),
    /// There certainly is no task, and another call may succeed.
    Unsent(Outage),
    /// There may be a task.
    Unanswered(String),
}

/// Why Taskcluster does not answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outage {
    /// The error.
    pub error: String,
    /// The pause that Taskcluster asks for.
    pub retry_after: Option<TimeDelta>,
    /// Whether Taskcluster refuses calls because there are too many.
    pub is_rate_limit: bool,
}

/// One pass over the labels of a request.
#[derive(Debug, Clone)]
pub struct LabelRun {
    request: Request,
    jobs: Vec<RequestedJob>,
    /// The task of an action that runs on the push, by Treeherder.
    other_action: Option<String>,
    absent: Vec<u32>,
    /// The jobs of the action that is prepared.
    places: Vec<usize>,
    then: Then,
}

/// What follows once a change is stored.
#[derive(Debug, Clone, PartialEq)]
enum Then {
    Decide,
    Call,
    Unlock(String),
    Done,
}

impl LabelRun {
    /// A pass over the labels of a request. `other_action` is the task of an action that Treeherder shows to be running on
    /// the push; its id may be empty if it is not known.
    pub fn new(request: Request, jobs: Vec<RequestedJob>, other_action: Option<String>) -> Self {
        Self { request, jobs, other_action, absent: Vec::new(), places: Vec::new(), then: Then::Done }
    }

    /// The request and its jobs as they are stored by now.
    pub fn into_parts(self) -> (Request, Vec<RequestedJob>) {
        (self.request, self.jobs)
    }

    /// The request as it is stored by now.
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// The jobs as they are stored by now.
    pub fn jobs(&self) -> &[RequestedJob] {
        &self.jobs
    }

    /// The first effect.
    pub fn start(&mut self, now: DateTime<Utc>) -> Effect {
        self.decide(now)
    }

    fn decide(&mut self, now: DateTime<Utc>) -> Effect {
        if self.request.label_wait.as_ref().is_some_and(|wait| wait.until > now) {
            return Effect::Done;
        }
        if let Some(action) = self.sought() {
            let (hook, since) = (action.hook.clone(), action.called_at);
            return Effect::Search { hook, marker: action.marker(self.request.id), since };
        }
        self.places = open_places(&self.jobs);
        if self.places.is_empty() {
            return Effect::Done;
        }
        if let Some(task_id) = self.other_action.clone() {
            return self.wait_for_action(Some(task_id).filter(|id| !id.is_empty()), now);
        }
        Effect::Lock { marker: self.next_marker() }
    }

    /// An action of which it is not known whether it has a task: one that was being triggered, or whose jobs failed so and
    /// are to be triggered again.
    fn sought(&self) -> Option<&Action> {
        let is_open = |place: usize| self.jobs.get(place).is_some_and(RequestedJob::is_open_label);
        self.request.actions.iter().filter(|action| !self.absent.contains(&action.number)).find(|action| {
            match action.state {
                ActionState::Triggering => true,
                ActionState::Uncertain => action.jobs.iter().any(is_open),
                ActionState::Running | ActionState::Ended => false,
            }
        })
    }

    /// The places of the labels, builds first: Taskcluster lets a test depend on the build that is there when the test is
    /// created, and that one may have failed.
    fn next_marker(&self) -> String {
        marker(&self.request, next_number(&self.request, &self.absent))
    }

    /// What came of [`Effect::Search`].
    pub fn searched(&mut self, found: Searched, now: DateTime<Utc>) -> Effect {
        let Some((number, called_at)) = self.sought().map(|action| (action.number, action.called_at)) else {
            return Effect::Done;
        };
        match found {
            Searched::Found(task_id) => self.store(ChangeKind::Task { number, task_id }, Then::Decide),
            Searched::Absent if now - called_at >= SEARCH_TIME => {
                self.absent.push(number);
                match self.request.label_wait.clone() {
                    Some(wait) if wait.attempts >= MAX_ATTEMPTS => {
                        let error = wait.error().unwrap_or_default();
                        self.refuse(ActionRefusal::Unavailable { message: error }, None)
                    }
                    _ => self.decide(now),
                }
            }
            Searched::Absent => {
                let error = self.request.label_wait.as_ref().and_then(LabelWait::error);
                let error = error.unwrap_or_else(|| "the call of the hook was cut off".to_owned());
                let mut wait = self.outage_wait(LabelWaitReason::Unanswered { error }, now);
                // That its task is not there yet is not a failure of its own.
                wait.attempts = wait.attempts.saturating_sub(1).max(1);
                wait.until = called_at + SEARCH_TIME;
                self.store(ChangeKind::Wait(wait), Then::Done)
            }
            Searched::Failed(error) => {
                let why = LabelWaitReason::Unanswered { error: error.clone() };
                let outage = Outage { error, retry_after: None, is_rate_limit: false };
                self.put_off(why, &outage, Some(number), Then::Done, now)
            }
        }
    }

    /// What came of [`Effect::Lock`].
    pub fn locked(&mut self, locked: Locked, now: DateTime<Utc>) -> Effect {
        match locked {
            Locked::Ours => {
                let labels = self.places.iter().map(|place| self.jobs[*place].name.clone()).collect();
                Effect::Prepare { marker: self.next_marker(), labels }
            }
            Locked::Held { task_id } => self.wait_for_action(task_id, now),
        }
    }

    /// What came of [`Effect::Prepare`].
    pub fn prepared(&mut self, prepared: Prepared, now: DateTime<Utc>) -> Effect {
        match prepared {
            Prepared::Ready { hook, labels } => {
                let mut places: Vec<usize> = self.places.iter().copied().take(labels).collect();
                places.sort_unstable();
                let places = Places::new(places);
                self.store(ChangeKind::Call { places, hook }, Then::Call)
            }
            Prepared::Refused(refusal) => self.refuse(refusal, None),
            Prepared::Unavailable(outage) => {
                let why = LabelWaitReason::Unavailable { error: outage.error.clone() };
                self.put_off(why, &outage, None, Then::Unlock(self.next_marker()), now)
            }
        }
    }

    /// What came of [`Effect::Store`]: the request and its jobs as they are stored now.
    pub fn stored(&mut self, request: Request, jobs: Vec<RequestedJob>, now: DateTime<Utc>) -> Effect {
        (self.request, self.jobs) = (request, jobs);
        self.absent.clear();
        match std::mem::replace(&mut self.then, Then::Done) {
            Then::Decide => self.decide(now),
            Then::Call if self.sought().is_some_and(|action| now - action.called_at <= MAX_CALL_DELAY) => Effect::Call,
            Then::Unlock(marker) => Effect::Unlock { marker },
            // Without a call, the process stood still meanwhile.
            Then::Call | Then::Done => Effect::Done,
        }
    }

    /// What came of [`Effect::Call`].
    pub fn called(&mut self, called: Called, now: DateTime<Utc>) -> Effect {
        let Some(number) = self.sought().map(|action| action.number) else { return Effect::Done };
        match called {
            Called::Task(task_id) => self.store(ChangeKind::Task { number, task_id }, Then::Decide),
            Called::Refused(refusal) => {
                self.absent.push(number);
                self.refuse(refusal, None)
            }
            Called::Unsent(outage) => {
                let marker = marker(&self.request, number);
                self.absent.push(number);
                let why = LabelWaitReason::Unavailable { error: outage.error.clone() };
                self.put_off(why, &outage, None, Then::Unlock(marker), now)
            }
            Called::Unanswered(error) => {
                // Its task is usually there at once. The error is kept for the case that it is not.
                let wait = self.outage_wait(LabelWaitReason::Unanswered { error }, now);
                self.request.label_wait = Some(wait);
                self.decide(now)
            }
        }
    }

    fn wait_for_action(&mut self, task_id: Option<String>, now: DateTime<Utc>) -> Effect {
        let earlier = self.request.label_wait.as_ref();
        let since = earlier.filter(|wait| matches!(wait.why, LabelWaitReason::ActionRuns { .. }));
        let wait = LabelWait {
            why: LabelWaitReason::ActionRuns { task_id },
            since: since.map_or(now, |wait| wait.since),
            until: now + ACTION_POLL_INTERVAL,
            attempts: 0,
        };
        self.store(ChangeKind::Wait(wait), Then::Done)
    }

    /// The wait after Taskcluster did not answer once more.
    fn outage_wait(&self, why: LabelWaitReason, now: DateTime<Utc>) -> LabelWait {
        let earlier = self.request.label_wait.as_ref();
        let earlier = earlier.filter(|wait| !matches!(wait.why, LabelWaitReason::ActionRuns { .. }));
        LabelWait {
            why,
            since: earlier.map_or(now, |wait| wait.since),
            until: now,
            attempts: earlier.map_or(0, |wait| wait.attempts) + 1,
        }
    }

    /// Puts the labels off after an outage, or fails them if there were too many. `uncertain` is an action that may have a
    /// task.
    fn put_off(
        &mut self,
        why: LabelWaitReason,
        outage: &Outage,
        uncertain: Option<u32>,
        then: Then,
        now: DateTime<Utc>,
    ) -> Effect {
        let mut wait = self.outage_wait(why, now);
        if wait.attempts > MAX_ATTEMPTS {
            let refusal = if outage.is_rate_limit {
                ActionRefusal::RateLimited
            } else {
                ActionRefusal::Unavailable { message: outage.error.clone() }
            };
            return self.refuse(refusal, uncertain);
        }
        let growing = FIRST_PAUSE * 2_i32.pow(wait.attempts.saturating_sub(1).min(10));
        wait.until = now + outage.retry_after.unwrap_or_default().max(growing).min(MAX_PAUSE);
        self.store(ChangeKind::Wait(wait), then)
    }

    /// Fails the labels, and unlocks the push.
    fn refuse(&mut self, refusal: ActionRefusal, uncertain: Option<u32>) -> Effect {
        // The lock is that of the action that has no task, or of the one that was about to be made.
        let number = uncertain.or(self.absent.last().copied());
        let number = number.unwrap_or_else(|| next_number(&self.request, &self.absent));
        let then = Then::Unlock(marker(&self.request, number));
        self.store(ChangeKind::Refuse { refusal, uncertain }, then)
    }

    fn store(&mut self, kind: ChangeKind, then: Then) -> Effect {
        self.then = then;
        Effect::Store(Change { absent: self.absent.clone(), kind })
    }
}

impl LabelWait {
    /// The error, if Taskcluster did not answer.
    fn error(&self) -> Option<String> {
        match &self.why {
            LabelWaitReason::ActionRuns { .. } => None,
            LabelWaitReason::Unavailable { error } | LabelWaitReason::Unanswered { error } => Some(error.clone()),
        }
    }
}

fn marker(request: &Request, number: u32) -> String {
    format!("{}.{number}", request.id)
}

/// The number of the next action. That of an action that has no task is used again: a task that appears late is then
/// found.
fn next_number(request: &Request, absent: &[u32]) -> u32 {
    let actions = request.actions.iter().filter(|action| !absent.contains(&action.number));
    actions.map(|action| action.number).max().unwrap_or_default() + 1
}

/// The places of the labels that are to be triggered, in the order in which actions take them: builds that others of them
/// need come first.
pub fn open_places(jobs: &[RequestedJob]) -> Vec<usize> {
    let open = || jobs.iter().enumerate().filter(|(_, job)| job.is_open_label());
    let builds: HashSet<&str> = open().filter_map(|(_, job)| job.build.as_deref()).collect();
    let (mut places, tests): (Vec<usize>, Vec<usize>) =
        open().map(|(place, _)| place).partition(|place| builds.contains(jobs[*place].name.as_str()));
    places.extend(tests);
    places
}
