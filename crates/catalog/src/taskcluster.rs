//! Taskcluster's jobs: the tasks of a decision task's task graph.

mod task_id;

pub use task_id::{BadTaskId, TaskId};

/// The name of this build system in lists and in reports.
pub const BUILD_SYSTEM: &str = "taskcluster";
