//! How jobs are planned, as it is configured.

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use crate::job::RequestedJob;
use crate::settings::read_object;

/// The longest time between two checks of a job that waits.
const MAX_POLL_INTERVAL: TimeDelta = TimeDelta::minutes(30);

/// How jobs are planned, as it is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Planning {
    /// What to do with a job of which the push has a run that has not ended.
    pub already_running: AlreadyRunning,
    /// The longest time that a job waits for its build, in hours.
    #[serde(alias = "most_hours")]
    pub max_wait_hours: u32,
    /// The time until the first check of a job that waits, in seconds. The intervals grow with the time that the job waits.
    #[serde(alias = "first_look_seconds")]
    pub initial_poll_seconds: u32,
}

/// What to do with a job of which the push has a run that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlreadyRunning {
    /// Request the job once more.
    Trigger,
    /// Reject the job.
    Skip,
}

impl Default for Planning {
    fn default() -> Self {
        Self { already_running: AlreadyRunning::Trigger, max_wait_hours: 12, initial_poll_seconds: 120 }
    }
}

impl Planning {
    /// Reads the settings from JSON; a field that is missing has its default.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn read(json: &str) -> Result<Self, String> {
        let read: Self = read_object(json)?;
        if !(1..=72).contains(&read.max_wait_hours) {
            return Err("max_wait_hours is 1 to 72".to_owned());
        }
        if !(1..=3600).contains(&read.initial_poll_seconds) {
            return Err("initial_poll_seconds is 1 to 3600".to_owned());
        }
        Ok(read)
    }

    /// The time until the next check of a job that has waited for `waited`. The intervals grow; the last one ends with the
    /// longest wait.
    pub fn poll_interval(&self, waited: TimeDelta) -> TimeDelta {
        let first = TimeDelta::seconds(self.initial_poll_seconds.into());
        let growing = (waited / 2).clamp(first, MAX_POLL_INTERVAL.max(first));
        growing.min((self.max_wait() - waited).max(first))
    }

    /// The time until the next check of a request with these jobs: the job that started to wait last decides.
    pub fn next_poll(&self, jobs: &[RequestedJob], now: DateTime<Utc>) -> TimeDelta {
        let since = jobs.iter().filter_map(|job| job.build_wait).map(|build_wait| build_wait.since).max();
        self.poll_interval(now - since.unwrap_or(now))
    }

    /// The longest time that a job waits for its build.
    pub fn max_wait(&self) -> TimeDelta {
        TimeDelta::hours(self.max_wait_hours.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pauses_between_two_looks_grow() {
        let planning = Planning::default();
        let minutes = [0, 2, 4, 10, 30, 60, 240, 700, 715, 719, 720, 5000];
        let pauses = minutes.map(|waited| planning.poll_interval(TimeDelta::minutes(waited)).num_minutes());
        assert_eq!(pauses, [2, 2, 2, 5, 15, 30, 30, 20, 5, 2, 2, 2]);
    }

    #[test]
    fn planning_is_read_whole_or_not_at_all() {
        assert_eq!(Planning::read("{}"), Ok(Planning::default()));
        let read = Planning::read(r#"{"already_running": "skip", "max_wait_hours": 1, "initial_poll_seconds": 5}"#);
        assert_eq!(
            read,
            Ok(Planning { already_running: AlreadyRunning::Skip, max_wait_hours: 1, initial_poll_seconds: 5 })
        );
        for (wrong, said) in [
            ("[]", "a JSON object"),
            (r#"{"most_hours": 0}"#, "max_wait_hours is 1 to 72"),
            (r#"{"most_hours": 73}"#, "max_wait_hours is 1 to 72"),
            (r#"{"first_look_seconds": 0}"#, "initial_poll_seconds is 1 to 3600"),
            (r#"{"already_running": "no"}"#, "a name or a value is not one that is expected, at line 1, column 24"),
            (r#"{"hours": 1}"#, "a name or a value is not one that is expected, at line 1, column 8"),
        ] {
            let error = Planning::read(wrong).unwrap_err();
            assert!(error.starts_with(said), "{error}");
        }
    }
}
