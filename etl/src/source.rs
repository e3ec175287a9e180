//! The sources of jobs: where a dump or a task graph is read from, and how it is decoded. `location` serves any build
//! system.

pub mod buildbot;
mod location;
pub mod taskcluster;

pub use location::{Content, Opened, SourceError, SourceLocation, Validators};
