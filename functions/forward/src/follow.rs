//! Follows the jobs that were forwarded to their end. A round looks at the requests whose turn it is: it asks Treeherder
//! once about each push, and Taskcluster once about every thousand tasks, whatever the number of requests, and writes those
//! that changed.
//!
//! Nothing is written for what was not seen: a push about which Treeherder does not answer is looked at in the next round.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use catalog::taskcluster::TaskId;
use futures_util::StreamExt as _;
use futures_util::stream;
use requests::following::{Following, Looks, MadeTasks, SeenTask, Sighting, follow, names_to_follow, tasks_to_check};
use requests::id::RequestId;
use requests::job::RequestedJob;
use requests::pause::is_due;
use requests::request::Request;
use requests::state::RequestState;
use runtime::Clock;
use serde::Serialize;
use store::{RequestsTable, StoreError, UpdateResult};
use taskcluster::{MadeByAction, TaskState, TaskStatus, Taskcluster};
use tokio::time::Instant;
use treeherder::Treeherder;

/// Maximum number of requests that a round knows of.
const MAX_FOLLOWED: usize = 20_000;
/// How many requests are read at a time.
const READ_AT_ONCE: usize = 250;
/// How many jobs are in memory at a time, about: each has some 500 bytes.
const MAX_JOBS_AT_ONCE: usize = 100_000;
/// How many calls of Treeherder, of Taskcluster and of the store are made at a time, each.
const CONCURRENCY: usize = 8;
/// Maximum number of tasks that Taskcluster is asked about at once.
const TASKS_PER_CALL: usize = 1000;

/// What follows jobs.
pub struct Follower<'f> {
    /// The requests table.
    pub requests: &'f RequestsTable,
    /// Treeherder, which shows the runs of Buildbot jobs.
    pub treeherder: &'f Treeherder,
    /// Taskcluster, which knows the tasks of labels. `None` if none is configured.
    pub taskcluster: Option<&'f Taskcluster>,
    /// How jobs are followed.
    pub following: Following,
    /// The clock.
    pub clock: &'f Clock,
}

/// What a round did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FollowReport {
    /// Requests whose jobs are followed.
    pub followed: u32,
    /// Requests whose turn it was, and that were looked at.
    pub looked_at: u32,
    /// Requests that changed.
    pub changed: u32,
    /// Requests of these that ended.
    pub ended: u32,
    /// Requests whose turn it was, and that have to wait for their next turn: no time was left.
    pub left: u32,
    /// Requests that something else changed at the same time. The next round looks at them.
    pub conflicts: u32,
    /// Pushes about which Treeherder was asked.
    pub pushes: u32,
    /// Tasks about which Taskcluster was asked.
    pub tasks: u32,
    /// Actions that had ended, of which Taskcluster was asked what they made.
    pub actions: u32,
    /// Questions that Treeherder or Taskcluster did not answer. The next round asks again.
    pub unanswered: u32,
    /// Changes that could not be stored. The next round tries again.
    pub failed: u32,
    /// Stored items that cannot be read, and were skipped.
    pub damaged: u32,
    /// The first of the failures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A request with its jobs.
type Pair = (Request, Vec<RequestedJob>);

/// A change of a request that was to be stored.
enum Change {
    /// Nothing changed.
    None,
    /// It is stored.
    Stored,
    /// Something else changed the request.
    Conflict,
    /// It could not be stored.
    Failed(StoreError),
}

/// A running action of a request whose task has ended.
struct EndedAction<'r> {
    task: TaskId,
    state: TaskState,
    project: &'r str,
    push_id: u64,
    marker: String,
    labels: BTreeSet<&'r str>,
}

/// What became of tasks; `None` for one that Taskcluster does not know. Those that were not looked at are missing.
type Statuses = HashMap<TaskId, Option<TaskStatus>>;

impl FollowReport {
    fn unanswered(&mut self, reason: String) {
        self.unanswered += 1;
        self.error.get_or_insert(reason);
    }

    fn failed(&mut self, error: &StoreError) {
        self.failed += 1;
        self.error.get_or_insert_with(|| error.to_string());
    }
}

impl Follower<'_> {
    /// Looks at the requests whose turn it is. Nothing is asked after `until`.
    pub async fn round(&self, until: Option<Instant>) -> FollowReport {
        let damaged = self.requests.cost().damaged;
        let mut report = FollowReport::default();
        if let Err(error) = self.look_at_all(until, &mut report).await {
            report.failed(&error);
        }
        report.damaged = self.requests.cost().damaged - damaged;
        report
    }

    async fn look_at_all(&self, until: Option<Instant>, report: &mut FollowReport) -> Result<(), StoreError> {
        let followed = self.requests.followed(MAX_FOLLOWED).await?;
        report.followed = count(followed.len());
        let now = (self.clock)();
        // Those that changed last come first: something will most likely happen to them.
        let due = followed.iter().rev().filter(|request| is_due(request.changed_at, now)).map(|request| request.id);
        let due: Vec<RequestId> = due.collect();
        let mut left = &due[..];
        while !left.is_empty() {
            if until.is_some_and(|until| until <= Instant::now()) {
                report.left = count(left.len());
                break;
            }
            let mut requests: Vec<Pair> = Vec::new();
            let mut jobs = 0;
            while jobs < MAX_JOBS_AT_ONCE && !left.is_empty() {
                let (ids, rest) = left.split_at(left.len().min(READ_AT_ONCE));
                left = rest;
                let read = self.requests.read_all(ids).await?.into_iter();
                // The index is behind the table.
                requests.extend(read.filter(|(request, _)| request.state == RequestState::Forwarded));
                jobs = requests.iter().map(|(_, jobs)| jobs.len()).sum();
            }
            self.look_at(requests, until, report).await;
        }
        Ok(())
    }

    /// Looks at these requests, and stores what changed. Returns them in the same order as they are stored now, as far as
    /// that could be done: a request that something else changed at the same time is returned as it was.
    pub async fn look_at(&self, requests: Vec<Pair>, until: Option<Instant>, report: &mut FollowReport) -> Vec<Pair> {
        let looks = self.ask(&requests, until, report).await;
        report.looked_at += count(requests.len());
        let follow = requests.into_iter().map(|pair| self.follow(pair, &looks));
        let followed: Vec<(Pair, Change)> = stream::iter(follow).buffered(CONCURRENCY).collect().await;
        let stored = followed.into_iter().map(|(pair, change)| {
            match change {
                Change::None => {}
                Change::Stored => {
                    report.changed += 1;
                    report.ended += u32::from(pair.0.state.has_ended());
                }
                Change::Conflict => report.conflicts += 1,
                Change::Failed(error) => report.failed(&error),
            }
            pair
        });
        stored.collect()
    }

    /// Stores what changed of a request. Its jobs are written only if they are not as they are stored.
    async fn follow(&self, pair: Pair, looks: &Looks) -> (Pair, Change) {
        let now = (self.clock)();
        let (request, jobs) = &pair;
        let Some((next, after)) = follow(request, jobs, looks, self.following, now) else {
            return (pair, Change::None);
        };
        let changed = (next.jobs_digest != request.jobs_digest).then_some(&after[..]);
        match self.requests.update(&next, changed, now).await {
            Ok(UpdateResult::Stored) => ((next, after), Change::Stored),
            Ok(UpdateResult::Conflict) => (pair, Change::Conflict),
            Err(error) => (pair, Change::Failed(error)),
        }
    }

    /// Asks Treeherder and Taskcluster about all these requests.
    async fn ask(&self, requests: &[Pair], until: Option<Instant>, report: &mut FollowReport) -> Looks {
        let mut looks = Looks::default();
        let ids = requests.iter().flat_map(|(request, jobs)| tasks_to_check(request, jobs));
        let ids: BTreeSet<TaskId> = ids.filter_map(|id| id.parse().ok()).collect();
        let (pushes, (tasks, errors)) = tokio::join!(self.ask_treeherder(requests, until), self.ask_queue(&ids, until));
        report.pushes += count(pushes.len());
        report.tasks += count(ids.len());
        for error in errors {
            report.unanswered(error);
        }
        for ((project, push_id), found) in pushes {
            match found {
                Ok(sightings) => looks.saw_push(project, push_id, sightings),
                Err(error) => report.unanswered(error),
            }
        }
        see(&mut looks, &tasks);
        let ended = ended_actions(requests, &looks, &tasks);
        if !ended.is_empty() {
            self.read_ended(&ended, until, &mut looks, report).await;
        }
        looks
    }

    /// The runs of the followed Buildbot jobs on each push.
    async fn ask_treeherder<'r>(
        &self,
        requests: &'r [Pair],
        until: Option<Instant>,
    ) -> Vec<((&'r str, u64), Result<Vec<Sighting>, String>)> {
        let mut pushes: BTreeMap<(&str, u64), BTreeSet<String>> = BTreeMap::new();
        for (request, jobs) in requests {
            let names = names_to_follow(jobs);
            if !names.is_empty() {
                let push = pushes.entry((&request.project, request.push_id)).or_default();
                push.extend(names.into_iter().map(ToOwned::to_owned));
            }
        }
        let ask = pushes.into_iter().map(async |((project, push_id), names)| {
            let found = in_time(until, self.treeherder.sightings(project, push_id, &names)).await;
            ((project, push_id), found)
        });
        stream::iter(ask).buffer_unordered(CONCURRENCY).collect().await
    }

    /// What became of tasks, and why that is not known of some.
    async fn ask_queue(&self, ids: &BTreeSet<TaskId>, until: Option<Instant>) -> (Statuses, Vec<String>) {
        let ids: Vec<TaskId> = ids.iter().cloned().collect();
        let Some(taskcluster) = self.taskcluster.filter(|_| !ids.is_empty()) else { return Default::default() };
        let ask = ids.chunks(TASKS_PER_CALL).map(async |ids| {
            let ask = async { taskcluster.statuses(ids).await.map_err(|error| format!("Taskcluster: {error}")) };
            (ids, in_time(until, ask).await)
        });
        let answers: Vec<_> = stream::iter(ask).buffer_unordered(CONCURRENCY).collect().await;
        let (mut statuses, mut errors) = (Statuses::new(), Vec::new());
        for (ids, answer) in answers {
            match answer {
                Ok(mut found) => statuses.extend(ids.iter().map(|id| (id.clone(), found.remove(id)))),
                Err(error) => errors.push(error),
            }
        }
        (statuses, errors)
    }

    /// Unlocks the pushes of actions that have ended, and reads what these made.
    async fn read_ended(
        &self,
        ended: &[EndedAction<'_>],
        until: Option<Instant>,
        looks: &mut Looks,
        report: &mut FollowReport,
    ) {
        let Some(taskcluster) = self.taskcluster else { return };
        let read = ended.iter().map(async |action| {
            // Another action can begin, even if it is not known yet what this one made.
            let unlocked = self.requests.unlock_push(action.project, action.push_id, &action.marker).await;
            let made = async {
                let made = taskcluster.made_by(&action.task, action.state).await;
                made.map_err(|error| format!("Taskcluster: {error}"))
            };
            (action, unlocked, in_time(until, made).await)
        });
        let read: Vec<_> = stream::iter(read).buffer_unordered(CONCURRENCY).collect().await;
        report.actions += count(read.len());
        let mut made_by: Vec<(&EndedAction<'_>, MadeByAction)> = Vec::new();
        for (action, unlocked, made) in read {
            if let Err(error) = unlocked {
                report.failed(&error);
            }
            match made {
                Ok(mut made) => {
                    // Taskcluster lists everything that the action needed.
                    made.tasks.retain(|label, _| action.labels.contains(label.as_str()));
                    made_by.push((action, made));
                }
                Err(error) => report.unanswered(error),
            }
        }

        let ids: BTreeSet<TaskId> = made_by.iter().flat_map(|(_, made)| made.tasks.values().cloned()).collect();
        let (tasks, errors) = self.ask_queue(&ids, until).await;
        report.tasks += count(ids.len());
        for error in errors {
            report.unanswered(error);
        }
        see(looks, &tasks);
        for (action, made) in made_by {
            // Of the tasks that a failed action lists, not all exist.
            let is_known = action.state == TaskState::Completed || made.tasks.values().all(|id| tasks.contains_key(id));
            if is_known {
                let tasks = made.tasks.into_iter().map(|(label, id)| (label, id.as_str().to_owned())).collect();
                looks.saw_made(action.task.as_str(), MadeTasks { tasks, log: made.log });
            }
        }
    }
}

fn see(looks: &mut Looks, tasks: &Statuses) {
    for (id, status) in tasks {
        let seen = status.as_ref().map(|status| SeenTask {
            state: status.state.to_string(),
            reason: status.reason().map(ToOwned::to_owned),
            since: status.since(),
        });
        looks.saw_task(id.as_str(), seen);
    }
}

fn ended_actions<'r>(requests: &'r [Pair], looks: &Looks, tasks: &Statuses) -> Vec<EndedAction<'r>> {
    let mut ended = Vec::new();
    for (request, jobs) in requests {
        for action in looks.ended_actions(request) {
            let task = action.task_id.as_ref().and_then(|id| id.parse::<TaskId>().ok());
            let state = |task: TaskId| Some((tasks.get(&task)?.as_ref()?.state, task));
            let Some((state, task)) = task.and_then(state) else { continue };
            ended.push(EndedAction {
                task,
                state,
                project: &request.project,
                push_id: request.push_id,
                marker: action.marker(request.id),
                labels: action.jobs.iter().filter_map(|place| Some(jobs.get(place)?.name.as_str())).collect(),
            });
        }
    }
    ended
}

/// The answer to a question, unless it is too late to ask or takes too long.
async fn in_time<T>(until: Option<Instant>, ask: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let Some(until) = until else { return ask.await };
    let too_late = || Err("there was too little time to ask Treeherder and Taskcluster".to_owned());
    if until <= Instant::now() {
        return too_late();
    }
    tokio::time::timeout_at(until, ask).await.unwrap_or_else(|_| too_late())
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
