//! What became of actions and tasks: their states, and what an ended action made.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

use catalog::taskcluster::TaskId;
use serde::Deserialize;
use serde_json::json;

use crate::artifact::ArtifactLimits;
use crate::client::Taskcluster;
use crate::error::{ArtifactError, TaskclusterError, printable};
use crate::task::{TaskState, TaskStatus};

/// Maximum number of tasks that are asked for at once.
const PAGE: usize = 1000;
/// Maximum number of answers to one question. Each may hold a part.
const MAX_PAGES: usize = 20;

/// The labels that an action needed and their tasks, new and older ones.
const TASKS: &str = "public/label-to-taskid.json";
/// The same of an action that failed, which does not join the files of its rounds. Not all its tasks exist.
const TASKS_OF_FAILED: &str = "public/label-to-taskid-0.json";
const LIMITS_OF_TASKS: ArtifactLimits = ArtifactLimits { max_bytes: 4 * 1024 * 1024, timeout: Duration::from_secs(20) };
const LOG: &str = "public/logs/live_backing.log";
/// A log is read to its end for its last lines. What the action made matters more: a log that takes too long is left out.
const LIMITS_OF_LOG: ArtifactLimits = ArtifactLimits { max_bytes: 64 * 1024 * 1024, timeout: Duration::from_secs(10) };
/// Maximum length of a line of a log, in bytes. The rest of it counts as another line.
const MAX_LINE: u64 = 4096;
/// Maximum number of characters of a line that are kept.
const MAX_SHOWN: usize = 200;
/// The number of lines that are kept.
const LINES: usize = 5;

/// What an action made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MadeByAction {
    /// The labels that it needed and their tasks. It made those that did not exist before. Of an action that failed, a
    /// task may not exist.
    pub tasks: BTreeMap<String, TaskId>,
    /// The last lines of the log of an action that did not complete; empty if it cannot be read. Control characters are
    /// removed.
    pub log: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statuses {
    statuses: Vec<StatusOf>,
    #[serde(default)]
    continuation_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct StatusOf {
    task_id: String,
    status: TaskStatus,
}

impl Taskcluster {
    /// The states of tasks. Those that the Queue does not know, or has forgotten, are absent. It sends one request for
    /// 1,000 tasks.
    ///
    /// # Errors
    /// There is no usable answer.
    pub async fn statuses(&self, ids: &[TaskId]) -> Result<HashMap<TaskId, TaskStatus>, TaskclusterError> {
        let mut found = HashMap::with_capacity(ids.len());
        for ids in ids.chunks(PAGE) {
            let asked: HashSet<&str> = ids.iter().map(TaskId::as_str).collect();
            let body = json!({"taskIds": ids.iter().map(TaskId::as_str).collect::<Vec<_>>()});
            let mut url = self.url("queue", &["tasks", "status"])?;
            for page in 1.. {
                let Some(Statuses { statuses, continuation_token }) = self.question(&url, Some(&body)).await? else {
                    return Err(TaskclusterError::Broken("the Queue does not know the states of tasks".to_owned()));
                };
                let wanted = statuses.into_iter().filter(|it| asked.contains(it.task_id.as_str()));
                found.extend(wanted.filter_map(|it| Some((it.task_id.parse().ok()?, it.status))));
                let Some(token) = continuation_token else { break };
                if page == MAX_PAGES {
                    return Err(TaskclusterError::Broken(format!("the Queue's answer has more than {page} parts")));
                }
                url.query_pairs_mut().clear().append_pair("continuationToken", &token);
            }
        }
        Ok(found)
    }

    /// What an action made that ended in this state.
    ///
    /// # Errors
    /// There is no usable answer about its tasks. An action that left no list of them made none.
    pub async fn made_by(&self, action: &TaskId, state: TaskState) -> Result<MadeByAction, TaskclusterError> {
        let is_complete = state == TaskState::Completed;
        let name = if is_complete { TASKS } else { TASKS_OF_FAILED };
        let tasks = match self.artifact_of_any_run(action, name, LIMITS_OF_TASKS).await {
            Ok(artifact) => read_blocking(move || tasks_in(artifact.body)).await,
            Err(error) => Err(error),
        };
        let tasks = match tasks {
            Ok(tasks) => tasks,
            Err(ArtifactError::Missing(_) | ArtifactError::Expired(_) | ArtifactError::Failed { .. }) => {
                BTreeMap::new()
            }
            Err(ArtifactError::NotYet(state)) => {
                return Err(TaskclusterError::unavailable(format!("the action {action} is {state}")));
            }
            Err(ArtifactError::Refused(refusal)) => return Err(refusal.into()),
            Err(ArtifactError::TooLarge(limit)) => return Err(TaskclusterError::TooLarge(limit)),
            Err(ArtifactError::Unavailable { retry_after, reason }) => {
                return Err(TaskclusterError::Unavailable { retry_after, reason });
            }
            Err(ArtifactError::Broken(reason)) => return Err(TaskclusterError::Broken(reason)),
        };
        let log = if is_complete && !tasks.is_empty() { String::new() } else { self.end_of_log(action).await };
        Ok(MadeByAction { tasks, log })
    }

    async fn end_of_log(&self, action: &TaskId) -> String {
        let Ok(artifact) = self.artifact_of_any_run(action, LOG, LIMITS_OF_LOG).await else { return String::new() };
        read_blocking(move || last_lines(artifact.body)).await.unwrap_or_default()
    }
}

/// Reads something on a thread that may block.
async fn read_blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, ArtifactError> + Send + 'static,
) -> Result<T, ArtifactError> {
    let read = tokio::task::spawn_blocking(read).await;
    read.unwrap_or_else(|_| Err(ArtifactError::Broken("the artifact could not be read".to_owned())))
}

/// The labels and the tasks in a file. A malformed id is left out.
fn tasks_in(mut file: impl Read) -> Result<BTreeMap<String, TaskId>, ArtifactError> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(|error| ArtifactError::of_body(&error))?;
    let tasks: BTreeMap<String, String> = serde_json::from_slice(&bytes).map_err(|error| {
        let place = format!("line {}, column {}", error.line(), error.column());
        ArtifactError::Broken(format!("the list of the action's tasks is not as it is expected, at {place}"))
    })?;
    Ok(tasks.into_iter().filter_map(|(label, id)| Some((label, id.parse().ok()?))).collect())
}

/// The last lines of a log that say something, joined by ` / `. Lines of the worker are left out if the task itself
/// wrote some.
fn last_lines(log: impl Read) -> Result<String, ArtifactError> {
    let mut log = BufReader::new(log);
    let (mut of_task, mut of_worker) = (VecDeque::new(), VecDeque::new());
    let mut line = Vec::new();
    while log.by_ref().take(MAX_LINE).read_until(b'\n', &mut line).map_err(|error| ArtifactError::of_body(&error))? > 0
    {
        let text = String::from_utf8_lossy(&line);
        // The worker writes `[taskcluster TIME] ...` itself, and `[task TIME]` before what the task writes.
        let (is_worker, text) = match text.strip_prefix('[').and_then(|text| text.split_once(']')) {
            Some((source, text)) if source.starts_with("task ") => (false, text),
            Some((source, _))
                if ["taskcluster", "setup", "fetches", "cache", "vcs"].iter().any(|of| source.starts_with(of)) =>
            {
                (true, &*text)
            }
            _ => (false, &*text),
        };
        let text = shown(text);
        let lines = if is_worker { &mut of_worker } else { &mut of_task };
        if !text.is_empty() {
            lines.push_back(text);
        }
        if lines.len() > LINES {
            lines.pop_front();
        }
        line.clear();
    }
    let lines: Vec<String> = if of_task.is_empty() { of_worker } else { of_task }.into();
    Ok(lines.join(" / "))
}

/// A line without control characters and the sequences that colour it.
fn shown(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        text.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').get(1..).unwrap_or_default());
    }
    printable(&text, MAX_SHOWN)
}
