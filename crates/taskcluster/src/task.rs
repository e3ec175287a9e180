//! A task as the Queue describes it.

use std::collections::BTreeMap;
use std::fmt;

use catalog::list::is_project_name;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The route by which a task shows itself to Treeherder: `tc-treeherder.v2.PROJECT.REVISION`, and perhaps the push's
/// number.
const TREEHERDER_ROUTE: &str = "tc-treeherder.v2.";

/// What a task is to do. It never changes.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TaskDefinition {
    /// Where news of it goes.
    #[serde(default)]
    pub routes: Vec<String>,
    /// What it is allowed to do. Roles are not expanded.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// What it says about itself to tools.
    #[serde(default)]
    pub tags: BTreeMap<String, String>,
    /// What it says about itself to people.
    pub metadata: TaskMetadata,
    /// The marker in the input of an action, by which the service that called its hook finds it.
    #[serde(default, rename = "extra", deserialize_with = "marker")]
    pub marker: Option<String>,
}

/// The marker in a task's `extra`, which may have any form and size: only this part of it is kept.
fn marker<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    struct Extra {
        action: Action,
    }
    #[derive(Deserialize)]
    struct Action {
        context: Context,
    }
    #[derive(Deserialize)]
    struct Context {
        input: Input,
    }
    #[derive(Deserialize)]
    struct Input {
        request: String,
    }
    let extra = Box::<RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str::<Extra>(extra.get()).ok().map(|extra| extra.action.context.input.request))
}

/// What a task says about itself to people.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TaskMetadata {
    /// Its name, such as `Gecko Decision Task`.
    pub name: String,
}

impl TaskDefinition {
    /// The projects and revisions whose pushes the task belongs to, by its routes to Treeherder.
    pub fn pushes(&self) -> impl Iterator<Item = (&str, &str)> {
        self.routes.iter().filter_map(|route| {
            let mut parts = route.strip_prefix(TREEHERDER_ROUTE)?.split('.');
            let (project, revision) = (parts.next()?, parts.next()?);
            (is_project_name(project.as_bytes()) && !revision.is_empty()).then_some((project, revision))
        })
    }

    /// The projects whose pushes the task belongs to.
    pub fn projects(&self) -> impl Iterator<Item = &str> {
        self.pushes().map(|(project, _)| project)
    }
}

/// The state of a task and of its runs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct TaskStatus {
    /// The state of the whole task. Only this counts: a run in exception may be followed by another run.
    pub state: TaskState,
    /// Its runs, oldest first.
    #[serde(default)]
    pub runs: Vec<TaskRun>,
}

/// One run of a task.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskRun {
    /// Its number, from 0.
    pub run_id: u32,
    /// Its state.
    pub state: TaskState,
    /// Why it ended, such as `deadline-exceeded`. Taskcluster may add reasons.
    #[serde(default)]
    pub reason_resolved: Option<String>,
    /// When it began to wait for a machine.
    #[serde(default)]
    pub scheduled: Option<DateTime<Utc>>,
    /// When it began to run.
    #[serde(default)]
    pub started: Option<DateTime<Utc>>,
    /// When it ended.
    #[serde(default)]
    pub resolved: Option<DateTime<Utc>>,
}

impl TaskStatus {
    /// Why the task ended, such as `deadline-exceeded`.
    pub fn reason(&self) -> Option<&str> {
        self.runs.last()?.reason_resolved.as_deref()
    }

    /// Since when the task is in its state, as far as its last run knows.
    pub fn since(&self) -> Option<DateTime<Utc>> {
        let run = self.runs.last()?;
        match self.state {
            TaskState::Pending => run.scheduled,
            TaskState::Running => run.started,
            TaskState::Completed | TaskState::Failed | TaskState::Exception => run.resolved,
            TaskState::Unscheduled | TaskState::Unknown => None,
        }
    }
}

/// The state of a task or of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TaskState {
    /// It waits for other tasks.
    Unscheduled,
    /// It waits for a machine.
    Pending,
    /// It runs.
    Running,
    /// It ended with success.
    Completed,
    /// It ended without success.
    Failed,
    /// It was ended.
    Exception,
    /// A state that Taskcluster did not have when this was written.
    #[serde(other)]
    Unknown,
}

impl TaskState {
    /// Whether more may come of it.
    pub fn is_open(self) -> bool {
        matches!(self, Self::Unscheduled | Self::Pending | Self::Running)
    }
}

impl fmt::Display for TaskState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unscheduled => "unscheduled",
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Exception => "exception",
            Self::Unknown => "in an unknown state",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_routes_to_treeherder_name_the_pushes() {
        let routes = [
            "tc-treeherder.v2.try.0123abcd",
            "tc-treeherder.v2.autoland.4567cdef.99",
            "index.gecko.v2.try.latest.taskgraph.decision",
            "tc-treeherder.v2.",
            "tc-treeherder.v2.try",
            "tc-treeherder.v2.try.",
            "tc-treeherder.v2.a/b.0123",
            "tc-treeherder.v1.central.0123",
        ];
        let task = TaskDefinition {
            routes: routes.map(str::to_owned).into(),
            scopes: Vec::new(),
            tags: BTreeMap::new(),
            metadata: TaskMetadata { name: String::new() },
            marker: None,
        };
        assert_eq!(task.pushes().collect::<Vec<_>>(), [("try", "0123abcd"), ("autoland", "4567cdef")]);
        assert_eq!(task.projects().collect::<Vec<_>>(), ["try", "autoland"]);
    }
}
