//! Makes an allthethings.json of any size out of the vocabulary: for demonstrations, tests and benchmarks.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};
use sha1::{Digest, Sha1};

use crate::buildbot;
use crate::buildbot::vocabulary::{SAMPLE_MACHINES, SUITES, TALOS, TALOS_FORMS};
use crate::hex::hex;

/// The branches of a sample. A large sample has more: `twig-1`, `twig-2` and so on.
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

/// Prefixes of the branches whose only optimized builds are pgo builds.
const RELEASE_BRANCHES: [&str; 4] = ["mozilla-aurora", "mozilla-beta", "mozilla-release", "mozilla-esr"];

/// Prefixes of suites that the machines of the sample do not run.
const OTHER_SUITES: [&str; 5] = ["androidx86", "gaia-", "instrumentation", "mozmill", "webapprt"];

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

/// A random number generator (`SplitMix64`). A seed gives the same numbers with every version and on every machine.
struct Dice(u64);

impl Dice {
    /// A number below `sides`.
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % sides as u64).unwrap_or_default()
    }
}

/// The names of a test and of the build that it needs. `{b}` stands for the branch.
struct Template {
    test: String,
    build: &'static str,
    shortname: &'static str,
    is_talos: bool,
}

impl Template {
    /// The name of the build on this branch, its shortname, and the trigger of its tests.
    fn names_on(&self, branch: &str) -> (String, String, String) {
        // The only optimized build of a release branch is the pgo build, so its name does not say pgo.
        let is_plain_pgo =
            self.shortname.ends_with("-pgo") && RELEASE_BRANCHES.iter().any(|start| branch.starts_with(start));
        let (mut build, mut shortname) = (self.build.to_owned(), self.shortname.to_owned());
        let mut suffix = match (self.is_talos, self.shortname) {
            (true, _) => "-talos",
            (false, name) if name.ends_with("-debug") || name.ends_with("-pgo") => "-unittest",
            (false, _) => "-opt-unittest",
        }
        .to_owned();
        if is_plain_pgo {
            build = build.replace("pgo-build", "build");
            shortname.truncate(shortname.len() - "-pgo".len());
            suffix.insert_str(0, "-pgo");
        }
        let trigger = [shortname.as_str(), &suffix].concat();
        let [build, shortname, trigger] = [build, shortname, trigger].map(|text| text.replace("{b}", branch));
        (build, shortname, trigger)
    }
}

/// Writes a sample with exactly `builders` builders. The same arguments give the same bytes.
///
/// # Errors
/// `out` cannot be written.
pub fn write(builders: usize, seed: u64, out: impl io::Write) -> io::Result<()> {
    let mut dice = Dice(seed);
    let templates = templates(&mut dice);
    // A sample has half of the possible builders, as real dumps do: only try runs everything.
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
        let machines = || (1..=20).map(|n| format!("t-{}-{n:03}", builder.properties.platform)).collect();
        document.slavepools.entry(builder.slavepool.clone()).or_insert_with(machines);
    }
    let mut out = io::BufWriter::new(out);
    document.serialize(&mut Serializer::with_formatter(&mut out, PrettyFormatter::with_indent(b"    ")))?;
    io::Write::write_all(&mut out, b"\n")?;
    io::Write::flush(&mut out)
}

fn templates(dice: &mut Dice) -> Vec<Template> {
    let mut templates = Vec::new();
    for &[machine, option, build, shortname] in SAMPLE_MACHINES {
        for suite in
            SUITES.entries.iter().map(|entry| entry.phrase).filter(|s| !OTHER_SUITES.iter().any(|e| s.starts_with(e)))
        {
            let chunks = [1, 1, 3, 5, 10][dice.roll(5)];
            for chunk in 1..=chunks {
                let chunk = if chunks == 1 { String::new() } else { format!("-{chunk}") };
                let test = format!("{machine} {{b}} {option} test {suite}{chunk}");
                templates.push(Template { test, build, shortname, is_talos: false });
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
                templates.push(Template { test, build, shortname, is_talos: true });
            }
        }
    }
    templates
}

/// Adds a test and its build, but no more than `max_builders` in all.
fn add(document: &mut Document, branch: &str, template: &Template, max_builders: usize) {
    let (build, shortname, trigger) = template.names_on(branch);
    if !document.builders.contains_key(&build) {
        document.builders.insert(build.clone(), builder(branch, &build, &shortname, &shortname));
        let scheduler = document.schedulers.entry(branch.to_owned()).or_default();
        scheduler.downstream.insert(build);
    }
    if document.builders.len() < max_builders {
        let test = template.test.replace("{b}", branch);
        document.builders.insert(test.clone(), builder(branch, &test, &slug(&test), "test"));
        let behind_branch = trigger.strip_prefix(branch).unwrap_or(&trigger);
        let scheduler = document.schedulers.entry(format!("tests-{branch}{behind_branch}")).or_default();
        scheduler.downstream.insert(test);
        scheduler.triggered_by = vec![trigger];
    }
}

fn builder(branch: &str, name: &str, shortname: &str, slavebuilddir: &str) -> Builder {
    let platform = buildbot::classify(name).platform().to_owned();
    let repo_path = if branch == "try" { branch.to_owned() } else { format!("integration/{branch}") };
    Builder {
        slavepool: hex(&Sha1::digest(&platform)),
        properties: Properties {
            branch: branch.to_owned(),
            platform,
            product: if name.starts_with("Android") { "mobile" } else { "firefox" },
            repo_path,
            slavebuilddir: slavebuilddir.to_owned(),
        },
        shortname: shortname.to_owned(),
        slavebuilddir: slavebuilddir.to_owned(),
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

    fn sample(builders: usize, seed: u64) -> Vec<u8> {
        let mut document = Vec::new();
        write(builders, seed, &mut document).unwrap();
        document
    }

    #[test]
    fn a_sample_has_the_builders_that_were_asked_for_and_all_are_good() {
        for builders in [1, 2, 1000, 5000] {
            let document = sample(builders, 7);
            let dump = buildbot::read(document.as_slice(), u64::MAX, &mut |_| ()).unwrap();
            let (projects, findings) = dump.projects();
            assert_eq!(findings.builders, builders as u64);
            assert_eq!(findings.problems, []);
            let jobs = || projects.values().flatten();
            let unknown: Vec<_> = jobs().filter(|job| !buildbot::classify(job.name).is_known()).collect();
            assert_eq!(unknown, Vec::<&crate::buildbot::CatalogJob<'_>>::new());
            let tests = jobs().filter(|job| job.name.contains(" test ") || job.name.contains(" talos "));
            assert_eq!(tests.filter(|job| !job.name.ends_with("build") && job.upstream.is_none()).count(), 0);
        }
    }

    /// The build that a test's name speaks of.
    fn build_behind(test: &str, branch: &str) -> String {
        let (machine, rest) = test.split_once(&format!(" {branch} ")).expect("a machine and a branch");
        let option = rest.split(' ').next().filter(|word| *word != "talos").expect("an option");
        let row = SAMPLE_MACHINES.iter().find(|row| row[0] == machine && row[1] == option).expect("a machine");
        let is_release = ["mozilla-aurora", "mozilla-beta", "mozilla-release", "mozilla-esr45", "mozilla-esr52"];
        let build = if is_release.contains(&branch) { row[2].replace("pgo-build", "build") } else { row[2].to_owned() };
        build.replace("{b}", branch)
    }

    #[test]
    fn every_test_of_a_sample_finds_the_build_that_its_name_speaks_of() {
        let document = sample(20_000, 3);
        let dump = buildbot::read(document.as_slice(), u64::MAX, &mut |_| ()).unwrap();
        let (projects, findings) = dump.projects();
        let mut kinds = BTreeSet::new();
        for (&project, jobs) in &projects {
            for job in jobs.iter().filter(|job| job.upstream.is_some()) {
                let name = job.name.replace(&format!(" {project} talos "), &format!(" {project} opt talos "));
                assert_eq!(job.upstream, Some(build_behind(&name, project).as_str()), "of {}", job.name);
                let build = job.upstream.unwrap_or_default();
                let kind =
                    ["leak test", "debug build", "pgo-build", "asan"].into_iter().find(|kind| build.contains(kind));
                kinds.insert((kind, job.name.contains(" talos "), job.name.contains(" pgo ")));
            }
        }
        assert_eq!((findings.tests_without_build, findings.empty_slavepool), (0, 0));
        // Among them tests of pgo builds, and of plain builds where there is no pgo build.
        for kind in [
            (Some("pgo-build"), true, true),
            (None, true, true),
            (None, false, true),
            (Some("leak test"), false, false),
        ] {
            assert!(kinds.contains(&kind), "{kind:?} of {kinds:?}");
        }
    }

    #[test]
    fn a_seed_decides_every_byte() {
        assert_eq!(sample(500, 1), sample(500, 1));
        assert_ne!(sample(500, 1), sample(500, 2));
    }
}
