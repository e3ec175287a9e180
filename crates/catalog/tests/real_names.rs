//! Builder names of 2013-2018 and what Treeherder showed for them: a sample of several hundred, or all 7,000 where the
//! variable `RECORDED_DATA` names the folder with them.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::PathBuf;

use catalog::buildbot;
use catalog::buildbot::classify;
use catalog::list::UNKNOWN;
use serde_json::{Map, Value, json};

/// The lines of a file of recorded data.
fn recorded(file: &str) -> Vec<Value> {
    let folder = match std::env::var_os("RECORDED_DATA") {
        Some(folder) => PathBuf::from(folder).join("data"),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/recorded"),
    };
    let text = fs::read_to_string(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    text.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
}

fn text<'v>(row: &'v Value, key: &str) -> &'v str {
    row[key].as_str().unwrap_or_else(|| panic!("{key} of {row}"))
}

/// The columns of `names.tsv` behind the name.
const COLUMNS: [&str; 8] = [
    "platform",
    "os",
    "architecture",
    "option",
    "job_type_name",
    "job_type_symbol",
    "job_group_name",
    "job_group_symbol",
];

/// What the grammar says of a name, in the order of `COLUMNS`.
fn said(name: &str) -> [String; 8] {
    let says = classify(name);
    [
        says.platform().to_owned(),
        says.os().to_owned(),
        says.architecture().to_owned(),
        says.option().to_owned(),
        says.job_type_name().to_owned(),
        says.job_type_symbol().into_owned(),
        says.job_group_name().to_owned(),
        says.job_group_symbol().to_owned(),
    ]
}

#[test]
fn names_of_every_kind_are_what_treeherder_showed() {
    let rows: Vec<Vec<&str>> = include_str!("fixtures/names.tsv")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split('\t').collect())
        .collect();
    assert_eq!(rows.len(), 65);
    for row in rows {
        assert_eq!(said(row[0]).as_slice(), &row[1..], "of {}", row[0]);
    }
}

#[test]
fn every_known_name_is_what_treeherder_showed_or_a_job_type_it_listed() {
    let (rows, types) = (recorded("buildernames.jsonl"), recorded("job-types.jsonl"));
    let types: HashMap<&str, &Value> = types.iter().map(|row| (text(row, "job_type_name"), row)).collect();
    let (mut listed, mut other) = (Vec::new(), Vec::new());
    for row in &rows {
        let name = text(row, "ref_data_name");
        let said = said(name);
        if COLUMNS.iter().zip(&said).all(|(column, said)| text(row, column) == said) {
            continue;
        }
        // Treeherder knew the type, though not by this name; no such name has a chunk number.
        let expected = |column: &str| match types.get(said[4].as_str()) {
            Some(job_type) if column.starts_with("job_") => text(job_type, column),
            _ => text(row, column),
        };
        let became_known = text(row, "job_type_name") == UNKNOWN
            && said[4] != UNKNOWN
            && COLUMNS.iter().zip(&said).all(|(column, said)| expected(column) == said);
        if became_known { listed.push(name) } else { other.push((name, said)) }
    }
    assert_eq!(other, [], "other than Treeherder showed");
    assert_eq!(listed.len(), 20, "{listed:#?}");
}

#[test]
fn every_known_platform_has_its_os_and_architecture() {
    // Platforms that no known name stands on, each with a name of its kind.
    const OTHERS: [&str; 6] = [
        "b2g_mozilla-central_emulator-kk_periodic",
        "b2g_mozilla-central_emulator-l_nightly",
        "Linux Mulet cedar build",
        "OS X 10.7 mozilla-beta devedition build",
        "Windows 7 VM 32-bit DevEdition mozilla-beta opt test xpcshell",
        "Windows 8 64-bit DevEdition mozilla-beta opt test xpcshell",
    ];
    let (rows, platforms) = (recorded("buildernames.jsonl"), recorded("platforms.jsonl"));
    let shown: HashMap<&str, [&str; 2]> = rows
        .iter()
        .map(|row| text(row, "ref_data_name"))
        .chain(OTHERS)
        .map(classify)
        .map(|says| (says.platform(), [says.os(), says.architecture()]))
        .collect();
    for row in &platforms {
        let platform = text(row, "platform");
        // What 64-bit Windows builds stood on before they moved to windows8-64.
        if platform != "windows2012-64" {
            let expected = [text(row, "os"), text(row, "architecture")];
            assert_eq!(shown.get(platform), Some(&expected), "{platform}");
        }
    }
}

/// The branch of a test's name: the word before its option and ` test ` or ` talos `.
fn branch_of(test: &str) -> &str {
    let end = [" test ", " talos "].iter().filter_map(|mark| test.find(mark)).min().expect("the name of a test");
    let words = test[..end].rsplit(' ');
    words.into_iter().find(|word| !["opt", "debug", "pgo"].contains(word)).expect("a branch")
}

/// A shortname for each build: its name without the branch.
fn shortname(build: &str, branch: &str) -> String {
    let without_branch = build.replacen(branch, "", 1);
    let words = without_branch.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_lowercase()
}

/// A dump with these tests and builds, each test's scheduler set off by its build.
fn document(pairs: &BTreeMap<&str, &str>) -> Value {
    let (mut builders, mut schedulers) = (Map::new(), Map::new());
    for (&test, &build) in pairs {
        let branch = branch_of(test);
        let shortname = shortname(build, branch);
        let end = match () {
            () if test.contains(" talos ") => "talos",
            () if test.contains("debug") => "unittest",
            () if test.contains(" pgo ") => "pgo-unittest",
            () => "opt-unittest",
        };
        let properties = |slavebuilddir: &str| json!({"branch": branch, "slavebuilddir": slavebuilddir});
        builders.insert(test.into(), json!({"properties": properties("test"), "shortname": "test"}));
        builders.insert(build.into(), json!({"properties": properties("b"), "shortname": shortname}));
        let scheduler = schedulers
            .entry(format!("tests-{branch}-{shortname}-{end}"))
            .or_insert_with(|| json!({"downstream": [], "triggered_by": [format!("{shortname}-{end}")]}));
        scheduler["downstream"].as_array_mut().expect("a list").push(test.into());
    }
    json!({"builders": builders, "schedulers": schedulers})
}

#[test]
fn every_known_test_finds_its_build_among_the_builds_of_all_branches() {
    let rows = recorded("upstream.jsonl");
    let pairs: BTreeMap<&str, &str> = rows.iter().map(|row| (text(row, "test"), text(row, "build"))).collect();
    let document = document(&pairs).to_string();

    let dump = buildbot::read(document.as_bytes(), u64::MAX, &mut |_| ()).unwrap();
    let (projects, findings) = dump.projects();

    assert_eq!((findings.tests_without_build, findings.problems), (0, vec![]));
    let upstream: HashMap<&str, Option<&str>> =
        projects.values().flatten().map(|job| (job.name, job.upstream)).collect();
    for (test, build) in &pairs {
        assert_eq!(upstream.get(build), Some(&None), "{build} is a build");
        let twin = test.replace(" talos ", " pgo talos ");
        let has_twin = twin != *test && pairs.contains_key(twin.as_str());
        let measured_on_pgo = has_twin && ["mozilla-aurora", "mozilla-beta"].contains(&branch_of(test));
        let expected = if measured_on_pgo { None } else { Some(&Some(*build)) };
        assert_eq!(upstream.get(test), expected, "the build of {test}");
    }
    assert!(upstream.len() > pairs.len());
}
