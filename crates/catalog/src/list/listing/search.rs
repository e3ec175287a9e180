//! Which jobs of a list a selection has.
//!
//! A query matches the lines of jobs: `label symbol group groupname platform title option`, without empty parts. The
//! lines are not kept. A word without a blank is in a line if it is in one of its parts, and thousands of jobs share
//! most parts: each of these is looked at once for each word, and then the names of the jobs whose other parts do not
//! have it. Only for words with blanks the lines are made, one after the other, and each once for all these words: the
//! lines of the jobs that the words without blanks leave over.

use memchr::memmem::Finder;

use crate::list::columns::{BUILD_SYSTEM, Columns, GROUP_NAME, GROUP_SYMBOL, OPTION, PLATFORM, Row, TYPE_SYMBOL};
use crate::list::job::{UNKNOWN, UNKNOWN_SYMBOL};
use crate::list::listing::{Listing, Selection};
use crate::list::query::{Place, Term, is_blank};
use crate::list::titles::platform_title;
use crate::list::words::Words;

/// What the lines of the jobs consist of, beside the names as they are.
#[derive(Debug)]
pub(super) struct LineParts {
    /// The names, if they are in lower case.
    lower_names: Option<Words>,
    /// The symbol, by the number of the label.
    symbols: Words,
    /// The symbol of the group, by the number of the label.
    groups: Words,
    /// The name of the group, by the number of the label.
    group_names: Words,
    /// The platform, and its title if that is another, by the number of the place.
    places: Words,
    /// The option, by the number of the kind.
    options: Words,
}

impl LineParts {
    /// The parts in the case in which they are, or in lower case.
    fn new(columns: &Columns, is_lower: bool) -> Self {
        let Columns { names, places, labels, kinds, .. } = columns;
        let cased = |words: &Words| if is_lower { words.to_lowercase() } else { words.clone() };
        let mut titled = Words::default();
        for platform in places.column(PLATFORM).iter() {
            let title = other_than(platform, platform_title(platform));
            titled.push_with(|text| put_words(text, [platform, title]));
        }
        Self {
            lower_names: is_lower.then(|| names.to_lowercase()),
            symbols: cased(labels.column(TYPE_SYMBOL)),
            groups: cased(labels.column(GROUP_SYMBOL)),
            group_names: cased(labels.column(GROUP_NAME)),
            places: cased(&titled),
            options: cased(kinds.column(OPTION)),
        }
    }
}

/// A word, or nothing if it is this one.
fn other_than<'w>(this: &str, word: &'w str) -> &'w str {
    if word == this { "" } else { word }
}

/// Appends words that are not empty, with blanks between them.
fn put_words<const N: usize>(text: &mut String, words: [&str; N]) {
    let start = text.len();
    for word in words.into_iter().filter(|word| !word.is_empty()) {
        if text.len() > start {
            text.push(' ');
        }
        text.push_str(word);
    }
}

impl Listing {
    /// The places of the selected jobs.
    pub(in crate::list) fn selected(&self, wanted: &Selection) -> Vec<usize> {
        self.selected_by(wanted, &mut Lines::default())
    }

    /// The places of the selected jobs. `lines` is for their lines, if they are needed.
    fn selected_by(&self, wanted: &Selection, lines: &mut Lines) -> Vec<usize> {
        let Columns { rows, places, labels, kinds, .. } = &self.columns;
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
        let is_wanted = |row: &Row| is_place[row.place()] && is_label[row.label()] && is_kind[row.kind()];
        let wanted_rows = rows.iter().enumerate().filter(|(_, row)| is_wanted(row));
        let mut selected: Vec<usize> = wanted_rows.map(|(at, _)| at).collect();
        let mut sets_of_lines = Vec::new();
        for set in wanted.query.sets() {
            let filters: Vec<TermFilter<'_>> = set.iter().map(|term| self.filter(term)).collect();
            match &filters[..] {
                _ if filters.iter().any(TermFilter::needs_line) => sets_of_lines.push(filters),
                [filter] => selected.retain(|at| filter.accepts(*at, rows[*at], lines)),
                _ => selected.retain(|at| filters.iter().any(|filter| filter.accepts(*at, rows[*at], lines))),
            }
        }
        if !sets_of_lines.is_empty() {
            selected.retain(|at| {
                sets_of_lines.iter().all(|set| set.iter().any(|filter| filter.accepts(*at, rows[*at], lines)))
            });
        }
        selected
    }

    fn filter<'l>(&'l self, term: &'l Term) -> TermFilter<'l> {
        let parts = if term.is_case_sensitive {
            self.parts.get_or_init(|| LineParts::new(&self.columns, false))
        } else {
            self.lower_parts.get_or_init(|| LineParts::new(&self.columns, true))
        };
        TermFilter::new(term, &self.columns, parts)
    }
}

fn is_one_of(wanted: &[String], has: &str) -> bool {
    wanted.is_empty() || wanted.iter().any(|one| one == has)
}

/// Which numbers a filter accepts.
fn accepted(count: usize, accepts: impl Fn(usize) -> bool) -> Vec<bool> {
    (0..count).map(accepts).collect()
}

/// A term, the jobs, and what is known of it before the jobs are looked at.
struct TermFilter<'l> {
    term: &'l Term,
    columns: &'l Columns,
    names: &'l Words,
    parts: &'l LineParts,
    way: Way,
}

/// How a job is looked at.
enum Way {
    /// One of its parts has to have the word. It is known of those that jobs share.
    Parts { finder: Box<Finder<'static>>, labels: Vec<bool>, places: Vec<bool>, options: Vec<bool> },
    /// The first of its parts has to begin with the word.
    First,
    /// The last of its parts has to end with the word.
    Last,
    /// The word may be in several parts. The finder is for a word that may be anywhere.
    Line { finder: Option<Box<Finder<'static>>> },
}

/// The lines of the job that is looked at: as it is, and in lower case.
#[derive(Default)]
struct Lines {
    exact: Line,
    lower: Line,
}

/// The line of the job for which it was made last.
#[derive(Default)]
struct Line {
    text: String,
    /// The place of the job.
    at: Option<usize>,
    /// How many lines were made.
    #[cfg(test)]
    made: usize,
}

impl Line {
    /// The line of a job, which consists of these words. It is made unless it is that of the job before.
    fn of<'w, const N: usize>(&mut self, at: usize, words: impl FnOnce() -> [&'w str; N]) -> &str {
        if self.at != Some(at) {
            self.text.clear();
            put_words(&mut self.text, words());
            self.at = Some(at);
            #[cfg(test)]
            {
                self.made += 1;
            }
        }
        &self.text
    }
}

impl<'l> TermFilter<'l> {
    fn new(term: &'l Term, columns: &'l Columns, parts: &'l LineParts) -> Self {
        let names = parts.lower_names.as_ref().unwrap_or(&columns.names);
        let finder = || Box::new(Finder::new(&term.text).into_owned());
        let way = match term.place {
            Place::Within if term.text.contains(' ') => Way::Line { finder: Some(finder()) },
            Place::Whole => Way::Line { finder: None },
            _ if term.text.contains(' ') => Way::Line { finder: None },
            Place::Start => Way::First,
            Place::End => Way::Last,
            Place::Within => {
                let finder = finder();
                let has = |words: &Words| {
                    let mut has = vec![false; words.len()];
                    words.find_in_each(&finder, |number| has[number] = true);
                    has
                };
                let mut labels = has(&parts.symbols);
                let is_known = |column, number, unknown| columns.labels.get(column, number) != unknown;
                parts.groups.find_in_each(&finder, |number| {
                    labels[number] |= is_known(GROUP_SYMBOL, number, UNKNOWN_SYMBOL);
                });
                parts.group_names.find_in_each(&finder, |number| {
                    labels[number] |= is_known(GROUP_NAME, number, UNKNOWN);
                });
                let (places, options) = (has(&parts.places), has(&parts.options));
                Way::Parts { finder, labels, places, options }
            }
        };
        Self { term, columns, names, parts, way }
    }

    fn needs_line(&self) -> bool {
        matches!(self.way, Way::Line { .. })
    }

    /// Whether the term accepts a job. `lines` is for the job's lines, if they are needed.
    fn accepts(&self, at: usize, row: Row, lines: &mut Lines) -> bool {
        let Self { term, columns, names, parts, way } = self;
        let words = || {
            let label = row.label();
            let known = |words: &'l Words, column, unknown| {
                if columns.labels.get(column, label) == unknown { "" } else { words.get(label) }
            };
            [
                names.get(at),
                parts.symbols.get(label),
                known(&parts.groups, GROUP_SYMBOL, UNKNOWN_SYMBOL),
                known(&parts.group_names, GROUP_NAME, UNKNOWN),
                parts.places.get(row.place()),
                parts.options.get(row.kind()),
            ]
        };
        let has = match way {
            Way::Parts { finder, labels, places, options } => {
                labels[row.label()]
                    || places[row.place()]
                    || options[row.kind()]
                    || finder.find(names.get(at).as_bytes()).is_some()
            }
            // A part of blanks alone is not the first one of the trimmed line.
            Way::First => words()
                .into_iter()
                .map(|word| word.trim_start_matches(is_blank))
                .find(|word| !word.is_empty())
                .is_some_and(|word| word.starts_with(&term.text)),
            Way::Last => words()
                .into_iter()
                .rev()
                .map(|word| word.trim_end_matches(is_blank))
                .find(|word| !word.is_empty())
                .is_some_and(|word| word.ends_with(&term.text)),
            Way::Line { finder } => {
                let line = if parts.lower_names.is_some() { &mut lines.lower } else { &mut lines.exact };
                let line = line.of(at, words);
                match finder {
                    Some(finder) => finder.find(line.as_bytes()).is_some(),
                    None => term.is_in(line),
                }
            }
        };
        has != term.is_inverse
    }
}

#[cfg(test)]
mod tests;
