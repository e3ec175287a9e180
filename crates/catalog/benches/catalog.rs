//! The time of each step from a dump to packed lists, and of each kind of request for a list: `cargo bench -p catalog`.
//!
//! The dump is a sample of 5,000 builders. Names are recorded ones: the fixture has each kind once,
//! the larger set has several hundred.

use std::hint::black_box;
use std::sync::Arc;

use catalog::buildbot::classify;
use catalog::list::{Listing, Selection};
use catalog::{buildbot, list, sample};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const BUILDERS: usize = 5000;
const ALL_BUILDERS: usize = 65_888;

/// The sets of names, each with its description.
fn names() -> [(&'static str, Vec<String>); 2] {
    let fixture = include_str!("../tests/fixtures/names.tsv");
    let fixture = fixture.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split('\t').next());
    let recorded = include_str!("../tests/fixtures/recorded/buildernames.jsonl");
    let name = |row| {
        let row: serde_json::Value = serde_json::from_str(row).expect("a JSON line");
        row["ref_data_name"].as_str().expect("a name").to_owned()
    };
    [("fixture", fixture.map(ToOwned::to_owned).collect()), ("recorded", recorded.lines().map(name).collect())]
}

fn classifying(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("classify");
    for (set, names) in names() {
        group.throughput(Throughput::Elements(names.len() as u64));
        group.bench_with_input(BenchmarkId::from_parameter(set), &names, |bencher, names| {
            bencher.iter(|| {
                for name in names {
                    let classification = classify(black_box(name));
                    black_box((classification.platform(), classification.job_type_symbol()));
                }
            });
        });
    }
    group.finish();
}

fn dump_to_lists(criterion: &mut Criterion) {
    let mut document = Vec::new();
    sample::write(BUILDERS, 1, &mut document).expect("memory can be written");
    let read = || buildbot::read(document.as_slice(), u64::MAX, &mut |_| ()).expect("a good sample");
    let dump = read();
    let (projects, _) = dump.projects();
    let bodies: Vec<Vec<u8>> = projects
        .iter()
        .map(|(project, jobs)| {
            let mut body = Vec::new();
            buildbot::write_body(project, jobs, &mut body, |_| ());
            body
        })
        .collect();

    let mut group = criterion.benchmark_group("dump");
    group.throughput(Throughput::Bytes(document.len() as u64));
    group.bench_function("read", |bencher| bencher.iter(read));
    group.throughput(Throughput::Elements(BUILDERS as u64));
    group.bench_function("projects", |bencher| bencher.iter(|| dump.projects().0.len()));
    group.throughput(Throughput::Bytes(bodies.iter().map(|body| body.len() as u64).sum()));
    group.bench_function("write_body", |bencher| {
        let mut body = Vec::new();
        bencher.iter(|| {
            for (project, jobs) in &projects {
                body.clear();
                buildbot::write_body(project, jobs, &mut body, |_| ());
                black_box(&body);
            }
        });
    });
    group.bench_function("pack", |bencher| {
        bencher.iter(|| bodies.iter().map(|body| list::pack(body).len()).sum::<usize>());
    });
    group.finish();
}

/// What a request with parameters costs, on the largest list of a dump of the real one's size.
fn selecting(criterion: &mut Criterion) {
    let mut document = Vec::new();
    sample::write(ALL_BUILDERS, 1, &mut document).expect("memory can be written");
    let dump = buildbot::read(document.as_slice(), u64::MAX, &mut |_| ()).expect("a good sample");
    let (projects, _) = dump.projects();
    let (project, jobs) = projects.iter().max_by_key(|(_, jobs)| jobs.len()).expect("a project");
    let mut body = Vec::new();
    buildbot::write_body(project, jobs, &mut body, |_| ());
    let body: Arc<[u8]> = body.into();
    let listing = Listing::read(body.clone()).expect("a good body");

    let mut group = criterion.benchmark_group("listing");
    group.throughput(Throughput::Elements(jobs.len() as u64));
    group.bench_function("read", |bencher| bencher.iter(|| Listing::read(body.clone()).expect("a good body").len()));
    let words = ["mochitest", "linux64"].map(str::to_owned).to_vec();
    let search = Selection { words, ..Selection::default() };
    group.bench_function("search", |bencher| bencher.iter(|| listing.select(&search).len()));
    let fields = Selection { fields: Some(vec!["ref_data_name", "platform"]), ..Selection::default() };
    group.bench_function("fields", |bencher| bencher.iter(|| listing.select(&fields).len()));
    let name = listing.names().next().expect("a job").to_owned();
    group.bench_function("job", |bencher| bencher.iter(|| listing.job(&name).map(|answer| answer.len())));
    group.bench_function("closest", |bencher| bencher.iter(|| listing.suggest("no such job", 3).len()));
    group.finish();
}

criterion_group!(benches, classifying, dump_to_lists, selecting);
criterion_main!(benches);
