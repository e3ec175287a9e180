//! What the tests of several crates share. Each module has a feature of its name.
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a helper of a test may fail as the test may")]

#[cfg(feature = "broker")]
pub mod broker;
#[cfg(feature = "issuer")]
pub mod issuer;
#[cfg(feature = "store")]
pub mod store;
#[cfg(feature = "taskcluster")]
pub mod taskcluster;
#[cfg(feature = "typing")]
pub mod typing;
