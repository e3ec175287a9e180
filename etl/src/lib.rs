//! Reads Buildbot's dump of every builder and publishes, per project, the list of jobs that can be run.
//!
//! The scheduled function and the command line are two fronts of `ingest::Ingest`.

mod compare;
pub mod decode;
pub mod ingest;
pub mod past;
pub mod settings;
pub mod source;
