//! A client of Taskcluster: its Index, which finds tasks by a path, its Queue, which knows their state, its Auth, which
//! expands scopes, its Hooks, which run actions, and the host that holds artifacts.
//!
//! Everything is read without credentials. Only the call of a hook ([`Taskcluster::trigger_hook`]) is signed, by
//! [Hawk](https://github.com/mozilla/hawk).
//!
//! Taskcluster's answers are not trusted: a task decides where its artifacts lead, and which hook its push's actions
//! call. Only configured hosts are fetched, and only hooks of the project's level are called.

pub mod actions;
mod artifact;
mod client;
mod credentials;
mod error;
mod hawk;
mod hook;
mod made;
mod prepare;
pub mod schema;
mod settings;
mod task;
mod template;

pub use actions::{MAX_INPUT_BYTES, MAX_LABELS, PreparedAction, fits};
pub use artifact::{Artifact, ArtifactLimits};
pub use client::Taskcluster;
pub use credentials::{BadCredentials, Credentials};
pub use error::{ArtifactError, Refusal, TaskclusterError};
pub use hook::{BadHookId, Fire, HookId, TriggerError};
pub use made::MadeByAction;
pub use prepare::PrepareError;
pub use settings::{DEFAULT_ARTIFACT_HOSTS, DEFAULT_TRIGGER, IndexPaths, TaskclusterSettings, variables};
pub use task::{TaskDefinition, TaskMetadata, TaskRun, TaskState, TaskStatus};

#[cfg(test)]
mod tests;
