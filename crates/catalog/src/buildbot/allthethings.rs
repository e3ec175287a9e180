//! Reads allthethings.json, Buildbot's dump of every builder, as a stream: one pass, and memory for what is kept.
//!
//! The document is `{"builders": {NAME: {"properties": {"branch", "slavebuilddir", ..}, "shortname", ..}},
//! "schedulers": {NAME: {"downstream": [NAME], "triggered_by": [TRIGGER]?}}, "slavepools": {POOL: [SLAVE]},
//! "master_builders": {MASTER: [NAME]}, ..}`, in any order; everything else in it is skipped. A
//! builder or a scheduler that is not of that shape is left out and named; a document that is not of it is refused.

use std::io::{self, Read};

use string_interner::symbol::SymbolU32;

use crate::dump::{Builder, Dump, is_project_name};
use crate::json::{BadText, JsonError, JsonReader, Text, ValueKind};
use crate::schedulers::Pending;

/// The longest name that a builder, a scheduler or a property may have, in bytes. The longest real one has 112.
pub const MAX_NAME: usize = 1000;

/// Why a document was refused, and where in it.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The source holds nothing.
    #[error("the source is empty")]
    Empty,
    /// The source is not JSON at all, for example a page of HTML.
    #[error("this is no JSON: it starts with '{first}'")]
    NotJson {
        /// The first character.
        first: String,
    },
    /// The text breaks off or is not JSON, or something has another shape than allthethings.json.
    #[error("{path}: {what} (byte {offset})")]
    Malformed {
        /// The path to the place, for example `builders.Linux try build.properties`.
        path: String,
        /// What is wrong there.
        what: String,
        /// Where, in bytes of the uncompressed document.
        offset: u64,
    },
    /// The document has no `builders`.
    #[error("this is no allthethings.json: it has no \"builders\"")]
    NoBuilders,
    /// The document is longer than allowed.
    #[error("the uncompressed document has more than {limit} bytes, the configured maximum")]
    TooLong {
        /// The configured maximum.
        limit: u64,
    },
    /// The compressed document is longer than allowed.
    #[error("the compressed document is longer than {limit} bytes, the configured maximum, allow")]
    SourceTooLong {
        /// The configured maximum.
        limit: u64,
    },
    /// The stream broke: the connection, the disk, or the compressed data.
    #[error("{path}: the source broke off: {error} (byte {offset})")]
    Input {
        /// The path to the place that was being read.
        path: String,
        /// What the stream said.
        error: io::Error,
        /// Where, in bytes of the uncompressed document.
        offset: u64,
    },
}

impl ReadError {
    pub(crate) fn new(error: JsonError, path: &[&str]) -> Self {
        let path = if path.is_empty() { "the document".to_owned() } else { path.join(".") };
        match error {
            JsonError::Syntax { what, offset } => Self::Malformed { path, what, offset },
            JsonError::Input { error, offset } => Self::Input { path, error, offset },
            JsonError::TooLong { limit } => Self::TooLong { limit },
        }
    }
}

/// How far the reading is.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Bytes of the uncompressed document.
    pub bytes: u64,
    /// Builders, of whatever kind.
    pub builders: u64,
}

/// Why a builder or a scheduler is left out.
pub(crate) struct Fault {
    /// What of it is wrong, for example `properties.branch`; empty where it is the whole.
    path: &'static str,
    what: String,
    offset: u64,
}

impl Fault {
    /// A string that cannot be used.
    pub(crate) fn bad_text(path: &'static str, text: &Text, bad: &BadText) -> Self {
        let subject = if path.is_empty() { "the name " } else { "" };
        let what = match bad {
            BadText::TooLong { length, limit } => format!("{subject}has {length} bytes, at most {limit} are allowed"),
            BadText::NotUtf8 => format!("{subject}is not UTF-8"),
            BadText::Control => format!("{subject}holds a control character"),
        };
        Self { path, what, offset: text.offset() }
    }
}

/// The reading of one document.
pub(crate) struct Reading<'p, R> {
    pub(crate) json: JsonReader<R>,
    pub(crate) dump: Dump,
    /// Schedulers that stand before the builders.
    pub(crate) pending: Pending,
    progress: &'p mut dyn FnMut(Progress),
}

/// Reads a document of at most `max_bytes` bytes. Every 1,000 builders `progress` is told how far it is.
///
/// # Errors
/// A document that breaks off, is not JSON, has no object `builders`, or is too long. What is wrong with one builder or
/// one scheduler is no error: it is among the findings.
pub fn read(input: impl Read, max_bytes: u64, progress: &mut dyn FnMut(Progress)) -> Result<Dump, ReadError> {
    let mut reading = Reading {
        json: JsonReader::new(input, max_bytes),
        dump: Dump::default(),
        pending: Pending::default(),
        progress,
    };
    reading.document()?;
    Ok(reading.dump)
}

impl<R: Read> Reading<'_, R> {
    fn document(&mut self) -> Result<(), ReadError> {
        let at = |error| ReadError::new(error, &[]);
        match self.json.first_token().map_err(at)? {
            None => return Err(ReadError::Empty),
            Some(b'{') => {}
            Some(b'[' | b'"' | b'0'..=b'9' | b'-') => return Err(ReadError::NoBuilders),
            Some(first) => return Err(ReadError::NotJson { first: first.escape_ascii().to_string() }),
        }
        let mut members = self.json.object().map_err(at)?;
        let mut key = Text::new(MAX_NAME);
        let (mut builders, mut schedulers) = (false, false);
        while self.json.key(&mut members, &mut key).map_err(at)? {
            match key.bytes() {
                b"builders" => {
                    self.section("builders", &mut builders)?;
                    self.builders()?;
                }
                b"schedulers" => {
                    self.section("schedulers", &mut schedulers)?;
                    self.schedulers(builders)?;
                }
                b"slavepools" => self.pools()?,
                b"master_builders" => self.masters()?,
                _ => self.json.skip().map_err(|error| ReadError::new(error, &[&key.shown()]))?,
            }
        }
        self.json.end().map_err(at)?;
        self.dump.findings.bytes = self.json.offset();
        if !builders {
            return Err(ReadError::NoBuilders);
        }
        self.resolve_pending();
        if !schedulers {
            self.dump.findings.add_problem(&["schedulers"], "is missing: no test has a build".to_owned(), 0);
        }
        Ok(())
    }

    /// Holds that a section is an object and stands in the document once.
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
                (self.progress)(Progress { bytes: self.json.offset(), builders: self.dump.findings.builders });
            }
            let builder = self.builder().map_err(|error| ReadError::new(error, &["builders", &name.shown()]))?;
            let of_name = |what: &str| Fault { path: "", what: what.to_owned(), offset: name.offset() };
            let fault = match (name.get(), builder) {
                (Err(bad), _) => Some(Fault::bad_text("", &name, &bad)),
                (Ok(""), _) => Some(of_name("the name is empty")),
                (Ok(_), Err(fault)) => Some(fault),
                (Ok(text), Ok(builder)) => {
                    let symbol = self.dump.names.get_or_intern(text);
                    let twice = self.dump.insert(symbol, builder);
                    twice.then(|| of_name("stands in the document twice: the later one counts"))
                }
            };
            if let Some(fault) = fault {
                self.leave_out("builders", &name, fault);
            }
        }
        Ok(())
    }

    pub(crate) fn leave_out(&mut self, section: &str, name: &Text, fault: Fault) {
        let name = name.shown();
        let path: &[&str] = if fault.path.is_empty() { &[section, &name] } else { &[section, &name, fault.path] };
        self.dump.findings.add_problem(path, fault.what, fault.offset);
    }

    /// One builder, or what is wrong with it.
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
                // Only the shortname of a build is ever looked for, so that of a test may be anything.
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
                        let rule = "is no project name: letters, digits, '-', '_' and '.', at most 100 of them";
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

    /// A string that is not empty; none where it is null or empty. Anything else is a fault.
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
                    Err(bad) => *fault = Some(Fault::bad_text(path, value, &bad)),
                }
            }
            _ => *fault = Some(self.expected(path, ValueKind::String)?),
        }
        Ok(None)
    }

    /// Skips a value of the wrong kind, and says so.
    pub(crate) fn expected(&mut self, path: &'static str, expected: ValueKind) -> Result<Fault, JsonError> {
        let found = self.json.kind()?;
        let offset = self.json.offset();
        self.json.skip()?;
        Ok(Fault { path, what: format!("{} is expected, not {}", expected.noun(), found.noun()), offset })
    }
}
