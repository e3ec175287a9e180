//! What is configured, from flags and then from `RUNNABLE_JOBS_*` environment variables.

use std::str::FromStr;

use catalog::guards::Limits;

use crate::schedule::Cron;
use crate::source::Source;

/// The names of the variables, for the function and for the help of the command line.
pub mod variables {
    /// The address of the dump.
    pub const SOURCE: &str = "RUNNABLE_JOBS_SOURCE";
    /// The catalog table.
    pub const CATALOG_TABLE: &str = "RUNNABLE_JOBS_CATALOG_TABLE";
    /// The bucket that keeps the dumps.
    pub const ARCHIVE_BUCKET: &str = "RUNNABLE_JOBS_ARCHIVE_BUCKET";
    /// When the ingest is due.
    pub const SCHEDULE: &str = "RUNNABLE_JOBS_SCHEDULE";
    /// The fewest builders of a whole dump.
    pub const MIN_BUILDERS: &str = "RUNNABLE_JOBS_MIN_BUILDERS";
    /// The greatest share of jobs that may go at once.
    pub const MAX_DROP_PERCENT: &str = "RUNNABLE_JOBS_MAX_DROP_PERCENT";
    /// The greatest size of an uncompressed dump.
    pub const MAX_SOURCE_BYTES: &str = "RUNNABLE_JOBS_MAX_SOURCE_BYTES";
}

/// What is expected where no source is named.
pub const A_SOURCE: &str = "the address of allthethings.json (https://, s3:// or a file)";
/// What is expected where no table is named.
pub const A_TABLE: &str = "the name of the catalog table";

/// The fewest builders of a whole dump, where nothing is configured. The real one had some 60,000.
pub const MIN_BUILDERS: u64 = 1000;
/// The greatest share of jobs that may go at once, where nothing is configured.
pub const MAX_DROP_PERCENT: u8 = 20;
/// The greatest size of an uncompressed dump, where nothing is configured: ten times the real one.
pub const MAX_SOURCE_BYTES: u64 = 512 * 1024 * 1024;

/// A variable that is missing or wrong.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SettingsError {
    /// A variable that must be there is not.
    #[error("{variable} is not set: {expected} is expected")]
    Missing {
        /// The variable.
        variable: &'static str,
        /// What it should hold.
        expected: &'static str,
    },
    /// A variable holds something else than it should.
    #[error("{variable} is '{value}': {reason}")]
    Wrong {
        /// The variable.
        variable: &'static str,
        /// What it holds.
        value: String,
        /// What is wrong with that.
        reason: String,
    },
}

/// What the function is configured with.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the dump is.
    pub source: Source,
    /// The catalog table.
    pub catalog_table: String,
    /// The bucket that keeps the dumps.
    pub archive_bucket: Option<String>,
    /// When the ingest is due.
    pub schedule: Option<Cron>,
    /// The guards.
    pub limits: Limits,
    /// The greatest size of an uncompressed dump.
    pub max_source_bytes: u64,
}

impl Settings {
    /// Reads the settings by `lookup`, which gives a variable's value. An empty value is as good as none.
    ///
    /// # Errors
    /// The first variable that is missing or wrong.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let lookup = |variable| lookup(variable).filter(|value| !value.is_empty());
        let required = |variable, expected| lookup(variable).ok_or(SettingsError::Missing { variable, expected });
        Ok(Self {
            source: parse(variables::SOURCE, required(variables::SOURCE, A_SOURCE)?, Source::from_str)?,
            catalog_table: required(variables::CATALOG_TABLE, A_TABLE)?,
            archive_bucket: lookup(variables::ARCHIVE_BUCKET),
            schedule: lookup(variables::SCHEDULE)
                .map(|value| parse(variables::SCHEDULE, value, Cron::from_str))
                .transpose()?,
            limits: Limits {
                min_builders: lookup(variables::MIN_BUILDERS)
                    .map_or(Ok(MIN_BUILDERS), |value| parse(variables::MIN_BUILDERS, value, whole_number))?,
                max_drop_percent: lookup(variables::MAX_DROP_PERCENT)
                    .map_or(Ok(MAX_DROP_PERCENT), |value| parse(variables::MAX_DROP_PERCENT, value, percent))?,
            },
            max_source_bytes: lookup(variables::MAX_SOURCE_BYTES)
                .map_or(Ok(MAX_SOURCE_BYTES), |value| parse(variables::MAX_SOURCE_BYTES, value, whole_number))?,
        })
    }
}

fn parse<T, E: ToString>(
    variable: &'static str,
    value: String,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<T, SettingsError> {
    parse(&value).map_err(|reason| SettingsError::Wrong { variable, value, reason: reason.to_string() })
}

/// A whole number of at least 0.
///
/// # Errors
/// Anything else.
pub fn whole_number(value: &str) -> Result<u64, &'static str> {
    value.parse().map_err(|_| "a whole number of at least 0 is expected")
}

/// A whole number from 0 to 100.
///
/// # Errors
/// Anything else.
pub fn percent(value: &str) -> Result<u8, &'static str> {
    let percent = value.parse().ok().filter(|percent| *percent <= 100);
    percent.ok_or("a whole number from 0 to 100 is expected")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(set: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let find = |name: &str| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Settings::read(find)
    }

    const REQUIRED: [(&str, &str); 2] =
        [("RUNNABLE_JOBS_SOURCE", "https://example.org/a.json"), ("RUNNABLE_JOBS_CATALOG_TABLE", "catalog")];

    #[test]
    fn two_variables_are_enough() {
        let settings = read(&REQUIRED).unwrap();
        assert_eq!(settings.limits, Limits { min_builders: 1000, max_drop_percent: 20 });
        assert_eq!((settings.archive_bucket, settings.schedule.is_none()), (None, true));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named_with_what_is_expected() {
        let said = |set: &[(&str, &str)]| read(set).map(|_| ()).unwrap_err().to_string();
        assert_eq!(
            said(&[("RUNNABLE_JOBS_SOURCE", "")]),
            "RUNNABLE_JOBS_SOURCE is not set: the address of allthethings.json (https://, s3:// or a file) is expected"
        );
        assert_eq!(
            said(&REQUIRED[..1]),
            "RUNNABLE_JOBS_CATALOG_TABLE is not set: the name of the catalog table is expected"
        );
        let with = |name, value| said(&[REQUIRED[0], REQUIRED[1], (name, value)]);
        assert_eq!(
            with("RUNNABLE_JOBS_MAX_DROP_PERCENT", "101"),
            "RUNNABLE_JOBS_MAX_DROP_PERCENT is '101': a whole number from 0 to 100 is expected"
        );
        assert_eq!(
            with("RUNNABLE_JOBS_MIN_BUILDERS", "many"),
            "RUNNABLE_JOBS_MIN_BUILDERS is 'many': a whole number of at least 0 is expected"
        );
        assert!(with("RUNNABLE_JOBS_SCHEDULE", "daily").starts_with("RUNNABLE_JOBS_SCHEDULE is 'daily': "));
    }
}
