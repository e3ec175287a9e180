//! What must not depend on which artifact it is, how it is written or how it arrives.

use catalog::taskcluster::{GraphFindings, TaskGraph};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::{Pieces, lines, read};

fn texts() -> impl Strategy<Value = Value> {
    let text = prop::sample::select(vec![json!("M"), json!("bc3"), json!("狐 \\ \""), json!(7), json!(-1.5)]);
    prop_oneof![12 => text, 2 => Just(Value::Null), 1 => Just(json!("")), 1 => prop::sample::select(vec![
        json!(true), json!(["x"]), json!({"symbol": "x"}), json!("a\nb"),
    ])]
}

fn collections() -> impl Strategy<Value = Value> {
    let value = prop::sample::select(vec![json!(true), json!(true), json!(false), json!(1), Value::Null]);
    let options = btree_map(prop::sample::select(vec!["opt", "asan", "debug"]), value, 0..3);
    let options = options.prop_map(|options| options.into_iter().map(|(key, value)| (key.to_owned(), value)).collect());
    prop_oneof![8 => options.prop_map(Value::Object), 1 => Just(Value::Null), 1 => Just(json!(["opt"]))]
}

/// What Treeherder shows of a task. A missing member is one that is not written.
#[derive(Debug, Clone)]
struct Shown {
    members: [Option<Value>; 3],
    collection: Option<Value>,
    platform: Option<Value>,
}

const MEMBERS: [&str; 3] = ["symbol", "groupName", "groupSymbol"];

fn shown() -> impl Strategy<Value = Shown> {
    let symbol = prop_oneof![12 => texts().prop_map(Some), 1 => Just(None)];
    let maybe = || prop::option::of(texts());
    (symbol, maybe(), maybe(), prop::option::of(collections()), maybe()).prop_map(
        |(symbol, name, group, collection, platform)| Shown { members: [symbol, name, group], collection, platform },
    )
}

fn graphs() -> impl Strategy<Value = Vec<(String, Shown)>> {
    let label = prop::sample::select(vec!["build-linux64/opt", "test-a-1", "test-a-2", "狐", "a b", "symbol", "task"]);
    btree_map(label, shown(), 1..6)
        .prop_map(|graph| graph.into_iter().map(|(label, shown)| (label.to_owned(), shown)).collect())
}

impl Shown {
    fn members(&self) -> Map<String, Value> {
        let members = MEMBERS.iter().zip(&self.members).chain([(&"collection", &self.collection)]);
        members.filter_map(|(key, value)| Some(((*key).to_owned(), value.clone()?))).collect()
    }

    fn runnable(&self) -> Value {
        let mut entry = self.members();
        entry.extend(self.platform.clone().map(|platform| ("platform".to_owned(), platform)));
        // An entry without anything is that of no artifact.
        entry.entry("collection").or_insert(Value::Null);
        entry.into()
    }

    fn full(&self, label: &str) -> Value {
        let mut treeherder = self.members();
        if let Some(platform) = &self.platform {
            treeherder.insert("machine".to_owned(), json!({"platform": platform}));
        }
        json!({"label": label, "dependencies": {"build": "build-linux64/opt"}, "attributes": {"symbol": "x"},
            "task": {"extra": {"treeherder": treeherder}, "routes": ["tc-treeherder.v2.try.0123"]}})
    }
}

/// A graph as one artifact or the other.
fn document(graph: &[(String, Shown)], is_full: bool) -> Value {
    let entry = |label: &str, shown: &Shown| if is_full { shown.full(label) } else { shown.runnable() };
    Value::Object(graph.iter().map(|(label, shown)| (label.clone(), entry(label, shown))).collect())
}

/// Writes a value with the members of each object in another order.
fn shuffled(value: &Value, order: &mut impl FnMut(usize) -> usize) -> String {
    match value {
        Value::Object(members) => {
            let mut parts: Vec<String> =
                members.iter().map(|(key, value)| format!("{}: {}", json!(key), shuffled(value, order))).collect();
            for last in (1..parts.len()).rev() {
                parts.swap(last, order(last + 1));
            }
            format!("{{{}}}", parts.join(" ,"))
        }
        other => other.to_string(),
    }
}

/// All that reading comes to: the jobs and the findings, or why the document is refused.
fn outcome(document: &[u8], piece: usize) -> Result<(Vec<String>, GraphFindings), String> {
    let graph = TaskGraph::read(Pieces { document, piece }, u64::MAX, &mut |_| ());
    graph.map(|graph| (lines(&graph), graph.findings().clone())).map_err(|error| error.to_string())
}

/// The findings without the places and the texts of problems.
fn without_places(document: &str) -> (Vec<String>, GraphFindings) {
    let (jobs, mut findings) = outcome(document.as_bytes(), usize::MAX).expect("a document that is accepted");
    findings.problems.clear();
    findings.bytes = 0;
    (jobs, findings)
}

proptest! {
    #[test]
    fn both_artifacts_give_the_same_jobs_but_for_tier_and_build(graph in graphs()) {
        let [runnable, full] = [false, true].map(|is_full| read(document(&graph, is_full).to_string()).unwrap());
        let bare = |graph: &TaskGraph| {
            let jobs = graph.jobs().map(|mut job| {
                (job.tier, job.upstream) = (None, None);
                crate::line(&job)
            });
            jobs.collect::<Vec<String>>()
        };
        prop_assert_eq!(bare(&runnable), bare(&full));
        prop_assert_eq!(runnable.findings().left_out, full.findings().left_out);
        prop_assert!(runnable.jobs().all(|job| job.tier.is_none() && job.upstream.is_none()));
        prop_assert!(full.jobs().all(|job| job.tier == Some(1) && job.upstream == Some("build-linux64/opt")));
    }

    #[test]
    fn a_graph_joined_with_its_full_form_has_everything_that_the_full_form_has(graph in graphs()) {
        let [mut runnable, full] = [false, true].map(|is_full| read(document(&graph, is_full).to_string()).unwrap());
        runnable.join(full.jobs());
        let has_build = full.jobs().any(|job| job.name == "build-linux64/opt");
        let expected: Vec<String> = full.jobs().map(|mut job| {
            job.upstream = job.upstream.filter(|_| has_build);
            crate::line(&job)
        }).collect();
        prop_assert_eq!(lines(&runnable), expected);
    }

    #[test]
    fn the_order_of_keys_does_not_matter(graph in graphs(), is_full in any::<bool>(), seed in any::<u64>()) {
        let document = document(&graph, is_full);
        let mut state = seed;
        let mut order = |sides: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from((state >> 33) % sides as u64).unwrap()
        };
        let other = shuffled(&document, &mut order);
        prop_assert_eq!(without_places(&document.to_string()), without_places(&other));
    }

    #[test]
    fn every_entry_is_listed_or_counted(graph in graphs(), is_full in any::<bool>()) {
        let (jobs, findings) = without_places(&document(&graph, is_full).to_string());
        let counted = findings.without_treeherder + findings.left_out + findings.repeated;
        prop_assert_eq!(jobs.len() as u64 + counted, findings.labels);
        prop_assert_eq!(findings.labels, graph.len() as u64);
    }

    #[test]
    fn reading_does_not_depend_on_how_bytes_are_chunked(
        graph in graphs(),
        is_full in any::<bool>(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        piece in 1_usize..200,
    ) {
        let mut document = document(&graph, is_full).to_string().into_bytes();
        for (place, byte) in changes {
            let place = place.index(document.len());
            document[place] = byte;
        }
        prop_assert_eq!(outcome(&document, piece), outcome(&document, usize::MAX));
    }

    #[test]
    fn a_cut_document_is_refused(graph in graphs(), is_full in any::<bool>(), cut in any::<prop::sample::Index>()) {
        let document = document(&graph, is_full).to_string();
        let cut = cut.index(document.len());
        prop_assert!(outcome(&document.as_bytes()[..cut], usize::MAX).is_err());
    }

    #[test]
    fn arbitrary_bytes_are_refused_with_a_reason(bytes in vec(any::<u8>(), 0..300), piece in 1_usize..50) {
        // Without a closing brace no object ends, and nothing but an object is read.
        let bytes: Vec<u8> = bytes.into_iter().filter(|byte| *byte != b'}').collect();
        for start in ["", "{", r#"{"a": {"symbol": "#, r#"{"a": {"task": {"extra": {"treeherder": {"tier": "#] {
            let document = [start.as_bytes(), &bytes].concat();
            let error = outcome(&document, piece).expect_err("no object ends");
            prop_assert!(!error.is_empty());
        }
    }
}
