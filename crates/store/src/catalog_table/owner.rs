//! Whose list it is.

use std::borrow::Cow;
use std::fmt;

use catalog::taskcluster::TaskId;

/// The start of a project's partition key.
pub(super) const PROJECT: &str = "project#";
/// The start of the partition key of a push's list.
const GRAPH: &str = "graph#";

/// Whose list it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListOwner<'o> {
    /// The project with this name. Its list is what the last ingests made of the sources.
    Project(&'o str),
    /// The push with this decision task. Its list never changes.
    Push(&'o TaskId),
}

impl<'o> From<&'o str> for ListOwner<'o> {
    fn from(project: &'o str) -> Self {
        Self::Project(project)
    }
}

impl<'o> From<&'o TaskId> for ListOwner<'o> {
    fn from(decision_task: &'o TaskId) -> Self {
        Self::Push(decision_task)
    }
}

/// For messages.
impl fmt::Display for ListOwner<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Project(name) => f.write_str(name),
            Self::Push(decision_task) => write!(f, "the push of decision task {decision_task}"),
        }
    }
}

impl<'o> ListOwner<'o> {
    /// The partition key of its items.
    pub(crate) fn partition_key(self) -> String {
        match self {
            Self::Project(name) => format!("{PROJECT}{name}"),
            Self::Push(decision_task) => format!("{GRAPH}{decision_task}"),
        }
    }

    /// A name that no other owner has, for maps in memory: a project's name has no `#`.
    pub(crate) fn unique_name(self) -> Cow<'o, str> {
        match self {
            Self::Project(name) => Cow::Borrowed(name),
            Self::Push(_) => Cow::Owned(self.partition_key()),
        }
    }
}
