//! What Treeherder's API tells of a push: who wrote it, its revision, and how its jobs are. Shapes:
//! `GET /api/project/PROJECT/push/ID/` and `GET /api/project/PROJECT/jobs/?push_id=ID`.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use http::{StatusCode, Uri};
use http_edge::Fetcher;
use serde::Deserialize;
use trigger::request::Push;
use trigger::runs::{Run, RunState, Runs};

/// Where Treeherder is.
pub const TREEHERDER: &str = "https://treeherder.mozilla.org";

/// How long an answer about a push may take. A person waits.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long all answers about its jobs may take together: they are large.
const PATIENCE_FOR_JOBS: Duration = Duration::from_secs(10);
/// The most of an answer that is read, in bytes: a push lists its revisions.
const MOST_BYTES: usize = 1024 * 1024;
/// The same for a page of jobs, of which each is some kilobytes.
const MOST_BYTES_OF_JOBS: usize = 16 * 1024 * 1024;
/// How many jobs are asked for at once: the most that Treeherder gives.
const PAGE: usize = 2000;
/// How many jobs are read of a push. The largest had some 20,000.
const MOST_JOBS: usize = 100_000;
/// How long it is left alone after it did not answer: each attempt makes somebody wait.
const LEFT_ALONE: TimeDelta = TimeDelta::seconds(5);
/// How many pushes are held. People trigger jobs on a few at a time.
const MOST_HELD: usize = 1000;

/// Tells the time.
type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// Treeherder's API.
pub struct Treeherder {
    url: String,
    holds: TimeDelta,
    clock: Clock,
    pushes: Fetcher,
    jobs: Fetcher,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    pushes: HashMap<(String, u64), (DateTime<Utc>, Arc<Push>)>,
    failed: Option<(DateTime<Utc>, String)>,
}

/// What Treeherder says of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// This is it.
    Push(Arc<Push>),
    /// There is none.
    Unknown,
    /// It does not answer, or not what it should; why is for the log.
    Silent(String),
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
    pub fn new(url: impl Into<String>, holds: TimeDelta, clock: Clock) -> Self {
        Self {
            url: url.into(),
            holds,
            clock,
            pushes: Fetcher::new(PATIENCE, MOST_BYTES),
            jobs: Fetcher::new(PATIENCE_FOR_JOBS, MOST_BYTES_OF_JOBS),
            state: Mutex::default(),
        }
    }

    /// What it says of a push. A project's name has nothing in it that would have to be encoded.
    pub async fn push(&self, project: &str, push_id: u64) -> Told {
        let place = (project.to_owned(), push_id);
        {
            let state = self.state();
            let now = (self.clock)();
            if let Some((_, push)) = state.pushes.get(&place).filter(|(at, _)| (now - *at).abs() < self.holds) {
                return Told::Push(push.clone());
            }
            if let Some(reason) = state.silent(now) {
                return Told::Silent(reason);
            }
        }
        let asked = self.ask(project, push_id).await;
        let now = (self.clock)();
        let mut state = self.state();
        match asked {
            Ok(Some(push)) => {
                let push = Arc::new(push);
                if state.pushes.len() >= MOST_HELD {
                    state.pushes.retain(|_, (at, _)| (now - *at).abs() < self.holds);
                }
                if state.pushes.len() >= MOST_HELD {
                    state.pushes.clear();
                }
                state.pushes.insert(place, (now, push.clone()));
                Told::Push(push)
            }
            // Not held: a push may come to be known at any moment.
            Ok(None) => Told::Unknown,
            Err(reason) => Told::Silent(state.fail(now, &reason)),
        }
    }

    /// The runs of those jobs of a push that are wanted, by their names; none of a push that it does not know.
    ///
    /// # Errors
    /// It does not answer, or not what it should; why is for the log.
    pub async fn runs(&self, project: &str, push_id: u64, wanted: &BTreeSet<String>) -> Result<Runs, String> {
        if let Some(reason) = self.state().silent((self.clock)()) {
            return Err(reason);
        }
        let asked = tokio::time::timeout(PATIENCE_FOR_JOBS, self.ask_for_runs(project, push_id, wanted)).await;
        let asked = asked.unwrap_or_else(|_| Err("its answers take too long".to_owned()));
        asked.map_err(|reason| self.state().fail((self.clock)(), &reason))
    }

    async fn ask_for_runs(&self, project: &str, push_id: u64, wanted: &BTreeSet<String>) -> Result<Runs, String> {
        let mut runs = Runs::default();
        for offset in (0..MOST_JOBS).step_by(PAGE) {
            let query = format!("push_id={push_id}&count={PAGE}&offset={offset}");
            let (status, body) = self.jobs.get(&format!("{}/api/project/{project}/jobs/?{query}", self.url)).await?;
            if status != StatusCode::OK {
                return Err(format!("it answers with {status}"));
            }
            let Page { results } =
                serde_json::from_slice(&body).map_err(|error| format!("its answer is no list of jobs: {error}"))?;
            let is_last = results.len() < PAGE;
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
        Err(format!("the push has more than {MOST_JOBS} jobs"))
    }

    async fn ask(&self, project: &str, push_id: u64) -> Result<Option<Push>, String> {
        let url = format!("{}/api/project/{project}/push/{push_id}/", self.url);
        let body = match self.pushes.get(&url).await? {
            (StatusCode::OK, body) => body,
            (StatusCode::NOT_FOUND, _) => return Ok(None),
            (other, _) => return Err(format!("it answers with {other}")),
        };
        let PushBody { revision, author } =
            serde_json::from_slice(&body).map_err(|error| format!("its answer is no push: {error}"))?;
        let is_revision = (1..=64).contains(&revision.len()) && revision.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_revision {
            return Err("its answer is no push: the revision is none".to_owned());
        }
        Ok(Some(Push { revision, author: author.parse().ok() }))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Why it is left alone, if it is.
    fn silent(&self, now: DateTime<Utc>) -> Option<String> {
        self.failed.as_ref().filter(|(at, _)| (now - *at).abs() < LEFT_ALONE).map(|(_, reason)| reason.clone())
    }

    /// Notes that it did not answer; why, in words for the log.
    fn fail(&mut self, now: DateTime<Utc>, reason: &str) -> String {
        let reason = format!("Treeherder: {reason}");
        self.failed = Some((now, reason.clone()));
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
    async fn what_is_no_list_of_jobs_is_told_and_then_it_is_left_alone() {
        for (status, body, said) in [
            (503, String::new(), "Treeherder: it answers with 503 Service Unavailable"),
            (200, "{}".to_owned(), "Treeherder: its answer is no list of jobs: missing field `results`"),
            (
                200,
                r#"{"results": [{"id": "1"}]}"#.to_owned(),
                "Treeherder: its answer is no list of jobs: invalid type",
            ),
        ] {
            let (treeherder, asked) = answering(vec![(status, body)]).await;
            let error = treeherder.runs("try", 7, &wanted()).await.unwrap_err();
            assert!(error.starts_with(said), "{error}");
            asked.await.unwrap();
            // Nobody is there to answer any more.
            assert_eq!(treeherder.runs("try", 7, &wanted()).await, Err(error.clone()));
            assert_eq!(treeherder.push("try", 7).await, Told::Silent(error));
        }
    }

    #[test]
    fn an_address_is_whole() {
        assert_eq!(address("https://treeherder.mozilla.org/").as_deref(), Ok(TREEHERDER));
        for wrong in ["", "treeherder", "ftp://treeherder.mozilla.org", "https://treeherder.mozilla.org/?a=b"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }
}
