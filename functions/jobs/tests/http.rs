//! What is served, from a catalog in the emulator.
#![allow(clippy::unwrap_used, reason = "a helper of a test may fail as the test may")]

#[path = "../../../crates/store/tests/support/mod.rs"]
mod store_support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use axum::Router;
use axum::body::Body;
use catalog::jobs::{Job, PackedList, unpack, write_body};
use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use jobs::api::{Health, Heartbeat, Ingest, Ingests, JobWithRelatives, Projects, RunnableJobs, Version};
use jobs::settings::Settings;
use serde::de::DeserializeOwned;
use serde_json::Value;
use store::{CatalogTable, Current, Outcome, Provenance, Report};
use store_support::proxy::{Plan, Proxy};
use store_support::{at, client, delete, endpoint, new_table};
use tower::ServiceExt as _;

const BUILD: &str = "Linux x86-64 try build";
const NAMES: [&str; 6] = [
    BUILD,
    "Ubuntu VM 12.04 x64 try debug test mochitest-e10s-3",
    "Ubuntu VM 12.04 x64 try opt test mochitest-1",
    "Ubuntu VM 12.04 x64 try opt test mochitest-2",
    "WINNT 6.1 x86-64 try build",
    "Windows 7 32-bit try pgo talos svgr",
];
const LIST: &str = "/api/project/try/runnable_jobs/";

/// A catalog, the function before it, and what the function logs.
struct Bed {
    app: Router,
    table: CatalogTable,
    client: Client,
    name: String,
    now: Arc<Mutex<DateTime<Utc>>>,
    lines: Arc<Mutex<Vec<Value>>>,
    proxy: Proxy,
    is_down: Arc<AtomicBool>,
    is_silent: Arc<AtomicBool>,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    fn json<T: DeserializeOwned>(&self) -> T {
        assert_eq!(self.status, StatusCode::OK, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.header("content-type"), Some("application/json"));
        serde_json::from_slice(&self.body).unwrap()
    }

    fn problem(&self, status: StatusCode, code: &str) -> Value {
        let problem: Value = serde_json::from_slice(&self.body).unwrap();
        assert_eq!((self.status, problem["code"].as_str()), (status, Some(code)), "{problem}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert!(self.header("etag").is_none());
        problem
    }
}

fn morning() -> DateTime<Utc> {
    at("2026-11-23T06:00:00Z")
}

fn list(project: &str, names: &[&str]) -> PackedList {
    let upstream = |name: &str| name.contains("x64 try opt").then_some(BUILD);
    let jobs: Vec<Job<'_>> = names.iter().map(|name| Job { name, upstream: upstream(name) }).collect();
    let mut body = Vec::new();
    let summary = write_body(project, &jobs, &mut body, |_| ());
    PackedList::new(&body, summary)
}

impl Bed {
    async fn new() -> Self {
        Self::with(&[]).await
    }

    /// A bed that is configured with these variables beside the usual.
    async fn with(variables: &[(&str, &str)]) -> Self {
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
        let app = jobs::app(
            settings,
            CatalogTable::new(client(&proxy.endpoint).await, &name),
            Arc::new(move || *clock.lock().unwrap()),
            Arc::new(move |line| log.lock().unwrap().push(serde_json::from_str(line).unwrap())),
        );
        let table = CatalogTable::new(direct.clone(), &name);
        Self { app, table, client: direct, name, now, lines, proxy, is_down, is_silent }
    }

    /// A bed with `NAMES` published for try this morning.
    async fn published() -> Self {
        let bed = Self::new().await;
        bed.publish("try", &NAMES, None).await;
        bed
    }

    async fn publish(&self, project: &str, names: &[&str], previous: Option<&Current>) -> Current {
        let now = *self.now.lock().unwrap() - TimeDelta::hours(1);
        let provenance =
            Provenance { source: "https://example.org/a.json".to_owned(), source_etag: None, updated_at: now };
        self.table.publish(project, &list(project, names), previous, &provenance).await.unwrap()
    }

    async fn report(&self, started_at: &str, outcome: Outcome, only: &[&str]) {
        let mut report = Report::new(at(started_at), "https://example.org/a.json");
        report.outcome = outcome;
        report.only = only.iter().map(|project| (*project).to_owned()).collect();
        self.table.put_report(&report).await.unwrap();
    }

    fn wait(&self, seconds: i64) {
        *self.now.lock().unwrap() += TimeDelta::seconds(seconds);
    }

    fn goes_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::SeqCst);
    }

    /// How often the store was asked so far.
    fn asked(&self) -> usize {
        self.proxy.seen().len()
    }

    async fn ask(&self, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, &[]).await
    }

    /// The log line of the last request: what it took the answer from, and the read units that cost.
    fn cost(&self) -> (String, f64) {
        let lines = self.lines.lock().unwrap();
        let line = lines.last().unwrap();
        (line["cache"].as_str().unwrap_or("none").to_owned(), line["read_units"].as_f64().unwrap())
    }
}

fn names(answer: &Answer) -> Vec<String> {
    answer.json::<RunnableJobs>().results.into_iter().map(|job| job.ref_data_name.unwrap()).collect()
}

// Lists.

#[tokio::test]
async fn a_list_is_served_as_it_is_stored_to_those_who_take_gzip() {
    let bed = Bed::published().await;
    let stored = list("try", &NAMES);

    let packed = bed.ask(Method::GET, LIST, &[("accept-encoding", "gzip, deflate, br")]).await;

    assert_eq!(packed.body, stored.gzip);
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert_eq!(packed.header("content-type"), Some("application/json"));
    assert_eq!(packed.header("etag"), Some(format!("\"{}-gzip\"", stored.etag).as_str()));
    assert_eq!(packed.header("cache-control"), Some("public, max-age=30"));
    assert_eq!(packed.header("vary"), Some("Accept-Encoding"));
    assert_eq!(packed.header("last-modified"), Some("Mon, 23 Nov 2026 06:00:00 GMT"));
    assert_eq!((packed.header("warning"), packed.header("age")), (None, None));

    let plain = bed.get(LIST).await;

    assert_eq!(plain.body, unpack(&stored.gzip).unwrap());
    assert_eq!(plain.header("content-encoding"), None);
    assert_eq!(plain.header("etag"), Some(format!("\"{}\"", stored.etag).as_str()));
    assert_eq!(names(&plain), NAMES);
    assert_eq!(bed.get(LIST.trim_end_matches('/')).await.body, plain.body);
    let head = bed.ask(Method::HEAD, LIST, &[]).await;
    assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0));
    assert_eq!(head.header("content-length"), Some(plain.body.len().to_string().as_str()));
}

#[tokio::test]
async fn a_client_that_has_the_list_is_told_so_without_reading_it() {
    let bed = Bed::published().await;
    let etag = format!("\"{}-gzip\"", list("try", &NAMES).etag);

    let known = bed.ask(Method::GET, LIST, &[("accept-encoding", "gzip"), ("if-none-match", &etag)]).await;

    assert_eq!((known.status, known.body.len()), (StatusCode::NOT_MODIFIED, 0));
    assert_eq!(known.header("etag"), Some(etag.as_str()));
    assert_eq!(known.header("cache-control"), Some("public, max-age=30"));
    assert_eq!(bed.proxy.seen(), ["GetItem"]);
    assert_eq!(bed.cost(), ("revalidated".to_owned(), 0.5));
    let other = bed.ask(Method::GET, LIST, &[("if-none-match", &etag)]).await;
    assert_eq!(other.status, StatusCode::OK, "the tag is of the other encoding");
}

#[tokio::test]
async fn a_list_is_held_in_memory_and_asked_for_again_when_it_is_no_longer_fresh() {
    let bed = Bed::published().await;
    bed.get(LIST).await;
    let (cache, units) = bed.cost();
    assert_eq!(cache, "store");
    // The emulator does not tell what a batch costs.
    assert!(units >= 0.5, "{units}");
    let asked = bed.asked();

    bed.wait(29);
    bed.get(LIST).await;
    assert_eq!((bed.cost(), bed.asked()), (("memory".to_owned(), 0.0), asked));

    bed.wait(1);
    bed.get(LIST).await;
    assert_eq!((bed.cost(), bed.asked()), (("revalidated".to_owned(), 0.5), asked + 1));
}

#[tokio::test]
async fn a_list_that_was_replaced_is_served_once_the_old_one_is_no_longer_fresh() {
    let bed = Bed::new().await;
    let first = bed.publish("try", &NAMES[..2], None).await;
    assert_eq!(names(&bed.get(LIST).await), NAMES[..2]);
    bed.publish("try", &NAMES, Some(&first)).await;
    assert_eq!(names(&bed.get(LIST).await), NAMES[..2]);
    bed.wait(30);
    assert_eq!(names(&bed.get(LIST).await), NAMES);
    assert_eq!(bed.cost().0, "store");
}

#[tokio::test]
async fn filters_pages_and_fields_are_cut_out_of_the_list() {
    let bed = Bed::published().await;
    let found = bed.get(&format!("{LIST}?search=MOCHITEST+linux64&option=opt")).await;
    assert_eq!(names(&found), NAMES[2..4]);
    let page = bed.get(&format!("{LIST}?offset=1&count=2")).await.json::<RunnableJobs>();
    assert_eq!((page.meta.offset, page.meta.count, page.meta.total), (1, 2, Some(6)));
    assert_eq!(page.results.len(), 2);
    let fields = bed.get(&format!("{LIST}?platform=windows7-32&fields=ref_data_name,platform")).await;
    let expected = r#"{"meta":{"repository":"try","offset":0,"count":1,"total":1},"results":[{"platform":"windows7-32","ref_data_name":"Windows 7 32-bit try pgo talos svgr"}]}"#;
    assert_eq!(String::from_utf8(fields.body).unwrap(), expected);
    // Treeherder's client names the decision task of the push, and gets the list as it is.
    let treeherders = bed.get(&format!("{LIST}?decision_task_id=RGxvyxsJRdWoCXCpZAkSTA")).await;
    assert_eq!(treeherders.header("etag"), bed.get(LIST).await.header("etag"));
}

#[tokio::test]
async fn a_filtered_answer_has_a_tag_of_its_own_in_each_encoding() {
    let bed = Bed::published().await;
    let path = format!("{LIST}?search=try");
    let gzip = ("accept-encoding", "gzip");
    let (plain, packed) = (bed.get(&path).await, bed.ask(Method::GET, &path, &[gzip]).await);
    assert_eq!(packed.header("content-encoding"), Some("gzip"));
    assert_eq!(unpack(&packed.body).unwrap(), plain.body);
    let tags = [&plain, &packed].map(|answer| answer.header("etag").unwrap().to_owned());
    assert_ne!(tags[0], tags[1]);
    let known = |tag: String, path: String| {
        let bed = &bed;
        async move { bed.ask(Method::GET, &path, &[("if-none-match", &tag)]).await.status }
    };
    assert_eq!(known(tags[0].clone(), path.clone()).await, StatusCode::NOT_MODIFIED);
    assert_eq!(known(tags[1].clone(), path.clone()).await, StatusCode::OK);
    assert_eq!(known(tags[0].clone(), format!("{LIST}?search=talos")).await, StatusCode::OK);
}

#[tokio::test]
async fn a_wrong_parameter_is_named() {
    let bed = Bed::published().await;
    for (path, parameter) in [
        (format!("{LIST}?colour=red"), "colour"),
        (format!("{LIST}?count=many"), "count"),
        (format!("{LIST}{}/?colour=red", BUILD.replace(' ', "%20")), "colour"),
        ("/api/projects/?count=1".to_owned(), "count"),
    ] {
        let problem = bed.get(&path).await.problem(StatusCode::BAD_REQUEST, "bad_parameter");
        assert_eq!(problem["parameter"], parameter);
    }
}

#[tokio::test]
async fn a_list_that_does_not_fit_into_a_response_can_be_had_packed_or_in_pages() {
    let bed = Bed::new().await;
    let many: Vec<String> =
        (1..8000).map(|chunk| format!("Ubuntu VM 12.04 x64 try opt test mochitest-{chunk}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    bed.publish("try", &many, None).await;
    let problem = bed.get(LIST).await.problem(StatusCode::NOT_ACCEPTABLE, "answer_too_large");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("Accept-Encoding: gzip") && detail.contains("count and offset"), "{detail}");
    assert_eq!(bed.ask(Method::GET, LIST, &[("accept-encoding", "gzip")]).await.status, StatusCode::OK);
    assert_eq!(names(&bed.get(&format!("{LIST}?count=2000")).await).len(), 2000);
}

// One job.

#[tokio::test]
async fn a_job_comes_with_its_build_and_its_tests() {
    let bed = Bed::published().await;
    let build = format!("{LIST}Linux%20x86-64%20try%20build");
    for path in [build.clone(), format!("{build}/")] {
        let found = bed.get(&path).await.json::<JobWithRelatives>();
        assert_eq!(found.job.ref_data_name.as_deref(), Some(BUILD));
        let tests: Vec<_> = found.tests.into_iter().map(|test| test.ref_data_name.unwrap()).collect();
        assert_eq!(tests, NAMES[2..4]);
    }
    let test = bed.get(&format!("{LIST}{}/", NAMES[2].replace(' ', "%20"))).await.json::<JobWithRelatives>();
    assert_eq!(test.upstream_build.unwrap().ref_data_name.as_deref(), Some(BUILD));
}

#[tokio::test]
async fn a_label_with_slashes_is_found_encoded_or_not() {
    let bed = Bed::new().await;
    bed.publish("try", &["test-linux64/opt-mochitest-1"], None).await;
    for path in ["test-linux64/opt-mochitest-1/", "test-linux64%2Fopt-mochitest-1"] {
        let found = bed.get(&format!("{LIST}{path}")).await.json::<JobWithRelatives>();
        assert_eq!(found.job.ref_data_name.as_deref(), Some("test-linux64/opt-mochitest-1"));
    }
}

#[tokio::test]
async fn of_an_unknown_job_the_nearest_are_told() {
    let bed = Bed::published().await;
    let asked = bed.get(&format!("{LIST}Linux%20x86-64%20try%20buidl/")).await;
    let problem = asked.problem(StatusCode::NOT_FOUND, "unknown_job");
    assert_eq!(problem["closest"][0], BUILD);
    assert!(problem["detail"].as_str().unwrap().contains(BUILD));
}

// Unknown projects.

#[tokio::test]
async fn of_an_unknown_project_the_nearest_are_told() {
    let bed = Bed::published().await;
    bed.publish("mozilla-central", &NAMES[..1], None).await;
    let asked = bed.get("/api/project/mozila-central/runnable_jobs/").await;
    let problem = asked.problem(StatusCode::NOT_FOUND, "unknown_project");
    assert_eq!(problem["closest"], serde_json::json!(["mozilla-central"]));
    assert_eq!(problem["detail"], "There is no project 'mozila-central'. Did you mean mozilla-central?");
    for impossible in ["a%20b", "%F0%9F%A6%8A", "..%2F..", &"x".repeat(101)] {
        let asked = bed.get(&format!("/api/project/{impossible}/runnable_jobs/")).await;
        asked.problem(StatusCode::NOT_FOUND, "unknown_project");
    }
}

#[tokio::test]
async fn asking_for_what_is_not_there_does_not_run_up_the_stores_bill() {
    let bed = Bed::published().await;
    for number in 0..20 {
        let asked = bed.get(&format!("/api/project/no-{number}/runnable_jobs/")).await;
        asked.problem(StatusCode::NOT_FOUND, "unknown_project");
    }
    // The first pointer, and the names.
    assert_eq!(bed.asked(), 2);
    // A project that comes to be is found when the names are no longer fresh.
    bed.publish("no-7", &NAMES[..1], None).await;
    bed.wait(30);
    assert_eq!(bed.get("/api/project/no-7/runnable_jobs/").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_project_that_was_removed_is_unknown() {
    let bed = Bed::new().await;
    let current = bed.publish("try", &NAMES, None).await;
    assert_eq!(bed.get(LIST).await.status, StatusCode::OK);
    bed.table.remove("try", &current, morning()).await.unwrap();
    bed.wait(30);
    bed.get(LIST).await.problem(StatusCode::NOT_FOUND, "unknown_project");
}

// A store that does not answer.

#[tokio::test]
async fn the_last_list_is_served_on_and_marked_while_the_store_is_down() {
    let bed = Bed::published().await;
    let fresh = bed.get(LIST).await;
    bed.goes_down(true);
    bed.wait(100);

    let stale = bed.get(LIST).await;

    assert_eq!((stale.status, &stale.body), (StatusCode::OK, &fresh.body));
    assert_eq!(stale.header("warning"), Some("110 runnable-jobs \"Response is Stale\""));
    assert_eq!(stale.header("age"), Some("100"));
    assert_eq!(bed.cost(), ("stale".to_owned(), 0.0));
    assert!(bed.lines.lock().unwrap().last().unwrap()["error"].as_str().unwrap().contains("InternalServerError"));
    let known = bed.ask(Method::GET, LIST, &[("if-none-match", fresh.header("etag").unwrap())]).await;
    assert_eq!((known.status, known.header("age")), (StatusCode::NOT_MODIFIED, Some("100")));
    assert_eq!(names(&bed.get(&format!("{LIST}?search=talos")).await), NAMES[5..]);
    // The store is left alone for a while: each attempt would make somebody wait.
    let asked = bed.asked();
    bed.wait(4);
    assert_eq!(bed.get(LIST).await.header("age"), Some("104"));
    assert_eq!(bed.asked(), asked);

    bed.goes_down(false);
    bed.wait(1);
    let healed = bed.get(LIST).await;
    assert_eq!((healed.header("warning"), healed.header("age")), (None, None));
}

#[tokio::test]
async fn the_last_overview_is_served_on_and_marked_while_the_store_is_down() {
    let bed = Bed::published().await;
    bed.report("2026-11-23T06:00:00Z", Outcome::Published, &[]).await;
    for path in ["/api/projects/", "/api/ingests/", "/api/ingests/latest/"] {
        assert_eq!(bed.get(path).await.header("warning"), None);
    }
    bed.goes_down(true);
    bed.wait(60);
    for path in ["/api/projects/", "/api/ingests/", "/api/ingests/latest/"] {
        let stale = bed.get(path).await;
        assert_eq!((stale.status, stale.header("age")), (StatusCode::OK, Some("60")), "{path}");
        assert!(stale.header("warning").is_some());
    }
}

#[tokio::test]
async fn a_store_that_is_silent_is_given_up_before_lambda_gives_up_the_function() {
    let bed = Bed::published().await;
    bed.report("2026-11-23T06:00:00Z", Outcome::Published, &[]).await;
    bed.get("/api/projects/").await;
    bed.is_silent.store(true, Ordering::SeqCst);
    bed.wait(60);
    let start = std::time::Instant::now();
    // Of all answers it takes the most readings.
    let stale = bed.get("/api/projects/").await;
    assert_eq!((stale.status, stale.header("age")), (StatusCode::OK, Some("60")));
    assert!(start.elapsed().as_secs_f64() < 10.0, "{:?}", start.elapsed());
    assert!(bed.lines.lock().unwrap().last().unwrap()["error"].as_str().unwrap().contains("no answer within 3 s"));
}

#[tokio::test]
async fn without_anything_to_serve_on_the_answer_is_503_and_when_to_ask_again() {
    let bed = Bed::published().await;
    bed.goes_down(true);
    for path in [LIST, "/api/projects/", "/api/ingests/", "/api/ingests/latest/"] {
        let down = bed.get(path).await;
        let problem = down.problem(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable");
        assert_eq!(down.header("retry-after"), Some("10"));
        assert!(!problem.to_string().contains(&bed.name), "no internals: {problem}");
        let line = bed.lines.lock().unwrap().pop().unwrap();
        assert!(line["error"].as_str().unwrap().contains("InternalServerError"), "{line}");
    }
    bed.goes_down(false);
    bed.wait(5);
    assert_eq!(bed.get(LIST).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_new_list_that_is_damaged_leaves_the_old_one_served() {
    let bed = Bed::new().await;
    let first = bed.publish("try", &NAMES[..2], None).await;
    bed.get(LIST).await;
    let second = bed.publish("try", &NAMES, Some(&first)).await;
    delete(&bed.client, &bed.name, ("project#try", &format!("list#{}#000", second.etag))).await;
    bed.wait(30);
    let stale = bed.get(LIST).await;
    assert_eq!(names(&stale), NAMES[..2]);
    assert_eq!(stale.header("etag"), Some(format!("\"{}\"", first.etag).as_str()));
    assert!(stale.header("warning").is_some());
}

#[tokio::test]
async fn a_list_that_is_no_gzip_is_503_and_said_in_the_log() {
    let bed = Bed::published().await;
    let part = format!("list#{}#000", list("try", &NAMES).etag);
    let nonsense = AttributeValue::B(aws_sdk_dynamodb::primitives::Blob::new(*b"nonsense"));
    store_support::set(&bed.client, &bed.name, ("project#try", &part), "data", Some(nonsense)).await;
    bed.get(LIST).await.problem(StatusCode::SERVICE_UNAVAILABLE, "store_unavailable");
    let line = bed.lines.lock().unwrap().pop().unwrap();
    assert!(line["error"].as_str().unwrap().contains("is damaged"), "{line}");
}

#[tokio::test]
async fn memory_holds_what_was_asked_for_last() {
    // Half of a megabyte: two of the lists, unpacked.
    let bed = Bed::with(&[("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1")]).await;
    let many: Vec<String> =
        (1..270).map(|chunk| format!("Ubuntu VM 12.04 x64 try opt test mochitest-{chunk}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let ask = async |project: &str| {
        bed.get(&format!("/api/project/{project}/runnable_jobs/")).await;
        bed.get(&format!("/api/project/{project}/runnable_jobs/")).await;
        bed.cost().0
    };
    for project in ["a", "b", "c"] {
        bed.publish(project, &many, None).await;
        assert_eq!(ask(project).await, "memory");
    }
    let asked = bed.asked();
    bed.get("/api/project/c/runnable_jobs/").await;
    bed.get("/api/project/b/runnable_jobs/").await;
    assert_eq!(bed.asked(), asked);
    bed.get("/api/project/a/runnable_jobs/").await;
    assert_eq!(bed.cost().0, "store");
}

// The catalog as a whole.

#[tokio::test]
async fn projects_tell_what_they_hold_and_whether_they_are_stale() {
    let bed = Bed::published().await;
    bed.publish("mozilla-central", &NAMES[..1], None).await;
    bed.report("2026-11-23T06:00:00Z", Outcome::Published, &[]).await;
    bed.report("2026-11-23T06:30:00Z", Outcome::Unchanged, &["try"]).await;
    bed.report("2026-11-23T06:40:00Z", Outcome::Failed, &[]).await;

    let projects = bed.get("/api/projects/").await.json::<Projects>().projects;

    assert_eq!(projects.iter().map(|project| project.name.as_str()).collect::<Vec<_>>(), ["mozilla-central", "try"]);
    let try_ = &projects[1];
    assert_eq!((try_.jobs, try_.runnable_jobs.as_str()), (6, LIST));
    assert_eq!(try_.build_systems, [("buildbot".to_owned(), 6)].into());
    assert_eq!(try_.platforms, ["linux64", "windows7-32", "windows8-64"].map(str::to_owned).into());
    assert_eq!((try_.updated_at, try_.checked_at), (morning(), at("2026-11-23T06:30:00Z")));
    assert_eq!((projects[0].checked_at, projects[0].stale), (morning(), false));
    // The names and the reports; the emulator does not tell what a batch costs.
    assert!((1.0..=3.0).contains(&bed.cost().1), "{:?}", bed.cost());
    // A day later nothing came.
    bed.wait(24 * 3600);
    let projects = bed.get("/api/projects").await.json::<Projects>().projects;
    assert!(projects.iter().all(|project| project.stale));
}

#[tokio::test]
async fn ingests_are_told_newest_first() {
    let bed = Bed::new().await;
    assert!(bed.get("/api/ingests/").await.json::<Ingests>().ingests.is_empty());
    bed.get("/api/ingests/latest/").await.problem(StatusCode::NOT_FOUND, "no_ingest");
    for day in 1..=22 {
        bed.report(&format!("2026-11-{day:02}T06:00:00Z"), Outcome::Published, &[]).await;
    }
    bed.wait(30);
    let ingests = bed.get("/api/ingests/").await.json::<Ingests>().ingests;
    assert_eq!(ingests.len(), 20);
    assert_eq!(ingests[0].started_at, at("2026-11-22T06:00:00Z"));
    let latest = bed.get("/api/ingests/latest").await.json::<Ingest>();
    assert_eq!(latest.started_at, ingests[0].started_at);
}

// Dockerflow.

async fn heartbeat(bed: &Bed) -> (StatusCode, Heartbeat) {
    let answer = bed.get("/__heartbeat__").await;
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    (answer.status, serde_json::from_slice(&answer.body).unwrap())
}

#[tokio::test]
async fn the_heartbeat_tells_of_a_catalog_that_is_not_fresh() {
    let bed = Bed::new().await;
    let (status, never) = heartbeat(&bed).await;
    assert_eq!((status, never.status), (StatusCode::SERVICE_UNAVAILABLE, Health::Error));
    assert_eq!(never.checks["store"], Health::Ok);
    assert_eq!(never.details["catalog"], "nothing was ever ingested");

    bed.report("2026-11-23T06:00:00Z", Outcome::Unchanged, &[]).await;
    // Neither a failed nor a partial ingest makes a catalog fresh, or less so.
    bed.report("2026-11-23T06:30:00Z", Outcome::Failed, &[]).await;
    bed.wait(5);
    let (status, fresh) = heartbeat(&bed).await;
    assert_eq!((status, fresh.status), (StatusCode::OK, Health::Ok), "{fresh:?}");
    assert_eq!(fresh.details["catalog"], "last ingested at 2026-11-23T06:00:00Z");

    bed.wait(24 * 3600);
    bed.report("2026-11-24T06:00:00Z", Outcome::Published, &["try"]).await;
    let (status, late) = heartbeat(&bed).await;
    assert_eq!((status, late.checks["catalog"]), (StatusCode::SERVICE_UNAVAILABLE, Health::Error));
    let expected = "last ingested at 2026-11-23T06:00:00Z; 1 ingests were due since and missed";
    assert_eq!(late.details["catalog"], expected);
}

#[tokio::test]
async fn the_heartbeat_tells_of_a_store_that_does_not_answer_and_the_other_one_asks_nobody() {
    let bed = Bed::published().await;
    bed.report("2026-11-23T06:00:00Z", Outcome::Published, &[]).await;
    assert_eq!(heartbeat(&bed).await.0, StatusCode::OK);
    bed.goes_down(true);
    bed.wait(5);
    let (status, down) = heartbeat(&bed).await;
    assert_eq!((status, down.checks["store"]), (StatusCode::SERVICE_UNAVAILABLE, Health::Error));
    assert_eq!(down.details["store"], "it cannot be read; the function's log tells why");
    assert!(bed.lines.lock().unwrap().last().unwrap()["error"].as_str().unwrap().contains("InternalServerError"));
    let asked = bed.asked();
    assert_eq!(bed.get("/__lbheartbeat__").await.status, StatusCode::OK);
    assert_eq!(bed.asked(), asked);
}

#[tokio::test]
async fn the_version_tells_what_runs() {
    let bed = Bed::new().await;
    let version = bed.get("/__version__").await.json::<Version>();
    assert_eq!((version.source.as_str(), version.version.as_str()), ("runnable-jobs", env!("CARGO_PKG_VERSION")));
    assert_eq!(version.build, catalog::jobs::RULES);
}

// The reference.

#[tokio::test]
async fn the_openapi_document_is_the_one_that_the_code_describes() {
    let bed = Bed::new().await;
    let served = bed.get("/api/openapi.json").await;
    let made = jobs::openapi().unwrap();
    assert_eq!(
        String::from_utf8(served.body).unwrap(),
        made,
        "make it anew: cargo run -p jobs --example openapi > functions/jobs/openapi.json"
    );
    let document: Value = serde_json::from_str(&made).unwrap();
    for path in document["paths"].as_object().unwrap().keys() {
        let path = path.replace("{project}", "try").replace("{ref_data_name}", "x");
        let problem: Value = serde_json::from_slice(&bed.get(&path).await.body).unwrap_or_default();
        assert_ne!(problem["code"], "not_found", "{path} is described, but not served");
    }
}

#[tokio::test]
async fn the_reference_needs_nothing_from_another_host() {
    let bed = Bed::new().await;
    let page = bed.get("/api/docs/").await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").unwrap().contains("default-src 'none'; script-src 'self'"));
    let html = String::from_utf8(page.body).unwrap();
    assert!(html.contains("id=\"unknown_project\"") && html.contains("id=\"internal_error\""));
    let links: Vec<&str> = html.split(['"']).filter(|word| word.contains('.') && !word.contains(['<', ' '])).collect();
    assert_eq!(links.len(), 5, "{links:?}");
    for link in links {
        let path = format!("/api/docs/{link}").replace("/docs/../", "/");
        let (plain, packed) = (bed.get(&path).await, bed.ask(Method::GET, &path, &[("accept-encoding", "gzip")]).await);
        assert_eq!((plain.status, packed.status), (StatusCode::OK, StatusCode::OK), "{path}");
        if packed.header("content-encoding").is_some() {
            assert_eq!(unpack(&packed.body).unwrap(), plain.body, "{path}");
            assert_ne!(plain.header("etag"), packed.header("etag"));
        }
    }
    let bare = bed.get("/api/docs").await;
    assert_eq!((bare.status, bare.header("location")), (StatusCode::PERMANENT_REDIRECT, Some("docs/")));
}
