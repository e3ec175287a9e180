//! The key under which a command requests jobs: with the same key, the command can be run again, and requests nothing
//! twice.

use std::fmt::{self, Display, Formatter};

/// Maximum length of a key. With the number of a request it has to be a valid `Idempotency-Key`: at most 255 characters.
const MAX_LENGTH: usize = 200;

/// What the keys of a command's requests begin with. It needs no quotes in a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key(String);

impl Key {
    /// A key that was not used before.
    pub(super) fn random() -> Self {
        Self(uuid::Uuid::new_v4().to_string())
    }

    /// # Errors
    /// It is not a key: the error says what is expected.
    pub(super) fn read(text: &str) -> Result<Self, &'static str> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if (1..=MAX_LENGTH).contains(&text.len()) && text.bytes().all(is_plain) {
            return Ok(Self(text.to_owned()));
        }
        Err("1 to 200 letters, digits, '-', '_' and '.' are expected")
    }

    /// The `Idempotency-Key` of a request, by its number among those of the command. It does not depend on the jobs: the
    /// API then refuses other jobs under the key of a request, which may have some of the same jobs.
    pub(super) fn of_request(&self, number: usize) -> String {
        format!("{self}-{number}")
    }
}

impl Display for Key {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use requests::idempotency::IdempotencyKey;
    use requests::new_request::NewRequest;

    use super::*;

    #[test]
    fn a_key_gives_each_request_one_that_the_api_accepts() {
        let new_request = NewRequest::new("try", 1, "someone@mozilla.com".parse().unwrap(), vec!["a".to_owned()]);
        for key in [Key::random(), Key::read(&"x".repeat(200)).unwrap(), Key::read("my.key_1").unwrap()] {
            assert_eq!(Key::read(&key.to_string()), Ok(key.clone()));
            let keys = [1, 2, 100_000].map(|number| key.of_request(number));
            assert!(keys.iter().all(|key| IdempotencyKey::from_header(key, &new_request).is_ok()), "{keys:?}");
            assert_ne!(keys[0], keys[1]);
        }
    }

    #[test]
    fn a_text_that_needs_quotes_or_is_too_long_is_not_a_key() {
        for text in ["", "a b", "a\"b", "$a", "é", "a\n", &"x".repeat(201)] {
            assert!(Key::read(text).is_err(), "{text}");
        }
    }
}
