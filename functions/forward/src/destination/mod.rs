//! The destinations to which jobs are forwarded: one module per destination.

pub mod pulse;
pub mod taskcluster;
