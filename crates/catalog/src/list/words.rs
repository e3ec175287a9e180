//! Texts one behind the other: in memory without an allocation for each, in the store without the beginning that each
//! shares with the one before.

use memchr::memmem::Finder;

use crate::list::index::BadIndex;

/// Maximum number of bytes of text that is read from the store for one column. The names of 30,000 jobs take 2 MB.
const MAX_TEXT: usize = 64 << 20;

/// Words are copied in blocks of this many bytes: for their few bytes that is faster than calls of `memcpy`.
const BLOCK: usize = 16;

/// Texts by number.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Words {
    text: String,
    /// Where each ends.
    ends: Vec<u32>,
}

impl Words {
    /// Appends a word and returns its number.
    ///
    /// # Panics
    /// The words have four billion bytes.
    pub(super) fn push(&mut self, word: &str) -> u32 {
        self.push_with(|text| text.push_str(word))
    }

    /// Appends the word that `write` appends to a text, and returns its number.
    ///
    /// # Panics
    /// The words have four billion bytes.
    pub(super) fn push_with(&mut self, write: impl FnOnce(&mut String)) -> u32 {
        let number = u32::try_from(self.ends.len()).expect("fewer words than bytes");
        write(&mut self.text);
        self.ends.push(u32::try_from(self.text.len()).expect("a list has less than four billion bytes"));
        number
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn get(&self, number: usize) -> &str {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before] as usize);
        &self.text[start..self.ends[number] as usize]
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let word = &self.text[start..*end as usize];
            start = *end as usize;
            word
        })
    }

    /// The same words in lower case.
    pub(super) fn to_lowercase(&self) -> Self {
        if self.text.is_ascii() {
            return Self { text: self.text.to_ascii_lowercase(), ends: self.ends.clone() };
        }
        let mut lower = Self::default();
        for word in self.iter() {
            lower.push(&word.to_lowercase());
        }
        lower
    }

    /// Calls `found` with the number of each word in which the finder finds its needle, which is not empty.
    pub(super) fn find_in_each(&self, finder: &Finder<'_>, mut found: impl FnMut(usize)) {
        let (mut from, mut number) = (0, 0);
        while let Some(at) = finder.find(&self.text.as_bytes()[from..]) {
            let start = from + at;
            while self.ends[number] as usize <= start {
                number += 1;
            }
            let end = self.ends[number] as usize;
            let is_in_one_word = start + finder.needle().len() <= end;
            from = if is_in_one_word { end } else { start + 1 };
            if is_in_one_word {
                found(number);
            }
        }
    }

    /// Whether each word is greater than the one before.
    pub(super) fn is_sorted(&self) -> bool {
        self.iter().is_sorted_by(|one, other| one < other)
    }

    /// The number of a word among sorted ones.
    pub(super) fn find(&self, word: &str) -> Option<usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = usize::midpoint(low, high);
            match self.get(middle).cmp(word) {
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Equal => return Some(middle),
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// Bytes of memory that they use.
    pub(super) fn bytes(&self) -> usize {
        self.text.len() + size_of_val(&*self.ends)
    }

    /// Appends the words without their number: how many bytes each shares with the one before, how many it adds, and the
    /// bytes that they add.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let (mut lengths, mut added) = (Vec::with_capacity(self.len()), Vec::new());
        let mut before = "";
        for word in self.iter() {
            let shared = before.bytes().zip(word.bytes()).take_while(|(one, other)| one == other).count();
            put_number(out, shared);
            put_number(&mut lengths, word.len() - shared);
            added.extend_from_slice(&word.as_bytes()[shared..]);
            before = word;
        }
        out.extend_from_slice(&lengths);
        out.extend_from_slice(&added);
    }

    /// Reads so many words.
    pub(super) fn decode(count: usize, reader: &mut Reader<'_>) -> Result<Self, BadIndex> {
        // They become the ends of the words, one after the other.
        let mut ends = reader.numbers(count)?;
        let added = reader.numbers(count)?;
        let length = |lengths: &[u32]| lengths.iter().map(|length| *length as usize).sum::<usize>();
        let (all_shared, all_added) = (length(&ends), length(&added));
        if all_shared + all_added > MAX_TEXT {
            return Err(BadIndex::Malformed("it has too much text"));
        }
        let mut rest = reader.take(all_added)?;
        let is_ascii = rest.is_ascii();
        let mut text = vec![0; all_shared + all_added + BLOCK];
        let (mut start, mut end) = (0, 0);
        for (shared_or_end, added) in ends.iter_mut().zip(added) {
            let shared = *shared_or_end as usize;
            if shared > end - start {
                return Err(BadIndex::Malformed("a word shares more than the one before it has"));
            }
            let (word, after) = rest.split_at(added as usize);
            copy_ahead(&mut text, start, end, shared);
            if let (true, Some(block)) = (word.len() <= BLOCK, rest.first_chunk::<BLOCK>()) {
                text[end + shared..][..BLOCK].copy_from_slice(block);
            } else {
                text[end + shared..][..word.len()].copy_from_slice(word);
            }
            (start, end, rest) = (end, end + shared + word.len(), after);
            *shared_or_end = u32::try_from(end).map_err(|_| BadIndex::Malformed("it has too much text"))?;
        }
        text.truncate(end);
        let text = String::from_utf8(text).map_err(|_| BadIndex::Malformed("a word is not UTF-8"))?;
        if !is_ascii && ends.iter().any(|end| !text.is_char_boundary(*end as usize)) {
            return Err(BadIndex::Malformed("a word is not UTF-8"));
        }
        Ok(Self { text, ends })
    }
}

/// Copies so many bytes to a later place that begins after them. Up to a block after the copy is overwritten.
fn copy_ahead(text: &mut [u8], from: usize, to: usize, count: usize) {
    for at in (0..count).step_by(BLOCK) {
        text.copy_within(from + at..from + at + BLOCK, to + at);
    }
}

/// Appends a number in groups of seven bits, the lowest first. All but the last have the highest bit set.
pub(super) fn put_number(out: &mut Vec<u8>, number: usize) {
    let mut rest = number;
    while rest >= 0x80 {
        out.push(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    out.push(rest.to_le_bytes()[0]);
}

/// Reads what `encode` and `put_number` wrote.
pub(super) struct Reader<'b>(pub(super) &'b [u8]);

impl<'b> Reader<'b> {
    pub(super) fn take(&mut self, count: usize) -> Result<&'b [u8], BadIndex> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(BadIndex::Malformed("it ends too early"))?;
        self.0 = rest;
        Ok(taken)
    }

    #[inline]
    pub(super) fn number(&mut self) -> Result<u32, BadIndex> {
        match *self.0 {
            // It has a byte or two. A processor would often guess wrong how many, so there is no branch for that.
            [low, high, ..] if low & high < 0x80 => {
                let has_two = low >= 0x80;
                self.0 = &self.0[1 + usize::from(has_two)..];
                Ok(u32::from(low & 0x7f) | ((u32::from(high) << 7) * u32::from(has_two)))
            }
            _ => self.long_number(),
        }
    }

    fn long_number(&mut self) -> Result<u32, BadIndex> {
        let mut number = 0_u64;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return u32::try_from(number).map_err(|_| BadIndex::Malformed("a number has more than 32 bits"));
            }
        }
        Err(BadIndex::Malformed("a number has more than 32 bits"))
    }

    /// Reads so many numbers. Each takes a byte or more, so that no more is allocated than what the bytes can hold.
    pub(super) fn numbers(&mut self, count: usize) -> Result<Vec<u32>, BadIndex> {
        let (first, rest) = self.0.split_at_checked(count).ok_or(BadIndex::Malformed("it ends too early"))?;
        // Most columns have no number of more than a byte: this is the test for one.
        if first.is_ascii() {
            self.0 = rest;
            return Ok(first.iter().map(|byte| u32::from(*byte)).collect());
        }
        let mut numbers = Vec::with_capacity(count);
        for _ in 0..count {
            numbers.push(self.number()?);
        }
        Ok(numbers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(all: &[&str]) -> Words {
        let mut words = Words::default();
        for word in all {
            words.push(word);
        }
        words
    }

    #[test]
    fn a_text_is_found_in_each_word_that_has_it_and_not_across_two() {
        let words = words(&["ab", "", "cab", "b", "", "ababab", "a"]);
        for (text, expected) in [("ab", &[0, 2, 5][..]), ("a", &[0, 2, 5, 6]), ("ba", &[5]), ("bc", &[]), ("x", &[])] {
            let mut found = Vec::new();
            words.find_in_each(&Finder::new(text), |number| found.push(number));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn words_of_any_length_are_read_as_they_were_written() {
        let long = "0123456789abcdefghijklmnopqrstuvwxyz";
        let ends = (0..long.len()).chain([36, 3, 36, 0, 17]);
        let mut all: Vec<&str> = ends.map(|end| &long[..end]).collect();
        all.extend(["z", "狐", "狐狸", "狐狐", "", long, &long[1..]]);
        for count in 0..=all.len() {
            let (words, mut bytes) = (words(&all[..count]), Vec::new());
            words.encode(&mut bytes);
            bytes.extend_from_slice(b"rest");
            let mut reader = Reader(&bytes);
            assert_eq!(Words::decode(count, &mut reader).unwrap(), words);
            assert_eq!(reader.0, b"rest");
        }
    }

    #[test]
    fn numbers_of_any_length_are_read_as_they_were_written() {
        let all = [0, 1, 0x7f, 0x80, 0xff, 0x3fff, 0x4000, 0x001f_ffff, 0x0020_0000, u32::MAX];
        let mut bytes = Vec::new();
        for number in all {
            put_number(&mut bytes, number as usize);
        }
        assert_eq!(Reader(&bytes).numbers(all.len()).unwrap(), all);
        let mut reader = Reader(&bytes);
        assert_eq!(all.map(|_| reader.number().unwrap()), all);
        assert!(reader.number().is_err());
        for end in 0..bytes.len() {
            assert!(Reader(&bytes[..end]).numbers(all.len()).is_err(), "cut at byte {end}");
        }
    }
}
