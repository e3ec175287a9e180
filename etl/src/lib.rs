//! Reads the jobs that a push can run, from Buildbot's dump of every builder and from Taskcluster's task graphs, and
//! publishes each project's list.
//!
//! The scheduled function and the command line both run an `ingest::Ingest` or a `taskcluster_ingest::TaskclusterIngest`.

mod compare;
pub mod error;
pub mod ingest;
pub mod metrics;
pub mod past_reports;
pub mod run;
mod served;
pub mod settings;
pub mod source;
pub mod taskcluster_ingest;
