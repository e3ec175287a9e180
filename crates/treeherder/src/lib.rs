//! What Treeherder's API tells of a push: who wrote it, its revision, and how its jobs are. Shapes:
//! `GET /api/project/PROJECT/push/ID/` and `GET /api/project/PROJECT/jobs/?push_id=ID`.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use http::{StatusCode, Uri};
use http_api::{FetchError, Fetcher};
use requests::planning::{Run, RunState, Runs};
use requests::push::Push;
use serde::Deserialize;

/// Where Treeherder is.
pub const DEFAULT_TREEHERDER_URL: &str = "https://treeherder.mozilla.org";

/// How long an answer about a push may take. A person waits.
const PUSH_TIMEOUT: Duration = Duration::from_secs(3);
/// How long all answers about its jobs may take together: they are large.
const JOBS_TIMEOUT: Duration = Duration::from_secs(10);
/// How long one of them may take: less, as who does not answer at all is known by the first.
const PAGE_TIMEOUT: Duration = Duration::from_secs(8);
/// The most of an answer that is read, in bytes: a push lists its revisions.
const MAX_PUSH_BYTES: usize = 1024 * 1024;
/// The same for a page of jobs, of which each is some kilobytes.
const MAX_PAGE_BYTES: usize = 16 * 1024 * 1024;
/// How many jobs are asked for at once: the most that Treeherder gives.
const PAGE_SIZE: usize = 2000;
/// How many jobs are read of a push. The largest had some 20,000.
const MAX_JOBS: usize = 100_000;
/// How long it is left alone after it did not answer, as each attempt keeps a person waiting; and how long a push is of
/// which its answer is of no use.
const FAILURE_COOLDOWN: TimeDelta = TimeDelta::seconds(5);
/// How many pushes are held. People trigger jobs on a few at a time.
const MAX_CACHED_PUSHES: usize = 1000;

/// Tells the time.
type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// Treeherder's API.
pub struct Treeherder {
    url: String,
    ttl: TimeDelta,
    clock: Clock,
    pushes: Fetcher,
    jobs: Fetcher,
    state: Mutex<LookupState>,
}

#[derive(Default)]
struct LookupState {
    pushes: HashMap<PushKey, (DateTime<Utc>, Arc<Push>)>,
    /// When it did not answer last, and why.
    unreachable: Option<(DateTime<Utc>, String)>,
    /// When its answer about a push was last of no use, and why.
    invalid: HashMap<(Resource, PushKey), (DateTime<Utc>, String)>,
}

/// A push: its project and its number.
type PushKey = (String, u64);

/// What is asked of a push.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Resource {
    Push,
    Jobs,
}

/// Why there is nothing to be had, in words for the log.
enum Failure {
    /// It answers no request: it cannot be reached, or the proxy before it says that it is down.
    Unreachable(String),
    /// It answers about this push too late, or with something of no use. About others it may answer.
    Invalid(String),
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Self {
        match error {
            FetchError::NoAnswer(reason) => Self::Unreachable(reason),
            FetchError::Broken(reason) => Self::Invalid(reason),
        }
    }
}

impl Failure {
    /// An answer with a status that none should have.
    fn of(status: StatusCode) -> Self {
        let reason = format!("it answers with {status}");
        match status {
            StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
                Self::Unreachable(reason)
            }
            _ => Self::Invalid(reason),
        }
    }
}

/// What Treeherder says of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushLookup {
    /// This is it.
    Found(Arc<Push>),
    /// There is none.
    Unknown,
    /// It does not answer, or not what it should of this push; why is for the log.
    Unavailable(String),
}

/// What is read of a push.
#[derive(Deserialize)]
struct PushBody {
    revision: String,
    #[serde(default)]
    author: String,
}

/// What is read of a page of jobs.
#[derive(Deserialize)]
struct Page<'b> {
    #[serde(borrow)]
    results: Vec<JobBody<'b>>,
}

#[derive(Deserialize)]
struct JobBody<'b> {
    id: u64,
    #[serde(borrow)]
    ref_data_name: Option<Cow<'b, str>>,
    #[serde(borrow)]
    state: Cow<'b, str>,
    #[serde(borrow)]
    result: Option<Cow<'b, str>>,
    /// The run of another push that stands for this one.
    #[serde(borrow)]
    job_coalesced_to_guid: Option<Cow<'b, str>>,
}

/// Reads the address of a Treeherder.
///
/// # Errors
/// What is expected instead.
pub fn address(value: &str) -> Result<String, &'static str> {
    let expected = "an address is expected, with http:// or https:// and without a query, for example \
                    https://treeherder.mozilla.org";
    let uri: Uri = value.parse().map_err(|_| expected)?;
    let is_whole = matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some() && uri.query().is_none();
    if is_whole { Ok(value.trim_end_matches('/').to_owned()) } else { Err(expected) }
}

impl Treeherder {
    /// Treeherder at `url`, without a slash at the end; what it told holds for so long.
    pub fn new(url: impl Into<String>, ttl: TimeDelta, clock: Clock) -> Self {
        Self {
            url: url.into(),
            ttl,
            clock,
            pushes: Fetcher::new(PUSH_TIMEOUT, MAX_PUSH_BYTES),
            jobs: Fetcher::new(PAGE_TIMEOUT, MAX_PAGE_BYTES),
            state: Mutex::default(),
        }
    }

    /// Whether what it said of a push is held, so that it need not be asked.
    pub fn has_cached(&self, project: &str, push_id: u64) -> bool {
        let key = (project.to_owned(), push_id);
        let now = (self.clock)();
        self.state().pushes.get(&key).is_some_and(|(at, _)| (now - *at).abs() < self.ttl)
    }

    /// What it says of a push. A project's name has nothing in it that would have to be encoded.
    pub async fn push(&self, project: &str, push_id: u64) -> PushLookup {
        let key = (project.to_owned(), push_id);
        {
            let state = self.state();
            let now = (self.clock)();
            if let Some((_, push)) = state.pushes.get(&key).filter(|(at, _)| (now - *at).abs() < self.ttl) {
                return PushLookup::Found(push.clone());
            }
            if let Some(reason) = state.failed(Resource::Push, &key, now) {
                return PushLookup::Unavailable(reason);
            }
        }
        let asked = self.fetch_push(project, push_id).await;
        let now = (self.clock)();
        let mut state = self.state();
        match asked {
            Ok(Some(push)) => {
                let push = Arc::new(push);
                if state.pushes.len() >= MAX_CACHED_PUSHES {
                    state.pushes.retain(|_, (at, _)| (now - *at).abs() < self.ttl);
                }
                if state.pushes.len() >= MAX_CACHED_PUSHES {
                    state.pushes.clear();
                }
                state.pushes.insert(key, (now, push.clone()));
                PushLookup::Found(push)
            }
            // Not held: a push may come to be known at any moment.
            Ok(None) => PushLookup::Unknown,
            Err(failure) => PushLookup::Unavailable(state.fail(Resource::Push, key, now, &failure)),
        }
    }

    /// The runs of those jobs of a push that are wanted, by their names; none of a push that it does not know.
    ///
    /// # Errors
    /// It does not answer, or not what it should; why is for the log.
    pub async fn runs(&self, project: &str, push_id: u64, wanted: &BTreeSet<String>) -> Result<Runs, String> {
        let key = (project.to_owned(), push_id);
        if let Some(reason) = self.state().failed(Resource::Jobs, &key, (self.clock)()) {
            return Err(reason);
        }
        let asked = tokio::time::timeout(JOBS_TIMEOUT, self.fetch_runs(project, push_id, wanted)).await;
        let asked = asked.unwrap_or_else(|_| Err(Failure::Invalid("its answers take too long".to_owned())));
        asked.map_err(|failure| self.state().fail(Resource::Jobs, key, (self.clock)(), &failure))
    }

    async fn fetch_runs(&self, project: &str, push_id: u64, wanted: &BTreeSet<String>) -> Result<Runs, Failure> {
        let mut runs = Runs::default();
        for offset in (0..MAX_JOBS).step_by(PAGE_SIZE) {
            let query = format!("push_id={push_id}&count={PAGE_SIZE}&offset={offset}");
            let (status, body) = self.jobs.get(&format!("{}/api/project/{project}/jobs/?{query}", self.url)).await?;
            if status != StatusCode::OK {
                return Err(Failure::of(status));
            }
            let Page { results } = serde_json::from_slice(&body)
                .map_err(|error| Failure::Invalid(format!("its answer is no list of jobs: {error}")))?;
            let is_last = results.len() < PAGE_SIZE;
            for job in results {
                let Some(name) = job.ref_data_name.filter(|name| wanted.contains(&**name)) else { continue };
                let is_coalesced = job.job_coalesced_to_guid.is_some_and(|guid| !guid.is_empty());
                let state = RunState::of(&job.state, job.result.as_deref().unwrap_or_default());
                let Some(state) = state.filter(|_| !is_coalesced) else { continue };
                runs.add(name.into_owned(), Run { id: job.id, state });
            }
            if is_last {
                return Ok(runs);
            }
        }
        Err(Failure::Invalid(format!("the push has more than {MAX_JOBS} jobs")))
    }

    async fn fetch_push(&self, project: &str, push_id: u64) -> Result<Option<Push>, Failure> {
        let url = format!("{}/api/project/{project}/push/{push_id}/", self.url);
        let body = match self.pushes.get(&url).await? {
            (StatusCode::OK, body) => body,
            (StatusCode::NOT_FOUND, _) => return Ok(None),
            (other, _) => return Err(Failure::of(other)),
        };
        let PushBody { revision, author } = serde_json::from_slice(&body)
            .map_err(|error| Failure::Invalid(format!("its answer is no push: {error}")))?;
        let is_revision = (1..=64).contains(&revision.len()) && revision.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_revision {
            return Err(Failure::Invalid("its answer is no push: the revision is none".to_owned()));
        }
        Ok(Some(Push { revision, author: author.parse().ok() }))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, LookupState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LookupState {
    /// Why it is not asked about this push, if it is not.
    fn failed(&self, resource: Resource, key: &PushKey, now: DateTime<Utc>) -> Option<String> {
        let invalid = || self.invalid.get(&(resource, key.clone()));
        let recent = |failure: &&(DateTime<Utc>, String)| (now - failure.0).abs() < FAILURE_COOLDOWN;
        let unreachable = self.unreachable.as_ref().filter(recent);
        unreachable.or_else(|| invalid().filter(recent)).map(|(_, reason)| reason.clone())
    }

    /// Notes a failure; why, in words for the log.
    fn fail(&mut self, resource: Resource, key: PushKey, now: DateTime<Utc>, failure: &Failure) -> String {
        let (Failure::Unreachable(reason) | Failure::Invalid(reason)) = failure;
        let reason = format!("Treeherder: {reason}");
        let noted = (now, reason.clone());
        match failure {
            Failure::Unreachable(_) => self.unreachable = Some(noted),
            Failure::Invalid(_) => {
                self.invalid.retain(|_, (at, _)| (now - *at).abs() < FAILURE_COOLDOWN);
                if self.invalid.len() < MAX_CACHED_PUSHES {
                    self.invalid.insert((resource, key), noted);
                }
            }
        }
        reason
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// A Treeherder that gives these answers, each over a connection of its own; and what it was asked.
    async fn answering(answers: Vec<(u16, String)>) -> (Treeherder, tokio::task::JoinHandle<Vec<String>>) {
        let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", service.local_addr().unwrap());
        let asked = tokio::spawn(async move {
            let mut asked = Vec::new();
            for (status, body) in answers {
                let (mut connection, _) = service.accept().await.unwrap();
                let mut request = [0; 2048];
                let length = connection.read(&mut request).await.unwrap();
                let request = String::from_utf8_lossy(&request[..length]).into_owned();
                asked.push(request.lines().next().unwrap().to_owned());
                let head =
                    format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
                connection.write_all((head + &body).as_bytes()).await.unwrap();
            }
            asked
        });
        let now: DateTime<Utc> = "2026-11-23T06:00:00Z".parse().unwrap();
        (Treeherder::new(url, TimeDelta::seconds(60), Arc::new(move || now)), asked)
    }

    fn page(jobs: &[(u64, &str, &str, &str)]) -> String {
        let mut text = String::new();
        for (id, name, state, result) in jobs {
            let comma = if text.is_empty() { "" } else { "," };
            let _ = write!(
                text,
                r#"{comma}{{"id": {id}, "ref_data_name": "{name}", "build_system_type": "buildbot", "state": "{state}",
                    "result": "{result}", "submit_timestamp": 1}}"#
            );
        }
        format!(r#"{{"meta": {{"count": 2000, "offset": 0, "repository": "try"}}, "results": [{text}]}}"#)
    }

    fn wanted() -> BTreeSet<String> {
        ["a", "b \"q\""].map(str::to_owned).into()
    }

    #[tokio::test]
    async fn the_runs_of_the_wanted_jobs_are_told_from_all_pages() {
        let many: Vec<_> = (0..2000).map(|id| (id, "other", "running", "unknown")).collect();
        let rest = [
            (2001, "a", "pending", "unknown"),
            (2002, "a", "running", "unknown"),
            (2003, "a", "completed", "success"),
            (2004, "a", "completed", "busted"),
            (2005, "a", "completed", "retry"),
            (2006, "a", "unscheduled", "unknown"),
            (2009, "a", "completed", "testfailed"),
            (2010, "a", "completed", "usercancel"),
            (2007, r#"b \"q\""#, "running", "unknown"),
            (2008, "c", "running", "unknown"),
        ];
        let (treeherder, asked) = answering(vec![(200, page(&many)), (200, page(&rest))]).await;
        let mut expected = Runs::default();
        for (id, name, state) in [
            (2001, "a", RunState::Pending),
            (2002, "a", RunState::Running),
            (2003, "a", RunState::Built),
            (2004, "a", RunState::Ended("busted".to_owned())),
            (2006, "a", RunState::Pending),
            (2009, "a", RunState::Built),
            (2007, "b \"q\"", RunState::Running),
        ] {
            expected.add(name.to_owned(), Run { id, state });
        }
        assert_eq!(treeherder.runs("try", 7, &wanted()).await, Ok(expected));
        let path = |offset| format!("GET /api/project/try/jobs/?push_id=7&count=2000&offset={offset} HTTP/1.1");
        assert_eq!(asked.await.unwrap(), [path(0), path(2000)]);
    }

    const A_PUSH: &str = r#"{"revision": "0123abcd", "author": "author@example.org"}"#;

    #[tokio::test]
    async fn a_run_that_another_pushs_stands_for_does_not_count() {
        let job = |guid: &str| {
            format!(
                r#"{{"id": 1, "ref_data_name": "a", "state": "completed", "result": "success",
                    "job_coalesced_to_guid": {guid}}}"#
            )
        };
        for (guid, counts) in [("null", true), (r#""""#, true), (r#""abc/0""#, false)] {
            let (treeherder, _) = answering(vec![(200, format!(r#"{{"results": [{}]}}"#, job(guid)))]).await;
            let mut expected = Runs::default();
            if counts {
                expected.add("a".to_owned(), Run { id: 1, state: RunState::Built });
            }
            assert_eq!(treeherder.runs("try", 7, &wanted()).await, Ok(expected), "{guid}");
        }
    }

    #[tokio::test]
    async fn who_does_not_answer_is_left_alone_for_all_pushes() {
        for status in [502, 503, 504] {
            let (treeherder, asked) = answering(vec![(status, String::new())]).await;
            let error = treeherder.runs("try", 7, &wanted()).await.unwrap_err();
            assert!(error.starts_with(&format!("Treeherder: it answers with {status}")), "{error}");
            asked.await.unwrap();
            // It would be seen if it was asked: the connection is refused now, which has another reason.
            assert_eq!(treeherder.runs("try", 8, &wanted()).await, Err(error.clone()));
            assert_eq!(treeherder.push("autoland", 7).await, PushLookup::Unavailable(error));
        }
        let (treeherder, asked) = answering(vec![]).await;
        asked.await.unwrap();
        let PushLookup::Unavailable(refused) = treeherder.push("try", 7).await else {
            panic!("there is none to answer")
        };
        assert_eq!(treeherder.push("try", 8).await, PushLookup::Unavailable(refused.clone()));
        assert_eq!(treeherder.runs("try", 9, &wanted()).await, Err(refused));
    }

    #[tokio::test]
    async fn a_useless_answer_about_a_push_is_that_pushs_alone_and_not_asked_for_again_at_once() {
        let long = " ".repeat(MAX_PUSH_BYTES + 1);
        for (status, body, said) in [
            (500, "", "Treeherder: it answers with 500"),
            (429, "", "Treeherder: it answers with 429"),
            (302, "", "Treeherder: it answers with 302"),
            (200, "{}", "Treeherder: its answer is no push: missing field `revision`"),
            (200, r#"{"revision": "../x"}"#, "Treeherder: its answer is no push: the revision is none"),
            (200, long.as_str(), "Treeherder: the answer has more than 1048576 bytes"),
        ] {
            let good = (200, A_PUSH.to_owned());
            let list = (200, page(&[]));
            let (treeherder, asked) = answering(vec![(status, body.to_owned()), good.clone(), list, good]).await;
            let PushLookup::Unavailable(error) = treeherder.push("try", 7).await else { panic!("{said}") };
            assert!(error.starts_with(said), "{error}");
            assert_eq!(treeherder.push("try", 7).await, PushLookup::Unavailable(error));
            assert!(matches!(treeherder.push("try", 8).await, PushLookup::Found(_)), "{said}");
            assert_eq!(treeherder.runs("try", 7, &wanted()).await, Ok(Runs::default()), "{said}");
            assert!(matches!(treeherder.push("autoland", 7).await, PushLookup::Found(_)), "{said}");
            assert_eq!(asked.await.unwrap().len(), 4);
        }
    }

    /// A push with very many jobs may take Treeherder longer than we wait.
    #[tokio::test]
    async fn an_answer_that_takes_too_long_is_that_pushs_alone() {
        let service = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", service.local_addr().unwrap());
        tokio::spawn(async move {
            let mut open = Vec::new();
            loop {
                let (mut connection, _) = service.accept().await.unwrap();
                let mut request = [0; 2048];
                let length = connection.read(&mut request).await.unwrap();
                // About push 7 it says nothing.
                if !String::from_utf8_lossy(&request[..length]).contains("/push/7/") {
                    let length = A_PUSH.len();
                    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{A_PUSH}");
                    connection.write_all(answer.as_bytes()).await.unwrap();
                }
                open.push(connection);
            }
        });
        let now: DateTime<Utc> = "2026-11-23T06:00:00Z".parse().unwrap();
        let mut treeherder = Treeherder::new(url, TimeDelta::seconds(60), Arc::new(move || now));
        treeherder.pushes = Fetcher::new(Duration::from_millis(300), MAX_PUSH_BYTES);
        let late = PushLookup::Unavailable("Treeherder: operation timed out".to_owned());
        assert_eq!(treeherder.push("try", 7).await, late);
        assert!(matches!(treeherder.push("try", 8).await, PushLookup::Found(_)));
        assert_eq!(treeherder.push("try", 7).await, late);
    }

    #[tokio::test]
    async fn a_useless_list_of_jobs_is_that_pushs_alone() {
        for (status, body, said) in [
            (404, "", "Treeherder: it answers with 404 Not Found"),
            (200, "{}", "Treeherder: its answer is no list of jobs: missing field `results`"),
            (200, r#"{"results": [{"id": "1"}]}"#, "Treeherder: its answer is no list of jobs: invalid type"),
        ] {
            let answers = vec![(status, body.to_owned()), (200, page(&[])), (200, A_PUSH.to_owned())];
            let (treeherder, asked) = answering(answers).await;
            let error = treeherder.runs("try", 7, &wanted()).await.unwrap_err();
            assert!(error.starts_with(said), "{error}");
            assert_eq!(treeherder.runs("try", 7, &wanted()).await, Err(error));
            assert_eq!(treeherder.runs("try", 8, &wanted()).await, Ok(Runs::default()));
            assert!(matches!(treeherder.push("try", 7).await, PushLookup::Found(_)));
            asked.await.unwrap();
        }
    }

    #[test]
    fn an_address_is_whole() {
        assert_eq!(address("https://treeherder.mozilla.org/").as_deref(), Ok(DEFAULT_TREEHERDER_URL));
        for wrong in ["", "treeherder", "ftp://treeherder.mozilla.org", "https://treeherder.mozilla.org/?a=b"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }
}
