//! The catalog of jobs: how a source becomes a list of jobs for each project, and how lists are packed, compared,
//! searched and guarded. Pure: no network, no clock, no cloud.
//!
//! `buildbot` reads Buildbot's dump, `taskcluster` reads the task graph of a decision task, and both make
//! [`list::ListedJob`]s. `list` knows nothing of the build systems.

pub mod buildbot;
mod document;
pub mod guards;
mod hex;
mod json;
pub mod list;
pub mod sample;
pub mod schedule;
pub mod suggest;
pub mod taskcluster;

pub use document::{Problem, ReadError};
pub use hex::hex;

/// A fingerprint of the rules that make the lists: other rules may make other lists of the same dump.
pub const RULES: &str = env!("CATALOG_RULES");
