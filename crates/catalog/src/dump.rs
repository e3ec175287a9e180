//! What a dump of Buildbot's builders holds, and what of it a push can run.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use string_interner::backend::StringBackend;
use string_interner::symbol::SymbolU32;
use string_interner::{StringInterner, Symbol as _};

use crate::jobs::{Job, Projects};

/// How many problems are kept with their texts; all are counted.
pub const PROBLEMS_KEPT: usize = 50;

/// A builder or scheduler that was left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The path to it.
    pub path: String,
    /// What is wrong with it.
    pub what: String,
    /// Where it stands, in bytes of the uncompressed document.
    pub offset: u64,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} (byte {})", self.path, self.what, self.offset)
    }
}

/// What was found while reading.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// Bytes of the uncompressed document.
    pub bytes: u64,
    /// Builders in the document, of whatever kind.
    pub builders: u64,
    /// Builders that no push can run: releases, bundles, those without a branch, talos with a pgo twin.
    pub not_runnable: u64,
    /// Builders and schedulers that were left out because they are malformed.
    pub problem_count: u64,
    /// The first of them.
    pub problems: Vec<Problem>,
    /// Tests for which no scheduler names a build.
    pub tests_without_build: u64,
}

impl Findings {
    pub(crate) fn add_problem(&mut self, path: &[&str], what: String, offset: u64) {
        self.problem_count += 1;
        if self.problems.len() < PROBLEMS_KEPT {
            self.problems.push(Problem { path: path.join("."), what, offset });
        }
    }
}

type Names = StringInterner<StringBackend<SymbolU32>>;

/// What is kept of a builder.
#[derive(Clone, Copy)]
pub(crate) struct Builder {
    pub(crate) branch: Option<SymbolU32>,
    pub(crate) shortname: Option<SymbolU32>,
    pub(crate) is_test: bool,
}

/// A scheduler of tests: what sets it off, and what it then starts.
pub(crate) struct TestScheduler {
    pub(crate) name: SymbolU32,
    pub(crate) triggers: Vec<SymbolU32>,
    pub(crate) downstream: Vec<SymbolU32>,
}

/// What a document holds, before it is asked what can be run.
#[derive(Default)]
pub struct Dump {
    pub(crate) names: Names,
    /// The builder of each name, at the place of the name's symbol; other names have none.
    builders: Vec<Option<Builder>>,
    pub(crate) schedulers: Vec<TestScheduler>,
    pub(crate) findings: Findings,
}

impl Dump {
    /// Keeps a builder; true if there was one of that name, which it replaces.
    pub(crate) fn insert(&mut self, name: SymbolU32, builder: Builder) -> bool {
        let place = name.to_usize();
        if self.builders.len() <= place {
            self.builders.resize(place + 1, None);
        }
        self.builders[place].replace(builder).is_some()
    }

    fn text(&self, symbol: SymbolU32) -> &str {
        self.names.resolve(symbol).unwrap_or_default()
    }

    fn builder(&self, name: SymbolU32) -> Option<&Builder> {
        self.builders.get(name.to_usize())?.as_ref()
    }

    fn builders(&self) -> impl Iterator<Item = (SymbolU32, &Builder)> {
        self.builders
            .iter()
            .enumerate()
            .filter_map(|(place, builder)| Some((SymbolU32::try_from_usize(place)?, builder.as_ref()?)))
    }

    /// The jobs that a push can run, each test with its build, and what was found on the way.
    pub fn projects(&self) -> (Projects<'_>, Findings) {
        let mut findings = self.findings.clone();
        let upstream = self.upstream_builds();
        let mut projects: Projects<'_> = BTreeMap::new();
        for (symbol, builder) in self.builders() {
            let name = self.text(symbol);
            let project = builder.branch.map(|branch| self.text(branch));
            let Some(project) = project.filter(|project| self.is_runnable(name, project)) else {
                findings.not_runnable += 1;
                continue;
            };
            let upstream = upstream[symbol.to_usize()].map(|build| self.text(build));
            findings.tests_without_build += u64::from(builder.is_test && upstream.is_none());
            projects.entry(project).or_default().push(Job { name, upstream });
        }
        for jobs in projects.values_mut() {
            jobs.sort_unstable();
        }
        (projects, findings)
    }

    /// Whether a push can have the builder at all. Releases and bundles are not made for a push; aurora and beta
    /// measure talos on the pgo build only, where there is one.
    fn is_runnable(&self, name: &str, project: &str) -> bool {
        let measured_on_pgo = || {
            matches!(project, "mozilla-aurora" | "mozilla-beta")
                && name.contains(" talos ")
                && !name.contains(" pgo talos ")
                && self
                    .names
                    .get(name.replace(" talos ", " pgo talos "))
                    .is_some_and(|twin| self.builder(twin).is_some())
        };
        !name.starts_with("release-") && !name.ends_with("bundle") && !measured_on_pgo()
    }

    /// For each test that a scheduler starts, at the place of its symbol: the build that sets off the scheduler.
    fn upstream_builds(&self) -> Vec<Option<SymbolU32>> {
        let mut builds: HashMap<SymbolU32, Vec<SymbolU32>> = HashMap::new();
        for (name, builder) in self.builders().filter(|(_, builder)| !builder.is_test) {
            if let Some(shortname) = builder.shortname {
                builds.entry(shortname).or_default().push(name);
            }
        }
        for same_shortname in builds.values_mut() {
            same_shortname.sort_unstable_by_key(|name| self.text(*name));
        }
        // The build with this shortname: that of the test's own branch, else the first by name.
        let by_shortname = |shortname: &str, branch| {
            let found = builds.get(&self.names.get(shortname)?)?;
            let same_branch = |build: &&SymbolU32| self.builder(**build).is_some_and(|b| b.branch == branch);
            found.iter().find(same_branch).or(found.first()).copied()
        };
        let by_name = |name: &str| {
            self.names.get(name).filter(|name| self.builder(*name).is_some_and(|builder| !builder.is_test))
        };

        // Where several schedulers start a test, the first by name decides, and the first of its triggers that is a
        // build: the order of the document does not count.
        let mut schedulers: Vec<&TestScheduler> = self.schedulers.iter().collect();
        schedulers.sort_unstable_by_key(|scheduler| self.text(scheduler.name));
        let mut upstream = vec![None; self.builders.len()];
        for scheduler in schedulers {
            let mut triggers: Vec<&str> = scheduler.triggers.iter().map(|trigger| self.text(*trigger)).collect();
            triggers.sort_unstable();
            for test in &scheduler.downstream {
                let Some(builder) = self.builder(*test).filter(|builder| builder.is_test) else { continue };
                let place = &mut upstream[test.to_usize()];
                if place.is_some() {
                    continue;
                }
                *place = triggers.iter().find_map(|trigger| {
                    let shortname = build_shortname(trigger);
                    let b2g = || format!("b2g_{}_dep", shortname.replace("-emulator", "_emulator"));
                    by_shortname(shortname, builder.branch)
                        .or_else(|| by_shortname(&b2g(), builder.branch))
                        .or_else(|| by_name(&b2g()))
                });
            }
        }
        upstream
    }
}

/// The shortname of the build that a trigger stands for: the trigger without what says which tests follow.
fn build_shortname(trigger: &str) -> &str {
    const ENDS: [&str; 6] = ["-opt-unittest", "-pgo-unittest", "-debug-unittest", "-unittest", "-talos", "-pgo"];
    ENDS.iter().find_map(|end| trigger.strip_suffix(end)).unwrap_or(trigger)
}

/// Letters, digits, `-`, `_` and `.`; not only dots, as a project's name becomes a file's.
pub fn is_project_name(name: &[u8]) -> bool {
    name.len() <= 100
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
        && name.iter().any(|byte| *byte != b'.')
}
