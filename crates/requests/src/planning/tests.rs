//! Planning, for each state of a build on the push.

use chrono::{DateTime, TimeDelta, Utc};

use super::*;
use crate::job::{BuildWait, JobCode};
use crate::reason::JobReason;

const TEST: &str = "Ubuntu VM 12.04 x64 try opt test mochitest-1";
const BUILD: &str = "Linux x86-64 try build";

fn at(minutes: i64) -> DateTime<Utc> {
    let start: DateTime<Utc> = "2026-11-23T06:00:00Z".parse().unwrap();
    start + TimeDelta::minutes(minutes)
}

fn test() -> RequestedJob {
    RequestedJob { build: Some(BUILD.to_owned()), ..RequestedJob::accepted(TEST) }
}

/// Runs as Treeherder lists them: a name, and the state or the result. Their numbers start at 11.
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

fn summary(job: &RequestedJob) -> (JobState, Option<JobCode>, String) {
    (job.state, job.code, job.reason_text().unwrap_or_default())
}

fn said(sentence: &str) -> JobReason {
    JobReason::Text(sentence.to_owned())
}

/// The runs of the build and of the test, the planned test, and whether the build is requested too.
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
        assert_eq!(summary(&planned[0]), (state, code, reason), "{known:?}");
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
    let said = "Treeherder does not answer, so it is not known whether its build is there.";
    assert_eq!(summary(&planned[0]), (JobState::Accepted, Some(JobCode::PlanSkipped), said.to_owned()));
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
        let waiting = RequestedJob { state: Waiting, reason: Some(said(was)), build_wait, ..test() };
        let now: Option<Vec<(&str, &str)>> =
            runs_now.map(|states| states.iter().map(|state| (BUILD, *state)).collect());
        let now = now.map(|known| runs(&known));
        let planned = plan(&[waiting], now.as_ref(), &Planning::default(), context(minutes));
        let job = &planned[0];
        let (state, code, sentence) = expected;
        assert_eq!(summary(job), (state, code, sentence.to_owned()), "{ignore_runs_up_to:?} {runs_now:?} {minutes}");
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
        // The build goes as a batch of its own: others of the request may be in doubt.
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
        jobs[1] = RequestedJob { state, reason: Some(said("No listener.")), ..jobs[1].clone() };
        fail_jobs_without_build(&mut jobs);
        let sentence = format!("Its build '{BUILD}' could not be requested: No listener.");
        assert_eq!(summary(&jobs[0]), (JobState::Failed, Some(JobCode::BuildFailed), sentence));
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

    // It was forwarded in an earlier round, and failed: once more, as a batch of its own. Whether it was asked for stays.
    for code in [None, Some(JobCode::NeededBuild)] {
        let forwarded = RequestedJob { state: JobState::Forwarded, code, ..RequestedJob::accepted(BUILD) };
        let planned = plan(&[forwarded, test()], Some(&runs(&[(BUILD, "busted")])), &Planning::default(), context(0));
        let again = &planned[0];
        assert_eq!((planned.len(), again.state, again.code, again.batch), (2, JobState::Accepted, code, 7));
        assert!(again.reason_text().unwrap().contains(TEST), "{again:?}");
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
    assert_eq!(planned[0].build_wait, Some(BuildWait { since: at(0), ignore_runs_up_to: Some(0), failed_before: 0 }));
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
    let decided = RequestedJob { code: Some(JobCode::PlanSkipped), planned: true, ..test() };
    let batch = RequestedJob { planned: true, batch: 3, ..test() };
    let forwarded = RequestedJob { state: JobState::Forwarded, ..test() };
    assert_eq!(names(&[rejected, decided, batch, forwarded], &planning), none);
}

const LABEL: &str = "test-linux64/opt-xpcshell";
const BUILD_LABEL: &str = "build-linux64/opt";

fn label() -> RequestedJob {
    RequestedJob { build: Some(BUILD_LABEL.to_owned()), ..RequestedJob::accepted_label(LABEL) }
}

/// Runs of tasks as Treeherder lists them.
fn tasks(words: &[(&str, &str)]) -> Runs {
    let mut runs = Runs::default();
    for (id, (name, word)) in (11..).zip(words) {
        let is_underway = ["unscheduled", "pending", "running"].contains(word);
        let (state, result) = if is_underway { (*word, "unknown") } else { ("completed", *word) };
        if let Some(state) = RunState::of_task(state, result) {
            runs.add((*name).to_owned(), Run { id, state });
        }
    }
    runs
}

/// The runs of the build and of the label, what is said of the label, and the result of a build that is requested anew.
#[test]
fn a_label_is_triggered_and_its_build_too_if_that_failed() {
    let again = |word: &str| format!("It is {word} on this push already, and is requested once more.");
    for (build, label_runs, reason, failed) in [
        (&["success"][..], &[][..], None, None),
        (&[], &[], None, None),
        (&["retry"], &[], None, None),
        (&["unscheduled"], &[], None, None),
        (&["pending"], &[], None, None),
        (&["busted", "running"], &[], None, None),
        (&["busted", "success"], &[], None, None),
        (&["success", "busted"], &["testfailed"], None, None),
        (&["success"], &["running"], Some(again("running")), None),
        (&["busted"], &[], None, Some("failed (busted)")),
        (&["exception"], &[], None, Some("failed (exception)")),
        (&["exception", "retry"], &[], None, Some("failed (exception)")),
        (&["busted", "usercancel"], &[], None, Some("ended as 'usercancel'")),
        (&["superseded"], &[], None, Some("ended as 'superseded'")),
        (&["testfailed"], &["unscheduled"], Some(again("pending")), Some("ended as 'testfailed'")),
    ] {
        let known: Vec<(&str, &str)> = build.iter().map(|word| (BUILD_LABEL, *word)).collect();
        let known = tasks(&[known, label_runs.iter().map(|word| (LABEL, *word)).collect()].concat());
        let other = RequestedJob { name: "another test".to_owned(), ..label() };
        for state in [JobState::Accepted, JobState::Waiting] {
            let jobs = [RequestedJob { state, ..label() }, RequestedJob { state, ..other.clone() }];
            let planned = plan(&jobs, Some(&known), &Planning::default(), context(0));
            let code = reason.as_ref().map(|_| JobCode::AlreadyRunning);
            assert_eq!(summary(&planned[0]), (state, code, reason.clone().unwrap_or_default()), "{build:?}");
            assert_eq!(planned[1], jobs[1]);
            let expected = failed.map(|_| RequestedJob {
                code: Some(JobCode::NeededBuild),
                reason: planned[2..].first().and_then(|job| job.reason.clone()),
                planned: true,
                ..RequestedJob::accepted_label(BUILD_LABEL)
            });
            assert_eq!(planned[2..], expected.into_iter().collect::<Vec<_>>(), "{build:?}");
            if let (Some(added), Some(failed)) = (planned.get(2), failed) {
                let said = format!(
                    "It was added because '{LABEL}' needs this build, which {failed} on this push: without a new one the \
                     test would wait for ever."
                );
                assert_eq!(added.reason_text(), Some(said));
            }
            assert_eq!(plan(&planned, Some(&known), &Planning::default(), context(1)), planned, "{build:?}");
        }
    }
}

#[test]
fn a_label_that_runs_is_skipped_whenever_it_is_planned() {
    let job = |state| RequestedJob { state, planned: true, ..label() };
    for state in [JobState::Accepted, JobState::Waiting] {
        // A repeat too: that the hook is called is recorded before, so the run is that of another request.
        for is_repeat in [false, true] {
            let context = PlanContext { is_repeat, ..context(0) };
            let planned = plan(&[job(state)], Some(&tasks(&[(LABEL, "pending")])), &skipping(), context);
            let said = "It is pending on this push already, so it is not requested once more.".to_owned();
            assert_eq!(summary(&planned[0]), (JobState::Rejected, Some(JobCode::AlreadyRunning), said));
        }
    }
    // A call that was not answered may have started it.
    let in_doubt = RequestedJob { in_doubt: true, ..job(JobState::Accepted) };
    let planned = plan(std::slice::from_ref(&in_doubt), Some(&tasks(&[(LABEL, "pending")])), &skipping(), context(0));
    assert_eq!(planned, [in_doubt]);
}

#[test]
fn labels_that_are_being_triggered_or_were_are_left_alone() {
    let known = tasks(&[(BUILD_LABEL, "busted"), (LABEL, "pending")]);
    for state in [JobState::Triggering, JobState::Forwarded, JobState::Failed, JobState::Rejected] {
        let jobs = [RequestedJob { state, ..label() }];
        for runs in [Some(&known), None] {
            assert_eq!(plan(&jobs, runs, &skipping(), context(0)), jobs, "{state:?}");
        }
        assert_eq!(names_to_check(&jobs, &skipping()), BTreeSet::new(), "{state:?}");
    }
}

#[test]
fn without_treeherder_a_label_is_triggered_until_treeherder_answers() {
    let jobs = [label(), RequestedJob::accepted_label("test-without-a-build")];
    let planned = plan(&jobs, None, &Planning::default(), context(0));
    let said = "Treeherder does not answer, so it is not known whether its build is there.";
    assert_eq!(summary(&planned[0]), (JobState::Accepted, Some(JobCode::PlanSkipped), said.to_owned()));
    assert_eq!(planned[1], jobs[1]);
    let waiting: Vec<RequestedJob> =
        planned.iter().map(|job| RequestedJob { state: JobState::Waiting, ..job.clone() }).collect();
    assert_eq!(plan(&waiting, None, &Planning::default(), context(1)), waiting);
    let later = plan(&waiting, Some(&tasks(&[(BUILD_LABEL, "busted")])), &Planning::default(), context(2));
    assert_eq!((later[0].code, later.len()), (None, 3));
    // What was known stays known.
    assert_eq!(plan(&later, None, &Planning::default(), context(3))[1..], later[1..]);
}

#[test]
fn a_build_that_was_added_is_withdrawn_if_another_request_starts_it() {
    let failed = tasks(&[(BUILD_LABEL, "busted")]);
    let planned = plan(&[label()], Some(&failed), &Planning::default(), context(0));
    for (word, said) in [
        ("unscheduled", "It is pending on this push already, so it is not requested once more."),
        ("success", "It is on this push by now, so it is not requested once more."),
    ] {
        let later = tasks(&[(BUILD_LABEL, "busted"), (BUILD_LABEL, word)]);
        let replanned = plan(&planned, Some(&later), &Planning::default(), context(1));
        assert_eq!(summary(&replanned[1]), (JobState::Rejected, Some(JobCode::NeededBuild), said.to_owned()));
        assert_eq!(replanned[0], planned[0]);
        // It failed as well.
        let again = plan(&replanned, Some(&failed), &Planning::default(), context(2));
        assert_eq!(again, planned);
        let in_doubt = [planned[0].clone(), RequestedJob { in_doubt: true, ..planned[1].clone() }];
        assert_eq!(plan(&in_doubt, Some(&later), &Planning::default(), context(1)), in_doubt);
    }
}

#[test]
fn a_build_of_the_request_is_requested_anew_only_after_it_failed() {
    use crate::outcome::{Outcome, OutcomeState};
    let failed = tasks(&[(BUILD_LABEL, "busted")]);
    let outcome = |state, result: Option<&str>| {
        Some(Outcome { state, result: result.map(ToOwned::to_owned), run: None, since: at(0) })
    };
    for (state, outcome, is_anew) in [
        (JobState::Accepted, None, false),
        (JobState::Triggering, None, false),
        (JobState::Forwarded, None, false),
        (JobState::Forwarded, outcome(OutcomeState::Pending, None), false),
        (JobState::Forwarded, outcome(OutcomeState::Completed, Some("success")), false),
        (JobState::Forwarded, outcome(OutcomeState::Completed, Some("testfailed")), true),
        (JobState::Failed, None, true),
    ] {
        for code in [None, Some(JobCode::NeededBuild)] {
            let build =
                RequestedJob { state, code, outcome: outcome.clone(), ..RequestedJob::accepted_label(BUILD_LABEL) };
            let planned = plan(&[build.clone(), label()], Some(&failed), &Planning::default(), context(0));
            assert_eq!((planned.len(), &planned[1]), (2, &label()));
            if is_anew {
                assert_eq!((planned[0].state, planned[0].code), (JobState::Accepted, code), "{build:?}");
                assert!(planned[0].is_open_label() && planned[0].reason_text().unwrap().contains(LABEL));
            } else {
                assert_eq!(planned[0], build);
            }
        }
    }
}

#[test]
fn labels_and_builders_are_planned_side_by_side() {
    let known = tasks(&[(BUILD_LABEL, "busted"), (BUILD, "running")]);
    let alone = plan(&[test()], Some(&known), &Planning::default(), context(0));
    let planned = plan(&[label(), test()], Some(&known), &Planning::default(), context(0));
    assert_eq!((planned.len(), &planned[1]), (3, &alone[0]));
    assert_eq!((planned[2].name.as_str(), planned[2].destination), (BUILD_LABEL, Destination::Taskcluster));
    let later = plan(&planned, Some(&tasks(&[(BUILD, "success")])), &Planning::default(), context(1));
    assert_eq!((later[1].state, later[1].batch), (JobState::Accepted, 7));
    assert_eq!((&later[0], &later[2]), (&planned[0], &planned[2]));
}

#[test]
fn taskcluster_starts_the_builds_that_are_missing() {
    let other = RequestedJob {
        build: Some("build-windows/opt".to_owned()),
        ..RequestedJob::accepted_label("test-windows/opt-xpcshell")
    };
    let build = RequestedJob::accepted_label(BUILD_LABEL);
    let jobs = [other.clone(), label(), other, test()];
    let missing = |known: &[(&str, &str)]| missing_builds(&jobs, Some(&tasks(known)));
    assert_eq!(missing(&[]), [BUILD_LABEL, "build-windows/opt"]);
    assert_eq!(missing(&[(BUILD_LABEL, "retry"), ("build-windows/opt", "busted")]), [BUILD_LABEL]);
    assert_eq!(missing(&[(BUILD_LABEL, "pending"), ("build-windows/opt", "success")]), [""; 0]);
    assert_eq!(missing_builds(&[label(), build], Some(&Runs::default())), [""; 0]);
    assert_eq!(missing_builds(&jobs, None), [""; 0]);
}

#[test]
fn treeherder_is_asked_for_labels_and_their_builds() {
    let names = |jobs: &[RequestedJob], planning: &Planning| {
        names_to_check(jobs, planning).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let alone = RequestedJob::accepted_label("test-without-a-build");
    assert_eq!(names(std::slice::from_ref(&alone), &Planning::default()), [""; 0]);
    assert_eq!(names(std::slice::from_ref(&alone), &skipping()), ["test-without-a-build"]);
    for state in [JobState::Accepted, JobState::Waiting] {
        let waiting = RequestedJob { state, planned: true, ..label() };
        assert_eq!(names(&[waiting], &Planning::default()), [BUILD_LABEL, LABEL], "{state:?}");
    }
    let added = RequestedJob { code: Some(JobCode::NeededBuild), planned: true, ..RequestedJob::accepted_label("b") };
    assert_eq!(names(&[added], &Planning::default()), ["b"]);
}
