//! The settings of the forward function, from `RUNNABLE_JOBS_*` environment variables.

use std::collections::HashMap;
use std::num::NonZeroU32;

use pulse::{Credentials, MessageFormat, PulseSettings};
use requests::following::Following;
use requests::planning::Planning;
use requests::read_object;
use runtime::Aws;
use runtime::settings::{DEFAULT_TREEHERDER_URL, SettingsError, Variables, variables};
use serde::Deserialize;
use taskcluster::{Taskcluster, TaskclusterSettings};
use tokio::sync::Mutex;
use treeherder::address;

use crate::destination::taskcluster::{CredentialsSource, TaskclusterDestination};

/// The broker's address.
pub const PULSE_URL: &str = "RUNNABLE_JOBS_PULSE_URL";
/// The parameter of Parameter Store with user and password for the broker.
pub const PULSE_PARAMETER: &str = "RUNNABLE_JOBS_PULSE_PARAMETER";
/// Named a secret of Secrets Manager before Parameter Store was used.
const FORMER_PULSE_SECRET: &str = "RUNNABLE_JOBS_PULSE_SECRET";
/// The Pulse user whose exchange is written to.
pub const PULSE_NAMESPACE: &str = "RUNNABLE_JOBS_PULSE_NAMESPACE";
/// The message formats of projects whose listeners do not expect the default.
pub const PULSE_FORMS: &str = "RUNNABLE_JOBS_PULSE_FORMS";
/// The parameter of Parameter Store with the credentials that call the hooks of Taskcluster.
pub const TASKCLUSTER_PARAMETER: &str = "RUNNABLE_JOBS_TASKCLUSTER_PARAMETER";
/// The file with the CA certificates that the broker's certificate is checked against.
pub const PULSE_CERTIFICATES: &str = "RUNNABLE_JOBS_PULSE_CERTIFICATES";
/// The most messages that are published in a second.
pub const PULSE_RATE: &str = "RUNNABLE_JOBS_PULSE_RATE";
/// How jobs are followed that were forwarded.
pub const FOLLOWING: &str = "RUNNABLE_JOBS_FOLLOWING";

const MOVED: &str = "the credentials are in Parameter Store now; set RUNNABLE_JOBS_PULSE_PARAMETER to the parameter's \
    name (docs/operations.md: Change the Pulse password)";

/// The most messages that are published in a second, by default: listeners process one message at a time.
const RATE: NonZeroU32 = NonZeroU32::new(100).expect("it is not 0");

/// The settings of the forward function.
#[derive(Debug)]
pub struct Settings {
    /// The requests table.
    pub requests_table: String,
    /// The address of Pulse.
    pub pulse: PulseSettings,
    /// The user at the broker.
    pub user: User,
    /// The message formats of projects whose listeners do not expect the default.
    pub formats: HashMap<String, MessageFormat>,
    /// The most messages that are published in a second.
    pub max_per_second: NonZeroU32,
    /// Treeherder's address, without a slash at the end.
    pub treeherder_url: String,
    /// How jobs are planned.
    pub planning: Planning,
    /// How jobs are followed that were forwarded.
    pub following: Following,
    /// Taskcluster; `None` if none is configured.
    pub taskcluster: Option<TaskclusterSettings>,
    /// The parameter with the credentials that call the hooks of Taskcluster. Without one, no label is triggered.
    pub taskcluster_parameter: Option<String>,
}

/// What following jobs by hand needs of the settings: nothing of Pulse, and no credentials.
#[derive(Debug)]
pub struct FollowSettings {
    /// The requests table.
    pub requests_table: String,
    /// Treeherder's address, without a slash at the end.
    pub treeherder_url: String,
    /// Taskcluster; `None` if none is configured.
    pub taskcluster: Option<TaskclusterSettings>,
    /// How jobs are followed that were forwarded.
    pub following: Following,
}

/// The user at the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum User {
    /// The user stands in the address.
    Given(Credentials),
    /// The user stands in this parameter, as JSON with `username` and `password`.
    Parameter(String),
}

/// The content of the parameter.
#[derive(Deserialize)]
struct StoredUser {
    username: String,
    password: String,
}

impl Settings {
    /// Reads the settings through `lookup`, which returns the value of a variable. An empty value counts as unset.
    ///
    /// # Errors
    /// The first variable that is missing or wrong. Passwords are not repeated.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let read = Variables::new(&lookup);
        let FollowSettings { requests_table, treeherder_url, taskcluster, following } = FollowSettings::read(&lookup)?;
        let url = read.required(PULSE_URL, "the address of the broker")?;
        let namespace = read.required(PULSE_NAMESPACE, "the Pulse user whose exchange is written to")?;
        let file = |path: &str| std::fs::read_to_string(path);
        let certificates = read.parsed(PULSE_CERTIFICATES, file)?;
        let wrong = |reason| SettingsError::Wrong { variable: PULSE_URL, reason };
        let (pulse, given) = PulseSettings::read(&url, &namespace, certificates).map_err(wrong)?;
        let user = match given {
            Some(given) => User::Given(given),
            None => {
                User::Parameter(read.required(PULSE_PARAMETER, "the parameter with username and password").map_err(
                    |error| match read.get(FORMER_PULSE_SECRET) {
                        Some(_) => SettingsError::Wrong { variable: FORMER_PULSE_SECRET, reason: MOVED.to_owned() },
                        None => error,
                    },
                )?)
            }
        };
        let formats = read.parsed(PULSE_FORMS, |json| read_object(json))?;
        let rate = |value: &str| value.parse().map_err(|_| "a whole number of at least 1 is expected");
        Ok(Self {
            requests_table,
            pulse,
            user,
            formats: formats.unwrap_or_default(),
            max_per_second: read.parsed(PULSE_RATE, rate)?.unwrap_or(RATE),
            treeherder_url,
            planning: read.parsed(variables::PLANNING, Planning::read)?.unwrap_or_default(),
            following,
            taskcluster_parameter: read.get(TASKCLUSTER_PARAMETER),
            taskcluster,
        })
    }

    /// Taskcluster as the destination of labels.
    pub fn taskcluster(&self, aws: &Aws) -> Option<TaskclusterDestination> {
        let settings = self.taskcluster.clone()?;
        let parameter =
            |name: String| CredentialsSource::Parameter { name, aws: Box::new(aws.clone()), read: Mutex::default() };
        Some(TaskclusterDestination {
            levels: settings.trigger.clone(),
            credentials: self.taskcluster_parameter.clone().map(parameter),
            client: Taskcluster::new(settings),
        })
    }
}

impl FollowSettings {
    /// Reads the settings through `lookup`, which returns the value of a variable. An empty value counts as unset.
    ///
    /// # Errors
    /// The first variable that is missing or wrong.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let read = Variables::new(&lookup);
        let treeherder_url = read.parsed(variables::TREEHERDER_URL, address)?;
        Ok(Self {
            requests_table: read.required(variables::REQUESTS_TABLE, "the name of the requests table")?,
            treeherder_url: treeherder_url.unwrap_or_else(|| DEFAULT_TREEHERDER_URL.to_owned()),
            following: read.parsed(FOLLOWING, Following::read)?.unwrap_or_default(),
            taskcluster: TaskclusterSettings::read(lookup)?,
        })
    }
}

impl User {
    /// User and password.
    ///
    /// # Errors
    /// The parameter cannot be read, or does not hold user and password.
    pub async fn credentials(&self, aws: &Aws) -> Result<Credentials, String> {
        let name = match self {
            Self::Given(given) => return Ok(given.clone()),
            Self::Parameter(name) => name,
        };
        let text = aws.parameter(name).await.map_err(|error| error.to_string())?;
        // serde's error is left out: it would repeat the password.
        let stored: StoredUser = serde_json::from_str(&text).map_err(|_| {
            format!("the parameter that {PULSE_PARAMETER} names is not a JSON object with username and password")
        })?;
        Ok(Credentials { username: stored.username, password: stored.password })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDED: [(&str, &str); 4] = [
        ("RUNNABLE_JOBS_REQUESTS_TABLE", "requests"),
        (PULSE_URL, "amqps://pulse.mozilla.org/%2f"),
        (PULSE_NAMESPACE, "treeherder"),
        (PULSE_PARAMETER, "/runnable-jobs/pulse"),
    ];

    fn read(more: &[(&str, &str)]) -> Result<Settings, String> {
        let find = |name: &str| {
            let mut set = more.iter().chain(&NEEDED);
            set.find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Settings::read(find).map_err(|error| error.to_string())
    }

    #[test]
    fn the_user_stands_in_the_address_or_in_a_parameter() {
        assert_eq!(read(&[]).unwrap().user, User::Parameter("/runnable-jobs/pulse".to_owned()));
        let given = Credentials { username: "me".to_owned(), password: "secret".to_owned() };
        assert_eq!(read(&[(PULSE_URL, "amqp://me:secret@127.0.0.1/%2f")]).unwrap().user, User::Given(given));
        let formats = read(&[(PULSE_FORMS, r#"{"try": {"of_2015": true}}"#)]).unwrap().formats;
        assert_eq!(formats["try"], MessageFormat { legacy_buildernames: true, envelope: false });
    }

    #[test]
    fn what_is_not_given_is_as_listeners_and_people_can_bear() {
        let settings = read(&[]).unwrap();
        assert_eq!((settings.max_per_second.get(), settings.planning), (100, Planning::default()));
        assert_eq!(settings.treeherder_url, "https://treeherder.mozilla.org");
        let settings = read(&[(PULSE_RATE, "5"), (variables::PLANNING, r#"{"most_hours": 1}"#)]).unwrap();
        assert_eq!((settings.max_per_second.get(), settings.planning.max_wait_hours), (5, 1));
    }

    #[test]
    fn what_is_wrong_with_a_variable_is_said_without_what_it_holds() {
        const SECRET: &str = "c0rrect-Horse";
        for variable in [
            PULSE_URL,
            PULSE_FORMS,
            PULSE_CERTIFICATES,
            PULSE_RATE,
            FOLLOWING,
            variables::TREEHERDER_URL,
            variables::PLANNING,
        ] {
            for value in runtime::settings::wrong_values(SECRET) {
                let error = read(&[(variable, &value)]).map(|_| ()).unwrap_err();
                assert!(error.starts_with(variable) && !error.contains(SECRET), "{error}");
            }
        }
        let error = read(&[(PULSE_NAMESPACE, "a/c0rrect-Horse")]).map(|_| ()).unwrap_err();
        assert!(!error.contains(SECRET), "{error}");
    }

    #[test]
    fn the_former_setting_says_where_the_credentials_belong_now() {
        let error = read(&[(PULSE_PARAMETER, ""), (FORMER_PULSE_SECRET, "arn:aws:x")]).map(|_| ()).unwrap_err();
        assert!(
            error.starts_with("RUNNABLE_JOBS_PULSE_SECRET is wrong: the credentials are in Parameter Store"),
            "{error}"
        );
        assert!(error.contains(PULSE_PARAMETER) && !error.contains("arn:aws:x"), "{error}");
        assert!(read(&[(FORMER_PULSE_SECRET, "arn:aws:x")]).is_ok(), "it is not read where the new one is set");
    }

    #[test]
    fn what_is_missing_or_wrong_is_named_without_a_password() {
        for (set, said) in [
            (("RUNNABLE_JOBS_REQUESTS_TABLE", ""), "RUNNABLE_JOBS_REQUESTS_TABLE is not set"),
            ((PULSE_URL, ""), "RUNNABLE_JOBS_PULSE_URL is not set"),
            (
                (PULSE_URL, "amqp://me:secret@pulse.mozilla.org/"),
                "RUNNABLE_JOBS_PULSE_URL is wrong: the broker's address",
            ),
            ((PULSE_PARAMETER, ""), "RUNNABLE_JOBS_PULSE_PARAMETER is not set"),
            ((PULSE_NAMESPACE, "a/b"), "RUNNABLE_JOBS_PULSE_URL is wrong: the namespace"),
            ((PULSE_FORMS, "[]"), "RUNNABLE_JOBS_PULSE_FORMS is wrong: a JSON object"),
            ((PULSE_RATE, "0"), "RUNNABLE_JOBS_PULSE_RATE is wrong: a whole number of at least 1"),
            ((variables::TREEHERDER_URL, "x"), "RUNNABLE_JOBS_TREEHERDER_URL is wrong: an address"),
            ((FOLLOWING, "1"), "RUNNABLE_JOBS_FOLLOWING is wrong: a JSON object"),
            ((FOLLOWING, r#"{"max_hours": 0}"#), "RUNNABLE_JOBS_FOLLOWING is wrong: max_hours is 1 to 168"),
            ((variables::PLANNING, "1"), "RUNNABLE_JOBS_PLANNING is wrong: a JSON object"),
            ((PULSE_CERTIFICATES, "/not/there"), "RUNNABLE_JOBS_PULSE_CERTIFICATES is wrong: No such file"),
        ] {
            let error = read(&[set]).map(|_| ()).unwrap_err();
            assert!(error.starts_with(said) && !error.contains("secret@"), "{error}");
        }
    }
}
