//! What is refused, and what is said of it.

use std::fmt::Write as _;
use std::io::{self, Read};

use catalog::taskcluster::{GraphError, MAX_GRAPH_PROBLEMS, MAX_LABELS, TaskGraph};

use crate::{accepted, problems, read, refusal};

const OTHER_DOCUMENT: &str = "this is neither runnable-jobs.json nor full-task-graph.json";

#[test]
fn an_empty_source_is_refused() {
    for document in ["", " ", "\n\r\t \n"] {
        assert_eq!(refusal(document), "the source is empty");
    }
}

#[test]
fn text_that_is_not_json_is_refused_at_its_first_character() {
    for (document, first) in [
        ("<!DOCTYPE html>\n<html><body>502 Bad Gateway</body></html>", "<"),
        ("Not Found", "N"),
        ("\u{feff}{}", "\\xef"),
    ] {
        assert_eq!(refusal(document), format!("this is not JSON: it starts with '{first}'"));
    }
    assert_eq!(refusal([0x1f, 0x8b, 0x08]), "this is not JSON: it starts with '\\x1f'");
}

#[test]
fn anything_but_an_object_is_refused() {
    for (document, found) in [("[{}]", "a list"), (" 17", "a number"), ("\"<html>\"", "a string")] {
        let at = document.len() - document.trim_start().len();
        assert_eq!(refusal(document), format!("the document: an object is expected, not {found} (byte {at})"));
    }
}

#[test]
fn documents_without_an_entry_of_a_task_graph_are_refused() {
    for document in [
        "{}",
        // An answer of the API, actions.json, label-to-taskid.json, and task-graph.json.
        r#"{"code": "ResourceNotFound", "message": "Artifact not found", "requestInfo": {"params": {}}}"#,
        r#"{"version": 1, "variables": {}, "actions": []}"#,
        r#"{"build-linux64/opt": "Ab-_9fIzT8aXVvV2yWqhGQ"}"#,
        r#"{"Ab-_9fIzT8aXVvV2yWqhGQ": {"label": "build", "task": {"extra": {"treeherder": {"symbol": "B"}}}}}"#,
        r#"{"builders": {}, "schedulers": {}}"#,
    ] {
        assert_eq!(refusal(document), OTHER_DOCUMENT, "{document}");
    }
}

#[test]
fn a_task_whose_label_is_not_its_key_is_left_out() {
    let task = r#""task": {"extra": {"treeherder": {"symbol": "B"}}}"#;
    let (jobs, problems) = accepted(format!(r#"{{"a": {{"label": "b", {task}}}, "c": {{{task}, "label": "c"}}}}"#));
    assert_eq!(jobs, ["c (B)  @ opt tier 1"]);
    assert_eq!(problems, ["a.label: the label is \"b\" there (byte 17)"]);
}

#[test]
fn a_document_cut_anywhere_is_refused_where_it_was_cut() {
    let document = concat!(
        r#"{"a": {"symbol": -1.5e3, "groupName": "é\u00e9", "collection": {"opt": true, "x": false}, "platform": null},"#,
        r#" "b": {"label": "b", "dependencies": {"build": "a", "x": "y"}, "attributes": [1, {"k": null}], "task": "#,
        r#"{"routes": ["tc-treeherder.v2.try"], "extra": {"treeherder": {"symbol": "B", "machine": {"platform": "p"}, "#,
        r#""tier": 1}}}}}"#
    );
    assert!(read(document).is_ok());
    for cut in 1..document.len() {
        let Err(GraphError::Malformed { path, what, offset }) = read(&document.as_bytes()[..cut]) else {
            panic!("cut at byte {cut}: not refused as malformed");
        };
        assert_eq!(offset, cut as u64, "{what}");
        assert!(what.starts_with("the document ends "), "cut at byte {cut}: {what}");
        assert!(["the document", "a", "b"].contains(&path.as_str()), "{path}");
    }
}

#[test]
fn syntax_errors_name_label_and_byte() {
    for (document, expected) in [
        (r#"{"a": {"symbol": 'B'}}"#, r"a: a value is expected, not '\'' (byte 17)"),
        (r#"{"a": {"symbol": "B"} "b": {}}"#, "the document: ',' or '}' is expected, not '\"' (byte 22)"),
        (r#"{"a": {"task": {"extra": {"treeherder": {"tier": 1.}}}}}"#, "a: a digit is expected, not '}' (byte 51)"),
        (r#"{"a": {"collection": {"opt": tru}}}"#, "a: 'true' is expected (byte 32)"),
        (r#"{"a": {"symbol": "B"}} <html>"#, "the document: the end of the document is expected, not '<' (byte 23)"),
    ] {
        assert_eq!(refusal(document), expected, "{document}");
    }
}

#[test]
fn nesting_beyond_the_bound_is_refused() {
    let document = format!(r#"{{"a": {{"x": {}"#, "[".repeat(1000));
    assert_eq!(refusal(document), "a: nested deeper than 128 levels (byte 140)");
}

#[test]
fn a_document_longer_than_allowed_is_refused_without_being_kept() {
    /// A document without end.
    struct Endless(u64);
    impl Read for Endless {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let entry = format!("{}\"l{}\": {{\"symbol\": \"B\"}}", if self.0 == 0 { "{" } else { "," }, self.0 % 100);
            self.0 += 1;
            into[..entry.len()].copy_from_slice(entry.as_bytes());
            Ok(entry.len())
        }
    }
    let error = TaskGraph::read(Endless(0), 100_000, &mut |_| ()).expect_err("it has no end");
    assert!(matches!(error, GraphError::TooLong { limit: 100_000 }), "{error}");
    let error = TaskGraph::read(Endless(0), u64::MAX, &mut |_| ()).expect_err("it has no end");
    assert_eq!(error.to_string(), "the document has more than 200000 labels, the maximum");
}

#[test]
fn more_names_than_are_kept_are_refused() {
    let mut document = "{".to_owned();
    for number in 0..40_000 {
        let comma = if number == 0 { "" } else { "," };
        write!(document, r#"{comma}"{number:0990}": {{"symbol": "B"}}"#).unwrap();
    }
    document.push('}');
    assert_eq!(refusal(document), "the document has more than 33554432 bytes of names, the maximum");
    const { assert!(MAX_LABELS > 40_000) };
}

#[test]
fn labels_that_cannot_be_names_are_left_out() {
    let (long, short) = ("x".repeat(1001), "é".repeat(500));
    let document = [
        br#"{"": {"symbol": "B"}, "a\nb": {"symbol": "B"}, ""#.as_slice(),
        b"\xff",
        br#"": {"symbol": "B"}, ""#,
        long.as_bytes(),
        br#"": {"symbol": "B"}, ""#,
        short.as_bytes(),
        br#"": {"symbol": "B"}}"#,
    ];
    let graph = read(document.concat()).unwrap();
    assert_eq!((graph.len(), graph.findings().labels, graph.findings().left_out), (1, 5, 4));
    let problems = problems(&graph);
    assert_eq!(
        problems[..3],
        [
            ": the label is empty (byte 2)",
            "a\u{fffd}b: the label holds a control character (byte 23)",
            "\u{fffd}: the label is not UTF-8 (byte 48)",
        ]
    );
    assert!(
        problems[3].ends_with("x…: the label has 1001 bytes, at most 1000 are allowed (byte 70)"),
        "{}",
        problems[3]
    );
}

#[test]
fn the_first_problems_are_kept_and_all_are_counted() {
    let entries: Vec<String> = (0..100).map(|n| format!(r#""l{n}": {{"platform": "p"}}"#)).collect();
    let graph = read(format!("{{{}}}", entries.join(","))).unwrap();
    let findings = graph.findings();
    assert_eq!((findings.problem_count, findings.left_out, findings.problems.len()), (100, 100, MAX_GRAPH_PROBLEMS));
    assert_eq!(findings.problems[19].path, "l19.symbol");
}

#[test]
fn a_stream_that_breaks_off_is_an_error_of_the_source() {
    struct Broken(bool);
    impl Read for Broken {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            if std::mem::replace(&mut self.0, true) {
                return Err(io::Error::new(io::ErrorKind::ConnectionReset, "reset"));
            }
            into[..6].copy_from_slice(br#"{"a": "#);
            Ok(6)
        }
    }
    let error = TaskGraph::read(Broken(false), u64::MAX, &mut |_| ()).expect_err("it breaks");
    assert!(matches!(error, GraphError::Input { .. }));
    assert_eq!(error.to_string(), "a: the source broke off: reset (byte 6)");
}
