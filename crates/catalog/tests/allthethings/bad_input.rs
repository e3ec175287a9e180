//! What is refused, what is left out, and what is said of it.

use std::io::{self, Read};

use catalog::buildbot::MAX_PROBLEMS;
use catalog::buildbot::{self, ReadError};

use crate::{Dice, accepted, jobs, read, refusal};

/// A good builder that stands behind a bad one, to show that reading went on.
const GOOD: &str = r#""Linux try build":{"properties":{"branch":"try"}}"#;
const GOOD_JOB: &str = "try: Linux try build";

/// A document with these members of `builders`, and with the good builder behind them.
fn with_builders(members: &str) -> String {
    format!(r#"{{"builders":{{{members},{GOOD}}},"schedulers":{{}}}}"#)
}

/// Holds that the builder in `members` is left out and why, and that the good one is kept.
fn assert_left_out(members: &str, problem: &str) {
    let (jobs, problems) = accepted(with_builders(members));
    assert_eq!(problems, [problem], "{members}");
    assert_eq!(jobs, [GOOD_JOB], "{members}");
}

fn sample(builders: usize) -> Vec<u8> {
    let mut document = Vec::new();
    catalog::sample::write(builders, 1, &mut document).expect("memory can be written");
    document
}

#[test]
fn an_empty_source_is_refused() {
    for document in ["", " ", "\n\r\t \n"] {
        assert_eq!(refusal(document), "the source is empty");
    }
    assert!(matches!(read(""), Err(ReadError::Empty)));
}

#[test]
fn text_that_is_not_json_is_refused_at_its_first_character() {
    for (document, first) in [
        ("<!DOCTYPE html>\n<html><body>502 Bad Gateway</body></html>", "<"),
        ("\n <html>", "<"),
        ("Not Found", "N"),
        ("\u{feff}{}", "\\xef"),
        ("\u{0}", "\\x00"),
        ("'{}'", "\\'"),
    ] {
        assert_eq!(refusal(document), format!("this is not JSON: it starts with '{first}'"));
    }
    assert_eq!(refusal([0x1f, 0x8b, 0x08]), "this is not JSON: it starts with '\\x1f'");
}

#[test]
fn json_without_builders_is_refused() {
    for document in ["{}", "[]", "\"builders\"", "17", "-1", r#"{"schedulers":{},"slavepools":{"builders":{}}}"#] {
        assert_eq!(refusal(document), "this is not allthethings.json: it has no \"builders\"", "{document}");
    }
}

#[test]
fn sections_of_another_shape_are_refused() {
    for (document, expected) in [
        (r#"{"builders":["Linux try build"]}"#, "builders: an object is expected, not a list (byte 12)"),
        (r#"{"builders":null}"#, "builders: an object is expected, not null (byte 12)"),
        (r#"{"builders": 7}"#, "builders: an object is expected, not a number (byte 13)"),
        (r#"{"builders":{},"schedulers":[]}"#, "schedulers: an object is expected, not a list (byte 28)"),
        (r#"{"builders":{},"schedulers":"none"}"#, "schedulers: an object is expected, not a string (byte 28)"),
        (r#"{"builders":{},"schedulers":false}"#, "schedulers: an object is expected, not true or false (byte 28)"),
    ] {
        assert_eq!(refusal(document), expected);
    }
}

#[test]
fn a_section_that_occurs_twice_is_refused() {
    let twice = r#"{"builders":{},"schedulers":{},"builders":{}}"#;
    assert_eq!(refusal(twice), "builders: stands in the document twice (byte 42)");
    let twice = r#"{"schedulers":{},"schedulers":{},"builders":{}}"#;
    assert_eq!(refusal(twice), "schedulers: stands in the document twice (byte 30)");
}

#[test]
fn missing_schedulers_are_a_problem_but_no_reason_to_refuse() {
    let (jobs, problems) = accepted(format!(r#"{{"builders":{{{GOOD}}}}}"#));
    assert_eq!(problems, ["schedulers: is missing: no test has a build (byte 0)"]);
    assert_eq!(jobs, [GOOD_JOB]);
}

#[test]
fn a_document_cut_anywhere_is_refused_where_it_was_cut() {
    let document = sample(200);
    let end = document.trim_ascii_end().len();
    let mut dice = Dice(1);
    for _ in 0..100 {
        let cut = 1 + dice.roll(end - 1);
        let Err(ReadError::Malformed { path, what, offset }) = read(&document[..cut]) else {
            panic!("cut at byte {cut}: not refused as malformed");
        };
        assert_eq!(offset, cut as u64);
        assert!(what.starts_with("the document ends "), "cut at byte {cut}: {what}");
        assert!(!path.is_empty());
    }
}

#[test]
fn a_cut_is_told_by_path() {
    for (document, expected) in [
        ("{", "the document: the document ends where a key is expected (byte 1)"),
        (r#"{"buil"#, "the document: the document ends inside a string (byte 6)"),
        (r#"{"builders":"#, "builders: the document ends where a value is expected (byte 12)"),
        (r#"{"builders":{"A":{"prop"#, "builders.A: the document ends inside a string (byte 23)"),
        (r#"{"builders":{"A":{},"#, "builders: the document ends where a key is expected (byte 20)"),
        (r#"{"masters":{"a":[1,2"#, "masters: the document ends where ',' or ']' is expected (byte 20)"),
        (
            r#"{"builders":{},"schedulers":{"tests-a":{"downstream":[tr"#,
            "schedulers.tests-a: the document ends inside a value (byte 56)",
        ),
    ] {
        assert_eq!(refusal(document), expected, "{document}");
    }
}

#[test]
fn text_after_the_document_is_refused() {
    let document = with_builders(r#""A":{"properties":{}}"#);
    for rest in ["}", "{}", " x", "\n\u{0}"] {
        let error = refusal(format!("{document}{rest}"));
        let (byte, shown) = match rest {
            " x" => (1, "x"),
            "\n\u{0}" => (1, "\\x00"),
            rest => (0, &rest[..1]),
        };
        let place = document.len() + byte;
        assert_eq!(error, format!("the document: the end of the document is expected, not '{shown}' (byte {place})"));
    }
    assert!(read(format!("{document} \r\n\t")).is_ok());
}

#[test]
fn syntax_errors_name_path_and_byte() {
    for (document, expected) in [
        (
            r#"{"builders":{"A":{"properties":{"branch":'try'}}}}"#,
            r"builders.A: a value is expected, not '\'' (byte 41)",
        ),
        (r#"{"builders":{"A":{"properties":{"branch" "try"}}}}"#, "builders.A: ':' is expected, not '\"' (byte 41)"),
        (r#"{"builders":{"A":{}"B":{}}}"#, "builders: ',' or '}' is expected, not '\"' (byte 19)"),
        (r#"{"builders":{"A":{},}}"#, "builders: a key is expected, not '}' (byte 20)"),
        (r#"{"builders":{A:{}}}"#, "builders: a key is expected, not 'A' (byte 13)"),
        (r#"{"masters":[1,2,]}"#, "masters: a value is expected, not ']' (byte 16)"),
        (r#"{"masters":01}"#, "the document: ',' or '}' is expected, not '1' (byte 12)"),
        (r#"{"masters":-x}"#, "masters: a digit is expected, not 'x' (byte 12)"),
        (r#"{"masters":nil}"#, "masters: 'null' is expected (byte 12)"),
        (r#"{"masters":"\x"}"#, "masters: an escape that JSON does not know (byte 13)"),
        (r#"{"masters":"\u12g4"}"#, "masters: four hexadecimal digits are expected behind \\u (byte 16)"),
        (r#"{"builders":{},"schedulers":{"a":[}}}"#, "schedulers.a: a value is expected, not '}' (byte 34)"),
        (
            r#"{"builders":{},"schedulers":{"tests-a":{"downstream":[1 2]}}}"#,
            "schedulers.tests-a: ',' or ']' is expected, not '2' (byte 56)",
        ),
    ] {
        assert_eq!(refusal(document), expected, "{document}");
    }
}

#[test]
fn the_error_of_a_broken_stream_names_path_and_byte() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::new(io::ErrorKind::ConnectionReset, "connection reset by peer"))
        }
    }
    let refusal = |before: &str| {
        let read = buildbot::read(before.as_bytes().chain(Broken), u64::MAX, &mut |_| ());
        read.err().expect("refused").to_string()
    };
    let why = "the source broke off: connection reset by peer";
    assert_eq!(refusal(""), format!("the document: {why} (byte 0)"));
    assert_eq!(refusal(r#"{"builders":{"A":{"properties":"#), format!("builders.A: {why} (byte 31)"));
    assert_eq!(refusal(r#"{"builders":{},"schedulers":{"tests-a":["#), format!("schedulers.tests-a: {why} (byte 40)"));
    assert_eq!(refusal(r#"{"builders":{}}"#), format!("the document: {why} (byte 15)"));
}

#[test]
fn an_interrupted_read_is_tried_again() {
    struct Interrupted(bool);
    impl Read for Interrupted {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            if std::mem::replace(&mut self.0, true) { Ok(0) } else { Err(io::ErrorKind::Interrupted.into()) }
        }
    }
    let document = with_builders(r#""A":{"properties":{"branch":"ash"}}"#);
    let (start, rest) = document.split_at(30);
    let input = start.as_bytes().chain(Interrupted(false)).chain(rest.as_bytes());
    let dump = buildbot::read(input, u64::MAX, &mut |_| ()).unwrap();
    assert_eq!(jobs(&dump).0, ["ash: A", GOOD_JOB]);
}

#[test]
fn a_document_longer_than_allowed_is_refused() {
    let document = sample(1000);
    let length = document.len() as u64;
    let read = |limit| buildbot::read(document.as_slice(), limit, &mut |_| ());
    assert!(read(length).is_ok());
    for limit in [length - 1, length / 2, 100_000, 1, 0] {
        let error = read(limit).err().expect("refused").to_string();
        assert_eq!(error, format!("the uncompressed document has more than {limit} bytes, the configured maximum"));
    }
}

#[test]
fn a_source_without_end_is_refused_at_the_bound() {
    for (start, forever) in
        [("", b' '), ("{\"builders\":{\"", b'A'), ("{\"masters\":[", b'1'), ("{\"masters\":\"", b'a')]
    {
        let input = start.as_bytes().chain(io::repeat(forever));
        let error = buildbot::read(input, 1_000_000, &mut |_| ()).err().expect("refused");
        assert!(matches!(error, ReadError::TooLong { limit: 1_000_000 }), "{error}");
    }
}

#[test]
fn nesting_without_end_is_refused_where_it_gets_too_deep() {
    let deep = "[".repeat(10_000);
    let error = "nested deeper than 128 levels";
    assert_eq!(refusal(format!(r#"{{"masters":{deep}"#)), format!("masters: {error} (byte 139)"));
    assert_eq!(refusal(format!(r#"{{"builders":{{"A":{{"x":{deep}"#)), format!("builders.A: {error} (byte 150)"));
    let deep = r#"{"a":"#.repeat(10_000);
    assert_eq!(refusal(format!(r#"{{"builders":{{"A":{deep}"#)), format!("builders.A: {error} (byte 662)"));
    assert_eq!(
        refusal(format!(r#"{{"builders":{{"A":{{"properties":[{deep}"#)),
        format!("builders.A: {error} (byte 667)")
    );
}

#[test]
fn two_builders_with_one_name_are_both_counted_and_the_later_is_used() {
    let document = with_builders(r#""A":{"properties":{"branch":"ash"}},"A":{"properties":{"branch":"oak"}}"#);
    let (jobs, findings) = jobs(&read(&document).unwrap());
    assert_eq!(jobs, ["oak: A", GOOD_JOB]);
    assert_eq!(findings.builders, 3);
    let problem = "builders.A: stands in the document twice: the later one counts (byte 50)";
    assert_eq!(findings.problems.iter().map(ToString::to_string).collect::<Vec<_>>(), [problem]);
}

#[test]
fn a_builder_of_another_shape_is_left_out() {
    for (builder, problem) in [
        ("null", "an object is expected, not null (byte 17)"),
        ("[1,{}]", "an object is expected, not a list (byte 17)"),
        ("\"x\"", "an object is expected, not a string (byte 17)"),
    ] {
        assert_left_out(&format!(r#""A":{builder}"#), &format!("builders.A: {problem}"));
    }
}

#[test]
fn a_builder_without_properties_is_left_out() {
    for (builder, problem) in [
        ("{}", "is missing (byte 17)"),
        (r#"{"shortname":"a"}"#, "is missing (byte 17)"),
        (r#"{"properties":null}"#, "an object is expected, not null (byte 31)"),
        (r#"{"properties": 17}"#, "an object is expected, not a number (byte 32)"),
        (r#"{"properties":[]}"#, "an object is expected, not a list (byte 31)"),
    ] {
        assert_left_out(&format!(r#""A":{builder}"#), &format!("builders.A.properties: {problem}"));
    }
}

#[test]
fn a_builder_whose_branch_cannot_name_a_project_is_left_out() {
    let rule = "is not a valid project name: letters, digits, '-', '_' and '.', at most 100 of them";
    let long = "x".repeat(101);
    let shown = format!("{}…", "x".repeat(80));
    for (branch, problem) in [
        ("7".to_owned(), "a string is expected, not a number (byte 41)".to_owned()),
        ("{}".to_owned(), "a string is expected, not an object (byte 41)".to_owned()),
        (r#""../etc""#.to_owned(), format!("\"../etc\" {rule} (byte 42)")),
        (r#""..""#.to_owned(), format!("\"..\" {rule} (byte 42)")),
        (r#""mozilla central""#.to_owned(), format!("\"mozilla central\" {rule} (byte 42)")),
        (r#""tré""#.to_owned(), format!("\"tré\" {rule} (byte 42)")),
        (format!("\"{long}\""), format!("\"{shown}\" {rule} (byte 42)")),
        (r#""try\n""#.to_owned(), "holds a control character (byte 42)".to_owned()),
        (format!("\"{}\"", "x".repeat(1001)), "has 1001 bytes, at most 1000 are allowed (byte 42)".to_owned()),
    ] {
        let members = format!(r#""A":{{"properties":{{"branch":{branch}}}}}"#);
        assert_left_out(&members, &format!("builders.A.properties.branch: {problem}"));
    }
}

#[test]
fn the_longest_branch_and_a_dotted_one_are_good() {
    let long = "x".repeat(100);
    for branch in [long.as_str(), "mozilla-b2g34_v2_1", ".a", "a.b"] {
        let document = format!(r#"{{"builders":{{"A":{{"properties":{{"branch":"{branch}"}}}}}},"schedulers":{{}}}}"#);
        assert_eq!(accepted(document), (vec![format!("{branch}: A")], vec![]));
    }
}

#[test]
fn a_build_whose_shortname_is_not_a_string_is_left_out() {
    assert_left_out(
        r#""A":{"properties":{"branch":"try"},"shortname":7}"#,
        "builders.A.shortname: a string is expected, not a number (byte 60)",
    );
}

#[test]
fn the_shortname_of_a_test_may_be_anything_wherever_it_stands() {
    let test = r#""properties":{"branch":"ash","slavebuilddir":"test"}"#;
    for members in [format!(r#""A":{{"shortname":7,{test}}}"#), format!(r#""A":{{{test},"shortname":7}}"#)] {
        assert_eq!(accepted(with_builders(&members)), (vec!["ash: A".to_owned(), GOOD_JOB.to_owned()], vec![]));
    }
}

#[test]
fn a_builder_whose_name_cannot_be_used_is_left_out() {
    let builder = r#"{"properties":{"branch":"try"}}"#;
    let long = "x".repeat(100_000);
    let shown = format!("{}…", "x".repeat(80));
    assert_left_out(
        &format!(r#""{long}":{builder}"#),
        &format!("builders.{shown}: the name has 100000 bytes, at most 1000 are allowed (byte 14)"),
    );
    assert_left_out(
        &format!(r#""a\u0007b":{builder}"#),
        "builders.a\u{fffd}b: the name holds a control character (byte 14)",
    );
    assert_left_out(
        &format!(r#""a{}b":{builder}"#, '\u{7f}'),
        "builders.a\u{fffd}b: the name holds a control character (byte 14)",
    );
    assert_left_out(&format!(r#""":{builder}"#), "builders.: the name is empty (byte 14)");
    assert_left_out(
        &format!(r#""a\ud83d":{builder}"#),
        "builders.a\u{fffd}\u{fffd}\u{fffd}: the name is not UTF-8 (byte 14)",
    );
}

#[test]
fn a_raw_control_character_breaks_the_document() {
    let document = with_builders("\"Linux\u{7} try\":{}");
    assert_eq!(refusal(document), "builders: a control character stands in a string (byte 19)");
    let document = with_builders("\"A\":{\"x\":\"\n\"}");
    assert_eq!(refusal(document), "builders.A: a control character stands in a string (byte 23)");
}

#[test]
fn a_name_that_is_not_utf_8_costs_one_builder() {
    let document = with_builders(r#""Linux X try build":{"properties":{"branch":"try"}}"#);
    let document: Vec<u8> = document.bytes().map(|byte| if byte == b'X' { 0xe9 } else { byte }).collect();
    let problem = "builders.Linux \u{fffd} try build: the name is not UTF-8 (byte 14)";
    assert_eq!(accepted(document), (vec![GOOD_JOB.to_owned()], vec![problem.to_owned()]));
}

#[test]
fn skipped_text_may_be_other_than_utf_8() {
    let document = with_builders(r#""A":{"properties":{"branch":"ash","product":"X"},"X":["X"]}"#);
    let document: Vec<u8> = document.bytes().map(|byte| if byte == b'X' { 0xff } else { byte }).collect();
    assert_eq!(accepted(document), (vec!["ash: A".to_owned(), GOOD_JOB.to_owned()], vec![]));
}

#[test]
fn a_scheduler_of_another_shape_is_left_out() {
    for (scheduler, problem) in [
        ("null", ": an object is expected, not null (byte 39)"),
        ("[]", ": an object is expected, not a list (byte 39)"),
        (r#"{"downstream":"A"}"#, ".downstream: a list is expected, not a string (byte 53)"),
        (r#"{"downstream":["A",7]}"#, ".downstream: a string is expected, not a number (byte 58)"),
        (r#"{"triggered_by":{}}"#, ".triggered_by: a list is expected, not an object (byte 55)"),
        (r#"{"triggered_by":[["a"]]}"#, ".triggered_by: a string is expected, not a list (byte 56)"),
    ] {
        let document = format!(r#"{{"builders":{{}},"schedulers":{{"tests-a":{scheduler}}}}}"#);
        assert_eq!(accepted(document), (vec![], vec![format!("schedulers.tests-a{problem}")]), "{scheduler}");
    }
    let document = r#"{"builders":{},"schedulers":{"tests-\n":{}}}"#;
    let problem = "schedulers.tests-\u{fffd}: the name holds a control character (byte 30)";
    assert_eq!(accepted(document), (vec![], vec![problem.to_owned()]));
}

#[test]
fn a_downstream_name_that_cannot_be_used_does_not_cost_the_others_their_build() {
    let document = r#"{"builders":{
        "X":{"properties":{"branch":"try","slavebuilddir":"test"}},
        "B":{"properties":{"branch":"try","slavebuilddir":"test"}},
        "Linux try build":{"properties":{"branch":"try"},"shortname":"linux"}
    },"schedulers":{"tests-a":{"downstream":["X","B"],"triggered_by":["\n","linux-opt-unittest"]}}}"#;
    let document: Vec<u8> = document.bytes().map(|byte| if byte == b'X' { 0xff } else { byte }).collect();
    let (jobs, problems) = accepted(document);
    assert_eq!(jobs, ["try: B <- Linux try build", GOOD_JOB]);
    assert_eq!(problems, ["builders.\u{fffd}: the name is not UTF-8 (byte 23)"]);
}

#[test]
fn problems_are_counted_beyond_those_that_are_kept() {
    let members: Vec<String> = (0..MAX_PROBLEMS + 20).map(|number| format!(r#""{number}":null"#)).collect();
    let (jobs, findings) = jobs(&read(with_builders(&members.join(","))).unwrap());
    assert_eq!(jobs, [GOOD_JOB]);
    assert_eq!(findings.problem_count, 70);
    assert_eq!(findings.problems.len(), 50);
    assert_eq!(findings.problems[49].path, "builders.49");
}
