//! Reading settings from environment variables, and the errors of variables that are missing or wrong.

/// The names of the variables that more than one program reads.
pub mod variables {
    /// The catalog table.
    pub const CATALOG_TABLE: &str = "RUNNABLE_JOBS_CATALOG_TABLE";
    /// The requests table.
    pub const REQUESTS_TABLE: &str = "RUNNABLE_JOBS_REQUESTS_TABLE";
    /// The address of the queue of requests.
    pub const QUEUE_URL: &str = "RUNNABLE_JOBS_QUEUE_URL";
    /// Treeherder's address.
    pub const TREEHERDER_URL: &str = "RUNNABLE_JOBS_TREEHERDER_URL";
    /// Treeherder's address for browsers.
    pub const TREEHERDER_PUBLIC_URL: &str = "RUNNABLE_JOBS_TREEHERDER_PUBLIC_URL";
    /// The issuer of sign-ins.
    pub const OIDC_ISSUER: &str = "RUNNABLE_JOBS_OIDC_ISSUER";
    /// The audience of people's tokens: this application's client id at the issuer.
    pub const OIDC_AUDIENCE: &str = "RUNNABLE_JOBS_OIDC_AUDIENCE";
    /// How jobs are planned.
    pub const PLANNING: &str = "RUNNABLE_JOBS_PLANNING";
    /// For how many seconds catalog data in memory is used before the store is asked whether it is current.
    pub const FRESH_SECONDS: &str = "RUNNABLE_JOBS_FRESH_SECONDS";
    /// The origins whose scripts may read the answers.
    pub const ALLOWED_ORIGINS: &str = "RUNNABLE_JOBS_ALLOWED_ORIGINS";
    /// When ingests are due.
    pub const SCHEDULE: &str = "RUNNABLE_JOBS_SCHEDULE";
    /// When ingests of Taskcluster are due.
    pub const TASKCLUSTER_SCHEDULE: &str = "RUNNABLE_JOBS_TASKCLUSTER_SCHEDULE";
    /// The memory of the function in MB. Lambda sets it.
    pub const MEMORY_MB: &str = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE";
}

/// What is expected in `CATALOG_TABLE`.
pub const A_TABLE: &str = "the name of the catalog table";
/// What is expected in `OIDC_ISSUER`.
pub const AN_ISSUER: &str = "who issues the sign-ins";

/// The default of `TREEHERDER_URL`.
pub const DEFAULT_TREEHERDER_URL: &str = "https://treeherder.mozilla.org";

/// The memory of a function where Lambda does not set it.
const DEFAULT_MEMORY_MB: usize = 512;

/// Reads a variable of this process.
pub fn environment(variable: &str) -> Option<String> {
    std::env::var(variable).ok()
}

/// Reads a whole number of at least 0.
///
/// # Errors
/// The value is something else.
pub fn whole_number(value: &str) -> Result<u64, &'static str> {
    value.parse().map_err(|_| "a whole number of at least 0 is expected")
}

/// Reads a number of seconds of at most an hour. A replaced list stays readable for a day.
///
/// # Errors
/// The value is something else.
pub fn up_to_an_hour(value: &str) -> Result<u32, &'static str> {
    let seconds = value.parse().ok().filter(|seconds| *seconds <= 3600);
    seconds.ok_or("a whole number of seconds from 0 to 3600 is expected")
}

/// A variable that is missing or wrong.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum SettingsError {
    /// A required variable is not set.
    #[error("{variable} is not set: {expected} is expected")]
    Missing {
        /// The variable.
        variable: &'static str,
        /// What it should hold.
        expected: &'static str,
    },
    /// A variable has an invalid value. The message does not repeat the value: errors are logged, and the value may
    /// contain a password.
    #[error("{variable} is wrong: {reason}")]
    Wrong {
        /// The variable.
        variable: &'static str,
        /// What is wrong with the value, without repeating it.
        reason: String,
    },
}

/// Variables, from the environment or from flags. An empty variable counts as not set.
#[derive(Debug, Clone, Copy)]
pub struct Variables<L> {
    lookup: L,
}

impl<L: Fn(&str) -> Option<String>> Variables<L> {
    /// Variables whose values `lookup` gives.
    pub fn new(lookup: L) -> Self {
        Self { lookup }
    }

    /// A variable's value.
    pub fn get(&self, variable: &'static str) -> Option<String> {
        (self.lookup)(variable).filter(|value| !value.is_empty())
    }

    /// The value of a required variable.
    ///
    /// # Errors
    /// The variable is not set.
    pub fn required(&self, variable: &'static str, expected: &'static str) -> Result<String, SettingsError> {
        self.get(variable).ok_or(SettingsError::Missing { variable, expected })
    }

    /// A variable's value, parsed.
    ///
    /// # Errors
    /// `parse` refuses the value. Its reason must not repeat any of the value.
    pub fn parsed<T, E: ToString>(
        &self,
        variable: &'static str,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Option<T>, SettingsError> {
        let Some(value) = self.get(variable) else { return Ok(None) };
        match parse(&value) {
            Ok(parsed) => Ok(Some(parsed)),
            Err(reason) => Err(SettingsError::Wrong { variable, reason: reason.to_string() }),
        }
    }

    /// Bytes of memory for cached lists: half of the function's memory. The other half is for the program and for the
    /// answers that it makes.
    ///
    /// # Errors
    /// The variable of the memory is not a number.
    pub fn cache_bytes(&self) -> Result<usize, SettingsError> {
        let memory_mb = self.parsed(variables::MEMORY_MB, str::parse::<usize>)?.unwrap_or(DEFAULT_MEMORY_MB);
        Ok(memory_mb * 1024 * 1024 / 2)
    }
}

/// Values that contain a secret, for tests. None is valid for a variable that does not accept any text.
#[doc(hidden)]
pub fn wrong_values(secret: &str) -> Vec<String> {
    vec![
        secret.to_owned(),
        format!("ftp://someone:{secret}@example.org/"),
        format!("https://someone:{secret}@exa mple.org:x/?{secret}"),
        format!("s3://{secret}"),
        format!("{secret} * * * ? *"),
        format!("0 0 {secret} * ? *"),
        format!("[\"{secret}\"]"),
        format!("{{\"{secret}\": 1}}"),
        format!("{{{secret}"),
        format!("{{\"domains\": [\"{secret}\"], \"allow\": []}}"),
        format!("{{\"allow\": [\"{secret}\"]}}"),
        format!("{{\"already_running\": \"{secret}\"}}"),
        format!("{{\"jobs_per_hour\": \"{secret}\"}}"),
        format!("{{\"keys\": \"{secret}\"}}"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Variables<impl Fn(&str) -> Option<String>> {
        let set = [("SIZE", "12"), ("WORD", "many"), ("EMPTY", "")];
        Variables::new(move |name: &str| {
            set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn an_empty_variable_counts_as_not_set() {
        for variable in ["EMPTY", "ABSENT"] {
            assert_eq!(variables().get(variable), None);
            assert_eq!(variables().parsed(variable, whole_number), Ok(None));
            let missing = variables().required(variable, "a word").unwrap_err();
            assert_eq!(missing.to_string(), format!("{variable} is not set: a word is expected"));
        }
    }

    #[test]
    fn a_value_is_parsed_or_refused_with_the_reason_alone() {
        assert_eq!(variables().required("WORD", "a word").as_deref(), Ok("many"));
        assert_eq!(variables().parsed("SIZE", whole_number), Ok(Some(12)));
        let wrong = variables().parsed("WORD", whole_number).unwrap_err();
        assert_eq!(wrong.to_string(), "WORD is wrong: a whole number of at least 0 is expected");
    }
}
