//! The time of each step from a dump to packed lists, and of each kind of request for a list: `cargo bench -p catalog`.
//!
//! The dump is a sample of 5,000 builders. Names are recorded ones: the fixture has each kind once,
//! the larger set has several hundred. Labels have the forms of real ones, or are those of a `runnable-jobs.json` that
//! the variable `RUNNABLE_JOBS_JSON` names.

use std::hint::black_box;
use std::io::Write;
use std::sync::Arc;

use catalog::buildbot::classify;
use catalog::list::{ListedJob, ListedPlatform, Listing, Names, Query, Selection};
use catalog::taskcluster::TaskGraph;
use catalog::{buildbot, list, sample, taskcluster};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use flate2::Compression;
use flate2::write::GzEncoder;

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

/// What a push's list costs, from `runnable-jobs.json` to the packed list and its index.
fn graph_to_list(criterion: &mut Criterion) {
    let entry = |number: usize| {
        let (platform, group, chunk) = (number / 3000, number / 100 % 30, number % 100);
        let label = format!("test-linux{platform}-64/opt-mochitest-suite-{group}-{chunk}");
        let shown = serde_json::json!({
            "symbol": format!("s{chunk}"), "groupName": format!("Mochitests {group}"), "groupSymbol": format!("M{group}"),
            "collection": {"opt": true}, "platform": format!("linux{platform}-64"),
        });
        (label, shown)
    };
    let document = serde_json::Value::Object((0..LABELS).map(entry).collect()).to_string();
    let read = || TaskGraph::read(document.as_bytes(), u64::MAX, &mut |_| ()).expect("a good document");
    let graph = read();

    let mut group = criterion.benchmark_group("task_graph");
    group.sample_size(30);
    group.throughput(Throughput::Bytes(document.len() as u64));
    group.bench_function("bare", |bencher| {
        bencher.iter(|| serde_json::from_reader::<_, serde::de::IgnoredAny>(document.as_bytes()).is_ok());
    });
    group.bench_function("read", |bencher| bencher.iter(|| read().len()));
    group.throughput(Throughput::Elements(LABELS as u64));
    group.bench_function("join", |bencher| {
        let mut joined = read();
        bencher.iter(|| joined.join(graph.jobs()));
    });
    group.bench_function("pack", |bencher| {
        bencher.iter(|| {
            let mut body = Vec::new();
            let summary = list::write_body("try", graph.jobs(), &mut body);
            let packed = list::PackedList::new(&body, summary);
            list::write_index("try", &packed.etag, graph.jobs()).len() + packed.gzip.len()
        });
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
    let search = Selection { query: Query::parse("mochitest linux64"), ..Selection::default() };
    group.bench_function("search", |bencher| bencher.iter(|| listing.select(&search).len()));
    let fields = Selection { fields: Some(vec!["ref_data_name", "platform"]), ..Selection::default() };
    group.bench_function("fields", |bencher| bencher.iter(|| listing.select(&fields).len()));
    let name = listing.names().next().expect("a job").to_owned();
    group.bench_function("job", |bencher| bencher.iter(|| listing.job(&name).map(|answer| answer.len())));
    group.bench_function("closest", |bencher| bencher.iter(|| listing.suggest("no such job", 3).len()));
    group.finish();
}

/// The number of labels of a list of Taskcluster's size.
const LABELS: usize = 30_000;

/// What the first search in a process costs, from the bytes as they are read from the store to the packed answer, beside
/// a later one: from the index, and from the packed body as for a list without an index. The same for the first name.
#[expect(clippy::print_stderr, reason = "the sizes are for the terminal")]
fn first_search(criterion: &mut Criterion) {
    let mut document = Vec::new();
    sample::write(ALL_BUILDERS, 1, &mut document).expect("memory can be written");
    let dump = buildbot::read(document.as_slice(), u64::MAX, &mut |_| ()).expect("a good sample");
    let (projects, _) = dump.projects();
    let largest = projects.values().max_by_key(|jobs| jobs.len()).expect("a project").clone();
    let mut many: Vec<_> = projects.values().flatten().copied().take(LABELS).collect();
    many.sort_unstable();
    for (size, jobs) in [("try", largest), ("labels", many)] {
        let mut body = Vec::new();
        buildbot::write_body("try", &jobs, &mut body, |_| ());
        let (gzip, etag) = (list::pack(&body), list::etag(&body));
        let index = buildbot::write_index("try", &etag, &jobs);
        eprintln!("{size}: {} jobs, {} bytes, {} packed, {} index", jobs.len(), body.len(), gzip.len(), index.len());
        let search = Selection { query: Query::parse("mochitest linux64"), ..Selection::default() };
        let answer = |listing: &Listing| packed_answer(&listing.select(&search));
        let of_index = || Listing::from_index(&index, &etag).expect("a good index");
        let of_body = || Listing::read(list::unpack(&gzip).expect("gzip").into()).expect("a good body");
        let (later, later_of_body) = (of_index(), of_body());
        assert_eq!(answer(&later), answer(&later_of_body));
        let name = jobs[jobs.len() / 2].name;

        let mut group = criterion.benchmark_group(format!("first_search/{size}"));
        group.sample_size(30);
        group.bench_function("later", |bencher| bencher.iter(|| answer(&later)));
        group.bench_function("first", |bencher| bencher.iter(|| answer(&of_index())));
        group.bench_function("without_index/later", |bencher| bencher.iter(|| answer(&later_of_body)));
        group.bench_function("without_index/first", |bencher| bencher.iter(|| answer(&of_body())));
        group.bench_function("write_index", |bencher| {
            bencher.iter(|| buildbot::write_index("try", &etag, &jobs).len());
        });
        let names = || Names::from_index(&index, &etag).expect("a good index");
        group.bench_function("names/first", |bencher| bencher.iter(|| names().contains(name)));
        let names = || Names::read(&list::unpack(&gzip).expect("gzip")).expect("a good body");
        group.bench_function("names/without_index/first", |bencher| bencher.iter(|| names().contains(name)));
        group.finish();
    }
}

/// A label: its name, platform, option, group, symbol, and the build that it needs.
struct Label {
    name: String,
    platform: String,
    option: String,
    group: [String; 2],
    symbol: String,
    upstream: Option<String>,
}

impl Label {
    fn listed(&self) -> ListedJob<'_> {
        ListedJob {
            name: &self.name,
            upstream: self.upstream.as_deref(),
            build_system: taskcluster::BUILD_SYSTEM,
            platform: ListedPlatform { name: &self.platform, os: "", architecture: "" },
            option: &self.option,
            job_type_name: &self.name,
            job_type_symbol: self.symbol.as_str().into(),
            job_group_name: &self.group[0],
            job_group_symbol: &self.group[1],
            tier: Some(if self.platform.starts_with("android") { 2 } else { 1 }),
        }
    }
}

/// The labels of `RUNNABLE_JOBS_JSON`, or made up ones, by name.
fn labels() -> Vec<Label> {
    let mut labels = match std::env::var("RUNNABLE_JOBS_JSON") {
        Ok(path) => recorded_labels(&std::fs::read(path).expect("the file of RUNNABLE_JOBS_JSON")),
        Err(_) => made_up_labels(),
    };
    labels.sort_by(|one, other| one.name.cmp(&other.name));
    labels
}

fn recorded_labels(json: &[u8]) -> Vec<Label> {
    let graph: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(json).expect("a JSON object");
    let label = |(name, entry): (&String, &serde_json::Value)| {
        let text = |field: &str| entry[field].as_str().unwrap_or_default().to_owned();
        let options = entry["collection"].as_object().into_iter().flat_map(serde_json::Map::keys);
        let build = name.strip_prefix("test-").and_then(|rest| {
            let (platform, rest) = rest.split_once('/')?;
            Some(format!("build-{platform}/{}", rest.split('-').next()?))
        });
        Label {
            name: name.clone(),
            platform: text("platform"),
            option: options.cloned().collect::<Vec<_>>().join(" "),
            group: [text("groupName"), text("groupSymbol")],
            symbol: text("symbol"),
            upstream: build.filter(|build| graph.contains_key(build)),
        }
    };
    graph.iter().map(label).collect()
}

fn made_up_labels() -> Vec<Label> {
    let suites = [
        ("mochitest-browser-chrome", "Mochitests", "M", "bc"),
        ("mochitest-devtools-chrome", "Mochitests", "M", "dt"),
        ("mochitest-plain", "Mochitests", "M", ""),
        ("reftest", "Reftests", "R", "R"),
        ("web-platform-tests", "Web platform tests", "W", "wpt"),
        ("xpcshell", "", "", "X"),
    ];
    let variants =
        [("", ""), ("-swr", "-swr"), ("-nofis", "-nofis"), ("-a11y-checks", "-a11y"), ("-spi-nw", "-spi-nw")];
    let platforms = ["linux1804-64", "linux2404-64", "macosx1500-aarch64", "windows11-64-24h2", "android-em-14-x86_64"];
    let flavours = ["", "-shippable", "-qr", "-asan", "-tsan", "-lite"];
    let mut labels = Vec::new();
    for (platform, flavour) in platforms.into_iter().flat_map(|platform| flavours.map(|flavour| (platform, flavour))) {
        for option in ["debug", "opt"] {
            let (platform, build) = (format!("{platform}{flavour}"), format!("build-{platform}{flavour}/{option}"));
            for ((suite, group, group_symbol, symbol), (variant, short)) in
                suites.into_iter().flat_map(|suite| variants.map(|variant| (suite, variant)))
            {
                labels.extend((1..=17).map(|chunk| Label {
                    name: format!("test-{platform}/{option}-{suite}{variant}-{chunk}"),
                    platform: platform.clone(),
                    option: option.to_owned(),
                    group: [format!("{group}{variant}"), format!("{group_symbol}{short}")],
                    symbol: format!("{symbol}{chunk}"),
                    upstream: Some(build.clone()),
                }));
            }
            labels.push(Label {
                name: build,
                platform,
                option: option.to_owned(),
                group: Default::default(),
                symbol: "B".to_owned(),
                upstream: None,
            });
        }
    }
    labels.truncate(LABELS);
    labels
}

/// What requests for a list of labels cost: a search, in a process that has the list and from the bytes that the store
/// has, each to the packed answer; and the grid.
#[expect(clippy::print_stderr, reason = "the sizes are for the terminal")]
fn taskcluster_labels(criterion: &mut Criterion) {
    let labels = labels();
    let listed = || labels.iter().map(Label::listed);
    let mut body = Vec::new();
    list::write_body("try", listed(), &mut body);
    let (gzip, etag) = (list::pack(&body), list::etag(&body));
    let index = list::write_index("try", &etag, listed());
    let read = || Listing::from_index(&index, &etag).expect("a good index");
    let later = read();
    let search = |query| Selection { query: Query::parse(query), ..Selection::default() };
    let (narrow, wide) = (search("linux2404 debug bc 3"), search("android wpt"));
    let grammar = search("^test mochitest | wpt !android !shippable debug$");
    let page = Selection { count: Some(100), ..search("test") };
    let grid = later.grid();
    eprintln!(
        "{} labels: {} bytes, {} packed, {} index; grid {} bytes, {} packed, {} packed fast",
        labels.len(),
        body.len(),
        gzip.len(),
        index.len(),
        grid.len(),
        later.packed_grid().gzip.len(),
        packed_answer(&grid),
    );
    for (search, wanted) in [("narrow", &narrow), ("wide", &wide), ("grammar", &grammar), ("page", &page)] {
        eprintln!("{search}: {} bytes", later.select(wanted).len());
    }

    let mut group = criterion.benchmark_group("labels");
    group.sample_size(30);
    for (search, wanted) in [("narrow", &narrow), ("wide", &wide), ("grammar", &grammar), ("page", &page)] {
        group.bench_function(format!("search/{search}"), |bencher| {
            bencher.iter(|| packed_answer(&later.select(wanted)));
        });
        group.bench_function(format!("first_search/{search}"), |bencher| {
            bencher.iter(|| packed_answer(&read().select(wanted)));
        });
    }
    group.bench_function("write_body", |bencher| {
        bencher.iter(|| {
            body.clear();
            list::write_body("try", listed(), &mut body).jobs
        });
    });
    group.bench_function("write_index", |bencher| bencher.iter(|| list::write_index("try", &etag, listed()).len()));
    group.bench_function("merge", |bencher| {
        bencher.iter(|| list::merge(Some(&later), taskcluster::BUILD_SYSTEM, listed()).len());
    });
    group.bench_function("grid/make", |bencher| bencher.iter(|| later.grid().len()));
    group.bench_function("grid/first", |bencher| bencher.iter(|| read().packed_grid().gzip.len()));
    group.bench_function("grid/later", |bencher| bencher.iter(|| later.packed_grid().gzip.len()));
    group.bench_function("grid/wide", |bencher| bencher.iter(|| packed_answer(&later.grid_of(&wide))));
    group.finish();
}

/// An answer as it is sent: with the fastest compression.
fn packed_answer(answer: &[u8]) -> usize {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(answer).expect("memory can be written");
    encoder.finish().expect("memory can be written").len()
}

criterion_group!(benches, classifying, dump_to_lists, graph_to_list, selecting, first_search, taskcluster_labels);
criterion_main!(benches);
