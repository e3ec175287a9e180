//! The hooks that run actions: their names, what they fired, and their call.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use catalog::taskcluster::TaskId;
use chrono::{DateTime, TimeDelta, Utc};
use fetch::PostError;
use futures_util::{StreamExt as _, stream};
use http::StatusCode;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use requests::refusal::ActionRefusal;
use serde::Deserialize;
use serde_json::Value;

use crate::actions::PreparedAction;
use crate::client::{JSON, MAX_ANSWER_BYTES, Taskcluster, retry_after, unpacked};
use crate::credentials::Credentials;
use crate::error::{ErrorBody, TaskclusterError, one_line, one_line_of};
use crate::hawk::{self, SignedRequest};

/// Maximum length of a hook's group and of its id, in bytes.
const MAX_PART: usize = 200;
/// Maximum number of fires that Taskcluster lists of a hook.
const MAX_FIRES: u32 = 1000;
/// The number of fires that are read first.
const FIRST_FIRES: u32 = 50;
/// Maximum number of tasks that are read in search of one, and how many are read at a time.
const MAX_READ: usize = 500;
const READ_AT_ONCE: usize = 8;
/// How long after its call was recorded a hook begins to fire: the call is made within 30 s, and arrives within 15 s more.
const CALL_TIME: TimeDelta = TimeDelta::minutes(2);
/// How much the clocks may differ.
const CLOCK_SKEW: TimeDelta = TimeDelta::minutes(1);
/// Maximum length of a message of Taskcluster that is kept, in characters. It may list scopes.
const MAX_MESSAGE: usize = 300;
/// How messages begin behind which a task may exist: the Queue may have made it although it did not answer.
const AMBIGUOUS: [&str; 2] = ["While calling createTask", "While firing hook"];

/// The name of a hook.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HookId {
    /// Its group, such as `project-gecko`.
    pub group: String,
    /// Its id in the group, such as `in-tree-action-1-generic/0123abcdef`.
    pub id: String,
}

/// The text is not the name of a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name of a hook is expected: GROUP/ID")]
pub struct BadHookId;

impl HookId {
    /// Whether a project of this level may call the hook: it runs actions of this level that need no special rights.
    pub fn is_allowed(&self, level: u8) -> bool {
        let is_group = self.group.strip_prefix("project-").is_some_and(|name| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        });
        let hash = self.id.strip_prefix(&format!("in-tree-action-{level}-generic/"));
        let is_hash = |hash: &str| {
            hash.len() == 10 && hash.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
        };
        is_group && hash.is_some_and(is_hash)
    }

    /// The scope that allows a task in the tree to name the hook.
    pub(crate) fn in_tree_scope(&self) -> String {
        format!("in-tree:hook-action:{self}")
    }
}

impl fmt::Display for HookId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.group, self.id)
    }
}

impl FromStr for HookId {
    type Err = BadHookId;

    /// Reads `GROUP/ID`. The id may have slashes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (group, id) = text.split_once('/').ok_or(BadHookId)?;
        let is_part = |part: &str| (1..=MAX_PART).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_graphic());
        if is_part(group) && is_part(id) {
            Ok(Self { group: group.to_owned(), id: id.to_owned() })
        } else {
            Err(BadHookId)
        }
    }
}

/// One time that a hook fired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fire {
    /// The task that it made, or that it tried to make: of a fire that failed it may not exist.
    pub task_id: TaskId,
    /// When it began to fire.
    pub fired_at: DateTime<Utc>,
    /// Why it failed. Its task may exist all the same. `None` of one that succeeded.
    pub error: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fires {
    last_fires: Vec<ListedFire>,
    #[serde(default)]
    continuation_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListedFire {
    task_id: String,
    task_create_time: DateTime<Utc>,
    #[serde(default)]
    result: String,
    #[serde(default)]
    error: Value,
}

/// Why the call of a hook gave no task.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TriggerError {
    /// Certain: no task exists, and the same call would be refused again.
    #[error("{}", .0.sentence())]
    Refused(ActionRefusal),
    /// Certain: no task exists. The request was not sent, or Taskcluster asks to come back later.
    #[error("the hook was not called: {reason}")]
    Unsent {
        /// What happened.
        reason: String,
        /// How long to wait, if Taskcluster says so.
        retry_after: Option<Duration>,
    },
    /// A task may exist.
    #[error("it is not known whether the hook made a task: {reason}")]
    Unanswered {
        /// What happened.
        reason: String,
    },
}

impl Taskcluster {
    /// What a hook fired last, newest first, at most `limit` (1,000). Empty if it never fired or does not exist.
    ///
    /// # Errors
    /// There is no usable answer.
    pub async fn last_fires(&self, hook: &HookId, limit: u32) -> Result<Vec<Fire>, TaskclusterError> {
        let limit = limit.min(MAX_FIRES);
        let address = self.url("hooks", &["hooks", &hook.group, &hook.id, "last-fires"])?;
        let (mut fires, mut read, mut token) = (Vec::new(), 0, None::<String>);
        while read < limit {
            let mut url = address.clone();
            url.query_pairs_mut().append_pair("limit", &(limit - read).to_string());
            if let Some(token) = &token {
                url.query_pairs_mut().append_pair("continuationToken", token);
            }
            let Some(page) = self.question::<Fires>(&url, None).await? else { break };
            read += u32::try_from(page.last_fires.len()).unwrap_or(MAX_FIRES);
            let is_empty = page.last_fires.is_empty();
            // A row without a task id is of no use.
            fires.extend(page.last_fires.into_iter().filter_map(|fire| {
                let error = (fire.result != "success").then(|| match &fire.error {
                    Value::String(error) => one_line(error),
                    error => one_line(&error.to_string()),
                });
                Some(Fire { task_id: fire.task_id.parse().ok()?, fired_at: fire.task_create_time, error })
            }));
            token = page.continuation_token;
            if is_empty || token.is_none() {
                break;
            }
        }
        fires.truncate(limit as usize);
        Ok(fires)
    }

    /// The task of an action whose input has this marker, among what its hook fired at the time of its call: a fire is
    /// dated when it begins, however late its task appears. Fires that failed are among them: a task may exist all the
    /// same. `None` if there is certainly none yet.
    ///
    /// # Errors
    /// There is no usable answer, or the hook fired too often to look at all its tasks.
    pub async fn find_action(
        &self,
        hook: &HookId,
        marker: &str,
        called_at: DateTime<Utc>,
    ) -> Result<Option<TaskId>, TaskclusterError> {
        let (since, until) = (called_at - CLOCK_SKEW, called_at + CALL_TIME + CLOCK_SKEW);
        let all_are_newer = |fires: &[Fire]| fires.iter().all(|fire| fire.fired_at >= since);
        let mut fires = self.last_fires(hook, FIRST_FIRES).await?;
        if fires.len() >= FIRST_FIRES as usize && all_are_newer(&fires) {
            fires = self.last_fires(hook, MAX_FIRES).await?;
            if fires.len() >= MAX_FIRES as usize && all_are_newer(&fires) {
                return Err(fired_too_often(fires.len()));
            }
        }
        fires.retain(|fire| (since..=until).contains(&fire.fired_at));
        // That of the call is dated soon after it.
        fires.sort_by_key(|fire| (fire.fired_at - called_at).abs());
        let read = fires.iter().take(MAX_READ).map(async |fire| (fire, self.task(&fire.task_id).await));
        let mut read = stream::iter(read).buffered(READ_AT_ONCE);
        while let Some((fire, task)) = read.next().await {
            // The task of a fire that failed may not exist.
            if task?.is_some_and(|task| task.marker.as_deref() == Some(marker)) {
                return Ok(Some(fire.task_id.clone()));
            }
        }
        if fires.len() > MAX_READ { Err(fired_too_often(fires.len())) } else { Ok(None) }
    }

    /// Calls the hook of an action, once: a call is not repeated, as each makes a task. The credentials are sent to
    /// Taskcluster's root URL alone, limited to this hook.
    ///
    /// # Errors
    /// There is no task, or none is known.
    pub async fn trigger_hook(
        &self,
        action: &PreparedAction,
        credentials: &Credentials,
        now: DateTime<Utc>,
    ) -> Result<TaskId, TriggerError> {
        let unsent = |reason: &str| TriggerError::Unsent { reason: reason.to_owned(), retry_after: None };
        let PreparedAction { hook, payload, .. } = action;
        let url = self.url("hooks", &["hooks", &hook.group, &hook.id, "trigger"]);
        let url = url.map_err(|error| unsent(&error.to_string()))?;
        let body = payload.to_string().into_bytes();
        let nonce = hawk::nonce().ok_or_else(|| unsent("the system gives no random numbers"))?;
        let request = SignedRequest { method: "POST", url: &url, payload: (JSON, &body) };
        let scopes = [format!("hooks:trigger-hook:{hook}")];
        let authorization = request.authorization(credentials, &scopes, now.timestamp(), &nonce);
        let authorization = HeaderValue::try_from(authorization);
        let mut authorization = authorization.map_err(|_| unsent("the credentials cannot be sent in a header"))?;
        authorization.set_sensitive(true);
        let json = HeaderValue::from_static(JSON);
        let headers = HeaderMap::from_iter([(CONTENT_TYPE, json), (AUTHORIZATION, authorization)]);
        self.count_request();
        let answer =
            self.fetcher.post(&url, headers, body, self.timing.trigger).await.map_err(|error| match error {
                PostError::Unsent(_) | PostError::TooLong(_) => unsent(&error.to_string()),
                PostError::Unanswered(_) => TriggerError::Unanswered { reason: error.to_string() },
            })?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        if status == StatusCode::TOO_MANY_REQUESTS {
            let reason = format!("it answers {status}");
            return Err(TriggerError::Unsent { reason, retry_after: retry_after(&headers) });
        }
        let body = answer.bytes(MAX_ANSWER_BYTES).await.map_err(TaskclusterError::from).and_then(unpacked);
        let body = body.map_err(|error| TriggerError::Unanswered { reason: error.to_string() })?;
        let task = task_of(hook, status, &body);
        // Taskcluster does not repeat the token. This holds whatever it answers.
        task.map_err(|error| without_secret(error, &credentials.access_token))
    }
}

fn fired_too_often(fires: usize) -> TaskclusterError {
    TaskclusterError::Unavailable {
        retry_after: None,
        reason: format!("the hook fired {fires} times, too often to look for a task among them"),
    }
}

/// The task that a hook made, by its answer.
fn task_of(hook: &HookId, status: StatusCode, body: &[u8]) -> Result<TaskId, TriggerError> {
    if status == StatusCode::OK {
        let answer: Value = serde_json::from_slice(body).unwrap_or_default();
        // The template of a hook may decline to make a task.
        if answer.as_object().is_some_and(serde_json::Map::is_empty) {
            return Err(TriggerError::Refused(ActionRefusal::Declined));
        }
        let id = answer.get("taskId").and_then(Value::as_str).and_then(|id| id.parse().ok());
        let reason = "its answer does not name a task".to_owned();
        return id.ok_or(TriggerError::Unanswered { reason });
    }
    let error = ErrorBody::read(body);
    let message = one_line_of(&error.message, MAX_MESSAGE);
    // Without its code, an answer is not from Taskcluster.
    let refusal = match (status, error.code.as_str()) {
        (StatusCode::UNAUTHORIZED, "AuthenticationFailed") => ActionRefusal::BadCredentials { message },
        (StatusCode::FORBIDDEN, "InsufficientScopes") => ActionRefusal::MissingScopes { message },
        (StatusCode::NOT_FOUND, "ResourceNotFound") => ActionRefusal::HookMissing { hook: hook.to_string() },
        (
            StatusCode::BAD_REQUEST,
            "InputError" | "InputValidationError" | "MalformedPayload" | "InvalidRequestArguments",
        ) if !AMBIGUOUS.iter().any(|beginning| error.message.contains(beginning)) => {
            ActionRefusal::InputRefused { message }
        }
        (StatusCode::PAYLOAD_TOO_LARGE, "InputTooLarge") => ActionRefusal::InputRefused { message },
        _ => {
            let parts = [format!("it answers {status}"), one_line(&error.code), message];
            let said: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            return Err(TriggerError::Unanswered { reason: said.join(": ") });
        }
    };
    Err(TriggerError::Refused(refusal))
}

/// The error without a secret, wherever a message repeats it.
fn without_secret(error: TriggerError, secret: &str) -> TriggerError {
    let hide = |text: String| text.replace(secret, "***");
    match error {
        TriggerError::Refused(ActionRefusal::BadCredentials { message }) => {
            TriggerError::Refused(ActionRefusal::BadCredentials { message: hide(message) })
        }
        TriggerError::Refused(ActionRefusal::MissingScopes { message }) => {
            TriggerError::Refused(ActionRefusal::MissingScopes { message: hide(message) })
        }
        TriggerError::Refused(ActionRefusal::InputRefused { message }) => {
            TriggerError::Refused(ActionRefusal::InputRefused { message: hide(message) })
        }
        TriggerError::Refused(refusal) => TriggerError::Refused(refusal),
        TriggerError::Unanswered { reason } => TriggerError::Unanswered { reason: hide(reason) },
        TriggerError::Unsent { reason, retry_after } => TriggerError::Unsent { reason: hide(reason), retry_after },
    }
}
