//! How long it takes to prepare an action: `cargo bench -p taskcluster`.
//!
//! The files are excerpts of Firefox's; the labels are as long as Firefox's are.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use serde_json::{Value, json};
use taskcluster::actions::prepare;
use taskcluster::{MAX_LABELS, fits, schema};

const DECISION_TASK: &str = "Ab-_9fIzT8aXVvV2yWqhGQ";
const MARKER: &str = "01KAS4B0MRJ6WJ0RGDX8T0E4JQ.1";
const TODAY: &str = include_str!("../data/actions.json");
const WITH_VARIABLES: &str = include_str!("../data/actions-variables.json");

fn preparing(criterion: &mut Criterion) {
    let labels: Vec<String> =
        (0..MAX_LABELS).map(|n| format!("test-linux2404-64/debug-mochitest-browser-chrome-{n}")).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    assert_eq!(fits(&labels), MAX_LABELS);
    let mut group = criterion.benchmark_group("1,000 labels");
    group.bench_function("file, schema and JSON-e", |bencher| {
        bencher
            .iter(|| prepare(TODAY.as_bytes(), DECISION_TASK, black_box(&labels), MARKER, 3).expect("a good action"));
    });
    group.bench_function("the same with variables", |bencher| {
        bencher.iter(|| {
            prepare(WITH_VARIABLES.as_bytes(), DECISION_TASK, black_box(&labels), MARKER, 1).expect("a good action")
        });
    });
    let file: Value = serde_json::from_str(TODAY).expect("good JSON");
    let actions = file["actions"].as_array().expect("a list");
    let action = actions.iter().find(|action| action["name"] == "add-new-jobs").expect("the action");
    let input = json!({"request": MARKER, "tasks": labels});
    group.bench_function("schema alone", |bencher| {
        bencher.iter(|| schema::check(&action["schema"], black_box(&input)).expect("a good input"));
    });
    group.bench_function("how many labels fit", |bencher| bencher.iter(|| fits(black_box(&labels))));
    group.finish();
}

criterion_group!(benches, preparing);
criterion_main!(benches);
