//! What is configured, from flags and then from `RUNNABLE_JOBS_*` environment variables.

use catalog::schedule::Cron;
use chrono::TimeDelta;
use http::HeaderValue;
use store::settings::{A_TABLE, SettingsError, Variables, up_to_an_hour, variables};

/// Set by Lambda.
const MEMORY_MB: &str = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE";

/// Where nothing is configured: half a minute, in which a new list is not seen.
pub const DEFAULT_FRESH_SECONDS: u32 = 30;
/// Where Lambda does not tell how much memory there is.
const DEFAULT_MEMORY_MB: usize = 512;

/// What the function is configured with.
#[derive(Debug)]
pub struct Settings {
    /// The catalog table.
    pub catalog_table: String,
    /// When ingests are due, if that is known: it tells whether the catalog is stale.
    pub schedule: Option<Cron>,
    /// How long what was read is served without asking whether it is current.
    pub fresh: TimeDelta,
    /// The origins whose scripts may read the answers, exactly as browsers send them.
    pub allowed_origins: Vec<HeaderValue>,
    /// Bytes of lists that are held in memory.
    pub memory: usize,
}

impl Settings {
    /// Reads the settings by `lookup`, which gives a variable's value. An empty value is as good as none.
    ///
    /// # Errors
    /// The first variable that is missing or wrong.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let read = Variables::new(lookup);
        let memory_mb = read.parsed(MEMORY_MB, str::parse::<usize>)?.unwrap_or(DEFAULT_MEMORY_MB);
        let fresh = read.parsed(variables::FRESH_SECONDS, up_to_an_hour)?.unwrap_or(DEFAULT_FRESH_SECONDS);
        Ok(Self {
            catalog_table: read.required(variables::CATALOG_TABLE, A_TABLE)?,
            schedule: read.parsed(variables::SCHEDULE, str::parse)?,
            fresh: TimeDelta::seconds(fresh.into()),
            allowed_origins: read.parsed(variables::ALLOWED_ORIGINS, http_api::origins)?.unwrap_or_default(),
            // The rest is for the program, and for what it makes of a list while it answers.
            memory: memory_mb * 1024 * 1024 / 2,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(set: &[(&str, &str)]) -> Result<Settings, String> {
        let find = |name: &str| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Settings::read(find).map_err(|error| error.to_string())
    }

    const TABLE: (&str, &str) = ("RUNNABLE_JOBS_CATALOG_TABLE", "catalog");

    #[test]
    fn the_table_is_enough() {
        let settings = read(&[TABLE]).unwrap();
        assert_eq!(settings.fresh, TimeDelta::seconds(30));
        assert!(settings.schedule.is_none() && settings.allowed_origins.is_empty());
        assert_eq!(settings.memory, 256 * 1024 * 1024);
        assert_eq!(read(&[TABLE, (MEMORY_MB, "128")]).unwrap().memory, 64 * 1024 * 1024);
    }

    #[test]
    fn what_is_wrong_with_a_variable_is_said_without_what_it_holds() {
        const SECRET: &str = "c0rrect-Horse";
        for variable in [MEMORY_MB, variables::FRESH_SECONDS, variables::SCHEDULE, variables::ALLOWED_ORIGINS] {
            for value in store::settings::wrong_values(SECRET) {
                let error = read(&[TABLE, (variable, &value)]).map(|_| ()).unwrap_err();
                assert!(error.starts_with(variable) && !error.contains(SECRET), "{error}");
            }
        }
    }

    #[test]
    fn what_is_missing_or_wrong_is_named_with_what_is_expected() {
        let said = |set: &[(&str, &str)]| read(set).map(|_| ()).unwrap_err();
        assert_eq!(said(&[]), "RUNNABLE_JOBS_CATALOG_TABLE is not set: the name of the catalog table is expected");
        assert_eq!(
            said(&[TABLE, (variables::FRESH_SECONDS, "3601")]),
            "RUNNABLE_JOBS_FRESH_SECONDS is wrong: a whole number of seconds from 0 to 3600 is expected"
        );
    }
}
