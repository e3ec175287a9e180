//! Makes an allthethings.json of any size out of the vocabulary: for demonstrations, tests and benchmarks.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};

use crate::vocabulary::{SAMPLE_MACHINES, SUITES, TALOS, TALOS_FORMS};

/// The branches that a sample spreads over; a large one gets further twigs.
const BRANCHES: [&str; 24] = [
    "try",
    "mozilla-inbound",
    "mozilla-central",
    "autoland",
    "fx-team",
    "b2g-inbound",
    "mozilla-aurora",
    "mozilla-beta",
    "mozilla-release",
    "mozilla-esr45",
    "mozilla-esr52",
    "graphics",
    "larch",
    "cedar",
    "ash",
    "holly",
    "elm",
    "oak",
    "pine",
    "alder",
    "birch",
    "cypress",
    "date",
    "jamun",
];

/// Suites that the sample's machines do not run.
const ELSEWHERE: [&str; 5] = ["androidx86", "gaia-", "instrumentation", "mozmill", "webapprt"];

#[derive(Serialize)]
struct Document {
    builders: BTreeMap<String, Builder>,
    master_builders: BTreeMap<String, Vec<String>>,
    schedulers: BTreeMap<String, Scheduler>,
    slavepools: BTreeMap<String, Vec<String>>,
}

#[derive(Serialize)]
struct Builder {
    properties: Properties,
    shortname: String,
    slavebuilddir: String,
    slavepool: String,
}

#[derive(Serialize)]
struct Properties {
    branch: String,
    platform: String,
    product: &'static str,
    repo_path: String,
    slavebuilddir: String,
}

#[derive(Default, Serialize)]
struct Scheduler {
    downstream: BTreeSet<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    triggered_by: Vec<String>,
}

/// `SplitMix64`: the same numbers for the same seed, today and in ten years.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % sides as u64).unwrap_or_default()
    }
}

/// A test and the build it needs, `{b}` standing for the branch.
struct Template {
    test: String,
    build: &'static str,
    trigger_end: &'static str,
}

/// Writes a sample with exactly `builders` builders. The same arguments give the same bytes.
///
/// # Errors
/// What `out` says.
pub fn write(builders: usize, seed: u64, out: impl io::Write) -> io::Result<()> {
    let mut dice = Dice(seed);
    let templates = templates(&mut dice);
    // Half of what could be is there, as in the real dumps, where no branch but try runs everything.
    let branch_count = (2 * builders).div_ceil(templates.len()).max(BRANCHES.len());
    let branches: Vec<String> = (0..branch_count)
        .map(|n| BRANCHES.get(n).map_or_else(|| format!("twig-{}", n - BRANCHES.len() + 1), |&name| name.to_owned()))
        .collect();
    let mut chosen: Vec<(usize, usize)> =
        (0..branch_count).flat_map(|branch| (0..templates.len()).map(move |template| (branch, template))).collect();
    for last in (1..chosen.len()).rev() {
        chosen.swap(last, dice.roll(last + 1));
    }
    let mut document = Document {
        builders: BTreeMap::new(),
        master_builders: BTreeMap::new(),
        schedulers: BTreeMap::new(),
        slavepools: BTreeMap::new(),
    };
    for (branch, template) in chosen {
        if document.builders.len() >= builders {
            break;
        }
        add(&mut document, &branches[branch], &templates[template], builders);
    }
    for (number, name) in document.builders.keys().enumerate() {
        let master = format!("bm{:02}-tests1:/builds/buildbot/master", number % 40);
        document.master_builders.entry(master).or_default().push(name.clone());
    }
    for builder in document.builders.values() {
        let machines = || (1..=20).map(|n| format!("t-{}-{n:03}", builder.slavepool)).collect();
        document.slavepools.entry(builder.slavepool.clone()).or_insert_with(machines);
    }
    let mut out = io::BufWriter::new(out);
    document.serialize(&mut Serializer::with_formatter(&mut out, PrettyFormatter::with_indent(b"    ")))?;
    io::Write::write_all(&mut out, b"\n")?;
    io::Write::flush(&mut out)
}

fn templates(dice: &mut Dice) -> Vec<Template> {
    let mut templates = Vec::new();
    for &(machine, option, build) in SAMPLE_MACHINES {
        let trigger_end = match option {
            "debug" => "-debug-unittest",
            "pgo" => "-pgo-unittest",
            _ => "-opt-unittest",
        };
        for suite in
            SUITES.entries.iter().map(|entry| entry.phrase).filter(|s| !ELSEWHERE.iter().any(|e| s.starts_with(e)))
        {
            let chunks = [1, 1, 3, 5, 10][dice.roll(5)];
            for chunk in 1..=chunks {
                let chunk = if chunks == 1 { String::new() } else { format!("-{chunk}") };
                let test = format!("{machine} {{b}} {option} test {suite}{chunk}");
                templates.push(Template { test, build, trigger_end });
            }
        }
        let pgo = match option {
            "opt" => "",
            "pgo" => "pgo ",
            _ => continue,
        };
        for suite in TALOS.entries.iter().filter(|entry| !entry.phrase.starts_with('t')) {
            let forms = TALOS_FORMS.iter().zip(&suite.value.forms).filter_map(|(form, known)| known.and(Some(form)));
            for form in forms {
                let test = format!("{machine} {{b}} {pgo}talos {}{form}", suite.phrase);
                templates.push(Template { test, build, trigger_end: "-talos" });
            }
        }
    }
    templates
}

/// Adds a test and its build, as far as there is room for them.
fn add(document: &mut Document, branch: &str, template: &Template, room: usize) {
    let build = template.build.replace("{b}", branch);
    let shortname = slug(&build);
    if !document.builders.contains_key(&build) {
        document.builders.insert(build.clone(), builder(branch, &build, &shortname));
        let scheduler = document.schedulers.entry(branch.to_owned()).or_default();
        scheduler.downstream.insert(build);
    }
    if document.builders.len() < room {
        let test = template.test.replace("{b}", branch);
        document.builders.insert(test.clone(), builder(branch, &test, "test"));
        let trigger = format!("{shortname}{}", template.trigger_end);
        let scheduler = document.schedulers.entry(format!("tests-{branch}-{trigger}")).or_default();
        scheduler.downstream.insert(test);
        scheduler.triggered_by = vec![trigger];
    }
}

fn builder(branch: &str, name: &str, slavebuilddir: &str) -> Builder {
    let platform = crate::builder_name::classify(name).platform().to_owned();
    let repo_path = if branch == "try" { branch.to_owned() } else { format!("integration/{branch}") };
    Builder {
        properties: Properties {
            branch: branch.to_owned(),
            platform: platform.clone(),
            product: if name.starts_with("Android") { "mobile" } else { "firefox" },
            repo_path,
            slavebuilddir: slavebuilddir.to_owned(),
        },
        shortname: slug(name),
        slavebuilddir: slavebuilddir.to_owned(),
        slavepool: platform,
    }
}

/// Letters and digits of a name, in lower case and joined by hyphens.
fn slug(name: &str) -> String {
    let words = name.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allthethings;

    fn sample(builders: usize, seed: u64) -> Vec<u8> {
        let mut document = Vec::new();
        write(builders, seed, &mut document).unwrap();
        document
    }

    #[test]
    fn a_sample_has_the_builders_that_were_asked_for_and_all_are_good() {
        for builders in [1, 2, 1000, 5000] {
            let document = sample(builders, 7);
            let dump = allthethings::read(document.as_slice(), u64::MAX, &mut |_| ()).unwrap();
            let (projects, findings) = dump.projects();
            assert_eq!(findings.builders, builders as u64);
            assert_eq!(findings.problems, []);
            let jobs = || projects.values().flatten();
            let unknown: Vec<_> = jobs().filter(|job| !crate::builder_name::classify(job.name).is_known()).collect();
            assert_eq!(unknown, Vec::<&crate::jobs::Job<'_>>::new());
            let tests = jobs().filter(|job| job.name.contains(" test ") || job.name.contains(" talos "));
            assert_eq!(tests.filter(|job| !job.name.ends_with("build") && job.upstream.is_none()).count(), 0);
        }
    }

    #[test]
    fn a_seed_decides_every_byte() {
        assert_eq!(sample(500, 1), sample(500, 1));
        assert_ne!(sample(500, 1), sample(500, 2));
    }
}
