//! Reads allthethings.json, Buildbot's dump of every builder, as a stream: one pass, and memory only for what is kept.
//!
//! The document is `{"builders": {NAME: {"properties": {"branch", "slavebuilddir", ..}, "shortname", ..}},
//! "schedulers": {NAME: {"downstream": [NAME], "triggered_by": [TRIGGER]?}}, "slavepools": {POOL: [SLAVE]},
//! "master_builders": {MASTER: [NAME]}, ..}`, in any order; the reader skips everything else. It leaves out a builder or
//! a scheduler of another shape and reports it; it refuses a document of another shape.

use std::io::Read;

use crate::buildbot::dump::{Builder, Dump};
use crate::buildbot::reading::{Progress, Reading};
use crate::document::{Fault, ReadError};
use crate::json::{JsonError, JsonReader, Text, ValueKind};
use crate::list::{MAX_NAME, is_project_name};

/// The refusal of any other document.
const NO_BUILDERS: ReadError = ReadError::OtherDocument("this is not allthethings.json: it has no \"builders\"");

/// Reads a document of at most `max_bytes` bytes. Calls `progress` every 1,000 builders.
///
/// # Errors
/// The document breaks off, is not JSON, has no object `builders`, or is too long. A malformed builder or scheduler is
/// not an error: it is among the findings.
pub fn read(mut input: impl Read, max_bytes: u64, progress: &mut dyn FnMut(Progress)) -> Result<Dump, ReadError> {
    read_from(&mut input, max_bytes, progress)
}

/// Not generic, so that it is compiled with this crate's optimisation and not with that of its callers.
fn read_from(input: &mut dyn Read, max_bytes: u64, progress: &mut dyn FnMut(Progress)) -> Result<Dump, ReadError> {
    let mut reading = Reading::new(JsonReader::new(input, max_bytes), progress);
    reading.document()?;
    Ok(reading.dump)
}

impl<R: Read> Reading<'_, R> {
    fn document(&mut self) -> Result<(), ReadError> {
        let at = |error| ReadError::new(error, &[]);
        match self.json.first_token().map_err(at)? {
            None => return Err(ReadError::Empty),
            Some(b'{') => {}
            Some(b'[' | b'"' | b'0'..=b'9' | b'-') => return Err(NO_BUILDERS),
            Some(first) => return Err(ReadError::NotJson { first: first.escape_ascii().to_string() }),
        }
        let mut members = self.json.object().map_err(at)?;
        let mut key = Text::new(MAX_NAME);
        let (mut has_builders, mut has_schedulers) = (false, false);
        while self.json.key(&mut members, &mut key).map_err(at)? {
            match key.bytes() {
                b"builders" => {
                    self.section("builders", &mut has_builders)?;
                    self.builders()?;
                }
                b"schedulers" => {
                    self.section("schedulers", &mut has_schedulers)?;
                    self.schedulers(has_builders)?;
                }
                b"slavepools" => self.pools()?,
                b"master_builders" => self.masters()?,
                _ => self.json.skip().map_err(|error| ReadError::new(error, &[&key.shown()]))?,
            }
        }
        self.json.end().map_err(at)?;
        self.dump.findings.bytes = self.json.offset();
        if !has_builders {
            return Err(NO_BUILDERS);
        }
        self.resolve_pending();
        if !has_schedulers {
            self.dump.findings.add_problem(&["schedulers"], "is missing: no test has a build".to_owned(), 0);
        }
        Ok(())
    }

    /// Checks that a section is an object and that the document has it once. `seen` says whether it was read before.
    fn section(&mut self, name: &str, seen: &mut bool) -> Result<(), ReadError> {
        let malformed = |what, offset| ReadError::Malformed { path: name.to_owned(), what, offset };
        if std::mem::replace(seen, true) {
            return Err(malformed("stands in the document twice".to_owned(), self.json.offset()));
        }
        match self.json.kind().map_err(|error| ReadError::new(error, &[name]))? {
            ValueKind::Object => Ok(()),
            other => Err(malformed(format!("an object is expected, not {}", other.noun()), self.json.offset())),
        }
    }

    fn builders(&mut self) -> Result<(), ReadError> {
        let at = |error| ReadError::new(error, &["builders"]);
        let mut members = self.json.object().map_err(at)?;
        let mut name = Text::new(MAX_NAME);
        while self.json.key(&mut members, &mut name).map_err(at)? {
            self.dump.findings.builders += 1;
            if self.dump.findings.builders.is_multiple_of(1000) {
                self.report_progress();
            }
            let builder = self.builder().map_err(|error| ReadError::new(error, &["builders", &name.shown()]))?;
            let fault_of_name = |what: &str| Fault { path: "", what: what.to_owned(), offset: name.offset() };
            let fault = match (name.get(), builder) {
                (Err(bad), _) => Some(Fault::bad_text("", "name", &name, &bad)),
                (Ok(""), _) => Some(fault_of_name("the name is empty")),
                (Ok(_), Err(fault)) => Some(fault),
                (Ok(text), Ok(builder)) => {
                    let symbol = self.dump.names.get_or_intern(text);
                    let is_repeated = self.dump.insert(symbol, builder);
                    is_repeated.then(|| fault_of_name("stands in the document twice: the later one counts"))
                }
            };
            if let Some(fault) = fault {
                self.leave_out("builders", &name, fault);
            }
        }
        Ok(())
    }

    /// Reads one builder. A fault leaves the builder out; an error ends the reading.
    fn builder(&mut self) -> Result<Result<Builder, Fault>, JsonError> {
        let mut builder = Builder { branch: None, shortname: None, pool: None, has_no_machines: false, is_test: false };
        let (mut fault, mut shortname_fault) = (None, None);
        let mut has_properties = false;
        let mut key = Text::new(MAX_NAME);
        let mut value = Text::new(MAX_NAME);
        if self.json.kind()? != ValueKind::Object {
            return Ok(Err(self.expected("", ValueKind::Object)?));
        }
        let start = self.json.offset();
        let mut members = self.json.object()?;
        while self.json.key(&mut members, &mut key)? {
            match key.bytes() {
                b"properties" if self.json.kind()? == ValueKind::Object => {
                    has_properties = true;
                    self.properties(&mut builder, &mut fault, &mut key, &mut value)?;
                }
                b"properties" => {
                    has_properties = true;
                    fault = Some(self.expected("properties", ValueKind::Object)?);
                }
                // Only the shortnames of builds are looked up, so that of a test may be anything.
                b"shortname" if !builder.is_test => {
                    builder.shortname = self.text_or_null("shortname", &mut value, &mut shortname_fault)?;
                }
                b"slavepool" => (builder.pool, builder.has_no_machines) = self.pool(&mut value)?,
                _ => self.json.skip()?,
            }
        }
        if !has_properties {
            fault = Some(Fault { path: "properties", what: "is missing".to_owned(), offset: start });
        }
        let fault = fault.or(shortname_fault.filter(|_| !builder.is_test));
        Ok(fault.map_or(Ok(builder), Err))
    }

    fn properties(
        &mut self,
        builder: &mut Builder,
        fault: &mut Option<Fault>,
        key: &mut Text,
        value: &mut Text,
    ) -> Result<(), JsonError> {
        let mut members = self.json.object()?;
        while self.json.key(&mut members, key)? {
            match key.bytes() {
                b"branch" => {
                    builder.branch = self.text_or_null("properties.branch", value, fault)?;
                    if builder.branch.is_some() && !is_project_name(value.bytes()) {
                        let rule =
                            "is not a valid project name: letters, digits, '-', '_' and '.', at most 100 of them";
                        let what = format!("{:?} {rule}", value.shown());
                        *fault = Some(Fault { path: "properties.branch", what, offset: value.offset() });
                    }
                }
                b"slavebuilddir" if self.json.kind()? == ValueKind::String => {
                    self.json.string(value)?;
                    builder.is_test = value.bytes() == b"test";
                }
                _ => self.json.skip()?,
            }
        }
        Ok(())
    }
}
