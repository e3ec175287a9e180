//! When an ingest is due.
//!
//! The expression is written in EventBridge's dialect, as the template needs it: six fields in UTC, `minutes hours
//! day-of-month month day-of-week year`, one of the two days being `?`. The `cron` crate's dialect, which this module
//! derives from it, has seconds in front and no `?`; in both, Sunday is day 1 of the week.

use std::str::FromStr;

use chrono::{DateTime, TimeDelta, Utc};

/// Delay after which an ingest counts as missed: it takes minutes, and schedulers are not exact.
const GRACE: TimeDelta = TimeDelta::minutes(15);
/// Maximum number of missed ingests that are counted.
const MAX_MISSED: usize = 1000;

/// A schedule in EventBridge's dialect.
#[derive(Debug, Clone)]
pub struct Cron {
    schedule: cron::Schedule,
}

impl FromStr for Cron {
    type Err = String;

    fn from_str(written: &str) -> Result<Self, String> {
        let inner = written.trim();
        let inner = inner.strip_prefix("cron(").and_then(|rest| rest.strip_suffix(')')).unwrap_or(inner);
        let fields: Vec<&str> = inner.split_whitespace().collect();
        let [_, _, day_of_month, _, day_of_week, _] = fields[..] else {
            return Err(format!(
                "six fields are expected, 'minutes hours day-of-month month day-of-week year' in UTC as EventBridge \
                 writes them (for example '0 6 * * ? *'), not {}",
                fields.len()
            ));
        };
        if (day_of_month == "?") == (day_of_week == "?") {
            return Err("one of day-of-month and day-of-week, and only one, is to be '?'".to_owned());
        }
        for (name, field) in ["minutes", "hours", "day-of-month", "month", "day-of-week", "year"].iter().zip(&fields) {
            let is_day = name.starts_with("day");
            let words =
                field.bytes().any(|byte| byte.is_ascii_alphabetic()) && matches!(*name, "month" | "day-of-week");
            let plain = field.bytes().all(|byte| {
                byte.is_ascii_digit()
                    || b"*,-/".contains(&byte)
                    || (is_day && byte == b'?')
                    || (words && byte.is_ascii_alphabetic())
            });
            if !plain {
                return Err(format!("{name}: numbers, '*', ',', '-' and '/' are supported there"));
            }
        }
        let derived = format!("0 {}", fields.join(" ").replace('?', "*"));
        // The error of the library repeats the expression.
        let schedule = cron::Schedule::from_str(&derived)
            .map_err(|_| "a field is out of its range or cannot be read".to_owned())?;
        Ok(Self { schedule })
    }
}

impl Cron {
    /// The time of the first ingest after `time`, if there is one.
    pub fn next(&self, time: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.schedule.after(&time).next()
    }

    /// The number of ingests that were due after `last` and did not run until `now`. Counts to 1,000.
    pub fn missed(&self, last: DateTime<Utc>, now: DateTime<Utc>) -> u64 {
        // An ingest may run a moment before its time; that does not make it missed.
        let from = last + TimeDelta::minutes(1);
        self.schedule.after(&from).take(MAX_MISSED).take_while(|due| *due + GRACE < now).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: &str) -> DateTime<Utc> {
        time.parse().unwrap()
    }

    #[test]
    fn the_next_ingest_is_the_first_one_after_the_given_time() {
        for (cron, next) in [
            ("0 6 * * ? *", "2026-11-24T06:00:00Z"),
            ("cron(0 6 * * ? *)", "2026-11-24T06:00:00Z"),
            ("*/15 * * * ? *", "2026-11-23T12:45:00Z"),
            ("0 6 ? * SUN *", "2026-11-29T06:00:00Z"),
            ("0 6 ? * 1 *", "2026-11-29T06:00:00Z"),
            ("30 4 1,15 * ? *", "2026-12-01T04:30:00Z"),
            ("0 0/6 * JAN-MAR ? 2027", "2027-01-01T00:00:00Z"),
        ] {
            let schedule: Cron = cron.parse().unwrap();
            assert_eq!(schedule.next(at("2026-11-23T12:34:56Z")), Some(at(next)), "{cron}");
        }
    }

    #[test]
    fn an_ingest_is_missed_a_quarter_of_an_hour_late() {
        let daily: Cron = "0 6 * * ? *".parse().unwrap();
        let missed = |last, now| daily.missed(at(last), at(now));
        assert_eq!(missed("2026-11-23T06:00:02Z", "2026-11-24T05:59:00Z"), 0);
        assert_eq!(missed("2026-11-23T06:00:02Z", "2026-11-24T06:14:00Z"), 0);
        assert_eq!(missed("2026-11-23T06:00:02Z", "2026-11-24T06:16:00Z"), 1);
        assert_eq!(missed("2026-11-23T05:59:59Z", "2026-11-23T12:00:00Z"), 0);
        assert_eq!(missed("2026-11-20T06:00:02Z", "2026-11-23T12:00:00Z"), 3);
    }

    #[test]
    fn an_invalid_schedule_is_refused_with_the_reason() {
        let said = |cron: &str| cron.parse::<Cron>().map(|_| ()).unwrap_err();
        assert!(said("0 6 * * *").ends_with("(for example '0 6 * * ? *'), not 5"), "{}", said("0 6 * * *"));
        assert!(said("").ends_with("not 0"));
        assert_eq!(said("0 6 * * * *"), "one of day-of-month and day-of-week, and only one, is to be '?'");
        assert_eq!(said("0 6 L * ? *"), "day-of-month: numbers, '*', ',', '-' and '/' are supported there");
        assert_eq!(said("0 6 ? * 2#1 *"), "day-of-week: numbers, '*', ',', '-' and '/' are supported there");
        assert!(said("99 6 * * ? *").starts_with("a field is out of its range"), "{}", said("99 6 * * ? *"));
        assert!(said("0 24 * * ? *").starts_with("a field is out of its range"));
    }
}
