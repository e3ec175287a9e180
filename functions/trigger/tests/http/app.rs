//! A catalog, a table of requests and a queue in the emulator, a Treeherder, an issuer of sign-ins, and the function
//! before them.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::Client;
use axum::Router;
use axum::body::Body;
use catalog::buildbot::{self, CatalogJob};
use catalog::list::{ListedJob, ListedPlatform, PackedList, write_body, write_index};
use catalog::taskcluster;
use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use requests::job::RequestedJob as RequestJob;
use requests::request::Request as Stored;
use runtime::JsonClient;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use store::{CatalogTable, Consistency, Provenance, Queue, RequestsTable};
use tower::ServiceExt as _;
use trigger_api::Dependencies;
use trigger_api::api::{TriggerRequest, Triggered};
use trigger_api::settings::Settings;

use test_support::issuer::{self, EC, jwks, person, service, with};
use test_support::store::http::{self as wire, Message};
use test_support::store::proxy::{Plan, Proxy};
use test_support::store::{client, config, endpoint, new_requests_table, new_table, queue};

pub(crate) const BUILD: &str = "Linux x86-64 try build";
pub(crate) const TEST: &str = "Ubuntu VM 12.04 x64 try opt test mochitest-1";
pub(crate) const OLD_NAME: &str = "Rev5 MacOSX Yosemite 10.10 try opt test mochitest-1";
pub(crate) const NEW_NAME: &str = "Rev7 MacOSX Yosemite 10.10.5 try opt test mochitest-1";
pub(crate) const NAMES: [&str; 4] = [BUILD, NEW_NAME, TEST, "Windows 7 32-bit try pgo talos svgr"];

/// The author of every push that Treeherder knows; and some people.
pub(crate) const AUTHOR: &str = "author@example.org";
pub(crate) const SOMEONE: &str = "someone@mozilla.com";
pub(crate) const STRANGER: &str = "stranger@example.org";
pub(crate) const REVISION: &str = "0123456789abcdef0123456789abcdef01234567";

const RULES: &str = r#"{"domains": ["mozilla.com"], "allow": ["dev@example.org"],
    "projects": {"mozilla-release": {"author": false, "domains": [], "allow": ["release@mozilla.com"]}}}"#;

type Plans = Arc<Mutex<Box<dyn FnMut(&str) -> Plan + Send>>>;

pub(crate) struct TestApp {
    pub(crate) router: Router,
    pub(crate) client: Client,
    pub(crate) requests: RequestsTable,
    pub(crate) requests_name: String,
    pub(crate) queue: JsonClient,
    pub(crate) queue_url: String,
    pub(crate) now: Arc<Mutex<DateTime<Utc>>>,
    pub(crate) lines: Arc<Mutex<Vec<Value>>>,
    /// What Treeherder answers with; none: it closes the connection.
    pub(crate) treeherder: Arc<Mutex<Option<Message>>>,
    pub(crate) asked_treeherder: Arc<AtomicUsize>,
    /// The jobs that Treeherder lists on every push.
    pub(crate) runs: Arc<Mutex<Value>>,
    /// The decision task that Treeherder knows of every push.
    pub(crate) decision_task: Arc<Mutex<Option<String>>>,
    pub(crate) asked_decision_task: Arc<AtomicUsize>,
    plans: Plans,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json<T: DeserializeOwned>(&self, status: StatusCode) -> T {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/json"));
        serde_json::from_slice(&self.body).unwrap()
    }

    /// What became of asking for jobs.
    pub(crate) fn taken(&self) -> Triggered {
        self.json(StatusCode::ACCEPTED)
    }

    pub(crate) fn problem(&self, status: StatusCode, code: &str) -> Value {
        let problem: Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!((self.status, problem["code"].as_str()), (status, Some(code)), "{problem}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.ends_with(['.', '?']) && detail.contains(' '), "no sentence: {detail}");
        problem
    }
}

/// What signs this person in.
pub(crate) fn token(email: &str) -> String {
    format!("Bearer {}", EC.token(&with(person(), "email", json!(email))))
}

pub(crate) fn service_token() -> String {
    format!("Bearer {}", EC.token(&with(service(), "scope", json!("read:all trigger:on-behalf"))))
}

/// A label of a project's list, and the build that it needs.
pub(crate) type Label = (&'static str, Option<&'static str>);

fn label((name, upstream): Label) -> ListedJob<'static> {
    ListedJob {
        name,
        upstream,
        build_system: taskcluster::BUILD_SYSTEM,
        platform: ListedPlatform { name: "linux64", os: "", architecture: "" },
        option: "opt",
        job_type_name: name,
        job_type_symbol: "x".into(),
        job_group_name: "",
        job_group_symbol: "",
        tier: Some(1),
    }
}

fn list(project: &str, labels: &[Label]) -> PackedList {
    let upstream = |name: &str| (name == TEST).then_some(BUILD);
    let jobs: Vec<CatalogJob<'_>> = NAMES.iter().map(|name| CatalogJob { name, upstream: upstream(name) }).collect();
    let mut jobs = buildbot::listed(&jobs, |_| ());
    jobs.extend(labels.iter().map(|known| label(*known)));
    jobs.sort_unstable_by_key(|job| job.name);
    let mut body = Vec::new();
    let summary = write_body(project, jobs.iter().cloned(), &mut body);
    let list = PackedList::new(&body, summary);
    let index = write_index(project, &list.etag, jobs);
    list.with_index(index)
}

pub(crate) fn push(author: &str) -> Message {
    let body = json!({"id": 1001, "revision": REVISION, "author": author, "revisions": [], "revision_count": 0,
        "push_timestamp": 1_795_400_000, "repository_id": 4});
    Message::answer("200 OK", body.to_string()).with("Content-Type", "application/json")
}

pub(crate) fn path(project: &str, push: &str) -> String {
    format!("/api/project/{project}/push/{push}/trigger_runnable_jobs/")
}

impl TestApp {
    pub(crate) async fn new() -> Self {
        Self::with(&[]).await
    }

    /// An app that is configured with these variables beside the usual ones.
    pub(crate) async fn with(variables: &[(&str, &str)]) -> Self {
        Self::with_labels(variables, &[]).await
    }

    /// The same, with labels in the list of each project.
    pub(crate) async fn with_labels(variables: &[(&str, &str)], labels: &[Label]) -> Self {
        let plans: Plans = Arc::new(Mutex::new(Box::new(|_: &str| Plan::Pass)));
        let proxy = {
            let plans = plans.clone();
            Proxy::start(move |operation, _| (plans.lock().unwrap())(operation))
        };
        let direct = client(&endpoint()).await;
        let (catalog_name, requests_name) = (new_table(&direct).await, new_requests_table(&direct).await);
        let catalog = CatalogTable::new(direct.clone(), &catalog_name);
        let now = DateTime::from_timestamp(issuer::NOW, 0).unwrap();
        for project in ["try", "mozilla-release"] {
            let provenance =
                Provenance { source: "https://example.org/a.json".to_owned(), source_etag: None, updated_at: now };
            catalog.publish(project, &list(project, labels), None, &provenance).await.unwrap();
        }
        let queue = queue::client(&endpoint()).await;
        let queue_url = queue::new_queue(&queue, &requests_name).await;

        let treeherder = Arc::new(Mutex::new(Some(push(AUTHOR))));
        let asked_treeherder = Arc::new(AtomicUsize::new(0));
        let runs = Arc::new(Mutex::new(json!([])));
        let (decision_task, asked_decision_task) =
            (Arc::new(Mutex::new(None::<String>)), Arc::new(AtomicUsize::new(0)));
        let treeherder_url = {
            let (answer, asked, runs) = (treeherder.clone(), asked_treeherder.clone(), runs.clone());
            let (decision_task, asked_decision_task) = (decision_task.clone(), asked_decision_task.clone());
            wire::serve(move |request| {
                if request.start.contains("/jobs/?push_id=1001&") && answer.lock().unwrap().is_some() {
                    let body = json!({"meta": {}, "results": *runs.lock().unwrap()});
                    return Some(Message::answer("200 OK", body.to_string()));
                }
                if let Some((_, push)) = request.start.split_once("/push/decisiontask/?push_ids=") {
                    asked_decision_task.fetch_add(1, Ordering::SeqCst);
                    answer.lock().unwrap().as_ref()?;
                    let push = push.split(' ').next().unwrap();
                    return Some(match &*decision_task.lock().unwrap() {
                        Some(id) => Message::answer("200 OK", json!({push: {"id": id, "run": "0"}}).to_string()),
                        None => Message::answer("404 Not Found", r#""No decision tasks""#),
                    });
                }
                asked.fetch_add(1, Ordering::SeqCst);
                let known = request.start.contains("/push/1001/") || request.start.contains("/push/1002/");
                let other = Message::answer("404 Not Found", r#"{"detail": "No push"}"#);
                let answer = answer.lock().unwrap().clone()?;
                Some(if known { answer } else { other })
            })
        };

        let keys = jwks(&[&EC]);
        let usual = [
            ("RUNNABLE_JOBS_CATALOG_TABLE", catalog_name.as_str()),
            ("RUNNABLE_JOBS_REQUESTS_TABLE", &requests_name),
            ("RUNNABLE_JOBS_QUEUE_URL", &queue_url),
            ("RUNNABLE_JOBS_TREEHERDER_URL", &treeherder_url),
            ("RUNNABLE_JOBS_TREEHERDER_PUBLIC_URL", "https://treeherder.example.org"),
            ("RUNNABLE_JOBS_OIDC_ISSUER", issuer::ISSUER),
            ("RUNNABLE_JOBS_OIDC_AUDIENCE", issuer::AUDIENCE),
            ("RUNNABLE_JOBS_OIDC_SERVICE_AUDIENCE", issuer::SERVICES),
            ("RUNNABLE_JOBS_OIDC_SERVICE_CLIENTS", "treeherder"),
            ("RUNNABLE_JOBS_OIDC_KEYS", &keys),
            ("RUNNABLE_JOBS_TRIGGER_RULES", RULES),
            ("RUNNABLE_JOBS_ALLOWED_ORIGINS", "https://treeherder.mozilla.org"),
        ];
        let lookup = |variable: &str| {
            let mut set = variables.iter().chain(&usual);
            set.find(|(known, _)| *known == variable).map(|(_, value)| (*value).to_owned())
        };
        let now = Arc::new(Mutex::new(now));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (clock, log) = (now.clone(), lines.clone());
        let state = AtomicU32::new(0);
        let through_proxy = config(&proxy.endpoint).await;
        let dependencies = Dependencies {
            catalog: CatalogTable::new(direct.clone(), &catalog_name),
            requests: RequestsTable::new(Client::new(&through_proxy), &requests_name),
            queue: Queue::new(JsonClient::sqs(&through_proxy), &queue_url),
            clock: Arc::new(move || *clock.lock().unwrap()),
            random: Arc::new(move || state.fetch_add(1, Ordering::SeqCst).into()),
        };
        let router = trigger_api::app(
            Settings::read(lookup).unwrap(),
            dependencies,
            Arc::new(move |line| log.lock().unwrap().push(serde_json::from_str(line).unwrap())),
        );
        let requests = RequestsTable::new(direct.clone(), &requests_name);
        Self {
            router,
            client: direct,
            requests,
            requests_name,
            queue,
            queue_url,
            now,
            lines,
            treeherder,
            asked_treeherder,
            runs,
            decision_task,
            asked_decision_task,
            plans,
        }
    }

    /// From now on the store of requests and the queue answer by this plan, by operation.
    pub(crate) fn plan(&self, plan: impl FnMut(&str) -> Plan + Send + 'static) {
        *self.plans.lock().unwrap() = Box::new(plan);
    }

    /// The operations of the store and the queue that are asked for until the list is looked at.
    pub(crate) fn watch(&self) -> Arc<Mutex<Vec<String>>> {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log = seen.clone();
        self.plan(move |operation| {
            log.lock().unwrap().push(operation.to_owned());
            Plan::Pass
        });
        seen
    }

    pub(crate) fn wait(&self, seconds: i64) {
        *self.now.lock().unwrap() += TimeDelta::seconds(seconds);
    }

    /// Sets the clock back to when sign-ins are valid.
    pub(crate) fn go_back_to_the_start(&self) {
        *self.now.lock().unwrap() = DateTime::from_timestamp(issuer::NOW, 0).unwrap();
    }

    pub(crate) fn time(&self) -> DateTime<Utc> {
        *self.now.lock().unwrap()
    }

    pub(crate) fn treeherder_answers(&self, answer: Option<Message>) {
        *self.treeherder.lock().unwrap() = answer;
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(Body::from(body.to_vec())).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// Asks for jobs with all that can be said.
    pub(crate) async fn post(&self, path: &str, authorization: &str, more: &[(&str, &str)], body: &Value) -> Answer {
        let mut headers = vec![("authorization", authorization), ("content-type", "application/json")];
        headers.extend_from_slice(more);
        self.ask(Method::POST, path, &headers, body.to_string().as_bytes()).await
    }

    /// Asks for jobs on a push of try.
    pub(crate) async fn trigger(&self, email: &str, names: &[&str]) -> Answer {
        self.post(&path("try", "1001"), &token(email), &[], &json!({"requested_jobs": names})).await
    }

    /// The same under a name that the client gave it.
    pub(crate) async fn trigger_as(&self, key: &str, names: &[&str]) -> Answer {
        let body = json!({"requested_jobs": names});
        self.post(&path("try", "1001"), &token(SOMEONE), &[("idempotency-key", key)], &body).await
    }

    pub(crate) async fn get(&self, path: &str, email: &str) -> Answer {
        self.ask(Method::GET, path, &[("authorization", &token(email))], b"").await
    }

    /// The request that an answer names, as a person sees it.
    pub(crate) async fn follow(&self, taken: &Triggered, email: &str) -> TriggerRequest {
        self.get(taken.status_url.as_deref().unwrap(), email).await.json(StatusCode::OK)
    }

    /// What is in the queue; it is empty then.
    pub(crate) async fn queued(&self) -> Vec<Value> {
        let mut bodies = Vec::new();
        loop {
            let messages = queue::receive(&self.queue, &self.queue_url, 600).await;
            if messages.is_empty() {
                return bodies;
            }
            bodies.extend(messages.iter().map(|message| serde_json::from_str::<Value>(message).unwrap()));
        }
    }

    /// How many items of each kind the table of requests has.
    pub(crate) async fn items(&self) -> HashMap<String, usize> {
        let mut counts = HashMap::new();
        for ((pk, sk), _) in test_support::store::items(&self.client, &self.requests_name).await {
            let kind = pk.split('#').next().unwrap().to_owned();
            *counts.entry(format!("{kind} {sk}")).or_default() += 1;
        }
        counts
    }

    /// A request as it is stored, with its jobs.
    pub(crate) async fn stored(&self, taken: &Triggered) -> (Stored, Vec<RequestJob>) {
        let id = taken.request_id.as_ref().unwrap().parse().unwrap();
        let request = self.requests.request(id, Consistency::Consistent).await.unwrap().unwrap();
        self.requests.with_jobs(request, Consistency::Consistent).await.unwrap()
    }

    /// The log line of the last request.
    pub(crate) fn line(&self) -> Value {
        self.lines.lock().unwrap().last().unwrap().clone()
    }
}
