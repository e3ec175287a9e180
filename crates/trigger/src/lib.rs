//! What a trigger request is: who asks, who may, which of the jobs exist, its states, its limits, and when two of them
//! are the same. Pure: no network, no clock, no cloud.

pub mod email;
pub mod judge;
pub mod limits;
pub mod once;
pub mod request;
pub mod rules;
