//! The settings of the ETL: flags first, then `RUNNABLE_JOBS_*` environment variables.

use std::str::FromStr;

use catalog::guards::GuardLimits;
use catalog::schedule::Cron;
use runtime::settings::{A_TABLE, SettingsError, Variables, whole_number};
use taskcluster::TaskclusterSettings;

use crate::source::SourceLocation;

/// The names of the variables, for the function and for the help of the command line.
pub mod variables {
    pub use runtime::settings::variables::{CATALOG_TABLE, SCHEDULE, TASKCLUSTER_SCHEDULE};
    pub use taskcluster::variables::{TASKCLUSTER_ARTIFACT_HOSTS, TASKCLUSTER_PROJECTS, TASKCLUSTER_URL};

    /// The address of the dump.
    pub const SOURCE: &str = "RUNNABLE_JOBS_SOURCE";
    /// The bucket that keeps the dumps.
    pub const ARCHIVE_BUCKET: &str = "RUNNABLE_JOBS_ARCHIVE_BUCKET";
    /// Minimum number of builders of a complete dump.
    pub const MIN_BUILDERS: &str = "RUNNABLE_JOBS_MIN_BUILDERS";
    /// Maximum share of jobs that one ingest may remove, in percent.
    pub const MAX_DROP_PERCENT: &str = "RUNNABLE_JOBS_MAX_DROP_PERCENT";
    /// Maximum size of an uncompressed dump or task graph, in bytes.
    pub const MAX_SOURCE_BYTES: &str = "RUNNABLE_JOBS_MAX_SOURCE_BYTES";
}

/// The expected value of the source, for messages.
pub const A_SOURCE: &str = "the address of allthethings.json (https://, s3:// or a file)";

/// Default minimum number of builders of a complete dump. The real one had some 60,000.
pub const MIN_BUILDERS: u64 = 1000;
/// Default maximum share of jobs that one ingest may remove, in percent.
pub const MAX_DROP_PERCENT: u8 = 20;
/// Default maximum size of an uncompressed dump, in bytes: ten times the real one.
pub const MAX_SOURCE_BYTES: u64 = 512 * 1024 * 1024;

/// The settings of the function.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where Buildbot's dump is, if there is one.
    pub source: Option<SourceLocation>,
    /// Where Taskcluster is, if there is one.
    pub taskcluster: Option<TaskclusterSettings>,
    /// The catalog table.
    pub catalog_table: String,
    /// The bucket that keeps the dumps.
    pub archive_bucket: Option<String>,
    /// When ingests of Buildbot are due.
    pub schedule: Option<Cron>,
    /// When ingests of Taskcluster are due.
    pub taskcluster_schedule: Option<Cron>,
    /// The guards.
    pub limits: GuardLimits,
    /// Maximum size of an uncompressed dump or task graph, in bytes.
    pub max_source_bytes: u64,
}

impl Settings {
    /// Reads the settings with `lookup`, which returns the value of a variable. An empty value counts as unset.
    ///
    /// # Errors
    /// The first variable that is missing or wrong.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let taskcluster = TaskclusterSettings::read(&lookup)?;
        let read = Variables::new(lookup);
        let source = read.parsed(variables::SOURCE, SourceLocation::from_str)?;
        if source.is_none() && taskcluster.is_none() {
            return Err(SettingsError::Missing { variable: variables::SOURCE, expected: A_SOURCE });
        }
        Ok(Self {
            source,
            taskcluster,
            catalog_table: read.required(variables::CATALOG_TABLE, A_TABLE)?,
            archive_bucket: read.get(variables::ARCHIVE_BUCKET),
            schedule: read.parsed(variables::SCHEDULE, Cron::from_str)?,
            taskcluster_schedule: read.parsed(variables::TASKCLUSTER_SCHEDULE, Cron::from_str)?,
            limits: GuardLimits {
                min_builders: read.parsed(variables::MIN_BUILDERS, whole_number)?.unwrap_or(MIN_BUILDERS),
                max_drop_percent: read.parsed(variables::MAX_DROP_PERCENT, percent)?.unwrap_or(MAX_DROP_PERCENT),
            },
            max_source_bytes: read.parsed(variables::MAX_SOURCE_BYTES, whole_number)?.unwrap_or(MAX_SOURCE_BYTES),
        })
    }
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
        assert_eq!(settings.limits, GuardLimits { min_builders: 1000, max_drop_percent: 20 });
        assert_eq!((settings.archive_bucket, settings.schedule.is_none()), (None, true));
        assert!(settings.taskcluster.is_none() && settings.taskcluster_schedule.is_none());
    }

    #[test]
    fn taskcluster_alone_is_enough() {
        let taskcluster = [
            (variables::TASKCLUSTER_URL, "https://tc.example.org"),
            (variables::TASKCLUSTER_PROJECTS, r#"{"try": "gecko.v2.try"}"#),
            REQUIRED[1],
        ];
        let settings = read(&taskcluster).unwrap();
        assert!(settings.source.is_none());
        assert_eq!(settings.taskcluster.unwrap().projects.keys().collect::<Vec<_>>(), ["try"]);
        let without_projects = read(&[taskcluster[0], REQUIRED[1]]).unwrap_err().to_string();
        assert!(without_projects.starts_with(variables::TASKCLUSTER_PROJECTS), "{without_projects}");
    }

    #[test]
    fn an_error_names_a_wrong_variable_without_its_value() {
        const SECRET: &str = "c0rrect-Horse";
        for variable in [
            variables::SCHEDULE,
            variables::TASKCLUSTER_SCHEDULE,
            variables::MIN_BUILDERS,
            variables::MAX_DROP_PERCENT,
            variables::MAX_SOURCE_BYTES,
            variables::TASKCLUSTER_URL,
        ] {
            for value in runtime::settings::wrong_values(SECRET) {
                let error = read(&[REQUIRED[0], REQUIRED[1], (variable, &value)]).map(|_| ()).unwrap_err().to_string();
                assert!(error.starts_with(variable) && !error.contains(SECRET), "{error}");
            }
        }
        // A value without a scheme is a file.
        for value in runtime::settings::wrong_values(SECRET).iter().filter(|value| value.contains("://")) {
            let error = read(&[(variables::SOURCE, value), REQUIRED[1]]).map(|_| ()).unwrap_err().to_string();
            assert!(error.starts_with(variables::SOURCE) && !error.contains(SECRET), "{error}");
        }
    }

    #[test]
    fn an_error_names_the_variable_and_the_expected_value() {
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
            "RUNNABLE_JOBS_MAX_DROP_PERCENT is wrong: a whole number from 0 to 100 is expected"
        );
        assert_eq!(
            with("RUNNABLE_JOBS_MIN_BUILDERS", "many"),
            "RUNNABLE_JOBS_MIN_BUILDERS is wrong: a whole number of at least 0 is expected"
        );
        assert!(with("RUNNABLE_JOBS_SCHEDULE", "daily").starts_with("RUNNABLE_JOBS_SCHEDULE is wrong: "));
    }
}
