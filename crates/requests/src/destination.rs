//! Where a job goes.

use serde::{Deserialize, Serialize};

/// Where a job goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Destination {
    /// A Buildbot job goes to Pulse, by its builder name.
    #[default]
    Pulse,
    /// A Taskcluster job goes to an action of its push, by its label.
    Taskcluster,
}

impl Destination {
    /// The name in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pulse => "pulse",
            Self::Taskcluster => "taskcluster",
        }
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
    pub(crate) fn is_pulse(&self) -> bool {
        *self == Self::Pulse
    }
}
