//! Turns the tables in `data/` into static Rust tables, and fingerprints this crate, so that a catalog that was made by
//! other rules is recognised.

#![expect(clippy::unwrap_used, reason = "a String takes whatever is written to it")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// The rows of a table: lines that are neither blank nor comments, cut into trimmed columns.
fn rows(file: &str, columns: usize) -> Vec<Vec<String>> {
    let path = format!("data/{file}.table");
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let mut rows = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        let row: Vec<String> = line.split('|').map(|column| column.trim().to_owned()).collect();
        assert_eq!(row.len(), columns, "{path}:{}: {} columns where {columns} are expected", number + 1, row.len());
        rows.push(row);
    }
    rows
}

/// A job type's name, its symbol, and the place of its group.
type JobTypeKey = (String, String, Option<usize>);

/// The job types of all tables, each once, and the groups they name.
struct JobTypes {
    groups: Vec<(String, String)>,
    types: BTreeSet<JobTypeKey>,
}

impl JobTypes {
    fn add(&mut self, name: &str, symbol: &str, group: &str) -> JobTypeKey {
        let group = (!group.is_empty()).then(|| {
            self.groups
                .iter()
                .position(|(known, _)| known == group)
                .unwrap_or_else(|| panic!("job type {name}: groups.table has no group {group:?}"))
        });
        let key = (name.to_owned(), symbol.to_owned(), group);
        if let Some(other) = self.types.iter().find(|(known, ..)| known == name) {
            assert_eq!(other, &key, "job type {name} is written in two ways");
        }
        self.types.insert(key.clone());
        key
    }

    fn index(&self, key: &JobTypeKey) -> usize {
        self.types.iter().position(|known| known == key).expect("added before")
    }
}

/// Writes a `Lexicon`: entries sorted by phrase, each with the place of the longest other phrase that it starts with,
/// and where the phrases of each first byte start.
fn lexicon(out: &mut String, name: &str, value_type: &str, mut entries: Vec<(String, String)>) {
    entries.sort();
    writeln!(out, "pub(crate) static {name}: Lexicon<{value_type}> = Lexicon {{ entries: &[").unwrap();
    for (i, (phrase, value)) in entries.iter().enumerate() {
        let shorter = entries[..i].iter().rposition(|(p, _)| phrase.starts_with(p.as_str()));
        writeln!(out, "    Entry {{ phrase: {phrase:?}, shorter: {shorter:?}, value: {value} }},").unwrap();
    }
    let first = |entry: &(String, String)| entry.0.bytes().next().map_or(0, usize::from);
    let starts: Vec<usize> = (0..=256).map(|byte| entries.partition_point(|entry| first(entry) < byte)).collect();
    writeln!(out, "], starts: {starts:?} }};").unwrap();
}

fn vocabulary() -> String {
    let mut out = String::new();
    let mut groups: Vec<(String, String)> =
        rows("groups", 2).into_iter().map(|r| (r[0].clone(), r[1].clone())).collect();
    let devices = rows("devices", 4);
    let unknown = vec![String::new(), "Unknown B2G".to_owned(), "Unknown".to_owned(), "eng".to_owned()];
    for device in devices.iter().chain([&unknown]) {
        groups.push((device_group(device), device[2].clone()));
    }
    let mut types = JobTypes { groups, types: BTreeSet::new() };

    let suites: Vec<_> =
        rows("suites", 5).into_iter().map(|r| (r[0].clone(), types.add(&r[1], &r[2], &r[3]), r[4] == "last")).collect();
    let rows_of_builds = rows("builds", 4);
    let images_at = rows_of_builds.iter().position(|r| r[0] == "(device images)");
    let images_at = images_at.expect("builds.table has a line (device images)");
    let builds: Vec<_> = rows_of_builds
        .into_iter()
        .filter(|r| r[0] != "(device images)")
        .map(|r| (r[0].trim_matches('"').to_owned(), types.add(&r[1], &r[2], &r[3])))
        .collect();
    let talos: Vec<_> = rows("talos", 5).into_iter().map(|r| talos_entry(&r, &mut types)).collect();
    let images: Vec<_> = devices
        .iter()
        .chain([&unknown])
        .map(|device| {
            let group = device_group(device);
            let image = |kind: &str, symbol: &str, types: &mut JobTypes| {
                types.add(&format!("{} Device Image {kind}", device[1]), symbol, &group)
            };
            let eng = (device[3] == "eng").then(|| {
                [image("Build (Engineering)", "Be", &mut types), image("Nightly (Engineering)", "Ne", &mut types)]
            });
            (device[0].clone(), [image("Build", "B", &mut types), image("Nightly", "N", &mut types)], eng)
        })
        .collect();
    let emulator = [
        types.add("B2G Emulator Image Build", "B", ""),
        types.add("B2G Emulator Image Nightly", "N", ""),
        types.add("B2G Emulator Image Non-Unified Build", "Bn", ""),
    ];

    writeln!(out, "pub(crate) static GROUPS: &[Group] = &[").unwrap();
    for (name, symbol) in &types.groups {
        writeln!(out, "    Group {{ name: {name:?}, symbol: {symbol:?} }},").unwrap();
    }
    writeln!(out, "];\npub(crate) static JOB_TYPES: &[JobType] = &[").unwrap();
    for (name, symbol, group) in &types.types {
        let group = group.map_or("None".to_owned(), |g| format!("Some(&GROUPS[{g}])"));
        writeln!(out, "    JobType {{ name: {name:?}, symbol: {symbol:?}, group: {group} }},").unwrap();
    }
    writeln!(out, "];").unwrap();

    let job = |key: &(String, String, Option<usize>)| format!("&JOB_TYPES[{}]", types.index(key));
    let entries = suites
        .iter()
        .map(|(word, key, last)| (word.clone(), format!("Suite {{ job_type: {}, last: {last} }}", job(key))));
    lexicon(&mut out, "SUITES", "Suite", entries.collect());
    let entries = talos.iter().map(|(word, open, forms)| {
        let forms: Vec<String> = forms
            .iter()
            .map(|key| key.as_ref().map_or("None".to_owned(), |key| format!("Some({})", job(key))))
            .collect();
        (word.clone(), format!("Talos {{ open: {open}, forms: [{}] }}", forms.join(", ")))
    });
    lexicon(&mut out, "TALOS", "Talos", entries.collect());
    let entries = images.iter().map(|(word, image, eng)| {
        let eng = eng.as_ref().map_or("None".to_owned(), |[b, n]| format!("Some([{}, {}])", job(b), job(n)));
        (word.clone(), format!("Device {{ images: [{}, {}], engineering: {eng} }}", job(&image[0]), job(&image[1])))
    });
    lexicon(&mut out, "DEVICES", "Device", entries.collect());
    writeln!(out, "pub(crate) static EMULATOR_IMAGES: [&JobType; 3] = [{}];", emulator.each_ref().map(job).join(", "))
        .unwrap();
    for (table, lines) in [("BEFORE_IMAGES", &builds[..images_at]), ("BUILDS", &builds[images_at..])] {
        writeln!(out, "pub(crate) static {table}: &[(&[&str], &JobType)] = &[").unwrap();
        for (phrases, key) in lines {
            let phrases: Vec<&str> = phrases.split(',').collect();
            writeln!(out, "    (&{phrases:?}, {}),", job(key)).unwrap();
        }
        writeln!(out, "];").unwrap();
    }
    platforms(&mut out);
    let machines: Vec<String> =
        rows("sample", 4).iter().map(|r| format!("{:?}", [&r[0], &r[1], &r[2], &r[3]])).collect();
    writeln!(out, "pub(crate) static SAMPLE_MACHINES: &[[&str; 4]] = &[{}];", machines.join(", ")).unwrap();
    out
}

fn device_group(device: &[String]) -> String {
    // The group of Hamachi's images carries both names of that device; that of unknown devices is not "Unknown B2G".
    match device[1].as_str() {
        "Hamachi" => "Buri/Hamachi Device Image".to_owned(),
        "Unknown B2G" => "Unknown Device Image".to_owned(),
        name => format!("{name} Device Image"),
    }
}

/// A talos word, whether anything may follow it, and its job type in each of the forms of `TALOS_FORMS`.
fn talos_entry(row: &[String], types: &mut JobTypes) -> (String, bool, Vec<Option<JobTypeKey>>) {
    let (word, suite, symbol, group) = (&row[0], &row[1], &row[2], &row[3]);
    let forms: Vec<&str> = row[4].split(' ').collect();
    let named = [
        ("plain", format!("Talos {suite}"), group.clone()),
        ("metro", format!("Talos {suite} Metro"), group.clone()),
        ("e10s", format!("Talos {suite} e10s"), "Talos Performance e10s".to_owned()),
        ("stylo", format!("Talos Stylo {suite} e10s"), "Talos Stylo Performance e10s".to_owned()),
        (
            "stylo-disabled",
            format!("Talos Stylo disabled {suite} e10s"),
            "Talos Stylo disabled Performance e10s".into(),
        ),
        (
            "stylo-threads",
            format!("Talos Stylo sequential {suite} e10s"),
            "Talos Stylo sequential Performance e10s".into(),
        ),
        ("profiling", format!("Talos Profiling {suite} e10s"), "Talos Profiling Performance e10s".to_owned()),
    ];
    for form in &forms {
        assert!(*form == "open" || named.iter().any(|(name, ..)| name == form), "talos.table: {word}: form {form:?}");
    }
    let symbol_of = |form: &str| if form == "metro" { format!("{symbol}-m") } else { symbol.clone() };
    let forms_of = named
        .iter()
        .map(|(form, name, group)| forms.contains(form).then(|| types.add(name, &symbol_of(form), group)))
        .collect();
    (word.clone(), forms.contains(&"open"), forms_of)
}

fn platforms(out: &mut String) {
    let platforms = rows("platforms", 5);
    writeln!(out, "pub(crate) static PLATFORMS: &[Platform] = &[").unwrap();
    let mut shown: Vec<&[String]> = platforms.iter().map(|r| &r[2..]).collect();
    shown.sort();
    shown.dedup();
    for row in &shown {
        writeln!(out, "    Platform {{ name: {:?}, os: {:?}, architecture: {:?} }},", row[0], row[1], row[2]).unwrap();
    }
    writeln!(out, "];").unwrap();
    let shown_at = |row: &Vec<String>| shown.iter().position(|s| *s == &row[2..]).expect("from the same rows");

    let mut machines: Vec<&str> = Vec::new();
    let mut options: Vec<&str> = Vec::new();
    let mut entries = Vec::new();
    let lexicon_rows = rows("lexicon", 3);
    let rank = |list: &mut Vec<_>, value| {
        list.push(value);
        list.len() - 1
    };
    for row in &lexicon_rows {
        let value = match row[0].as_str() {
            // Which phrase it was is the rank; which machine that is comes from MACHINES.
            "machine" => format!("Lexeme::Machine({})", rank(&mut machines, row[2].as_str())),
            "variant" => format!("Lexeme::Variant(Variant::{})", variant(&row[2])),
            "option" => format!("Lexeme::Option({})", rank(&mut options, row[2].as_str())),
            kind => panic!("lexicon.table: kind {kind:?}"),
        };
        entries.push((row[1].clone(), value));
    }
    lexicon(out, "LEXICON", "Lexeme", entries);
    writeln!(out, "pub(crate) static OPTIONS: &[&str] = &{options:?};").unwrap();

    let mut names: Vec<&str> = platforms.iter().map(|r| r[0].as_str()).chain(["linux"]).collect();
    names.sort_unstable();
    names.dedup();
    let machine_at = |name: &str| {
        names.iter().position(|m| *m == name).unwrap_or_else(|| panic!("platforms.table has no machine {name:?}"))
    };
    let ranked: Vec<usize> = machines.iter().map(|m| machine_at(m)).collect();
    writeln!(out, "pub(crate) static MACHINES: &[usize] = &{ranked:?};").unwrap();
    for (constant, name) in [
        ("LINUX", "linux"),
        ("LINUX32", "linux32"),
        ("LINUX64", "linux64"),
        ("DEVICE_IMAGE", "b2g-device-image"),
        ("OTHER", "other"),
    ] {
        writeln!(out, "pub(crate) const {constant}: usize = {};", machine_at(name)).unwrap();
    }
    // One row a machine, one column a variant: the platform shown, if any.
    writeln!(out, "pub(crate) static PLATFORM_TABLE: &[[Option<&Platform>; {}]] = &[", VARIANTS.len()).unwrap();
    for machine in &names {
        let cells: Vec<String> = VARIANTS
            .iter()
            .map(|(word, _)| {
                platforms
                    .iter()
                    .find(|r| r[0] == *machine && r[1] == *word)
                    .map_or("None".to_owned(), |r| format!("Some(&PLATFORMS[{}])", shown_at(r)))
            })
            .collect();
        writeln!(out, "    [{}],", cells.join(", ")).unwrap();
    }
    writeln!(out, "];").unwrap();
}

/// The variants of platforms.table, in the order of `Variant` in `vocabulary.rs`.
const VARIANTS: [(&str, &str); 10] = [
    ("", "None"),
    ("b2g", "B2g"),
    ("graphene", "Graphene"),
    ("horizon", "Horizon"),
    ("mulet", "Mulet"),
    ("qr", "Qr"),
    ("stylo", "Stylo"),
    ("stylo-sequential", "StyloSequential"),
    ("stylo-disabled", "StyloDisabled"),
    ("devedition", "DevEdition"),
];

fn variant(word: &str) -> &'static str {
    VARIANTS.iter().find(|(w, _)| *w == word).unwrap_or_else(|| panic!("lexicon.table: variant {word:?}")).1
}

/// The titles of platforms: a table of each platform and its title, in the order of the platforms.
fn platform_titles() -> String {
    let path = "data/platform-titles.table";
    let text = fs::read_to_string(path).unwrap_or_else(|e| panic!("{path}: {e}"));
    let (mut variants, mut titles) = (BTreeMap::new(), BTreeMap::new());
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut columns = line.split('|').map(str::trim);
        let [title, platforms, named] = [(); 3].map(|()| columns.next().unwrap_or_default());
        if let Some(words) = title.strip_prefix("= ") {
            variants.insert(platforms, words);
            continue;
        }
        let mut add = |platform: String, title: String| {
            assert!(!titles.contains_key(&platform), "{path}: {platform} is there twice");
            titles.insert(platform, title);
        };
        for platform in platforms.split(' ') {
            add(platform.to_owned(), title.to_owned());
            for variant in named.split(' ').filter(|variant| !variant.is_empty()) {
                let words = variants.get(variant).unwrap_or_else(|| panic!("{path}: {variant} is not a variant"));
                add(format!("{platform}-{variant}"), format!("{title} {words}"));
            }
        }
    }
    let rows: Vec<(String, String)> = titles.into_iter().collect();
    format!("static TITLES: &[(&str, &str)] = &{rows:?};\n")
}

/// Modules and tables that only read lists or schedules: they do not change how lists are made. A missing entry does no
/// harm: when that file changes, the sources are read once more.
const NOT_IN_FINGERPRINT: [&str; 12] = [
    "suggest.rs",
    "schedule.rs",
    "list/listing.rs",
    "list/listing/search.rs",
    "list/listing/search/tests.rs",
    "list/names.rs",
    "list/query.rs",
    "list/query/tests.rs",
    "list/titles.rs",
    "data/platform-titles.table",
    "json/tests.rs",
    "buildbot/builder_name/tests.rs",
];

/// The files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let paths = entries.map(|entry| entry.expect("a readable folder").path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// FNV-1a over the sources and tables of this crate that make the lists, in the order of their names.
fn fingerprint() -> u64 {
    let mut files: Vec<_> = ["src", "data"].iter().flat_map(|folder| files(Path::new(folder))).collect();
    files.retain(|path| !NOT_IN_FINGERPRINT.iter().any(|name| path.ends_with(name)));
    files.sort();
    let bytes = files.iter().flat_map(|path| fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display())));
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn main() {
    println!("cargo::rerun-if-changed=data");
    println!("cargo::rerun-if-changed=src");
    println!("cargo::rustc-env=CATALOG_RULES={:016x}", fingerprint());
    let out = env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    for (file, text) in [("vocabulary.rs", vocabulary()), ("platform_titles.rs", platform_titles())] {
        let path = Path::new(&out).join(file);
        fs::write(&path, text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    }
}
