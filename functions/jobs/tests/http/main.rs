//! The function's answers, from a catalog in the emulator.
#![allow(clippy::unwrap_used, reason = "a helper of a test may fail as the test may")]

mod app;
mod lists;
mod outage;
mod overview;
mod page;
mod pushes;
mod reference;
