//! The id of a request.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

/// The id of a request: a ULID, so that ids sort by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RequestId(Ulid);

/// Not the id of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("26 letters and digits of a request's name are expected")]
pub struct InvalidRequestId;

impl RequestId {
    /// A new id, made of a time and 80 random bits.
    pub fn new(now: DateTime<Utc>, random: u128) -> Self {
        Self(Ulid::from_parts(now.timestamp_millis().try_into().unwrap_or_default(), random))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl FromStr for RequestId {
    type Err = InvalidRequestId;

    /// Reads an id in its canonical spelling; every other spelling is refused.
    fn from_str(text: &str) -> Result<Self, InvalidRequestId> {
        let id = Ulid::from_string(text).map(Self).map_err(|_| InvalidRequestId)?;
        if id.to_string() == text { Ok(id) } else { Err(InvalidRequestId) }
    }
}

impl TryFrom<String> for RequestId {
    type Error = InvalidRequestId;

    fn try_from(text: String) -> Result<Self, InvalidRequestId> {
        text.parse()
    }
}

impl From<RequestId> for String {
    fn from(id: RequestId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn an_id_sorts_by_time_and_has_one_spelling() {
        let start: DateTime<Utc> = "2026-11-23T06:00:00Z".parse().unwrap();
        let first = RequestId::new(start, u128::MAX);
        let second = RequestId::new(start + TimeDelta::seconds(1), 0);
        assert!(first < second && first.to_string() < second.to_string());
        let text = first.to_string();
        assert_eq!(text.parse(), Ok(first));
        for wrong in ["", "x", &text.to_lowercase(), &format!("{text}0"), &text[1..], "8ZZZZZZZZZZZZZZZZZZZZZZZZZ"] {
            assert_eq!(wrong.parse::<RequestId>(), Err(InvalidRequestId), "{wrong}");
        }
    }
}
