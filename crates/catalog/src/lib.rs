//! What jobs exist: how builder names are read, how Buildbot's dump becomes a list of jobs for each project, and how
//! such lists are packed, compared and guarded. Pure: no network, no clock, no cloud.

pub mod allthethings;
pub mod builder_name;
pub mod diff;
pub mod dump;
pub mod guards;
pub mod jobs;
mod json;
pub mod listing;
mod machines;
pub mod names;
pub mod sample;
pub mod schedule;
mod schedulers;
pub mod suggest;
mod upstream;
mod vocabulary;
