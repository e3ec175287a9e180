//! How long it takes to look names up: `cargo bench -p trigger`.
//!
//! The catalog has 3,000 jobs, of the two largest projects of a sample: more than any project has.

use std::hint::black_box;

use catalog::list::Names;
use catalog::suggest::SearchBudget;
use catalog::{buildbot, sample};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use requests::resolve::{Renames, resolve_names};

const BUILDERS: usize = 65_888;
const JOBS: usize = 3000;
const LARGEST_REQUEST: usize = 328;
const MAX_JOBS: usize = 1000;

/// The body of the largest list, and the names of as many jobs as are wanted.
fn largest() -> (Vec<u8>, Vec<String>) {
    let mut document = Vec::new();
    sample::write(BUILDERS, 1, &mut document).expect("memory can be written");
    let dump = buildbot::read(document.as_slice(), u64::MAX, &mut |_| ()).expect("a good sample");
    let (projects, _) = dump.projects();
    let mut lists: Vec<_> = projects.iter().collect();
    lists.sort_by_key(|(_, list)| std::cmp::Reverse(list.len()));
    let (project, list) = lists[0];
    let mut body = Vec::new();
    buildbot::write_body(project, list, &mut body, |_| ());
    let names = lists.iter().flat_map(|(_, list)| list.iter()).map(|job| job.name.to_owned());
    (body, names.take(JOBS).collect())
}

fn looking_up(criterion: &mut Criterion) {
    let (body, known) = largest();
    assert_eq!(known.len(), JOBS);
    let names = Names::new(known.iter().map(|name| (name.as_str(), None)));
    let renames = Renames::default();
    let spread = |count| known.iter().step_by(known.len() / count).take(count).cloned().collect::<Vec<String>>();
    let unknown: Vec<String> = spread(MAX_JOBS).iter().map(|name| format!("{name}x")).collect();

    let mut group = criterion.benchmark_group("names");
    group.throughput(Throughput::Elements(known.len() as u64));
    group.bench_function("each known name", |bencher| {
        bencher.iter(|| known.iter().filter(|name| names.contains(black_box(name))).count());
    });
    group.throughput(Throughput::Elements(1));
    group.bench_function("the closest to one that is not known", |bencher| {
        let mut asked = unknown.iter().cycle();
        bencher.iter(|| names.suggest(black_box(asked.next().expect("it goes round")), &mut SearchBudget::default()));
    });
    group.throughput(Throughput::Bytes(body.len() as u64));
    group.bench_function("reading them from a list", |bencher| {
        bencher.iter_batched(|| &body, |body| Names::read(black_box(body)), BatchSize::LargeInput);
    });
    group.finish();

    let mut group = criterion.benchmark_group("judge");
    for (what, asked) in [("328 known names", spread(LARGEST_REQUEST)), ("1,000 unknown names", unknown.clone())] {
        group.throughput(Throughput::Elements(asked.len() as u64));
        group.bench_function(what, |bencher| bencher.iter(|| resolve_names(black_box(&asked), &names, &renames)));
    }
    group.finish();
}

criterion_group!(benches, looking_up);
criterion_main!(benches);
