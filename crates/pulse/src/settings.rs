//! The address of Pulse, and the user that publishes.

use std::fmt;

use lapin::uri::{AMQPScheme, AMQPUri, AMQPUserInfo};

/// The address of Pulse, and the user whose exchange is written to.
#[derive(Debug, Clone)]
pub struct PulseSettings {
    /// The broker and its virtual host, without the credentials.
    pub(crate) uri: AMQPUri,
    /// The Pulse user whose exchange is written to.
    pub(crate) namespace: String,
    /// The CA certificates that the broker's certificate is checked against, in PEM (default: those of the system).
    pub(crate) certificates: Option<String>,
}

/// User and password at the broker. `Debug` leaves the password out.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user.
    pub username: String,
    /// The password.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Credentials({})", self.username)
    }
}

impl PulseSettings {
    /// Reads the broker's address, `amqps://HOST:PORT/VHOST` without user and password, or `amqp://` on this machine.
    ///
    /// # Errors
    /// A sentence that says what is wrong. It does not repeat the address, which may hold a password.
    pub fn read(
        url: &str,
        namespace: &str,
        certificates: Option<String>,
    ) -> Result<(Self, Option<Credentials>), String> {
        let expected = "the broker's address is expected, amqps://HOST/VHOST (amqp:// for this machine alone)";
        let mut uri: AMQPUri = url.parse().map_err(|_| expected.to_owned())?;
        let is_local = matches!(uri.authority.host.as_str(), "127.0.0.1" | "::1" | "[::1]" | "localhost");
        if uri.scheme != AMQPScheme::AMQPS && !is_local {
            return Err(format!("{expected}; without TLS the password would be there for all to read"));
        }
        if namespace.is_empty() || namespace.contains('/') {
            return Err("the namespace is the name of a Pulse user, without slashes".to_owned());
        }
        // The library reads an address without a user as user guest: only the text says whether a user was given.
        let is_given =
            url.split_once("://").is_some_and(|(_, rest)| rest.split('/').next().unwrap_or_default().contains('@'));
        let AMQPUserInfo { username, password } = uri.authority.userinfo.clone();
        let credentials = is_given.then_some(Credentials { username, password });
        uri.authority.userinfo = AMQPUserInfo { username: String::new(), password: String::new() };
        Ok((Self { uri, namespace: namespace.to_owned(), certificates }, credentials))
    }

    /// The exchange that messages are published to.
    pub fn exchange(&self) -> String {
        format!("exchange/{}/v1/resultset-runnable-job-actions", self.namespace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_with_tls_or_on_this_machine() {
        let read = |url| PulseSettings::read(url, "treeherder", None);
        for good in [
            "amqps://pulse.mozilla.org:5671/%2f",
            "amqp://127.0.0.1:5673/%2f",
            "amqp://[::1]:5673/%2f",
            "amqp://localhost/%2f",
        ] {
            assert!(matches!(read(good), Ok((_, None))), "{good}");
        }
        for wrong in [
            "",
            "pulse.mozilla.org",
            "amqp://pulse.mozilla.org/%2f",
            "https://pulse.mozilla.org",
            "amqp://127.0.0.1.example.org/",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert!(PulseSettings::read("amqp://127.0.0.1/", "a/b", None).is_err());
    }

    #[test]
    fn a_password_in_an_address_is_taken_out_of_it_and_not_shown() {
        let (settings, credentials) =
            PulseSettings::read("amqp://me:secret@127.0.0.1:1/%2f", "treeherder", None).unwrap();
        let credentials = credentials.unwrap();
        assert_eq!((credentials.username.as_str(), credentials.password.as_str()), ("me", "secret"));
        assert!(!format!("{settings:?} {credentials:?}").contains("secret"));
        assert_eq!(settings.exchange(), "exchange/treeherder/v1/resultset-runnable-job-actions");
    }
}
