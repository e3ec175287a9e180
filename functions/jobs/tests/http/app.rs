//! A catalog in the emulator, and the function that serves it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::Client;
use axum::Router;
use axum::body::Body;
use catalog::buildbot::{CatalogJob, write_body, write_index};
use catalog::list::PackedList;
use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use jobs::api::RunnableJobs;
use jobs::settings::Settings;
use serde::de::DeserializeOwned;
use serde_json::Value;
use store::{CatalogTable, ListPointer, Provenance, Report, ReportOutcome};
use tower::ServiceExt as _;

use test_support::store::proxy::{Plan, Proxy};
use test_support::store::{at, client, endpoint, new_table};

pub(crate) const BUILD: &str = "Linux x86-64 try build";
pub(crate) const NAMES: [&str; 6] = [
    BUILD,
    "Ubuntu VM 12.04 x64 try debug test mochitest-e10s-3",
    "Ubuntu VM 12.04 x64 try opt test mochitest-1",
    "Ubuntu VM 12.04 x64 try opt test mochitest-2",
    "WINNT 6.1 x86-64 try build",
    "Windows 7 32-bit try pgo talos svgr",
];
pub(crate) const LIST: &str = "/api/project/try/runnable_jobs/";

/// A catalog, the function that serves it, and the function's log.
pub(crate) struct TestApp {
    pub(crate) router: Router,
    pub(crate) table: CatalogTable,
    pub(crate) client: Client,
    pub(crate) name: String,
    pub(crate) now: Arc<Mutex<DateTime<Utc>>>,
    pub(crate) lines: Arc<Mutex<Vec<Value>>>,
    pub(crate) proxy: Proxy,
    pub(crate) is_down: Arc<AtomicBool>,
    pub(crate) is_silent: Arc<AtomicBool>,
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

    pub(crate) fn json<T: DeserializeOwned>(&self) -> T {
        assert_eq!(self.status, StatusCode::OK, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.header("content-type"), Some("application/json"));
        serde_json::from_slice(&self.body).unwrap()
    }

    pub(crate) fn problem(&self, status: StatusCode, code: &str) -> Value {
        let problem: Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!((self.status, problem["code"].as_str()), (status, Some(code)), "{problem}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert!(self.header("etag").is_none());
        problem
    }
}

pub(crate) fn morning() -> DateTime<Utc> {
    at("2026-11-23T06:00:00Z")
}

pub(crate) fn list(project: &str, names: &[&str]) -> PackedList {
    let upstream = |name: &str| name.contains("x64 try opt").then_some(BUILD);
    let jobs: Vec<CatalogJob<'_>> = names.iter().map(|name| CatalogJob { name, upstream: upstream(name) }).collect();
    let mut body = Vec::new();
    let summary = write_body(project, &jobs, &mut body, |_| ());
    let list = PackedList::new(&body, summary);
    let index = write_index(project, &list.etag, &jobs);
    list.with_index(index)
}

impl TestApp {
    pub(crate) async fn new() -> Self {
        Self::with(&[]).await
    }

    /// An app with these variables besides the usual ones.
    pub(crate) async fn with(variables: &[(&str, &str)]) -> Self {
        let (is_down, is_silent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let proxy = {
            let (is_down, is_silent) = (is_down.clone(), is_silent.clone());
            let plan = move |_: &str, _| match () {
                () if is_silent.load(Ordering::SeqCst) => Plan::Silence,
                () if is_down.load(Ordering::SeqCst) => Plan::Refuse("InternalServerError"),
                () => Plan::Pass,
            };
            Proxy::start(plan)
        };
        let direct = client(&endpoint()).await;
        let name = new_table(&direct).await;
        let lines = Arc::new(Mutex::new(Vec::new()));
        let now = Arc::new(Mutex::new(morning() + TimeDelta::hours(1)));
        let usual = [("RUNNABLE_JOBS_CATALOG_TABLE", name.as_str()), ("RUNNABLE_JOBS_SCHEDULE", "0 6 * * ? *")];
        let lookup = |variable: &str| {
            let mut set = variables.iter().chain(&usual);
            set.find(|(known, _)| *known == variable).map(|(_, value)| (*value).to_owned())
        };
        let settings = Settings::read(lookup).unwrap();
        let (clock, log) = (now.clone(), lines.clone());
        let router = jobs::app(
            settings,
            CatalogTable::new(client(&proxy.endpoint).await, &name),
            Arc::new(move || *clock.lock().unwrap()),
            Arc::new(move |line| log.lock().unwrap().push(serde_json::from_str(line).unwrap())),
        );
        let table = CatalogTable::new(direct.clone(), &name);
        Self { router, table, client: direct, name, now, lines, proxy, is_down, is_silent }
    }

    /// An app with `NAMES` published for try this morning.
    pub(crate) async fn published() -> Self {
        let app = Self::new().await;
        app.publish("try", &NAMES, None).await;
        app
    }

    pub(crate) async fn publish(&self, project: &str, names: &[&str], previous: Option<&ListPointer>) -> ListPointer {
        let now = *self.now.lock().unwrap() - TimeDelta::hours(1);
        let provenance =
            Provenance { source: "https://example.org/a.json".to_owned(), source_etag: None, updated_at: now };
        self.table.publish(project, &list(project, names), previous, &provenance).await.unwrap()
    }

    pub(crate) async fn report(&self, started_at: &str, outcome: ReportOutcome, only: &[&str]) {
        let mut report = Report::new(at(started_at), "https://example.org/a.json");
        report.outcome = outcome;
        report.only = only.iter().map(|project| (*project).to_owned()).collect();
        self.table.put_report(&report).await.unwrap();
    }

    pub(crate) fn wait(&self, seconds: i64) {
        *self.now.lock().unwrap() += TimeDelta::seconds(seconds);
    }

    pub(crate) fn goes_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::SeqCst);
    }

    /// The number of requests to the store so far.
    pub(crate) fn asked(&self) -> usize {
        self.proxy.seen().len()
    }

    pub(crate) async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, &[]).await
    }

    /// From the log line of the last request: the source of the answer, and its cost in read units.
    pub(crate) fn cost(&self) -> (String, f64) {
        let lines = self.lines.lock().unwrap();
        let line = lines.last().unwrap();
        (line["cache"].as_str().unwrap_or("none").to_owned(), line["read_units"].as_f64().unwrap())
    }
}

pub(crate) fn names(answer: &Answer) -> Vec<String> {
    answer.json::<RunnableJobs>().results.into_iter().map(|job| job.ref_data_name.unwrap()).collect()
}
