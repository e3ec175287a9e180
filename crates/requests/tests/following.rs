//! What becomes of jobs that were forwarded, and what holds whatever is seen of them.

use chrono::{DateTime, TimeDelta, Utc};
use proptest::prelude::*;
use requests::action::{Action, ActionState, Places};
use requests::destination::Destination;
use requests::following::{Following, Looks, MadeTasks, SeenTask, Sighting, follow, names_to_follow, tasks_to_check};
use requests::id::RequestId;
use requests::job::{JobCode, RequestedJob, digest, stored_form};
use requests::new_request::NewRequest;
use requests::outcome::{Outcome, OutcomeState, RunOf};
use requests::request::Request;
use requests::state::{JobState, RequestState};

const FOLLOWING: Following = Following { max_hours: 24 };
const ACTION: &str = "action-1";

fn at(minutes: i64) -> DateTime<Utc> {
    let start: DateTime<Utc> = "2026-11-23T06:00:00.250Z".parse().expect("a time");
    start + TimeDelta::minutes(minutes)
}

fn builder(name: &str) -> RequestedJob {
    RequestedJob { state: JobState::Forwarded, asked_at: Some(at(0)), ..RequestedJob::accepted(name) }
}

fn label(name: &str) -> RequestedJob {
    RequestedJob { state: JobState::Forwarded, ..RequestedJob::accepted_label(name) }
}

/// A forwarded request for these jobs. Its labels are in one action, which runs.
fn forwarded(jobs: &[RequestedJob]) -> Request {
    let new_request = NewRequest::new("try", 7, "someone@mozilla.com".parse().expect("an address"), Vec::new());
    let request = Request::new(RequestId::new(at(0), 1), new_request, None, jobs, at(0));
    let mut queued = request.queued(at(0)).expect("it is accepted");
    queued.actions.extend(action(1, jobs, |job| job.destination == Destination::Taskcluster, 0));
    queued.with_results(jobs, TimeDelta::minutes(2), at(0))
}

/// A running action with some of the jobs.
fn action(number: u32, jobs: &[RequestedJob], has: impl Fn(&RequestedJob) -> bool, minutes: i64) -> Option<Action> {
    let places: Vec<usize> = (0..jobs.len()).filter(|place| has(&jobs[*place])).collect();
    (!places.is_empty()).then(|| Action {
        number,
        jobs: Places::new(places),
        hook: "project-gecko/in-tree-action-1-generic/0123abcdef".to_owned(),
        state: ActionState::Running,
        task_id: Some(format!("action-{number}")),
        called_at: at(minutes),
    })
}

fn sighting(id: u64, name: &str, state: &str, result: &str, minutes: i64) -> Sighting {
    let submitted_at = DateTime::from_timestamp(at(minutes).timestamp(), 0).expect("a time");
    Sighting { id, name: name.to_owned(), state: state.to_owned(), result: result.to_owned(), submitted_at }
}

fn saw(sightings: &[Sighting]) -> Looks {
    let mut looks = Looks::default();
    looks.saw_push("try", 7, sightings.to_vec());
    looks
}

fn task(state: &str, reason: Option<&str>) -> SeenTask {
    SeenTask { state: state.to_owned(), reason: reason.map(str::to_owned), since: None }
}

/// The action ended in this state, and made these tasks.
fn ended(state: &str, made: &[(&str, &str)], log: &str) -> Looks {
    let mut looks = Looks::default();
    looks.saw_task(ACTION, Some(task(state, None)));
    let tasks = made.iter().map(|(label, id)| ((*label).to_owned(), (*id).to_owned())).collect();
    looks.saw_made(ACTION, MadeTasks { tasks, log: log.to_owned() });
    looks
}

fn outcome(job: &RequestedJob) -> Option<(OutcomeState, Option<&str>)> {
    job.outcome.as_ref().map(|outcome| (outcome.state, outcome.result.as_deref()))
}

fn last_sentence(request: &Request) -> String {
    request.history.last().and_then(requests::history::Event::detail_text).unwrap_or_default()
}

#[test]
fn a_buildbot_job_is_followed_from_its_first_run_to_its_end() {
    let jobs = [builder("a"), builder("b")];
    let request = forwarded(&jobs);
    assert_eq!(request.state, RequestState::Forwarded);
    assert_eq!(names_to_follow(&jobs).into_iter().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(follow(&request, &jobs, &saw(&[]), FOLLOWING, at(1)), None);
    // Runs of other jobs, of earlier requests, and in states that are not known.
    let others = [
        sighting(1, "c", "running", "unknown", 1),
        sighting(2, "a", "running", "unknown", -1),
        sighting(3, "a", "a new state", "unknown", 1),
    ];
    assert_eq!(follow(&request, &jobs, &saw(&others), FOLLOWING, at(1)), None);

    // The same second as that of the request.
    let pending = saw(&[sighting(5, "a", "pending", "unknown", 0), sighting(9, "a", "running", "unknown", 1)]);
    let (request, jobs) = follow(&request, &jobs, &pending, FOLLOWING, at(2)).expect("a run");
    assert_eq!(outcome(&jobs[0]), Some((OutcomeState::Pending, None)));
    let seen = jobs[0].outcome.as_ref().expect("an outcome");
    assert_eq!((&seen.run, seen.since.timestamp()), (&Some(RunOf::Job(5)), at(0).timestamp()));
    assert_eq!((request.state, request.due_at), (RequestState::Forwarded, at(0).timestamp()), "no entry is moved");
    let events = request.history.len();

    let running = saw(&[sighting(5, "a", "running", "unknown", 0), sighting(6, "b", "completed", "busted", 1)]);
    let (request, jobs) = follow(&request, &jobs, &running, FOLLOWING, at(3)).expect("a change");
    assert_eq!(
        [outcome(&jobs[0]), outcome(&jobs[1])],
        [Some((OutcomeState::Running, None)), Some((OutcomeState::Completed, Some("busted")))]
    );
    assert_eq!(request.history.len(), events, "the end of one job is not an event");
    assert_eq!(names_to_follow(&jobs).into_iter().collect::<Vec<_>>(), ["a"]);

    let done = saw(&[sighting(5, "a", "completed", "success", 0), sighting(6, "b", "completed", "success", 1)]);
    let (request, jobs) = follow(&request, &jobs, &done, FOLLOWING, at(30)).expect("a change");
    assert_eq!(outcome(&jobs[1]), Some((OutcomeState::Completed, Some("busted"))), "it had ended");
    assert_eq!((request.state, request.finished_at()), (RequestState::Finished, Some(at(30))));
    assert_eq!(last_sentence(&request), "Jobs: 1 succeeded, 1 failed.");
}

#[test]
fn a_run_that_buildbot_repeats_by_itself_is_not_the_outcome() {
    let jobs = [builder("a")];
    let request = forwarded(&jobs);
    let first = saw(&[sighting(5, "a", "running", "unknown", 1)]);
    let (request, jobs) = follow(&request, &jobs, &first, FOLLOWING, at(2)).expect("a run");
    let repeated = [sighting(5, "a", "completed", "retry", 1)];
    assert_eq!(follow(&request, &jobs, &saw(&repeated), FOLLOWING, at(3)), None, "the next run is not there yet");
    let second = [repeated[0].clone(), sighting(8, "a", "pending", "unknown", 4)];
    let (_, jobs) = follow(&request, &jobs, &saw(&second), FOLLOWING, at(5)).expect("the next run");
    assert_eq!(jobs[0].outcome.as_ref().and_then(|outcome| outcome.run.clone()), Some(RunOf::Job(8)));
}

#[test]
fn a_buildbot_job_that_does_not_appear_was_not_seen() {
    // Earlier versions did not store when a job was asked for.
    let jobs = [RequestedJob { asked_at: None, ..builder("a") }];
    let request = forwarded(&jobs);
    assert_eq!(follow(&request, &jobs, &saw(&[]), FOLLOWING, at(24 * 60 - 1)), None);
    assert_eq!(follow(&request, &jobs, &Looks::default(), FOLLOWING, at(24 * 60)), None, "it was not looked for");
    let (request, jobs) = follow(&request, &jobs, &saw(&[]), FOLLOWING, at(24 * 60)).expect("an end");
    assert_eq!((outcome(&jobs[0]), jobs[0].code), (Some((OutcomeState::NotSeen, None)), Some(JobCode::NotSeen)));
    let reason = jobs[0].reason_text().expect("a reason");
    assert!(reason.starts_with("It did not appear on Treeherder within 24 hours"), "{reason}");
    assert_eq!((request.state, last_sentence(&request).as_str()), (RequestState::Finished, "Jobs: 1 failed."));
}

#[test]
fn labels_get_their_tasks_when_their_action_has_ended() {
    let jobs = [label("build"), label("test-1"), label("test-2"), label("test-3")];
    let request = forwarded(&jobs);
    assert_eq!(tasks_to_check(&request, &jobs).into_iter().collect::<Vec<_>>(), [ACTION]);
    let mut running = Looks::default();
    running.saw_task(ACTION, Some(task("running", None)));
    assert_eq!(follow(&request, &jobs, &running, FOLLOWING, at(1)), None, "labels have no outcome yet");
    let mut unread = Looks::default();
    unread.saw_task(ACTION, Some(task("completed", None)));
    assert_eq!(follow(&request, &jobs, &unread, FOLLOWING, at(2)), None, "it is not known what the action made");
    assert_eq!(unread.ended_actions(&request).map(|action| action.number).collect::<Vec<_>>(), [1]);

    let made = [("build", "T0"), ("test-1", "T1"), ("test-2", "T2"), ("test-3", "T3"), ("other", "T4")];
    let mut looks = ended("completed", &made, "");
    looks.saw_task("T0", Some(task("running", None)));
    looks.saw_task("T1", Some(task("unscheduled", None)));
    looks.saw_task("T2", Some(task("a new state", None)));
    let (request, jobs) = follow(&request, &jobs, &looks, FOLLOWING, at(2)).expect("tasks");
    let states: Vec<_> = jobs.iter().map(|job| outcome(job).map(|(state, _)| state)).collect();
    let [running, unscheduled, pending] = [OutcomeState::Running, OutcomeState::Unscheduled, OutcomeState::Pending];
    assert_eq!(states, [Some(running), Some(unscheduled), Some(pending), Some(pending)]);
    assert_eq!((request.state, request.actions[0].state), (RequestState::Forwarded, ActionState::Ended));
    assert_eq!(tasks_to_check(&request, &jobs).into_iter().collect::<Vec<_>>(), ["T0", "T1", "T2", "T3"]);

    let mut looks = Looks::default();
    looks.saw_task("T0", Some(task("completed", Some("completed"))));
    looks.saw_task("T1", Some(task("failed", Some("failed"))));
    looks.saw_task("T2", Some(task("exception", Some("canceled"))));
    let (request, jobs) = follow(&request, &jobs, &looks, FOLLOWING, at(40)).expect("ends");
    let results: Vec<_> = jobs.iter().map(|job| outcome(job).and_then(|(_, result)| result)).collect();
    assert_eq!(results, [Some("success"), Some("testfailed"), Some("usercancel"), None]);
    let mut looks = Looks::default();
    looks.saw_task("T3", Some(task("exception", Some("deadline-exceeded"))));
    let (request, _) = follow(&request, &jobs, &looks, FOLLOWING, at(41)).expect("the last one");
    assert_eq!(
        (request.state, last_sentence(&request).as_str()),
        (RequestState::Finished, "Jobs: 1 succeeded, 3 failed.")
    );
}

#[test]
fn a_label_that_its_action_did_not_create_failed_and_says_why() {
    let build = RequestedJob { code: Some(JobCode::NeededBuild), ..label("build") };
    let jobs = [build, label("test-1"), label("test-2")];
    let request = forwarded(&jobs);
    // Of what a failed action lists, not everything exists.
    let mut looks = ended("failed", &[("build", "T0"), ("test-1", "T1")], "Could not create 'test-1'");
    looks.saw_task("T0", Some(task("pending", None)));
    looks.saw_task("T1", None);
    let (request, jobs) = follow(&request, &jobs, &looks, FOLLOWING, at(2)).expect("an end");
    assert_eq!(jobs[0].state, JobState::Forwarded);
    for job in &jobs[1..] {
        assert_eq!((job.state, job.code, outcome(job)), (JobState::Failed, Some(JobCode::NotCreated), None));
        let reason = job.reason_text().expect("a reason");
        assert!(reason.starts_with("The action ended (failed)") && reason.ends_with("Could not create 'test-1'"));
    }
    assert_eq!(request.state, RequestState::Failed, "only a build that the plan added was created");

    let jobs = [RequestedJob { code: Some(JobCode::NeededBuild), ..label("build") }];
    let mut looks = Looks::default();
    looks.saw_task(ACTION, Some(task("exception", Some("deadline-exceeded"))));
    looks.saw_made(ACTION, MadeTasks::default());
    let (_, jobs) = follow(&forwarded(&jobs), &jobs, &looks, FOLLOWING, at(2)).expect("an end");
    assert_eq!(jobs[0].code, Some(JobCode::NeededBuild), "that it is an added build is not forgotten");
    assert!(jobs[0].reason_text().expect("a reason").starts_with("The action ended (deadline-exceeded)"));
}

#[test]
fn a_task_that_taskcluster_has_forgotten_was_not_seen() {
    let jobs = [label("test-1")];
    let request = forwarded(&jobs);
    let mut forgotten = Looks::default();
    forgotten.saw_task(ACTION, None);
    forgotten.saw_task("T1", None);
    assert_eq!(follow(&request, &jobs, &forgotten, FOLLOWING, at(9)), None, "the task may be too new");
    let (_, lost) = follow(&request, &jobs, &forgotten, FOLLOWING, at(10)).expect("an end");
    assert_eq!((lost[0].state, lost[0].code), (JobState::Failed, Some(JobCode::NotCreated)));

    let made = ended("completed", &[("test-1", "T1")], "");
    let (request, jobs) = follow(&request, &jobs, &made, FOLLOWING, at(20)).expect("a task");
    assert_eq!(follow(&request, &jobs, &forgotten, FOLLOWING, at(29)), None);
    let (request, jobs) = follow(&request, &jobs, &forgotten, FOLLOWING, at(30)).expect("an end");
    assert_eq!((request.state, outcome(&jobs[0])), (RequestState::Finished, Some((OutcomeState::NotSeen, None))));
    assert_eq!(jobs[0].outcome.as_ref().and_then(|outcome| outcome.run.clone()), Some(RunOf::Task("T1".to_owned())));
}

#[test]
fn what_is_never_looked_at_ends_all_the_same() {
    let jobs = [builder("a"), label("test-1")];
    let request = forwarded(&jobs);
    let minutes = (7 * 24 + 24) * 60;
    assert_eq!(follow(&request, &jobs, &Looks::default(), FOLLOWING, at(minutes - 1)), None);
    let (request, jobs) = follow(&request, &jobs, &Looks::default(), FOLLOWING, at(minutes)).expect("an end");
    assert_eq!((request.state, request.actions[0].state), (RequestState::Finished, ActionState::Ended));
    for job in &jobs {
        assert_eq!((outcome(job), job.code), (Some((OutcomeState::NotSeen, None)), Some(JobCode::NotSeen)));
        assert_eq!(
            job.reason_text().as_deref(),
            Some("Its end was not seen within 192 hours, so it is not followed any more.")
        );
    }
}

#[test]
fn a_request_that_is_open_stays_open() {
    let mut jobs = vec![label("test-1"), label("test-2"), builder("a")];
    let mut request = forwarded(&jobs);
    request.actions[0].jobs = Places::new([0]);
    jobs[1].state = JobState::Waiting;
    request = request.with_results(&jobs, TimeDelta::minutes(1), at(1));
    assert_eq!(request.state, RequestState::Waiting);
    let mut looks = ended("completed", &[("test-1", "T1"), ("test-2", "T9")], "");
    looks.saw_push("try", 7, vec![sighting(5, "a", "completed", "success", 1)]);
    let (next, jobs) = follow(&request, &jobs, &looks, FOLLOWING, at(2)).expect("an end");
    assert_eq!((next.state, next.due_at, &next.history), (RequestState::Waiting, request.due_at, &request.history));
    assert_eq!(outcome(&jobs[0]), Some((OutcomeState::Pending, None)));
    assert_eq!((jobs[1].state, outcome(&jobs[1])), (JobState::Waiting, None), "it is in no action");
    assert_eq!(next.progress.map(|progress| (progress.waiting, progress.succeeded)), Some((2, 1)));
}

/// What may be seen at one time, and whether failed jobs are sent again after that.
#[derive(Debug, Clone)]
struct Step {
    minutes: i64,
    runs: Option<Vec<Sighting>>,
    tasks: Vec<(&'static str, Option<SeenTask>)>,
    made: Vec<(&'static str, Vec<(&'static str, &'static str)>)>,
    retries: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let state = prop::sample::select(vec!["unscheduled", "pending", "running", "completed", "completed", "new"]);
    let result = prop::sample::select(vec!["success", "testfailed", "retry", "superseded", ""]);
    let name = prop::sample::select(vec!["a", "b", "x"]);
    let run = (1_u64..6, name, state, result, -10_i64..200)
        .prop_map(|(id, name, state, result, minutes)| sighting(id, name, state, result, minutes));
    let id = prop::sample::select(vec!["action-1", "action-2", "action-3", "T1", "T2", "T3"]);
    let state =
        prop::sample::select(vec!["unscheduled", "pending", "running", "completed", "failed", "exception", "new"]);
    let reason = prop::sample::select(vec![None, Some("canceled"), Some("superseded"), Some("deadline-exceeded")]);
    let seen = prop::option::weighted(0.8, (state, reason));
    let seen = seen.prop_map(|seen| seen.map(|(state, reason)| task(state, reason)));
    let one = (prop::sample::select(vec!["l", "m", "n"]), prop::sample::select(vec!["T1", "T2", "T3"]));
    let action = prop::sample::select(vec!["action-1", "action-2", "action-3"]);
    let made = (action, prop::collection::vec(one, 0..4));
    (
        prop_oneof![1_i64..30, 60_i64..3000],
        prop::option::of(prop::collection::vec(run, 0..5)),
        prop::collection::vec((id, seen), 0..5),
        prop::collection::vec(made, 0..2),
        any::<bool>(),
    )
        .prop_map(|(minutes, runs, tasks, made, retries)| Step { minutes, runs, tasks, made, retries })
}

impl Step {
    fn looks(&self) -> Looks {
        let mut looks = Looks::default();
        if let Some(runs) = &self.runs {
            looks.saw_push("try", 7, runs.clone());
        }
        for (id, seen) in &self.tasks {
            looks.saw_task(id, seen.clone());
        }
        for (action, made) in &self.made {
            let tasks = made.iter().map(|(label, id)| ((*label).to_owned(), (*id).to_owned())).collect();
            looks.saw_made(action, MadeTasks { tasks, log: "the reason".to_owned() });
        }
        looks
    }
}

/// Sends the failed jobs once more, all of which are forwarded.
fn sent_again(request: &Request, jobs: &[RequestedJob], minutes: i64) -> Option<(Request, Vec<RequestedJob>)> {
    let mut again = jobs.to_vec();
    for job in again.iter_mut().filter(|job| job.state.can_be_retried()) {
        let accepted = RequestedJob::accepted(&job.name);
        *job = RequestedJob { destination: job.destination, build: job.build.clone(), ..accepted };
    }
    let mut next = request.retried(&again, None, at(minutes))?.queued(at(minutes))?;
    let number = u32::try_from(next.actions.len()).ok()? + 1;
    let is_sent = |job: &RequestedJob| job.state == JobState::Accepted && job.destination == Destination::Taskcluster;
    next.actions.extend(action(number, &again, is_sent, minutes));
    for job in again.iter_mut().filter(|job| job.state == JobState::Accepted) {
        job.state = JobState::Forwarded;
        job.asked_at = (job.destination == Destination::Pulse).then(|| at(minutes));
    }
    Some((next.with_results(&again, TimeDelta::minutes(2), at(minutes)), again))
}

fn has_ended(job: &RequestedJob) -> bool {
    job.outcome.as_ref().is_some_and(Outcome::has_ended)
}

proptest! {
    #[test]
    fn whatever_is_seen_every_job_ends_once(steps in prop::collection::vec(step(), 1..25)) {
        let rejected = RequestedJob { state: JobState::Rejected, code: Some(JobCode::UnknownJob), ..RequestedJob::accepted("x") };
        let build = RequestedJob { code: Some(JobCode::NeededBuild), ..label("n") };
        let mut jobs = vec![builder("a"), rejected, label("l"), label("m"), builder("b"), build];
        let mut request = forwarded(&jobs);
        let mut minutes = 0;
        for step in steps {
            minutes += step.minutes;
            let looks = step.looks();
            if let Some((next, after)) = follow(&request, &jobs, &looks, FOLLOWING, at(minutes)) {
                prop_assert_eq!(follow(&next, &after, &looks, FOLLOWING, at(minutes)), None, "to follow twice is to follow once");
                prop_assert_eq!((next.version, next.attempt), (request.version + 1, request.attempt));
                for (before, after) in jobs.iter().zip(&after) {
                    prop_assert!(!has_ended(before) || before == after, "an outcome that has ended stays");
                    prop_assert!(before.state == after.state || after.state == JobState::Failed);
                    prop_assert_eq!(&before.name, &after.name);
                }
                // What the store reads back is what was stored.
                let mut read = stored_form(&after);
                next.apply_actions(&mut read);
                prop_assert_eq!(&read, &after);
                prop_assert_eq!(&next.jobs_digest, &digest(&after));
                (request, jobs) = (next, after);
            }
            let progress = request.progress.expect("it is counted");
            prop_assert_eq!(progress.waiting + progress.running + progress.succeeded + progress.failed, 5);
            let is_followed = !names_to_follow(&jobs).is_empty() || !tasks_to_check(&request, &jobs).is_empty();
            prop_assert_eq!(request.state == RequestState::Forwarded, is_followed && request.state != RequestState::Failed);
            if step.retries && let Some((next, again)) = sent_again(&request, &jobs, minutes) {
                for (before, after) in jobs.iter().zip(&again).filter(|(before, _)| !before.state.can_be_retried()) {
                    prop_assert_eq!(before, after, "a retry loses nothing");
                }
                (request, jobs) = (next, again);
            }
        }
        // Silence.
        minutes += 8 * 24 * 60;
        if request.state == RequestState::Forwarded {
            (request, jobs) = follow(&request, &jobs, &Looks::default(), FOLLOWING, at(minutes)).expect("an end");
        }
        prop_assert!(request.state.has_ended());
        prop_assert!(request.state == RequestState::Failed || names_to_follow(&jobs).is_empty());
        prop_assert_eq!(request.progress.map(|progress| (progress.waiting, progress.running)).filter(|_| request.state == RequestState::Finished).unwrap_or_default(), (0, 0));
    }
}
