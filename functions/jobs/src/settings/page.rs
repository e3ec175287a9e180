//! The settings of the page.

use fetch::Url;
use runtime::settings::{AN_ISSUER, DEFAULT_TREEHERDER_URL, SettingsError, Variables, variables};

use crate::api::{PageConfig, PageSignIn};

/// Where the trigger function is, for browsers.
pub const TRIGGER_PUBLIC_URL: &str = "RUNNABLE_JOBS_TRIGGER_PUBLIC_URL";

/// The services that the page uses besides the lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageSettings {
    /// Where jobs are requested.
    pub trigger: TriggerAddress,
    /// Treeherder.
    pub treeherder: PublicAddress,
    /// Taskcluster's root URL, if one is configured. The page only links to it.
    pub taskcluster: Option<Url>,
    /// Where people sign in, if they can.
    pub sign_in: Option<SignIn>,
}

/// Where jobs are requested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TriggerAddress {
    /// Beside the page.
    Here,
    /// At another address.
    Elsewhere(PublicAddress),
    /// Jobs cannot be requested from the page.
    Nowhere,
}

/// Where people sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignIn {
    /// The issuer.
    pub issuer: PublicAddress,
    /// The client id of this deployment at the issuer.
    pub client_id: String,
}

/// An address to which browsers connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicAddress {
    /// The address as it was configured.
    text: String,
    /// Its origin, as a policy names it.
    origin: String,
}

impl PublicAddress {
    /// Reads an address.
    ///
    /// # Errors
    /// The value is not such an address. The message states what is expected.
    pub fn read(value: &str) -> Result<Self, &'static str> {
        let expected = "an address for browsers is expected, with http:// or https:// and a host, without user, query \
                        and fragment, for example https://treeherder.mozilla.org";
        let url = Url::parse(value).map_err(|_| expected)?;
        let is_bare = url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
            && value.bytes().all(|byte| byte.is_ascii_graphic());
        // Other characters of a host would end the directive of a policy.
        let is_host = |host: &str| host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._[]:".contains(&byte));
        let has_host = matches!(url.scheme(), "http" | "https") && url.host_str().is_some_and(is_host);
        if is_bare && has_host {
            Ok(Self { text: value.to_owned(), origin: url.origin().ascii_serialization() })
        } else {
            Err(expected)
        }
    }

    fn without_slash(&self) -> String {
        self.text.trim_end_matches('/').to_owned()
    }
}

impl PageSettings {
    /// Reads the settings. `taskcluster` is its root URL, if one is configured.
    ///
    /// # Errors
    /// The first variable that is missing or wrong.
    pub fn read<L: Fn(&str) -> Option<String>>(
        read: &Variables<L>,
        taskcluster: Option<&Url>,
    ) -> Result<Self, SettingsError> {
        let treeherder = match read.parsed(variables::TREEHERDER_PUBLIC_URL, PublicAddress::read)? {
            Some(address) => address,
            // Without an address of its own for browsers, it is the same for all.
            None => match read.parsed(variables::TREEHERDER_URL, PublicAddress::read)? {
                Some(address) => address,
                None => {
                    PublicAddress { text: DEFAULT_TREEHERDER_URL.to_owned(), origin: DEFAULT_TREEHERDER_URL.to_owned() }
                }
            },
        };
        Ok(Self {
            trigger: read.parsed(TRIGGER_PUBLIC_URL, trigger)?.unwrap_or(TriggerAddress::Here),
            treeherder,
            taskcluster: taskcluster.cloned(),
            sign_in: sign_in(read)?,
        })
    }

    /// The configuration of the page. Addresses to which it appends paths have no slash at the end.
    pub(crate) fn config(&self) -> PageConfig {
        PageConfig {
            trigger_url: match &self.trigger {
                TriggerAddress::Here => Some(".".to_owned()),
                TriggerAddress::Elsewhere(address) => Some(address.without_slash()),
                TriggerAddress::Nowhere => None,
            },
            treeherder_url: self.treeherder.without_slash(),
            taskcluster_url: self.taskcluster.as_ref().map(|url| url.as_str().trim_end_matches('/').to_owned()),
            sign_in: self.sign_in.as_ref().map(|sign_in| PageSignIn {
                issuer: sign_in.issuer.text.clone(),
                client_id: sign_in.client_id.clone(),
            }),
        }
    }

    /// The origins that the page connects to besides its own, each once.
    pub(crate) fn origins(&self) -> Vec<&str> {
        let trigger = match &self.trigger {
            TriggerAddress::Elsewhere(address) => Some(address),
            TriggerAddress::Here | TriggerAddress::Nowhere => None,
        };
        let issuer = self.sign_in.as_ref().map(|sign_in| &sign_in.issuer);
        let mut origins: Vec<&str> = Vec::new();
        for address in [trigger, Some(&self.treeherder), issuer].into_iter().flatten() {
            if !origins.contains(&address.origin.as_str()) {
                origins.push(&address.origin);
            }
        }
        origins
    }
}

fn trigger(value: &str) -> Result<TriggerAddress, &'static str> {
    let expected = "'.', 'none' or the address of the trigger function for browsers is expected, with http:// or \
                    https:// and a host, without user, query and fragment";
    match value {
        "." => Ok(TriggerAddress::Here),
        "none" => Ok(TriggerAddress::Nowhere),
        _ => PublicAddress::read(value).map(TriggerAddress::Elsewhere).map_err(|_| expected),
    }
}

/// Where people sign in. As for the trigger function, they cannot without an audience.
fn sign_in<L: Fn(&str) -> Option<String>>(read: &Variables<L>) -> Result<Option<SignIn>, SettingsError> {
    let Some(client_id) = read.get(variables::OIDC_AUDIENCE) else { return Ok(None) };
    let issuer = read.parsed(variables::OIDC_ISSUER, PublicAddress::read)?;
    let missing = SettingsError::Missing { variable: variables::OIDC_ISSUER, expected: AN_ISSUER };
    Ok(Some(SignIn { issuer: issuer.ok_or(missing)?, client_id }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(set: &[(&str, &str)]) -> Result<PageSettings, String> {
        let find = |name: &str| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let taskcluster = Url::parse("https://tc.example.org/").unwrap();
        PageSettings::read(&Variables::new(find), Some(&taskcluster)).map_err(|error| error.to_string())
    }

    #[test]
    fn the_page_reads_mozillas_treeherder_and_requests_jobs_beside_itself_by_default() {
        let settings = read(&[]).unwrap();
        assert_eq!(
            settings.config(),
            PageConfig {
                trigger_url: Some(".".to_owned()),
                treeherder_url: "https://treeherder.mozilla.org".to_owned(),
                taskcluster_url: Some("https://tc.example.org".to_owned()),
                sign_in: None,
            }
        );
        assert_eq!(settings.origins(), ["https://treeherder.mozilla.org"]);
        assert_eq!(PublicAddress::read(DEFAULT_TREEHERDER_URL), Ok(settings.treeherder));
    }

    #[test]
    fn treeherder_has_one_address_unless_browsers_have_another() {
        let url = |set: &[(&str, &str)]| read(set).unwrap().config().treeherder_url;
        let inside = (variables::TREEHERDER_URL, "http://treeherder:80/");
        assert_eq!(url(&[inside]), "http://treeherder:80");
        assert_eq!(
            url(&[inside, (variables::TREEHERDER_PUBLIC_URL, "http://127.0.0.1:8000")]),
            "http://127.0.0.1:8000"
        );
    }

    #[test]
    fn the_trigger_function_is_beside_the_page_or_at_another_address_or_nowhere() {
        let url = |value| read(&[(TRIGGER_PUBLIC_URL, value)]).unwrap().config().trigger_url;
        assert_eq!(url("."), Some(".".to_owned()));
        assert_eq!(url("none"), None);
        assert_eq!(url("https://x.example.org/"), Some("https://x.example.org".to_owned()));
        assert_eq!(url("http://127.0.0.1:4566/a/b"), Some("http://127.0.0.1:4566/a/b".to_owned()));
    }

    #[test]
    fn people_sign_in_where_an_issuer_and_an_audience_are_configured() {
        let issuer = (variables::OIDC_ISSUER, "https://issuer.example.org/");
        let audience = (variables::OIDC_AUDIENCE, "abc");
        let sign_in = read(&[issuer, audience]).unwrap().config().sign_in.unwrap();
        // As in the tokens, with its slash.
        assert_eq!((sign_in.issuer.as_str(), sign_in.client_id.as_str()), ("https://issuer.example.org/", "abc"));
        assert_eq!(read(&[issuer]).unwrap().sign_in, None);
        assert_eq!(
            read(&[audience]).unwrap_err(),
            "RUNNABLE_JOBS_OIDC_ISSUER is not set: who issues the sign-ins is expected"
        );
    }

    #[test]
    fn an_origin_that_several_services_share_counts_once() {
        let set = [
            (TRIGGER_PUBLIC_URL, "https://one.example.org/trigger"),
            (variables::TREEHERDER_PUBLIC_URL, "https://one.example.org:443"),
            (variables::OIDC_ISSUER, "https://two.example.org:8443/realms/a"),
            (variables::OIDC_AUDIENCE, "abc"),
        ];
        assert_eq!(read(&set).unwrap().origins(), ["https://one.example.org", "https://two.example.org:8443"]);
    }

    #[test]
    fn an_address_that_browsers_cannot_use_is_refused_with_a_sentence() {
        for value in [
            "treeherder.mozilla.org",
            "/trigger",
            "..",
            "ftp://example.org",
            "https://",
            "https://someone@example.org",
            "https://example.org/?a",
            "https://example.org/#a",
            "https://a;b",
            "https://a,b",
            "https://a'b",
            "https://example.org/ b",
            " https://example.org",
        ] {
            let wrong = read(&[(variables::TREEHERDER_PUBLIC_URL, value)]).unwrap_err();
            assert!(
                wrong.starts_with("RUNNABLE_JOBS_TREEHERDER_PUBLIC_URL is wrong: an address for browsers is expected"),
                "{value}: {wrong}"
            );
            let wrong = read(&[(TRIGGER_PUBLIC_URL, value)]).unwrap_err();
            assert!(
                wrong.starts_with("RUNNABLE_JOBS_TRIGGER_PUBLIC_URL is wrong: '.', 'none' or the address"),
                "{value}: {wrong}"
            );
        }
    }

    #[test]
    fn an_error_does_not_repeat_the_value() {
        const SECRET: &str = "c0rrect-Horse";
        for variable in
            [TRIGGER_PUBLIC_URL, variables::TREEHERDER_PUBLIC_URL, variables::TREEHERDER_URL, variables::OIDC_ISSUER]
        {
            for value in runtime::settings::wrong_values(SECRET) {
                let error = read(&[(variable, &value), (variables::OIDC_AUDIENCE, "abc")]).unwrap_err();
                assert!(error.starts_with(variable) && !error.contains(SECRET), "{error}");
            }
        }
    }
}
