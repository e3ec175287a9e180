//! The sources of jobs: where a dump is read from, and how it is decoded. `location` serves any build system.

pub mod buildbot;
mod location;

pub use location::{Content, Opened, SourceError, SourceLocation, Validators};
