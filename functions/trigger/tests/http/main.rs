//! What becomes of requests, from a catalog, a table and a queue in the emulator.
#![allow(clippy::unwrap_used, reason = "a helper of a test may fail as the test may")]

mod bed;
mod body;
mod follow;
#[path = "../../../../crates/http/tests/identity/issuer.rs"]
#[allow(dead_code, reason = "its own tests use the rest")]
mod issuer;
mod kept;
mod limits;
mod once;
mod reference;
mod retry;
#[path = "../../../../crates/store/tests/support/mod.rs"]
mod store_support;
mod what;
mod who;
