//! The reader against `serde_json`, and its bounds.

use std::io::{self, Read};

use proptest::prelude::*;

use super::reader::Result;
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
    fn numbers_come_back_as_they_were_written(
        number in prop_oneof![any::<f64>().prop_map(serde_json::Value::from), any::<i64>().prop_map(Into::into)],
        piece in 1_usize..9,
    ) {
        prop_assume!(number.is_number());
        let written = number.to_string();
        let document = format!(" {written} ,");
        let mut reader = JsonReader::new(Pieces(document.as_bytes(), piece), u64::MAX);
        let mut read = Text::new(usize::MAX);
        reader.number(&mut read).unwrap();
        prop_assert_eq!(read.bytes(), written.as_bytes());
        prop_assert_eq!((read.offset(), reader.offset()), (1, document.len() as u64 - 2));
    }

    #[test]
    fn no_bytes_make_it_panic(document in prop::collection::vec(any::<u8>(), 0..200), piece in 1_usize..9) {
        let _ = accepts(&document, piece);
    }
}

#[test]
fn true_and_false_are_read_and_nothing_else_is() {
    let read = |document: &'static str, piece| JsonReader::new(Pieces(document.as_bytes(), piece), u64::MAX).bool();
    for piece in 1..6 {
        assert!(read(" true", piece).unwrap() && !read("\nfalse", piece).unwrap());
        for other in ["", "tru", "True", "falsy", "null", "1", "\"true\""] {
            assert!(read(other, piece).is_err(), "{other}");
        }
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
fn a_syntax_error_names_the_byte() {
    let error = accepts(b"{\"a\": 1,\n \"b\" 2}", 3).expect_err("no colon");
    assert!(matches!(error, JsonError::Syntax { offset: 14, .. }), "{error:?}");
    assert_eq!(error.to_string(), "':' is expected, not '2'");
}

#[test]
fn half_a_surrogate_pair_is_not_utf8_and_not_a_syntax_error() {
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
        let expected =
            if plain + 4 <= 100 { Ok(whole.as_str()) } else { Err(BadText::TooLong { length: plain + 4, limit: 100 }) };
        assert_eq!(text.get(), expected);
    }
}

#[test]
fn a_shown_string_is_short_printable_and_marked_when_cut() {
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
