//! Requests on their way from the queue to Pulse, with a table in the emulator and a real broker.
#![allow(
    clippy::unwrap_used,
    clippy::large_futures,
    reason = "a helper of a test may fail, and be as large, as the test may"
)]

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::Client;
use chrono::{DateTime, TimeDelta, Utc};
use forward::destination::pulse::PulseDestination;
use forward::{Delivery, Disposition, Forwarder};
use pulse::{MessageFormat, Publisher};
use requests::following::Following;
use requests::id::RequestId;
use requests::job::{JobCode, RequestedJob};
use requests::new_request::NewRequest;
use requests::planning::Planning;
use requests::request::Request;
use requests::state::{JobState, RequestState};
use serde_json::{Value, json};
use store::{Consistency, RequestsTable};
use test_support::broker::{Listener, address, project, publisher, settings};
use test_support::store::http::{Message as Answer, closed_address, serve};
use test_support::store::proxy::{Plan, Proxy, is_write};
use test_support::store::{at, client, endpoint, new_requests_table};
use treeherder::Treeherder;

const BUILD: &str = "Linux x86-64 try build";
const TEST: &str = "Ubuntu VM 12.04 x64 try opt test mochitest-1";

struct TestApp {
    requests: RequestsTable,
    name: String,
    forwarder: Forwarder,
    project: String,
    /// The jobs that Treeherder lists on every push: name, state, result. `None`: it does not answer.
    runs: Runs,
    now: Arc<Mutex<DateTime<Utc>>>,
}

type Runs = Arc<Mutex<Option<Vec<(&'static str, &'static str, &'static str)>>>>;

/// A Treeherder that lists these runs; their numbers start at 1.
fn treeherder(runs: &Runs) -> String {
    let runs = runs.clone();
    serve(move |request| {
        assert!(request.start.starts_with("GET /api/project/project-"), "{}", request.start);
        let runs = runs.lock().unwrap().clone()?;
        let job = |(id, (name, state, result)): (u64, (&str, &str, &str))| json!({"id": id, "ref_data_name": name, "build_system_type": "buildbot", "state": state, "result": result});
        let results: Vec<Value> = (1..).zip(runs).map(job).collect();
        let body = json!({"meta": {"offset": 0, "count": 2000}, "results": results});
        Some(Answer::answer("200 OK", body.to_string()))
    })
}

fn morning() -> DateTime<Utc> {
    at("2026-11-23T06:00:00Z")
}

fn forwarder(requests: RequestsTable, publisher: Publisher) -> Forwarder {
    Forwarder {
        requests,
        pulse: PulseDestination {
            publisher,
            exchange: settings(&address("PULSE_URL")).0.exchange(),
            formats: HashMap::new(),
        },
        taskcluster: None,
        treeherder: Treeherder::new(closed_address(), TimeDelta::zero(), Arc::new(morning)),
        planning: Planning::default(),
        following: Following::default(),
        clock: Arc::new(|| morning() + TimeDelta::seconds(10)),
    }
}

impl TestApp {
    async fn new() -> Self {
        let client = client(&endpoint()).await;
        let name = new_requests_table(&client).await;
        let requests = RequestsTable::new(client.clone(), &name);
        let mut forwarder = forwarder(RequestsTable::new(client, &name), publisher(&address("PULSE_URL")));
        let runs = Runs::default();
        let now = Arc::new(Mutex::new(morning() + TimeDelta::seconds(10)));
        let clock = now.clone();
        forwarder.clock = Arc::new(move || *clock.lock().unwrap());
        forwarder.treeherder = Treeherder::new(treeherder(&runs), TimeDelta::zero(), forwarder.clock.clone());
        let app = Self { requests, name, forwarder, project: project(), runs, now };
        // Has the exchange made, as listeners cannot.
        let first = app.request(99, &["x"]).await;
        app.forward(&[ticket(&first, 1)]).await;
        app
    }

    /// A queued request for these jobs.
    async fn request(&self, random: u128, names: &[&str]) -> Request {
        let jobs: Vec<RequestedJob> = names.iter().map(|name| RequestedJob::accepted(name)).collect();
        self.request_of(random, &jobs).await
    }

    async fn request_of(&self, random: u128, jobs: &[RequestedJob]) -> Request {
        let new_request = NewRequest::new(&self.project, 7, "someone@mozilla.com".parse().unwrap(), Vec::new());
        let request = Request::new(RequestId::new(morning(), random), new_request, None, jobs, morning());
        self.requests.create(&request, jobs, morning()).await.unwrap();
        let queued = request.queued(morning()).unwrap();
        self.requests.update(&queued, None, morning()).await.unwrap();
        queued
    }

    async fn forward(&self, deliveries: &[Delivery]) -> Vec<Disposition> {
        Box::pin(self.forwarder.forward(deliveries, None, &mut |_| ())).await
    }

    /// A queued request for a test and others.
    async fn test(&self, random: u128, others: &[&str]) -> Request {
        let mut jobs = vec![RequestedJob { build: Some(BUILD.to_owned()), ..RequestedJob::accepted(TEST) }];
        jobs.extend(others.iter().map(|name| RequestedJob::accepted(name)));
        self.request_of(random, &jobs).await
    }

    fn treeherder_lists(&self, runs: &[(&'static str, &'static str, &'static str)]) {
        *self.runs.lock().unwrap() = Some(runs.to_vec());
    }

    fn wait(&self, minutes: i64) {
        *self.now.lock().unwrap() += TimeDelta::minutes(minutes);
    }

    async fn now(&self, request: &Request) -> (Request, Vec<RequestedJob>) {
        let now = self.requests.request(request.id, Consistency::Consistent).await.unwrap().unwrap();
        self.requests.with_jobs(now, Consistency::Consistent).await.unwrap()
    }

    /// The same forwarder, whose store answers by this plan.
    async fn behind(&self, plan: impl FnMut(&str, usize) -> Plan + Send + 'static) -> Forwarder {
        let proxy = Proxy::start(plan);
        let client: Client = client(&proxy.endpoint).await;
        forwarder(RequestsTable::new(client, &self.name), publisher(&address("PULSE_URL")))
    }
}

fn ticket(request: &Request, receive_count: u32) -> Delivery {
    let body = json!({"request_id": request.id, "round": request.attempt}).to_string();
    Delivery { id: format!("delivery-{}", request.id), body, receive_count }
}

fn states(jobs: &[RequestedJob]) -> Vec<JobState> {
    jobs.iter().map(|job| job.state).collect()
}

/// A publisher whose broker is not there.
fn nowhere() -> Publisher {
    let url = address("PULSE_URL");
    let (before, _) = url.rsplit_once('@').unwrap();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    publisher(&format!("{before}@{closed}/%2f"))
}

#[tokio::test]
async fn a_queued_request_is_forwarded_and_that_is_recorded() {
    let app = TestApp::new().await;
    let listener = Listener::on(&app.project).await;
    let rejected = RequestedJob {
        state: JobState::Rejected,
        code: Some(JobCode::UnknownJob),
        ..RequestedJob::accepted("no such job")
    };
    let request = app.request_of(1, &[RequestedJob::accepted("a"), rejected, RequestedJob::accepted("b")]).await;
    assert_eq!(app.forward(&[ticket(&request, 1)]).await, [Disposition::Ack]);

    let got = listener.next().await.unwrap();
    let body: Value = serde_json::from_slice(&got.data).unwrap();
    assert_eq!((&body["requested_jobs"], &body["resultset_id"]), (&json!(["a", "b"]), &json!("7")));
    assert_eq!(got.properties.message_id().as_ref().unwrap().as_str(), format!("{}.1.0", request.id));
    let (now, jobs) = app.now(&request).await;
    assert_eq!(
        (now.state, states(&jobs)),
        (RequestState::Forwarded, vec![JobState::Forwarded, JobState::Rejected, JobState::Forwarded])
    );
    assert_eq!(now.history.last().unwrap().detail_text().as_deref(), Some("Jobs: 2 forwarded."));
}

#[tokio::test]
async fn what_is_given_out_twice_is_published_once() {
    let app = TestApp::new().await;
    let listener = Listener::on(&app.project).await;
    let request = app.request(1, &["a"]).await;
    let twice = [ticket(&request, 1), ticket(&request, 1)];
    assert_eq!(app.forward(&twice).await, [Disposition::Ack, Disposition::Ack]);
    assert_eq!(app.forward(&twice).await, [Disposition::Ack, Disposition::Ack]);
    assert!(listener.next().await.is_some());
    assert!(listener.next().await.is_none());
}

#[tokio::test]
async fn a_ticket_of_an_earlier_attempt_is_ignored() {
    let app = TestApp::new().await;
    let request = app.request(1, &["a"]).await;
    let old = Request { attempt: 0, ..request.clone() };
    assert_eq!(app.forward(&[ticket(&old, 1)]).await, [Disposition::Ack]);
    assert_eq!(app.now(&request).await.0.state, RequestState::Queued);
}

#[tokio::test]
async fn without_a_listener_jobs_are_unroutable_and_have_that_reason() {
    let app = TestApp::new().await;
    let request = app.request(1, &["a"]).await;
    assert_eq!(app.forward(&[ticket(&request, 1)]).await, [Disposition::Ack]);
    let (now, jobs) = app.now(&request).await;
    assert_eq!((now.state, states(&jobs)), (RequestState::Failed, vec![JobState::Unroutable]));
    assert!(jobs[0].reason_text().unwrap().starts_with("Pulse has no listener"));
}

#[tokio::test]
async fn a_message_that_is_not_a_ticket_fails_alone() {
    let app = TestApp::new().await;
    let _listener = Listener::on(&app.project).await;
    let request = app.request(1, &["a"]).await;
    let poison = |body: &str| Delivery { id: "poison".to_owned(), body: body.to_owned(), receive_count: 1 };
    let gone = r#"{"request_id":"01KAS4B0MRJ6WJ0RGDX8T0E4JQ","round":1}"#;
    let left = app.forward(&[poison("x"), ticket(&request, 1), poison(gone), poison("{}")]).await;
    let is_done: Vec<bool> = left.iter().map(|left| *left == Disposition::Ack).collect();
    assert_eq!(is_done, [false, true, false, false], "{left:?}");
    assert_eq!(app.now(&request).await.0.state, RequestState::Forwarded);
}

#[tokio::test]
async fn an_unreachable_broker_is_retried_until_the_last_delivery() {
    let app = TestApp::new().await;
    let request = app.request(1, &["a"]).await;
    let lost = forwarder(RequestsTable::new(client(&endpoint()).await, &app.name), nowhere());
    let left = lost.forward(&[ticket(&request, 4)], None, &mut |_| ()).await;
    assert!(matches!(&left[..], [Disposition::Retry(_)]), "{left:?}");
    let (now, jobs) = app.now(&request).await;
    assert_eq!((now.version, now.state, states(&jobs)), (2, RequestState::Queued, vec![JobState::Accepted]));

    assert_eq!(lost.forward(&[ticket(&request, 5)], None, &mut |_| ()).await, [Disposition::Ack]);
    let (now, jobs) = app.now(&request).await;
    assert_eq!((now.state, states(&jobs)), (RequestState::Failed, vec![JobState::Failed]));
    assert!(
        jobs[0].reason_text().unwrap().starts_with("It could not be forwarded to Pulse: the connection"),
        "{jobs:?}"
    );
}

#[tokio::test]
async fn refused_messages_return_until_the_last_delivery() {
    let app = TestApp::new().await;
    let request = app.request(1, &["a"]).await;
    let (settings, mut user) = settings(&address("PULSE_URL"));
    user.password = "wrong".to_owned();
    let refused = forwarder(
        RequestsTable::new(client(&endpoint()).await, &app.name),
        Publisher::new(settings, user, NonZeroU32::MAX),
    );
    let mut lines = Vec::new();
    let mut log = |line: &forward::DeliveryLog| lines.push((line.refused, line.failed));
    let left = refused.forward(&[ticket(&request, 4)], None, &mut log).await;
    assert!(matches!(&left[..], [Disposition::Retry(reason)] if reason.contains("ACCESS_REFUSED")), "{left:?}");
    let (now, jobs) = app.now(&request).await;
    assert_eq!((now.version, now.state, states(&jobs)), (2, RequestState::Queued, vec![JobState::Accepted]));

    assert_eq!(refused.forward(&[ticket(&request, 5)], None, &mut log).await, [Disposition::Ack]);
    let (now, jobs) = app.now(&request).await;
    assert_eq!((now.state, states(&jobs)), (RequestState::Failed, vec![JobState::Failed]));
    let said = jobs[0].reason_text().unwrap();
    assert!(said.contains("ACCESS_REFUSED") && !said.contains("may have arrived"), "{said}");
    assert_eq!(lines, [(1, 0), (1, 1)], "operators hear of it before it has failed");
}

#[tokio::test]
async fn a_failed_job_that_was_sent_and_not_confirmed_says_that_it_may_have_arrived() {
    let app = TestApp::new().await;
    let listener = Listener::on(&app.project).await;
    let requests = async || RequestsTable::new(client(&endpoint()).await, &app.name);
    let wire = test_support::broker::Wire::new().await;
    let request = app.request(1, &["a"]).await;
    let unheard = forwarder(requests().await, publisher(&wire.url));
    unheard.pulse.publisher.connect_now().await.unwrap();
    wire.mute();
    let left = unheard.forward(&[ticket(&request, 1)], None, &mut |_| ()).await;
    assert!(matches!(&left[..], [Disposition::Retry(_)]), "{left:?}");
    assert_eq!(heard(&listener).await.unwrap().0, ["a"]);
    let (now, jobs) = app.now(&request).await;
    assert_eq!((now.state, states(&jobs), jobs[0].in_doubt), (RequestState::Queued, vec![JobState::Accepted], true));

    // The last try does not even reach the broker.
    let lost = forwarder(requests().await, nowhere());
    assert_eq!(lost.forward(&[ticket(&request, 5)], None, &mut |_| ()).await, [Disposition::Ack]);
    let (now, jobs) = app.now(&request).await;
    assert_eq!(now.state, RequestState::Failed);
    let said = jobs[0].reason_text().unwrap();
    assert!(said.contains("may have arrived") && said.ends_with("a retry may run it twice."), "{said}");
}

#[tokio::test]
async fn a_doubt_ends_when_the_job_is_forwarded() {
    let app = TestApp::new().await;
    let _listener = Listener::on(&app.project).await;
    let request = app.request_of(1, &[RequestedJob { in_doubt: true, ..RequestedJob::accepted("a") }]).await;
    assert_eq!(app.forward(&[ticket(&request, 2)]).await, [Disposition::Ack]);
    let (_, jobs) = app.now(&request).await;
    assert_eq!((jobs[0].state, jobs[0].in_doubt, jobs[0].reason_text()), (JobState::Forwarded, false, None));
}

#[tokio::test]
async fn a_request_whose_jobs_cannot_be_read_fails_alone_and_is_counted() {
    let app = TestApp::new().await;
    let _listener = Listener::on(&app.project).await;
    let (odd, right) = (app.request(1, &["a"]).await, app.request(2, &["b"]).await);
    let pk = format!("request#{}", odd.id);
    test_support::store::set(&client(&endpoint()).await, &app.name, (&pk, "head"), "data", None).await;
    let mut damaged = 0;
    let mut log = |line: &forward::DeliveryLog| damaged += line.damaged;
    let left = app.forwarder.forward(&[ticket(&odd, 1), ticket(&right, 1)], None, &mut log).await;
    assert!(matches!(&left[..], [Disposition::Retry(_), Disposition::Ack]), "{left:?}");
    assert_eq!((damaged, app.now(&right).await.0.state), (1, RequestState::Forwarded));
}

/// What Treeherder says of the build decides.
#[tokio::test]
async fn tests_of_an_orange_build_go_and_those_of_a_superseded_one_wait() {
    let app = TestApp::new().await;
    let listener = Listener::on(&app.project).await;
    app.treeherder_lists(&[(BUILD, "completed", "testfailed")]);
    let request = app.test(1, &[]).await;
    assert_eq!(app.forward(&[ticket(&request, 1)]).await, [Disposition::Ack]);
    assert_eq!(heard(&listener).await.unwrap().0, [TEST]);
    assert_eq!(app.now(&request).await.1.len(), 1, "no second build");

    app.treeherder_lists(&[(BUILD, "completed", "superseded")]);
    let request = app.test(2, &[]).await;
    assert_eq!(app.forward(&[ticket(&request, 1)]).await, [Disposition::Ack]);
    assert_eq!(heard(&listener).await.unwrap().0, [BUILD]);
    let (_, jobs) = app.now(&request).await;
    assert!(jobs[0].reason_text().unwrap().contains("is not on this push"), "{jobs:?}");

    // The build that a test waits for is cancelled: it is requested after all, once.
    app.treeherder_lists(&[(BUILD, "unscheduled", "unknown")]);
    let request = app.test(3, &[]).await;
    assert_eq!(app.forward(&[ticket(&request, 1)]).await, [Disposition::Ack]);
    assert!(listener.next().await.is_none());
    app.treeherder_lists(&[(BUILD, "completed", "usercancel")]);
    for _ in 0..2 {
        app.wait(5);
        assert_eq!(app.forward(&[ticket(&request, 1)]).await, [Disposition::Ack]);
    }
    assert_eq!(heard(&listener).await.unwrap(), (vec![BUILD.to_owned()], format!("{}.1.1", request.id)));
    assert!(listener.next().await.is_none());
    let (now, jobs) = app.now(&request).await;
    assert_eq!((now.state, states(&jobs)), (RequestState::Waiting, vec![JobState::Waiting, JobState::Forwarded]));
}

#[tokio::test]
async fn a_store_that_fails_loses_nothing_and_repeats_have_the_same_id() {
    let app = TestApp::new().await;
    let listener = Listener::on(&app.project).await;
    let request = app.request(1, &["a"]).await;
    let unwritten =
        app.behind(|operation, _| if is_write(operation) { Plan::Refuse("ValidationException") } else { Plan::Pass });
    let left = unwritten.await.forward(&[ticket(&request, 1)], None, &mut |_| ()).await;
    assert!(matches!(&left[..], [Disposition::Retry(_)]), "{left:?}");
    let error = app
        .behind(|operation, _| if operation == "GetItem" { Plan::Refuse("ValidationException") } else { Plan::Pass });
    assert!(matches!(
        &error.await.forward(&[ticket(&request, 1)], None, &mut |_| ()).await[..],
        [Disposition::Retry(_)]
    ));
    assert_eq!(app.forward(&[ticket(&request, 2)]).await, [Disposition::Ack]);
    assert_eq!(app.now(&request).await.0.state, RequestState::Forwarded);
    let ids = [listener.next().await.unwrap(), listener.next().await.unwrap()]
        .map(|got| got.properties.message_id().as_ref().unwrap().as_str().to_owned());
    assert_eq!(ids[0], ids[1]);
    assert!(listener.next().await.is_none());
}

/// The ticket is in the queue before that is noted: the note may come when the jobs are published already.
#[tokio::test]
async fn a_late_update_of_the_head_does_not_publish_jobs_again() {
    let app = TestApp::new().await;
    let listener = Listener::on(&app.project).await;
    let queued = app.request(1, &["a"]).await;
    // It is about to be noted that this is in its next version.
    let noted = queued.postponed(morning());
    let (reached, is_reached) = std::sync::mpsc::channel();
    let (go, may_go) = std::sync::mpsc::channel();
    let mut is_first = true;
    let held_up = app.behind(move |operation, _| {
        if operation == "PutItem" && std::mem::take(&mut is_first) {
            reached.send(()).unwrap();
            may_go.recv().unwrap();
        }
        Plan::Pass
    });
    let held_up = held_up.await;
    let tickets = [ticket(&queued, 1)];
    let note = async {
        tokio::task::spawn_blocking(move || is_reached.recv().unwrap()).await.unwrap();
        assert_eq!(app.requests.update(&noted, None, morning()).await.unwrap(), store::UpdateResult::Stored);
        go.send(()).unwrap();
    };
    let mut log = |_: &_| ();
    let (left, ()) = futures_util::future::join(held_up.forward(&tickets, None, &mut log), note).await;
    assert_eq!(left, [Disposition::Ack]);
    let (now, jobs) = app.now(&queued).await;
    assert_eq!((now.version, now.state, states(&jobs)), (4, RequestState::Forwarded, vec![JobState::Forwarded]));
    assert!(listener.next().await.is_some());
    assert!(listener.next().await.is_none());
}

#[tokio::test]
async fn a_large_request_becomes_several_messages_and_a_project_has_its_own_format() {
    let mut app = TestApp::new().await;
    app.forwarder
        .pulse
        .formats
        .insert(app.project.clone(), MessageFormat { legacy_buildernames: true, envelope: true });
    let listener = Listener::on(&app.project).await;
    let names: Vec<String> =
        (0..328).map(|number| format!("Ubuntu VM 12.04 x64 try opt test mochitest-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let request = app.request(1, &names).await;
    assert_eq!(app.forward(&[ticket(&request, 1)]).await, [Disposition::Ack]);
    let mut found = Vec::new();
    while found.len() < names.len() {
        let got = listener.next().await.unwrap();
        assert!(got.data.len() <= 8192);
        assert_eq!(got.properties.message_id().as_ref().unwrap().as_str(), format!("{}.1.{}", request.id, found.len()));
        let body: Value = serde_json::from_slice(&got.data).unwrap();
        let part = body["payload"]["buildernames"].as_array().unwrap();
        found.extend(part.iter().map(|name| name.as_str().unwrap().to_owned()));
    }
    assert_eq!(found, names);
}

/// The jobs that a listener is asked for, and the message's id.
async fn heard(listener: &Listener) -> Option<(Vec<String>, String)> {
    let got = listener.next().await?;
    let body: Value = serde_json::from_slice(&got.data).unwrap();
    let jobs = body["requested_jobs"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
    Some((jobs.collect(), got.properties.message_id().as_ref().unwrap().as_str().to_owned()))
}

fn codes(jobs: &[RequestedJob]) -> Vec<Option<JobCode>> {
    jobs.iter().map(|job| job.code).collect()
}

#[tokio::test]
async fn a_test_whose_build_is_done_is_forwarded_in_the_same_message_as_others() {
    let app = TestApp::new().await;
    let listener = Listener::on(&app.project).await;
    app.treeherder_lists(&[(BUILD, "completed", "success"), (TEST, "completed", "testfailed")]);
    let request = app.test(1, &["other"]).await;
    assert_eq!(app.forward(&[ticket(&request, 1)]).await, [Disposition::Ack]);
    assert_eq!(heard(&listener).await.unwrap().0, [TEST, "other"]);
    let (now, jobs) = app.now(&request).await;
    // Nothing had to be decided, so nothing was stored before it was forwarded.
    assert_eq!((now.version, codes(&jobs)), (3, vec![None, None]));
}

#[tokio::test]
async fn a_test_waits_for_its_build_and_goes_when_that_is_done() {
    let app = TestApp::new().await;
    let listener = Listener::on(&app.project).await;
    app.treeherder_lists(&[(BUILD, "running", "unknown")]);
    let request = app.test(1, &["other"]).await;
    assert_eq!(app.forward(&[ticket(&request, 1)]).await, [Disposition::Ack]);
    assert_eq!(heard(&listener).await, Some((vec!["other".to_owned()], format!("{}.1.1", request.id))));
    let (now, jobs) = app.now(&request).await;
    assert_eq!((now.state, states(&jobs)), (RequestState::Waiting, vec![JobState::Waiting, JobState::Forwarded]));
    assert_eq!(now.history.last().unwrap().detail_text().as_deref(), Some("Jobs: 1 forwarded, 1 waiting."));
    assert_eq!(now.due_at, (morning() + TimeDelta::seconds(130)).timestamp());

    // To look again and to find nothing new is no event.
    app.wait(20);
    assert_eq!(app.forward(&[ticket(&request, 1)]).await, [Disposition::Ack]);
    let (again, jobs) = app.now(&request).await;
    assert_eq!(
        (again.state, again.history.len(), codes(&jobs)[0]),
        (RequestState::Waiting, now.history.len(), Some(JobCode::BuildRunning))
    );
    assert_eq!(
        again.due_at,
        (morning() + TimeDelta::minutes(30) + TimeDelta::seconds(10)).timestamp(),
        "half as long again"
    );
    assert!(listener.next().await.is_none());

    app.wait(10);
    app.treeherder_lists(&[(BUILD, "completed", "success")]);
    assert_eq!(app.forward(&[ticket(&request, 1)]).await, [Disposition::Ack]);
    assert_eq!(heard(&listener).await, Some((vec![TEST.to_owned()], format!("{}.1.0", request.id))));
    let (now, jobs) = app.now(&request).await;
    assert_eq!((now.state, states(&jobs)), (RequestState::Forwarded, vec![JobState::Forwarded, JobState::Forwarded]));
    assert_eq!(now.history.last().unwrap().detail_text().as_deref(), Some("Jobs: 2 forwarded."));
    assert!(listener.next().await.is_none());
}

#[tokio::test]
async fn a_build_that_failed_or_is_not_there_is_requested_once_and_the_test_waits() {
    let app = TestApp::new().await;
    let listener = Listener::on(&app.project).await;
    for (random, before) in [(1, vec![]), (2, vec![(BUILD, "completed", "busted")])] {
        app.treeherder_lists(&before);
        let request = app.test(random, &[]).await;
        assert_eq!(app.forward(&[ticket(&request, 1)]).await, [Disposition::Ack]);
        assert_eq!(heard(&listener).await, Some((vec![BUILD.to_owned()], format!("{}.1.1", request.id))));
        let (now, jobs) = app.now(&request).await;
        assert_eq!((now.state, states(&jobs)), (RequestState::Waiting, vec![JobState::Waiting, JobState::Forwarded]));
        assert_eq!(codes(&jobs), [Some(JobCode::BuildRequested), Some(JobCode::NeededBuild)]);
        // The same failure as before says nothing.
        app.wait(5);
        assert_eq!(app.forward(&[ticket(&request, 1)]).await, [Disposition::Ack]);
        assert_eq!(app.now(&request).await.0.state, RequestState::Waiting);
        // A new one does.
        let after = [&before[..], &[(BUILD, "completed", "busted")]].concat();
        app.treeherder_lists(&after);
        assert_eq!(app.forward(&[ticket(&request, 1)]).await, [Disposition::Ack]);
        let (now, jobs) = app.now(&request).await;
        assert_eq!((now.state, states(&jobs)), (RequestState::Failed, vec![JobState::Failed, JobState::Forwarded]));
        assert!(jobs[0].reason_text().unwrap().contains("failed (busted)"), "{jobs:?}");
        assert!(listener.next().await.is_none());
    }
}

#[tokio::test]
async fn a_test_does_not_wait_for_a_build_without_a_listener() {
    let app = TestApp::new().await;
    app.treeherder_lists(&[]);
    let request = app.test(1, &[]).await;
    assert_eq!(app.forward(&[ticket(&request, 1)]).await, [Disposition::Ack]);
    let (now, jobs) = app.now(&request).await;
    assert_eq!((now.state, states(&jobs)), (RequestState::Failed, vec![JobState::Failed, JobState::Unroutable]));
    assert!(jobs[0].reason_text().unwrap().ends_with("It can be retried when there is one."), "{jobs:?}");
}

#[tokio::test]
async fn without_treeherder_tests_are_forwarded_and_their_detail_says_so() {
    let app = TestApp::new().await;
    let listener = Listener::on(&app.project).await;
    let request = app.test(1, &["other"]).await;
    let mut lines = Vec::new();
    let mut log = |line: &forward::DeliveryLog| lines.push((line.forwarded, line.plan_skipped.clone()));
    assert_eq!(app.forwarder.forward(&[ticket(&request, 1)], None, &mut log).await, [Disposition::Ack]);
    assert_eq!(heard(&listener).await.unwrap().0, [TEST, "other"]);
    let (now, jobs) = app.now(&request).await;
    assert_eq!((now.state, codes(&jobs)), (RequestState::Forwarded, vec![Some(JobCode::PlanSkipped), None]));
    assert!(jobs[0].reason_text().unwrap().starts_with("Treeherder does not answer"), "{jobs:?}");
    let [(2, Some(why))] = &lines[..] else { panic!("{lines:?}") };
    assert!(why.starts_with("Treeherder: "), "{why}");
}

#[tokio::test]
async fn jobs_that_the_push_already_has_are_forwarded_or_skipped_by_configuration() {
    let mut app = TestApp::new().await;
    let listener = Listener::on(&app.project).await;
    app.treeherder_lists(&[(BUILD, "completed", "success"), (TEST, "pending", "unknown")]);
    let request = app.test(1, &[]).await;
    assert_eq!(app.forward(&[ticket(&request, 1)]).await, [Disposition::Ack]);
    assert_eq!(heard(&listener).await.unwrap().0, [TEST]);
    let (_, jobs) = app.now(&request).await;
    assert_eq!((states(&jobs), codes(&jobs)), (vec![JobState::Forwarded], vec![Some(JobCode::AlreadyRunning)]));

    app.forwarder.planning = Planning::read(r#"{"already_running": "skip"}"#).unwrap();
    let request = app.test(2, &[]).await;
    assert_eq!(app.forward(&[ticket(&request, 1)]).await, [Disposition::Ack]);
    let (now, jobs) = app.now(&request).await;
    assert_eq!((now.state, states(&jobs)), (RequestState::Failed, vec![JobState::Rejected]));
    assert_eq!(now.history.last().unwrap().detail_text().as_deref(), Some("Jobs: 1 running already."));
    assert!(listener.next().await.is_none());
}

/// What is in doubt is published again as it was, though other jobs of the request no longer wait meanwhile.
#[tokio::test]
async fn jobs_that_no_longer_wait_go_in_messages_of_their_own() {
    let app = TestApp::new().await;
    let listener = Listener::on(&app.project).await;
    app.treeherder_lists(&[(BUILD, "running", "unknown")]);
    let request = app.test(1, &["other"]).await;
    // The plan is stored, what became of it is not.
    let mut writes = 0;
    let mut unrecorded = app
        .behind(move |operation, _| {
            writes += usize::from(is_write(operation));
            if is_write(operation) && writes > 1 { Plan::Refuse("ValidationException") } else { Plan::Pass }
        })
        .await;
    unrecorded.treeherder = Treeherder::new(treeherder(&app.runs), TimeDelta::zero(), Arc::new(morning));
    let left = unrecorded.forward(&[ticket(&request, 1)], None, &mut |_| ()).await;
    assert!(matches!(&left[..], [Disposition::Retry(_)]), "{left:?}");
    let first = heard(&listener).await.unwrap();
    assert_eq!(first.0, ["other"]);

    app.treeherder_lists(&[(BUILD, "completed", "success")]);
    assert_eq!(app.forward(&[ticket(&request, 2)]).await, [Disposition::Ack]);
    let (waited, again) = (heard(&listener).await.unwrap(), heard(&listener).await.unwrap());
    assert_eq!((waited.0, waited.1), (vec![TEST.to_owned()], format!("{}.1.0", request.id)));
    assert_eq!(again, first);
    assert_eq!(app.now(&request).await.0.state, RequestState::Forwarded);
}

#[tokio::test]
async fn messages_that_cannot_be_published_in_time_return() {
    let app = TestApp::new().await;
    let listener = Listener::on(&app.project).await;
    let (settings, user) = settings(&address("PULSE_URL"));
    let slow = Publisher::new(settings, user, NonZeroU32::MIN);
    let slow = forwarder(RequestsTable::new(client(&endpoint()).await, &app.name), slow);
    let requests = [
        app.request(1, &["a"]).await,
        app.request(2, &["b"]).await,
        app.request(3, &["c"]).await,
        app.request(4, &["d"]).await,
    ];
    // One is published in a second. On a busy machine the first is late, and fewer are in time.
    let until = tokio::time::Instant::now() + std::time::Duration::from_millis(2800);
    let tickets: Vec<Delivery> = requests.iter().map(|request| ticket(request, 1)).collect();
    let left = slow.forward(&tickets, Some(until), &mut |_| ()).await;
    let published = left.iter().filter(|what| **what == Disposition::Ack).count();
    assert!((1..4).contains(&published), "{left:?}");
    for what in &left[published..] {
        assert_eq!(*what, Disposition::Retry("no time was left to publish it".to_owned()));
    }
    for name in &["a", "b", "c"][..published] {
        assert_eq!(heard(&listener).await.unwrap().0, [*name]);
    }
    assert!(listener.next().await.is_none());
    assert_eq!(app.now(&requests[3]).await.0.state, RequestState::Queued);
}

#[tokio::test]
async fn a_preview_shows_the_messages_and_publishes_none() {
    let app = TestApp::new().await;
    let listener = Listener::on(&app.project).await;
    app.treeherder_lists(&[]);
    let request = app.test(1, &["other"]).await;
    let preview = app.forwarder.preview(&ticket(&request, 1)).await.unwrap().unwrap();
    assert_eq!(preview.messages.len(), 1);
    assert_eq!(preview.messages[0].body["requested_jobs"], json!(["other", BUILD]));
    assert_eq!(preview.not_forwarded.keys().collect::<Vec<_>>(), [TEST]);
    assert_eq!(app.now(&request).await.0, request);
    assert!(listener.next().await.is_none());
    assert!(app.forwarder.preview(&ticket(&Request { attempt: 0, ..request }, 1)).await.unwrap().is_none());
}
