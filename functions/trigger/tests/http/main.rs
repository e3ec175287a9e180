//! What becomes of requests, from a catalog, a table and a queue in the emulator.
#![allow(clippy::unwrap_used, reason = "a helper of a test may fail as the test may")]

mod app;
mod authorization;
mod body;
mod durability;
mod idempotency;
mod labels;
mod names;
mod outcome;
mod pushes;
mod rate_limits;
mod reference;
mod retry;
mod status;
