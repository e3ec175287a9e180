//! A push, as Treeherder describes it.

use serde::{Deserialize, Serialize};

use crate::email::Email;

/// A push, as Treeherder describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Push {
    /// The revision of its last commit.
    pub revision: String,
    /// The author; `None` if Treeherder's author is not an e-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<Email>,
}
