//! Lists with the jobs of Buildbot and of Taskcluster: their entries, how they are merged, found and compared.
#![allow(clippy::unwrap_used, reason = "a helper of a test may fail as the test may")]

use std::collections::BTreeMap;

use catalog::buildbot::{self, CatalogJob};
use catalog::list::{
    FIELDS, ListedJob, ListedPlatform, Listing, Names, Query, Selection, compare, etag, merge, write_body, write_index,
};
use catalog::suggest::SearchBudget;
use catalog::taskcluster;
use proptest::prelude::*;
use serde_json::{Value, json};

const BUILDER: &str = "Linux x86-64 try build";
const BUILD: &str = "build-linux2404-64/debug";
/// Labels in the forms of real ones: label, platform, option, group name, group symbol, symbol, build.
const LABELS: [[&str; 7]; 9] = [
    [BUILD, "linux2404-64", "debug", "", "", "B", ""],
    ["build-signing-linux64/opt", "linux64", "opt", "", "", "Bs", ""],
    ["source-test-doc-generate", "", "opt", "", "", "doc", ""],
    [
        "test-android-em-7.0-x86_64/debug-geckoview-web-platform-tests-e10s-1",
        "android-em-7-0-x86_64",
        "debug",
        "Web platform tests",
        "W",
        "wpt1",
        "",
    ],
    [
        "test-android-hw-p2-8-0-android-aarch64/opt-raptor-tp6m-3-geckoview-cold-e10s",
        "android-hw-p2-8-0-android-aarch64",
        "opt",
        "Raptor performance tests on Firefox",
        "Rap",
        "tp6m-c-3",
        "",
    ],
    ["test-linux2404-64/debug-mochitest-browser-chrome-13", "linux2404-64", "debug", "Mochitests", "M", "bc13", BUILD],
    ["test-linux2404-64/debug-mochitest-browser-chrome-3", "linux2404-64", "debug", "Mochitests", "M", "bc3", BUILD],
    [
        "test-linux2404-64/debug-web-platform-tests-3",
        "linux2404-64",
        "debug",
        "Web platform tests",
        "W",
        "wpt3",
        "build-win64/opt",
    ],
    ["test-linux64-asan/opt-mochitest-browser-chrome-16", "linux64", "asan opt", "Mochitests", "M", "bc16", ""],
];

fn label([name, platform, option, group, group_symbol, symbol, upstream]: [&'static str; 7]) -> ListedJob<'static> {
    ListedJob {
        name,
        upstream: (!upstream.is_empty()).then_some(upstream),
        build_system: taskcluster::BUILD_SYSTEM,
        platform: ListedPlatform { name: platform, os: "", architecture: "" },
        option,
        job_type_name: name,
        job_type_symbol: symbol.into(),
        job_group_name: group,
        job_group_symbol: group_symbol,
        tier: Some(if platform.starts_with("android") { 2 } else { 1 }),
    }
}

fn builder() -> ListedJob<'static> {
    ListedJob {
        name: BUILDER,
        upstream: None,
        build_system: buildbot::BUILD_SYSTEM,
        platform: ListedPlatform { name: "linux64", os: "linux", architecture: "x86_64" },
        option: "opt",
        job_type_name: "Build",
        job_type_symbol: "B".into(),
        job_group_name: "unknown",
        job_group_symbol: "?",
        tier: None,
    }
}

fn body_of(jobs: &[ListedJob<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    write_body("try", jobs.iter().cloned(), &mut body);
    body
}

/// The same list, read from its body and from its index.
fn listings(jobs: &[ListedJob<'_>]) -> [Listing; 2] {
    let body = body_of(jobs);
    let etag = etag(&body);
    let index = write_index("try", &etag, jobs.iter().cloned());
    [Listing::read(body.into()).unwrap(), Listing::from_index(&index, &etag).unwrap()]
}

fn all() -> Vec<ListedJob<'static>> {
    merge(None, taskcluster::BUILD_SYSTEM, LABELS.into_iter().map(label).chain([builder()]))
}

fn select(listing: &Listing, wanted: &Selection) -> Value {
    serde_json::from_slice(&listing.select(wanted)).unwrap()
}

fn names(answer: &Value) -> Vec<&str> {
    answer["results"].as_array().unwrap().iter().map(|job| job["ref_data_name"].as_str().unwrap()).collect()
}

#[test]
fn a_taskcluster_entry_has_the_fields_of_treeherders_page_and_the_tier_and_build() {
    let jobs = [label(LABELS[2]), label(LABELS[6])];
    let body = String::from_utf8(body_of(&jobs)).unwrap();
    assert_eq!(
        body,
        concat!(
            r#"{"meta":{"repository":"try","offset":0,"count":2},"results":["#,
            r#"{"build_platform":"","platform":"","job_group_name":"","job_group_symbol":"","#,
            r#""job_type_name":"source-test-doc-generate","job_type_symbol":"doc","#,
            r#""ref_data_name":"source-test-doc-generate","build_system_type":"taskcluster","#,
            r#""platform_option":"opt","state":"runnable","result":"runnable","tier":1,"upstream":null},"#,
            r#"{"build_platform":"linux2404-64","platform":"linux2404-64","job_group_name":"Mochitests","#,
            r#""job_group_symbol":"M","job_type_name":"test-linux2404-64/debug-mochitest-browser-chrome-3","#,
            r#""job_type_symbol":"bc3","ref_data_name":"test-linux2404-64/debug-mochitest-browser-chrome-3","#,
            r#""build_system_type":"taskcluster","platform_option":"debug","state":"runnable","#,
            r#""result":"runnable","tier":1,"upstream":"build-linux2404-64/debug"}]}"#,
        )
    );
}

#[test]
fn the_entry_of_a_builder_is_the_same_beside_labels() {
    let mut alone = Vec::new();
    buildbot::write_body("try", &[CatalogJob { name: BUILDER, upstream: None }], &mut alone, |_| ());
    let alone: Value = serde_json::from_slice(&alone).unwrap();
    for listing in listings(&all()) {
        let answer =
            select(&listing, &Selection { build_system_type: vec!["buildbot".into()], ..Selection::default() });
        assert_eq!(answer["results"][0].to_string(), alone["results"][0].to_string());
        assert_eq!(names(&answer), [BUILDER]);
    }
}

#[test]
fn a_summary_counts_each_build_system() {
    let summary = write_body("try", all().into_iter(), &mut Vec::new());
    assert_eq!(summary.build_systems, BTreeMap::from([("buildbot".to_owned(), 1), ("taskcluster".to_owned(), 9)]));
    let platforms: Vec<&String> = summary.platforms.iter().collect();
    assert_eq!(
        platforms,
        ["android-em-7-0-x86_64", "android-hw-p2-8-0-android-aarch64", "linux2404-64", "linux64"],
        "a job without platform adds none"
    );
}

#[test]
fn a_search_finds_parts_of_a_label_a_group_a_symbol_a_platform_and_an_option_in_any_order() {
    for listing in listings(&all()) {
        let found = |search: &str| -> Vec<String> {
            let answer = select(&listing, &Selection { query: Query::parse(search), ..Selection::default() });
            names(&answer).into_iter().map(str::to_owned).collect()
        };
        let chrome_3 = LABELS[6][0];
        for search in ["linux2404 debug bc 3", "3 bc debug linux2404", "browser-chrome-3", "bc3 M"] {
            let found = found(search);
            assert!(found.contains(&chrome_3.to_owned()) && found.len() <= 2, "{search}: {found:?}");
        }
        assert_eq!(found("android wpt"), [LABELS[3][0]]);
        assert_eq!(found("wpt android-em"), [LABELS[3][0]]);
        assert_eq!(found("web-platform linux"), [LABELS[7][0]]);
        // "Raptor performance tests" is its group alone, "asan opt" its option.
        assert_eq!(found("performance cold"), [LABELS[4][0]]);
        assert_eq!(found("asan bc16"), [LABELS[8][0]]);
        assert_eq!(found("linux64"), [BUILDER, LABELS[1][0], LABELS[8][0]]);
        assert!(found("linux2404 bc 99").is_empty());
    }
}

#[test]
fn filters_pages_and_fields_work_on_both_build_systems() {
    for listing in listings(&all()) {
        let one = |value: &str| vec![value.to_owned()];
        let chunks = Selection { job_group_symbol: one("M"), option: one("debug"), ..Selection::default() };
        assert_eq!(names(&select(&listing, &chunks)), [LABELS[5][0], LABELS[6][0]]);
        let page =
            Selection { build_system_type: one("taskcluster"), offset: 4, count: Some(2), ..Selection::default() };
        assert_eq!(names(&select(&listing, &page)), [LABELS[4][0], LABELS[5][0]]);
        let fields = Selection {
            fields: Some(vec!["job_group_id", "tier", "upstream"]),
            job_type_symbol: vec!["B".into()],
            ..Selection::default()
        };
        let answer = String::from_utf8(listing.select(&fields)).unwrap();
        let (_, results) = answer.split_once(r#""results":"#).unwrap();
        // An entry without a field is answered without it.
        assert!(results.starts_with(r#"[{"job_group_id":"#) && !results[..40].contains("tier"), "{results}");
        assert!(results.ends_with(r#","upstream":null},{"tier":1,"upstream":null}]}"#), "{results}");
        let all = select(&listing, &Selection { fields: Some(FIELDS.to_vec()), ..Selection::default() });
        assert_eq!(all["results"], select(&listing, &Selection::default())["results"]);
    }
}

#[test]
fn a_label_comes_with_its_build_and_a_build_with_its_tests() {
    for listing in listings(&all()) {
        let job = |name: &str| -> Value { serde_json::from_slice(&listing.job(name).unwrap()).unwrap() };
        let test = job(LABELS[6][0]);
        assert_eq!((&test["job"]["tier"], &test["job"]["job_type_symbol"]), (&json!(1), &json!("bc3")));
        assert_eq!(test["upstream_build"]["ref_data_name"], BUILD);
        let tests = job(BUILD)["tests"].as_array().unwrap().len();
        assert_eq!(tests, 2);
        // Its build is not in the list.
        assert_eq!(job(LABELS[7][0])["upstream_build"], Value::Null);
        assert_eq!(job("BUILD-linux2404-64/debug")["job"]["ref_data_name"], BUILD);
    }
}

#[test]
fn the_nearest_label_is_suggested_for_an_unknown_one() {
    let asked = "test-linux2404-64/debug-mochitest-browser-chrom-3";
    for listing in listings(&all()) {
        assert_eq!(listing.suggest(asked, 1), [LABELS[6][0]]);
        assert_eq!(listing.suggest("build-linux64-aarch64-fuzzing/opt-no-such-job-at-all", 3), [""; 0]);
    }
    let body = body_of(&all());
    let names = Names::read(&body).unwrap();
    assert_eq!(names.suggest(asked, &mut SearchBudget::default()), Some(LABELS[6][0]));
    assert_eq!(names.build_of(LABELS[6][0]), Some(BUILD));
    assert_eq!(names.build_of(LABELS[7][0]), None, "its build is not in the list");
    assert!(names.is_label(LABELS[6][0]) && names.is_label(BUILD) && !names.is_label(asked));
}

#[test]
fn lists_of_both_build_systems_are_compared_by_name() {
    let old = body_of(&all());
    let changed = LABELS.into_iter().skip(1).map(label).map(|job| match job.name {
        name if name == LABELS[6][0] => ListedJob { upstream: None, ..job },
        name if name == LABELS[3][0] => ListedJob { tier: Some(3), ..job },
        _ => job,
    });
    let old_listing = Listing::read(old.into()).unwrap();
    let new = merge(Some(&old_listing), taskcluster::BUILD_SYSTEM, changed);
    let difference = compare(old_listing.jobs(), new);
    assert_eq!((difference.added.len(), difference.removed.as_slice()), (0, [BUILD.to_owned()].as_slice()));
    assert_eq!(difference.changed, [LABELS[3][0], LABELS[6][0]]);
    assert_eq!((difference.unchanged, difference.lost_builds.as_slice()), (7, [LABELS[6][0].to_owned()].as_slice()));
    assert_eq!(difference.with_build, 3);
}

#[test]
fn a_name_of_two_build_systems_stays_with_the_first_in_the_alphabet() {
    let twin = ListedJob { build_system: buildbot::BUILD_SYSTEM, tier: None, ..label(LABELS[1]) };
    let [with_twin, _] = listings(&[builder(), twin.clone()]);
    let merged = merge(Some(&with_twin), taskcluster::BUILD_SYSTEM, LABELS.into_iter().map(label));
    assert!(merged.contains(&twin));
    let [with_labels, _] = listings(&LABELS.map(label));
    assert_eq!(merge(Some(&with_labels), buildbot::BUILD_SYSTEM, [builder(), twin].into_iter()), merged);
}

#[test]
fn a_list_of_the_entries_before_tiers_is_read_from_its_body() {
    let mut body = Vec::new();
    buildbot::write_body("try", &[CatalogJob { name: BUILDER, upstream: None }], &mut body, |_| ());
    let old = Listing::read(body.clone().into()).unwrap();
    let merged = merge(Some(&old), taskcluster::BUILD_SYSTEM, std::iter::empty());
    assert_eq!(body_of(&merged), body);
}

/// Jobs by name, each name once, of up to three build systems: their numbers in `SYSTEMS`, and a word.
type Jobs = BTreeMap<String, (usize, String)>;

const SYSTEMS: [&str; 3] = ["buildbot", "other", "taskcluster"];

fn jobs() -> impl Strategy<Value = Jobs> {
    prop::collection::btree_map("[a-e]{1,2}", (0..SYSTEMS.len(), "[a-c]{0,2}"), 0..12)
}

fn listed((name, (system, word)): (&String, &(usize, String))) -> ListedJob<'static> {
    let leaked = |text: &str| -> &'static str { Box::leak(text.to_owned().into_boxed_str()) };
    let (name, word) = (leaked(name), leaked(word));
    ListedJob {
        build_system: SYSTEMS[*system],
        job_type_name: if *system == 2 { name } else { word },
        ..label([name, word, word, word, word, word, word])
    }
}

proptest! {
    #[test]
    fn merging_replaces_the_jobs_of_one_build_system(old in jobs(), new in jobs(), replaced in 0..SYSTEMS.len()) {
        let old: Vec<ListedJob<'_>> = old.iter().map(listed).collect();
        let new = new.into_iter().map(|(name, (_, word))| (name, (replaced, word))).collect::<Jobs>();
        let new: Vec<ListedJob<'_>> = new.iter().map(listed).collect();
        for listing in listings(&old) {
            let merged = merge(Some(&listing), SYSTEMS[replaced], new.iter().cloned());
            // In order, each name once.
            prop_assert!(merged.is_sorted_by(|one, other| one.name < other.name));
            let mut expected = BTreeMap::new();
            for job in old.iter().filter(|job| job.build_system != SYSTEMS[replaced]).chain(&new) {
                let first = expected.entry(job.name).or_insert(job);
                if job.build_system < first.build_system {
                    *first = job;
                }
            }
            prop_assert!(merged.iter().eq(expected.into_values()));
            // Once more with the same jobs, it is the same list to the byte.
            let body = body_of(&merged);
            for listing in listings(&merged) {
                let same: Vec<ListedJob<'_>> = listing.jobs().collect();
                prop_assert_eq!(body_of(&same), body.clone());
                let again = merge(Some(&listing), SYSTEMS[replaced], new.iter().cloned());
                prop_assert_eq!(body_of(&again), body.clone());
            }
        }
        let alone = merge(None, SYSTEMS[replaced], new.iter().cloned());
        prop_assert_eq!(alone, new);
    }
}
