//! Which builders a push can run, and the build that each test needs.

use serde_json::{Map, Value, json};

use crate::{jobs, read};

/// A dump in the making.
#[derive(Default)]
struct Document {
    builders: Map<String, Value>,
    schedulers: Map<String, Value>,
}

impl Document {
    fn build(mut self, branch: &str, name: &str, shortname: &str) -> Self {
        let builder = json!({"properties": {"branch": branch, "slavebuilddir": "b"}, "shortname": shortname});
        self.builders.insert(name.to_owned(), builder);
        self
    }

    fn test(mut self, branch: &str, name: &str) -> Self {
        let builder = json!({"properties": {"branch": branch, "slavebuilddir": "test"}, "shortname": name});
        self.builders.insert(name.to_owned(), builder);
        self
    }

    fn scheduler(mut self, name: &str, triggers: &[&str], tests: &[&str]) -> Self {
        self.schedulers.insert(name.to_owned(), json!({"downstream": tests, "triggered_by": triggers}));
        self
    }

    /// The jobs, one a line, and how many tests have no build.
    fn jobs(self) -> (Vec<String>, u64) {
        let document = json!({"builders": self.builders, "schedulers": self.schedulers}).to_string();
        let (jobs, findings) = jobs(&read(document).expect("a good document"));
        assert_eq!(findings.problems, []);
        (jobs, findings.tests_without_build)
    }
}

#[test]
fn a_trigger_without_what_says_which_tests_follow_is_a_shortname() {
    for end in ["-opt-unittest", "-pgo-unittest", "-debug-unittest", "-unittest", "-talos", "-pgo", ""] {
        let (jobs, without_build) = Document::default()
            .build("try", "build", "linux64")
            .test("try", "test")
            .scheduler("tests-try-linux64", &[&format!("linux64{end}")], &["test"])
            .jobs();
        assert_eq!(jobs, ["try: build", "try: test <- build"], "{end}");
        assert_eq!(without_build, 0);
    }
}

#[test]
fn only_one_ending_is_taken_off_a_trigger() {
    let (jobs, without_build) = Document::default()
        .build("try", "build", "linux64")
        .build("try", "pgo build", "linux64-pgo")
        .test("try", "a")
        .test("try", "b")
        .scheduler("tests-try-a", &["linux64-pgo-talos"], &["a"])
        .scheduler("tests-try-b", &["linux64-asan-unittest"], &["b"])
        .jobs();
    assert_eq!(jobs, ["try: a <- pgo build", "try: b", "try: build", "try: pgo build"]);
    assert_eq!(without_build, 1);
}

#[test]
fn of_builds_with_one_shortname_that_of_the_tests_branch_counts_else_the_first_by_name() {
    let (jobs, _) = Document::default()
        .build("ash", "ash build", "linux64")
        .build("birch", "birch build", "linux64")
        .build("try", "try build", "linux64")
        .test("ash", "ash test")
        .test("try", "try test")
        .test("oak", "oak test")
        .scheduler("tests-all", &["linux64-opt-unittest"], &["ash test", "oak test", "try test"])
        .jobs();
    assert_eq!(
        jobs,
        [
            "ash: ash build",
            "ash: ash test <- ash build",
            "birch: birch build",
            "oak: oak test <- ash build",
            "try: try build",
            "try: try test <- try build",
        ]
    );
}

#[test]
fn b2g_builds_are_found_by_the_shortname_or_the_name_that_the_trigger_makes() {
    let by_shortname = Document::default()
        .build("try", "some build", "b2g_try_emulator_dep")
        .test("try", "test")
        .scheduler("tests-try-emulator", &["try-emulator-opt-unittest"], &["test"]);
    assert_eq!(by_shortname.jobs().0, ["try: some build", "try: test <- some build"]);
    let by_name = Document::default()
        .build("try", "b2g_try_emulator-jb_dep", "else")
        .build("try", "b2g_try_linux32_gecko_dep", "")
        .test("try", "a")
        .test("try", "b")
        .scheduler("tests-try-emulator-jb", &["try_emulator-jb-opt-unittest"], &["a"])
        .scheduler("tests-try-gecko", &["try_linux32_gecko-unittest"], &["b"]);
    assert_eq!(
        by_name.jobs().0,
        [
            "try: a <- b2g_try_emulator-jb_dep",
            "try: b <- b2g_try_linux32_gecko_dep",
            "try: b2g_try_emulator-jb_dep",
            "try: b2g_try_linux32_gecko_dep",
        ]
    );
}

#[test]
fn a_test_that_bears_the_name_of_a_b2g_build_is_none() {
    let document = Document::default().test("try", "b2g_try_emulator_dep").test("try", "test").scheduler(
        "tests-try-emulator",
        &["try-emulator-opt-unittest"],
        &["test"],
    );
    assert_eq!(document.jobs(), (vec!["try: b2g_try_emulator_dep".to_owned(), "try: test".to_owned()], 2));
}

#[test]
fn a_test_without_a_scheduler_has_no_build_and_is_counted() {
    let document = Document::default().build("try", "build", "linux64").test("try", "test");
    assert_eq!(document.jobs(), (vec!["try: build".to_owned(), "try: test".to_owned()], 1));
}

#[test]
fn a_test_whose_scheduler_names_no_known_build_has_none() {
    for triggers in [&[][..], &["windows-opt-unittest"], &["test"], &[""]] {
        let document = Document::default().build("try", "build", "linux64").test("try", "test").scheduler(
            "tests-try",
            triggers,
            &["test", "no such builder"],
        );
        assert_eq!(document.jobs(), (vec!["try: build".to_owned(), "try: test".to_owned()], 1), "{triggers:?}");
    }
}

#[test]
fn only_schedulers_of_tests_count() {
    for scheduler in ["try-linux64", "Tests-try", "nightly-tests-try", ""] {
        let document = Document::default().build("try", "build", "linux64").test("try", "test").scheduler(
            scheduler,
            &["linux64-opt-unittest"],
            &["test"],
        );
        assert_eq!(document.jobs(), (vec!["try: build".to_owned(), "try: test".to_owned()], 1), "{scheduler:?}");
    }
}

#[test]
fn a_build_needs_no_build() {
    let document = Document::default().build("try", "a", "linux64").build("try", "b", "win32").scheduler(
        "tests-try",
        &["linux64-opt-unittest"],
        &["b"],
    );
    assert_eq!(document.jobs(), (vec!["try: a".to_owned(), "try: b".to_owned()], 0));
}

#[test]
fn of_several_schedulers_the_first_by_name_that_has_a_build_counts() {
    let (jobs, _) = Document::default()
        .build("try", "build 1", "linux64")
        .build("try", "build 2", "win32")
        .test("try", "test")
        .scheduler("tests-c", &["win32-opt-unittest"], &["test"])
        .scheduler("tests-b", &["win32-talos", "linux64-talos"], &["test"])
        .scheduler("tests-a", &["macosx64-opt-unittest"], &["test"])
        .jobs();
    assert_eq!(jobs[2], "try: test <- build 1");
}

#[test]
fn schedulers_may_come_before_or_after_builders() {
    let builders = r#""builders":{
        "test":{"properties":{"branch":"try","slavebuilddir":"test"}},
        "build":{"shortname":"linux64","properties":{"branch":"try"}}}"#;
    let schedulers = r#""schedulers":{"tests-try":{"downstream":["test"],"triggered_by":["linux64-talos"]}}"#;
    for document in [format!("{{{builders},{schedulers}}}"), format!("{{{schedulers},{builders}}}")] {
        let (jobs, findings) = jobs(&read(document).unwrap());
        assert_eq!(jobs, ["try: build", "try: test <- build"]);
        assert_eq!(findings.problems, []);
    }
}

#[test]
fn releases_bundles_and_builders_without_a_branch_are_not_runnable() {
    let document = r#"{"schedulers":{},"builders":{
        "release-mozilla-beta-firefox_updates":{"properties":{"branch":"mozilla-beta"}},
        "mozilla-central hg bundle":{"properties":{"branch":"mozilla-central"}},
        "no branch":{"properties":{"product":"firefox"}},
        "null":{"properties":{"branch":null}},
        "empty":{"properties":{"branch":""}},
        "a release-":{"properties":{"branch":"mozilla-beta"}},
        "bundle of a":{"properties":{"branch":"mozilla-central"}}
    }}"#;
    let (jobs, findings) = jobs(&read(document).unwrap());
    assert_eq!(jobs, ["mozilla-beta: a release-", "mozilla-central: bundle of a"]);
    assert_eq!((findings.builders, findings.not_runnable, findings.problem_count), (7, 5, 0));
}

#[test]
fn aurora_and_beta_measure_talos_on_pgo_builds_where_there_are_some() {
    for (branch, runnable) in [("mozilla-aurora", false), ("mozilla-beta", false), ("mozilla-inbound", true)] {
        let windows = format!("Windows 7 32-bit {branch} talos g1");
        let windows_pgo = format!("Windows 7 32-bit {branch} pgo talos g1");
        let mac = format!("Rev7 MacOSX Yosemite 10.10.5 {branch} talos g1");
        let unittest = format!("Windows 7 32-bit {branch} opt test xpcshell");
        let document = Document::default()
            .test(branch, &windows)
            .test(branch, &windows_pgo)
            .test(branch, &mac)
            .test(branch, &unittest);
        let (jobs, _) = document.jobs();
        let has = |name: &str| jobs.contains(&format!("{branch}: {name}"));
        assert_eq!(has(&windows), runnable, "{branch}");
        assert!(has(&windows_pgo) && has(&mac) && has(&unittest), "{branch}");
    }
}

#[test]
fn jobs_stand_under_their_project_in_the_order_of_their_names() {
    let (jobs, _) = Document::default()
        .build("try", "b", "1")
        .build("ash", "c", "2")
        .build("try", "B", "3")
        .build("try", "a", "4")
        .jobs();
    assert_eq!(jobs, ["ash: c", "try: B", "try: a", "try: b"]);
}

#[test]
fn progress_is_told_every_thousand_builders() {
    let mut document = Vec::new();
    catalog::sample::write(3500, 1, &mut document).unwrap();
    let mut told = Vec::new();

    let progress = &mut |progress: catalog::allthethings::Progress| told.push((progress.builders, progress.bytes));
    catalog::allthethings::read(document.as_slice(), u64::MAX, progress).unwrap();

    assert_eq!(told.iter().map(|(builders, _)| *builders).collect::<Vec<_>>(), [1000, 2000, 3000]);
    assert!(told.is_sorted_by_key(|(_, bytes)| *bytes) && told[2].1 < document.len() as u64);
}
