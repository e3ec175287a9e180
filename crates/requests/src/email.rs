//! E-mail addresses, which identify people.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest address (RFC 3696, erratum 1690), in bytes.
const MAX_LENGTH: usize = 254;

/// An e-mail address, in lower case: a person has one budget, one list of requests and one place on an allow-list, in
/// whatever case the address is written. A mail server may distinguish `Someone` from `someone`, but no known one does.
/// Only ASCII letters have a case here: letters that merely look alike are different.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Email(String);

/// Not an e-mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an e-mail address is expected, such as someone@mozilla.com")]
pub struct InvalidEmail;

impl Email {
    /// The address.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part behind the last `@`, in lower case.
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

impl FromStr for Email {
    type Err = InvalidEmail;

    fn from_str(text: &str) -> Result<Self, InvalidEmail> {
        let (local, domain) = text.rsplit_once('@').ok_or(InvalidEmail)?;
        let is_odd = |letter: char| letter.is_whitespace() || letter.is_control() || "<>(),;:\"\\".contains(letter);
        let is_whole = !local.is_empty() && !domain.is_empty() && !local.contains('@') && text.len() <= MAX_LENGTH;
        if !is_whole || text.contains(is_odd) || domain.starts_with('.') || domain.ends_with('.') {
            return Err(InvalidEmail);
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl TryFrom<String> for Email {
    type Error = InvalidEmail;

    fn try_from(text: String) -> Result<Self, InvalidEmail> {
        text.parse()
    }
}

impl From<Email> for String {
    fn from(email: Email) -> Self {
        email.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn email(text: &str) -> Email {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_in_another_case_is_the_same_person() {
        for other in ["someone@Mozilla.COM", "Someone@mozilla.com", "SOMEONE@MOZILLA.COM"] {
            assert_eq!(email(other), email("someone@mozilla.com"));
        }
        // As an earlier version stored it.
        assert_eq!(serde_json::from_str::<Email>("\"Someone@mozilla.com\"").unwrap(), email("someone@mozilla.com"));
        assert_eq!(email("someone@Mozilla.COM").domain(), "mozilla.com");
    }

    #[test]
    fn a_look_alike_is_another_person() {
        // A Cyrillic o, a Kelvin sign (which Unicode's lower case makes a k of), and a dotless i.
        for other in ["someone@m\u{43e}zilla.com", "someone@mozi\u{131}la.com", "someone@mozilla.com.example.org"] {
            assert_ne!(email(other).domain(), "mozilla.com", "{other}");
        }
        assert_ne!(email("dev@\u{212a}de.org"), email("dev@kde.org"));
    }

    #[test]
    fn text_that_is_not_an_address_is_refused() {
        let long = format!("{}@mozilla.com", "x".repeat(250));
        for wrong in [
            "",
            "someone",
            "@mozilla.com",
            "someone@",
            "a@b@mozilla.com",
            "some one@mozilla.com",
            "someone@mozilla.com\n",
            "Someone <someone@mozilla.com>",
            "someone@.mozilla.com",
            "someone@mozilla.com.",
            "one@mozilla.com,two@mozilla.com",
            &long,
        ] {
            assert_eq!(wrong.parse::<Email>(), Err(InvalidEmail), "{wrong}");
        }
    }
}
