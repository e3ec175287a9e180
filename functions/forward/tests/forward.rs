//! Requests on their way from the queue to Pulse, with a table in the emulator and a real broker.
#![allow(clippy::unwrap_used, reason = "a helper of a test may fail as the test may")]

#[path = "../../../crates/pulse/tests/broker/listener.rs"]
mod listener;
#[path = "../../../crates/store/tests/support/mod.rs"]
mod store_support;

use std::collections::HashMap;
use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use chrono::{DateTime, TimeDelta, Utc};
use forward::{Delivery, Forwarder, Left};
use listener::{Listener, address, project, publisher, settings};
use pulse::{Form, Publisher};
use serde_json::{Value, json};
use store::{Read, RequestsTable};
use store_support::proxy::{Plan, Proxy, is_write};
use store_support::{at, client, endpoint, new_requests_table};
use trigger::request::{Asking, Job, JobState, Request, RequestId, State};

struct Bed {
    requests: RequestsTable,
    name: String,
    forwarder: Forwarder,
    project: String,
}

fn morning() -> DateTime<Utc> {
    at("2026-11-23T06:00:00Z")
}

fn forwarder(requests: RequestsTable, publisher: Publisher) -> Forwarder {
    Forwarder {
        requests,
        publisher,
        exchange: settings(&address("PULSE_URL")).0.exchange(),
        forms: HashMap::new(),
        clock: Arc::new(|| morning() + TimeDelta::seconds(10)),
    }
}

impl Bed {
    async fn new() -> Self {
        let client = client(&endpoint()).await;
        let name = new_requests_table(&client).await;
        let requests = RequestsTable::new(client.clone(), &name);
        let forwarder = forwarder(RequestsTable::new(client, &name), publisher(&address("PULSE_URL")));
        let bed = Self { requests, name, forwarder, project: project() };
        // Has the exchange made, as listeners cannot.
        let first = bed.request(99, &["x"]).await;
        bed.forward(&[ticket(&first, 1)]).await;
        bed
    }

    /// A queued request for these jobs.
    async fn request(&self, chance: u128, names: &[&str]) -> Request {
        let jobs: Vec<Job> = names.iter().map(|name| Job::accepted(name)).collect();
        self.request_of(chance, &jobs).await
    }

    async fn request_of(&self, chance: u128, jobs: &[Job]) -> Request {
        let asking = Asking {
            project: self.project.clone(),
            push_id: 7,
            pushed: None,
            requester: "someone@mozilla.com".parse().unwrap(),
            on_behalf_by: None,
            decision_task_id: None,
        };
        let request = Request::new(RequestId::new(morning(), chance), asking, jobs, morning());
        self.requests.create(&request, jobs, morning()).await.unwrap();
        let queued = request.queued(morning()).unwrap();
        self.requests.update(&queued, None, morning()).await.unwrap();
        queued
    }

    async fn forward(&self, deliveries: &[Delivery]) -> Vec<Left> {
        self.forwarder.forward(deliveries, &mut |_| ()).await
    }

    async fn now(&self, request: &Request) -> (Request, Vec<Job>) {
        let now = self.requests.request(request.id, Read::Consistent).await.unwrap().unwrap();
        (now, self.requests.jobs(request.id, Read::Consistent).await.unwrap())
    }

    /// The same forwarder, whose store answers by this plan.
    async fn behind(&self, plan: impl FnMut(&str, usize) -> Plan + Send + 'static) -> Forwarder {
        let proxy = Proxy::start(plan);
        let client: Client = client(&proxy.endpoint).await;
        forwarder(RequestsTable::new(client, &self.name), publisher(&address("PULSE_URL")))
    }
}

fn ticket(request: &Request, times: u32) -> Delivery {
    let body = json!({"request_id": request.id, "round": request.round}).to_string();
    Delivery { id: format!("delivery-{}", request.id), body, times }
}

fn states(jobs: &[Job]) -> Vec<JobState> {
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
    let bed = Bed::new().await;
    let listener = Listener::on(&bed.project).await;
    let rejected = Job { state: JobState::Rejected, ..Job::accepted("no such job") };
    let request = bed.request_of(1, &[Job::accepted("a"), rejected, Job::accepted("b")]).await;
    assert_eq!(bed.forward(&[ticket(&request, 1)]).await, [Left::Done]);

    let got = listener.next().await.unwrap();
    let body: Value = serde_json::from_slice(&got.data).unwrap();
    assert_eq!((&body["requested_jobs"], &body["resultset_id"]), (&json!(["a", "b"]), &json!("7")));
    assert_eq!(got.properties.message_id().as_ref().unwrap().as_str(), format!("{}.1.0", request.id));
    let (now, jobs) = bed.now(&request).await;
    assert_eq!(
        (now.state, states(&jobs)),
        (State::Forwarded, vec![JobState::Forwarded, JobState::Rejected, JobState::Forwarded])
    );
    assert_eq!(now.history.last().unwrap().detail.as_deref(), Some("Jobs: 2 forwarded."));
}

#[tokio::test]
async fn what_is_given_out_twice_is_published_once() {
    let bed = Bed::new().await;
    let listener = Listener::on(&bed.project).await;
    let request = bed.request(1, &["a"]).await;
    let twice = [ticket(&request, 1), ticket(&request, 1)];
    assert_eq!(bed.forward(&twice).await, [Left::Done, Left::Done]);
    assert_eq!(bed.forward(&twice).await, [Left::Done, Left::Done]);
    assert!(listener.next().await.is_some());
    assert!(listener.next().await.is_none());
}

#[tokio::test]
async fn a_ticket_of_an_earlier_round_means_nothing() {
    let bed = Bed::new().await;
    let request = bed.request(1, &["a"]).await;
    let old = Request { round: 0, ..request.clone() };
    assert_eq!(bed.forward(&[ticket(&old, 1)]).await, [Left::Done]);
    assert_eq!(bed.now(&request).await.0.state, State::Queued);
}

#[tokio::test]
async fn without_a_listener_jobs_are_unroutable_and_that_is_told() {
    let bed = Bed::new().await;
    let request = bed.request(1, &["a"]).await;
    assert_eq!(bed.forward(&[ticket(&request, 1)]).await, [Left::Done]);
    let (now, jobs) = bed.now(&request).await;
    assert_eq!((now.state, states(&jobs)), (State::Failed, vec![JobState::Unroutable]));
    assert!(jobs[0].reason.as_ref().unwrap().starts_with("Pulse has no listener"));
}

#[tokio::test]
async fn a_message_that_is_none_of_ours_fails_alone() {
    let bed = Bed::new().await;
    let _listener = Listener::on(&bed.project).await;
    let request = bed.request(1, &["a"]).await;
    let poison = |body: &str| Delivery { id: "poison".to_owned(), body: body.to_owned(), times: 1 };
    let gone = r#"{"request_id":"01KAS4B0MRJ6WJ0RGDX8T0E4JQ","round":1}"#;
    let left = bed.forward(&[poison("x"), ticket(&request, 1), poison(gone), poison("{}")]).await;
    let is_done: Vec<bool> = left.iter().map(|left| *left == Left::Done).collect();
    assert_eq!(is_done, [false, true, false, false], "{left:?}");
    assert_eq!(bed.now(&request).await.0.state, State::Forwarded);
}

#[tokio::test]
async fn a_broker_that_is_gone_is_tried_again_until_the_last_time() {
    let bed = Bed::new().await;
    let request = bed.request(1, &["a"]).await;
    let lost = forwarder(RequestsTable::new(client(&endpoint()).await, &bed.name), nowhere());
    let left = lost.forward(&[ticket(&request, 4)], &mut |_| ()).await;
    assert!(matches!(&left[..], [Left::Again(_)]), "{left:?}");
    let (now, jobs) = bed.now(&request).await;
    assert_eq!((now.version, now.state, states(&jobs)), (2, State::Queued, vec![JobState::Accepted]));

    assert_eq!(lost.forward(&[ticket(&request, 5)], &mut |_| ()).await, [Left::Done]);
    let (now, jobs) = bed.now(&request).await;
    assert_eq!((now.state, states(&jobs)), (State::Failed, vec![JobState::Failed]));
    assert!(
        jobs[0].reason.as_ref().unwrap().starts_with("It could not be forwarded to Pulse: the connection"),
        "{jobs:?}"
    );
}

#[tokio::test]
async fn what_the_broker_refuses_has_failed_at_once() {
    let bed = Bed::new().await;
    let request = bed.request(1, &["a"]).await;
    let (settings, mut user) = settings(&address("PULSE_URL"));
    user.password = "wrong".to_owned();
    let refused = forwarder(RequestsTable::new(client(&endpoint()).await, &bed.name), Publisher::new(settings, user));
    assert_eq!(refused.forward(&[ticket(&request, 1)], &mut |_| ()).await, [Left::Done]);
    let (now, jobs) = bed.now(&request).await;
    assert_eq!(now.state, State::Failed);
    assert!(jobs[0].reason.as_ref().unwrap().contains("ACCESS_REFUSED"), "{jobs:?}");
}

#[tokio::test]
async fn a_store_that_fails_loses_nothing_and_repeats_have_the_same_id() {
    let bed = Bed::new().await;
    let listener = Listener::on(&bed.project).await;
    let request = bed.request(1, &["a"]).await;
    let unwritten =
        bed.behind(|operation, _| if is_write(operation) { Plan::Refuse("ValidationException") } else { Plan::Pass });
    let left = unwritten.await.forward(&[ticket(&request, 1)], &mut |_| ()).await;
    assert!(matches!(&left[..], [Left::Again(_)]), "{left:?}");
    let unread = bed
        .behind(|operation, _| if operation == "GetItem" { Plan::Refuse("ValidationException") } else { Plan::Pass });
    assert!(matches!(&unread.await.forward(&[ticket(&request, 1)], &mut |_| ()).await[..], [Left::Again(_)]));
    assert_eq!(bed.forward(&[ticket(&request, 2)]).await, [Left::Done]);
    assert_eq!(bed.now(&request).await.0.state, State::Forwarded);
    let ids = [listener.next().await.unwrap(), listener.next().await.unwrap()]
        .map(|got| got.properties.message_id().as_ref().unwrap().as_str().to_owned());
    assert_eq!(ids[0], ids[1]);
    assert!(listener.next().await.is_none());
}

/// The ticket is in the queue before that is noted: the note may come when the jobs are published already.
#[tokio::test]
async fn a_note_that_comes_late_does_not_have_the_jobs_published_again() {
    let bed = Bed::new().await;
    let listener = Listener::on(&bed.project).await;
    let queued = bed.request(1, &["a"]).await;
    // It is about to be noted that this is in its next version.
    let noted = queued.put_off(morning());
    let (reached, is_reached) = std::sync::mpsc::channel();
    let (go, may_go) = std::sync::mpsc::channel();
    let mut is_first = true;
    let held_up = bed.behind(move |operation, _| {
        if operation == "TransactWriteItems" && std::mem::take(&mut is_first) {
            reached.send(()).unwrap();
            may_go.recv().unwrap();
        }
        Plan::Pass
    });
    let held_up = held_up.await;
    let tickets = [ticket(&queued, 1)];
    let note = async {
        tokio::task::spawn_blocking(move || is_reached.recv().unwrap()).await.unwrap();
        assert_eq!(bed.requests.update(&noted, None, morning()).await.unwrap(), store::Stored::Yes);
        go.send(()).unwrap();
    };
    let mut log = |_: &_| ();
    let (left, ()) = futures_util::future::join(held_up.forward(&tickets, &mut log), note).await;
    assert_eq!(left, [Left::Done]);
    let (now, jobs) = bed.now(&queued).await;
    assert_eq!((now.version, now.state, states(&jobs)), (4, State::Forwarded, vec![JobState::Forwarded]));
    assert!(listener.next().await.is_some());
    assert!(listener.next().await.is_none());
}

#[tokio::test]
async fn a_large_request_goes_in_parts_and_a_project_has_its_own_form() {
    let mut bed = Bed::new().await;
    bed.forwarder.forms.insert(bed.project.clone(), Form { of_2015: true, envelope: true });
    let listener = Listener::on(&bed.project).await;
    let names: Vec<String> =
        (0..328).map(|number| format!("Ubuntu VM 12.04 x64 try opt test mochitest-{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let request = bed.request(1, &names).await;
    assert_eq!(bed.forward(&[ticket(&request, 1)]).await, [Left::Done]);
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
