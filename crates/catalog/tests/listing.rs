//! What is selected of a list, held against the plain meaning of the filters.
#![allow(clippy::unwrap_used, reason = "a helper of a test may fail as the test may")]

use catalog::buildbot::{CatalogJob, write_body};
use catalog::list::{FIELDS, Listing, Query, Selection};
use proptest::prelude::*;
use serde_json::{Value, json};

const NAMES: [&str; 12] = [
    "Linux x86-64 try build",
    "Linux x86-64 try leak test build",
    "Linux x86-64 try pgo-build",
    "OS X 10.7 try build",
    "Rev7 MacOSX Yosemite 10.10.5 try opt test mochitest-1",
    "Ubuntu VM 12.04 x64 try debug test mochitest-e10s-3",
    "Ubuntu VM 12.04 x64 try opt test mochitest-1",
    "Ubuntu VM 12.04 x64 try opt test reftest",
    "Ubuntu VM 12.04 x64 try opt test xpcshell",
    "WINNT 6.1 x86-64 try build",
    "Windows 7 32-bit try pgo talos svgr",
    "Windows XP 32-bit try debug test mochitest-2",
];

fn upstream(name: &str) -> Option<&'static str> {
    (name.contains("x64") && name.contains("opt")).then_some("Linux x86-64 try build")
}

/// A list of these jobs.
fn listing(names: &[&str]) -> (Listing, Value) {
    let jobs: Vec<CatalogJob> = names.iter().map(|name| CatalogJob { name, upstream: upstream(name) }).collect();
    let mut body = Vec::new();
    write_body("try", &jobs, &mut body, |_| ());
    let whole = serde_json::from_slice(&body).unwrap();
    (Listing::read(body.into()).unwrap(), whole)
}

fn select(listing: &Listing, wanted: &Selection) -> Value {
    serde_json::from_slice(&listing.select(wanted)).unwrap()
}

fn names(answer: &Value) -> Vec<&str> {
    answer["results"].as_array().unwrap().iter().map(|job| job["ref_data_name"].as_str().unwrap()).collect()
}

#[test]
fn an_empty_selection_is_the_whole_list() {
    let (listing, whole) = listing(&NAMES);
    let answer = select(&listing, &Selection::default());
    assert_eq!(answer["results"], whole["results"]);
    assert_eq!(answer["meta"], json!({"repository": "try", "offset": 0, "count": 12, "total": 12}));
    assert!(!listing.is_empty());
}

#[test]
fn the_fields_of_a_buildbot_job_are_all_but_the_tier() {
    let (_, whole) = listing(&NAMES[..1]);
    let fields: Vec<&String> = whole["results"][0].as_object().unwrap().keys().collect();
    let mut known = FIELDS.to_vec();
    known.retain(|field| *field != "tier");
    known.sort_unstable();
    assert_eq!(fields, known);
}

#[test]
fn a_search_finds_words_in_any_order_in_name_symbols_group_platform_and_option() {
    let (listing, _) = listing(&NAMES);
    let found = |query: &str| -> Vec<String> {
        let wanted = Selection { query: Query::parse(query), ..Selection::default() };
        names(&select(&listing, &wanted)).into_iter().map(str::to_owned).collect()
    };
    assert_eq!(found("mochitest xp"), ["Windows XP 32-bit try debug test mochitest-2"]);
    assert_eq!(found("3 m-e10s"), ["Ubuntu VM 12.04 x64 try debug test mochitest-e10s-3"]);
    assert_eq!(found("debug e10s"), ["Ubuntu VM 12.04 x64 try debug test mochitest-e10s-3"]);
    // The option of a leak test build, whose name does not have the word.
    assert_eq!(found("debug leak"), ["Linux x86-64 try leak test build"]);
    assert_eq!(found("osx-10-10 opt$"), ["Rev7 MacOSX Yosemite 10.10.5 try opt test mochitest-1"]);
    assert!(found("mochitest nowhere").is_empty());
    // Words with capitals have to match their case.
    assert_eq!(found("mochitest XP"), ["Windows XP 32-bit try debug test mochitest-2"]);
    assert!(found("MOCHITEST xp").is_empty());
    assert_eq!(found("^linux !leak"), ["Linux x86-64 try build", "Linux x86-64 try pgo-build"]);
    assert_eq!(found("talos | reftest"), [NAMES[7], NAMES[10]]);
    assert_eq!(found("!"), NAMES);
}

#[test]
fn a_page_holds_the_count_that_was_requested() {
    // Treeherder's client goes on while a page has as many jobs as its meta says.
    let (listing, _) = listing(&NAMES);
    let page = select(&listing, &Selection { offset: 10, count: Some(5), ..Selection::default() });
    assert_eq!(page["meta"], json!({"repository": "try", "offset": 10, "count": 5, "total": 12}));
    assert_eq!(names(&page), NAMES[10..]);
    let behind = select(&listing, &Selection { offset: 12, count: Some(5), ..Selection::default() });
    assert!(names(&behind).is_empty());
    let far = Selection { offset: usize::MAX, count: Some(usize::MAX), ..Selection::default() };
    assert!(names(&select(&listing, &far)).is_empty());
}

#[test]
fn a_job_comes_with_its_build_and_a_build_with_its_tests() {
    let (listing, _) = listing(&NAMES);
    let job = |name: &str| -> Option<Value> { Some(serde_json::from_slice(&listing.job(name)?).unwrap()) };
    let test = job("Ubuntu VM 12.04 x64 try opt test reftest").unwrap();
    assert_eq!(test["job"]["job_type_symbol"], "R");
    assert_eq!(test["upstream_build"]["ref_data_name"], "Linux x86-64 try build");
    assert_eq!(test["tests"], json!([]));
    let build = job("Linux x86-64 try build").unwrap();
    assert_eq!(build["upstream_build"], Value::Null);
    assert_eq!(build["tests"].as_array().unwrap().len(), 3);
    assert_eq!(build["meta"], json!({"repository": "try"}));
    assert_eq!(job("Linux x86-64 try"), None);
    // As a person may type it: the same job, and its tests.
    let mut typed = job(" linux x86-64  TRY build").unwrap();
    assert_eq!(typed["meta"], json!({"repository": "try", "asked_as": " linux x86-64  TRY build"}));
    typed["meta"] = build["meta"].clone();
    assert_eq!(typed, build);
    assert_eq!(listing.suggest("Linux x86-64 try biuld", 3), ["Linux x86-64 try build"]);
}

#[test]
fn a_build_that_is_not_in_the_list_is_null() {
    let (listing, _) = listing(&["Ubuntu VM 12.04 x64 try opt test reftest"]);
    let test: Value =
        serde_json::from_slice(&listing.job("Ubuntu VM 12.04 x64 try opt test reftest").unwrap()).unwrap();
    assert_eq!(test["upstream_build"], Value::Null);
    assert_eq!(test["job"]["upstream"], "Linux x86-64 try build");
}

#[test]
fn entries_that_lack_fields_are_read_too() {
    let body = br#"{"meta":{"repository":"try","offset":0,"count":1},"results":[{"ref_data_name":"build-linux64/opt",
        "job_type_name":"build-linux64/opt","job_type_symbol":"B","platform":null,"platform_option":"opt",
        "build_system_type":"taskcluster","name with \"quotes\"":1}]}"#;
    let listing = Listing::read(body.as_slice().into()).unwrap();
    let wanted = Selection { build_system_type: vec!["taskcluster".to_owned()], ..Selection::default() };
    assert_eq!(names(&select(&listing, &wanted)), ["build-linux64/opt"]);
    let wanted = Selection { fields: Some(vec!["ref_data_name", "upstream"]), ..Selection::default() };
    assert_eq!(select(&listing, &wanted)["results"], json!([{"ref_data_name": "build-linux64/opt"}]));
}

#[test]
fn bytes_that_are_not_a_list_are_refused() {
    for body in ["", "[]", "{}", r#"{"meta":{"repository":"try"},"results":[{}]}"#, r#"{"meta":{},"results":[]}"#] {
        assert!(Listing::read(body.as_bytes().into()).is_err(), "{body}");
    }
}

fn some_of(values: Vec<String>) -> impl Strategy<Value = Vec<String>> {
    let max = values.len().min(3);
    prop_oneof![Just(Vec::new()), proptest::sample::subsequence(values, 0..=max)]
}

fn values(field: &str) -> Vec<String> {
    let (_, whole) = listing(&NAMES);
    let mut values: Vec<String> =
        whole["results"].as_array().unwrap().iter().map(|job| job[field].as_str().unwrap().to_owned()).collect();
    values.push("nothing".to_owned());
    values.sort();
    values.dedup();
    values
}

/// Selections, with the words of their queries.
fn selections() -> impl Strategy<Value = (Vec<String>, Selection)> {
    let words = ["mochitest", "try", "win", "x64", "e10s", "opt", "zzz"].map(str::to_owned).to_vec();
    let fields = prop::option::of(proptest::sample::subsequence(FIELDS.to_vec(), 0..=FIELDS.len()));
    (
        some_of(words),
        some_of(values("platform")),
        some_of(values("platform_option")),
        some_of(values("job_group_symbol")),
        some_of(values("job_type_symbol")),
        some_of(vec!["buildbot".to_owned(), "taskcluster".to_owned()]),
        fields,
    )
        .prop_map(|(words, platform, option, job_group_symbol, job_type_symbol, build_system_type, fields)| {
            let wanted = Selection {
                query: Query::parse(&words.join(" ")),
                platform,
                option,
                job_group_symbol,
                job_type_symbol,
                build_system_type,
                fields,
                ..Selection::default()
            };
            (words, wanted)
        })
}

/// The plain meaning of a selection.
fn is_wanted(job: &Value, words: &[String], wanted: &Selection) -> bool {
    let has = |field: &str| job[field].as_str().unwrap();
    let any = |wanted: &[String], field: &str| wanted.is_empty() || wanted.iter().any(|one| one == has(field));
    let texts =
        ["ref_data_name", "job_type_symbol", "job_group_symbol", "job_group_name", "platform", "platform_option"];
    any(&wanted.platform, "platform")
        && any(&wanted.option, "platform_option")
        && any(&wanted.job_group_symbol, "job_group_symbol")
        && any(&wanted.job_type_symbol, "job_type_symbol")
        && any(&wanted.build_system_type, "build_system_type")
        && words.iter().all(|word| texts.iter().any(|text| has(text).to_lowercase().contains(word)))
}

proptest! {
    #[test]
    fn a_selection_has_the_jobs_that_pass_all_its_filters((words, wanted) in selections()) {
        let (listing, whole) = listing(&NAMES);
        let expected: Vec<Value> = whole["results"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|job| is_wanted(job, &words, &wanted))
            .map(|job| match &wanted.fields {
                None => job.clone(),
                Some(fields) => fields
                    .iter()
                    .filter_map(|field| Some(((*field).to_owned(), job.get(*field)?.clone())))
                    .collect(),
            })
            .collect();
        let answer = select(&listing, &wanted);
        prop_assert_eq!(&answer["meta"]["total"], &json!(expected.len()));
        prop_assert_eq!(answer["results"].as_array().unwrap(), &expected);
    }

    #[test]
    fn all_pages_together_are_the_whole_list(
        (_, wanted) in selections(),
        count in 1_usize..8,
        limit in 0_usize..=NAMES.len(),
    ) {
        let (listing, _) = listing(&NAMES[..limit]);
        let whole = select(&listing, &wanted);
        let mut joined = Vec::new();
        let mut offset = 0;
        loop {
            let page = select(&listing, &Selection { offset, count: Some(count), ..wanted.clone() });
            prop_assert_eq!(&page["meta"]["total"], &whole["meta"]["total"]);
            let jobs = page["results"].as_array().unwrap();
            joined.extend(jobs.iter().cloned());
            if jobs.len() < count {
                break;
            }
            offset += count;
        }
        prop_assert_eq!(whole["results"].as_array().unwrap(), &joined);
    }
}
