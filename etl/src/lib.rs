//! Reads Buildbot's dump of every builder and publishes, for each project, the list of jobs that a push can run.
//!
//! The scheduled function and the command line both run an `ingest::Ingest`.

mod compare;
mod error;
pub mod ingest;
pub mod metrics;
pub mod past_reports;
pub mod settings;
pub mod source;
