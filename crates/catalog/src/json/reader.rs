//! The reader: tokens, values and the skipping of values.

use std::io::{self, Read};

use crate::json::text::Text;

/// Maximum nesting of arrays and objects. The real document has five levels.
const MAX_DEPTH: usize = 128;
/// Bytes that are read at once.
const BUFFER: usize = 64 * 1024;

/// Why the reading of a document ended, and where.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JsonError {
    #[error("{what}")]
    Syntax { what: String, offset: u64 },
    #[error("{error}")]
    Input { error: io::Error, offset: u64 },
    #[error("more than {limit} bytes")]
    TooLong { limit: u64 },
}

pub(super) type Result<T> = std::result::Result<T, JsonError>;

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

/// Reads a JSON document from its first byte to its last, and keeps only the bytes in its buffer.
pub(crate) struct JsonReader<R> {
    input: R,
    /// Its bytes from `at` to `end` are not read yet.
    buffer: Box<[u8]>,
    at: usize,
    end: usize,
    /// The number of bytes of the document before the buffer.
    before: u64,
    /// The maximum length of the document, in bytes.
    limit: u64,
}

impl<R: Read> JsonReader<R> {
    /// Reads from `input`, and refuses to read more than `limit` bytes of it.
    pub(crate) fn new(input: R, limit: u64) -> Self {
        Self { input, buffer: vec![0; BUFFER].into_boxed_slice(), at: 0, end: 0, before: 0, limit }
    }

    /// The offset of the next byte in the document.
    pub(crate) fn offset(&self) -> u64 {
        self.before + self.at as u64
    }

    /// A syntax error at the next byte.
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

    /// The next byte; `None` at the end of the input. The reader stays in front of it.
    #[inline]
    fn peek(&mut self) -> Result<Option<u8>> {
        if self.at == self.end && !self.fill()? {
            return Ok(None);
        }
        Ok(Some(self.buffer[self.at]))
    }

    /// The next byte. If the document ends before it, the error says that it ends inside `inside`.
    fn next(&mut self, inside: &str) -> Result<u8> {
        match self.peek()? {
            Some(byte) => {
                self.at += 1;
                Ok(byte)
            }
            None => self.syntax(format!("the document ends inside {inside}")),
        }
    }

    /// The next byte that is not white space. The reader stays in front of it.
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

    /// The error that the next token is not the expected one.
    fn unexpected<T>(&mut self, expected: &str) -> Result<T> {
        match self.peek_token()? {
            None => self.syntax(format!("the document ends where {expected} is expected")),
            Some(b'"') => self.syntax(format!("{expected} is expected, not '\"'")),
            Some(byte) => self.syntax(format!("{expected} is expected, not '{}'", byte.escape_ascii())),
        }
    }

    /// The kind of the next value. The reader stays in front of it.
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

    /// Enters an object; `key` then returns its members.
    pub(crate) fn object(&mut self) -> Result<First> {
        if self.take(b'{')? { Ok(First(true)) } else { self.unexpected("'{'") }
    }

    /// Enters an array; `item` then steps through its items.
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

    /// Reads a string from behind its opening quote: into `text`, or skips it if there is no `text`.
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

    /// The byte that ended a run of plain characters; `None` if only the buffer ended.
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

    /// The number that four hexadecimal digits stand for.
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

    /// Skips a value of any kind.
    pub(crate) fn skip(&mut self) -> Result<()> {
        // For each open level: whether it is an object; otherwise it is an array.
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
                ValueKind::Number => self.number_with(|_| ())?,
                ValueKind::Null => self.literal("null")?,
                ValueKind::Bool => {
                    self.bool()?;
                }
            }
            // A value has ended; the arrays and objects around it may end too.
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

    /// Reads `true` or `false`.
    pub(crate) fn bool(&mut self) -> Result<bool> {
        let value = self.peek_token()? == Some(b't');
        self.literal(if value { "true" } else { "false" })?;
        Ok(value)
    }

    /// Reads a number into `text`, as it is written.
    pub(crate) fn number(&mut self, text: &mut Text) -> Result<()> {
        self.kind()?;
        text.clear(self.offset());
        self.number_with(|byte| text.push(&[byte]))
    }

    /// Reads a number, and gives each byte of it to `each`.
    #[inline]
    fn number_with(&mut self, mut each: impl FnMut(u8)) -> Result<()> {
        self.take_if(|byte| byte == b'-', &mut each)?;
        if !self.take_if(|byte| byte == b'0', &mut each)? {
            self.digits(&mut each)?;
        }
        if self.take_if(|byte| byte == b'.', &mut each)? {
            self.digits(&mut each)?;
        }
        if self.take_if(|byte| matches!(byte, b'e' | b'E'), &mut each)? {
            self.take_if(|byte| matches!(byte, b'+' | b'-'), &mut each)?;
            self.digits(&mut each)?;
        }
        Ok(())
    }

    /// Takes the next byte if it is one of those that `is` accepts.
    #[inline]
    fn take_if(&mut self, is: impl Fn(u8) -> bool, each: &mut impl FnMut(u8)) -> Result<bool> {
        let Some(byte) = self.peek()?.filter(|byte| is(*byte)) else { return Ok(false) };
        self.at += 1;
        each(byte);
        Ok(true)
    }

    #[inline]
    fn digits(&mut self, each: &mut impl FnMut(u8)) -> Result<()> {
        if !self.take_if(|byte| byte.is_ascii_digit(), each)? {
            return self.unexpected("a digit");
        }
        while self.take_if(|byte| byte.is_ascii_digit(), each)? {}
        Ok(())
    }

    /// Checks that nothing but white space follows.
    pub(crate) fn end(&mut self) -> Result<()> {
        if self.peek_token()?.is_none() { Ok(()) } else { self.unexpected("the end of the document") }
    }

    /// The first byte of the document that is not white space. Call it before anything else.
    pub(crate) fn first_token(&mut self) -> Result<Option<u8>> {
        self.peek_token()
    }
}
