//! The id of a task.

use std::fmt;
use std::str::FromStr;

/// Characters of a task id.
const LENGTH: usize = 22;

/// The id of a task: a slugid, which is a version 4 UUID in base64url without padding. Taskcluster refuses anything else.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(String);

/// The text is not a task id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a task id is expected: 22 letters, digits, '-' and '_', for example Ab-_9fIzT8aXVvV2yWqhGQ")]
pub struct BadTaskId;

impl TaskId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TaskId {
    type Err = BadTaskId;

    /// Reads an id. The version, the variant and the unused bits of the last character are checked, as Taskcluster does.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = text.as_bytes();
        let is_base64url = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
        let is_id = bytes.len() == LENGTH
            && bytes.iter().all(is_base64url)
            && (b'Q'..=b'T').contains(&bytes[8])
            && b"CGKOSWaeimquy26-".contains(&bytes[10])
            && b"AQgw".contains(&bytes[LENGTH - 1]);
        if is_id { Ok(Self(text.to_owned())) } else { Err(BadTaskId) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slugid_is_a_task_id() {
        for id in ["Ab-_9fIzT8aXVvV2yWqhGQ", "RGxvyxsJRdWoCXCpZAkSTA", "fN1SbArXTPSVFNUvaOlinQ"] {
            assert_eq!(id.parse::<TaskId>().map(|id| id.to_string()), Ok(id.to_owned()));
        }
    }

    #[test]
    fn anything_else_is_not() {
        for text in [
            "",
            "undefined",
            "Ab-_9fIzT8aXVvV2yWqhG",
            "Ab-_9fIzT8aXVvV2yWqhGQQ",
            // Another version, another variant, and bits that a UUID does not have.
            "Ab-_9fIzU8aXVvV2yWqhGQ",
            "Ab-_9fIzT8bXVvV2yWqhGQ",
            "Ab-_9fIzT8aXVvV2yWqhGR",
            "Ab-+9fIzT8aXVvV2yWqhGQ",
            "Ab/_9fIzT8aXVvV2yWqhGQ",
            "é-_9fIzT8aXVvV2yWqhGQ",
        ] {
            assert_eq!(text.parse::<TaskId>(), Err(BadTaskId), "{text}");
        }
    }
}
