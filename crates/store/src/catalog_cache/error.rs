//! The error of the cache.

use runtime::Unavailable;

/// Why the catalog has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogError {
    /// There is no such project.
    #[error("there is no such project")]
    UnknownProject {
        /// The projects with the most similar names, the most similar first.
        suggestions: Vec<String>,
    },
    /// The store does not answer or its data is damaged, and nothing is in memory. Holds the reason, for the log.
    #[error("{0}")]
    Unavailable(String),
}

impl From<Unavailable> for CatalogError {
    fn from(Unavailable(reason): Unavailable) -> Self {
        Self::Unavailable(reason)
    }
}
