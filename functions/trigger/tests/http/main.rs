//! What becomes of requests, from a catalog, a table and a queue in the emulator.
#![allow(clippy::unwrap_used, reason = "a helper of a test may fail as the test may")]

mod app;
mod authorization;
mod body;
mod durability;
mod idempotency;
#[path = "../../../../crates/http-api/tests/identity/issuer.rs"]
#[allow(dead_code, reason = "its own tests use the rest")]
mod issuer;
mod names;
mod rate_limits;
mod reference;
mod retry;
mod status;
#[path = "../../../../crates/store/tests/support/mod.rs"]
mod store_support;
