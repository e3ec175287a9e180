//! Reads the artifact of a decision task that says what its push can run, as a stream: one pass, and memory only for
//! what is kept.
//!
//! There are two, and each entry shows which it is. `runnable-jobs.json` is `{LABEL: {"symbol", "groupName"?,
//! "groupSymbol"?, "collection"?, "platform"?}}`. `full-task-graph.json` is `{LABEL: {"dependencies": {NAME: LABEL},
//! "task": {"extra": {"treeherder": {..}?}, "routes": [ROUTE], ..}, ..}}`; a task without `treeherder` is not listed.
//! The members may come in any order, and the reader skips those that it does not know. It leaves out an entry of
//! another shape and reports it; it refuses a document of another shape.

use std::collections::HashMap;
use std::io::Read;

use string_interner::symbol::SymbolU32;

use crate::document::{Fault, ReadError};
use crate::json::{JsonReader, Text, ValueKind};
use crate::list::MAX_NAME;
use crate::taskcluster::entry::{EntryReading, ReadEntry};
use crate::taskcluster::graph::{Entry, Job, TaskGraph};

/// Maximum number of labels of a task graph. Real ones have tens of thousands.
pub const MAX_LABELS: u64 = 200_000;
/// Maximum size of the names of a task graph together, each once. Those of 30,000 labels have 2 MB.
pub const MAX_TEXT_BYTES: u64 = 32 << 20;

/// The refusal of any other document.
const OTHER_DOCUMENT: ReadError =
    ReadError::OtherDocument("this is neither runnable-jobs.json nor full-task-graph.json");

impl TaskGraph {
    /// Reads a `runnable-jobs.json` or a `full-task-graph.json` of at most `max_bytes` bytes. Calls `progress` with the
    /// number of labels every 1,000 labels.
    ///
    /// # Errors
    /// The document breaks off, is not JSON, is another one, or is too long. A malformed entry is not an error: it is
    /// among the findings.
    pub fn read(mut input: impl Read, max_bytes: u64, progress: &mut dyn FnMut(u64)) -> Result<Self, ReadError> {
        Self::read_from(&mut input, max_bytes, progress)
    }

    /// Not generic, so that it is compiled with this crate's optimisation and not with that of its callers.
    fn read_from(input: &mut dyn Read, max_bytes: u64, progress: &mut dyn FnMut(u64)) -> Result<Self, ReadError> {
        let mut reading = Reading {
            entry: EntryReading::new(JsonReader::new(input, max_bytes)),
            graph: Self::default(),
            text_bytes: 0,
            projects: HashMap::new(),
            other_project: None,
            last: None,
        };
        reading.document(progress)?;
        Ok(reading.graph)
    }
}

/// The reading of one document.
struct Reading<R> {
    entry: EntryReading<R>,
    graph: TaskGraph,
    /// The length of all names that are kept.
    text_bytes: u64,
    /// The projects that routes name, each with its number of tasks.
    projects: HashMap<SymbolU32, u64>,
    /// Where the first task stands whose project is not that of the tasks before it.
    other_project: Option<u64>,
    /// The job that was read last.
    last: Option<Job>,
}

impl<R: Read> Reading<R> {
    fn document(&mut self, progress: &mut dyn FnMut(u64)) -> Result<(), ReadError> {
        let at = |error| ReadError::new(error, &[]);
        match self.entry.json.first_token().map_err(at)? {
            None => return Err(ReadError::Empty),
            Some(b'{') => {}
            Some(b'[' | b'"' | b'0'..=b'9' | b'-') => return Err(self.not_an_object()),
            Some(first) => return Err(ReadError::NotJson { first: first.escape_ascii().to_string() }),
        }
        let mut members = self.entry.json.object().map_err(at)?;
        let mut label = Text::new(MAX_NAME);
        let mut is_task_graph = false;
        while self.entry.json.key(&mut members, &mut label).map_err(at)? {
            self.graph.findings.labels += 1;
            let labels = self.graph.findings.labels;
            if labels > MAX_LABELS {
                return Err(ReadError::TooMany { what: "labels", limit: MAX_LABELS });
            }
            if labels.is_multiple_of(1000) {
                progress(labels);
            }
            let read = self.entry.read(&label).map_err(|error| ReadError::new(error, &[&label.shown()]))?;
            is_task_graph |= self.entry.is_of_task_graph;
            self.keep(&label, read);
            if self.text_bytes > MAX_TEXT_BYTES {
                return Err(ReadError::TooMany { what: "bytes of names", limit: MAX_TEXT_BYTES });
            }
        }
        self.entry.json.end().map_err(at)?;
        self.graph.findings.bytes = self.entry.json.offset();
        if !is_task_graph {
            return Err(OTHER_DOCUMENT);
        }
        self.decide_project();
        self.graph.finish();
        Ok(())
    }

    fn not_an_object(&mut self) -> ReadError {
        let found = self.entry.json.kind().map_or("another value", ValueKind::noun);
        let what = format!("an object is expected, not {found}");
        ReadError::Malformed { path: "the document".to_owned(), what, offset: self.entry.json.offset() }
    }

    /// Keeps what was read under a label.
    fn keep(&mut self, label: &Text, read: ReadEntry) {
        for fault in self.entry.doubts.drain(..) {
            let path = format!("{}.{}", label.shown(), fault.path);
            self.graph.findings.add_problem(path, fault.what, fault.offset);
        }
        let text = match label.get() {
            Ok("") => {
                return self
                    .leave_out(label, Fault { path: "", what: "the label is empty".into(), offset: label.offset() });
            }
            Ok(text) => text,
            Err(bad) => return self.leave_out(label, Fault::bad_text("", "label", label, &bad)),
        };
        let symbol = self.label(text);
        let entry = match read {
            ReadEntry::Malformed(fault) => {
                self.add_problem(label, fault);
                Entry::LeftOut
            }
            ReadEntry::WithoutTreeherder => Entry::WithoutTreeherder,
            ReadEntry::Job => Entry::Listed(self.job()),
        };
        self.graph.findings.has_tiers |= self.entry.is_full;
        self.count_project(label.offset());
        if self.graph.insert(symbol, entry) {
            self.graph.findings.repeated += 1;
            let what = "the label stands in the document twice: the later entry counts".to_owned();
            self.add_problem(label, Fault { path: "", what, offset: label.offset() });
        }
    }

    /// The job that the fields of the entry describe.
    fn job(&mut self) -> Job {
        let fields = std::mem::take(&mut self.entry.fields);
        let upstream = (!self.entry.build.is_empty()).then(|| {
            let build = std::mem::take(&mut self.entry.build);
            let symbol = self.label(&build);
            self.entry.build = build;
            symbol
        });
        let option = if fields.option.is_empty() { "opt" } else { &fields.option };
        let last = self.last;
        let job = Job {
            symbol: self.word(&fields.symbol, None),
            group_name: self.word(&fields.group_name, last.map(|job| job.group_name)),
            group_symbol: self.word(&fields.group_symbol, last.map(|job| job.group_symbol)),
            platform: self.word(&fields.platform, last.map(|job| job.platform)),
            option: self.word(option, last.map(|job| job.option)),
            upstream,
            tier: self.entry.is_full.then_some(fields.tier),
        };
        self.entry.fields = fields;
        self.last = Some(job);
        job
    }

    /// The symbol of a word. `last` is that of the job before: neighbours mostly share their words.
    fn word(&mut self, word: &str, last: Option<SymbolU32>) -> SymbolU32 {
        if let Some(last) = last.filter(|last| self.graph.word(*last) == word) {
            return last;
        }
        let known = self.graph.words.len();
        let symbol = self.graph.words.get_or_intern(word);
        if self.graph.words.len() > known {
            self.text_bytes += word.len() as u64;
        }
        symbol
    }

    fn label(&mut self, label: &str) -> SymbolU32 {
        let known = self.graph.labels.len();
        let symbol = self.graph.intern_label(label);
        if self.graph.labels.len() > known {
            self.text_bytes += label.len() as u64;
        }
        symbol
    }

    /// Counts the entry for the project that a route of its task names.
    fn count_project(&mut self, offset: u64) {
        if self.entry.project.is_empty() {
            return;
        }
        let project = std::mem::take(&mut self.entry.project);
        let symbol = self.word(&project, None);
        self.entry.project = project;
        *self.projects.entry(symbol).or_default() += 1;
        if self.projects.len() > 1 {
            self.other_project.get_or_insert(offset);
        }
    }

    /// Decides for the project of the most tasks, and for the first by name where several have as many.
    fn decide_project(&mut self) {
        let mut projects: Vec<(u64, &str)> =
            self.projects.iter().map(|(symbol, tasks)| (*tasks, self.graph.word(*symbol))).collect();
        projects.sort_unstable_by(|one, other| other.0.cmp(&one.0).then(one.1.cmp(other.1)));
        let project = projects.first().map(|(_, name)| (*name).to_owned());
        let others: Vec<String> = projects.iter().take(5).map(|(tasks, name)| format!("{name} ({tasks})")).collect();
        self.graph.findings.project = project;
        if let Some(offset) = self.other_project {
            let what = format!("the routes of the tasks name {} projects: {}", self.projects.len(), others.join(", "));
            self.graph.findings.add_problem("the document".to_owned(), what, offset);
        }
    }

    /// Leaves out an entry whose label cannot be used.
    fn leave_out(&mut self, label: &Text, fault: Fault) {
        self.graph.findings.left_out += 1;
        self.add_problem(label, fault);
    }

    fn add_problem(&mut self, label: &Text, fault: Fault) {
        let path = if fault.path.is_empty() { label.shown() } else { format!("{}.{}", label.shown(), fault.path) };
        self.graph.findings.add_problem(path, fault.what, fault.offset);
    }
}
