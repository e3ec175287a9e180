//! Buildbot: its dump of all builders, the grammar of their names, and the jobs that both make.

mod allthethings;
mod builder_name;
mod dump;
mod jobs;
mod machines;
mod reading;
mod schedulers;
mod upstream;
pub(crate) mod vocabulary;

pub use crate::document::ReadError;
pub use allthethings::read;
pub use builder_name::{Classification, classify};
pub use dump::{Dump, Findings, MAX_PROBLEMS};
pub use jobs::{BUILD_SYSTEM, CatalogJob, Projects, listed, write_body, write_index};
pub use reading::Progress;
