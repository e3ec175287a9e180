//! A client of Taskcluster: its Index, which finds tasks by a path, its Queue, which knows their state, and the
//! host that holds their artifacts. Everything is read without credentials.
//!
//! Taskcluster's answers are not trusted: a task decides where its artifacts lead. Only configured hosts are fetched.

mod artifact;
mod client;
mod error;
mod settings;
mod task;

pub use artifact::{Artifact, ArtifactLimits};
pub use client::Taskcluster;
pub use error::{ArtifactError, Refusal, TaskclusterError};
pub use settings::{DEFAULT_ARTIFACT_HOSTS, IndexPaths, TaskclusterSettings, variables};
pub use task::{TaskDefinition, TaskRun, TaskState, TaskStatus};

#[cfg(test)]
mod tests;
