//! Which addresses may be fetched: those of configured hosts, over https.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use reqwest::Url;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::address::is_public;

/// A host, and its port if that is not the scheme's default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// As in a URL: in lower case, IPv6 addresses in brackets.
    name: String,
    port: Option<u16>,
}

impl Host {
    /// The host of a URL. `None` if it has none.
    pub fn of(url: &Url) -> Option<Self> {
        Some(Self { name: url.host_str()?.to_owned(), port: url.port() })
    }
}

impl FromStr for Host {
    type Err = &'static str;

    /// Reads `HOST` or `HOST:PORT`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "a host is expected: HOST or HOST:PORT, without a scheme and a path";
        if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:[]".contains(&byte)) {
            return Err(expected);
        }
        let url = Url::parse(&format!("https://{text}/")).map_err(|_| expected)?;
        Self::of(&url).ok_or(expected)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

/// Why an address is not fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The host is not configured.
    #[error("the host {0} is not among the configured ones")]
    Host(String),
    /// The scheme is not https, and the host is not this machine's own.
    #[error("an address without https is not fetched")]
    Scheme,
    /// The address holds a user name or a password.
    #[error("an address with a user name or a password is not fetched")]
    UserInfo,
    /// The host is not on the public Internet.
    #[error("the host {host} has the address {address}, which is not public")]
    Address {
        /// The host's name, or its address.
        host: String,
        /// Its address.
        address: IpAddr,
    },
}

/// The hosts that may be fetched, over https and at public addresses.
///
/// If the service that they belong to is itself at `http://` on this machine's loopback interface, the others may be
/// there too. This is for tests and for development.
#[derive(Debug, Clone)]
pub struct AllowedHosts {
    hosts: Vec<Host>,
    is_local: bool,
}

impl AllowedHosts {
    /// The host of the service at `root`, and others.
    pub fn new(root: &Url, others: impl IntoIterator<Item = Host>) -> Self {
        let hosts = Host::of(root).into_iter().chain(others).collect();
        Self { hosts, is_local: root.scheme() == "http" && is_loopback(root) }
    }

    /// Checks an address. If its host is a name, the resolver checks what that stands for.
    ///
    /// # Errors
    /// It may not be fetched.
    pub fn check(&self, url: &Url) -> Result<(), Refusal> {
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Refusal::UserInfo);
        }
        let has_scheme = match url.scheme() {
            "https" => true,
            "http" => self.is_local && is_loopback(url),
            _ => false,
        };
        if !has_scheme {
            return Err(Refusal::Scheme);
        }
        let host = Host::of(url).ok_or_else(|| Refusal::Host(String::new()))?;
        if !self.hosts.contains(&host) {
            return Err(Refusal::Host(host.to_string()));
        }
        match literal(&host.name) {
            Some(address) => Resolver { is_local: self.is_local }.check(&host.name, address),
            None => Ok(()),
        }
    }

    pub(crate) fn resolver(&self) -> Resolver {
        Resolver { is_local: self.is_local }
    }
}

/// Whether the host of an address is this machine by its name.
pub fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    host == LOCALHOST || literal(host).is_some_and(|address| address.is_loopback())
}

const LOCALHOST: &str = "localhost";

/// A host that is an address.
fn literal(host: &str) -> Option<IpAddr> {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    address.parse().ok()
}

/// Resolves names to public addresses only.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Resolver {
    is_local: bool,
}

impl Resolver {
    fn check(self, host: &str, address: IpAddr) -> Result<(), Refusal> {
        let names_loopback = host == LOCALHOST || literal(host).is_some();
        let is_allowed = is_public(address) || (self.is_local && names_loopback && address.is_loopback());
        if is_allowed { Ok(()) } else { Err(Refusal::Address { host: host.to_owned(), address }) }
    }
}

impl Resolve for Resolver {
    /// Refuses a name of which one address is not public, so that no order of answers decides.
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = *self;
        Box::pin(async move {
            let addresses: Vec<_> = tokio::net::lookup_host((name.as_str(), 0)).await?.collect();
            for address in &addresses {
                resolver.check(name.as_str(), address.ip())?;
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROOT: &str = "https://tc.example.org";

    fn check(root: &str, others: &[&str], url: &str) -> Result<(), Refusal> {
        let others = others.iter().map(|host| host.parse().unwrap());
        AllowedHosts::new(&root.parse().unwrap(), others).check(&url.parse().unwrap())
    }

    #[test]
    fn the_services_host_and_the_configured_ones_are_allowed() {
        let others = ["artifacts.example.net", "other.example.net:8443"];
        for url in [
            "https://tc.example.org/api",
            "https://TC.example.org:443/api",
            "https://artifacts.example.net/a",
            "https://other.example.net:8443/a",
        ] {
            assert_eq!(check(ROOT, &others, url), Ok(()), "{url}");
        }
    }

    #[test]
    fn every_other_host_and_port_is_refused() {
        for host in [
            "example.org",
            "a.tc.example.org",
            "tc.example.org.evil.net",
            "tc.example.org.",
            "tc.example.org:8443",
            "artifacts.example.net:444",
            "169.254.169.254",
            "[::1]",
        ] {
            let refused = check(ROOT, &["artifacts.example.net"], &format!("https://{host}/"));
            assert_eq!(refused, Err(Refusal::Host(host.to_owned())));
        }
    }

    #[test]
    fn only_https_is_fetched() {
        for url in ["http://tc.example.org/", "ftp://tc.example.org/", "file:///etc/passwd", "data:,x"] {
            assert_eq!(check(ROOT, &[], url), Err(Refusal::Scheme), "{url}");
        }
        // http on another host than this machine is not configured, even if the settings say so.
        assert_eq!(check("http://tc.example.org", &[], "http://tc.example.org/"), Err(Refusal::Scheme));
    }

    #[test]
    fn credentials_in_an_address_are_refused() {
        for url in ["https://someone@tc.example.org/", "https://:secret@tc.example.org/"] {
            assert_eq!(check(ROOT, &[], url), Err(Refusal::UserInfo));
        }
    }

    #[test]
    fn an_address_that_is_not_public_is_refused_although_it_is_configured() {
        for host in ["127.0.0.1", "10.0.0.1", "169.254.169.254", "[::1]", "[::ffff:10.0.0.1]", "[fd00::1]", "0x7f.1"] {
            let refused = check(ROOT, &[host], &format!("https://{host}/"));
            assert!(matches!(refused, Err(Refusal::Address { .. })), "{host}: {refused:?}");
        }
        assert_eq!(check(ROOT, &["8.8.8.8"], "https://8.8.8.8/"), Ok(()));
    }

    #[test]
    fn loopback_is_allowed_if_the_service_is_there_without_tls() {
        let others = ["127.0.0.1:2", "localhost:3", "[::1]:4", "10.0.0.1:5", "artifacts.example.net:6"];
        let local = |url| check("http://127.0.0.1:1", &others, url);
        for url in ["http://127.0.0.1:1/", "http://127.0.0.1:2/", "http://localhost:3/", "http://[::1]:4/"] {
            assert_eq!(local(url), Ok(()), "{url}");
        }
        assert_eq!(local("http://127.0.0.1:9/"), Err(Refusal::Host("127.0.0.1:9".to_owned())));
        assert_eq!(local("http://10.0.0.1:5/"), Err(Refusal::Scheme));
        assert_eq!(local("http://artifacts.example.net:6/"), Err(Refusal::Scheme));
        assert!(matches!(local("https://10.0.0.1:5/"), Err(Refusal::Address { .. })));
        let secure = check("https://127.0.0.1:1", &others, "https://127.0.0.1:1/");
        assert!(matches!(secure, Err(Refusal::Address { .. })));
    }

    #[tokio::test]
    async fn a_name_is_resolved_to_public_addresses_only() {
        let resolve = async |is_local| {
            let resolved = Resolver { is_local }.resolve(LOCALHOST.parse().unwrap()).await;
            resolved.map(Iterator::count).map_err(|error| error.downcast_ref::<Refusal>().cloned())
        };
        assert!(matches!(resolve(false).await, Err(Some(Refusal::Address { .. }))));
        assert!(resolve(true).await.unwrap() > 0);
        // Another name must not stand for this machine, not even where loopback is allowed.
        let local = Resolver { is_local: true };
        assert!(local.check("artifacts.example.net", "127.0.0.1".parse().unwrap()).is_err());
        assert!(local.check("artifacts.example.net", "8.8.8.8".parse().unwrap()).is_ok());
    }

    #[test]
    fn a_host_is_a_name_and_perhaps_a_port() {
        let shown = |text: &str| text.parse::<Host>().map(|host| host.to_string());
        assert_eq!(shown("Example.org"), Ok("example.org".to_owned()));
        assert_eq!(shown("example.org:443"), Ok("example.org".to_owned()));
        assert_eq!(shown("127.0.0.1:80"), Ok("127.0.0.1:80".to_owned()));
        assert_eq!(shown("[::1]:80"), Ok("[::1]:80".to_owned()));
        for wrong in
            ["", "https://a", "a/b", "a@b", "a b", "a:b", "a:99999", "a?b", "a#b", "::1", " a", "a\n", "{a", "*.a"]
        {
            assert!(shown(wrong).is_err(), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_an_address_looks_like_only_configured_hosts_pass(
            url in "(https?|ftp)://[a-z0-9.@:%/\\\\?#\\[\\]-]{0,40}",
        ) {
            if let Ok(url) = Url::parse(&url) {
                let allowed = check(ROOT, &["a.b"], url.as_str());
                let is_configured = url.scheme() == "https" && url.port().is_none()
                    && [Some("tc.example.org"), Some("a.b")].contains(&url.host_str());
                prop_assert!(allowed.is_err() || is_configured, "{url}");
            }
        }

        #[test]
        fn no_trick_before_or_behind_a_configured_host_reaches_another(
            before in "[a-z0-9.@:%\\\\-]{0,6}", behind in "[a-z0-9.@:%\\\\/?#-]{0,12}",
        ) {
            if let Ok(url) = Url::parse(&format!("https://{before}tc.example.org{behind}"))
                && check(ROOT, &[], url.as_str()).is_ok()
            {
                prop_assert_eq!(url.host_str(), Some("tc.example.org"));
                prop_assert_eq!((url.port(), url.username(), url.password()), (None, "", None));
            }
        }
    }
}
