//! The settings of the trigger function, from `RUNNABLE_JOBS_*` environment variables.

use chrono::TimeDelta;
use http::HeaderValue;
use http_api::{IdentitySettings, KeySource};
use requests::permissions::Permissions;
use requests::planning::Planning;
use requests::rate_limits::RateLimits;
use requests::resolve::Renames;
use runtime::settings::variables::{OIDC_AUDIENCE, OIDC_ISSUER, TREEHERDER_PUBLIC_URL};
use runtime::settings::{
    A_TABLE, AN_ISSUER, DEFAULT_TREEHERDER_URL, SettingsError, Variables, up_to_an_hour, variables,
};
use taskcluster::TaskclusterSettings;
use treeherder::address;

use crate::api::PublicUrls;
use crate::service::WithoutTreeherder;

/// The scope by which a service may ask on behalf of people.
pub(crate) const SCOPE: &str = "trigger:on-behalf";
/// How long a push is cached, in seconds, by default.
const TREEHERDER_TTL: u32 = 60;
/// How long job names are cached, in seconds, by default.
const NAMES_TTL: u32 = 30;

/// What is expected in `REQUESTS_TABLE` and in `QUEUE_URL`.
const A_REQUESTS_TABLE: &str = "the name of the requests table";
const A_QUEUE: &str = "the address of the queue";

const TREEHERDER_CACHE_SECONDS: &str = "RUNNABLE_JOBS_TREEHERDER_CACHE_SECONDS";
const WITHOUT_TREEHERDER: &str = "RUNNABLE_JOBS_WITHOUT_TREEHERDER";
const OIDC_SERVICE_AUDIENCE: &str = "RUNNABLE_JOBS_OIDC_SERVICE_AUDIENCE";
const OIDC_SERVICE_CLIENTS: &str = "RUNNABLE_JOBS_OIDC_SERVICE_CLIENTS";
const OIDC_KEYS: &str = "RUNNABLE_JOBS_OIDC_KEYS";
const TRIGGER_LIMITS: &str = "RUNNABLE_JOBS_TRIGGER_LIMITS";
const RENAMES: &str = "RUNNABLE_JOBS_RENAMES";

/// The variable that says who may trigger jobs.
pub const TRIGGER_RULES: &str = "RUNNABLE_JOBS_TRIGGER_RULES";

/// The settings of the trigger function.
#[derive(Debug)]
pub struct Settings {
    /// The catalog table.
    pub catalog_table: String,
    /// The requests table.
    pub requests_table: String,
    /// The queue's address.
    pub queue_url: String,
    /// How long job names are cached before they are checked for changes.
    pub fresh: TimeDelta,
    /// Maximum size of the names in memory, in bytes.
    pub cache_bytes: usize,
    /// The origins whose scripts may read the answers, exactly as browsers send them.
    pub allowed_origins: Vec<HeaderValue>,
    /// The Taskcluster whose labels can be requested, if one is configured.
    pub taskcluster: Option<TaskclusterSettings>,
    /// Treeherder's address, without a slash at the end.
    pub treeherder_url: String,
    /// Treeherder's address for browsers, with which links start.
    pub treeherder_public_url: String,
    /// How long a push is cached.
    pub treeherder_ttl: TimeDelta,
    /// What to do while Treeherder is unavailable.
    pub without_treeherder: WithoutTreeherder,
    /// Which sign-ins are accepted; `None` if sign-in is not configured.
    pub identity: Option<IdentitySettings>,
    /// Who may trigger jobs.
    pub permissions: Permissions,
    /// The limits on what one requester may ask for.
    pub limits: RateLimits,
    /// The renames of jobs.
    pub renames: Renames,
    /// How jobs are planned.
    pub planning: Planning,
}

impl Settings {
    /// Reads the settings through `lookup`, which returns the value of a variable. An empty value counts as unset.
    ///
    /// # Errors
    /// The first variable that is missing or wrong.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let read = Variables::new(&lookup);
        let seconds = |variable, default: u32| {
            let seconds = read.parsed(variable, up_to_an_hour)?.unwrap_or(default);
            Ok::<_, SettingsError>(TimeDelta::seconds(seconds.into()))
        };
        let (treeherder_url, treeherder_public_url) = treeherder(&read)?;
        Ok(Self {
            catalog_table: read.required(variables::CATALOG_TABLE, A_TABLE)?,
            requests_table: read.required(variables::REQUESTS_TABLE, A_REQUESTS_TABLE)?,
            queue_url: read.required(variables::QUEUE_URL, A_QUEUE)?,
            fresh: seconds(variables::FRESH_SECONDS, NAMES_TTL)?,
            cache_bytes: read.cache_bytes()?,
            allowed_origins: read.parsed(variables::ALLOWED_ORIGINS, http_api::origins)?.unwrap_or_default(),
            taskcluster: TaskclusterSettings::read(&lookup)?,
            treeherder_url,
            treeherder_public_url,
            treeherder_ttl: seconds(TREEHERDER_CACHE_SECONDS, TREEHERDER_TTL)?,
            without_treeherder: read.parsed(WITHOUT_TREEHERDER, without)?.unwrap_or(WithoutTreeherder::PermissionsOnly),
            identity: identity(&read)?,
            permissions: needed(&read, TRIGGER_RULES, "who may trigger jobs, in JSON,", Permissions::read)?,
            limits: read.parsed(TRIGGER_LIMITS, RateLimits::read)?.unwrap_or_default(),
            renames: read.parsed(RENAMES, Renames::read)?.unwrap_or_default(),
            planning: read.parsed(variables::PLANNING, Planning::read)?.unwrap_or_default(),
        })
    }
}

impl Settings {
    /// The addresses with which links start.
    pub(crate) fn public_urls(&self) -> PublicUrls {
        urls(self.treeherder_public_url.clone(), self.taskcluster.as_ref())
    }
}

fn urls(treeherder: String, taskcluster: Option<&TaskclusterSettings>) -> PublicUrls {
    let taskcluster = taskcluster.map(|settings| settings.root_url.as_str().trim_end_matches('/').to_owned());
    PublicUrls { treeherder, taskcluster }
}

/// The settings of the sweep function.
#[derive(Debug)]
pub struct SweepSettings {
    /// The requests table.
    pub requests_table: String,
    /// The queue's address.
    pub queue_url: String,
    /// The address of the queue of messages that could not be forwarded. Without it they are not counted.
    pub dead_letters_url: Option<String>,
    /// How jobs are planned.
    pub planning: Planning,
}

impl SweepSettings {
    /// Reads the settings through `lookup`, which returns the value of a variable. An empty value counts as unset.
    ///
    /// # Errors
    /// The first variable that is missing or wrong.
    pub fn read(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let read = Variables::new(lookup);
        Ok(Self {
            requests_table: read.required(variables::REQUESTS_TABLE, A_REQUESTS_TABLE)?,
            queue_url: read.required(variables::QUEUE_URL, A_QUEUE)?,
            dead_letters_url: read.get("RUNNABLE_JOBS_DEAD_LETTERS_URL"),
            planning: read.parsed(variables::PLANNING, Planning::read)?.unwrap_or_default(),
        })
    }
}

/// The addresses of Treeherder for the function and for browsers. They are the same unless both are configured.
fn treeherder<L: Fn(&str) -> Option<String>>(read: &Variables<L>) -> Result<(String, String), SettingsError> {
    let url = read.parsed(variables::TREEHERDER_URL, address)?.unwrap_or_else(|| DEFAULT_TREEHERDER_URL.to_owned());
    let public_url = read.parsed(TREEHERDER_PUBLIC_URL, address)?.unwrap_or_else(|| url.clone());
    Ok((url, public_url))
}

/// The addresses with which links start.
///
/// # Errors
/// A variable of Treeherder or Taskcluster is wrong.
pub fn public_urls(lookup: impl Fn(&str) -> Option<String>) -> Result<PublicUrls, SettingsError> {
    let (_, treeherder) = treeherder(&Variables::new(&lookup))?;
    Ok(urls(treeherder, TaskclusterSettings::read(&lookup)?.as_ref()))
}

/// Which sign-ins are accepted. Without an audience, no token could be meant for this service.
fn identity<L: Fn(&str) -> Option<String>>(read: &Variables<L>) -> Result<Option<IdentitySettings>, SettingsError> {
    let Some(audience) = read.get(OIDC_AUDIENCE) else { return Ok(None) };
    // One audience for both is refused: people and services could not be distinguished.
    let other = |value: &str| {
        if value == audience { Err("another than the people's is expected") } else { Ok(value.to_owned()) }
    };
    let service_audience = read.parsed(OIDC_SERVICE_AUDIENCE, other)?;
    let clients = read.get(OIDC_SERVICE_CLIENTS).unwrap_or_default();
    let clients = clients.split([',', ' ']).filter(|client| !client.is_empty());
    Ok(Some(IdentitySettings {
        issuer: read.required(OIDC_ISSUER, AN_ISSUER)?,
        audience,
        service_audience,
        service_clients: clients.map(ToOwned::to_owned).collect(),
        service_scope: SCOPE.to_owned(),
        keys: needed(read, OIDC_KEYS, "the issuer's JWKS, or the address of it,", KeySource::read)?,
    }))
}

/// The parsed value of a required variable.
fn needed<L: Fn(&str) -> Option<String>, T, E: ToString>(
    read: &Variables<L>,
    variable: &'static str,
    expected: &'static str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<T, SettingsError> {
    read.parsed(variable, parse)?.ok_or(SettingsError::Missing { variable, expected })
}

fn without(value: &str) -> Result<WithoutTreeherder, &'static str> {
    match value {
        "rules" => Ok(WithoutTreeherder::PermissionsOnly),
        "refuse" => Ok(WithoutTreeherder::Refuse),
        _ => Err("'rules' or 'refuse' is expected"),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const NEEDED: [(&str, &str); 4] = [
        ("RUNNABLE_JOBS_CATALOG_TABLE", "catalog"),
        ("RUNNABLE_JOBS_REQUESTS_TABLE", "requests"),
        ("RUNNABLE_JOBS_QUEUE_URL", "http://127.0.0.1/queue"),
        (TRIGGER_RULES, "{\"domains\": [\"mozilla.com\"]}"),
    ];

    fn read(more: &[(&str, &str)]) -> Result<Settings, String> {
        let find = |name: &str| {
            let mut set = more.iter().chain(&NEEDED);
            set.find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Settings::read(find).map_err(|error| error.to_string())
    }

    #[test]
    fn without_an_audience_sign_in_is_not_configured() {
        let settings = read(&[(OIDC_ISSUER, "https://issuer.example.org/")]).unwrap();
        assert!(settings.identity.is_none());
        assert_eq!(settings.treeherder_url, "https://treeherder.mozilla.org");
        assert_eq!((settings.fresh, settings.treeherder_ttl), (TimeDelta::seconds(30), TimeDelta::seconds(60)));
        assert_eq!(settings.without_treeherder, WithoutTreeherder::PermissionsOnly);
        assert_eq!((settings.limits, settings.renames), (RateLimits::default(), Renames::default()));
    }

    #[test]
    fn links_lead_to_the_public_address_of_treeherder_and_without_one_to_the_other() {
        let public = |set: &[(&str, &str)]| read(set).unwrap().treeherder_public_url;
        let inside = (variables::TREEHERDER_URL, "http://treeherder:8000");

        assert_eq!(public(&[inside, (TREEHERDER_PUBLIC_URL, "http://127.0.0.1:8000")]), "http://127.0.0.1:8000");
        assert_eq!(public(&[inside]), "http://treeherder:8000");
        assert_eq!(public(&[(TREEHERDER_PUBLIC_URL, "")]), "https://treeherder.mozilla.org");
    }

    #[test]
    fn what_is_missing_or_wrong_is_named_with_what_is_expected() {
        for (set, said) in [
            (("RUNNABLE_JOBS_REQUESTS_TABLE", ""), "RUNNABLE_JOBS_REQUESTS_TABLE is not set"),
            (("RUNNABLE_JOBS_QUEUE_URL", ""), "RUNNABLE_JOBS_QUEUE_URL is not set"),
            ((TRIGGER_RULES, ""), "RUNNABLE_JOBS_TRIGGER_RULES is not set"),
            ((TRIGGER_RULES, "[]"), "RUNNABLE_JOBS_TRIGGER_RULES is wrong: a JSON object"),
            ((variables::TREEHERDER_URL, "treeherder"), "RUNNABLE_JOBS_TREEHERDER_URL is wrong: an address"),
            ((TREEHERDER_PUBLIC_URL, "x"), "RUNNABLE_JOBS_TREEHERDER_PUBLIC_URL is wrong: an address"),
            ((WITHOUT_TREEHERDER, "no"), "RUNNABLE_JOBS_WITHOUT_TREEHERDER is wrong: 'rules' or 'refuse'"),
            ((OIDC_AUDIENCE, "a"), "RUNNABLE_JOBS_OIDC_ISSUER is not set"),
            ((TRIGGER_LIMITS, "1"), "RUNNABLE_JOBS_TRIGGER_LIMITS is wrong: a JSON object"),
            ((RENAMES, "1"), "RUNNABLE_JOBS_RENAMES is wrong: a JSON object"),
            ((variables::PLANNING, "1"), "RUNNABLE_JOBS_PLANNING is wrong: a JSON object"),
        ] {
            let error = read(&[set]).map(|_| ()).unwrap_err();
            assert!(error.starts_with(said), "{error}");
        }
    }

    #[test]
    fn services_are_listed_with_commas_or_spaces() {
        let issuer = [(OIDC_ISSUER, "a"), (OIDC_AUDIENCE, "us"), (OIDC_KEYS, "https://issuer.example.org/keys")];
        let clients = |value: &str| {
            let set = [&issuer[..], &[(OIDC_SERVICE_AUDIENCE, "api"), (OIDC_SERVICE_CLIENTS, value)]].concat();
            read(&set).unwrap().identity.unwrap().service_clients
        };
        assert_eq!(clients("treeherder, sheriff,"), ["treeherder", "sheriff"].map(str::to_owned).into());
        assert!(clients("").is_empty() && clients(" ,").is_empty());
    }

    /// A wrong value may be a password in the wrong place, and the error is logged.
    #[test]
    fn what_is_wrong_with_a_variable_is_said_without_what_it_holds() {
        const SECRET: &str = "c0rrect-Horse";
        let sign_in = [(OIDC_ISSUER, "a"), (OIDC_AUDIENCE, SECRET), (OIDC_KEYS, "https://issuer.example.org/keys")];
        let mut refused = BTreeSet::new();
        for variable in [
            variables::CATALOG_TABLE,
            variables::REQUESTS_TABLE,
            variables::QUEUE_URL,
            variables::FRESH_SECONDS,
            variables::ALLOWED_ORIGINS,
            variables::TREEHERDER_URL,
            variables::PLANNING,
            TREEHERDER_CACHE_SECONDS,
            WITHOUT_TREEHERDER,
            OIDC_ISSUER,
            OIDC_AUDIENCE,
            OIDC_SERVICE_AUDIENCE,
            OIDC_SERVICE_CLIENTS,
            OIDC_KEYS,
            TRIGGER_RULES,
            TRIGGER_LIMITS,
            RENAMES,
        ] {
            for value in runtime::settings::wrong_values(SECRET) {
                let set = [&[(variable, value.as_str())][..], &sign_in].concat();
                let Err(error) = read(&set) else { continue };
                assert!(error.starts_with(variable) && !error.contains(SECRET), "{error}");
                refused.insert(variable);
            }
        }
        let any_text_will_do = [
            variables::CATALOG_TABLE,
            variables::REQUESTS_TABLE,
            variables::QUEUE_URL,
            OIDC_ISSUER,
            OIDC_AUDIENCE,
            OIDC_SERVICE_CLIENTS,
        ];
        assert_eq!(refused.len(), 17 - any_text_will_do.len(), "{refused:?}");
    }

    #[test]
    fn a_sign_in_is_configured_whole() {
        let issuer = [(OIDC_ISSUER, "https://issuer.example.org/"), (OIDC_AUDIENCE, "us")];
        let with = |more: &[(&str, &str)]| read(&[&issuer[..], more].concat()).map(|_| ());
        for (more, said) in [
            (&[][..], "RUNNABLE_JOBS_OIDC_KEYS is not set"),
            (
                &[(OIDC_KEYS, "http://issuer.example.org/keys")],
                "RUNNABLE_JOBS_OIDC_KEYS is wrong: the address of a JWKS",
            ),
            (&[(OIDC_SERVICE_AUDIENCE, "us")], "RUNNABLE_JOBS_OIDC_SERVICE_AUDIENCE is wrong: another"),
        ] {
            let error = with(more).unwrap_err();
            assert!(error.starts_with(said), "{error}");
        }
        assert_eq!(with(&[(OIDC_KEYS, "https://issuer.example.org/keys")]), Ok(()));
    }
}
