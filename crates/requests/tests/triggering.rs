//! What holds for the triggering of labels whatever fails, and whenever: no label is run twice, and none is lost.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use requests::action::ActionState;
use requests::id::RequestId;
use requests::job::RequestedJob;
use requests::new_request::NewRequest;
use requests::planning::Planning;
use requests::refusal::ActionRefusal;
use requests::request::Request;
use requests::state::{JobState, RequestState};
use requests::triggering::{Called, Change, Effect, LabelRun, Locked, Outage, Prepared, SEARCH_TIME, Searched};

/// How many labels an action takes in these tests.
const SLICE: usize = 2;

fn start() -> DateTime<Utc> {
    "2026-11-26T10:00:00Z".parse().expect("a time")
}

fn outage(error: &str) -> Outage {
    Outage { error: error.to_owned(), retry_after: None, is_rate_limit: false }
}

/// What happens to a call of the hook.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Answered,
    /// A task is made, the answer is lost, and the task can be found after these seconds.
    AnswerLost(i64),
    RequestLost,
    Unsent,
    Refused,
}

/// What happens at a step of a pass.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each is an event of its own")]
struct Luck {
    /// The process is killed before the effect.
    dies_before: bool,
    /// The process is killed after the effect, before it is given what came of it.
    dies_after: bool,
    /// The store, Taskcluster's search or its preparation fails.
    fails: bool,
    /// The process stands still after a change is stored.
    stalls: bool,
    fate: Fate,
    /// Which of the passes makes the step.
    pass: usize,
    /// Another pass starts.
    starts: bool,
    /// Seconds until the next step.
    seconds: i64,
    /// The actions that run end.
    ends: bool,
    /// The failed labels are retried, if the request is not open.
    retries: bool,
}

fn luck() -> impl Strategy<Value = Luck> {
    let fate = prop_oneof![
        3 => Just(Fate::Answered),
        2 => (0_i64..100).prop_map(Fate::AnswerLost),
        2 => Just(Fate::RequestLost),
        1 => Just(Fate::Unsent),
        1 => Just(Fate::Refused),
    ];
    let chance = |weight| prop::bool::weighted(weight);
    let seconds = prop_oneof![4 => Just(0_i64), 2 => 1_i64..20, 1 => 20_i64..400];
    let odds = (chance(0.05), chance(0.1), chance(0.2), chance(0.15), chance(0.15), chance(0.2), chance(0.1));
    (odds, fate, 0_usize..3, seconds).prop_map(
        |((dies_before, dies_after, fails, starts, ends, retries, stalls), fate, pass, seconds)| Luck {
            dies_before,
            dies_after,
            fails,
            stalls,
            fate,
            pass,
            starts,
            seconds,
            ends,
            retries,
        },
    )
}

/// Nothing fails.
const FINE: Luck = Luck {
    dies_before: false,
    dies_after: false,
    fails: false,
    stalls: false,
    fate: Fate::Answered,
    pass: 0,
    starts: false,
    seconds: 0,
    ends: false,
    retries: true,
};

/// A task that a hook made.
#[derive(Debug)]
struct Task {
    marker: String,
    labels: Vec<String>,
    visible_at: DateTime<Utc>,
    has_ended: bool,
}

/// The store, Taskcluster, and the passes that are under way.
struct World {
    now: DateTime<Utc>,
    request: Request,
    jobs: Vec<RequestedJob>,
    lock: Option<String>,
    tasks: Vec<Task>,
    passes: Vec<(LabelRun, Effect)>,
}

impl World {
    fn new(labels: usize) -> Self {
        let name = |label: usize| format!("test-{label}");
        // The last one is the build of every other one.
        let build = |label: usize| (label % 2 == 1 && label + 1 < labels).then(|| name(labels - 1));
        let jobs: Vec<RequestedJob> = (0..labels)
            .map(|label| RequestedJob { build: build(label), ..RequestedJob::accepted_label(&name(label)) })
            .collect();
        let person = "someone@mozilla.com".parse().expect("an address");
        let new_request = NewRequest::new("try", 1, person, Vec::new());
        let request = Request::new(RequestId::new(start(), 1), new_request, None, &jobs, start());
        let request = request.queued(start()).expect("it was accepted");
        Self { now: start(), request, jobs, lock: None, tasks: Vec::new(), passes: Vec::new() }
    }

    fn read(&self) -> (Request, Vec<RequestedJob>) {
        let mut jobs = requests::job::stored_form(&self.jobs);
        self.request.apply_actions(&mut jobs);
        (self.request.clone(), jobs)
    }

    fn start_pass(&mut self) {
        let (request, jobs) = self.read();
        if request.state.is_open() {
            let mut run = LabelRun::new(request, jobs, None);
            let effect = run.start(self.now);
            self.passes.push((run, effect));
        }
    }

    /// Stores a change if the request is as the pass saw it, or differs in what does not concern its labels.
    fn store(&mut self, seen: &Request, change: &Change) -> Option<(Request, Vec<RequestedJob>)> {
        let (current, jobs) = self.read();
        if current.actions != seen.actions || current.jobs_digest != seen.jobs_digest || !current.state.is_open() {
            return None;
        }
        let (next, jobs) = change.apply(&current, &jobs, &Planning::default(), self.now);
        (self.request, self.jobs) = (next.clone(), jobs.clone());
        Some((next, jobs))
    }

    /// Makes one step of a pass. Returns `None` if the pass ended.
    fn step(&mut self, mut run: LabelRun, effect: Effect, luck: &Luck) -> Option<(LabelRun, Effect)> {
        if luck.dies_before {
            return None;
        }
        let now = self.now;
        let mut next = match effect {
            Effect::Done => return None,
            Effect::Search { marker, .. } => {
                let found = self.tasks.iter().position(|task| task.marker == marker && task.visible_at <= now);
                let searched = match found {
                    _ if luck.fails => Searched::Failed("503".to_owned()),
                    Some(task) => Searched::Found(format!("task-{task}")),
                    None => Searched::Absent,
                };
                run.searched(searched, now)
            }
            Effect::Lock { marker } => {
                let holder = self.lock.get_or_insert_with(|| marker.clone()).clone();
                let is_stale = !self.request.needs_lock(&holder);
                if is_stale {
                    self.lock = Some(marker.clone());
                }
                run.locked(
                    if holder == marker || is_stale { Locked::Ours } else { Locked::Held { task_id: None } },
                    now,
                )
            }
            Effect::Prepare { labels, .. } => {
                let ready = Prepared::Ready { hook: "g/h".to_owned(), labels: labels.len().min(SLICE) };
                run.prepared(if luck.fails { Prepared::Unavailable(outage("503")) } else { ready }, now)
            }
            Effect::Store(change) => {
                let stored = self.store(run.request(), &change);
                let (request, jobs) = stored?;
                if luck.stalls {
                    self.now += SEARCH_TIME + TimeDelta::seconds(30);
                    // Another pass may do its work meanwhile.
                    self.settle();
                }
                run.stored(request, jobs, self.now)
            }
            Effect::Unlock { marker } => {
                if self.lock.as_deref() == Some(&marker) {
                    self.lock = None;
                }
                return None;
            }
            Effect::Call => unreachable!("it follows a change at once"),
        };
        if luck.dies_after {
            return None;
        }
        if next == Effect::Call {
            next = self.call(&mut run, luck)?;
        }
        Some((run, next))
    }

    /// A pass in which nothing fails.
    fn settle(&mut self) {
        let (request, jobs) = self.read();
        if !request.state.is_open() {
            return;
        }
        let mut run = LabelRun::new(request, jobs, None);
        let effect = run.start(self.now);
        let mut next = Some((run, effect));
        while let Some((run, effect)) = next.take() {
            next = self.step(run, effect, &FINE);
        }
    }

    fn call(&mut self, run: &mut LabelRun, luck: &Luck) -> Option<Effect> {
        let action = run.request().actions.last().expect("an action is called");
        let task = Task {
            marker: action.marker(run.request().id),
            labels: action.jobs.iter().map(|place| run.jobs()[place].name.clone()).collect(),
            visible_at: self.now,
            has_ended: false,
        };
        let called = match luck.fate {
            Fate::Answered => {
                self.tasks.push(task);
                Called::Task(format!("task-{}", self.tasks.len() - 1))
            }
            Fate::AnswerLost(seconds) => {
                self.tasks.push(Task { visible_at: self.now + TimeDelta::seconds(seconds), ..task });
                Called::Unanswered("cut".to_owned())
            }
            Fate::RequestLost => Called::Unanswered("cut".to_owned()),
            Fate::Unsent => Called::Unsent(outage("refused")),
            Fate::Refused => Called::Refused(ActionRefusal::Declined),
        };
        (!luck.dies_after).then(|| run.called(called, self.now))
    }

    /// The tasks of all actions that run end, as the follower records it.
    fn end_actions(&mut self) {
        let (mut request, mut jobs) = self.read();
        for action in request.actions.iter_mut().filter(|action| action.state == ActionState::Running) {
            action.state = ActionState::Ended;
            let task = action.task_id.as_deref().and_then(|id| id.strip_prefix("task-")).expect("a task");
            self.tasks[task.parse::<usize>().expect("a number")].has_ended = true;
            for place in action.jobs.iter() {
                jobs[place].outcome = Some(requests::outcome::Outcome {
                    state: requests::outcome::OutcomeState::Completed,
                    result: Some("success".to_owned()),
                    run: None,
                    since: self.now,
                });
            }
            if self.lock.as_deref() == Some(&*action.marker(request.id)) {
                self.lock = None;
            }
        }
        let poll = request.next_check(&jobs, &Planning::default(), self.now);
        (self.request, self.jobs) = (request.with_results(&jobs, poll, self.now), jobs);
    }

    fn retry(&mut self) {
        let (request, mut jobs) = self.read();
        if request.state.is_open() {
            return;
        }
        for job in jobs.iter_mut().filter(|job| job.state.can_be_retried()) {
            *job = RequestedJob { build: job.build.take(), ..RequestedJob::accepted_label(&job.name) };
        }
        if let Some(next) = request.retried(&jobs, None, self.now) {
            (self.request, self.jobs) = (next.queued(self.now).expect("it was accepted"), jobs);
        }
    }

    fn live(&mut self, luck: &Luck) {
        self.now += TimeDelta::seconds(luck.seconds);
        if luck.seconds > 60 {
            // A function does not run that long.
            self.passes.clear();
        }
        if luck.ends {
            self.end_actions();
        }
        if luck.retries {
            self.retry();
        }
        if luck.starts || self.passes.is_empty() {
            self.start_pass();
        }
        if self.passes.is_empty() {
            return;
        }
        let (run, effect) = self.passes.remove(luck.pass % self.passes.len());
        let next = self.step(run, effect, luck);
        self.passes.extend(next);
        self.check();
    }

    /// No label is in two tasks, and no test is made before its build.
    fn check(&self) {
        let mut runs: BTreeMap<&str, usize> = BTreeMap::new();
        for task in &self.tasks {
            for label in &task.labels {
                *runs.entry(label).or_default() += 1;
            }
        }
        assert!(runs.values().all(|count| *count == 1), "a label runs twice: {:#?}", self.tasks);
        let task_of = |label: &str| self.tasks.iter().position(|task| task.labels.iter().any(|name| name == label));
        for job in &self.jobs {
            if let (Some(test), Some(build)) = (task_of(&job.name), &job.build) {
                assert!(task_of(build).is_some_and(|build| build <= test), "{build} is not there: {:#?}", self.tasks);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_label_is_run_twice_and_none_is_lost(
        labels in 1_usize..6,
        turns in prop::collection::vec(luck(), 1..120),
    ) {
        let mut world = World::new(labels);
        for luck in &turns {
            world.live(luck);
        }
        // From now on all goes well, and what failed is retried.
        world.passes.clear();
        for turn in 0..600 {
            let seconds = if turn % 10 == 0 { 61 } else { 0 };
            world.live(&Luck { seconds, ends: turn % 10 == 9, ..FINE });
        }
        prop_assert!(world.now - start() >= SEARCH_TIME);
        prop_assert_eq!(world.request.state, RequestState::Finished, "{:#?} {:#?}", world.request, world.jobs);
        prop_assert!(world.jobs.iter().all(|job| job.state == JobState::Forwarded));
        prop_assert_eq!(world.tasks.iter().map(|task| task.labels.len()).sum::<usize>(), labels);
        prop_assert!(world.tasks.iter().all(|task| task.has_ended && task.labels.len() <= SLICE));
        // A pass that was overtaken may leave a lock, which the next action of the push takes over.
        prop_assert!(world.lock.is_none_or(|marker| !world.request.needs_lock(&marker)));
    }
}
