//! When a new catalog is too strange to be published: it is then refused whole, and the old one stays.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A project of at most this many jobs may lose any share of them.
pub const SMALL_PROJECT: usize = 100;

/// What is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The fewest builders that a whole dump may hold.
    pub min_builders: u64,
    /// The greatest share of its jobs, in percent, that the catalog or a project may lose at once.
    pub max_drop_percent: u8,
}

/// What a new catalog would do to a project that is in the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss<'p> {
    /// The project.
    pub project: &'p str,
    /// How many jobs it has now.
    pub before: usize,
    /// How many of them the new list does not have.
    pub removed: usize,
    /// Whether the project is in the new catalog at all.
    pub stays: bool,
}

/// Why a catalog was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "guard", rename_all = "snake_case")]
pub enum Refusal {
    /// The dump holds too few builders to be whole.
    TooFewBuilders {
        /// How many it holds.
        builders: u64,
        /// The configured minimum.
        min_builders: u64,
    },
    /// A project would be gone.
    ProjectGone {
        /// The project.
        project: String,
        /// How many jobs it has now.
        before: usize,
    },
    /// A project would lose too many of its jobs.
    ProjectDrops {
        /// The project.
        project: String,
        /// How many jobs it has now.
        before: usize,
        /// How many of them would be gone.
        removed: usize,
    },
    /// The catalog would lose too many of its jobs.
    CatalogDrops {
        /// How many jobs it has now.
        before: usize,
        /// How many of them would be gone.
        removed: usize,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFewBuilders { builders, min_builders } => {
                write!(f, "the source holds {builders} builders, fewer than the configured {min_builders}")
            }
            Self::ProjectGone { project, before } => write!(f, "{project} with its {before} jobs would be gone"),
            Self::ProjectDrops { project, before, removed } => {
                write!(f, "{project} would lose {removed} of its {before} jobs")
            }
            Self::CatalogDrops { before, removed } => {
                write!(f, "the catalog would lose {removed} of its {before} jobs")
            }
        }
    }
}

/// Holds a new catalog against the guards. `losses` has every project of the old catalog. Returns every reason to
/// refuse; none where it may be published.
pub fn check(builders: u64, losses: &[Loss<'_>], limits: &Limits) -> Vec<Refusal> {
    let mut refusals = Vec::new();
    if builders < limits.min_builders {
        refusals.push(Refusal::TooFewBuilders { builders, min_builders: limits.min_builders });
    }
    let drops_too_many = |removed: usize, before: usize| removed * 100 > before * usize::from(limits.max_drop_percent);
    let (mut all_before, mut all_removed) = (0, 0);
    for &Loss { project, before, removed, stays } in losses {
        all_before += before;
        all_removed += removed;
        if !stays {
            refusals.push(Refusal::ProjectGone { project: project.to_owned(), before });
        } else if before > SMALL_PROJECT && drops_too_many(removed, before) {
            refusals.push(Refusal::ProjectDrops { project: project.to_owned(), before, removed });
        }
    }
    if drops_too_many(all_removed, all_before) {
        refusals.push(Refusal::CatalogDrops { before: all_before, removed: all_removed });
    }
    refusals
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { min_builders: 1000, max_drop_percent: 20 };

    fn said(builders: u64, losses: &[(&str, usize, usize, bool)]) -> Vec<String> {
        let losses: Vec<Loss<'_>> =
            losses.iter().map(|&(project, before, removed, stays)| Loss { project, before, removed, stays }).collect();
        check(builders, &losses, &LIMITS).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_first_catalog_needs_only_enough_builders() {
        assert_eq!(said(1000, &[]), [""; 0]);
        assert_eq!(said(999, &[]), ["the source holds 999 builders, fewer than the configured 1000"]);
    }

    #[test]
    fn a_fifth_may_go_and_no_more() {
        assert_eq!(said(1000, &[("try", 500, 100, true), ("ash", 500, 0, true)]), [""; 0]);
        assert_eq!(
            said(1000, &[("try", 500, 101, true), ("ash", 500, 0, true)]),
            ["try would lose 101 of its 500 jobs"]
        );
        assert_eq!(
            said(1000, &[("try", 500, 101, true), ("ash", 100, 100, true)]),
            ["try would lose 101 of its 500 jobs", "the catalog would lose 201 of its 600 jobs"]
        );
    }

    #[test]
    fn a_small_project_may_change_as_it_likes_but_not_go() {
        assert_eq!(said(1000, &[("ash", 100, 100, true), ("try", 900, 0, true)]), [""; 0]);
        assert_eq!(said(1000, &[("ash", 2, 2, false), ("try", 900, 0, true)]), ["ash with its 2 jobs would be gone"]);
    }
}
