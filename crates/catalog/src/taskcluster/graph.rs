//! A decision task's task graph, and the jobs in it.

use std::borrow::Cow;

use string_interner::backend::StringBackend;
use string_interner::symbol::SymbolU32;
use string_interner::{StringInterner, Symbol as _};

use crate::document::Problem;
use crate::list::{ListedJob, ListedPlatform};
use crate::taskcluster::BUILD_SYSTEM;

/// Maximum number of problems that are kept with their texts; all are counted.
pub const MAX_GRAPH_PROBLEMS: usize = 20;

/// What the reading of a task graph found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GraphFindings {
    /// Bytes of the uncompressed document.
    pub bytes: u64,
    /// Entries of the document: each is listed, without Treeherder data, left out, or repeated.
    pub labels: u64,
    /// Labels without Treeherder data. They are not listed, though a push may run them.
    pub without_treeherder: u64,
    /// Labels that are left out because they are malformed, for example without a symbol.
    pub left_out: u64,
    /// Entries whose label stands in the document again: the last entry counts.
    pub repeated: u64,
    /// Listed labels that depend on a build that is not listed.
    pub upstream_not_listed: u64,
    /// Whether this is a full task graph, which has tiers and dependencies.
    pub has_tiers: bool,
    /// The project that the routes of the tasks name; of several, that of the most tasks. `runnable-jobs.json` names
    /// none.
    pub project: Option<String>,
    /// All problems: what is left out, what is repeated, and what is not as it should be.
    pub problem_count: u64,
    /// The first of them.
    pub problems: Vec<Problem>,
}

impl GraphFindings {
    pub(crate) fn add_problem(&mut self, path: String, what: String, offset: u64) {
        self.problem_count += 1;
        if self.problems.len() < MAX_GRAPH_PROBLEMS {
            self.problems.push(Problem { path, what, offset });
        }
    }
}

pub(crate) type Names = StringInterner<StringBackend<SymbolU32>>;

/// What a task graph has under a label.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Entry {
    /// Nothing: a task depends on the label.
    Mentioned,
    /// A task without Treeherder data.
    WithoutTreeherder,
    /// A malformed task.
    LeftOut,
    /// A job.
    Listed(Job),
}

/// A job of a task graph. The symbols are of `TaskGraph::words`, but that of `upstream`, which is a label.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Job {
    pub(crate) symbol: SymbolU32,
    pub(crate) group_name: SymbolU32,
    pub(crate) group_symbol: SymbolU32,
    pub(crate) platform: SymbolU32,
    pub(crate) option: SymbolU32,
    pub(crate) upstream: Option<SymbolU32>,
    /// Only a full task graph has tiers.
    pub(crate) tier: Option<u8>,
}

/// The task graph of a decision task: its labels, and the jobs among them.
#[derive(Debug, Default)]
pub struct TaskGraph {
    pub(crate) labels: Names,
    pub(crate) words: Names,
    /// The entry of each label, at the place of the label's symbol.
    entries: Vec<Entry>,
    /// The labels of the jobs, in the order of their bytes. Made by `finish`.
    order: Vec<SymbolU32>,
    pub(crate) findings: GraphFindings,
}

impl TaskGraph {
    /// The jobs, in the order of their labels.
    pub fn jobs(&self) -> impl ExactSizeIterator<Item = ListedJob<'_>> {
        self.order.iter().map(|label| self.listed(*label))
    }

    /// The number of jobs.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether the graph has no jobs.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// What the reading found.
    pub fn findings(&self) -> &GraphFindings {
        &self.findings
    }

    /// Takes tier and upstream build from the jobs of another graph of the project, by label, where this graph does not
    /// have them. A build that this graph does not list is not taken.
    pub fn join<'a>(&mut self, latest: impl Iterator<Item = ListedJob<'a>>) {
        for other in latest.filter(|job| job.build_system == BUILD_SYSTEM) {
            let Some(label) = self.labels.get(other.name) else { continue };
            let upstream =
                other.upstream.and_then(|build| self.labels.get(build)).filter(|build| self.is_listed(*build));
            if let Entry::Listed(job) = &mut self.entries[label.to_usize()]
                && job.tier.is_none()
            {
                job.tier = other.tier;
                job.upstream = upstream;
            }
        }
    }

    fn listed(&self, label: SymbolU32) -> ListedJob<'_> {
        let Entry::Listed(job) = self.entries[label.to_usize()] else { unreachable!("`order` has listed labels only") };
        let name = self.label(label);
        ListedJob {
            name,
            upstream: job.upstream.map(|build| self.label(build)),
            build_system: BUILD_SYSTEM,
            platform: ListedPlatform { name: self.word(job.platform), os: "", architecture: "" },
            option: self.word(job.option),
            job_type_name: name,
            job_type_symbol: Cow::Borrowed(self.word(job.symbol)),
            job_group_name: self.word(job.group_name),
            job_group_symbol: self.word(job.group_symbol),
            tier: job.tier,
        }
    }

    fn label(&self, symbol: SymbolU32) -> &str {
        self.labels.resolve(symbol).unwrap_or_default()
    }

    pub(crate) fn word(&self, symbol: SymbolU32) -> &str {
        self.words.resolve(symbol).unwrap_or_default()
    }

    fn is_listed(&self, label: SymbolU32) -> bool {
        matches!(self.entries[label.to_usize()], Entry::Listed(_))
    }

    /// The symbol of a label. A new one is `Mentioned`.
    pub(crate) fn intern_label(&mut self, label: &str) -> SymbolU32 {
        let symbol = self.labels.get_or_intern(label);
        if self.entries.len() <= symbol.to_usize() {
            self.entries.resize(symbol.to_usize() + 1, Entry::Mentioned);
        }
        symbol
    }

    /// Keeps the entry of a label. Returns whether it replaces one.
    pub(crate) fn insert(&mut self, label: SymbolU32, entry: Entry) -> bool {
        let before = std::mem::replace(&mut self.entries[label.to_usize()], entry);
        !matches!(before, Entry::Mentioned)
    }

    /// Sorts and counts what was read.
    pub(crate) fn finish(&mut self) {
        let symbols = (0..self.entries.len()).filter_map(SymbolU32::try_from_usize);
        let mut order: Vec<SymbolU32> = symbols.filter(|label| self.is_listed(*label)).collect();
        order.sort_unstable_by(|one, other| self.label(*one).cmp(self.label(*other)));
        self.order = order;
        let (mut without_treeherder, mut left_out, mut not_listed) = (0, 0, 0);
        for entry in &self.entries {
            match entry {
                Entry::Mentioned => {}
                Entry::WithoutTreeherder => without_treeherder += 1,
                Entry::LeftOut => left_out += 1,
                Entry::Listed(job) => not_listed += u64::from(job.upstream.is_some_and(|build| !self.is_listed(build))),
            }
        }
        self.findings.without_treeherder = without_treeherder;
        self.findings.left_out += left_out;
        self.findings.upstream_not_listed = not_listed;
    }
}
