//! The limits on what one requester may ask for.

use chrono::{DateTime, Timelike, Utc};
use serde::Deserialize;

use crate::settings::read_object;

/// The limits on what one requester may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RateLimits {
    /// Names in one request.
    pub jobs_per_request: usize,
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// Requests of one requester in a minute of the clock.
    pub requests_per_minute: u32,
    /// Jobs of one requester in an hour of the clock.
    pub jobs_per_hour: u32,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self { jobs_per_request: 1000, body_bytes: 256 * 1024, requests_per_minute: 30, jobs_per_hour: 3000 }
    }
}

impl RateLimits {
    /// Reads limits from JSON; a limit that is missing has its default.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn read(json: &str) -> Result<Self, String> {
        read_object(json)
    }
}

/// The hour and the minute of the clock that a request is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Hours since 1970.
    pub hour: i64,
    /// The minute of that hour.
    pub minute: u32,
    /// The second of that minute.
    second: u32,
}

/// What a requester has spent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// Jobs in this hour.
    pub jobs: u32,
    /// Requests in this minute.
    pub requests: u32,
}

/// More than the limits allow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exceeded {
    /// Which limit.
    pub limit: Limit,
    /// The explanation, in a sentence.
    pub detail: String,
    /// The number of seconds until the limit is reset.
    pub retry_after: u32,
}

/// A limit per minute or hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// Requests in a minute.
    Requests,
    /// Jobs in an hour.
    Jobs,
}

impl Window {
    /// The window of this time.
    pub fn at(now: DateTime<Utc>) -> Self {
        Self { hour: now.timestamp().div_euclid(3600), minute: now.minute(), second: now.second() }
    }

    /// The end of its hour, in seconds since 1970.
    pub fn ends_at(self) -> i64 {
        (self.hour + 1) * 3600
    }

    /// Whether both are in the same minute of the same hour.
    pub fn is_minute_of(self, other: Self) -> bool {
        (self.hour, self.minute) == (other.hour, other.minute)
    }

    /// Seconds until the next minute.
    fn rest_of_minute(self) -> u32 {
        60 - self.second.min(59)
    }
}

impl RateLimits {
    /// Whether a requester who has spent `spent` may make one more request with this number of jobs.
    ///
    /// # Errors
    /// The limit that the request would exceed.
    pub fn check(&self, spent: Spent, jobs: u32, window: Window) -> Result<(), Exceeded> {
        if spent.requests >= self.requests_per_minute {
            return Err(self.minute_is_full(window));
        }
        self.check_jobs(spent, jobs, window)
    }

    /// The error for a requester whose requests of this minute are used up.
    pub fn minute_is_full(&self, window: Window) -> Exceeded {
        let max = self.requests_per_minute;
        let detail = format!("At most {max} requests a minute are accepted from one person. Please wait a little.");
        Exceeded { limit: Limit::Requests, detail, retry_after: window.rest_of_minute() }
    }

    /// Whether a requester who has spent `spent` may request this number of jobs.
    ///
    /// # Errors
    /// The limit that the jobs would exceed.
    pub fn check_jobs(&self, spent: Spent, jobs: u32, window: Window) -> Result<(), Exceeded> {
        if spent.jobs.saturating_add(jobs) > self.jobs_per_hour {
            let (max, left) = (self.jobs_per_hour, self.jobs_per_hour.saturating_sub(spent.jobs));
            let detail = format!(
                "At most {max} jobs an hour can be requested by one person; {left} are left until the full hour, and \
                 this request has {jobs}."
            );
            let retry_after = window.rest_of_minute() + (59 - window.minute.min(59)) * 60;
            return Err(Exceeded { limit: Limit::Jobs, detail, retry_after });
        }
        Ok(())
    }

    /// Whether a request of this size fits into any hour.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn check_size(&self, jobs: u32) -> Result<(), String> {
        let max = self.jobs_per_hour;
        if jobs > max {
            return Err(format!("The request has {jobs} jobs, and one person can request at most {max} an hour."));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thirtieth_request_and_the_three_thousandth_job_are_the_last() {
        let window = Window::at("2026-11-23T06:58:45Z".parse().unwrap());
        let check = |requests, jobs, more| RateLimits::default().check(Spent { jobs, requests }, more, window);
        assert_eq!(check(29, 2990, 10), Ok(()));
        let minute = check(30, 0, 1).unwrap_err();
        assert_eq!(minute.retry_after, 15);
        assert_eq!(minute.detail, "At most 30 requests a minute are accepted from one person. Please wait a little.");
        let hour = check(0, 2990, 11).unwrap_err();
        assert_eq!(hour.retry_after, 75);
        assert!(hour.detail.contains("3000 jobs an hour") && hour.detail.contains("10 are left"), "{}", hour.detail);
        assert_eq!((minute.limit, hour.limit), (Limit::Requests, Limit::Jobs));
        assert!(check(0, u32::MAX, u32::MAX).is_err());
    }

    #[test]
    fn a_request_with_more_jobs_than_an_hour_allows_is_never_accepted() {
        assert_eq!(RateLimits::default().check_size(3000), Ok(()));
        let said = RateLimits::default().check_size(3001).unwrap_err();
        assert_eq!(said, "The request has 3001 jobs, and one person can request at most 3000 an hour.");
    }

    #[test]
    fn an_hour_ends_where_the_next_begins() {
        let window = Window::at("2026-11-23T06:59:59Z".parse().unwrap());
        let end: DateTime<Utc> = "2026-11-23T07:00:00Z".parse().unwrap();
        assert_eq!((window.ends_at(), window.minute), (end.timestamp(), 59));
    }

    #[test]
    fn limits_are_read_one_by_one() {
        let limits = RateLimits::read(r#"{"jobs_per_hour": 10}"#).unwrap();
        assert_eq!(limits, RateLimits { jobs_per_hour: 10, ..RateLimits::default() });
        assert!(RateLimits::read(r#"{"jobs": 1}"#).unwrap_err().starts_with("a name or a value is not"));
    }
}
