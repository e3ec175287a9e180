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
fn the_build_behind_a_trigger_is_found_cut_by_cut() {
    const PLAIN: &str = "inbound-linux64";
    const DEBUG: &str = "inbound-linux64-debug";
    const PGO: &str = "inbound-linux64-pgo";
    const B2G: &str = "b2g_inbound_emulator_dep";
    const B2G_DEBUG: &str = "b2g_inbound_emulator-jb-debug_dep";
    for (shortnames, trigger, expected) in [
        (&[PLAIN, DEBUG, PGO][..], "inbound-linux64-opt-unittest", Some(PLAIN)),
        (&[PLAIN, DEBUG, PGO], "inbound-linux64-unittest", Some(PLAIN)),
        (&[PLAIN, DEBUG, PGO], "inbound-linux64-debug-unittest", Some(DEBUG)),
        (&[PLAIN, DEBUG, PGO], "inbound-linux64-pgo-unittest", Some(PGO)),
        (&[PLAIN, DEBUG, PGO], "inbound-linux64-talos", Some(PLAIN)),
        (&[PLAIN, DEBUG, PGO], "inbound-linux64-pgo-talos", Some(PGO)),
        // Without a pgo build of its own: two cuts.
        (&[PLAIN, DEBUG], "inbound-linux64-pgo-unittest", Some(PLAIN)),
        (&[PLAIN, DEBUG], "inbound-linux64-pgo-talos", Some(PLAIN)),
        // An end is cut once, in the order of the ends.
        (&[PLAIN], "inbound-linux64-talos-unittest", Some(PLAIN)),
        (&[PLAIN], "inbound-linux64-unittest-talos-pgo", None),
        (&[PLAIN], "inbound-linux64-pgo", Some(PLAIN)),
        (&[PLAIN, PGO], "inbound-linux64-pgo", Some(PLAIN)),
        // The debug build's tests never run on the opt build.
        (&[PLAIN, PGO], "inbound-linux64-debug-unittest", None),
        (&[PLAIN], "inbound-linux64-asan-unittest", None),
        // A trigger without any of the ends.
        (&[PLAIN], "inbound-linux64", Some(PLAIN)),
        (&[PLAIN], "inbound-linux6", None),
        (&[B2G, B2G_DEBUG], "inbound-emulator-opt-unittest", Some(B2G)),
        (&[B2G, B2G_DEBUG], "inbound-emulator-jb-debug-unittest", Some(B2G_DEBUG)),
        (&[B2G], "inbound-emulator-jb-opt-unittest", None),
    ] {
        let document = shortnames.iter().fold(Document::default(), |document, shortname| {
            document.build("inbound", &format!("build {shortname}"), shortname)
        });
        let document = document.test("inbound", "a test").scheduler("tests-inbound", &[trigger], &["a test"]);
        let (jobs, without_build) = document.jobs();
        let line = jobs.iter().find(|job| job.starts_with("inbound: a test"));
        let expected_line = match expected {
            Some(shortname) => format!("inbound: a test <- build {shortname}"),
            None => "inbound: a test".to_owned(),
        };
        assert_eq!(line, Some(&expected_line), "{trigger} among {shortnames:?}");
        assert_eq!(without_build, u64::from(expected.is_none()), "{trigger} among {shortnames:?}");
    }
}

#[test]
fn the_tests_of_a_real_dump_find_their_builds() {
    let truth: Map<String, Value> = serde_json::from_str(include_str!("../fixtures/allthethings-builds.json")).unwrap();
    let (jobs, findings) = jobs(&read(include_str!("../fixtures/allthethings.json")).unwrap());
    assert_eq!((findings.problems, findings.tests, findings.tests_without_build), (vec![], truth.len() as u64, 0));
    for (test, build) in &truth {
        let build = build.as_str().unwrap();
        assert!(
            jobs.iter().any(|job| job.ends_with(&format!(": {test} <- {build}"))),
            "{test} needs {build}: {jobs:#?}"
        );
    }
}

#[test]
fn the_first_of_several_triggers_counts() {
    for (triggers, expected) in [
        (["win32-opt-unittest", "linux64-opt-unittest"], "try: test <- b"),
        (["macosx64-opt-unittest", "linux64-opt-unittest"], "try: test"),
    ] {
        let (jobs, _) = Document::default()
            .build("try", "a", "linux64")
            .build("try", "b", "win32")
            .test("try", "test")
            .scheduler("tests-try", &triggers, &["test"])
            .jobs();
        assert_eq!(jobs[2], expected, "{triggers:?}");
    }
}

#[test]
fn no_test_gets_a_build_that_can_never_run() {
    for (pool, test) in [(r#"["b-1"]"#, "try: t <- build"), ("[]", "try: t")] {
        let document = format!(
            r#"{{"builders":{{"build":{{"properties":{{"branch":"try"}},"shortname":"try-linux64","slavepool":{pool}}},
            "t":{{"properties":{{"branch":"try","slavebuilddir":"test"}}}}}},
            "schedulers":{{"tests-try":{{"triggered_by":["try-linux64-opt-unittest"],"downstream":["t"]}}}}}}"#
        );
        let (jobs, findings) = jobs(&read(document).unwrap());
        assert_eq!(jobs.last().map(String::as_str), Some(test));
        assert_eq!(findings.tests_without_build, u64::from(pool == "[]"));
    }
}

#[test]
fn a_builder_whose_slave_pool_is_empty_is_left_out_and_counted_wherever_the_pools_stand() {
    let builders = r#""builders":{
        "a":{"properties":{"branch":"try"},"slavepool":"full"},
        "b":{"properties":{"branch":"try"},"slavepool":"empty"},
        "c":{"properties":{"branch":"try"},"slavepool":[]},
        "d":{"slavepool":["t-1"],"properties":{"branch":"try"}},
        "e":{"properties":{"branch":"try"},"slavepool":"unknown"},
        "f":{"properties":{"branch":"try"},"slavepool":null},
        "release-g":{"properties":{"branch":"try"},"slavepool":[]}}"#;
    let pools = r#""slavepools":{"full":["t-1","t-2"],"empty":[],"odd":null}"#;
    for document in
        [format!(r#"{{{builders},{pools},"schedulers":{{}}}}"#), format!(r#"{{"schedulers":{{}},{pools},{builders}}}"#)]
    {
        let (jobs, findings) = jobs(&read(document).unwrap());
        assert_eq!(jobs, ["try: a", "try: d", "try: e", "try: f"]);
        assert_eq!((findings.builders, findings.empty_slavepool, findings.not_runnable), (7, 2, 1));
        assert_eq!(findings.problems, []);
    }
}

#[test]
fn masters_are_kept_with_the_number_of_their_builders() {
    let document = r#"{"master_builders":{"bm1":["a","b"],"bm2":[]},"builders":{},"schedulers":{}}"#;
    let (_, findings) = jobs(&read(document).unwrap());
    assert_eq!(findings.masters, [("bm1".to_owned(), 2), ("bm2".to_owned(), 0)].into());
    for (document, problem) in [
        (
            r#"{"master_builders":[],"slavepools":7,"builders":{},"schedulers":{}}"#.to_owned(),
            "master_builders: an object is expected, not a list (byte 19)",
        ),
        (
            format!(
                r#"{{"builders":{{}},"schedulers":{{}},"master_builders":{{{}}}}}"#,
                (0..1001).map(|n| format!("\"{n}\":[]")).collect::<Vec<_>>().join(",")
            ),
            "master_builders: has more than 1000 masters: they are not compared (byte 0)",
        ),
    ] {
        let (_, findings) = jobs(&read(document).unwrap());
        assert_eq!((findings.problems[0].to_string().as_str(), findings.masters.len()), (problem, 0));
    }
}

#[test]
fn a_shared_shortname_means_the_build_on_the_tests_branch_or_else_the_first_by_name() {
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
fn a_test_with_the_name_of_a_b2g_build_is_not_its_build() {
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
fn the_first_scheduler_by_name_that_has_a_build_counts() {
    let (jobs, _) = Document::default()
        .build("try", "build 1", "linux64")
        .build("try", "build 2", "win32")
        .test("try", "test")
        .scheduler("tests-c", &["win32-opt-unittest"], &["test"])
        .scheduler("tests-b", &["linux64-talos"], &["test"])
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
fn progress_is_reported_every_thousand_builders() {
    let mut document = Vec::new();
    catalog::sample::write(3500, 1, &mut document).unwrap();
    let mut reported = Vec::new();

    let progress = &mut |progress: catalog::buildbot::Progress| reported.push((progress.builders, progress.bytes));
    catalog::buildbot::read(document.as_slice(), u64::MAX, progress).unwrap();

    assert_eq!(reported.iter().map(|(builders, _)| *builders).collect::<Vec<_>>(), [1000, 2000, 3000]);
    assert!(reported.is_sorted_by_key(|(_, bytes)| *bytes) && reported[2].1 < document.len() as u64);
}
