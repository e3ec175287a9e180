//! What is to be done with the jobs of a request: a test needs its build, and what Treeherder tells of that on the push
//! decides whether the test is forwarded, or waits, and whether the build is requested too.
//!
//! | the build on the push | the test |
//! | --- | --- |
//! | a run of it left packages | is forwarded |
//! | is on its way | waits |
//! | failed, or is not there | waits; the build is requested too |
//! | Treeherder does not answer | is forwarded, and that is said |
//! | the test needs none | is forwarded |
//!
//! A test that waits is looked at again: it is forwarded once its build left packages, and closed if the build fails, could
//! not be requested, or takes too long. If the build that it found on its way is gone, it is requested after all. Which of
//! Treeherder's words says what of a run is in `runs.rs`.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use crate::read_object;
use crate::request::{BuildWait, JobCode, JobState, RequestedJob};
use crate::runs::{BuildStatus, Runs, describe_result};

/// The longest time between two looks at a job that waits.
const MAX_POLL_INTERVAL: TimeDelta = TimeDelta::minutes(30);

/// How jobs are planned, as it is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Planning {
    /// What happens to a job that the push has already, and that has not ended yet.
    pub already_running: AlreadyRunning,
    /// How many hours a job waits for its build at most.
    #[serde(alias = "most_hours")]
    pub max_wait_hours: u32,
    /// After how many seconds a job that waits is first looked at again. The pauses grow with the time that it waits.
    #[serde(alias = "first_look_seconds")]
    pub initial_poll_seconds: u32,
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

/// When jobs are planned.
#[derive(Debug, Clone, Copy)]
pub struct PlanContext {
    /// Now.
    pub now: DateTime<Utc>,
    /// The number of the part that the jobs are whose build is done now.
    pub batch: u64,
    /// Whether it may be that jobs were forwarded already and that this was not recorded: what runs may then be ours.
    pub is_repeat: bool,
}

impl Default for Planning {
    fn default() -> Self {
        Self { already_running: AlreadyRunning::Trigger, max_wait_hours: 12, initial_poll_seconds: 120 }
    }
}

impl Planning {
    /// Reads it from JSON; what is left out is as by default.
    ///
    /// # Errors
    /// A sentence that tells what is wrong.
    pub fn read(json: &str) -> Result<Self, String> {
        let read: Self = read_object("planning", json)?;
        if !(1..=72).contains(&read.max_wait_hours) {
            return Err("no planning: max_wait_hours is 1 to 72".to_owned());
        }
        if !(1..=3600).contains(&read.initial_poll_seconds) {
            return Err("no planning: initial_poll_seconds is 1 to 3600".to_owned());
        }
        Ok(read)
    }

    /// For how long a job is left alone that waited for so long. The pauses grow; the last ends when it waited enough.
    pub fn poll_interval(&self, waited: TimeDelta) -> TimeDelta {
        let first = TimeDelta::seconds(self.initial_poll_seconds.into());
        let growing = (waited / 2).clamp(first, MAX_POLL_INTERVAL.max(first));
        growing.min((self.max_wait() - waited).max(first))
    }

    /// How long a job waits for its build at most.
    pub fn max_wait(&self) -> TimeDelta {
        TimeDelta::hours(self.max_wait_hours.into())
    }
}

/// The names of the jobs whose runs decide what is done with these jobs. Without any there is no need to ask.
pub fn names_to_check<'j>(jobs: &'j [RequestedJob], planning: &Planning) -> BTreeSet<&'j str> {
    let new = || jobs.iter().filter(|job| is_new(job));
    let mut names_to_check: BTreeSet<&str> = jobs
        .iter()
        .filter(|job| job.state == JobState::Waiting || is_new(job))
        .filter_map(|job| job.build.as_deref())
        .collect();
    if planning.already_running == AlreadyRunning::Skip || new().any(|job| job.build.is_some()) {
        names_to_check.extend(new().map(|job| job.name.as_str()));
    }
    names_to_check
}

/// Whether nothing was decided yet about an accepted job.
fn is_new(job: &RequestedJob) -> bool {
    let is_decided = matches!(job.code, Some(JobCode::AlreadyRunning | JobCode::PlanSkipped | JobCode::NeededBuild));
    job.state == JobState::Accepted && job.batch == 0 && !is_decided
}

/// The jobs of a request as they are planned: those that are accepted then are to be forwarded. `runs` are those of the
/// `names_to_check` jobs; none, if Treeherder does not answer. Builds that are requested too are added at the end.
///
/// What is planned stays as it is when it is planned again, but for jobs that wait.
#[must_use]
pub fn plan(
    jobs: &[RequestedJob],
    runs: Option<&Runs>,
    planning: &Planning,
    context: PlanContext,
) -> Vec<RequestedJob> {
    let mut planned = jobs.to_vec();
    // Builds that are to be requested, each with the first test that needs it.
    let mut needed: BTreeMap<String, BuildNeed> = BTreeMap::new();
    for job in &mut planned {
        let was_waiting = job.state == JobState::Waiting;
        let build = match job.state {
            JobState::Accepted if is_new(job) => plan_new(job, runs, planning, context),
            JobState::Waiting => recheck_waiting(job, runs, planning, context),
            _ => None,
        };
        if let Some(build) = build {
            needed.entry(build).or_insert_with(|| BuildNeed { test: job.name.clone(), was_waiting });
        }
    }
    for (build, need) in needed {
        need.request(&build, &mut planned, context);
    }
    planned
}

/// Why a build is to be requested.
struct BuildNeed {
    /// The test that needs it.
    test: String,
    /// Whether that test waited for it before: then jobs of the first part may be forwarded already.
    was_waiting: bool,
}

impl BuildNeed {
    fn request(&self, build: &str, planned: &mut Vec<RequestedJob>, context: PlanContext) {
        let test = &self.test;
        match planned.iter_mut().find(|job| job.name == build) {
            None => planned.push(RequestedJob {
                code: Some(JobCode::NeededBuild),
                reason: Some(needed_by(test)),
                batch: if self.was_waiting { context.batch } else { 0 },
                ..RequestedJob::accepted(build)
            }),
            // It goes anyway.
            Some(job) if job.state == JobState::Accepted => {}
            // It was forwarded in this round: Treeherder is about to know of it, and a second message would have its id.
            Some(job) if job.state == JobState::Forwarded && self.was_waiting => {}
            // It was forwarded in an earlier round and has failed since, or could not be forwarded.
            Some(job) => {
                let is_added = job.code == Some(JobCode::NeededBuild);
                *job = RequestedJob {
                    asked_as: job.asked_as.clone(),
                    code: if is_added { job.code } else { job.name_change_code() },
                    reason: Some(if is_added {
                        needed_by(test)
                    } else {
                        format!("'{test}' needs this build once more.")
                    }),
                    batch: context.batch,
                    ..RequestedJob::accepted(build)
                };
            }
        }
    }
}

/// What is said of a build that the plan added, for this test.
pub fn needed_by(test: &str) -> String {
    format!("Nobody asked for it, but '{test}' needs this build.")
}

/// Decides about a job of which nothing was decided yet. Returns the build that is to be requested for it.
fn plan_new(job: &mut RequestedJob, runs: Option<&Runs>, planning: &Planning, context: PlanContext) -> Option<String> {
    let Some(runs) = runs else {
        if job.build.is_some() {
            job.code = Some(JobCode::PlanSkipped);
            job.reason =
                Some("Treeherder does not answer, so nobody has looked whether its build is there.".to_owned());
        }
        return None;
    };
    let underway = runs.underway(&job.name).filter(|_| !context.is_repeat);
    if let Some(word) = underway.filter(|_| planning.already_running == AlreadyRunning::Skip) {
        job.state = JobState::Rejected;
        job.code = Some(JobCode::AlreadyRunning);
        job.reason = Some(format!("It is {word} on this push already, so it is not requested once more."));
        return None;
    }
    let build = job.build.clone();
    let found = build.as_deref().map(|build| runs.build(build, 0));
    let (code, ignore_runs_up_to, reason) = match (&build, found) {
        (None, _) | (_, None | Some(BuildStatus::Usable)) => {
            if let Some(word) = underway {
                job.code = Some(JobCode::AlreadyRunning);
                job.reason = Some(format!("It is {word} on this push already, and is requested once more."));
            }
            return None;
        }
        (Some(build), Some(BuildStatus::Underway(word))) => (JobCode::BuildRunning, None, waits_for(build, word)),
        (Some(build), Some(BuildStatus::Ended(result))) => {
            let how = describe_result(result);
            let reason = format!("Its build '{build}' {how}: that is requested once more, and this test waits for it.");
            (JobCode::BuildRequested, Some(runs.last_ended(build)), reason)
        }
        (Some(build), Some(BuildStatus::Absent)) => {
            let reason =
                format!("Its build '{build}' is not on this push: that is requested too, and this test waits for it.");
            (JobCode::BuildRequested, Some(runs.last_ended(build)), reason)
        }
    };
    job.state = JobState::Waiting;
    job.code = Some(code);
    job.reason = Some(reason);
    let failed_before = build.as_deref().map(|build| runs.last_ended(build)).unwrap_or_default();
    job.build_wait = Some(BuildWait { since: context.now, ignore_runs_up_to, failed_before });
    build.filter(|_| ignore_runs_up_to.is_some())
}

/// Closes the jobs of a request that wait for a build which could not be requested.
pub fn fail_jobs_without_build(jobs: &mut [RequestedJob]) {
    let is_lost =
        |job: &&RequestedJob| matches!(job.state, JobState::Unroutable | JobState::Failed) && job.build.is_none();
    let lost: HashMap<String, String> = jobs
        .iter()
        .filter(is_lost)
        .map(|job| (job.name.clone(), job.reason.clone().unwrap_or_else(|| "it is not known why.".to_owned())))
        .collect();
    for job in jobs {
        let is_requested = job.build_wait.is_some_and(|build_wait| build_wait.ignore_runs_up_to.is_some());
        let Some(build) = job.build.clone().filter(|_| is_requested) else { continue };
        if let Some(why) = lost.get(&build) {
            fail_job(job, JobCode::BuildFailed, format!("Its build '{build}' could not be requested: {why}"));
        }
    }
}

fn fail_job(job: &mut RequestedJob, code: JobCode, reason: String) {
    job.state = JobState::Failed;
    job.code = Some(code);
    job.reason = Some(reason);
    job.build_wait = None;
}

/// Looks again at a job that waits for its build. Returns the build, if it is to be requested now.
fn recheck_waiting(
    job: &mut RequestedJob,
    runs: Option<&Runs>,
    planning: &Planning,
    context: PlanContext,
) -> Option<String> {
    let (Some(build), Some(build_wait)) = (job.build.clone(), job.build_wait) else { return None };
    let found = runs.map(|runs| runs.build(&build, build_wait.ignore_runs_up_to.unwrap_or(build_wait.failed_before)));
    match found {
        Some(BuildStatus::Usable) => {
            job.state = JobState::Accepted;
            job.code = job.name_change_code();
            job.reason = None;
            job.build_wait = None;
            job.batch = context.batch;
        }
        Some(BuildStatus::Ended(result)) => {
            let how = describe_result(result);
            let reason =
                format!("Its build '{build}' {how}. It can be retried: then the build is requested once more.");
            fail_job(job, JobCode::BuildFailed, reason);
        }
        _ if context.now - build_wait.since >= planning.max_wait() => fail_job(
            job,
            JobCode::WaitedTooLong,
            format!("Its build '{build}' was not done within {} hours. It can be retried.", planning.max_wait_hours),
        ),
        Some(BuildStatus::Underway(word)) => {
            job.code = Some(JobCode::BuildRunning);
            job.reason = Some(waits_for(&build, word));
        }
        // What it waited for was cancelled, or another push's run stands for it.
        Some(BuildStatus::Absent) if build_wait.ignore_runs_up_to.is_none() => {
            job.code = Some(JobCode::BuildRequested);
            job.reason = Some(format!(
                "Its build '{build}' is not on this push any more: that is requested, and this test waits for it."
            ));
            let ignore_runs_up_to = runs.map(|runs| runs.last_ended(&build)).unwrap_or_default();
            job.build_wait = Some(BuildWait { ignore_runs_up_to: Some(ignore_runs_up_to), ..build_wait });
            return Some(build);
        }
        Some(BuildStatus::Absent) | None => {}
    }
    None
}

fn waits_for(build: &str, word: &str) -> String {
    format!("It waits for its build '{build}', which is {word}.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::{Run, RunState};

    const TEST: &str = "Ubuntu VM 12.04 x64 try opt test mochitest-1";
    const BUILD: &str = "Linux x86-64 try build";

    fn at(minutes: i64) -> DateTime<Utc> {
        let start: DateTime<Utc> = "2026-11-23T06:00:00Z".parse().unwrap();
        start + TimeDelta::minutes(minutes)
    }

    fn test() -> RequestedJob {
        RequestedJob { build: Some(BUILD.to_owned()), ..RequestedJob::accepted(TEST) }
    }

    /// Runs as Treeherder tells of them: a name, the state or how it ended, with numbers from 11.
    fn runs(words: &[(&str, &str)]) -> Runs {
        let mut runs = Runs::default();
        for (id, (name, word)) in (11..).zip(words) {
            let is_underway = ["unscheduled", "pending", "running"].contains(word);
            let (state, result) = if is_underway { (*word, "unknown") } else { ("completed", *word) };
            if let Some(state) = RunState::of(state, result) {
                runs.add((*name).to_owned(), Run { id, state });
            }
        }
        runs
    }

    fn context(minutes: i64) -> PlanContext {
        PlanContext { now: at(minutes), batch: 7, is_repeat: false }
    }

    fn skipping() -> Planning {
        Planning { already_running: AlreadyRunning::Skip, ..Planning::default() }
    }

    fn summary(job: &RequestedJob) -> (JobState, Option<JobCode>, &str) {
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
        let gone = || requested("is not on this push: that is requested too");
        let failed = |result: &str| requested(&format!("failed ({result}): that is requested once more"));
        let needed = (Waiting, Some(JobCode::BuildRequested));
        let held = (Waiting, Some(JobCode::BuildRunning));
        let goes = (Accepted, None);
        let goes_again = (Accepted, Some(JobCode::AlreadyRunning));
        for (build, test_runs, (state, code), reason, is_requested) in [
            (&["success"][..], &[][..], goes, String::new(), false),
            (&["busted", "success", "running"], &[], goes, String::new(), false),
            (&[], &[], needed, gone(), true),
            (&["busted"], &[], needed, failed("busted"), true),
            (&["exception"], &["testfailed"], needed, failed("exception"), true),
            (&["testfailed"], &[], goes, String::new(), false),
            (&["busted", "testfailed"], &[], goes, String::new(), false),
            (&["testfailed", "busted"], &[], goes, String::new(), false),
            (&["superseded"], &[], needed, gone(), true),
            (&["coalesced"], &[], needed, gone(), true),
            (&["usercancel"], &[], needed, gone(), true),
            (&["retry"], &[], needed, gone(), true),
            (&["skipped"], &[], needed, gone(), true),
            (&["unknown"], &[], needed, gone(), true),
            (&["busted", "usercancel"], &[], needed, failed("busted"), true),
            (&["success", "usercancel"], &[], goes, String::new(), false),
            (&["new"], &[], needed, requested("ended as 'new': that is requested once more"), true),
            (&["unscheduled"], &[], held, waits("pending"), false),
            (&["superseded", "unscheduled"], &[], held, waits("pending"), false),
            (&["success"], &["unscheduled"], goes_again, again("pending"), false),
            (&["success"], &["usercancel"], goes, String::new(), false),
            (&["pending"], &[], held, waits("pending"), false),
            (&["busted", "pending", "running"], &[], held, waits("running"), false),
            (&["pending"], &["running"], held, waits("pending"), false),
            (&["success"], &["success", "testfailed"], goes, String::new(), false),
            (&["success"], &["pending"], goes_again, again("pending"), false),
            (&["success"], &["pending", "running"], goes_again, again("running"), false),
        ] {
            let known: Vec<(&str, &str)> = build.iter().map(|state| (BUILD, *state)).collect();
            let known = [known, test_runs.iter().map(|state| (TEST, *state)).collect()].concat();
            let planned = plan(&[test()], Some(&runs(&known)), &Planning::default(), context(0));
            assert_eq!(summary(&planned[0]), (state, code, reason.as_str()), "{known:?}");
            let requested: Vec<(&str, JobState, Option<JobCode>)> =
                planned[1..].iter().map(|job| (job.name.as_str(), job.state, job.code)).collect();
            let expected = [(BUILD, Accepted, Some(JobCode::NeededBuild))];
            assert_eq!(requested, expected[..usize::from(is_requested)], "{known:?}");

            let skipped = plan(&[test()], Some(&runs(&known)), &skipping(), context(0));
            let is_underway = test_runs.iter().any(|state| ["unscheduled", "pending", "running"].contains(state));
            assert_eq!(skipped[0].state == Rejected, is_underway, "{known:?}");
        }
    }

    #[test]
    fn without_treeherder_jobs_are_forwarded_and_that_is_said_of_those_with_a_build() {
        let jobs = [test(), RequestedJob::accepted(BUILD)];
        let planned = plan(&jobs, None, &Planning::default(), context(0));
        let said = "Treeherder does not answer, so nobody has looked whether its build is there.";
        assert_eq!(summary(&planned[0]), (JobState::Accepted, Some(JobCode::PlanSkipped), said));
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
        let pending = "It waits for its build 'Linux x86-64 try build', which is pending.";
        let gone = "Its build 'Linux x86-64 try build' is not on this push any more: that is requested, and this test waits \
                    for it.";
        let new = "Its build 'Linux x86-64 try build' ended as 'new'. It can be retried: then the build is requested once \
                   more.";
        let was = "as it was";
        // The last failure that is known from when the build was requested is 11.
        for (ignore_runs_up_to, runs_now, minutes, expected) in [
            (None, Some(&["success"][..]), 1, goes),
            (None, Some(&["success"]), 24 * 60, goes),
            (None, Some(&["running"]), 719, (Waiting, Some(JobCode::BuildRunning), running)),
            (None, Some(&["running"]), 720, (Failed, Some(JobCode::WaitedTooLong), late)),
            (None, Some(&["busted"]), 1, (Failed, Some(JobCode::BuildFailed), failed)),
            (None, Some(&["testfailed"]), 1, goes),
            (None, Some(&["unscheduled"]), 1, (Waiting, Some(JobCode::BuildRunning), pending)),
            // What it waited for is gone: it is requested after all.
            (None, Some(&[]), 1, (Waiting, Some(JobCode::BuildRequested), gone)),
            (None, Some(&["usercancel"]), 1, (Waiting, Some(JobCode::BuildRequested), gone)),
            (None, Some(&["superseded"]), 720, (Failed, Some(JobCode::WaitedTooLong), late)),
            (None, Some(&["new"]), 1, (Failed, Some(JobCode::BuildFailed), new)),
            (None, None, 1, (Waiting, None, was)),
            (None, None, 720, (Failed, Some(JobCode::WaitedTooLong), late)),
            (Some(11), Some(&["busted"]), 1, (Waiting, None, was)),
            (Some(11), Some(&["busted"]), 720, (Failed, Some(JobCode::WaitedTooLong), late)),
            (Some(11), Some(&["busted", "running"]), 1, (Waiting, Some(JobCode::BuildRunning), running)),
            (Some(11), Some(&["busted", "busted"]), 1, (Failed, Some(JobCode::BuildFailed), failed)),
            (Some(11), Some(&["busted", "success"]), 1, goes),
            (Some(11), Some(&["busted", "testfailed"]), 1, goes),
            (Some(11), Some(&["busted", "usercancel"]), 1, (Waiting, None, was)),
            (Some(11), Some(&["busted", "retry"]), 720, (Failed, Some(JobCode::WaitedTooLong), late)),
        ] {
            let build_wait = Some(BuildWait { since: at(0), ignore_runs_up_to, failed_before: 0 });
            let waiting = RequestedJob { state: Waiting, reason: Some(was.to_owned()), build_wait, ..test() };
            let now: Option<Vec<(&str, &str)>> =
                runs_now.map(|states| states.iter().map(|state| (BUILD, *state)).collect());
            let now = now.map(|known| runs(&known));
            let planned = plan(&[waiting], now.as_ref(), &Planning::default(), context(minutes));
            let job = &planned[0];
            assert_eq!(summary(job), expected, "{ignore_runs_up_to:?} {runs_now:?} {minutes}");
            let is_requested = ignore_runs_up_to.is_none() && job.code == Some(JobCode::BuildRequested);
            let build_wait = if is_requested {
                Some(BuildWait { since: at(0), ignore_runs_up_to: Some(0), failed_before: 0 })
            } else {
                build_wait
            };
            assert_eq!(
                (job.batch, job.build_wait),
                if job.state == Accepted { (7, None) } else { (0, build_wait.filter(|_| job.state == Waiting)) }
            );
            // The build goes as a part of its own: others of the request may be in doubt.
            let added: Vec<_> = planned[1..].iter().map(|job| (job.name.as_str(), job.code, job.batch)).collect();
            assert_eq!(added, [(BUILD, Some(JobCode::NeededBuild), 7)][..usize::from(is_requested)]);
        }
    }

    #[test]
    fn an_older_failure_is_not_the_end_of_the_build_that_is_waited_for() {
        let known = |words: &[&'static str]| runs(&words.iter().map(|word| (BUILD, *word)).collect::<Vec<_>>());
        let planned = plan(&[test()], Some(&known(&["busted", "running"])), &Planning::default(), context(0));
        assert_eq!((planned[0].state, planned[0].code), (JobState::Waiting, Some(JobCode::BuildRunning)));
        for (word, expected) in [
            ("usercancel", (JobState::Waiting, Some(JobCode::BuildRequested))),
            ("superseded", (JobState::Waiting, Some(JobCode::BuildRequested))),
            ("running", (JobState::Waiting, Some(JobCode::BuildRunning))),
            ("busted", (JobState::Failed, Some(JobCode::BuildFailed))),
            ("success", (JobState::Accepted, None)),
        ] {
            let later = plan(&planned, Some(&known(&["busted", word])), &Planning::default(), context(1));
            assert_eq!((later[0].state, later[0].code), expected, "{word}");
        }
    }

    #[test]
    fn a_test_does_not_wait_for_a_build_that_nobody_could_request() {
        let planned = plan(&[test()], Some(&Runs::default()), &Planning::default(), context(0));
        let mut going = planned.clone();
        fail_jobs_without_build(&mut going);
        assert_eq!(going, planned);
        for state in [JobState::Unroutable, JobState::Failed] {
            let mut jobs = planned.clone();
            jobs[1] = RequestedJob { state, reason: Some("No listener.".to_owned()), ..jobs[1].clone() };
            fail_jobs_without_build(&mut jobs);
            let said = format!("Its build '{BUILD}' could not be requested: No listener.");
            assert_eq!(summary(&jobs[0]), (JobState::Failed, Some(JobCode::BuildFailed), said.as_str()));
            assert_eq!(jobs[0].build_wait, None);
        }
    }

    #[test]
    fn a_build_is_requested_once_for_all_tests_and_not_beside_itself() {
        let other = RequestedJob { name: "another test".to_owned(), ..test() };
        let none = Runs::default();
        let planned = plan(&[test(), other.clone()], Some(&none), &Planning::default(), context(0));
        assert_eq!(planned.iter().map(|job| job.name.as_str()).collect::<Vec<_>>(), [TEST, "another test", BUILD]);
        let both = [test(), RequestedJob::accepted(BUILD), other];
        let planned = plan(&both, Some(&none), &Planning::default(), context(0));
        assert_eq!((planned.len(), &planned[1]), (3, &both[1]));

        // It was forwarded in an earlier round, and failed: once more, as a part of its own. Whether it was asked for stays.
        for code in [None, Some(JobCode::NeededBuild)] {
            let forwarded = RequestedJob { state: JobState::Forwarded, code, ..RequestedJob::accepted(BUILD) };
            let planned =
                plan(&[forwarded, test()], Some(&runs(&[(BUILD, "busted")])), &Planning::default(), context(0));
            let again = &planned[0];
            assert_eq!((planned.len(), again.state, again.code, again.batch), (2, JobState::Accepted, code, 7));
            assert!(again.reason.as_ref().unwrap().contains(TEST), "{again:?}");
        }
    }

    /// Its message would have the id of the first one, which a listener may drop.
    #[test]
    fn a_build_that_was_forwarded_in_this_round_is_not_requested_once_more_by_a_test_that_waits() {
        let forwarded = RequestedJob { state: JobState::Forwarded, ..RequestedJob::accepted(BUILD) };
        let build_wait = Some(BuildWait { since: at(0), ignore_runs_up_to: None, failed_before: 0 });
        let waiting = RequestedJob { state: JobState::Waiting, build_wait, ..test() };
        let planned = plan(&[waiting, forwarded.clone()], Some(&Runs::default()), &Planning::default(), context(1));
        assert_eq!((planned.len(), &planned[1]), (2, &forwarded));
        assert_eq!(
            planned[0].build_wait,
            Some(BuildWait { since: at(0), ignore_runs_up_to: Some(0), failed_before: 0 })
        );
    }

    #[test]
    fn what_runs_may_be_ours_when_a_request_is_taken_up_again() {
        let known = runs(&[(BUILD, "success"), (TEST, "pending")]);
        for planning in [Planning::default(), skipping()] {
            let planned = plan(&[test()], Some(&known), &planning, PlanContext { is_repeat: true, ..context(0) });
            assert_eq!(planned, [test()]);
        }
    }

    #[test]
    fn treeherder_is_asked_for_what_decides() {
        let planning = Planning::default();
        let none: [&str; 0] = [];
        let names = |jobs: &[RequestedJob], planning: &Planning| {
            names_to_check(jobs, planning).into_iter().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(names(&[RequestedJob::accepted(BUILD)], &planning), none);
        assert_eq!(names(&[RequestedJob::accepted(BUILD)], &skipping()), [BUILD]);
        assert_eq!(names(&[test(), RequestedJob::accepted("other")], &planning), [BUILD, TEST, "other"]);
        let waiting = RequestedJob { state: JobState::Waiting, ..test() };
        assert_eq!(names(&[waiting], &planning), [BUILD]);
        let rejected = RequestedJob { state: JobState::Rejected, ..test() };
        let decided = RequestedJob { code: Some(JobCode::PlanSkipped), ..test() };
        let batch = RequestedJob { batch: 3, ..test() };
        let forwarded = RequestedJob { state: JobState::Forwarded, ..test() };
        assert_eq!(names(&[rejected, decided, batch, forwarded], &planning), none);
    }

    #[test]
    fn the_pauses_between_two_looks_grow() {
        let planning = Planning::default();
        let minutes = [0, 2, 4, 10, 30, 60, 240, 700, 715, 719, 720, 5000];
        let pauses = minutes.map(|waited| planning.poll_interval(TimeDelta::minutes(waited)).num_minutes());
        assert_eq!(pauses, [2, 2, 2, 5, 15, 30, 30, 20, 5, 2, 2, 2]);
    }

    #[test]
    fn planning_is_read_whole_or_not_at_all() {
        assert_eq!(Planning::read("{}"), Ok(Planning::default()));
        let read = Planning::read(r#"{"already_running": "skip", "max_wait_hours": 1, "initial_poll_seconds": 5}"#);
        assert_eq!(
            read,
            Ok(Planning { already_running: AlreadyRunning::Skip, max_wait_hours: 1, initial_poll_seconds: 5 })
        );
        for (wrong, said) in [
            ("[]", "no planning: a JSON object"),
            (r#"{"most_hours": 0}"#, "no planning: max_wait_hours is 1 to 72"),
            (r#"{"most_hours": 73}"#, "no planning: max_wait_hours is 1 to 72"),
            (r#"{"first_look_seconds": 0}"#, "no planning: initial_poll_seconds is 1 to 3600"),
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
