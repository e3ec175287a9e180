//! The settings, from flags or `RUNNABLE_JOBS_*` environment variables.

use catalog::schedule::Cron;
use chrono::TimeDelta;
use http::HeaderValue;
use runtime::settings::{A_TABLE, SettingsError, Variables, up_to_an_hour, variables};
use taskcluster::TaskclusterSettings;

mod page;

pub use self::page::{PageSettings, PublicAddress, SignIn, TRIGGER_PUBLIC_URL, TriggerAddress};

/// The default of `fresh`: it takes at most half a minute until a new list is served.
pub const DEFAULT_FRESH_SECONDS: u32 = 30;

/// When ingests are due, by build system. They decide whether the catalog is stale.
#[derive(Debug, Default)]
pub struct Schedules {
    /// Those of Buildbot, if configured.
    pub buildbot: Option<Cron>,
    /// Those of Taskcluster, if configured.
    pub taskcluster: Option<Cron>,
}

/// The settings of the function.
#[derive(Debug)]
pub struct Settings {
    /// The catalog table.
    pub catalog_table: String,
    /// When ingests are due.
    pub schedules: Schedules,
    /// How long data in memory is served before the store is asked whether it is current.
    pub fresh: TimeDelta,
    /// The origins whose scripts may read the answers, exactly as browsers send them.
    pub allowed_origins: Vec<HeaderValue>,
    /// Maximum size of the lists in memory, in bytes.
    pub cache_bytes: usize,
    /// The Taskcluster whose pushes have lists of their own, if one is configured.
    pub taskcluster: Option<TaskclusterSettings>,
    /// The services that the page uses.
    pub page: PageSettings,
}

impl Settings {
    /// Reads the settings. `lookup` returns the value of a variable; an empty value counts as not set.
    ///
    /// # Errors
    /// The first variable that is missing or wrong.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let read = Variables::new(&lookup);
        let fresh = read.parsed(variables::FRESH_SECONDS, up_to_an_hour)?.unwrap_or(DEFAULT_FRESH_SECONDS);
        let taskcluster = TaskclusterSettings::read(&lookup)?;
        Ok(Self {
            catalog_table: read.required(variables::CATALOG_TABLE, A_TABLE)?,
            schedules: Schedules {
                buildbot: read.parsed(variables::SCHEDULE, str::parse)?,
                taskcluster: read.parsed(variables::TASKCLUSTER_SCHEDULE, str::parse)?,
            },
            fresh: TimeDelta::seconds(fresh.into()),
            allowed_origins: read.parsed(variables::ALLOWED_ORIGINS, http_api::origins)?.unwrap_or_default(),
            cache_bytes: read.cache_bytes()?,
            page: PageSettings::read(&read, taskcluster.as_ref().map(|settings| &settings.root_url))?,
            taskcluster,
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
    fn all_settings_but_the_table_have_defaults() {
        let settings = read(&[TABLE]).unwrap();
        assert_eq!(settings.fresh, TimeDelta::seconds(30));
        assert!(
            settings.schedules.buildbot.is_none()
                && settings.schedules.taskcluster.is_none()
                && settings.allowed_origins.is_empty()
        );
        assert_eq!(settings.cache_bytes, 256 * 1024 * 1024);
        assert_eq!(read(&[TABLE, (variables::MEMORY_MB, "128")]).unwrap().cache_bytes, 64 * 1024 * 1024);
    }

    #[test]
    fn an_error_names_the_variable_and_not_its_value() {
        const SECRET: &str = "c0rrect-Horse";
        for variable in [
            variables::MEMORY_MB,
            variables::FRESH_SECONDS,
            variables::SCHEDULE,
            variables::TASKCLUSTER_SCHEDULE,
            variables::ALLOWED_ORIGINS,
        ] {
            for value in runtime::settings::wrong_values(SECRET) {
                let error = read(&[TABLE, (variable, &value)]).map(|_| ()).unwrap_err();
                assert!(error.starts_with(variable) && !error.contains(SECRET), "{error}");
            }
        }
    }

    #[test]
    fn an_error_states_what_is_expected() {
        let said = |set: &[(&str, &str)]| read(set).map(|_| ()).unwrap_err();
        assert_eq!(said(&[]), "RUNNABLE_JOBS_CATALOG_TABLE is not set: the name of the catalog table is expected");
        assert_eq!(
            said(&[TABLE, (variables::FRESH_SECONDS, "3601")]),
            "RUNNABLE_JOBS_FRESH_SECONDS is wrong: a whole number of seconds from 0 to 3600 is expected"
        );
    }
}
