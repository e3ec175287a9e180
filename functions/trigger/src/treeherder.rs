//! What Treeherder knows of a push: who wrote it, and its revision.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use http::StatusCode;
use http_edge::Fetcher;
use serde::Deserialize;
use store::kept::Clock;
use trigger::request::Push;

/// How long an answer may take. A person waits.
const PATIENCE: Duration = Duration::from_secs(3);
/// The most of an answer that is read, in bytes: a push lists its revisions.
const MOST_BYTES: usize = 1024 * 1024;
/// How long it is left alone after it did not answer: each attempt makes somebody wait.
const LEFT_ALONE: TimeDelta = TimeDelta::seconds(5);
/// How many pushes are held. People trigger jobs on a few at a time.
const MOST_HELD: usize = 1000;

/// Treeherder's API.
pub struct Treeherder {
    url: String,
    holds: TimeDelta,
    clock: Clock,
    fetcher: Fetcher,
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

impl Treeherder {
    /// Treeherder at `url`, without a slash at the end; what it told holds for so long.
    pub fn new(url: impl Into<String>, holds: TimeDelta, clock: Clock) -> Self {
        Self { url: url.into(), holds, clock, fetcher: Fetcher::new(PATIENCE, MOST_BYTES), state: Mutex::default() }
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
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
            if let Some((_, reason)) = state.failed.as_ref().filter(|(at, _)| (now - *at).abs() < LEFT_ALONE) {
                return Told::Silent(reason.clone());
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
            Err(reason) => {
                let reason = format!("Treeherder: {reason}");
                state.failed = Some((now, reason.clone()));
                Told::Silent(reason)
            }
        }
    }

    async fn ask(&self, project: &str, push_id: u64) -> Result<Option<Push>, String> {
        let url = format!("{}/api/project/{project}/push/{push_id}/", self.url);
        let body = match self.fetcher.get(&url).await? {
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
