//! What jobs exist: how builder names are read, how Buildbot's dump becomes a list of jobs for each project, and how
//! such lists are packed and compared. Pure: no network, no clock, no cloud.

pub mod allthethings;
pub mod builder_name;
pub mod dump;
pub mod jobs;
mod json;
mod vocabulary;
