//! Reads what builders run on: slave pools, and the masters that list builders.
//!
//! A malformed pool or master does not remove a builder. Problems found here do not name it, because the names are
//! those of hosts.

use std::io::Read;

use string_interner::symbol::SymbolU32;

use crate::buildbot::dump::MAX_MASTERS;
use crate::buildbot::reading::Reading;
use crate::document::ReadError;
use crate::json::{JsonError, Text, ValueKind};
use crate::list::MAX_NAME;

impl<R: Read> Reading<'_, R> {
    /// Reads a builder's `slavepool`. Returns the name of the pool, if it has one, and whether the dump has an empty
    /// list of machines in place of a name.
    pub(crate) fn pool(&mut self, value: &mut Text) -> Result<(Option<SymbolU32>, bool), JsonError> {
        match self.json.kind()? {
            ValueKind::String => {
                self.json.string(value)?;
                Ok((value.get().ok().map(|pool| self.dump.names.get_or_intern(pool)), false))
            }
            ValueKind::Array => Ok((None, self.items()? == 0)),
            _ => self.json.skip().map(|()| (None, false)),
        }
    }

    /// `slavepools`: the machines of each pool. Only the names of pools without machines are kept.
    pub(crate) fn pools(&mut self) -> Result<(), ReadError> {
        self.lists("slavepools", |reading, pool, machines| {
            if machines == 0 {
                let pool = reading.dump.names.get_or_intern(pool);
                reading.dump.empty_pools.insert(pool);
            }
        })
    }

    /// `master_builders`: the builders of each master. Only their number is kept.
    pub(crate) fn masters(&mut self) -> Result<(), ReadError> {
        let mut count = 0;
        self.lists("master_builders", |reading, master, builders| {
            count += 1;
            if count <= MAX_MASTERS {
                reading.dump.findings.masters.insert(master.to_owned(), builders);
            }
        })?;
        if count > MAX_MASTERS {
            self.dump.findings.masters.clear();
            let what = format!("has more than {MAX_MASTERS} masters: they are not compared");
            self.dump.findings.add_problem(&["master_builders"], what, 0);
        }
        Ok(())
    }

    /// Reads an object of lists, and calls `each` with the name and the length of each list. A section of another shape
    /// is a problem; a member that is not a list is skipped.
    fn lists(&mut self, section: &str, mut each: impl FnMut(&mut Self, &str, u64)) -> Result<(), ReadError> {
        let at = |error| ReadError::new(error, &[section]);
        let kind = self.json.kind().map_err(at)?;
        if kind != ValueKind::Object {
            let what = format!("an object is expected, not {}", kind.noun());
            let offset = self.json.offset();
            self.dump.findings.add_problem(&[section], what, offset);
            return self.json.skip().map_err(at);
        }
        let mut members = self.json.object().map_err(at)?;
        let mut name = Text::new(MAX_NAME);
        while self.json.key(&mut members, &mut name).map_err(at)? {
            if self.json.kind().map_err(at)? == ValueKind::Array {
                let length = self.items().map_err(at)?;
                if let Ok(name) = name.get() {
                    each(self, name, length);
                }
            } else {
                self.json.skip().map_err(at)?;
            }
        }
        Ok(())
    }

    /// Skips a list, and counts its items.
    fn items(&mut self) -> Result<u64, JsonError> {
        let mut items = self.json.array()?;
        let mut count = 0;
        while self.json.item(&mut items)? {
            self.json.skip()?;
            count += 1;
        }
        Ok(count)
    }
}
