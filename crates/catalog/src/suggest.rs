//! Finds the known names that are nearest to an unknown one, to suggest them.
//!
//! Names are compared without their case and blanks. The distance counts letters that were added, left out, exchanged
//! for another, or swapped with their neighbour (optimal string alignment, which is Damerau-Levenshtein but for errors
//! that overlap). A letter is a byte, as all names so far are ASCII. Lists have families of names with long common
//! beginnings, so [`Index`] walks them as a tree: it compares a common beginning once, and leaves it as soon as it has
//! too many errors. Up to [`CLOSE_EDITS`] errors take some hundred rows of the distance table among 30,000 names; a
//! comparison with each name takes a million and a half (ADR 0019).

/// Maximum number of errors of the first search, which every name gets.
const CLOSE_EDITS: usize = 2;
/// Maximum numbers of errors of the further searches, one after the other, while the request's [`SearchBudget`] lasts.
/// Names beyond the last are never suggested.
const DISTANT_EDITS: [usize; 3] = [4, 8, 16];
/// Minimum number of letters for each error: names with more errors are not suggested.
const LETTERS_PER_EDIT: usize = 3;
/// Maximum number of cells of the distance table for the first search of a name. Real names take 2,000.
const MAX_CLOSE_CELLS: u64 = 20_000;
/// Maximum number of cells for the further searches of one name, and of all names of one request.
const MAX_DISTANT_CELLS: u64 = 500_000;
const MAX_DISTANT_CELLS_PER_REQUEST: u64 = 2_500_000;
/// Pads the unknown name. Not a byte of UTF-8.
const PADDING: u8 = 0xff;

/// The remaining budget of one request for searches, so that no request keeps a function busy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchBudget {
    /// Cells of the distance table that are left for the further searches.
    far: u64,
    /// Number of cells computed so far.
    spent: u64,
}

impl Default for SearchBudget {
    fn default() -> Self {
        Self { far: MAX_DISTANT_CELLS_PER_REQUEST, spent: 0 }
    }
}

impl SearchBudget {
    /// The number of cells of the distance table computed so far.
    pub fn spent(&self) -> u64 {
        self.spent
    }
}

/// Names, prepared for the search of near ones.
#[derive(Debug, Default)]
pub struct Index {
    /// The names without case and doubled blanks, one behind the other in the order of their bytes.
    text: Vec<u8>,
    names: Vec<Name>,
    /// The length of the longest name.
    longest: usize,
}

/// A name of the index.
#[derive(Debug)]
struct Name {
    /// Where it is in the text.
    start: u32,
    end: u32,
    /// How many bytes it shares with the one before.
    shared: u32,
    /// The first name behind it that shares less with its predecessor.
    next: u32,
    /// Its place in the list that the index was made of.
    place: u32,
}

/// A name without what people get wrong without meaning another job: case, blanks around it, and doubled blanks.
pub fn normal_form(name: &str) -> String {
    if name.is_ascii() {
        let mut form = joined(name.split_ascii_whitespace(), name.len());
        form.make_ascii_lowercase();
        return form;
    }
    joined(name.split_whitespace(), name.len()).to_lowercase()
}

fn joined<'n>(words: impl Iterator<Item = &'n str>, length: usize) -> String {
    let mut joined = String::with_capacity(length);
    for word in words {
        if !joined.is_empty() {
            joined.push(' ');
        }
        joined.push_str(word);
    }
    joined
}

/// The known names that are nearest to `name`, as [`Index::suggest`] finds them. For short lists.
pub fn suggest<'n>(name: &str, known: impl IntoIterator<Item = &'n str>, max: usize) -> Vec<&'n str> {
    let known: Vec<&str> = known.into_iter().collect();
    let places = Index::new(known.iter().copied()).suggest(name, max, &mut SearchBudget::default());
    places.into_iter().map(|place| known[place]).collect()
}

impl Index {
    /// An index of these names. What it finds is their places in this order. Of more than four billion bytes, the rest is
    /// left out.
    pub fn new<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        let mut forms: Vec<(String, u32)> = names.into_iter().map(normal_form).zip(0..).collect();
        forms.sort_unstable();
        let mut index = Self {
            text: Vec::with_capacity(forms.iter().map(|(form, _)| form.len()).sum()),
            names: Vec::with_capacity(forms.len()),
            longest: forms.iter().map(|(form, _)| form.len()).max().unwrap_or_default(),
        };
        let mut before = String::new();
        let mut start = 0;
        for (form, place) in forms {
            let shared = before.bytes().zip(form.bytes()).take_while(|(one, other)| one == other).count();
            let end = index.text.len() + form.len();
            let (Ok(end), Ok(shared)) = (u32::try_from(end), u32::try_from(shared)) else { break };
            index.text.extend_from_slice(form.as_bytes());
            index.names.push(Name { start, end, shared, next: 0, place });
            (before, start) = (form, end);
        }
        let count = index.names.len();
        for at in (0..count).rev() {
            let next = index.next_sharing(at + 1, index.names[at].shared);
            index.names[at].next = u32::try_from(next).unwrap_or(u32::MAX);
        }
        index
    }

    /// Bytes of memory that an index holds for a name, roughly.
    pub fn bytes_of(name: &str) -> usize {
        name.len() + size_of::<Name>()
    }

    /// The place of the only name with the same normal form. `None` if there is no such name, or several.
    pub fn same(&self, name: &str) -> Option<usize> {
        let form = normal_form(name);
        let first = self.names.partition_point(|name| self.form(name) < form.as_bytes());
        let mut same = self.names[first..].iter().take_while(|name| self.form(name) == form.as_bytes());
        let one = same.next().filter(|_| same.next().is_none());
        one.map(|name| name.place as usize)
    }

    /// The places of the names that are nearest to this one: `max` of those with the fewest errors, in the order of their
    /// letters. Empty if no name is near enough, or if the budget does not suffice.
    pub fn suggest(&self, name: &str, max: usize, budget: &mut SearchBudget) -> Vec<usize> {
        let form = normal_form(name);
        let asked = form.as_bytes();
        // A third of the letters of a longer name is at most half of the letters of this one.
        let worst = asked.len() / (LETTERS_PER_EDIT - 1);
        let mut near = MAX_CLOSE_CELLS;
        let mut found = self.within(asked, CLOSE_EDITS.min(worst), max, &mut near);
        budget.spent += MAX_CLOSE_CELLS - near;
        let (mut tried, may_cost) = (CLOSE_EDITS, MAX_DISTANT_CELLS.min(budget.far));
        let mut far = may_cost;
        for errors in DISTANT_EDITS {
            if worst <= tried || found.as_ref().is_none_or(|found| !found.is_empty()) {
                break;
            }
            found = self.within(asked, errors.min(worst), max, &mut far);
            tried = errors;
        }
        budget.far -= may_cost - far;
        budget.spent += may_cost - far;
        found.unwrap_or_default().into_iter().map(|at| self.names[at].place as usize).collect()
    }

    /// The places in the index of the names with the fewest errors: at most `max` names and `limit` errors. Takes each
    /// computed cell off `cells`. `None` if they do not suffice: the names found so far may not be the nearest.
    fn within(&self, asked: &[u8], limit: usize, max: usize, cells: &mut u64) -> Option<Vec<usize>> {
        if asked.len() > self.longest + limit {
            return Some(Vec::new());
        }
        let mut table = Table::new(asked, limit);
        let (mut limit, mut fewest) = (limit, usize::MAX);
        let mut found = Vec::new();
        let mut at = 0;
        'names: while let Some(name) = self.names.get(at).filter(|_| max > 0) {
            let form = self.form(name);
            let shared = name.shared as usize;
            table.keep(shared);
            for depth in shared + 1..=form.len() {
                *cells = cells.checked_sub(table.width as u64)?;
                if table.push(&form[..depth]) > limit {
                    // The same holds for all names with this beginning.
                    at = self.next_sharing(at + 1, u32::try_from(depth).unwrap_or(u32::MAX));
                    continue 'names;
                }
            }
            let errors = table.errors(form.len());
            if errors <= limit && errors * LETTERS_PER_EDIT <= asked.len().max(form.len()) {
                if errors < fewest {
                    found.clear();
                }
                found.push(at);
                (limit, fewest) = (errors, errors);
                if found.len() == max {
                    // From now on, only nearer names count.
                    let Some(nearer) = errors.checked_sub(1) else { break };
                    limit = nearer;
                }
            }
            at += 1;
        }
        Some(found)
    }

    /// The first name from `at` on that shares fewer than `less_than` bytes with the one before it.
    fn next_sharing(&self, mut at: usize, less_than: u32) -> usize {
        while let Some(name) = self.names.get(at).filter(|name| name.shared >= less_than) {
            at = name.next as usize;
        }
        at
    }

    fn form(&self, name: &Name) -> &[u8] {
        &self.text[name.start as usize..name.end as usize]
    }
}

/// The distance table of the unknown name (across) and a known one (down), near its diagonal: at most `limit` errors mean
/// at most `limit` cells from the diagonal. Row `n` stands for the first `n` bytes of the known name, and column `c` in it
/// for the first `n + c - limit` bytes of the unknown one.
struct Table {
    /// The unknown name, with `limit + 1` padding bytes before it and twice as many behind it.
    asked: Vec<u8>,
    length: usize,
    limit: usize,
    width: usize,
    rows: Vec<u8>,
}

impl Table {
    fn new(asked: &[u8], limit: usize) -> Self {
        let width = 2 * limit + 1;
        let mut padded = vec![PADDING; limit + 1];
        padded.extend_from_slice(asked);
        padded.resize(padded.len() + width + 1, PADDING);
        // The row of the empty known name: every letter of the unknown name is an error.
        let first = (0..width).map(|column| Self::cell(column.checked_sub(limit).unwrap_or(limit + 1)));
        Self { asked: padded, length: asked.len(), limit, width, rows: first.collect() }
    }

    /// A number of errors as a cell holds it. Limits are small.
    fn cell(errors: usize) -> u8 {
        u8::try_from(errors).unwrap_or(u8::MAX)
    }

    /// Keeps the rows of the first `depth` bytes.
    fn keep(&mut self, depth: usize) {
        self.rows.truncate((depth + 1) * self.width);
    }

    /// Adds the row of the last byte of `known`, a beginning of the known name. Returns the fewest errors in the row.
    fn push(&mut self, known: &[u8]) -> usize {
        let (depth, width, too_far) = (known.len(), self.width, Self::cell(self.limit + 1));
        if depth > self.length + self.limit {
            return self.limit + 1;
        }
        let letter = known[depth - 1];
        let swapped = depth.checked_sub(2).map(|two| (known[two], two * width));
        let row = depth * width;
        // What stands in the column before, in the column itself, of the name that is asked for.
        let asked = &self.asked[depth - 1..depth + width];
        self.rows.resize(row + width, too_far);
        let (above, current) = self.rows.split_at_mut(row);
        let above_one = &above[row - width..];
        let (mut left, mut fewest) = (too_far, too_far);
        for column in 0..width {
            let mut errors = above_one[column] + u8::from(asked[column + 1] != letter);
            if let Some(missing) = above_one.get(column + 1) {
                errors = errors.min(missing + 1);
            }
            if let Some((before, two)) = swapped.filter(|_| asked[column] == letter)
                && asked[column + 1] == before
            {
                errors = errors.min(above[two + column] + 1);
            }
            left = errors.min(left + 1).min(too_far);
            fewest = fewest.min(left);
            current[column] = left;
        }
        usize::from(fewest)
    }

    /// The errors between the whole name that is asked for and the first `depth` bytes of the known one.
    fn errors(&self, depth: usize) -> usize {
        let column = (self.length + self.limit).checked_sub(depth).filter(|column| *column < self.width);
        column.map_or(self.limit + 1, |column| usize::from(self.rows[depth * self.width + column]))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_nearest_name_is_found_whatever_its_case() {
        let known = ["mozilla-beta", "mozilla-central", "mozilla-inbound", "try"];
        assert_eq!(suggest("Mozilla-Centrl", known, 2), ["mozilla-central"]);
        assert_eq!(suggest("ty", known, 3), ["try"]);
        assert_eq!(suggest(" TRY ", known, 3), ["try"]);
        assert_eq!(suggest("mozilla-beat", known, 3), ["mozilla-beta"]);
    }

    #[test]
    fn equally_near_names_come_in_their_order() {
        let known = ["mochitest-4", "mochitest-1", "mochitest-10", "mochitest-2"];
        assert_eq!(suggest("mochitest-3", known, 2), ["mochitest-1", "mochitest-2"]);
        assert_eq!(suggest("mochitest-3", known, 9), ["mochitest-1", "mochitest-2", "mochitest-4"]);
        assert!(suggest("mochitest-3", known, 0).is_empty());
    }

    #[test]
    fn names_that_are_too_different_are_left_out() {
        assert!(suggest("servo", ["mozilla-central", "try"], 3).is_empty());
        assert!(suggest("try", [], 3).is_empty());
        assert!(suggest("", ["", "a"], 3).len() == 1 && suggest("a", ["b", ""], 3).is_empty());
        // A third of the letters, and sixteen, are the most.
        assert_eq!(suggest("abcdef", ["abcdxy", "abcxyz"], 3), ["abcdxy"]);
        let long = "x".repeat(60);
        let with = |errors| format!("{}{}", "y".repeat(errors), &long[errors..]);
        assert!(suggest(&with(16), [&*long], 1).len() == 1 && suggest(&with(17), [&*long], 1).is_empty());
    }

    #[test]
    fn without_effort_only_near_names_are_found() {
        let index = Index::new(["Windows 7 32-bit try opt test mochitest-1"]);
        let suggest = |name: &str, budget: &mut SearchBudget| index.suggest(name, 1, budget).len();
        let mut none = SearchBudget { far: 0, spent: 0 };
        assert_eq!(suggest("Windows 7 32-bit tyr opt test mochitset-1", &mut none), 1);
        assert_eq!(suggest("Windows 7 32-bit beta opt test mochitest-1", &mut none), 0);
        assert_eq!(suggest("Windows 7 32-bit beta opt test mochitest-1", &mut SearchBudget::default()), 1);
        assert!(none.spent() > 0);
    }

    /// All of the fewest errors, of those that are some help.
    fn by_comparing_all<'n>(name: &str, known: &[&'n str], max: usize) -> Vec<&'n str> {
        let form = normal_form(name);
        let mut near: Vec<(usize, String, &str)> = known
            .iter()
            .map(|&known| (strsim::osa_distance(&form, &normal_form(known)), normal_form(known), known))
            .filter(|(errors, known, _)| *errors <= 16 && errors * 3 <= form.len().max(known.len()))
            .collect();
        near.sort_by(|(one, one_form, _), (other, other_form, _)| (one, one_form).cmp(&(other, other_form)));
        let fewest = near.first().map_or(0, |(errors, ..)| *errors);
        near.into_iter().take_while(|(errors, ..)| *errors == fewest).take(max).map(|(.., name)| name).collect()
    }

    proptest! {
        #[test]
        fn it_finds_what_comparing_all_names_finds(
            known in prop::collection::vec("[abC -]{0,24}", 0..20),
            name in "[abC -]{0,24}",
            max in 1_usize..4,
        ) {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            prop_assert_eq!(suggest(&name, known.iter().copied(), max), by_comparing_all(&name, &known, max));
        }

        #[test]
        fn the_same_name_is_the_only_one_of_its_form(
            known in prop::collection::vec("[aA\u{e9}\u{c9} \u{a0}]{0,3}", 0..8),
            name in "[aA\u{e9}\u{c9} \u{a0}]{0,3}",
        ) {
            let same: Vec<usize> =
                (0..known.len()).filter(|place| normal_form(&known[*place]) == normal_form(&name)).collect();
            let only = Index::new(known.iter().map(String::as_str)).same(&name);
            prop_assert_eq!(only, if let [only] = same[..] { Some(only) } else { None });
        }
    }
}
