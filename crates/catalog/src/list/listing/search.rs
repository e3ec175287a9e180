//! Which jobs of a list a selection has.

use crate::list::columns::{
    BUILD_SYSTEM, Columns, GROUP_NAME, GROUP_SYMBOL, OPTION, PLATFORM, Row, TYPE_SYMBOL, Table,
};
use crate::list::listing::{Listing, Selection};
use crate::list::words::Words;

/// The texts that are searched for `Selection::words`, in lower case.
#[derive(Debug)]
pub(super) struct LowerCase {
    names: Words,
    labels: Table<4>,
    places: Table<3>,
    kinds: Table<4>,
}

impl Listing {
    /// The places of the selected jobs.
    pub(in crate::list) fn selected(&self, wanted: &Selection) -> Vec<usize> {
        let Columns { names: _, rows, places, labels, kinds, .. } = &self.columns;
        // Each filter is applied to each word once; a job then only has numbers to look up.
        let is_place = accepted(places.len(), |place| is_one_of(&wanted.platform, places.get(PLATFORM, place)));
        let is_label = accepted(labels.len(), |label| {
            is_one_of(&wanted.job_group_symbol, labels.get(GROUP_SYMBOL, label))
                && is_one_of(&wanted.job_type_symbol, labels.get(TYPE_SYMBOL, label))
        });
        let is_kind = accepted(kinds.len(), |kind| {
            is_one_of(&wanted.option, kinds.get(OPTION, kind))
                && is_one_of(&wanted.build_system_type, kinds.get(BUILD_SYSTEM, kind))
        });
        let words: Vec<WordFilter<'_>> =
            wanted.words.iter().map(|word| WordFilter::new(&word.to_lowercase(), self.lower())).collect();
        let is_selected = |(at, row): (usize, &Row)| {
            let is_wanted = is_place[row.place()]
                && is_label[row.label()]
                && is_kind[row.kind()]
                && words.iter().all(|word| word.accepts(at, *row));
            is_wanted.then_some(at)
        };
        rows.iter().enumerate().filter_map(is_selected).collect()
    }

    fn lower(&self) -> &LowerCase {
        self.lower.get_or_init(|| LowerCase {
            names: self.columns.names.to_lowercase(),
            labels: self.columns.labels.to_lowercase(),
            places: self.columns.places.to_lowercase(),
            kinds: self.columns.kinds.to_lowercase(),
        })
    }
}

fn is_one_of(wanted: &[String], has: &str) -> bool {
    wanted.is_empty() || wanted.iter().any(|one| one == has)
}

/// Which numbers a filter accepts.
fn accepted(count: usize, accepts: impl Fn(usize) -> bool) -> Vec<bool> {
    (0..count).map(accepts).collect()
}

/// A word that a job must have, and where it is found besides in names.
struct WordFilter<'l> {
    names: &'l Words,
    finder: memchr::memmem::Finder<'static>,
    is_label: Vec<bool>,
    is_place: Vec<bool>,
    is_kind: Vec<bool>,
}

impl<'l> WordFilter<'l> {
    /// `word` is in lower case.
    fn new(word: &str, lower: &'l LowerCase) -> Self {
        let finder = memchr::memmem::Finder::new(word).into_owned();
        let has = |text: &str| finder.find(text.as_bytes()).is_some();
        let LowerCase { names, labels, places, kinds } = lower;
        // A search finds the symbols as Treeherder shows them, `M-e10s(3)`: each and the whole.
        let is_of_symbols = word.contains(['(', ')']);
        let is_label = accepted(labels.len(), |label| {
            (GROUP_NAME..=TYPE_SYMBOL).any(|column| has(labels.get(column, label)))
                || (is_of_symbols
                    && has(&format!("{}({})", labels.get(GROUP_SYMBOL, label), labels.get(TYPE_SYMBOL, label))))
        });
        let is_place = accepted(places.len(), |place| has(places.get(PLATFORM, place)));
        let is_kind = accepted(kinds.len(), |kind| has(kinds.get(OPTION, kind)));
        Self { names, finder, is_label, is_place, is_kind }
    }

    fn accepts(&self, job: usize, row: Row) -> bool {
        self.is_label[row.label()]
            || self.is_place[row.place()]
            || self.is_kind[row.kind()]
            || self.finder.find(self.names.get(job).as_bytes()).is_some()
    }
}
