//! Texts one behind the other: in memory without an allocation for each, in the store without the beginning that each
//! shares with the one before.

use crate::list::index::BadIndex;

/// Maximum number of bytes of text that is read from the store for one column. The names of 30,000 jobs take 2 MB.
const MAX_TEXT: usize = 64 << 20;

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
        let number = u32::try_from(self.ends.len()).expect("fewer words than bytes");
        self.text.push_str(word);
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
        (0..self.len()).map(|number| self.get(number))
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

    /// Whether each word is greater than the one before.
    pub(super) fn is_sorted(&self) -> bool {
        (1..self.len()).all(|number| self.get(number - 1) < self.get(number))
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
        let shared = reader.numbers(count)?;
        let added = reader.numbers(count)?;
        let length: usize = shared.iter().chain(&added).map(|length| *length as usize).sum();
        if length > MAX_TEXT {
            return Err(BadIndex::Malformed("it has too much text"));
        }
        let (mut text, mut ends) = (Vec::with_capacity(length), Vec::with_capacity(count));
        let mut start = 0;
        for (shared, added) in shared.into_iter().zip(added) {
            let (end, added) = (text.len(), reader.take(added as usize)?);
            let shared = shared as usize;
            if shared > end - start {
                return Err(BadIndex::Malformed("a word shares more than the one before it has"));
            }
            text.extend_from_within(start..start + shared);
            text.extend_from_slice(added);
            start = end;
            ends.push(u32::try_from(text.len()).map_err(|_| BadIndex::Malformed("it has too much text"))?);
        }
        let text = String::from_utf8(text).map_err(|_| BadIndex::Malformed("a word is not UTF-8"))?;
        if ends.iter().any(|end| !text.is_char_boundary(*end as usize)) {
            return Err(BadIndex::Malformed("a word is not UTF-8"));
        }
        Ok(Self { text, ends })
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

    pub(super) fn number(&mut self) -> Result<u32, BadIndex> {
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
        if count > self.0.len() {
            return Err(BadIndex::Malformed("it ends too early"));
        }
        (0..count).map(|_| self.number()).collect()
    }
}
