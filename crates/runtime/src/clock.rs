//! The clock that programs pass to everything that needs the time.

use std::sync::Arc;

use chrono::{DateTime, Utc};

/// Returns the current time. Programs pass it in, so that tests can pass another one.
pub type Clock = Arc<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// The time of the operating system. Only programs use it; everything else takes a `Clock`.
#[expect(clippy::disallowed_methods, reason = "time enters the programs here")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

/// The clock of the operating system.
pub fn system_clock() -> Clock {
    Arc::new(now)
}
