//! Taskcluster: the task graph of a decision task, and the jobs in it.

mod entry;
mod graph;
mod reading;
mod task_id;

pub use crate::document::ReadError as GraphError;
pub use graph::{GraphFindings, MAX_GRAPH_PROBLEMS, TaskGraph};
pub use reading::{MAX_LABELS, MAX_TEXT_BYTES};
pub use task_id::{BadTaskId, TaskId};

/// The name of this build system in lists and in reports.
pub const BUILD_SYSTEM: &str = "taskcluster";
