//! How long it takes to find the nearest of 30,000 names: `cargo bench -p catalog --bench suggest`.
//!
//! The names are of all projects of a sample. No project has as many; the largest of the real dump had 3,000.

use std::hint::black_box;

use catalog::suggest::{Index, SearchBudget};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use test_support::typing::{Typist, names};

const NAMES: usize = 30_000;
const ASKED: usize = 1000;

fn finding(criterion: &mut Criterion) {
    let known = names(NAMES);
    let index = Index::new(known.iter().map(String::as_str));
    let mut typist = Typist(14);
    let mut with_errors = |errors| -> Vec<String> {
        let mut asked = || {
            let name = &known[typist.roll(NAMES)];
            typist.type_name(name, errors)
        };
        (0..ASKED).map(|_| asked()).collect()
    };
    let mut sets = [1, 2, 4, 8].map(|errors| (format!("{errors} errors"), with_errors(errors))).to_vec();
    let of_try = known.iter().filter(|name| name.contains(" try ")).take(ASKED);
    let elsewhere = of_try.map(|name| name.replace(" try ", " some-other-project ")).collect();
    sets.push(("another project".to_owned(), elsewhere));
    sets.push(("1000 letters".to_owned(), (0..ASKED).map(|number| format!("a{number:0999}")).collect()));

    let mut group = criterion.benchmark_group("closest");
    group.sample_size(20);
    group.throughput(Throughput::Elements(NAMES as u64));
    group.bench_function("index", |bencher| bencher.iter(|| Index::new(known.iter().map(String::as_str))));
    for (what, asked) in sets {
        group.throughput(Throughput::Elements(1));
        group.bench_with_input(BenchmarkId::new("one name", &what), &asked, |bencher, asked| {
            let mut asked = asked.iter().cycle();
            bencher.iter(|| {
                let name = asked.next().expect("it goes round");
                index.suggest(black_box(name), 3, &mut SearchBudget::default())
            });
        });
        group.throughput(Throughput::Elements(ASKED as u64));
        group.bench_with_input(BenchmarkId::new("1000 names", &what), &asked, |bencher, asked| {
            bencher.iter(|| {
                let mut budget = SearchBudget::default();
                asked.iter().filter(|name| !index.suggest(black_box(name), 1, &mut budget).is_empty()).count()
            });
        });
    }
    group.finish();
}

criterion_group!(benches, finding);
criterion_main!(benches);
