//! What must not depend on how a document is written or how it arrives.

use catalog::buildbot;
use catalog::buildbot::Findings;
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::{Dice, Pieces, jobs, read};

const BRANCHES: [&str; 4] = ["try", "mozilla-aurora", "ash", "mozilla-b2g34_v2_1"];
const SHORTNAMES: [&str; 4] = ["linux64", "linux64-pgo", "b2g_try_emulator_dep", "try-emulator"];

/// Names of builds, tests, talos with its pgo twin, releases and bundles.
fn names() -> impl Strategy<Value = String> {
    let kind = prop::sample::select(vec![
        "Linux x86-64 {b} build",
        "b2g_{b}_emulator_dep",
        "Ubuntu VM 12.04 x64 {b} opt test mochitest-1",
        "Ubuntu VM 12.04 x64 {b} opt test mochitest-2",
        "Windows 7 32-bit {b} talos g1",
        "Windows 7 32-bit {b} pgo talos g1",
        "release-{b}-firefox_updates",
        "{b} hg bundle",
        "{b} 狐 \\ \" / \u{85}",
    ]);
    (kind, prop::sample::select(BRANCHES.as_slice())).prop_map(|(kind, branch)| kind.replace("{b}", branch))
}

fn text(of: &'static [&'static str]) -> impl Strategy<Value = Value> {
    prop_oneof![
        8 => prop::sample::select(of).prop_map(Value::from),
        1 => prop::sample::select(vec![Value::Null, json!(""), json!(7), json!(["x"]), json!("a\nb"), json!("../etc")]),
    ]
}

fn builder() -> impl Strategy<Value = Value> {
    let properties = (text(&BRANCHES), text(&["test", "test", "b"]))
        .prop_map(|(branch, folder)| json!({"branch": branch, "slavebuilddir": folder, "platform": null}));
    let properties = prop_oneof![12 => properties, 1 => Just(Value::Null), 1 => Just(json!({}))];
    let pool =
        prop::sample::select(vec![json!("b"), json!("empty"), json!("unknown"), json!([]), json!([1]), Value::Null]);
    (properties, text(&SHORTNAMES), pool).prop_map(|(properties, shortname, pool)| {
        json!({"properties": properties, "shortname": shortname, "slavepool": pool, "x": [{}]})
    })
}

fn scheduler() -> impl Strategy<Value = Value> {
    let end = prop::sample::select(vec!["-opt-unittest", "-talos", "-pgo", ""]);
    let trigger =
        (prop::sample::select(SHORTNAMES.as_slice()), end).prop_map(|(shortname, end)| [shortname, end].concat());
    // Of several triggers the first counts, so their order matters.
    (vec(trigger, 0..2), vec(names(), 0..12))
        .prop_map(|(triggers, tests)| json!({"downstream": tests, "triggered_by": triggers, "x": null}))
}

fn documents() -> impl Strategy<Value = Value> {
    let schedulers = btree_map(prop::sample::select(vec!["tests-a", "tests-b", "tests-c", "a"]), scheduler(), 0..4);
    (btree_map(names(), builder(), 0..30), schedulers).prop_map(|(builders, schedulers)| {
        let schedulers: Map<String, Value> =
            schedulers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let builders: Map<String, Value> = builders.into_iter().collect();
        let pools = json!({"b": [1], "empty": []});
        json!({"builders": builders, "master_builders": {"a": []}, "schedulers": schedulers, "slavepools": pools})
    })
}

/// Writes a value with the members of each object, and the items of each list, in an order that the dice decide.
fn shuffled(value: &Value, dice: &mut Dice) -> String {
    let shuffle = |mut parts: Vec<String>, dice: &mut Dice| {
        for last in (1..parts.len()).rev() {
            parts.swap(last, dice.roll(last + 1));
        }
        parts.join(",")
    };
    match value {
        Value::Object(members) => {
            let parts =
                members.iter().map(|(key, value)| format!("{}:{}", json!(key), shuffled(value, dice))).collect();
            format!("{{{}}}", shuffle(parts, dice))
        }
        Value::Array(items) => {
            let parts = items.iter().map(|item| shuffled(item, dice)).collect();
            format!("[{}]", shuffle(parts, dice))
        }
        other => other.to_string(),
    }
}

/// All that reading comes to: the jobs and the findings, or why the document is refused.
fn outcome(document: &[u8], piece: usize) -> Result<(Vec<String>, Findings), String> {
    let dump = buildbot::read(Pieces { document, piece }, u64::MAX, &mut |_| ());
    dump.map(|dump| jobs(&dump)).map_err(|error| error.to_string())
}

/// The findings without the places of problems.
fn without_places(mut findings: Findings) -> Findings {
    findings.problems.clear();
    findings
}

proptest! {
    #[test]
    fn the_catalog_does_not_depend_on_the_order_of_keys_and_lists(document in documents(), seed in any::<u64>()) {
        let (jobs_as_written, findings) = jobs(&read(document.to_string()).unwrap());
        let (jobs_shuffled, findings_shuffled) = jobs(&read(shuffled(&document, &mut Dice(seed))).unwrap());
        prop_assert_eq!(jobs_as_written, jobs_shuffled);
        prop_assert_eq!(without_places(findings), without_places(findings_shuffled));
    }

    #[test]
    fn the_catalog_does_not_depend_on_how_bytes_are_chunked(
        document in documents(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        piece in 1_usize..200,
    ) {
        let mut document = document.to_string().into_bytes();
        for (place, byte) in changes {
            let place = place.index(document.len());
            document[place] = byte;
        }
        prop_assert_eq!(outcome(&document, piece), outcome(&document, usize::MAX));
    }

    #[test]
    fn surrogates_and_raw_bytes_are_distinguished_however_they_are_chunked(
        parts in vec(prop::sample::select(vec![
            b"\\ud83d".as_slice(), b"\\ude00", b"\xed\xa0\xbd", b"\xed\xb8\x80", b"a", "狐".as_bytes(),
        ]), 0..6),
        piece in 1_usize..12,
    ) {
        let document =
            [br#"{"builders":{""#.as_slice(), &parts.concat(), br#"":{"properties":{"branch":"try"}}}}"#].concat();
        prop_assert_eq!(outcome(&document, piece), outcome(&document, usize::MAX));
    }

    #[test]
    fn every_builder_becomes_a_job_or_is_counted(document in documents()) {
        let (jobs, findings) = jobs(&read(document.to_string()).unwrap());
        let builders = document["builders"].as_object().unwrap().len() as u64;
        let left_out = findings.not_runnable + findings.empty_slavepool + findings.problem_count;
        prop_assert_eq!(findings.builders, builders);
        prop_assert_eq!(jobs.len() as u64 + left_out, builders);
        prop_assert_eq!(findings.bytes, document.to_string().len() as u64);
    }

    #[test]
    fn arbitrary_bytes_are_refused_with_a_reason(bytes in vec(any::<u8>(), 0..300), piece in 1_usize..50) {
        // Without a closing brace no object ends, and nothing but an object is read.
        let bytes: Vec<u8> = bytes.into_iter().filter(|byte| *byte != b'}').collect();
        for start in ["", "{", r#"{"builders":{"#, r#"{"builders":{"A":{"properties":{"branch":""#] {
            let document = [start.as_bytes(), &bytes].concat();
            let error = outcome(&document, piece).expect_err("no object ends");
            prop_assert!(!error.is_empty());
        }
    }
}
