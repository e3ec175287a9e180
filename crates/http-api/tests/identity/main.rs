//! Authentication: which tokens are accepted, and which are refused.
#![allow(clippy::unwrap_used, reason = "a helper of a test may fail as the test may")]

mod app;
mod people;
mod rotation;
mod services;
