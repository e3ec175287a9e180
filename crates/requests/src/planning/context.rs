//! The circumstances in which jobs are planned.

use chrono::{DateTime, Utc};

/// The circumstances in which jobs are planned.
#[derive(Debug, Clone, Copy)]
pub struct PlanContext {
    /// The time.
    pub now: DateTime<Utc>,
    /// The batch number of the jobs that stop waiting now.
    pub batch: u64,
    /// Whether jobs may have been forwarded before without a record of that: their runs may be our own.
    pub is_repeat: bool,
}
