//! A dump of Buildbot's builders, and the jobs in it that a push can run.

use std::collections::{BTreeMap, HashSet};

use string_interner::backend::StringBackend;
use string_interner::symbol::SymbolU32;
use string_interner::{StringInterner, Symbol as _};

use crate::buildbot::jobs::{CatalogJob, Projects};
use crate::document::Problem;

/// Maximum number of problems that are kept with their texts; all are counted.
pub const MAX_PROBLEMS: usize = 50;

/// Maximum number of masters that are kept. The real dump has about a hundred.
pub(crate) const MAX_MASTERS: usize = 1000;

/// What the reading of a dump found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Findings {
    /// Bytes of the uncompressed document.
    pub bytes: u64,
    /// Builders of any kind in the document.
    pub builders: u64,
    /// Builders that no push can run: releases, bundles, those without a branch, talos with a pgo twin.
    pub not_runnable: u64,
    /// Builders and schedulers that were left out because they are malformed.
    pub problem_count: u64,
    /// The first of them.
    pub problems: Vec<Problem>,
    /// Builders without machines: their slave pool is an empty list.
    pub empty_slavepool: u64,
    /// Tests that a push can run.
    pub tests: u64,
    /// Tests whose schedulers name no build.
    pub tests_without_build: u64,
    /// The masters that the document names, each with how many builders it lists. Empty where there are more than
    /// `MAX_MASTERS`.
    pub masters: BTreeMap<String, u64>,
}

impl Findings {
    pub(crate) fn add_problem(&mut self, path: &[&str], what: String, offset: u64) {
        self.problem_count += 1;
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Problem { path: path.join("."), what, offset });
        }
    }
}

type Names = StringInterner<StringBackend<SymbolU32>>;

/// The properties of a builder that matter here.
#[derive(Clone, Copy)]
pub(crate) struct Builder {
    pub(crate) branch: Option<SymbolU32>,
    pub(crate) shortname: Option<SymbolU32>,
    /// The name of its slave pool.
    pub(crate) pool: Option<SymbolU32>,
    /// Whether its slave pool is written out, as a list without machines.
    pub(crate) has_no_machines: bool,
    pub(crate) is_test: bool,
}

/// A scheduler of tests: its first trigger, and the builders that it then starts.
pub(crate) struct TestScheduler {
    pub(crate) name: SymbolU32,
    pub(crate) trigger: SymbolU32,
    pub(crate) downstream: Vec<SymbolU32>,
}

/// The builders and schedulers of a document.
#[derive(Default)]
pub struct Dump {
    pub(crate) names: Names,
    /// The builder of each name, at the place of the name's symbol; `None` for other names.
    builders: Vec<Option<Builder>>,
    pub(crate) schedulers: Vec<TestScheduler>,
    /// The slave pools without machines.
    pub(crate) empty_pools: HashSet<SymbolU32>,
    pub(crate) findings: Findings,
}

impl Dump {
    /// Keeps a builder. Returns true if it replaces one of the same name.
    pub(crate) fn insert(&mut self, name: SymbolU32, builder: Builder) -> bool {
        let place = name.to_usize();
        if self.builders.len() <= place {
            self.builders.resize(place + 1, None);
        }
        self.builders[place].replace(builder).is_some()
    }

    pub(crate) fn text(&self, symbol: SymbolU32) -> &str {
        self.names.resolve(symbol).unwrap_or_default()
    }

    pub(crate) fn builder(&self, name: SymbolU32) -> Option<&Builder> {
        self.builders.get(name.to_usize())?.as_ref()
    }

    /// The number of symbols that can have a builder.
    pub(crate) fn places(&self) -> usize {
        self.builders.len()
    }

    pub(crate) fn builders(&self) -> impl Iterator<Item = (SymbolU32, &Builder)> {
        self.builders
            .iter()
            .enumerate()
            .filter_map(|(place, builder)| Some((SymbolU32::try_from_usize(place)?, builder.as_ref()?)))
    }

    /// The jobs that a push can run, each test with its build, and the findings.
    pub fn projects(&self) -> (Projects<'_>, Findings) {
        let mut findings = self.findings.clone();
        let upstream = self.upstream_builds();
        let mut projects: Projects<'_> = BTreeMap::new();
        for (symbol, builder) in self.builders() {
            let name = self.text(symbol);
            let Some(project) = self.runnable_in(name, builder) else {
                findings.not_runnable += 1;
                continue;
            };
            if self.has_no_machines(builder) {
                findings.empty_slavepool += 1;
                continue;
            }
            // A build that can never run does not count: the test would be forwarded ahead of it.
            let upstream = upstream[symbol.to_usize()].map(|build| (self.text(build), self.builder(build)));
            let can_run = |(name, build): &(&str, Option<&Builder>)| {
                build.is_some_and(|build| self.runnable_in(name, build).is_some() && !self.has_no_machines(build))
            };
            let upstream = upstream.filter(can_run).map(|(name, _)| name);
            findings.tests += u64::from(builder.is_test);
            findings.tests_without_build += u64::from(builder.is_test && upstream.is_none());
            projects.entry(project).or_default().push(CatalogJob { name, upstream });
        }
        for jobs in projects.values_mut() {
            jobs.sort_unstable();
        }
        (projects, findings)
    }

    /// The project whose pushes can run the builder, if there is one.
    fn runnable_in(&self, name: &str, builder: &Builder) -> Option<&str> {
        let project = builder.branch.map(|branch| self.text(branch));
        project.filter(|project| self.is_runnable(name, project))
    }

    fn has_no_machines(&self, builder: &Builder) -> bool {
        builder.has_no_machines || builder.pool.is_some_and(|pool| self.empty_pools.contains(&pool))
    }

    /// Whether a push can run the builder. Releases and bundles are not made for a push; aurora and beta run talos only
    /// on the pgo build, if there is one.
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
}
