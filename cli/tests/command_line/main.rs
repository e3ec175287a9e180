//! The command line as a person or a scheduler uses it: its output, its messages and its exit codes.
#![allow(clippy::unwrap_used, reason = "a helper of a test may fail as the test may")]

mod create;
mod forward;
mod help;
mod ingest;
mod openapi;
mod program;
mod requests;
mod serve;
#[path = "../../../etl/tests/support/mod.rs"]
mod support;
