//! The grammar of `search`, which is that of the page's query field (`web/src/model/query.ts`): that of `fzf -e`,
//! without quotes, scores and a new order.
//!
//! | query | the lines that match |
//! | --- | --- |
//! | `linux mochitest` | those with both words, anywhere |
//! | `linux \| mac` | those with one of the two; `\|` binds stronger than a blank |
//! | `!asan` | those without the word |
//! | `^test-linux` `!^build` | those that begin with the word; that do not |
//! | `debug$` `!opt$` | those that end with the word; that do not |
//! | `^word$` | those that are the word |
//! | `opt\ test` | a word with a blank in it |
//!
//! A word with capitals has to match their case; others match any case. A quote before a word has no effect.
//! `tests/data/query-cases.json` has cases that every implementation passes.

/// A query over the lines of jobs. The default matches every line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query(Vec<Vec<Term>>);

/// A word of a query, and where it has to be in a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) place: Place,
    /// In lower case, unless the term is sensitive to case. Not empty.
    pub(super) text: String,
    /// Whether lines match that do not have it.
    pub(super) is_inverse: bool,
    pub(super) is_case_sensitive: bool,
}

/// Where a word has to be in a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Within,
    Start,
    End,
    Whole,
}

impl Query {
    /// Reads a query. Every text is one; words without letters, such as `!` and `^`, are left out.
    pub fn parse(text: &str) -> Self {
        // A blank that belongs to a word is a tab until the words are split.
        let blanks: String = text.chars().map(|character| if is_blank(character) { ' ' } else { character }).collect();
        let escaped = blanks.replace("\\ ", "\t");
        let mut sets: Vec<Vec<Term>> = Vec::new();
        // Whether the next term joins the set before it: also if a word that is left out is between them.
        let (mut is_after_bar, mut joins) = (false, false);
        for word in escaped.split(' ').filter(|word| !word.is_empty()) {
            if word == "|" && !sets.is_empty() && !is_after_bar {
                (is_after_bar, joins) = (true, true);
                continue;
            }
            is_after_bar = false;
            let Some(term) = Term::parse(&word.replace('\t', " ")) else { continue };
            match sets.last_mut() {
                Some(set) if joins => set.push(term),
                _ => sets.push(vec![term]),
            }
            joins = false;
        }
        Self(sets)
    }

    /// The terms: of each set, one has to match a line.
    pub(super) fn sets(&self) -> &[Vec<Term>] {
        &self.0
    }
}

impl Term {
    fn parse(word: &str) -> Option<Self> {
        let is_case_sensitive = word != word.to_lowercase();
        let (is_inverse, text) = without_prefix(word, '!');
        let (is_end, text) = match text.strip_suffix('$') {
            Some(rest) if !rest.is_empty() => (true, rest),
            _ => (false, text),
        };
        let (is_start, text) = without_prefix(text, '^');
        let text = if is_start { text } else { without_prefix(text, '\'').1 };
        let place = match (is_start, is_end) {
            (false, false) => Place::Within,
            (true, false) => Place::Start,
            (false, true) => Place::End,
            (true, true) => Place::Whole,
        };
        (!text.is_empty()).then(|| Self { place, text: text.to_owned(), is_inverse, is_case_sensitive })
    }

    /// Whether a line has the word, whether or not the term is inverse. The line is in lower case unless the term is
    /// sensitive to case.
    pub(super) fn is_in(&self, line: &str) -> bool {
        let text = self.text.as_str();
        // Blanks at an end of the line do not count where the word has none.
        let begun = if text.starts_with(' ') { line } else { line.trim_start_matches(is_blank) };
        let trimmed = if text.ends_with(' ') { begun } else { begun.trim_end_matches(is_blank) };
        match self.place {
            Place::Within => line.contains(text),
            Place::Start => trimmed.starts_with(text),
            Place::End => trimmed.ends_with(text),
            Place::Whole => trimmed == text,
        }
    }
}

fn without_prefix(word: &str, prefix: char) -> (bool, &str) {
    word.strip_prefix(prefix).map_or((false, word), |rest| (true, rest))
}

/// Whether the page takes a character for a blank: JavaScript's `\s`.
pub(super) fn is_blank(character: char) -> bool {
    (character.is_whitespace() && character != '\u{85}') || character == '\u{feff}'
}

#[cfg(test)]
mod tests;
