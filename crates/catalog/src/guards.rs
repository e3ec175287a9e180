//! The guards: a new catalog that lost too much is refused as a whole, and the old one stays.
//!
//! The guards check one build system at a time. A build system whose source was not read loses nothing.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A project with at most this many jobs may lose any share of them. A dump with at most this many tests need not name a
/// build.
pub const SMALL_PROJECT: usize = 100;

/// The configured limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuardLimits {
    /// Minimum number of builders of a complete dump.
    pub min_builders: u64,
    /// Maximum share of jobs that the catalog or a project may lose at once, in percent; also the maximum share of the
    /// tests with a build that may lose it.
    pub max_drop_percent: u8,
}

/// The contents of a build system's dump, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Builders of any kind.
    pub builders: u64,
    /// Tests that a push can run.
    pub tests: u64,
    /// Tests for which no build was found.
    pub tests_without_build: u64,
}

/// What a project of the old catalog would lose of the jobs of one build system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loss<'p> {
    /// The project.
    pub project: &'p str,
    /// Number of jobs now.
    pub before: usize,
    /// Number of these jobs that the new list does not have.
    pub removed: usize,
    /// Number of tests with a build now.
    pub with_build: usize,
    /// Number of these tests that the new list has without a build.
    pub lost_builds: usize,
    /// Whether the new catalog has the project.
    pub stays: bool,
}

/// Why a catalog is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "guard", rename_all = "snake_case")]
pub enum GuardRefusal {
    /// The dump has too few builders to be complete.
    TooFewBuilders {
        /// How many it holds.
        builders: u64,
        /// The configured minimum.
        min_builders: u64,
    },
    /// A project would disappear.
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
    /// A project's task graph has no jobs.
    NoJobs {
        /// The project.
        project: String,
    },
    /// The catalog would lose too many of its jobs.
    CatalogDrops {
        /// How many jobs it has now.
        before: usize,
        /// How many of them would be gone.
        removed: usize,
    },
    /// The dump has tests, and names no build for any of them: its schedulers are missing, empty, or not understood.
    NoBuilds {
        /// How many tests it holds.
        tests: u64,
    },
    /// Too many tests of a project would lose their builds.
    ProjectLosesBuilds {
        /// The project.
        project: String,
        /// How many of its tests have a build now.
        before: usize,
        /// How many of them would be there without one.
        lost: usize,
    },
    /// Too many tests of the catalog would lose their builds.
    CatalogLosesBuilds {
        /// How many tests have a build now.
        before: usize,
        /// How many of them would be there without one.
        lost: usize,
    },
}

impl fmt::Display for GuardRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFewBuilders { builders, min_builders } => {
                write!(f, "the source holds {builders} builders, fewer than the configured {min_builders}")
            }
            Self::ProjectGone { project, before } => write!(f, "{project} with its {before} jobs would be gone"),
            Self::ProjectDrops { project, before, removed } => {
                write!(f, "{project} would lose {removed} of its {before} jobs")
            }
            Self::NoJobs { project } => write!(f, "the task graph of {project} has no jobs"),
            Self::CatalogDrops { before, removed } => {
                write!(f, "the catalog would lose {removed} of its {before} jobs")
            }
            Self::NoBuilds { tests } => {
                write!(f, "the source names no build for any of its {tests} tests")
            }
            Self::ProjectLosesBuilds { project, before, lost } => {
                write!(f, "{lost} of the {before} tests of {project} that have a build would lose it")
            }
            Self::CatalogLosesBuilds { before, lost } => {
                write!(f, "{lost} of the {before} tests of the catalog that have a build would lose it")
            }
        }
    }
}

/// Checks the new jobs of one build system. `losses` has every project of the old catalog, including those that do not
/// change because the ingest is restricted to others. Returns every reason to refuse; empty if the catalog may be
/// published.
pub fn check(counts: &Counts, losses: &[Loss<'_>], limits: &GuardLimits) -> Vec<GuardRefusal> {
    let mut refusals = Vec::new();
    if counts.builders < limits.min_builders {
        let (builders, min_builders) = (counts.builders, limits.min_builders);
        refusals.push(GuardRefusal::TooFewBuilders { builders, min_builders });
    }
    if counts.tests > SMALL_PROJECT as u64 && counts.tests_without_build == counts.tests {
        refusals.push(GuardRefusal::NoBuilds { tests: counts.tests });
    }
    for loss in losses {
        if loss.stays {
            refusals.extend(check_loss(loss, limits.max_drop_percent));
        } else {
            refusals.push(GuardRefusal::ProjectGone { project: loss.project.to_owned(), before: loss.before });
        }
    }
    let is_too_much = |lost: usize, before: usize| is_too_much(lost, before, limits.max_drop_percent);
    let sum = |part: fn(&Loss<'_>) -> usize| losses.iter().map(part).sum::<usize>();
    let (before, removed) = (sum(|loss| loss.before), sum(|loss| loss.removed));
    if is_too_much(removed, before) {
        refusals.push(GuardRefusal::CatalogDrops { before, removed });
    }
    let (before, lost) = (sum(|loss| loss.with_build), sum(|loss| loss.lost_builds));
    if is_too_much(lost, before) {
        refusals.push(GuardRefusal::CatalogLosesBuilds { before, lost });
    }
    refusals
}

/// Checks the new jobs of one project of a build system whose projects are ingested one by one. Returns every reason to
/// refuse; empty if the project may be published.
pub fn check_project(loss: &Loss<'_>, jobs: usize, max_drop_percent: u8) -> Vec<GuardRefusal> {
    if jobs == 0 {
        return vec![GuardRefusal::NoJobs { project: loss.project.to_owned() }];
    }
    check_loss(loss, max_drop_percent)
}

/// The reasons to refuse what a project that stays would lose.
fn check_loss(loss: &Loss<'_>, max_drop_percent: u8) -> Vec<GuardRefusal> {
    let &Loss { project, before, removed, with_build, lost_builds, stays: _ } = loss;
    let project = || project.to_owned();
    let mut refusals = Vec::new();
    if before > SMALL_PROJECT && is_too_much(removed, before, max_drop_percent) {
        refusals.push(GuardRefusal::ProjectDrops { project: project(), before, removed });
    }
    if before > SMALL_PROJECT && is_too_much(lost_builds, with_build, max_drop_percent) {
        refusals.push(GuardRefusal::ProjectLosesBuilds { project: project(), before: with_build, lost: lost_builds });
    }
    refusals
}

fn is_too_much(lost: usize, before: usize, max_percent: u8) -> bool {
    lost * 100 > before * usize::from(max_percent)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: GuardLimits = GuardLimits { min_builders: 1000, max_drop_percent: 20 };

    fn said(builders: u64, losses: &[(&str, usize, usize, bool)]) -> Vec<String> {
        let loss = |&(project, before, removed, stays)| Loss {
            project,
            before,
            removed,
            with_build: 0,
            lost_builds: 0,
            stays,
        };
        let losses: Vec<Loss<'_>> = losses.iter().map(loss).collect();
        let counts = Counts { builders, tests: 0, tests_without_build: 0 };
        check(&counts, &losses, &LIMITS).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_fifth_of_the_tests_may_lose_their_builds_and_no_more() {
        let said = |losses: &[(&'static str, usize, usize, usize)]| {
            let loss = |&(project, before, with_build, lost_builds)| Loss {
                project,
                before,
                removed: 0,
                with_build,
                lost_builds,
                stays: true,
            };
            let losses: Vec<Loss<'_>> = losses.iter().map(loss).collect();
            let counts = Counts { builders: 1000, tests: 500, tests_without_build: 100 };
            check(&counts, &losses, &LIMITS).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(said(&[("try", 500, 400, 80), ("ash", 500, 0, 0)]), [""; 0]);
        assert_eq!(
            said(&[("try", 500, 400, 81), ("ash", 500, 400, 0)]),
            ["81 of the 400 tests of try that have a build would lose it"]
        );
        assert_eq!(
            said(&[("try", 500, 400, 90), ("ash", 100, 90, 90)]),
            [
                "90 of the 400 tests of try that have a build would lose it",
                "180 of the 490 tests of the catalog that have a build would lose it"
            ]
        );
    }

    #[test]
    fn a_dump_with_tests_and_without_any_build_is_not_complete() {
        let said = |tests, tests_without_build| {
            let counts = Counts { builders: 1000, tests, tests_without_build };
            check(&counts, &[], &LIMITS).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(said(101, 101), ["the source names no build for any of its 101 tests"]);
        for (tests, without_build) in [(101, 100), (100, 100), (0, 0)] {
            assert_eq!(said(tests, without_build), [""; 0]);
        }
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

    #[test]
    fn a_project_that_is_ingested_alone_may_lose_a_fifth_but_not_everything() {
        let said = |before, removed, jobs| {
            let loss = Loss { project: "try", before, removed, with_build: 0, lost_builds: 0, stays: true };
            check_project(&loss, jobs, 20).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(said(500, 100, 400), [""; 0]);
        assert_eq!(said(500, 101, 399), ["try would lose 101 of its 500 jobs"]);
        assert_eq!(said(100, 99, 1), [""; 0]);
        assert_eq!(said(100, 100, 0), ["the task graph of try has no jobs"]);
        assert_eq!(said(0, 0, 0), ["the task graph of try has no jobs"]);
    }
}
