//! What is to be done with the jobs of a request: a test needs its build, and what Treeherder tells of that on the push
//! decides whether the test is forwarded, or waits, and whether the build is requested too.
//!
//! | the build on the push | the test |
//! | --- | --- |
//! | a run of it succeeded | is forwarded |
//! | is pending or running | waits |
//! | failed, or is not there | waits; the build is requested too |
//! | Treeherder does not answer | is forwarded, and that is said |
//! | the test needs none | is forwarded |
//!
//! A test that waits is looked at again: it is forwarded once its build succeeded, and closed if the build fails, could not
//! be requested, or takes too long.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use crate::read_object;
use crate::request::{Code, Job, JobState, Waits};

/// The longest time between two looks at a job that waits.
const LONGEST_PAUSE: TimeDelta = TimeDelta::minutes(30);

/// How jobs are planned, as it is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Planning {
    /// What happens to a job that the push has already, and that has not ended yet.
    pub already_running: AlreadyRunning,
    /// How many hours a job waits for its build at most.
    pub most_hours: u32,
    /// After how many seconds a job that waits is first looked at again. The pauses grow with the time that it waits.
    pub first_look_seconds: u32,
}

/// What happens to a job that the push has already, and that has not ended yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlreadyRunning {
    /// It is triggered once more.
    Trigger,
    /// It is left alone.
    Skip,
}

/// A run of a job on a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its number in Treeherder: later runs have higher ones.
    pub id: u64,
    /// How far it is.
    pub state: RunState,
}

/// How far a run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunState {
    /// It has not begun.
    Pending,
    /// It has begun, and not ended.
    Running,
    /// It ended well.
    Succeeded,
    /// It ended otherwise: in Treeherder's word, such as `busted`.
    Ended(String),
}

/// The runs of some jobs on a push, by the jobs' names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Runs(HashMap<String, Vec<Run>>);

/// When jobs are planned.
#[derive(Debug, Clone, Copy)]
pub struct Turn {
    /// Now.
    pub now: DateTime<Utc>,
    /// The number of the part that the jobs are whose build is done now.
    pub part: u64,
    /// Whether it may be that jobs were forwarded already and that this was not recorded: what runs may then be ours.
    pub is_repeat: bool,
}

/// What is known of a build.
enum Build<'r> {
    Succeeded,
    /// In Treeherder's word.
    Underway(&'static str),
    /// With this result.
    Failed(&'r str),
    Absent,
}

impl Default for Planning {
    fn default() -> Self {
        Self { already_running: AlreadyRunning::Trigger, most_hours: 12, first_look_seconds: 120 }
    }
}

impl Planning {
    /// Reads it from JSON; what is left out is as by default.
    ///
    /// # Errors
    /// A sentence that tells what is wrong.
    pub fn read(json: &str) -> Result<Self, String> {
        let read: Self = read_object("planning", json)?;
        if !(1..=72).contains(&read.most_hours) {
            return Err("no planning: most_hours is 1 to 72".to_owned());
        }
        if !(1..=3600).contains(&read.first_look_seconds) {
            return Err("no planning: first_look_seconds is 1 to 3600".to_owned());
        }
        Ok(read)
    }

    /// For how long a job is left alone that waited for so long. The pauses grow; the last ends when it waited enough.
    pub fn until_next_look(&self, waited: TimeDelta) -> TimeDelta {
        let first = TimeDelta::seconds(self.first_look_seconds.into());
        let growing = (waited / 2).clamp(first, LONGEST_PAUSE.max(first));
        growing.min((self.most() - waited).max(first))
    }

    fn most(&self) -> TimeDelta {
        TimeDelta::hours(self.most_hours.into())
    }
}

impl Runs {
    /// Adds a run of the job of this name.
    pub fn add(&mut self, name: String, run: Run) {
        self.0.entry(name).or_default().push(run);
    }

    fn of(&self, name: &str) -> &[Run] {
        self.0.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// Treeherder's word for a run that has not ended, if there is one.
    fn underway(&self, name: &str) -> Option<&'static str> {
        let has = |state: &RunState| self.of(name).iter().any(|run| run.state == *state);
        if has(&RunState::Running) { Some("running") } else { has(&RunState::Pending).then_some("pending") }
    }

    /// How far a build is. Failures up to the run `after` say nothing.
    fn build(&self, name: &str, after: u64) -> Build<'_> {
        let runs = self.of(name);
        if runs.iter().any(|run| run.state == RunState::Succeeded) {
            return Build::Succeeded;
        }
        if let Some(word) = self.underway(name) {
            return Build::Underway(word);
        }
        let failed = runs.iter().filter(|run| run.id > after).max_by_key(|run| run.id);
        match failed.map(|run| &run.state) {
            Some(RunState::Ended(result)) => Build::Failed(result),
            _ => Build::Absent,
        }
    }

    fn last(&self, name: &str) -> u64 {
        self.of(name).iter().map(|run| run.id).max().unwrap_or_default()
    }
}

/// The names of the jobs whose runs decide what is done with these jobs. Without any there is no need to ask.
pub fn wanted<'j>(jobs: &'j [Job], planning: &Planning) -> BTreeSet<&'j str> {
    let new = || jobs.iter().filter(|job| is_new(job));
    let mut wanted: BTreeSet<&str> = jobs
        .iter()
        .filter(|job| job.state == JobState::Waiting || is_new(job))
        .filter_map(|job| job.build.as_deref())
        .collect();
    if planning.already_running == AlreadyRunning::Skip || new().any(|job| job.build.is_some()) {
        wanted.extend(new().map(|job| job.name.as_str()));
    }
    wanted
}

/// Whether nothing was decided yet about an accepted job.
fn is_new(job: &Job) -> bool {
    let is_decided = matches!(job.code, Some(Code::AlreadyRunning | Code::Unplanned | Code::NeededBuild));
    job.state == JobState::Accepted && job.part == 0 && !is_decided
}

/// The jobs of a request as they are planned: those that are accepted then are to be forwarded. `runs` are those of the
/// `wanted` jobs; none, if Treeherder does not answer. Builds that are requested too are added at the end.
///
/// What is planned stays as it is when it is planned again, but for jobs that wait.
#[must_use]
pub fn plan(jobs: &[Job], runs: Option<&Runs>, planning: &Planning, turn: Turn) -> Vec<Job> {
    let mut planned = jobs.to_vec();
    // With the first test that needs each.
    let mut needed: BTreeMap<String, String> = BTreeMap::new();
    for job in &mut planned {
        match job.state {
            JobState::Accepted if is_new(job) => {
                if let Some(build) = start(job, runs, planning, turn) {
                    needed.entry(build).or_insert_with(|| job.name.clone());
                }
            }
            JobState::Waiting => look(job, runs, planning, turn),
            _ => {}
        }
    }
    for (build, test) in needed {
        let reason = Some(format!("Nobody asked for it, but '{test}' needs this build."));
        let needed = Job { code: Some(Code::NeededBuild), reason, ..Job::accepted(&build) };
        match planned.iter_mut().find(|job| job.name == build) {
            // It was asked for too.
            Some(job) if job.state == JobState::Accepted => {}
            // It was forwarded in an earlier round, and has failed since.
            Some(job) => *job = Job { part: turn.part, ..needed },
            None => planned.push(needed),
        }
    }
    planned
}

/// Decides about a job of which nothing was decided yet. Returns the build that is to be requested for it.
fn start(job: &mut Job, runs: Option<&Runs>, planning: &Planning, turn: Turn) -> Option<String> {
    let Some(runs) = runs else {
        if job.build.is_some() {
            job.code = Some(Code::Unplanned);
            job.reason =
                Some("Treeherder does not answer, so nobody has looked whether its build is there.".to_owned());
        }
        return None;
    };
    let underway = runs.underway(&job.name).filter(|_| !turn.is_repeat);
    if let Some(word) = underway.filter(|_| planning.already_running == AlreadyRunning::Skip) {
        job.state = JobState::Rejected;
        job.code = Some(Code::AlreadyRunning);
        job.reason = Some(format!("It is {word} on this push already, so it is not requested once more."));
        return None;
    }
    let build = job.build.clone();
    let found = build.as_deref().map(|build| runs.build(build, 0));
    let (code, after, reason) = match (&build, found) {
        (None, _) | (_, None | Some(Build::Succeeded)) => {
            if let Some(word) = underway {
                job.code = Some(Code::AlreadyRunning);
                job.reason = Some(format!("It is {word} on this push already, and is requested once more."));
            }
            return None;
        }
        (Some(build), Some(Build::Underway(word))) => (Code::BuildRunning, None, waits_for(build, word)),
        (Some(build), Some(Build::Failed(result))) => {
            let reason = format!(
                "Its build '{build}' failed ({result}): that is requested once more, and this test waits for it."
            );
            (Code::BuildRequested, Some(runs.last(build)), reason)
        }
        (Some(build), Some(Build::Absent)) => {
            let reason =
                format!("Its build '{build}' is not on this push: that is requested too, and this test waits for it.");
            (Code::BuildRequested, Some(runs.last(build)), reason)
        }
    };
    job.state = JobState::Waiting;
    job.code = Some(code);
    job.reason = Some(reason);
    job.waits = Some(Waits { since: turn.now, after });
    build.filter(|_| after.is_some())
}

/// Closes the jobs of a request that wait for a build which could not be requested.
pub fn close_orphans(jobs: &mut [Job]) {
    let is_lost = |job: &&Job| matches!(job.state, JobState::Unroutable | JobState::Failed) && job.build.is_none();
    let lost: HashMap<String, String> = jobs
        .iter()
        .filter(is_lost)
        .map(|job| (job.name.clone(), job.reason.clone().unwrap_or_else(|| "it is not known why.".to_owned())))
        .collect();
    for job in jobs {
        let is_requested = job.waits.is_some_and(|waits| waits.after.is_some());
        let Some(build) = job.build.clone().filter(|_| is_requested) else { continue };
        if let Some(why) = lost.get(&build) {
            close(job, Code::BuildFailed, format!("Its build '{build}' could not be requested: {why}"));
        }
    }
}

fn close(job: &mut Job, code: Code, reason: String) {
    job.state = JobState::Failed;
    job.code = Some(code);
    job.reason = Some(reason);
    job.waits = None;
}

/// Looks again at a job that waits for its build.
fn look(job: &mut Job, runs: Option<&Runs>, planning: &Planning, turn: Turn) {
    let (Some(build), Some(waits)) = (job.build.clone(), job.waits) else { return };
    let found = runs.map(|runs| runs.build(&build, waits.after.unwrap_or_default()));
    match found {
        Some(Build::Succeeded) => {
            job.state = JobState::Accepted;
            job.code = job.asked_as.is_some().then_some(Code::Renamed);
            job.reason = None;
            job.waits = None;
            job.part = turn.part;
        }
        Some(Build::Failed(result)) => close(
            job,
            Code::BuildFailed,
            format!("Its build '{build}' failed ({result}). It can be retried: then the build is requested once more."),
        ),
        _ if turn.now - waits.since >= planning.most() => close(
            job,
            Code::WaitedTooLong,
            format!("Its build '{build}' was not done within {} hours. It can be retried.", planning.most_hours),
        ),
        Some(Build::Underway(word)) => {
            job.code = Some(Code::BuildRunning);
            job.reason = Some(waits_for(&build, word));
        }
        Some(Build::Absent) | None => {}
    }
}

fn waits_for(build: &str, word: &str) -> String {
    format!("It waits for its build '{build}', which is {word}.")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEST: &str = "Ubuntu VM 12.04 x64 try opt test mochitest-1";
    const BUILD: &str = "Linux x86-64 try build";

    fn at(minutes: i64) -> DateTime<Utc> {
        let start: DateTime<Utc> = "2026-11-23T06:00:00Z".parse().unwrap();
        start + TimeDelta::minutes(minutes)
    }

    fn test() -> Job {
        Job { build: Some(BUILD.to_owned()), ..Job::accepted(TEST) }
    }

    /// Runs as Treeherder tells of them: a name, the state or how it ended, with numbers from 11.
    fn runs(told: &[(&str, &str)]) -> Runs {
        let mut runs = Runs::default();
        for (id, (name, state)) in (11..).zip(told) {
            let state = match *state {
                "pending" => RunState::Pending,
                "running" => RunState::Running,
                "success" => RunState::Succeeded,
                result => RunState::Ended(result.to_owned()),
            };
            runs.add((*name).to_owned(), Run { id, state });
        }
        runs
    }

    fn turn(minutes: i64) -> Turn {
        Turn { now: at(minutes), part: 7, is_repeat: false }
    }

    fn skipping() -> Planning {
        Planning { already_running: AlreadyRunning::Skip, ..Planning::default() }
    }

    fn told(job: &Job) -> (JobState, Option<Code>, &str) {
        (job.state, job.code, job.reason.as_deref().unwrap_or_default())
    }

    /// What Treeherder tells of the build and of the test, and what then becomes of the test; whether the build is
    /// requested too.
    #[test]
    fn a_new_test_is_forwarded_or_waits() {
        use JobState::{Accepted, Rejected, Waiting};
        let requested = |why: &str| format!("Its build '{BUILD}' {why}, and this test waits for it.");
        let waits = |word: &str| format!("It waits for its build '{BUILD}', which is {word}.");
        let again = |word: &str| format!("It is {word} on this push already, and is requested once more.");
        let absent = requested("is not on this push: that is requested too");
        let failed = |result: &str| requested(&format!("failed ({result}): that is requested once more"));
        let needed = (Waiting, Some(Code::BuildRequested));
        let held = (Waiting, Some(Code::BuildRunning));
        let goes = (Accepted, None);
        let goes_again = (Accepted, Some(Code::AlreadyRunning));
        for (build, test_runs, (state, code), reason, is_requested) in [
            (&["success"][..], &[][..], goes, String::new(), false),
            (&["busted", "success", "running"], &[], goes, String::new(), false),
            (&[], &[], needed, absent, true),
            (&["busted"], &[], needed, failed("busted"), true),
            (&["busted", "usercancel"], &["testfailed"], needed, failed("usercancel"), true),
            (&["pending"], &[], held, waits("pending"), false),
            (&["busted", "pending", "running"], &[], held, waits("running"), false),
            (&["pending"], &["running"], held, waits("pending"), false),
            (&["success"], &["success", "testfailed"], goes, String::new(), false),
            (&["success"], &["pending"], goes_again, again("pending"), false),
            (&["success"], &["pending", "running"], goes_again, again("running"), false),
        ] {
            let known: Vec<(&str, &str)> = build.iter().map(|state| (BUILD, *state)).collect();
            let known = [known, test_runs.iter().map(|state| (TEST, *state)).collect()].concat();
            let planned = plan(&[test()], Some(&runs(&known)), &Planning::default(), turn(0));
            assert_eq!(told(&planned[0]), (state, code, reason.as_str()), "{known:?}");
            let requested: Vec<(&str, JobState, Option<Code>)> =
                planned[1..].iter().map(|job| (job.name.as_str(), job.state, job.code)).collect();
            let expected = [(BUILD, Accepted, Some(Code::NeededBuild))];
            assert_eq!(requested, expected[..usize::from(is_requested)], "{known:?}");

            let skipped = plan(&[test()], Some(&runs(&known)), &skipping(), turn(0));
            let is_underway = test_runs.iter().any(|state| ["pending", "running"].contains(state));
            assert_eq!(skipped[0].state == Rejected, is_underway, "{known:?}");
        }
    }

    #[test]
    fn without_treeherder_jobs_are_forwarded_and_that_is_said_of_those_with_a_build() {
        let jobs = [test(), Job::accepted(BUILD)];
        let planned = plan(&jobs, None, &Planning::default(), turn(0));
        let said = "Treeherder does not answer, so nobody has looked whether its build is there.";
        assert_eq!(told(&planned[0]), (JobState::Accepted, Some(Code::Unplanned), said));
        assert_eq!(planned[1], jobs[1]);
    }

    #[test]
    fn what_waits_is_looked_at_until_it_is_decided() {
        use JobState::{Accepted, Failed, Waiting};
        let goes = (Accepted, None, "");
        let failed = "Its build 'Linux x86-64 try build' failed (busted). It can be retried: then the build is requested \
                      once more.";
        let late = "Its build 'Linux x86-64 try build' was not done within 12 hours. It can be retried.";
        let running = "It waits for its build 'Linux x86-64 try build', which is running.";
        let was = "as it was";
        // The last failure that is known from when the build was requested is 11.
        for (after, told_now, minutes, expected) in [
            (None, Some(&["success"][..]), 1, goes),
            (None, Some(&["success"]), 24 * 60, goes),
            (None, Some(&["running"]), 719, (Waiting, Some(Code::BuildRunning), running)),
            (None, Some(&["running"]), 720, (Failed, Some(Code::WaitedTooLong), late)),
            (None, Some(&["busted"]), 1, (Failed, Some(Code::BuildFailed), failed)),
            (None, Some(&[]), 1, (Waiting, None, was)),
            (None, None, 1, (Waiting, None, was)),
            (None, None, 720, (Failed, Some(Code::WaitedTooLong), late)),
            (Some(11), Some(&["busted"]), 1, (Waiting, None, was)),
            (Some(11), Some(&["busted"]), 720, (Failed, Some(Code::WaitedTooLong), late)),
            (Some(11), Some(&["busted", "running"]), 1, (Waiting, Some(Code::BuildRunning), running)),
            (Some(11), Some(&["busted", "busted"]), 1, (Failed, Some(Code::BuildFailed), failed)),
            (Some(11), Some(&["busted", "success"]), 1, goes),
        ] {
            let waits = Some(Waits { since: at(0), after });
            let waiting = Job { state: Waiting, reason: Some(was.to_owned()), waits, ..test() };
            let now: Option<Vec<(&str, &str)>> =
                told_now.map(|states| states.iter().map(|state| (BUILD, *state)).collect());
            let now = now.map(|told| runs(&told));
            let [job] = &plan(&[waiting], now.as_ref(), &Planning::default(), turn(minutes))[..] else { panic!("one") };
            assert_eq!(told(job), expected, "{after:?} {told_now:?} {minutes}");
            assert_eq!(
                (job.part, job.waits),
                if job.state == Accepted { (7, None) } else { (0, waits.filter(|_| job.state == Waiting)) }
            );
        }
    }

    #[test]
    fn a_test_does_not_wait_for_a_build_that_nobody_could_request() {
        let planned = plan(&[test()], Some(&Runs::default()), &Planning::default(), turn(0));
        let mut going = planned.clone();
        close_orphans(&mut going);
        assert_eq!(going, planned);
        for state in [JobState::Unroutable, JobState::Failed] {
            let mut jobs = planned.clone();
            jobs[1] = Job { state, reason: Some("No listener.".to_owned()), ..jobs[1].clone() };
            close_orphans(&mut jobs);
            let said = format!("Its build '{BUILD}' could not be requested: No listener.");
            assert_eq!(told(&jobs[0]), (JobState::Failed, Some(Code::BuildFailed), said.as_str()));
            assert_eq!(jobs[0].waits, None);
        }
    }

    #[test]
    fn a_build_is_requested_once_for_all_tests_and_not_beside_itself() {
        let other = Job { name: "another test".to_owned(), ..test() };
        let none = Runs::default();
        let planned = plan(&[test(), other.clone()], Some(&none), &Planning::default(), turn(0));
        assert_eq!(planned.iter().map(|job| job.name.as_str()).collect::<Vec<_>>(), [TEST, "another test", BUILD]);
        let both = [test(), Job::accepted(BUILD), other];
        let planned = plan(&both, Some(&none), &Planning::default(), turn(0));
        assert_eq!((planned.len(), &planned[1]), (3, &both[1]));

        // It was forwarded in an earlier round, and failed: once more, as a part of its own.
        let forwarded = Job { state: JobState::Forwarded, ..Job::accepted(BUILD) };
        let planned = plan(&[forwarded, test()], Some(&runs(&[(BUILD, "busted")])), &Planning::default(), turn(0));
        let again = &planned[0];
        assert_eq!(
            (planned.len(), again.state, again.code, again.part),
            (2, JobState::Accepted, Some(Code::NeededBuild), 7)
        );
    }

    #[test]
    fn what_runs_may_be_ours_when_a_request_is_taken_up_again() {
        let known = runs(&[(BUILD, "success"), (TEST, "pending")]);
        for planning in [Planning::default(), skipping()] {
            let planned = plan(&[test()], Some(&known), &planning, Turn { is_repeat: true, ..turn(0) });
            assert_eq!(planned, [test()]);
        }
    }

    #[test]
    fn treeherder_is_asked_for_what_decides() {
        let planning = Planning::default();
        let none: [&str; 0] = [];
        let names = |jobs: &[Job], planning: &Planning| {
            wanted(jobs, planning).into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(names(&[Job::accepted(BUILD)], &planning), none);
        assert_eq!(names(&[Job::accepted(BUILD)], &skipping()), [BUILD]);
        assert_eq!(names(&[test(), Job::accepted("other")], &planning), [BUILD, TEST, "other"]);
        let waiting = Job { state: JobState::Waiting, ..test() };
        assert_eq!(names(&[waiting], &planning), [BUILD]);
        let rejected = Job { state: JobState::Rejected, ..test() };
        let decided = Job { code: Some(Code::Unplanned), ..test() };
        let part = Job { part: 3, ..test() };
        let forwarded = Job { state: JobState::Forwarded, ..test() };
        assert_eq!(names(&[rejected, decided, part, forwarded], &planning), none);
    }

    #[test]
    fn the_pauses_between_two_looks_grow() {
        let planning = Planning::default();
        let minutes = [0, 2, 4, 10, 30, 60, 240, 700, 715, 719, 720, 5000];
        let pauses = minutes.map(|waited| planning.until_next_look(TimeDelta::minutes(waited)).num_minutes());
        assert_eq!(pauses, [2, 2, 2, 5, 15, 30, 30, 20, 5, 2, 2, 2]);
    }

    #[test]
    fn planning_is_read_whole_or_not_at_all() {
        assert_eq!(Planning::read("{}"), Ok(Planning::default()));
        let read = Planning::read(r#"{"already_running": "skip", "most_hours": 1, "first_look_seconds": 5}"#);
        assert_eq!(read, Ok(Planning { already_running: AlreadyRunning::Skip, most_hours: 1, first_look_seconds: 5 }));
        for (wrong, said) in [
            ("[]", "no planning: a JSON object"),
            (r#"{"most_hours": 0}"#, "no planning: most_hours is 1 to 72"),
            (r#"{"most_hours": 73}"#, "no planning: most_hours is 1 to 72"),
            (r#"{"first_look_seconds": 0}"#, "no planning: first_look_seconds is 1 to 3600"),
            (
                r#"{"already_running": "no"}"#,
                "no planning: a name or a value is not one that is expected, at line 1, column 24",
            ),
            (r#"{"hours": 1}"#, "no planning: a name or a value is not one that is expected, at line 1, column 8"),
        ] {
            let error = Planning::read(wrong).unwrap_err();
            assert!(error.starts_with(said), "{error}");
        }
    }
}
