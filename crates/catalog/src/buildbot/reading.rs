//! The state of reading a dump, and what the readers of its sections share.

use std::collections::hash_map::RandomState;
use std::io::Read;

use string_interner::symbol::SymbolU32;

use crate::buildbot::dump::Dump;
use crate::document::Fault;
use crate::json::{JsonError, JsonReader, Text, ValueKind};

/// The progress of reading a document.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Bytes of the uncompressed document.
    pub bytes: u64,
    /// Builders of any kind.
    pub builders: u64,
}

/// The schedulers that were read before the builders. A hash stands for the name of each builder.
#[derive(Default)]
pub(crate) struct Pending {
    pub(crate) hasher: RandomState,
    pub(crate) schedulers: Vec<PendingScheduler>,
}

/// A scheduler that was read before the builders.
pub(crate) struct PendingScheduler {
    pub(crate) name: Box<str>,
    pub(crate) trigger: Box<str>,
    pub(crate) downstream: Vec<u64>,
}

/// The reading of one document.
pub(crate) struct Reading<'p, R> {
    pub(crate) json: JsonReader<R>,
    pub(crate) dump: Dump,
    /// Schedulers that stand before the builders.
    pub(crate) pending: Pending,
    progress: &'p mut dyn FnMut(Progress),
}

impl<'p, R: Read> Reading<'p, R> {
    pub(crate) fn new(json: JsonReader<R>, progress: &'p mut dyn FnMut(Progress)) -> Self {
        Self { json, dump: Dump::default(), pending: Pending::default(), progress }
    }

    pub(crate) fn report_progress(&mut self) {
        (self.progress)(Progress { bytes: self.json.offset(), builders: self.dump.findings.builders });
    }

    /// Adds a builder or a scheduler that is left out to the findings.
    pub(crate) fn leave_out(&mut self, section: &str, name: &Text, fault: Fault) {
        let name = name.shown();
        let path: &[&str] = if fault.path.is_empty() { &[section, &name] } else { &[section, &name, fault.path] };
        self.dump.findings.add_problem(path, fault.what, fault.offset);
    }

    /// A string that is not empty; `None` for null and the empty string. Anything else is a fault.
    pub(crate) fn text_or_null(
        &mut self,
        path: &'static str,
        value: &mut Text,
        fault: &mut Option<Fault>,
    ) -> Result<Option<SymbolU32>, JsonError> {
        match self.json.kind()? {
            ValueKind::Null => self.json.skip()?,
            ValueKind::String => {
                self.json.string(value)?;
                match value.get() {
                    Ok("") => {}
                    Ok(text) => return Ok(Some(self.dump.names.get_or_intern(text))),
                    Err(bad) => *fault = Some(Fault::bad_text(path, "name", value, &bad)),
                }
            }
            _ => *fault = Some(self.expected(path, ValueKind::String)?),
        }
        Ok(None)
    }

    /// Skips a value of the wrong kind, and returns the fault.
    pub(crate) fn expected(&mut self, path: &'static str, expected: ValueKind) -> Result<Fault, JsonError> {
        Fault::unexpected(&mut self.json, path, expected)
    }
}
