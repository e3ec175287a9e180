//! Reads the schedulers of tests: the first trigger of each, and the tests that it starts.
//!
//! A string that is not the name of a test is not kept. If the schedulers come before the builders, a hash stands for
//! each name until the builders are known.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::io::Read;

use string_interner::symbol::SymbolU32;

use crate::buildbot::dump::TestScheduler;
use crate::buildbot::reading::{PendingScheduler, Reading};
use crate::document::{Fault, ReadError};
use crate::json::{JsonError, Text, ValueKind};
use crate::list::MAX_NAME;

/// The builders that a scheduler starts.
enum Downstream {
    /// Tests that are known.
    Known(Vec<SymbolU32>),
    /// Hashes of names.
    Pending(Vec<u64>),
}

impl Downstream {
    fn is_empty(&self) -> bool {
        match self {
            Self::Known(tests) => tests.is_empty(),
            Self::Pending(hashes) => hashes.is_empty(),
        }
    }
}

impl<R: Read> Reading<'_, R> {
    pub(crate) fn schedulers(&mut self, builders_are_known: bool) -> Result<(), ReadError> {
        let at = |error| ReadError::new(error, &["schedulers"]);
        let mut members = self.json.object().map_err(at)?;
        let mut name = Text::new(MAX_NAME);
        while self.json.key(&mut members, &mut name).map_err(at)? {
            let path = ["schedulers", &name.shown()];
            if !name.bytes().starts_with(b"tests-") {
                self.json.skip().map_err(|error| ReadError::new(error, &path))?;
                continue;
            }
            let scheduler = self.scheduler(builders_are_known).map_err(|error| ReadError::new(error, &path))?;
            match (name.get(), scheduler) {
                (Ok(name), Ok((Some(trigger), downstream))) if !downstream.is_empty() => match downstream {
                    Downstream::Known(downstream) => self.add_scheduler(name, &trigger, downstream),
                    Downstream::Pending(downstream) => {
                        let name = name.into();
                        self.pending.schedulers.push(PendingScheduler { name, trigger, downstream });
                    }
                },
                (Ok(_), Ok(_)) => {}
                (Err(bad), _) => self.leave_out("schedulers", &name, Fault::bad_text("", "name", &name, &bad)),
                (_, Err(fault)) => self.leave_out("schedulers", &name, fault),
            }
        }
        Ok(())
    }

    fn add_scheduler(&mut self, name: &str, trigger: &str, downstream: Vec<SymbolU32>) {
        let (name, trigger) = (self.dump.names.get_or_intern(name), self.dump.names.get_or_intern(trigger));
        self.dump.schedulers.push(TestScheduler { name, trigger, downstream });
    }

    /// Finds the tests of the schedulers that came before the builders.
    pub(crate) fn resolve_pending(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        if pending.schedulers.is_empty() {
            return;
        }
        let hash = |(symbol, _)| (pending.hasher.hash_one(self.dump.text(symbol)), symbol);
        let tests: HashMap<u64, SymbolU32> =
            self.dump.builders().filter(|(_, builder)| builder.is_test).map(hash).collect();
        for PendingScheduler { name, trigger, downstream } in pending.schedulers {
            let downstream: Vec<SymbolU32> = downstream.iter().filter_map(|hash| tests.get(hash).copied()).collect();
            if !downstream.is_empty() {
                self.add_scheduler(&name, &trigger, downstream);
            }
        }
    }

    /// The first trigger of a scheduler, and what it starts.
    #[allow(clippy::type_complexity)]
    fn scheduler(
        &mut self,
        builders_are_known: bool,
    ) -> Result<Result<(Option<Box<str>>, Downstream), Fault>, JsonError> {
        let (mut trigger, mut fault) = (None, None);
        let (mut tests, mut hashes) = (Vec::new(), Vec::new());
        if self.json.kind()? != ValueKind::Object {
            return Ok(Err(self.expected("", ValueKind::Object)?));
        }
        let mut members = self.json.object()?;
        let mut key = Text::new(MAX_NAME);
        while self.json.key(&mut members, &mut key)? {
            match key.bytes() {
                b"triggered_by" => {
                    let mut first = None;
                    self.texts("triggered_by", &mut fault, |_, text| {
                        first.get_or_insert_with(|| text.into());
                    })?;
                    trigger = first;
                }
                b"downstream" if builders_are_known => self.texts("downstream", &mut fault, |reading, text| {
                    let is_test = |name: &SymbolU32| reading.dump.builder(*name).is_some_and(|builder| builder.is_test);
                    tests.extend(reading.dump.names.get(text).filter(is_test));
                })?,
                b"downstream" => self.texts("downstream", &mut fault, |reading, text| {
                    hashes.push(reading.pending.hasher.hash_one(text));
                })?,
                _ => self.json.skip()?,
            }
        }
        let downstream = if builders_are_known { Downstream::Known(tests) } else { Downstream::Pending(hashes) };
        Ok(fault.map_or(Ok((trigger, downstream)), Err))
    }

    /// Reads a list of strings, or null, and gives each string to `each`. A string that cannot be the name or the
    /// shortname of a builder is skipped; the rest of the list still counts.
    fn texts(
        &mut self,
        path: &'static str,
        fault: &mut Option<Fault>,
        mut each: impl FnMut(&Self, &str),
    ) -> Result<(), JsonError> {
        match self.json.kind()? {
            ValueKind::Null => self.json.skip(),
            ValueKind::Array => {
                let mut items = self.json.array()?;
                let mut value = Text::new(MAX_NAME);
                while self.json.item(&mut items)? {
                    match self.json.kind()? {
                        ValueKind::Null => self.json.skip()?,
                        ValueKind::String => {
                            self.json.string(&mut value)?;
                            if let Ok(text) = value.get()
                                && !text.is_empty()
                            {
                                each(self, text);
                            }
                        }
                        _ => *fault = Some(self.expected(path, ValueKind::String)?),
                    }
                }
                Ok(())
            }
            _ => {
                *fault = Some(self.expected(path, ValueKind::Array)?);
                Ok(())
            }
        }
    }
}
