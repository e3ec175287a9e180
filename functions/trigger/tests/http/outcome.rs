//! What people see of a request while its jobs are followed, and after that.

use chrono::{DateTime, TimeDelta, Utc};
use http::{Method, StatusCode};
use requests::action::{Action, ActionState, LabelWait, LabelWaitReason, Places};
use requests::destination::Destination;
use requests::job::{RequestedJob, count_jobs, digest, progress};
use requests::outcome::{Outcome, OutcomeState, RunOf};
use requests::request::Request;
use requests::state::{JobState, RequestState};
use serde_json::{Value, json};
use trigger_api::api::{TriggerRequest, Triggered};

use crate::app::{BUILD, NEW_NAME, REVISION, SOMEONE, TEST, TestApp, token};

const TASK: &str = "fN1SbArXTPSVFNUvaOlinQ";
const HOOK: &str = "project-gecko/in-tree-action-1-generic/0123abcdef";

async fn app() -> TestApp {
    TestApp::with(&[
        ("RUNNABLE_JOBS_TASKCLUSTER_URL", "https://taskcluster.example.org"),
        ("RUNNABLE_JOBS_TASKCLUSTER_PROJECTS", r#"{"try": "gecko.v2.try"}"#),
    ])
    .await
}

/// A request for three jobs, of which the last is a label, as `change` leaves it.
async fn request(app: &TestApp, change: impl Fn(&mut Request, &mut [RequestedJob], DateTime<Utc>)) -> Triggered {
    let taken = app.trigger(SOMEONE, &[BUILD, TEST, NEW_NAME]).await.taken();
    let (request, mut jobs) = app.stored(&taken).await;
    let mut next = Request { version: request.version + 1, ..request };
    jobs[2].destination = Destination::Taskcluster;
    change(&mut next, &mut jobs, app.time());
    next.apply_actions(&mut jobs);
    next.job_counts = count_jobs(&jobs);
    next.progress = next.progress.map(|_| progress(&jobs));
    next.jobs_digest = digest(&jobs);
    app.requests.update(&next, Some(&jobs), app.time()).await.unwrap();
    taken
}

fn action(state: ActionState, task_id: Option<&str>, called_at: DateTime<Utc>) -> Action {
    let (jobs, task_id) = (Places::new([2]), task_id.map(ToOwned::to_owned));
    Action { number: 1, jobs, hook: HOOK.to_owned(), state, task_id, called_at }
}

fn outcome(state: OutcomeState, result: Option<&str>, run: Option<RunOf>, since: DateTime<Utc>) -> Outcome {
    Outcome { state, result: result.map(ToOwned::to_owned), run, since }
}

fn forwarded(jobs: &mut [RequestedJob]) {
    for job in jobs {
        job.state = JobState::Forwarded;
    }
}

async fn seen(app: &TestApp, taken: &Triggered) -> Value {
    app.get(taken.status_url.as_deref().unwrap(), SOMEONE).await.json(StatusCode::OK)
}

#[tokio::test]
async fn what_became_of_each_job_is_shown_with_a_link() {
    let app = app().await;
    let taken = request(&app, |request, jobs, now| {
        request.state = RequestState::Finished;
        forwarded(jobs);
        jobs[0].outcome = Some(outcome(OutcomeState::Completed, Some("success"), Some(RunOf::Job(77)), now));
        jobs[1].outcome = Some(outcome(OutcomeState::NotSeen, None, None, now));
        let task = Some(RunOf::Task(TASK.to_owned()));
        jobs[2].outcome = Some(outcome(OutcomeState::Completed, Some("testfailed"), task, now));
        request.actions = vec![action(ActionState::Ended, Some(TASK), now)];
    })
    .await;
    let answer = seen(&app, &taken).await;
    let since = &answer["jobs"][0]["outcome"]["since"];
    assert_eq!(
        answer["jobs"][0]["outcome"],
        json!({"state": "completed", "result": "success", "job_id": 77, "since": since,
               "url": format!("https://treeherder.example.org/jobs?repo=try&revision={REVISION}&selectedJob=77")})
    );
    assert_eq!(answer["jobs"][1]["outcome"], json!({"state": "not_seen", "since": since}));
    let url = format!("https://taskcluster.example.org/tasks/{TASK}");
    assert_eq!(
        answer["jobs"][2]["outcome"],
        json!({"state": "completed", "result": "testfailed", "task_id": TASK, "since": since, "url": url})
    );
    assert_eq!(answer["progress"], json!({"waiting": 0, "running": 0, "succeeded": 1, "failed": 2}));
    assert_eq!((&answer["state"], &answer["finished_at"]), (&json!("finished"), since));
    assert_eq!(
        answer["actions"],
        json!([{"number": 1, "state": "ended", "hook": HOOK, "jobs": 1, "task_id": TASK, "url": url,
                "called_at": since}])
    );
    // They failed, but were forwarded: a retry would send nothing.
    assert_eq!(answer["links"]["retry"], Value::Null);
}

#[tokio::test]
async fn a_job_links_to_treeherder_without_the_revision_if_that_is_not_known() {
    let app = app().await;
    let taken = request(&app, |request, jobs, now| {
        request.pushed = None;
        request.state = RequestState::Forwarded;
        forwarded(jobs);
        jobs[0].outcome = Some(outcome(OutcomeState::Running, None, Some(RunOf::Job(77)), now));
    })
    .await;
    let answer = seen(&app, &taken).await;
    assert_eq!(answer["jobs"][0]["outcome"]["url"], "https://treeherder.example.org/jobs?repo=try&selectedJob=77");
    assert_eq!(answer["jobs"][1].get("outcome"), None, "nothing is known yet");
    assert_eq!(answer["progress"], json!({"waiting": 2, "running": 1, "succeeded": 0, "failed": 0}));
    assert_eq!(answer["finished_at"], Value::Null);
}

#[tokio::test]
async fn a_label_that_waits_says_for_what() {
    let app = app().await;
    let error = || "it answers 503".to_owned();
    for (why, said) in [
        (
            LabelWaitReason::ActionRuns { task_id: Some(TASK.to_owned()) },
            format!(
                "An action of this push runs ({TASK}): this waits for its end, as two at once would each create the \
                 builds that are missing."
            ),
        ),
        (
            LabelWaitReason::Unavailable { error: error() },
            "Taskcluster does not answer: it answers 503. It is tried again.".to_owned(),
        ),
        (
            LabelWaitReason::Unanswered { error: error() },
            "The hook was called, and it is not known yet whether it made a task: the task is looked for.".to_owned(),
        ),
    ] {
        let taken = request(&app, |request, jobs, now| {
            request.state = RequestState::Waiting;
            forwarded(&mut jobs[..2]);
            request.label_wait = Some(LabelWait { why: why.clone(), since: now, until: now, attempts: 0 });
        })
        .await;
        let answer = seen(&app, &taken).await;
        assert_eq!((&answer["jobs"][2]["state"], &answer["jobs"][2]["detail"]), (&json!("waiting"), &json!(said)));
        assert_eq!(answer["jobs"][0].get("detail"), None);
        app.wait(61);
    }
}

#[tokio::test]
async fn a_label_whose_hook_is_being_called_is_triggering() {
    let app = app().await;
    let taken = request(&app, |request, jobs, now| {
        request.state = RequestState::Waiting;
        forwarded(&mut jobs[..2]);
        request.actions = vec![action(ActionState::Triggering, None, now)];
    })
    .await;
    let answer = seen(&app, &taken).await;
    assert_eq!(answer["jobs"][2]["state"], "triggering");
    assert!(answer["jobs"][2]["detail"].as_str().unwrap().starts_with("The hook was called"), "{answer}");
    assert_eq!(answer["job_counts"], json!({"triggering": 1, "forwarded": 2}));
    let action = &answer["actions"][0];
    assert_eq!(
        (&action["state"], &action["task_id"], &action["url"]),
        (&json!("triggering"), &Value::Null, &Value::Null)
    );
}

#[tokio::test]
async fn a_followed_request_is_polled_ever_more_slowly_for_half_a_read_unit() {
    let app = app().await;
    let taken = request(&app, |request, jobs, now| {
        request.state = RequestState::Forwarded;
        request.due_at = now.timestamp();
        forwarded(jobs);
    })
    .await;
    let url = taken.status_url.as_deref().unwrap();
    let authorization = token(SOMEONE);
    let first = app.get(url, SOMEONE).await;
    let etag = first.header("etag").unwrap().to_owned();
    let headers = [("authorization", authorization.as_str()), ("if-none-match", &etag)];
    let again = app.ask(Method::GET, url, &headers, b"").await;
    assert_eq!((again.status, again.header("retry-after")), (StatusCode::NOT_MODIFIED, Some("60")));
    assert_eq!((again.body.len(), &app.line()["read_units"]), (0, &json!(0.5)));
    for (minutes, seconds) in [(9, "60"), (10, "120"), (59, "120"), (60, "300"), (240, "900")] {
        let (request, jobs) = app.stored(&taken).await;
        let due_at = (app.time() - TimeDelta::minutes(minutes)).timestamp();
        let next = Request { version: request.version + 1, due_at, ..request };
        app.requests.update(&next, Some(&jobs), app.time()).await.unwrap();
        assert_eq!(app.get(url, SOMEONE).await.header("retry-after"), Some(seconds), "after {minutes} minutes");
    }

    // Something happened: the head alone says so.
    let (request, jobs) = app.stored(&taken).await;
    let ended = Request { version: request.version + 1, state: RequestState::Finished, ..request };
    app.requests.update(&ended, Some(&jobs), app.time()).await.unwrap();
    let changed = app.ask(Method::GET, url, &headers, b"").await;
    assert_eq!((changed.status, changed.header("retry-after")), (StatusCode::OK, None));
    assert_ne!(changed.header("etag"), Some(etag.as_str()));
}

#[tokio::test]
async fn a_request_that_an_earlier_version_forwarded_is_not_followed() {
    let app = app().await;
    let taken = request(&app, |request, jobs, _| {
        request.state = RequestState::Forwarded;
        request.progress = None;
        jobs[2].destination = Destination::Pulse;
        forwarded(jobs);
    })
    .await;
    let answer = app.get(taken.status_url.as_deref().unwrap(), SOMEONE).await;
    assert_eq!(answer.header("retry-after"), None);
    let seen: TriggerRequest = answer.json(StatusCode::OK);
    assert_eq!((seen.summary.progress, seen.summary.finished_at), (None, None));
}
