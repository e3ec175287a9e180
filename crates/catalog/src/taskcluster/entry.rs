//! Reads one entry of a task graph.

use std::io::Read;

use crate::document::Fault;
use crate::json::{JsonError, JsonReader, Text, ValueKind};
use crate::list::{MAX_NAME, is_project_name};

/// How the routes start that bring a task to Treeherder. The project follows, and behind a dot the revision.
const TREEHERDER_ROUTE: &[u8] = b"tc-treeherder.v2.";
/// The tier of a task that names none, as in Treeherder.
const DEFAULT_TIER: u8 = 1;

/// What an entry is. Its fields are in `EntryReading`.
pub(crate) enum ReadEntry {
    Job,
    WithoutTreeherder,
    Malformed(Fault),
}

/// The Treeherder data of a task; empty text for what it does not have.
#[derive(Default)]
pub(crate) struct Fields {
    has_symbol: bool,
    pub(crate) symbol: String,
    pub(crate) group_name: String,
    pub(crate) group_symbol: String,
    pub(crate) platform: String,
    /// The options in alphabetical order, with a blank between two.
    pub(crate) option: String,
    pub(crate) tier: u8,
    /// What is wrong with them. The entry is left out, then.
    fault: Option<Fault>,
    /// Where the object with the fields stands.
    start: u64,
}

impl Fields {
    fn clear(&mut self, start: u64) {
        let Self { symbol, group_name, group_symbol, platform, option, .. } = self;
        for text in [symbol, group_name, group_symbol, platform, option] {
            text.clear();
        }
        (self.has_symbol, self.tier, self.fault, self.start) = (false, DEFAULT_TIER, None, start);
    }
}

/// Where the fields stand in an entry.
struct Paths {
    symbol: &'static str,
    group_name: &'static str,
    group_symbol: &'static str,
    collection: &'static str,
}

/// In an entry of `runnable-jobs.json`.
const OWN: Paths =
    Paths { symbol: "symbol", group_name: "groupName", group_symbol: "groupSymbol", collection: "collection" };
/// In an entry of `full-task-graph.json`.
const OF_TASK: Paths = Paths {
    symbol: "task.extra.treeherder.symbol",
    group_name: "task.extra.treeherder.groupName",
    group_symbol: "task.extra.treeherder.groupSymbol",
    collection: "task.extra.treeherder.collection",
};

/// The reading of entries, one after the other. Its memory is used again for each.
pub(crate) struct EntryReading<R> {
    pub(crate) json: JsonReader<R>,
    /// Whether the last entry has a task: it is of a full task graph.
    pub(crate) is_full: bool,
    /// Whether the last entry looks like one of a task graph.
    pub(crate) is_of_task_graph: bool,
    /// The Treeherder data of the last entry.
    pub(crate) fields: Fields,
    /// The label of the build that the task depends on, or empty.
    pub(crate) build: String,
    /// The project that a route of the task names, or empty.
    pub(crate) project: String,
    /// What is wrong with the entry though it is listed.
    pub(crate) doubts: Vec<Fault>,
    /// The data in the task, while the entry is read.
    of_task: Fields,
    has_treeherder: bool,
    /// What is wrong with the task. The entry is left out, then.
    fault: Option<Fault>,
    key: Text,
    value: Text,
}

impl<R: Read> EntryReading<R> {
    pub(crate) fn new(json: JsonReader<R>) -> Self {
        Self {
            json,
            is_full: false,
            is_of_task_graph: false,
            fields: Fields::default(),
            build: String::new(),
            project: String::new(),
            doubts: Vec::new(),
            of_task: Fields::default(),
            has_treeherder: false,
            fault: None,
            key: Text::new(MAX_NAME),
            value: Text::new(MAX_NAME),
        }
    }

    /// Reads the entry of a label.
    pub(crate) fn read(&mut self, label: &Text) -> Result<ReadEntry, JsonError> {
        (self.is_full, self.is_of_task_graph, self.has_treeherder, self.fault) = (false, false, false, None);
        self.build.clear();
        self.project.clear();
        self.doubts.clear();
        if self.json.kind()? != ValueKind::Object {
            return Ok(ReadEntry::Malformed(Fault::unexpected(&mut self.json, "", ValueKind::Object)?));
        }
        self.fields.clear(self.json.offset());
        let mut other_label = None;
        let mut members = self.json.object()?;
        while self.json.key(&mut members, &mut self.key)? {
            match self.key.bytes() {
                b"task" => self.task()?,
                b"dependencies" => self.dependencies()?,
                b"label" if self.json.kind()? == ValueKind::String => {
                    self.json.string(&mut self.value)?;
                    other_label = (self.value.bytes() != label.bytes()).then(|| {
                        let what = format!("the label is {:?} there", self.value.shown());
                        Fault { path: "label", what, offset: self.value.offset() }
                    });
                }
                b"platform" => {
                    let Self { json, value, fields, .. } = self;
                    text(json, value, "platform", &mut fields.platform, &mut fields.fault)?;
                    self.is_of_task_graph = true;
                }
                _ => {
                    let Self { json, key, value, fields, .. } = self;
                    self.is_of_task_graph |= member(json, key, value, &OWN, fields)?;
                }
            }
        }
        if !self.is_full {
            self.build.clear();
            self.doubts.clear();
            return Ok(judged(&mut self.fields, OWN.symbol));
        }
        self.is_of_task_graph = other_label.is_none();
        std::mem::swap(&mut self.fields, &mut self.of_task);
        match self.fault.take().or(other_label) {
            Some(fault) => Ok(ReadEntry::Malformed(fault)),
            None if !self.has_treeherder => Ok(ReadEntry::WithoutTreeherder),
            None => Ok(judged(&mut self.fields, OF_TASK.symbol)),
        }
    }

    /// Reads `dependencies`. That on `build` is the upstream build; the job is listed without it if it is malformed.
    fn dependencies(&mut self) -> Result<(), JsonError> {
        self.build.clear();
        match self.json.kind()? {
            ValueKind::Object => {}
            ValueKind::Null => return self.json.skip(),
            _ => {
                let doubt = Fault::unexpected(&mut self.json, "dependencies", ValueKind::Object)?;
                self.doubts.push(doubt);
                return Ok(());
            }
        }
        let mut members = self.json.object()?;
        while self.json.key(&mut members, &mut self.key)? {
            if self.key.bytes() == b"build" {
                let mut fault = None;
                text(&mut self.json, &mut self.value, "dependencies.build", &mut self.build, &mut fault)?;
                self.doubts.extend(fault);
            } else {
                self.json.skip()?;
            }
        }
        Ok(())
    }

    fn task(&mut self) -> Result<(), JsonError> {
        (self.is_full, self.has_treeherder, self.fault) = (true, false, None);
        self.project.clear();
        if self.json.kind()? != ValueKind::Object {
            self.fault = Some(Fault::unexpected(&mut self.json, "task", ValueKind::Object)?);
            return Ok(());
        }
        let mut members = self.json.object()?;
        while self.json.key(&mut members, &mut self.key)? {
            match self.key.bytes() {
                b"extra" => self.extra()?,
                b"routes" => self.routes()?,
                _ => self.json.skip()?,
            }
        }
        Ok(())
    }

    fn extra(&mut self) -> Result<(), JsonError> {
        self.has_treeherder = false;
        if !self.is_object_or_null("task.extra")? {
            return Ok(());
        }
        let mut members = self.json.object()?;
        while self.json.key(&mut members, &mut self.key)? {
            if self.key.bytes() == b"treeherder" { self.treeherder()? } else { self.json.skip()? }
        }
        Ok(())
    }

    fn treeherder(&mut self) -> Result<(), JsonError> {
        self.has_treeherder = false;
        self.of_task.clear(self.json.offset());
        if !self.is_object_or_null("task.extra.treeherder")? {
            return Ok(());
        }
        self.has_treeherder = true;
        let mut members = self.json.object()?;
        while self.json.key(&mut members, &mut self.key)? {
            match self.key.bytes() {
                b"machine" => self.machine()?,
                b"tier" => self.tier()?,
                _ => {
                    member(&mut self.json, &self.key, &mut self.value, &OF_TASK, &mut self.of_task)?;
                }
            }
        }
        Ok(())
    }

    fn machine(&mut self) -> Result<(), JsonError> {
        self.of_task.platform.clear();
        if !self.is_object_or_null("task.extra.treeherder.machine")? {
            return Ok(());
        }
        let mut members = self.json.object()?;
        while self.json.key(&mut members, &mut self.key)? {
            if self.key.bytes() == b"platform" {
                let Fields { platform, fault, .. } = &mut self.of_task;
                text(&mut self.json, &mut self.value, "task.extra.treeherder.machine.platform", platform, fault)?;
            } else {
                self.json.skip()?;
            }
        }
        Ok(())
    }

    /// Reads a tier. The job of a task with another tier than 1, 2 or 3 is listed, with the default.
    fn tier(&mut self) -> Result<(), JsonError> {
        self.of_task.tier = DEFAULT_TIER;
        let kind = self.json.kind()?;
        let offset = self.json.offset();
        let what = if kind == ValueKind::Number {
            self.json.number(&mut self.value)?;
            if let [tier @ b'1'..=b'3'] = self.value.bytes() {
                self.of_task.tier = tier - b'0';
                return Ok(());
            }
            format!("1, 2 or 3 is expected, not {}", self.value.shown())
        } else {
            self.json.skip()?;
            if kind == ValueKind::Null {
                return Ok(());
            }
            format!("1, 2 or 3 is expected, not {}", kind.noun())
        };
        self.doubts.push(Fault { path: "task.extra.treeherder.tier", what, offset });
        Ok(())
    }

    /// Reads the routes of a task. The first that brings it to Treeherder has its project.
    fn routes(&mut self) -> Result<(), JsonError> {
        self.project.clear();
        match self.json.kind()? {
            ValueKind::Array => {}
            ValueKind::Null => return self.json.skip(),
            _ => {
                let doubt = Fault::unexpected(&mut self.json, "task.routes", ValueKind::Array)?;
                self.doubts.push(doubt);
                return Ok(());
            }
        }
        let mut items = self.json.array()?;
        while self.json.item(&mut items)? {
            if self.json.kind()? != ValueKind::String {
                self.json.skip()?;
                continue;
            }
            self.json.string(&mut self.value)?;
            if self.project.is_empty()
                && let Some(rest) = self.value.bytes().strip_prefix(TREEHERDER_ROUTE)
                && let Some(project) = rest.split(|byte| *byte == b'.').next()
                && is_project_name(project)
            {
                self.project.extend(project.iter().map(|byte| char::from(*byte)));
            }
        }
        Ok(())
    }

    /// Whether an object follows. Skips null, and anything else, which is a fault of the task.
    fn is_object_or_null(&mut self, path: &'static str) -> Result<bool, JsonError> {
        match self.json.kind()? {
            ValueKind::Object => Ok(true),
            ValueKind::Null => self.json.skip().map(|()| false),
            _ => {
                let fault = Fault::unexpected(&mut self.json, path, ValueKind::Object)?;
                self.fault.get_or_insert(fault);
                Ok(false)
            }
        }
    }
}

/// An entry with these fields.
fn judged(fields: &mut Fields, symbol: &'static str) -> ReadEntry {
    match fields.fault.take() {
        Some(fault) => ReadEntry::Malformed(fault),
        None if fields.has_symbol => ReadEntry::Job,
        None => ReadEntry::Malformed(Fault { path: symbol, what: "is missing".to_owned(), offset: fields.start }),
    }
}

/// Reads a member that both kinds of entries have. Returns false if it is another, which is skipped.
fn member<R: Read>(
    json: &mut JsonReader<R>,
    key: &Text,
    value: &mut Text,
    paths: &Paths,
    fields: &mut Fields,
) -> Result<bool, JsonError> {
    let Fields { group_name, group_symbol, fault, .. } = fields;
    match key.bytes() {
        b"symbol" => fields.has_symbol = text(json, value, paths.symbol, &mut fields.symbol, fault)?,
        b"groupName" => {
            text(json, value, paths.group_name, group_name, fault)?;
        }
        b"groupSymbol" => {
            text(json, value, paths.group_symbol, group_symbol, fault)?;
        }
        b"collection" => collection(json, value, paths.collection, &mut fields.option, fault)?,
        _ => return json.skip().map(|()| false),
    }
    Ok(true)
}

/// Reads a string into `target`, or a number as it is written. Returns false for null, which leaves it empty. Anything
/// else is a fault.
fn text<R: Read>(
    json: &mut JsonReader<R>,
    value: &mut Text,
    path: &'static str,
    target: &mut String,
    fault: &mut Option<Fault>,
) -> Result<bool, JsonError> {
    target.clear();
    match json.kind()? {
        ValueKind::Null => return json.skip().map(|()| false),
        ValueKind::String => json.string(value)?,
        ValueKind::Number => json.number(value)?,
        _ => {
            let unexpected = Fault::unexpected(json, path, ValueKind::String)?;
            fault.get_or_insert(unexpected);
            return Ok(false);
        }
    }
    match value.get() {
        Ok(text) => target.push_str(text),
        Err(bad) => {
            fault.get_or_insert(Fault::bad_text(path, "text", value, &bad));
        }
    }
    Ok(true)
}

/// Reads a collection, `{OPTION: true}`: the options whose value is true.
fn collection<R: Read>(
    json: &mut JsonReader<R>,
    value: &mut Text,
    path: &'static str,
    option: &mut String,
    fault: &mut Option<Fault>,
) -> Result<(), JsonError> {
    option.clear();
    match json.kind()? {
        ValueKind::Object => {}
        ValueKind::Null => return json.skip(),
        _ => {
            let unexpected = Fault::unexpected(json, path, ValueKind::Object)?;
            fault.get_or_insert(unexpected);
            return Ok(());
        }
    }
    // Mostly there is one option, which is not allocated.
    let mut others: Vec<String> = Vec::new();
    let mut bytes = 0;
    let mut members = json.object()?;
    while json.key(&mut members, value)? {
        let is_true = if json.kind()? == ValueKind::Bool { json.bool()? } else { json.skip().map(|()| false)? };
        if !is_true {
            continue;
        }
        match value.get() {
            Ok(name) => {
                bytes += name.len();
                if option.is_empty() {
                    option.push_str(name);
                } else if bytes <= MAX_NAME && !name.is_empty() {
                    others.push(name.to_owned());
                }
            }
            Err(bad) => {
                fault.get_or_insert(Fault::bad_text(path, "option", value, &bad));
            }
        }
    }
    if bytes > MAX_NAME {
        let what = format!("the options have more than {MAX_NAME} bytes");
        fault.get_or_insert(Fault { path, what, offset: json.offset() });
    }
    if !others.is_empty() {
        others.push(std::mem::take(option));
        others.sort_unstable();
        others.dedup();
        *option = others.join(" ");
    }
    Ok(())
}
