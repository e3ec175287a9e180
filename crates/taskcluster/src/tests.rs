//! A Taskcluster in a few bytes, and the answers of the client.

use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use catalog::taskcluster::TaskId;
use fetch::Host;
use flate2::Compression;
use flate2::write::GzEncoder;
use runtime::Backoff;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;
use crate::client::Timing;

mod made;
mod prepare;
mod schema;
mod trigger;

const TASK: &str = "Ab-_9fIzT8aXVvV2yWqhGQ";
const NAME: &str = "public/runnable-jobs.json";
const GRAPH: &[u8] = br#"{"label": {"symbol": "B"}}"#;
const LIMITS: ArtifactLimits = ArtifactLimits { max_bytes: 1000, timeout: Duration::from_secs(5) };

/// A server that answers each path by its script. The last answer of a path repeats. An empty answer closes the
/// connection; one that ends with `CUT` leaves it open.
#[derive(Clone, Default)]
struct Server {
    address: String,
    script: Arc<Mutex<HashMap<String, Vec<Vec<u8>>>>>,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Self { address: listener.local_addr().unwrap().to_string(), ..Self::default() };
        let behind = server.clone();
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                let request = whole_request(&mut connection).await;
                let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
                behind.requests.lock().unwrap().push(request);
                let answer = match behind.script.lock().unwrap().get_mut(&path) {
                    None => panic!("{path} is not expected"),
                    Some(answers) if answers.len() == 1 => answers[0].clone(),
                    Some(answers) => answers.remove(0),
                };
                tokio::spawn(async move {
                    let _ = connection.write_all(&answer).await;
                    if answer.ends_with(CUT) {
                        std::future::pending::<()>().await;
                    }
                });
            }
        });
        server
    }

    fn on(&self, path: &str, answers: impl IntoIterator<Item = Vec<u8>>) -> &Self {
        self.script.lock().unwrap().insert(path.to_owned(), answers.into_iter().collect());
        self
    }

    /// The bodies of the requests.
    fn bodies(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        requests.iter().map(|request| request.split("\r\n\r\n").nth(1).unwrap().to_owned()).collect()
    }

    fn paths(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        requests.iter().map(|request| request.split(' ').nth(1).unwrap().to_owned()).collect()
    }
}

/// A request with its body.
async fn whole_request(connection: &mut TcpStream) -> String {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return text;
            }
        }
        if connection.read_buf(&mut request).await.unwrap_or_default() == 0 {
            return text;
        }
    }
}

/// Ends an answer after which the connection stays open.
const CUT: &[u8] = b"\r\nhang";

/// The start of an answer, after which nothing comes.
fn half_a_head() -> Vec<u8> {
    [b"HTTP/1.1 200 OK", CUT].concat()
}

/// An answer. Headers are separated by `\r\n`.
fn answer(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let headers = if headers.is_empty() { String::new() } else { format!("{headers}\r\n") };
    let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn json(body: &str) -> Vec<u8> {
    answer("200 OK", "content-type: application/json", body)
}

/// As Taskcluster says that something is wrong.
fn error(status: &str, code: &str, message: &str) -> Vec<u8> {
    let details = format!(r"\n\n---\n\n* method:     x\n* errorCode:  {code}");
    let body = format!(r#"{{"code": "{code}", "message": "{message}{details}", "requestInfo": {{}}}}"#);
    answer(status, "content-type: application/json; charset=utf-8", body)
}

fn not_found(message: &str) -> Vec<u8> {
    error("404 Not Found", "ResourceNotFound", message)
}

fn page(status: &str) -> Vec<u8> {
    answer(status, "content-type: text/html", "<html><h1>Oops</h1></html>")
}

fn redirect(to: &str, storage_type: &str) -> Vec<u8> {
    let headers = format!("location: {to}\r\nx-taskcluster-artifact-storage-type: {storage_type}");
    answer("303 See Other", &headers, format!(r#"{{"storageType": "{storage_type}", "url": "{to}"}}"#))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A Taskcluster's API, the host of its artifacts, and a client of both.
struct Setup {
    api: Server,
    storage: Server,
    client: Taskcluster,
}

impl Setup {
    async fn new() -> Self {
        Self::within(Duration::from_secs(5)).await
    }

    /// A client whose questions to the API take at most this long.
    async fn within(question: Duration) -> Self {
        let (api, storage) = (Server::start().await, Server::start().await);
        let settings = TaskclusterSettings {
            root_url: format!("http://{}", api.address).parse().unwrap(),
            projects: BTreeMap::new(),
            trigger: BTreeMap::new(),
            artifact_hosts: vec![storage.address.parse::<Host>().unwrap()],
        };
        let timing = Timing {
            question,
            attempt: Duration::from_secs(1),
            idle: Duration::from_millis(300),
            backoff: Backoff::new(Duration::from_millis(1), 2),
            trigger: Duration::from_millis(600),
        };
        Self { api, storage, client: Taskcluster::with_timing(settings, timing) }
    }

    /// The Queue answers about the artifact of the latest run.
    fn latest(&self, answers: impl IntoIterator<Item = Vec<u8>>) -> &Self {
        self.api.on(&latest(), answers);
        self
    }

    /// The Queue redirects to the host of the artifacts, which gives this answer.
    fn stored(&self, answer: Vec<u8>) -> &Self {
        self.latest([redirect(&format!("http://{}/a", self.storage.address), "s3")]);
        self.storage.on("/a", [answer]);
        self
    }

    fn status(&self, state: &str, runs: &[(&str, &str)]) -> &Self {
        let runs = runs.iter().enumerate();
        let runs = runs.map(|(run, (state, reason))| {
            let reason = if reason.is_empty() { String::new() } else { format!(r#", "reasonResolved": "{reason}""#) };
            format!(r#"{{"runId": {run}, "state": "{state}", "reasonCreated": "scheduled"{reason}}}"#)
        });
        let runs = runs.collect::<Vec<_>>().join(",");
        let body = format!(r#"{{"status": {{"taskId": "{TASK}", "state": "{state}", "runs": [{runs}]}}}}"#);
        self.api.on(&format!("/api/queue/v1/task/{TASK}/status"), [json(&body)]);
        self
    }

    async fn find(&self, path: &str) -> Result<Option<TaskId>, TaskclusterError> {
        self.client.find_task(path).await
    }

    /// The latest run's artifact, with its bytes.
    async fn artifact(&self) -> Result<Vec<u8>, ArtifactError> {
        read(self.client.artifact(&task(), None, NAME, LIMITS).await?).await
    }

    async fn of_any_run(&self) -> Result<Vec<u8>, ArtifactError> {
        read(self.client.artifact_of_any_run(&task(), NAME, LIMITS).await?).await
    }
}

async fn read(mut artifact: Artifact) -> Result<Vec<u8>, ArtifactError> {
    let reading = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        artifact.body.read_to_end(&mut bytes).map(|_| bytes).map_err(|error| ArtifactError::of_body(&error))
    });
    reading.await.unwrap()
}

fn task() -> TaskId {
    TASK.parse().unwrap()
}

fn latest() -> String {
    format!("/api/queue/v1/task/{TASK}/artifacts/public%2Frunnable-jobs.json")
}

fn of_run(run: u32) -> String {
    format!("/api/queue/v1/task/{TASK}/runs/{run}/artifacts/public%2Frunnable-jobs.json")
}

const INDEX_PATH: &str = "gecko.v2.try.latest.taskgraph.decision";
const FIND: &str = "/api/index/v1/task/gecko.v2.try.latest.taskgraph.decision";

fn unavailable(reason: &str, seconds: Option<u64>) -> ArtifactError {
    ArtifactError::Unavailable { retry_after: seconds.map(Duration::from_secs), reason: reason.to_owned() }
}

#[tokio::test]
async fn the_index_finds_a_task_or_does_not_know_one() {
    let setup = Setup::new().await;
    let found =
        format!(r#"{{"namespace": "{INDEX_PATH}", "taskId": "{TASK}", "rank": 0, "data": {{}}, "expires": "x"}}"#);
    setup.api.on(FIND, [json(&found), not_found("Indexed task not found")]);
    assert_eq!(setup.find(INDEX_PATH).await, Ok(Some(task())));
    assert_eq!(setup.find(INDEX_PATH).await, Ok(None));
    assert_eq!(setup.api.paths(), [FIND, FIND]);
}

#[tokio::test]
async fn an_index_path_that_is_malformed_is_not_asked_for() {
    let setup = Setup::new().await;
    for path in ["", "..", "gecko..try", "gecko/v2", "gecko v2", "a.%2e", &"a".repeat(256)] {
        assert!(matches!(setup.find(path).await, Err(TaskclusterError::Broken(_))), "{path}");
    }
    assert_eq!(setup.api.paths(), [""; 0]);
}

#[tokio::test]
async fn an_answer_that_is_not_taskclusters_is_an_error() {
    for (sent, expected) in [
        (json(r#"{"taskId": "undefined"}"#), "the Index names a task whose id is malformed"),
        (json(r#"{"taskId": 1}"#), "its answer is not what is expected, at line 1, column 12"),
        (json("{\"taskId\": "), "its answer is not what is expected, at line 1, column 11"),
        (json(&"[".repeat(100_000)), "its answer is not what is expected, at line 1, column 1"),
        (page("200 OK"), "a page in HTML stands in the place of the answer"),
        (page("404 Not Found"), "a page in HTML stands in the place of the answer"),
        // A route that does not exist.
        (answer("404 Not Found", "", r#"{"error": "Not found"}"#), "it answers 404 Not Found"),
        (answer("303 See Other", "location: /", ""), "it answers 303 See Other"),
        (
            error("403 Forbidden", "InsufficientScopes", "This request requires\\ncredentials"),
            "it answers 403 Forbidden: InsufficientScopes: This request requires credentials",
        ),
        (
            error("401 Unauthorized", "AuthenticationFailed", "Unauthorized: Bad mac"),
            "it answers 401 Unauthorized: AuthenticationFailed: Unauthorized: Bad mac",
        ),
        (
            error("400 Bad Request", "InvalidRequestArguments", "Invalid URL patterns"),
            "it answers 400 Bad Request: InvalidRequestArguments: Invalid URL patterns",
        ),
    ] {
        let setup = Setup::new().await;
        setup.api.on(FIND, [sent]);
        let error = setup.find(INDEX_PATH).await.unwrap_err();
        assert_eq!(error.to_string(), format!("Taskcluster: {expected}"));
        assert_eq!(setup.api.paths().len(), 1, "{expected}");
    }
}

#[tokio::test]
async fn an_answer_that_is_too_large_is_an_error() {
    let huge = vec![b' '; 10 * 1024 * 1024 + 1];
    for sent in [answer("200 OK", "", &huge), answer("200 OK", "", gzip(&huge))] {
        let setup = Setup::new().await;
        setup.api.on(FIND, [sent]);
        assert_eq!(setup.find(INDEX_PATH).await, Err(TaskclusterError::TooLarge(10 * 1024 * 1024)));
    }
}

#[tokio::test]
async fn a_task_is_read_with_its_routes_and_its_status() {
    let setup = Setup::new().await;
    let path = format!("/api/queue/v1/task/{TASK}");
    let definition = r#"{"taskGroupId": "x", "routes": ["tc-treeherder.v2.try.0123", "checks"],
        "metadata": {"name": "Gecko Decision Task", "owner": "x"}, "tags": {"kind": "decision-task"}, "extra": {}}"#;
    setup.api.on(&path, [answer("200 OK", "content-encoding: gzip", gzip(definition.as_bytes()))]);
    let definition = setup.client.task(&task()).await.unwrap().unwrap();
    assert_eq!(definition.pushes().collect::<Vec<_>>(), [("try", "0123")]);
    assert_eq!((&*definition.metadata.name, &*definition.tags["kind"]), ("Gecko Decision Task", "decision-task"));

    setup.status("hibernating", &[("exception", "claim-expired"), ("completed", "completed")]);
    let status = setup.client.status(&task()).await.unwrap().unwrap();
    assert_eq!(status.state, TaskState::Unknown);
    let run = |run_id, state, reason: &str| TaskRun {
        run_id,
        state,
        reason_resolved: Some(reason.to_owned()),
        scheduled: None,
        started: None,
        resolved: None,
    };
    let runs = [run(0, TaskState::Exception, "claim-expired"), run(1, TaskState::Completed, "completed")];
    assert_eq!(status.runs, runs);

    setup.api.on(&path, [not_found("Task not found")]).on(&format!("{path}/status"), [not_found("Task not found")]);
    assert_eq!(setup.client.task(&task()).await, Ok(None));
    assert_eq!(setup.client.status(&task()).await, Ok(None));
}

#[tokio::test]
async fn failures_that_pass_are_retried() {
    let found = json(&format!(r#"{{"taskId": "{TASK}"}}"#));
    let cut = answer("200 OK", "", "{}").split_last().unwrap().1.to_vec();
    for failure in [page("502 Bad Gateway"), page("503 Service Unavailable"), Vec::new(), cut] {
        let setup = Setup::new().await;
        setup.api.on(FIND, [failure.clone(), failure.clone(), found.clone()]);
        assert_eq!(setup.find(INDEX_PATH).await, Ok(Some(task())));
        assert_eq!(setup.api.paths().len(), 3);

        setup.api.on(FIND, [failure]);
        let error = setup.find(INDEX_PATH).await.unwrap_err();
        assert!(matches!(error, TaskclusterError::Unavailable { retry_after: None, .. }), "{error}");
        assert_eq!(setup.api.paths().len(), 6);
    }
}

#[tokio::test]
async fn a_server_that_asks_to_come_back_later_is_left_alone() {
    let date = "date: Wed, 25 Nov 2026 10:00:00 GMT\r\nretry-after: Wed, 25 Nov 2026 10:00:30 GMT";
    for (status, headers, seconds) in [
        ("429 Too Many Requests", "retry-after: 7", Some(7)),
        ("429 Too Many Requests", date, Some(30)),
        ("429 Too Many Requests", "", None),
        ("503 Service Unavailable", "retry-after: 7", Some(7)),
        ("503 Service Unavailable", date, Some(30)),
    ] {
        let setup = Setup::new().await;
        let sent = answer(status, headers, "<html>");
        let expected = unavailable(&format!("it answers {status}"), seconds);
        setup.api.on(FIND, [sent.clone()]);
        assert_eq!(setup.find(INDEX_PATH).await.map_err(ArtifactError::from), Err(expected.clone()));
        assert_eq!(setup.api.paths().len(), 1);

        setup.stored(sent);
        assert_eq!(setup.artifact().await, Err(expected));
        assert_eq!(setup.storage.paths().len(), 1);
    }
}

#[tokio::test]
async fn a_service_that_does_not_answer_ends_in_time() {
    // Three attempts until they bring nothing, or as many as there is time for.
    for (question, attempts) in [(5000, 3), (100, 1)] {
        let setup = Setup::within(Duration::from_millis(question)).await;
        setup.api.on(FIND, [half_a_head()]);
        let started = Instant::now();
        let error = setup.find(INDEX_PATH).await.unwrap_err();
        assert!(matches!(error, TaskclusterError::Unavailable { retry_after: None, .. }), "{error}");
        let least = Duration::from_millis(question.min(3 * 300));
        assert!((least..Duration::from_secs(4)).contains(&started.elapsed()), "{:?}", started.elapsed());
        assert_eq!(setup.api.paths().len(), attempts);
    }
}

#[tokio::test]
async fn an_artifact_comes_from_its_host_however_it_is_packed() {
    for storage_type in ["s3", "object", "link"] {
        for body in [GRAPH.to_vec(), gzip(GRAPH), gzip(&gzip(GRAPH))] {
            for headers in ["", "content-encoding: gzip", "content-encoding: gzip, gzip", "content-encoding: identity"]
            {
                let setup = Setup::new().await;
                setup.stored(answer("200 OK", headers, &body));
                setup.latest([redirect(&format!("http://{}/a", setup.storage.address), storage_type)]);
                assert_eq!(setup.artifact().await.as_deref(), Ok(GRAPH));
                assert_eq!((setup.api.paths(), setup.storage.paths()), (vec![latest()], vec!["/a".to_owned()]));
            }
        }
    }
}

#[tokio::test]
async fn an_artifact_of_one_run_is_asked_for_by_its_number() {
    let setup = Setup::new().await;
    setup.stored(answer("200 OK", "", GRAPH));
    setup.api.on(&of_run(3), [redirect(&format!("http://{}/a", setup.storage.address), "s3")]);
    let artifact = setup.client.artifact(&task(), Some(3), NAME, LIMITS).await.unwrap();
    assert_eq!(artifact.content_length, Some(GRAPH.len() as u64));
    assert_eq!(read(artifact).await.as_deref(), Ok(GRAPH));
    for name in ["", "/", "public/../x", "./a", "a//b", "a\nb", &"a".repeat(2000)] {
        let refused = setup.client.artifact(&task(), None, name, LIMITS).await.unwrap_err();
        assert!(matches!(refused, ArtifactError::Broken(_)), "{name}");
    }
    assert_eq!(setup.api.paths(), [of_run(3)]);
}

#[tokio::test]
async fn no_credentials_are_sent() {
    let setup = Setup::new().await;
    setup.stored(answer("200 OK", "", GRAPH));
    let to = format!("http://{}/a", setup.storage.address);
    let with_cookie =
        String::from_utf8(redirect(&to, "s3")).unwrap().replacen("connection", "set-cookie: a=b\r\nconnection", 1);
    setup.latest([with_cookie.into_bytes()]);
    for _ in 0..2 {
        setup.artifact().await.unwrap();
    }
    let requests =
        [setup.api.requests.lock().unwrap().clone(), setup.storage.requests.lock().unwrap().clone()].concat();
    assert_eq!(requests.len(), 4);
    for request in requests {
        let request = request.to_lowercase();
        for header in ["authorization", "cookie", "referer"] {
            assert!(!request.contains(header), "{request}");
        }
    }
}

#[tokio::test]
async fn a_redirect_to_what_is_not_configured_is_refused() {
    let other = Server::start().await;
    let port = other.address.split(':').nth(1).unwrap();
    for (to, refused) in [
        (format!("http://{}/a", other.address), fetch::Refusal::Host(other.address.clone())),
        (format!("http://localhost:{port}/"), fetch::Refusal::Host(format!("localhost:{port}"))),
        ("https://example.org/a".to_owned(), fetch::Refusal::Host("example.org".to_owned())),
        ("//169.254.169.254/latest/meta-data/".to_owned(), fetch::Refusal::Scheme),
        ("https://169.254.169.254/".to_owned(), fetch::Refusal::Host("169.254.169.254".to_owned())),
        ("http://example.org/a".to_owned(), fetch::Refusal::Scheme),
        ("file:///etc/passwd".to_owned(), fetch::Refusal::Scheme),
        (format!("http://a:b@{}/a", other.address), fetch::Refusal::UserInfo),
    ] {
        let setup = Setup::new().await;
        setup.latest([redirect(&to, "s3")]);
        assert_eq!(setup.artifact().await, Err(ArtifactError::Refused(Refusal::Address(refused))), "{to}");
        // Nor from the host of the artifacts.
        setup.stored(redirect(&to, "s3"));
        assert!(matches!(setup.artifact().await, Err(ArtifactError::Refused(Refusal::Address(_)))), "{to}");
    }
    assert_eq!(other.paths(), [""; 0]);
}

#[tokio::test]
async fn a_configured_host_that_is_not_public_is_refused() {
    // The root URL has https: then loopback is as any address that is not public.
    let storage = Server::start().await;
    for root in ["https://127.0.0.1", "https://localhost", "https://10.0.0.1", "https://[::ffff:169.254.169.254]"] {
        let settings = TaskclusterSettings {
            root_url: format!("{root}:{}", storage.address.split(':').nth(1).unwrap()).parse().unwrap(),
            projects: BTreeMap::new(),
            trigger: BTreeMap::new(),
            artifact_hosts: Vec::new(),
        };
        let refused = Taskcluster::new(settings).find_task(INDEX_PATH).await.unwrap_err();
        let TaskclusterError::Refused(Refusal::Address(refused)) = refused else { panic!("{root}: {refused}") };
        assert!(matches!(refused, fetch::Refusal::Address { .. }), "{root}: {refused}");
    }
    assert_eq!(storage.paths(), [""; 0]);
}

#[tokio::test]
async fn five_redirects_are_followed_and_a_loop_ends() {
    let setup = Setup::new().await;
    setup.latest([redirect(&format!("http://{}/1", setup.storage.address), "s3")]);
    for at in 1..5 {
        setup.storage.on(&format!("/{at}"), [answer("307 x", &format!("location: {}", at + 1), "")]);
    }
    setup.storage.on("/5", [answer("200 OK", "", GRAPH)]);
    assert_eq!(setup.artifact().await.as_deref(), Ok(GRAPH));

    setup.storage.on("/5", [answer("302 x", "location: /1", "")]);
    assert_eq!(setup.artifact().await, Err(ArtifactError::Refused(Refusal::Redirects(5))));
    assert_eq!(setup.storage.paths().len(), 10);

    for headers in ["", "location: http://[", "x: y"] {
        setup.latest([answer("303 See Other", headers, "")]);
        let expected = ArtifactError::Broken("a redirect does not say where it leads".to_owned());
        assert_eq!(setup.artifact().await, Err(expected));
    }
}

#[tokio::test]
async fn an_artifact_whose_task_chose_the_address_is_refused() {
    let setup = Setup::new().await;
    let to = format!("http://{}/a", setup.storage.address);
    for storage_type in ["reference", "Reference", "error", "azure"] {
        setup.latest([redirect(&to, storage_type)]);
        let refused = setup.artifact().await.unwrap_err();
        assert!(matches!(&refused, ArtifactError::Refused(Refusal::StorageType(_))), "{refused}");
    }
    let twice = "x-taskcluster-artifact-storage-type: s3\r\nx-taskcluster-artifact-storage-type: reference";
    setup.latest([answer("303 See Other", &format!("location: {to}\r\n{twice}"), "")]);
    let expected = r#"the artifact is refused: an artifact with the storage type "reference" is not fetched"#;
    assert_eq!(setup.artifact().await.unwrap_err().to_string(), expected);
    assert_eq!(setup.storage.paths(), [""; 0]);
}

#[tokio::test]
async fn the_queue_says_why_there_is_no_artifact() {
    let setup = Setup::new().await;
    let uploaded = r#"{"reason": "file-missing-on-worker", "message": "Could not read \"a\"\n\u0007x"}"#;
    let headers = "x-taskcluster-artifact-storage-type: error";
    for (sent, expected) in [
        (not_found("Artifact not found"), ArtifactError::Missing("Artifact not found".to_owned())),
        (
            error("410 Gone", "ResourceExpired", "Artifact has expired"),
            ArtifactError::Expired("Artifact has expired".to_owned()),
        ),
        (
            answer("424 Failed Dependency", headers, uploaded),
            ArtifactError::Failed { reason: "file-missing-on-worker: Could not read \"a\" x".to_owned() },
        ),
        (
            error("400 Bad Request", "InputError", "Link cycle"),
            ArtifactError::Broken("it answers 400 Bad Request: InputError: Link cycle".to_owned()),
        ),
        (
            error("403 Forbidden", "InsufficientScopes", "x"),
            ArtifactError::Broken("it answers 403 Forbidden: InsufficientScopes: x".to_owned()),
        ),
        (
            json(r#"{"storageType": "s3"}"#),
            ArtifactError::Broken("the Queue does not say where the artifact is".to_owned()),
        ),
        (page("404 Not Found"), unavailable("a page in HTML stands in the place of the answer", None)),
        (page("502 Bad Gateway"), unavailable("it answers 502 Bad Gateway", None)),
        (answer("404 Not Found", "", "[]"), ArtifactError::Broken("it answers 404 Not Found".to_owned())),
    ] {
        setup.latest([sent]);
        assert_eq!(setup.artifact().await, Err(expected));
    }
}

#[tokio::test]
async fn the_host_of_the_artifacts_says_why_there_is_none() {
    let setup = Setup::new().await;
    for (status, expected) in [
        ("404 Not Found", ArtifactError::Missing("the host of the artifact answers 404 Not Found".to_owned())),
        ("403 Forbidden", ArtifactError::Missing("the host of the artifact answers 403 Forbidden".to_owned())),
        ("410 Gone", ArtifactError::Expired("its host answers 410 Gone".to_owned())),
        ("400 Bad Request", ArtifactError::Broken("the host of the artifact answers 400 Bad Request".to_owned())),
        (
            "206 Partial Content",
            ArtifactError::Broken("the host of the artifact answers 206 Partial Content".to_owned()),
        ),
        ("500 Internal Server Error", unavailable("it answers 500 Internal Server Error", None)),
        ("200 OK", unavailable("a page in HTML stands in the place of the answer", None)),
    ] {
        setup.stored(page(status));
        assert_eq!(setup.artifact().await, Err(expected));
    }
    setup.stored(answer("200 OK", "content-encoding: br", "x"));
    assert_eq!(setup.artifact().await, Err(ArtifactError::Broken("the artifact is encoded as \"br\"".to_owned())));
}

#[tokio::test]
async fn an_artifact_is_bounded_as_it_is_sent_and_unpacked() {
    let setup = Setup::new().await;
    let bomb = gzip(&vec![b' '; 1_000_000]);
    assert!(bomb.len() < 2000);
    let chunked = b"HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    let chunked = [chunked, b"800\r\n".to_vec(), vec![b' '; 0x800], b"\r\n0\r\n\r\n".to_vec()].concat();
    for sent in [
        answer("200 OK", "", vec![b' '; 1001]),
        answer("200 OK", "", vec![b' '; 100_000]),
        answer("200 OK", "", gzip(&vec![b' '; 1001])),
        answer("200 OK", "", bomb.clone()),
        answer("200 OK", "content-encoding: gzip", gzip(&bomb)),
        chunked,
    ] {
        setup.stored(sent);
        assert_eq!(setup.artifact().await, Err(ArtifactError::TooLarge(1000)));
    }
    setup.stored(answer("200 OK", "", vec![b' '; 1000]));
    assert_eq!(setup.artifact().await.map(|bytes| bytes.len()), Ok(1000));
}

#[tokio::test]
async fn an_artifact_that_breaks_off_is_an_error() {
    let setup = Setup::new().await;
    let whole = answer("200 OK", "", GRAPH);
    setup.stored(whole[..whole.len() - 1].to_vec());
    assert!(matches!(setup.artifact().await, Err(ArtifactError::Unavailable { .. })));
    // The server waits in the middle.
    let long = answer("200 OK", "", [&[b' '; 100], CUT, &[b' '; 100]].concat());
    setup.stored(long[..long.len() - 100].to_vec());
    let started = Instant::now();
    assert!(matches!(setup.artifact().await, Err(ArtifactError::Unavailable { .. })));
    assert!(started.elapsed() < Duration::from_secs(2));
    // Not the connection breaks off, but the gzip in it.
    let packed = gzip(GRAPH);
    setup.stored(answer("200 OK", "", &packed[..packed.len() - 4]));
    assert!(matches!(setup.artifact().await, Err(ArtifactError::Broken(_))));
    setup.stored(answer("200 OK", "", gzip(&gzip(&packed))));
    assert!(matches!(setup.artifact().await, Err(ArtifactError::Broken(_))));
}

#[tokio::test]
async fn all_steps_to_an_artifact_together_are_bounded_in_time() {
    let setup = Setup::new().await;
    setup.stored(half_a_head());
    let limits = ArtifactLimits { timeout: Duration::from_millis(100), ..LIMITS };
    let started = Instant::now();
    let late = setup.client.artifact(&task(), None, NAME, limits).await.unwrap_err();
    assert!(matches!(late, ArtifactError::Unavailable { .. }), "{late}");
    assert!((limits.timeout..Duration::from_millis(800)).contains(&started.elapsed()), "{:?}", started.elapsed());
}

#[tokio::test]
async fn the_latest_run_that_has_the_artifact_counts() {
    let setup = Setup::new().await;
    setup.stored(answer("200 OK", "", GRAPH));
    let found = setup.latest([redirect(&format!("http://{}/a", setup.storage.address), "s3")]);
    assert_eq!(found.of_any_run().await.as_deref(), Ok(GRAPH));
    assert_eq!(setup.api.paths(), [latest()]);

    let setup = Setup::new().await;
    setup.stored(answer("200 OK", "", GRAPH));
    let stored = redirect(&format!("http://{}/a", setup.storage.address), "s3");
    let ended = ("exception", "claim-expired");
    setup.latest([not_found("Artifact not found")]).status("running", &[ended, ended, ended, ("running", "")]);
    setup.api.on(&of_run(2), [not_found("Artifact not found")]).on(&of_run(1), [stored]);
    assert_eq!(setup.of_any_run().await.as_deref(), Ok(GRAPH));
    let status = format!("/api/queue/v1/task/{TASK}/status");
    assert_eq!(setup.api.paths(), [latest(), status, of_run(2), of_run(1)]);
}

#[tokio::test]
async fn a_run_that_ends_after_it_was_asked_for_is_asked_for_again() {
    let setup = Setup::new().await;
    setup.stored(answer("200 OK", "", GRAPH));
    let stored = redirect(&format!("http://{}/a", setup.storage.address), "s3");
    setup.latest([not_found("Artifact not found")]).status("completed", &[("completed", "completed")]);
    setup.api.on(&of_run(0), [stored]);
    assert_eq!(setup.of_any_run().await.as_deref(), Ok(GRAPH));
}

#[tokio::test]
async fn without_the_artifact_the_state_of_the_task_is_the_reason() {
    for (state, runs, expected) in [
        ("unscheduled", vec![], ArtifactError::NotYet(TaskState::Unscheduled)),
        ("pending", vec![("pending", "")], ArtifactError::NotYet(TaskState::Pending)),
        ("running", vec![("exception", "claim-expired"), ("running", "")], ArtifactError::NotYet(TaskState::Running)),
        (
            "completed",
            vec![("completed", "completed")],
            ArtifactError::Missing("the task ended as completed and no run of it has the artifact".to_owned()),
        ),
        (
            "exception",
            vec![("exception", "claim-expired"), ("exception", "deadline-exceeded")],
            ArtifactError::Missing(
                "the task ended as exception (deadline-exceeded) and no run of it has the artifact".to_owned(),
            ),
        ),
        (
            "hibernating",
            vec![],
            ArtifactError::Missing("the task is in an unknown state and no run of it has the artifact".to_owned()),
        ),
    ] {
        let setup = Setup::new().await;
        setup.latest([not_found("Artifact not found")]).status(state, &runs);
        for run in 0..2 {
            setup.api.on(&of_run(run), [not_found("Artifact not found")]);
        }
        assert_eq!(setup.of_any_run().await, Err(expected));
    }
    let setup = Setup::new().await;
    setup.latest([not_found("Task not found")]);
    setup.api.on(&format!("/api/queue/v1/task/{TASK}/status"), [not_found("Task not found")]);
    let expected = format!("the task {TASK} does not exist, or has expired");
    assert_eq!(setup.of_any_run().await, Err(ArtifactError::Missing(expected)));
}

#[tokio::test]
async fn an_expired_or_refused_artifact_of_any_run_is_reported() {
    let expired = error("410 Gone", "ResourceExpired", "Artifact has expired");
    let setup = Setup::new().await;
    setup.latest([expired.clone()]);
    assert_eq!(setup.of_any_run().await, Err(ArtifactError::Expired("Artifact has expired".to_owned())));
    assert_eq!(setup.api.paths(), [latest()]);

    setup.latest([not_found("Artifact not found")]).status("failed", &[("exception", "x"), ("failed", "failed")]);
    setup.api.on(&of_run(1), [not_found("Artifact not found")]).on(&of_run(0), [expired]);
    assert_eq!(setup.of_any_run().await, Err(ArtifactError::Expired("Artifact has expired".to_owned())));

    setup.api.on(&of_run(0), [redirect("https://example.org/", "reference")]);
    assert!(matches!(setup.of_any_run().await, Err(ArtifactError::Refused(_))));
    setup.api.on(&of_run(0), [answer("503 x", "retry-after: 9", "")]);
    assert!(matches!(setup.of_any_run().await, Err(ArtifactError::Unavailable { .. })));
}

#[tokio::test]
async fn at_most_ten_runs_are_looked_at() {
    let setup = Setup::new().await;
    setup.latest([not_found("Artifact not found")]).status("failed", &[("failed", "failed"); 50]);
    for run in 40..50 {
        setup.api.on(&of_run(run), [not_found("Artifact not found")]);
    }
    assert!(matches!(setup.of_any_run().await, Err(ArtifactError::Missing(_))));
    assert_eq!(setup.api.paths().len(), 12);
}
