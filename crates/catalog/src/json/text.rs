//! A string of a JSON document.

/// A string of the document: its bytes, unescaped, up to a bound.
pub(crate) struct Text {
    bytes: Vec<u8>,
    length: usize,
    offset: u64,
    limit: usize,
    /// The length behind the last escape of the first half of a surrogate pair.
    half: usize,
}

/// Why a string cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum BadText {
    TooLong { length: usize, limit: usize },
    NotUtf8,
    Control,
}

impl Text {
    /// A string of which no more than `limit` bytes are kept.
    pub(crate) fn new(limit: usize) -> Self {
        Self { bytes: Vec::new(), length: 0, offset: 0, limit, half: 0 }
    }

    #[inline]
    pub(super) fn clear(&mut self, offset: u64) {
        self.bytes.clear();
        (self.length, self.half) = (0, 0);
        self.offset = offset;
    }

    #[inline]
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.length += bytes.len();
        let room = self.limit.saturating_sub(self.bytes.len()).min(bytes.len());
        self.bytes.extend_from_slice(&bytes[..room]);
    }

    /// Appends what an escape stands for. The halves of a surrogate pair make a character only as two escapes, one
    /// directly behind the other: such bytes in the document itself are not UTF-8.
    pub(super) fn push_escaped(&mut self, bytes: &[u8]) {
        if matches!(bytes, [0xed, 0xb0..=0xbf, _]) && self.half > 0 && self.half == self.length {
            return self.join_surrogates([bytes[1], bytes[2]]);
        }
        self.push(bytes);
        if matches!(bytes, [0xed, 0xa0..=0xaf, _]) {
            self.half = self.length;
        }
    }

    /// Makes one character of the half of a surrogate pair that was pushed last and the half that follows.
    fn join_surrogates(&mut self, low: [u8; 2]) {
        if self.bytes.len() < self.length {
            // The first half did not fit; the character has one byte more.
            self.length += 1;
            return;
        }
        let bits = |bytes: [u8; 2]| u32::from(bytes[0] & 0x0f) << 6 | u32::from(bytes[1] & 0x3f);
        let start = self.bytes.len() - 3;
        let high = bits([self.bytes[start + 1], self.bytes[start + 2]]);
        let character =
            char::from_u32(0x1_0000 + (high << 10) + (bits(low) & 0x3ff)).unwrap_or(char::REPLACEMENT_CHARACTER);
        self.bytes.truncate(start);
        self.length -= 3;
        self.push(character.encode_utf8(&mut [0; 4]).as_bytes());
    }

    /// Where in the document the string stands.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The bytes that were kept.
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The string, if it is whole, UTF-8 and without control characters.
    pub(crate) fn get(&self) -> Result<&str, BadText> {
        if self.length > self.bytes.len() {
            return Err(BadText::TooLong { length: self.length, limit: self.limit });
        }
        let text = std::str::from_utf8(&self.bytes).map_err(|_| BadText::NotUtf8)?;
        if text.bytes().any(|byte| byte < 0x20 || byte == 0x7f) { Err(BadText::Control) } else { Ok(text) }
    }

    /// The string for a message: at most its first 80 characters, without unprintable ones.
    pub(crate) fn shown(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        let mut rest = text.chars();
        let mut shown: String = rest.by_ref().take(80).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        if rest.next().is_some() || self.length > self.bytes.len() {
            shown.push('…');
        }
        shown
    }
}
