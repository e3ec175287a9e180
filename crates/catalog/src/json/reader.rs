//! A pull reader of JSON text from a stream: constant memory, every error with its byte offset, strings as raw bytes.
//!
//! Why our own: a name that is not UTF-8 must cost one builder and not the document, a string or a nesting without end
//! must not cost memory, and skipping has to run at the speed of memory. `docs/adr/0002-own-json-reader.md` has the
//! measurements. What is accepted and refused is the same as in `serde_json` (a property test holds it to that), but
//! for the bounds below and for text in strings, which only the caller checks for UTF-8.

use std::io::{self, Read};

/// How deep arrays and objects may stand in each other. The real document has five levels.
const MAX_DEPTH: usize = 128;
const BUFFER: usize = 64 * 1024;

/// Why a document could not be read further, and where.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JsonError {
    #[error("{what}")]
    Syntax { what: String, offset: u64 },
    #[error("{error}")]
    Input { error: io::Error, offset: u64 },
    #[error("more than {limit} bytes")]
    TooLong { limit: u64 },
}

type Result<T> = std::result::Result<T, JsonError>;

/// The kinds of JSON values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueKind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

impl ValueKind {
    /// The kind as it stands in a sentence.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool => "true or false",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Array => "a list",
            Self::Object => "an object",
        }
    }
}

/// Whether the next member or item is the first of its object or array.
pub(crate) struct First(bool);

/// Bytes that end a run of plain characters in a string: quote, backslash and the control characters.
static ENDS_RUN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 0x20 {
        table[byte] = true;
        byte += 1;
    }
    table[b'"' as usize] = true;
    table[b'\\' as usize] = true;
    table
};

pub(crate) struct JsonReader<R> {
    input: R,
    buffer: Box<[u8]>,
    at: usize,
    end: usize,
    /// Bytes of the document before the buffer.
    before: u64,
    limit: u64,
}

impl<R: Read> JsonReader<R> {
    /// Reads from `input`, and refuses to read more than `limit` bytes of it.
    pub(crate) fn new(input: R, limit: u64) -> Self {
        Self { input, buffer: vec![0; BUFFER].into_boxed_slice(), at: 0, end: 0, before: 0, limit }
    }

    /// How many bytes were read so far: the place of the next one.
    pub(crate) fn offset(&self) -> u64 {
        self.before + self.at as u64
    }

    pub(crate) fn syntax<T>(&self, what: impl Into<String>) -> Result<T> {
        Err(JsonError::Syntax { what: what.into(), offset: self.offset() })
    }

    /// Fills the empty buffer; false at the end of the input.
    #[cold]
    fn fill(&mut self) -> Result<bool> {
        self.before += self.end as u64;
        (self.at, self.end) = (0, 0);
        if self.before > self.limit {
            return Err(JsonError::TooLong { limit: self.limit });
        }
        loop {
            match self.input.read(&mut self.buffer) {
                Ok(read) => {
                    self.end = read;
                    return Ok(read > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(JsonError::Input { error, offset: self.offset() }),
            }
        }
    }

    #[inline]
    fn peek(&mut self) -> Result<Option<u8>> {
        if self.at == self.end && !self.fill()? {
            return Ok(None);
        }
        Ok(Some(self.buffer[self.at]))
    }

    fn next(&mut self, inside: &str) -> Result<u8> {
        match self.peek()? {
            Some(byte) => {
                self.at += 1;
                Ok(byte)
            }
            None => self.syntax(format!("the document ends inside {inside}")),
        }
    }

    /// The next byte that is no white space, not taken.
    #[inline]
    fn peek_token(&mut self) -> Result<Option<u8>> {
        loop {
            let blank = self.buffer[self.at..self.end].iter().take_while(|b| matches!(b, b' ' | b'\n' | b'\r' | b'\t'));
            self.at += blank.count();
            if self.at < self.end {
                return Ok(Some(self.buffer[self.at]));
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Takes `byte` if it is the next token.
    fn take(&mut self, byte: u8) -> Result<bool> {
        let found = self.peek_token()? == Some(byte);
        self.at += usize::from(found);
        Ok(found)
    }

    fn unexpected<T>(&mut self, expected: &str) -> Result<T> {
        match self.peek_token()? {
            None => self.syntax(format!("the document ends where {expected} is expected")),
            Some(b'"') => self.syntax(format!("{expected} is expected, not '\"'")),
            Some(byte) => self.syntax(format!("{expected} is expected, not '{}'", byte.escape_ascii())),
        }
    }

    /// The kind of the next value, which is not taken.
    pub(crate) fn kind(&mut self) -> Result<ValueKind> {
        Ok(match self.peek_token()? {
            Some(b'n') => ValueKind::Null,
            Some(b't' | b'f') => ValueKind::Bool,
            Some(b'-' | b'0'..=b'9') => ValueKind::Number,
            Some(b'"') => ValueKind::String,
            Some(b'[') => ValueKind::Array,
            Some(b'{') => ValueKind::Object,
            _ => return self.unexpected("a value"),
        })
    }

    /// Enters an object; its members follow by `key`.
    pub(crate) fn object(&mut self) -> Result<First> {
        if self.take(b'{')? { Ok(First(true)) } else { self.unexpected("'{'") }
    }

    /// Enters an array; its items follow by `item`.
    pub(crate) fn array(&mut self) -> Result<First> {
        if self.take(b'[')? { Ok(First(true)) } else { self.unexpected("'['") }
    }

    /// The next key of an object, or false at its end. The value follows.
    pub(crate) fn key(&mut self, first: &mut First, key: &mut Text) -> Result<bool> {
        if self.take(b'}')? {
            return Ok(false);
        }
        if !first.0 && !self.take(b',')? {
            return self.unexpected("',' or '}'");
        }
        first.0 = false;
        if self.peek_token()? != Some(b'"') {
            return self.unexpected("a key");
        }
        self.string(key)?;
        if self.take(b':')? { Ok(true) } else { self.unexpected("':'") }
    }

    /// Whether an array has a further item, which follows.
    pub(crate) fn item(&mut self, first: &mut First) -> Result<bool> {
        if self.take(b']')? {
            return Ok(false);
        }
        if !first.0 && !self.take(b',')? {
            return self.unexpected("',' or ']'");
        }
        first.0 = false;
        Ok(true)
    }

    /// Reads a string into `text`.
    pub(crate) fn string(&mut self, text: &mut Text) -> Result<()> {
        if !self.take(b'"')? {
            return self.unexpected("a string");
        }
        text.clear(self.offset());
        self.string_rest(Some(text))
    }

    /// What follows the opening quote, kept in `text` or skipped.
    fn string_rest(&mut self, mut text: Option<&mut Text>) -> Result<()> {
        loop {
            let rest = &self.buffer[self.at..self.end];
            let run = rest.iter().position(|byte| ENDS_RUN[usize::from(*byte)]).unwrap_or(rest.len());
            if let Some(text) = text.as_deref_mut() {
                text.push(&rest[..run]);
            }
            self.at += run;
            match self.next_in_string()? {
                None => {}
                Some(b'"') => return Ok(()),
                Some(b'\\') => {
                    let mut utf8 = [0; 4];
                    let bytes = self.escape(&mut utf8)?;
                    if let Some(text) = text.as_deref_mut() {
                        text.push_escaped(bytes);
                    }
                }
                Some(_) => {
                    self.at -= 1;
                    return self.syntax("a control character stands in a string");
                }
            }
        }
    }

    /// The byte that ended a run, or none where only the buffer ended.
    #[inline]
    fn next_in_string(&mut self) -> Result<Option<u8>> {
        if self.at < self.end {
            self.at += 1;
            return Ok(Some(self.buffer[self.at - 1]));
        }
        if self.fill()? { Ok(None) } else { self.syntax("the document ends inside a string") }
    }

    /// What an escape stands for, in UTF-8. Half of a surrogate pair becomes three bytes that are not UTF-8.
    fn escape<'u>(&mut self, utf8: &'u mut [u8; 4]) -> Result<&'u [u8]> {
        let plain = match self.next("a string")? {
            byte @ (b'"' | b'\\' | b'/') => byte,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => return self.unicode_escape(utf8),
            _ => {
                self.at -= 1;
                return self.syntax("an escape that JSON does not know");
            }
        };
        utf8[0] = plain;
        Ok(&utf8[..1])
    }

    fn unicode_escape<'u>(&mut self, utf8: &'u mut [u8; 4]) -> Result<&'u [u8]> {
        let unit = self.hex4()?;
        if let Some(character) = char::from_u32(unit) {
            return Ok(character.encode_utf8(utf8).as_bytes());
        }
        // Half of a pair; `Text::push_escaped` joins it to the other half, if that is there.
        let [high, low] = [unit >> 6, unit].map(|bits| 0x80 | bits.to_le_bytes()[0] & 0x3f);
        utf8[..3].copy_from_slice(&[0xed, high, low]);
        Ok(&utf8[..3])
    }

    fn hex4(&mut self) -> Result<u32> {
        let mut unit = 0;
        for _ in 0..4 {
            let byte = self.next("a string")?;
            let Some(digit) = char::from(byte).to_digit(16) else {
                self.at -= 1;
                return self.syntax("four hexadecimal digits are expected behind \\u");
            };
            unit = unit << 4 | digit;
        }
        Ok(unit)
    }

    /// Reads a value of any kind and forgets it.
    pub(crate) fn skip(&mut self) -> Result<()> {
        // One bit a level: whether it is an object.
        let mut levels = [false; MAX_DEPTH];
        let mut depth = 0;
        loop {
            match self.kind()? {
                ValueKind::Object | ValueKind::Array if depth == MAX_DEPTH => {
                    return self.syntax(format!("nested deeper than {MAX_DEPTH} levels"));
                }
                kind @ (ValueKind::Object | ValueKind::Array) => {
                    self.at += 1;
                    let object = kind == ValueKind::Object;
                    if !self.take(if object { b'}' } else { b']' })? {
                        levels[depth] = object;
                        depth += 1;
                        if object {
                            self.skip_key()?;
                        }
                        continue;
                    }
                }
                ValueKind::String => {
                    self.at += 1;
                    self.string_rest(None)?;
                }
                ValueKind::Number => self.skip_number()?,
                ValueKind::Null => self.literal("null")?,
                ValueKind::Bool => {
                    let word = if self.peek()? == Some(b't') { "true" } else { "false" };
                    self.literal(word)?;
                }
            }
            // A value has ended: so may the arrays and objects around it.
            loop {
                let Some(object) = depth.checked_sub(1).map(|top| levels[top]) else { return Ok(()) };
                if self.take(b',')? {
                    if object {
                        self.skip_key()?;
                    }
                    break;
                }
                if !self.take(if object { b'}' } else { b']' })? {
                    return self.unexpected(if object { "',' or '}'" } else { "',' or ']'" });
                }
                depth -= 1;
            }
        }
    }

    fn skip_key(&mut self) -> Result<()> {
        if !self.take(b'"')? {
            return self.unexpected("a key");
        }
        self.string_rest(None)?;
        if self.take(b':')? { Ok(()) } else { self.unexpected("':'") }
    }

    fn literal(&mut self, word: &str) -> Result<()> {
        for expected in word.bytes() {
            if self.next("a value")? != expected {
                self.at -= 1;
                return self.syntax(format!("'{word}' is expected"));
            }
        }
        Ok(())
    }

    fn skip_number(&mut self) -> Result<()> {
        if self.peek()? == Some(b'-') {
            self.at += 1;
        }
        if self.peek()? == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek()? == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek()?, Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek()?, Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<()> {
        if !self.peek()?.is_some_and(|byte| byte.is_ascii_digit()) {
            return self.unexpected("a digit");
        }
        while self.peek()?.is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }

    /// Holds that nothing but white space follows.
    pub(crate) fn end(&mut self) -> Result<()> {
        if self.peek_token()?.is_none() { Ok(()) } else { self.unexpected("the end of the document") }
    }

    /// The first byte of the document that is no white space, before anything was taken.
    pub(crate) fn first_token(&mut self) -> Result<Option<u8>> {
        self.peek_token()
    }
}

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

    fn clear(&mut self, offset: u64) {
        self.bytes.clear();
        (self.length, self.half) = (0, 0);
        self.offset = offset;
    }

    fn push(&mut self, bytes: &[u8]) {
        self.length += bytes.len();
        let room = self.limit.saturating_sub(self.bytes.len()).min(bytes.len());
        self.bytes.extend_from_slice(&bytes[..room]);
    }

    /// Appends what an escape stands for. The halves of a surrogate pair make a character only as two escapes, one
    /// directly behind the other: such bytes in the document itself are no UTF-8.
    fn push_escaped(&mut self, bytes: &[u8]) {
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
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The string, if it is whole, UTF-8 and without control characters.
    pub(crate) fn get(&self) -> std::result::Result<&str, BadText> {
        if self.length > self.bytes.len() {
            return Err(BadText::TooLong { length: self.length, limit: self.limit });
        }
        let text = std::str::from_utf8(&self.bytes).map_err(|_| BadText::NotUtf8)?;
        if text.bytes().any(|byte| byte < 0x20 || byte == 0x7f) { Err(BadText::Control) } else { Ok(text) }
    }

    /// What can be shown of the string to a person: no more than its first 80 characters, nothing unprintable.
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Reads `bytes` in pieces of `piece` bytes.
    struct Pieces<'b>(&'b [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let length = self.1.min(self.0.len()).min(into.len());
            into[..length].copy_from_slice(&self.0[..length]);
            self.0 = &self.0[length..];
            Ok(length)
        }
    }

    fn accepts(document: &[u8], piece: usize) -> Result<()> {
        let mut reader = JsonReader::new(Pieces(document, piece), u64::MAX);
        reader.skip()?;
        reader.end()
    }

    /// Text that is JSON, nearly JSON, or looks like it.
    fn documents() -> impl Strategy<Value = String> {
        let token = prop_oneof![
            Just("{"),
            Just("}"),
            Just("["),
            Just("]"),
            Just(","),
            Just(":"),
            Just("\"a\""),
            Just("\"\\u00e9\\n\""),
            Just("\"\\x\""),
            Just("\"\\ud83d\\ude00\""),
            Just("\""),
            Just("1"),
            Just("-0.5e+7"),
            Just("01"),
            Just("-"),
            Just("true"),
            Just("nul"),
            Just("null"),
            Just(" \n"),
            Just("é"),
        ];
        prop_oneof![
            prop::collection::vec(token, 0..12).prop_map(|tokens| tokens.concat()),
            values().prop_map(|value| value.to_string()),
            (values(), any::<prop::sample::Index>(), any::<char>()).prop_map(|(value, at, character)| {
                let mut characters: Vec<char> = value.to_string().chars().collect();
                let at = at.index(characters.len());
                characters[at] = character;
                characters.into_iter().collect()
            }),
        ]
    }

    fn values() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
                prop::collection::hash_map(any::<String>(), inner, 0..6)
                    .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn accepts_and_refuses_what_serde_json_does(document in documents(), piece in 1_usize..9) {
            let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&document);
            let ours = accepts(document.as_bytes(), piece);
            prop_assert_eq!(ours.is_ok(), theirs.is_ok(), "{} / {:?} / {:?}", document, ours, theirs);
        }

        #[test]
        fn strings_come_back_as_they_were_written(text in any::<String>(), piece in 1_usize..9) {
            let document = serde_json::to_string(&text).unwrap();
            let mut reader = JsonReader::new(Pieces(document.as_bytes(), piece), u64::MAX);
            let mut read = Text::new(usize::MAX);
            reader.string(&mut read).unwrap();
            prop_assert_eq!(read.bytes(), text.as_bytes());
        }

        #[test]
        fn no_bytes_make_it_panic(document in prop::collection::vec(any::<u8>(), 0..200), piece in 1_usize..9) {
            let _ = accepts(&document, piece);
        }
    }

    #[test]
    fn nesting_ends_at_a_bound() {
        for open in ["[", "{\"a\":"] {
            let error = accepts(open.repeat(10_000).as_bytes(), 100).expect_err("too deep");
            assert_eq!(error.to_string(), "nested deeper than 128 levels");
        }
        assert!(accepts(format!("{}{}", "[".repeat(128), "]".repeat(128)).as_bytes(), 7).is_ok());
    }

    #[test]
    fn a_syntax_error_tells_the_byte() {
        let error = accepts(b"{\"a\": 1,\n \"b\" 2}", 3).expect_err("no colon");
        assert!(matches!(error, JsonError::Syntax { offset: 14, .. }), "{error:?}");
        assert_eq!(error.to_string(), "':' is expected, not '2'");
    }

    #[test]
    fn half_a_surrogate_pair_is_no_utf8_but_no_syntax_error() {
        let mut reader = JsonReader::new(br#""\ud83d""#.as_slice(), u64::MAX);
        let mut text = Text::new(100);
        reader.string(&mut text).unwrap();
        assert_eq!(text.get(), Err(BadText::NotUtf8));
    }

    #[test]
    fn halves_of_a_surrogate_pair_join_only_where_both_are_escapes() {
        let pair = |document: &[u8], piece| {
            let mut reader = JsonReader::new(Pieces(document, piece), u64::MAX);
            let mut text = Text::new(100);
            reader.string(&mut text).unwrap();
            text.get().map(ToOwned::to_owned)
        };
        for piece in 1..20 {
            assert_eq!(pair(br#""a\ud83d\ude00z""#, piece).unwrap(), "a\u{1f600}z");
            for document in [
                b"\"\xed\xa0\xbd\xed\xb8\x80\"".as_slice(),
                b"\"\xed\xa0\xbd\\ude00\"",
                b"\"\\ud83d\xed\xb8\x80\"",
                br#""\ud83d-\ude00""#,
                br#""\ude00\ud83d""#,
            ] {
                assert_eq!(pair(document, piece), Err(BadText::NotUtf8), "{} by {piece}", document.escape_ascii());
            }
        }
    }

    #[test]
    fn a_surrogate_pair_counts_as_one_character_beyond_the_limit_too() {
        for plain in 90..110 {
            let document = format!("\"{}\\ud83d\\ude00\"", "x".repeat(plain));
            let mut reader = JsonReader::new(document.as_bytes(), u64::MAX);
            let mut text = Text::new(100);
            reader.string(&mut text).unwrap();
            let whole = format!("{}\u{1f600}", "x".repeat(plain));
            let expected = if plain + 4 <= 100 {
                Ok(whole.as_str())
            } else {
                Err(BadText::TooLong { length: plain + 4, limit: 100 })
            };
            assert_eq!(text.get(), expected);
        }
    }

    #[test]
    fn what_is_shown_of_a_string_is_short_printable_and_says_when_it_is_cut() {
        let shown = |text: &str| {
            let document = serde_json::to_string(text).unwrap();
            let mut reader = JsonReader::new(document.as_bytes(), u64::MAX);
            let mut read = Text::new(100);
            reader.string(&mut read).unwrap();
            read.shown()
        };
        assert_eq!(shown("Linux try build"), "Linux try build");
        assert_eq!(shown("a\u{1b}[31mb"), "a\u{fffd}[31mb");
        assert_eq!(shown(&"x".repeat(80)), "x".repeat(80));
        assert_eq!(shown(&"x".repeat(81)), "x".repeat(80) + "…");
        assert_eq!(shown(&"\u{1}".repeat(81)), "\u{fffd}".repeat(80) + "…");
        assert_eq!(shown(&"x".repeat(100_000)), "x".repeat(80) + "…");
    }

    #[test]
    fn a_long_string_is_cut_and_counted() {
        let document = format!("\"{}\"", "x".repeat(100_000));
        let mut reader = JsonReader::new(document.as_bytes(), u64::MAX);
        let mut text = Text::new(1000);
        reader.string(&mut text).unwrap();
        assert_eq!(text.get(), Err(BadText::TooLong { length: 100_000, limit: 1000 }));
    }
}
