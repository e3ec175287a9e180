//! What holds for any request.

use std::collections::HashSet;

use catalog::list::Names;
use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use requests::destination::Destination;
use requests::id::RequestId;
use requests::idempotency::{ClaimStatus, IdempotencyKey};
use requests::job::{RequestedJob, digest};
use requests::new_request::NewRequest;
use requests::outcome::{Outcome, OutcomeState};
use requests::planning::{
    AlreadyRunning, PlanContext, Planning, Run, RunState, Runs, missing_builds, names_to_check, plan,
};
use requests::rate_limits::{RateLimits, Spent, Window};
use requests::request::Request;
use requests::resolve::{Renames, resolve_names};
use requests::state::{JobState, RequestState};

/// Names of few words, so that many are equal, near, or renamed.
fn name() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "Linux",
        "Rev5 MacOSX Yosemite 10.10",
        "Rev7 MacOSX Yosemite 10.10.5",
        "try",
        "opt",
        "test",
        "mochitest-1",
        "mochitest-2",
        "\u{e9}",
    ]);
    prop::collection::vec(word, 1..4).prop_map(|words| words.join(" "))
}

fn start() -> DateTime<Utc> {
    "2026-11-23T06:00:00Z".parse().expect("a time")
}

fn new_request(names: Vec<String>) -> NewRequest {
    NewRequest::new("try", 1, "someone@mozilla.com".parse().expect("an address"), names)
}

fn request(jobs: &[RequestedJob]) -> Request {
    Request::new(RequestId::new(start(), 1), new_request(Vec::new()), None, jobs, start())
}

/// What can happen to a request.
#[derive(Debug, Clone)]
enum Happens {
    Queued,
    PutOff,
    Ends(Vec<JobState>),
    GivenUp,
    Retried,
}

fn happens() -> impl Strategy<Value = Happens> {
    let state = prop::sample::select(vec![JobState::Forwarded, JobState::Failed, JobState::Unroutable]);
    prop_oneof![
        Just(Happens::Queued),
        Just(Happens::PutOff),
        prop::collection::vec(state, 3).prop_map(Happens::Ends),
        Just(Happens::GivenUp),
        Just(Happens::Retried),
    ]
}

/// Runs of some of the jobs of `requested`; none: Treeherder does not answer.
fn runs() -> impl Strategy<Value = Option<Runs>> {
    prop::option::weighted(0.8, words()).prop_map(|words| Some(runs_of(&words?)))
}

/// A job's name, and Treeherder's words for the state and the result of a run of it.
type Words = (&'static str, &'static str, &'static str);

/// Results of a run that does not count.
const NOTHING: [&str; 5] = ["superseded", "coalesced", "usercancel", "retry", "skipped"];

fn words() -> impl Strategy<Value = Vec<Words>> {
    let underway = prop::sample::select(vec!["unscheduled", "pending", "running"]).prop_map(|state| (state, "unknown"));
    let ended = prop::sample::select(vec!["success", "testfailed", "busted", "exception", "new"]);
    let nothing = prop::sample::select(NOTHING.to_vec());
    let word = prop_oneof![
        underway,
        ended.prop_map(|result| ("completed", result)),
        nothing.prop_map(|result| ("completed", result)),
    ];
    let name = prop::sample::select(vec!["build 1", "build 2", "test 1", "test 2", "test 3"]);
    prop::collection::vec((name, word).prop_map(|(name, (state, result))| (name, state, result)), 0..6)
}

/// The runs of which Treeherder says this, with numbers from 1.
fn runs_of(words: &[Words]) -> Runs {
    let mut runs = Runs::default();
    for (id, (name, state, result)) in (1..).zip(words) {
        if let Some(state) = RunState::of(state, result) {
            runs.add((*name).to_owned(), Run { id, state });
        }
    }
    runs
}

/// Two tests of one build, one of another, one without, and perhaps that other build.
fn requested(with_build: bool) -> Vec<RequestedJob> {
    let test = |name, build: &str| RequestedJob { build: Some(build.to_owned()), ..RequestedJob::accepted(name) };
    let mut jobs = vec![test("test 1", "build 1"), test("test 2", "build 1"), test("test 3", "build 2")];
    jobs.push(RequestedJob::accepted("test without a build"));
    jobs.extend(with_build.then(|| RequestedJob::accepted("build 2")));
    jobs
}

/// What Treeherder says of tasks and of the builds of builders.
fn words_of_tasks() -> impl Strategy<Value = Vec<Words>> {
    let results = ["success", "testfailed", "busted", "usercancel", "retry"];
    let word = prop_oneof![
        prop::sample::select(vec!["unscheduled", "running"]).prop_map(|state| (state, "unknown")),
        prop::sample::select(results.to_vec()).prop_map(|result| ("completed", result)),
    ];
    let name = prop::sample::select(vec!["b/1", "b/2", "t/1", "t/2", "build 1", "build 2", "test 1"]);
    prop::collection::vec((name, word).prop_map(|(name, (state, result))| (name, state, result)), 0..6)
}

fn runs_of_tasks(words: &[Words]) -> Runs {
    let mut runs = Runs::default();
    for (id, (name, state, result)) in (1..).zip(words) {
        let of = if name.contains('/') { RunState::of_task } else { RunState::of };
        if let Some(state) = of(state, result) {
            runs.add((*name).to_owned(), Run { id, state });
        }
    }
    runs
}

/// What happens to the open labels of a request between two plans.
#[derive(Debug, Clone, Copy)]
enum LabelTurn {
    Wait,
    Trigger,
    Run,
    End(&'static str),
    Fail,
}

impl LabelTurn {
    fn apply(self, job: &mut RequestedJob) {
        job.state = match (self, job.state) {
            (Self::Wait, JobState::Accepted) => JobState::Waiting,
            (Self::Trigger, JobState::Accepted | JobState::Waiting) => JobState::Triggering,
            (Self::Run | Self::End(_), JobState::Triggering) => JobState::Forwarded,
            (Self::Fail, JobState::Triggering) => JobState::Failed,
            (_, state) => state,
        };
        if let (Self::End(result), JobState::Forwarded) = (self, job.state) {
            let (state, result) = (OutcomeState::Completed, Some(result.to_owned()));
            job.outcome = Some(Outcome { state, result, run: None, since: start() });
        }
    }
}

fn label_turn() -> impl Strategy<Value = LabelTurn> {
    let ended = prop::sample::select(vec!["success", "busted"]).prop_map(LabelTurn::End);
    let other = vec![LabelTurn::Wait, LabelTurn::Trigger, LabelTurn::Run, LabelTurn::Fail];
    prop_oneof![ended, prop::sample::select(other)]
}

/// The jobs of `requested`, two labels of one build, one of another, one without, and perhaps that other build.
fn mixed(with_builds: bool) -> Vec<RequestedJob> {
    let label =
        |name, build: &str| RequestedJob { build: Some(build.to_owned()), ..RequestedJob::accepted_label(name) };
    let mut jobs = requested(with_builds);
    jobs.splice(1..1, [label("t/1", "b/1"), label("t/2", "b/1")]);
    jobs.extend([label("t/3", "b/2"), RequestedJob::accepted_label("t/without a build")]);
    jobs.extend(with_builds.then(|| RequestedJob::accepted_label("b/2")));
    jobs
}

proptest! {
    #[test]
    fn mixed_requests_lose_no_job_and_plan_none_twice(
        turns in prop::collection::vec((
            prop::option::weighted(0.8, words_of_tasks()),
            1_i64..300,
            prop::sample::select(vec![JobState::Accepted, JobState::Forwarded, JobState::Failed]),
            prop::collection::vec((label_turn(), any::<bool>()), 8),
        ), 1..12),
        with_builds: bool,
        skip: bool,
    ) {
        let already_running = if skip { AlreadyRunning::Skip } else { AlreadyRunning::Trigger };
        let planning = Planning { already_running, ..Planning::default() };
        let asked = mixed(with_builds);
        let (mut jobs, mut now) = (asked.clone(), start());
        for (batch, (words, minutes, outcome, label_turns)) in (1..).zip(turns) {
            let runs = words.as_deref().map(runs_of_tasks);
            let context = PlanContext { now, batch, is_repeat: false };
            let planned = plan(&jobs, runs.as_ref(), &planning, context);
            prop_assert_eq!(&plan(&planned, runs.as_ref(), &planning, context), &planned, "to plan twice is to plan once");
            // Nothing is lost, moved, or sent elsewhere, and what is added is a build, once.
            let distinct: HashSet<&str> = planned.iter().map(|job| job.name.as_str()).collect();
            prop_assert_eq!(distinct.len(), planned.len());
            for (before, after) in jobs.iter().zip(&planned) {
                prop_assert_eq!((&before.name, before.destination), (&after.name, after.destination));
            }
            for added in &planned[asked.len()..] {
                let to = if added.name.contains('/') { Destination::Taskcluster } else { Destination::Pulse };
                prop_assert_eq!((added.name.starts_with('b'), added.destination), (true, to));
            }
            // Builders are planned as they are without labels.
            let builders = |jobs: &[RequestedJob]| -> Vec<RequestedJob> {
                jobs.iter().filter(|job| job.destination == Destination::Pulse).cloned().collect()
            };
            prop_assert_eq!(builders(&planned), plan(&builders(&jobs), runs.as_ref(), &planning, context));
            for (place, after) in planned.iter().enumerate().filter(|(_, job)| job.destination != Destination::Pulse) {
                prop_assert_eq!(after.build_wait, None);
                let Some(before) = jobs.get(place) else { continue };
                let was_open = before.is_open_label() && before.state != JobState::Triggering;
                let is_again = before.state != after.state && after.state == JobState::Accepted;
                prop_assert!(was_open || before == after || (is_again && after.name.starts_with('b')));
                prop_assert!(before.state == after.state || after.state == JobState::Rejected || is_again);
            }
            // A label whose build failed goes with a build, or after one that Treeherder does not show yet.
            for label in planned.iter().filter(|job| job.is_open_label() && job.state != JobState::Triggering) {
                let names = names_to_check(&planned, &planning);
                prop_assert!(label.build.as_deref().is_none_or(|build| names.contains(build)));
                let (Some(words), Some(build)) = (&words, label.build.as_deref()) else { continue };
                let of_build = || words.iter().filter(|word| word.0 == build && word.2 != "retry");
                let has_failed = of_build().count() > 0
                    && of_build().all(|(_, state, result)| *state == "completed" && *result != "success");
                let requested = planned.iter().find(|job| job.name == build);
                let is_coming = requested.is_some_and(|job| {
                    job.is_open_label()
                        || (job.state == JobState::Forwarded
                            && job.outcome.as_ref().is_none_or(|outcome| !outcome.has_ended() || outcome.is_success()))
                });
                prop_assert!(!has_failed || is_coming, "{:?}", planned);
                let is_missing = missing_builds(&planned, runs.as_ref()).contains(&build.to_owned());
                let is_open = requested.is_some_and(|job| job.is_open_label() && job.state != JobState::Triggering);
                prop_assert_eq!(is_missing, of_build().count() == 0 && !is_open);
            }
            jobs = planned;
            for job in jobs.iter_mut().filter(|job| job.destination == Destination::Pulse) {
                if job.state == JobState::Accepted {
                    job.state = outcome;
                }
            }
            let labels = jobs.iter_mut().filter(|job| job.destination == Destination::Taskcluster);
            for (job, (turn, _)) in labels.zip(label_turns).filter(|(_, (_, is_its_turn))| *is_its_turn) {
                turn.apply(job);
            }
            now += TimeDelta::minutes(minutes);
        }
    }

    #[test]
    fn no_planned_job_is_lost_or_waits_forever(
        turns in prop::collection::vec((runs(), 1_i64..300, prop::sample::select(vec![
            JobState::Accepted, JobState::Forwarded, JobState::Unroutable, JobState::Failed,
        ])), 1..20),
        with_build: bool,
    ) {
        let planning = Planning::default();
        let asked = requested(with_build);
        let (mut jobs, mut now) = (asked.clone(), start());
        for (batch, (runs, minutes, outcome)) in (1..).zip(turns) {
            let context = PlanContext { now, batch, is_repeat: batch > 1 };
            let planned = plan(&jobs, runs.as_ref(), &planning, context);
            prop_assert_eq!(&plan(&planned, runs.as_ref(), &planning, context), &planned, "to plan twice is to plan once");
            let names: Vec<&str> = planned.iter().map(|job| job.name.as_str()).collect();
            prop_assert_eq!(names.iter().collect::<HashSet<_>>().len(), names.len());
            prop_assert!(planned.len() <= asked.len() + 2);
            for (before, after) in jobs.iter().zip(&planned) {
                prop_assert_eq!(&before.name, &after.name);
                // What is forwarded once is forwarded again in the same part: its message is the same one.
                let was_decided = batch > 1 && before.state == JobState::Accepted;
                if before.state == JobState::Waiting && after.state == JobState::Accepted {
                    prop_assert!(after.batch == batch);
                } else if was_decided && runs.is_some() && before.batch > 0 {
                    prop_assert_eq!(before, after);
                }
                prop_assert!(after.state != JobState::Waiting || (after.build_wait.is_some() && after.reason.is_some()));
            }
            let waited_enough = |job: &RequestedJob| job.build_wait.is_some_and(|build_wait| now - build_wait.since >= TimeDelta::hours(12));
            prop_assert!(!planned.iter().any(waited_enough));
            jobs = planned;
            for job in &mut jobs {
                if job.state == JobState::Accepted {
                    job.state = outcome;
                }
            }
            now += TimeDelta::minutes(minutes);
        }
    }

    #[test]
    fn runs_that_do_not_count_change_nothing_and_are_never_called_failures(said_of_runs in words(), with_build: bool) {
        let counts: Vec<Words> =
            said_of_runs.iter().copied().filter(|(_, state, result)| RunState::of(state, result).is_some()).collect();
        let context = PlanContext { now: start(), batch: 1, is_repeat: false };
        let planned = |words: &[Words]| plan(&requested(with_build), Some(&runs_of(words)), &Planning::default(), context);
        let without_numbers = |jobs: Vec<RequestedJob>| -> Vec<RequestedJob> {
            jobs.into_iter().map(|job| RequestedJob { build_wait: None, ..job }).collect()
        };
        let all = planned(&said_of_runs);
        for job in &all {
            let said = job.reason_text().unwrap_or_default();
            prop_assert!(!NOTHING.iter().any(|word| said.contains(word)), "{}", said);
        }
        // A build that left packages, be it orange, is not requested again, and its tests go.
        for build in ["build 1", "build 2"] {
            let is_there = said_of_runs.iter().any(|(name, state, result)| {
                *name == build && *state == "completed" && ["success", "testfailed"].contains(result)
            });
            let tests: Vec<&RequestedJob> = all.iter().filter(|job| job.build.as_deref() == Some(build)).collect();
            prop_assert_eq!(tests.iter().all(|job| job.state == JobState::Accepted), is_there);
            let is_added = all.iter().any(|job| job.name == build && !job.is_asked_for());
            prop_assert!(!(is_there && is_added));
        }
        prop_assert_eq!(without_numbers(all), without_numbers(planned(&counts)));
    }

    #[test]
    fn each_name_is_resolved_once_and_every_accepted_job_exists(
        known in prop::collection::vec(name(), 0..8),
        asked in prop::collection::vec(name(), 1..12),
    ) {
        let names = Names::new(known.iter().map(|name| (name.as_str(), None)));
        let jobs = resolve_names(&asked, &names, &Renames::default());
        let distinct: HashSet<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
        prop_assert_eq!(distinct.len(), jobs.len());
        for job in &jobs {
            let exists = known.contains(&job.name);
            prop_assert_eq!(exists, job.state == JobState::Accepted);
            prop_assert!(asked.contains(job.requested_name.as_ref().unwrap_or(&job.name)));
            prop_assert!(job.suggestion.as_ref().is_none_or(|suggestion| known.contains(suggestion)));
        }
        for name in &asked {
            let is_told = |job: &RequestedJob| job.name == *name || job.requested_name.as_ref() == Some(name);
            // Or a name before it is the same job.
            let is_other_name = jobs.iter().any(|job| name.replace("Rev5 MacOSX Yosemite 10.10", "Rev7 MacOSX Yosemite 10.10.5") == job.name);
            prop_assert!(jobs.iter().any(is_told) || is_other_name, "{}", name);
        }
    }

    #[test]
    fn the_same_names_in_any_order_are_the_same_request(
        mut names in prop::collection::vec(name(), 1..6),
        other in name(),
    ) {
        let key = |names: &[String]| IdempotencyKey::from_content(&new_request(names.to_vec()));
        let first = key(&names);
        names.reverse();
        names.push(names[0].clone());
        prop_assert_eq!(&first, &key(&names));
        if !names.contains(&other) {
            names.push(other);
            prop_assert_ne!(first, key(&names));
        }
    }

    #[test]
    fn a_claim_never_means_two_things_and_ends(after in 0_i64..200_000, is_stored: bool, is_other: bool) {
        let key = IdempotencyKey::from_header("k", &new_request(Vec::new())).expect("a key");
        let claim = key.claim(RequestId::new(start(), 1), start());
        let fingerprint = if is_other { "other" } else { &key.fingerprint };
        let status = claim.status(fingerprint, start() + TimeDelta::seconds(after), is_stored);
        let expected = match () {
            () if after >= 86_400 || (!is_stored && after >= 30) => ClaimStatus::Expired,
            () if is_other => ClaimStatus::Mismatch,
            () if is_stored => ClaimStatus::Replay,
            () => ClaimStatus::InProgress,
        };
        prop_assert_eq!(status, expected);
    }

    #[test]
    fn no_requester_exceeds_the_limits(requests in prop::collection::vec((0_u32..4000, 0_i64..7200), 1..60)) {
        let limits = RateLimits::default();
        let mut requests = requests;
        requests.sort_by_key(|(_, second)| *second);
        let (mut spent, mut last) = (Spent::default(), Window::at(start()));
        for (jobs, second) in requests {
            let window = Window::at(start() + TimeDelta::seconds(second));
            if window.hour != last.hour {
                spent = Spent::default();
            } else if window.minute != last.minute {
                spent.requests = 0;
            }
            last = window;
            match limits.check(spent, jobs, window) {
                Ok(()) => spent = Spent { jobs: spent.jobs + jobs, requests: spent.requests + 1 },
                Err(exceeded) => prop_assert!((1..=3600).contains(&exceeded.retry_after)),
            }
            prop_assert!(spent.jobs <= 3000 && spent.requests <= 30);
        }
    }

    #[test]
    fn versions_and_attempts_only_grow_and_the_history_stays_small(
        events in prop::collection::vec(happens(), 0..300),
    ) {
        let mut jobs = ["a", "b", "c"].map(RequestedJob::accepted).to_vec();
        let mut now = start();
        let mut request = request(&jobs);
        for event in events {
            now += TimeDelta::seconds(1);
            let before = request.clone();
            let next = match event {
                Happens::Queued => request.queued(now),
                Happens::PutOff => Some(request.postponed(now)),
                Happens::Ends(states) if request.state == RequestState::Queued => {
                    for (job, state) in jobs.iter_mut().zip(states) {
                        job.state = state;
                    }
                    Some(request.with_results(&jobs, Planning::default().next_poll(&jobs, now), now))
                }
                Happens::GivenUp if request.is_overdue(Planning::default().max_wait(), now + TimeDelta::days(1)) => {
                    let (next, left) = request.given_up(&jobs, now);
                    prop_assert!(!next.state.is_open() && left.iter().all(|job| job.state != JobState::Accepted));
                    jobs = left;
                    Some(next)
                }
                Happens::Ends(_) | Happens::GivenUp => None,
                Happens::Retried => {
                    let again: Vec<RequestedJob> = jobs
                        .iter()
                        .map(|job| if job.state.can_be_retried() { RequestedJob::accepted(&job.name) } else { job.clone() })
                        .collect();
                    let next = request.retried(&again, None, now);
                    if next.is_some() {
                        jobs = again;
                    }
                    next
                }
            };
            let Some(next) = next else { continue };
            prop_assert_eq!(next.version, before.version + 1);
            prop_assert!(next.attempt == before.attempt || (next.attempt == before.attempt + 1 && next.state == RequestState::Accepted));
            prop_assert_eq!(next.history.first(), before.history.first());
            prop_assert!(next.history.len() <= 51);
            let happened = |request: &Request| request.history.len() as u64 + request.events_left_out;
            let more = happened(&next) - happened(&before);
            prop_assert!(more <= 1 && (more == 1) == (next.history.last() != before.history.last()));
            prop_assert!(next.events_left_out == 0 || next.history.len() == 51);
            prop_assert_eq!(next.job_counts.values().sum::<u32>(), 3);
            prop_assert_eq!(&next.jobs_digest, &digest(&jobs));
            prop_assert_eq!(next.created_at(), Some(start()));
            request = next;
        }
    }
}
