//! The commands that read dumps, and those that read the catalog.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use serde_json::Value;

use crate::program::{badly, feed, program, run, stderr, stdout, well};
use crate::support::http::Message;
use crate::support::taskcluster::{borrowed, full_graph, labels, runnable_jobs};
use crate::support::{Site, TestEnv, dump, file, gzip, lists, path, sample};

// Without a store.

#[test]
fn each_name_is_classified_to_a_line_of_json() {
    let names = "Windows 7 32-bit try pgo talos svgr\r\n\nno such builder";

    let output = feed(program(&["classify"]), names.as_bytes());

    insta::assert_snapshot!(well(&output));
    assert!(well(&output).lines().all(|line| serde_json::from_str::<Value>(line).is_ok()));
}

#[test]
fn a_name_that_is_not_utf_8_is_reported_with_its_line() {
    let output = feed(program(&["classify"]), b"Linux try build\n\xff\xfe\n");
    assert_eq!(badly(&output, 2), "runnable-jobs: standard input, line 2: a builder name in UTF-8 is expected");
}

#[test]
fn a_sample_becomes_a_folder_of_the_lists_that_http_serves() {
    let made = run(&["sample", "--builders", "2000", "--seed", "3"]);
    let document = well(&made).as_bytes();
    assert_eq!(document, sample(2000, 3));
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("new/lists");

    for input in [document.to_vec(), gzip(document)] {
        let output = feed(program(&["catalog", "--source", "-", "--out", out.to_str().unwrap(), "--json"]), &input);

        let report: Value = serde_json::from_str(well(&output)).unwrap();
        assert_eq!((&report["builders"], &report["outcome"]), (&2000.into(), &"checked".into()));
        let expected = lists(document);
        let written = std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut written: Vec<String> = written.collect();
        written.sort();
        assert_eq!(written, expected.keys().map(|project| format!("{project}.json")).collect::<Vec<_>>());
        for (project, body) in expected {
            assert_eq!(std::fs::read_to_string(out.join(format!("{project}.json"))).unwrap(), body, "{project}");
        }
    }
}

#[test]
fn what_changed_between_two_dumps_is_shown_as_a_table_or_as_json() {
    let old = file(&dump(&[("try", 0..5), ("ash", 0..2), ("same", 0..3)]));
    let new = file(&dump(&[("try", 1..7), ("oak", 0..1), ("same", 0..3)]));

    let table = run(&["diff", path(&old), path(&new)]);
    insta::assert_snapshot!("diff", well(&table));
    let names = run(&["diff", path(&old), path(&new), "--names"]);
    insta::assert_snapshot!("diff_names", well(&names));
    let json = run(&["diff", path(&old), path(&new), "--json"]);
    insta::assert_json_snapshot!("diff_json", serde_json::from_str::<Value>(well(&json)).unwrap());
    let same = run(&["diff", path(&old), path(&old)]);
    assert_eq!(well(&same), "unchanged projects: 3\n");
}

#[test]
fn a_folder_has_lists_of_both_build_systems() {
    let (source, graph) =
        (file(&dump(&[("try", 0..2), ("ash", 0..1)])), file(&gzip(&full_graph("try", &borrowed(&labels(0..2))))));
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let of_try = format!("try={}", path(&graph));

    let output = run(&["catalog", "--source", path(&source), "--taskcluster", &of_try, "--out", out]);

    let text = well(&output);
    assert!(text.contains(" 2 builders") || text.contains(" 3 builders: 3 jobs in 2 projects"), "{text}");
    assert!(text.contains("taskcluster: ") && text.contains("3 jobs in 1 projects, 0 problems"), "{text}");
    let list = |project: &str| -> Value {
        serde_json::from_slice(&std::fs::read(folder.path().join(format!("{project}.json"))).unwrap()).unwrap()
    };
    let names: Vec<Value> =
        list("try")["results"].as_array().unwrap().iter().map(|job| job["ref_data_name"].clone()).collect();
    assert_eq!(names.len(), 5);
    assert!(names.is_sorted_by_key(|name| name.as_str().unwrap().to_owned()), "{names:?}");
    assert_eq!(list("ash")["meta"]["count"], 1);

    let wrong = format!("ash={}", path(&graph));
    let output = run(&["catalog", "--taskcluster", &wrong, "--out", out]);
    assert_eq!(badly(&output, 3), "runnable-jobs: ash: the graph is of project try");
    for (flags, said) in [
        (vec!["--taskcluster", "https://example.org", "--taskcluster", &of_try], "--taskcluster takes one root URL"),
        (
            vec!["--taskcluster", &of_try, "--taskcluster", &of_try],
            "--taskcluster names two files of the project 'try'",
        ),
        (vec!["--taskcluster", "https://example.org"], "RUNNABLE_JOBS_TASKCLUSTER_PROJECTS is not set"),
    ] {
        let output = run(&[vec!["catalog", "--out", out], flags].concat());
        assert!(badly(&output, 2).contains(said), "{}", stderr(&output));
    }
    let output = run(&["catalog", "--taskcluster", "nonsense", "--out", out]);
    badly(&output, 2);
    assert!(stderr(&output).contains("a root URL (https://...) or PROJECT=FILE is expected"), "{}", stderr(&output));
}

#[test]
fn what_changed_between_two_task_graphs_is_shown() {
    let old = file(&gzip(&full_graph("try", &borrowed(&labels(0..3)))));
    let new = file(&full_graph("try", &borrowed(&labels(1..5))));
    let output = run(&["diff", "--taskcluster", path(&old), path(&new), "--names"]);
    let text = well(&output);
    assert!(
        text.contains("  + test-linux64/opt-mochitest-4") && text.contains("  - test-linux64/opt-mochitest-0"),
        "{text}"
    );
    assert!(text.ends_with("unchanged projects: 0\n"), "{text}");
    let runnable = file(&runnable_jobs(&borrowed(&labels(1..5))));
    assert!(
        well(&run(&["diff", "--taskcluster", path(&runnable), path(&runnable)])).ends_with("unchanged projects: 1\n")
    );
    let dump = file(&dump(&[("try", 0..5)]));
    badly(&run(&["diff", "--taskcluster", path(&dump), path(&new)]), 3);
}

#[test]
fn a_missing_or_wrong_setting_is_named_with_what_is_expected() {
    let source = ["ingest", "--source", "-"];
    let said = |arguments: &[&str]| badly(&run(arguments), 2).to_owned();
    assert_eq!(
        said(&source),
        "runnable-jobs: --table or RUNNABLE_JOBS_CATALOG_TABLE is not set: the name of the catalog table is expected"
    );
    for needs_a_table in [["runs", "--last=1"], ["show", "try"]] {
        assert!(said(&needs_a_table).starts_with("runnable-jobs: --table or RUNNABLE_JOBS_CATALOG_TABLE is not set: "));
    }
    assert!(
        said(&["ingest", "--table", "t"]).starts_with("runnable-jobs: --source or RUNNABLE_JOBS_SOURCE is not set: ")
    );

    let reported = |arguments: &[&str]| {
        let output = run(arguments);
        badly(&output, 2);
        stderr(&output).to_owned()
    };
    for (flag, value, expected) in [
        ("--schedule", "daily", "six fields are expected"),
        ("--max-drop-percent", "101", "a whole number from 0 to 100 is expected"),
        ("--min-builders", "many", "a whole number of at least 0 is expected"),
        ("--source", "ftp://someone:secret@host/a", "http, https, s3, a file or '-' can"),
    ] {
        let text = reported(&["ingest", flag, value]);
        // The value may come from a variable, and hold a password.
        assert!(text.contains(flag) && !text.contains(value) && text.contains(expected), "{text}");
    }
    let help =
        program(&["ingest", "--help"]).env("RUNNABLE_JOBS_SOURCE", "https://someone:secret@host/a").output().unwrap();
    assert!(well(&help).contains("RUNNABLE_JOBS_SOURCE") && !well(&help).contains("secret"), "{}", well(&help));
    let by_variable = program(&["runs", "--table", "t"]).env("RUNNABLE_JOBS_SCHEDULE", "daily").output().unwrap();
    badly(&by_variable, 2);
    assert!(stderr(&by_variable).contains("six fields are expected"), "{}", stderr(&by_variable));
}

#[test]
fn a_source_that_cannot_be_used_sets_the_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("lists");
    let catalog = |source: &str| run(&["catalog", "--source", source, "--out", out.to_str().unwrap()]);

    assert_eq!(badly(&catalog("/nowhere"), 4), "runnable-jobs: /nowhere: No such file or directory (os error 2)");
    let html = file(b"<!DOCTYPE html>");
    assert_eq!(badly(&catalog(path(&html)), 3), "runnable-jobs: this is not JSON: it starts with '<'");
    let gone = Site::new(Message::answer("404 Not Found", ""));
    assert_eq!(
        badly(&catalog(&gone.address), 4),
        format!("runnable-jobs: {}: the server answered 404 Not Found", gone.address)
    );
    assert!(!out.exists());
}

#[test]
fn a_reader_that_closes_the_pipe_ends_the_program_without_an_error() {
    let mut child = program(&["sample", "--builders", "20000"]);
    let mut child = child.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();

    let output = child.wait_with_output().unwrap();

    assert_eq!((line.as_str(), well(&output), stderr(&output)), ("{\n", "", ""));
}

// With a store.

#[tokio::test]
async fn an_ingest_can_be_followed_from_the_report_to_the_list() {
    let env = TestEnv::new().await;
    let document = dump(&[("try", 0..12), ("ash", 0..3)]);
    let source = file(&document);
    let with_table =
        |arguments: &[&str]| program(arguments).env("RUNNABLE_JOBS_CATALOG_TABLE", &env.name).output().unwrap();

    let none = with_table(&["runs"]);
    assert_eq!(well(&none), "no ingest has been made\n");

    let ingest = ["ingest", "--source", path(&source), "--min-builders", "1", "--json"];
    let first: Value = serde_json::from_str(well(&with_table(&ingest))).unwrap();
    assert_eq!((&first["outcome"], &first["jobs"]), (&"published".into(), &15.into()));
    let second: Value = serde_json::from_str(well(&with_table(&ingest))).unwrap();
    assert_eq!(second["outcome"], "unchanged");

    let runs = with_table(&["runs", "--json", "--schedule", "0 6 * * ? *"]);
    let runs: Value = serde_json::from_str(well(&runs)).unwrap();
    assert_eq!(runs["ingests"], serde_json::json!([second, first]));
    assert_eq!(runs["schedule"]["missed"], 0);
    let runs = with_table(&["runs"]);
    let rows: Vec<&str> = well(&runs).lines().collect();
    assert!(rows.len() == 3 && rows[0].starts_with("started") && rows[1].contains(" unchanged "), "{rows:?}");
    let last = with_table(&["runs", "--last", "1"]);
    assert!(well(&last).contains(" unchanged from "), "{}", well(&last));

    // Byte for byte the body that is stored.
    let stored = with_table(&["show", "try", "--json"]);
    assert_eq!(well(&stored), env.served().await["try"]);
    let shown = with_table(&["show", "ash"]);
    insta::assert_snapshot!("show", well(&shown));
    for (filter, value, jobs) in [
        ("--name", "MOCHITEST-1", 3),
        ("--name", "reftest", 0),
        ("--platform", "linux64", 12),
        ("--platform", "linux", 0),
        ("--group", "M", 12),
        ("--group", "Mochitest", 12),
        ("--group", "R", 0),
    ] {
        let table = with_table(&["show", "try", filter, value]);
        assert!(well(&table).ends_with(&format!("\n{jobs} jobs\n")), "{filter} {value}: {}", well(&table));
        let json = with_table(&["show", "try", filter, value, "--json"]);
        let json: Value = serde_json::from_str(well(&json)).unwrap();
        assert_eq!(json["meta"], serde_json::json!({"repository": "try", "offset": 0, "count": jobs}));
        assert_eq!(json["results"].as_array().unwrap().len(), jobs);
    }
    let unknown = with_table(&["show", "oak"]);
    assert_eq!(badly(&unknown, 2), "runnable-jobs: the catalog has no project 'oak'; it has ash, try");
}

#[tokio::test]
async fn both_build_systems_can_be_ingested_and_looked_at() {
    let env = TestEnv::new().await;
    let (source, graph) = (file(&dump(&[("try", 0..5)])), file(&full_graph("try", &borrowed(&labels(0..3)))));
    let of_try = format!("try={}", path(&graph));
    let with_table =
        |arguments: &[&str]| program(arguments).env("RUNNABLE_JOBS_CATALOG_TABLE", &env.name).output().unwrap();
    let ingest = ["ingest", "--source", path(&source), "--taskcluster", &of_try, "--min-builders", "1"];

    let both = with_table(&ingest);
    let text = well(&both);
    assert!(text.contains("5 builders: 5 jobs") && text.contains("taskcluster: "), "{text}");
    assert!(text.contains("published  ") && text.contains(path(&graph)), "{text}");

    let runs = with_table(&["runs"]);
    let rows: Vec<&str> = well(&runs).lines().collect();
    assert!(rows.len() == 3 && rows[1].contains(" taskcluster ") && rows[2].contains(" buildbot "), "{rows:?}");
    let of_buildbot = with_table(&["runs", "--build-system", "buildbot"]);
    assert_eq!(well(&of_buildbot).lines().count(), 2);
    let schedules = ["runs", "--json", "--schedule", "0 6 * * ? *", "--taskcluster-schedule", "20 * * * ? *"];
    let runs: Value = serde_json::from_str(well(&with_table(&schedules))).unwrap();
    assert_eq!((&runs["schedule"]["missed"], &runs["taskcluster_schedule"]["missed"]), (&0.into(), &0.into()));
    assert_eq!(runs["ingests"][0]["build_system"], "taskcluster");

    for (filter, value, jobs) in [
        ("--build-system", "taskcluster", 4),
        ("--build-system", "buildbot", 5),
        ("--tier", "2", 4),
        ("--tier", "1", 0),
    ] {
        let table = with_table(&["show", "try", filter, value]);
        assert!(well(&table).ends_with(&format!("\n{jobs} jobs\n")), "{filter} {value}: {}", well(&table));
    }

    // A project that only one of them has.
    let document = file(&dump(&[("try", 0..5), ("ash", 0..2)]));
    let ash = ["ingest", "--source", path(&document), "--taskcluster", &of_try, "--min-builders", "1", "--only", "ash"];
    assert!(!well(&with_table(&ash)).contains("taskcluster: "));

    // The worse of the two exit codes; the other ingest is made all the same.
    let gone = ["ingest", "--source", "/nowhere", "--taskcluster", &of_try];
    assert_eq!(badly(&with_table(&gone), 4), "runnable-jobs: /nowhere: No such file or directory (os error 2)");
    let runs = with_table(&["runs", "--last", "1"]);
    assert!(
        well(&runs).contains(" unchanged from ") && well(&runs).contains(" failed from /nowhere"),
        "{}",
        well(&runs)
    );
    let wrong = format!("oak={}", path(&graph));
    let refused = ["ingest", "--source", path(&document), "--taskcluster", &wrong, "--min-builders", "1"];
    let refused = with_table(&refused);
    assert_eq!(badly(&refused, 3), "runnable-jobs: oak: the graph is of project try");
    assert!(stdout(&refused).contains("\n  oak: the graph is of project try\n"), "{}", stdout(&refused));
}

#[tokio::test]
async fn a_refused_ingest_says_why_and_that_the_catalog_stays() {
    let env = TestEnv::new().await;
    let few = file(&dump(&[("try", 0..5)]));

    let output = run(&["ingest", "--source", path(&few), "--table", &env.name]);

    assert_eq!(badly(&output, 3), "runnable-jobs: the catalog stays as it was");
    let said = "refused: the source holds 5 builders, fewer than the configured 1000\n  the old catalog stays";
    assert!(stdout(&output).contains(said), "{}", stdout(&output));
    let cut = file(b"{\"builders\": {\"Linux");
    let output = run(&["ingest", "--source", path(&cut), "--table", &env.name]);
    assert_eq!(badly(&output, 3), "runnable-jobs: the catalog stays as it was");
    assert!(stdout(&output).contains("(byte "), "{}", stdout(&output));
}

#[tokio::test]
async fn a_source_that_cannot_be_reached_is_exit_code_4() {
    let env = TestEnv::new().await;
    let output = run(&["ingest", "--source", "s3://no-such-bucket/a.json", "--table", &env.name]);
    assert!(
        badly(&output, 4).starts_with("runnable-jobs: s3://no-such-bucket/a.json: NoSuchBucket"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_store_that_cannot_be_reached_is_exit_code_5() {
    let source = file(&dump(&[("try", 0..5)]));
    for arguments in [
        vec!["ingest", "--source", path(&source), "--table", "catalog"],
        vec!["runs", "--table", "catalog"],
        vec!["show", "try", "--table", "catalog"],
    ] {
        let output =
            program(&arguments).env("AWS_ENDPOINT_URL", test_support::store::http::closed_address()).output().unwrap();
        let said = badly(&output, 5);
        assert!(said.contains("reading the ") && said.contains("the store cannot be reached"), "{said}");
    }
}

#[test]
fn a_table_that_is_not_there_is_named() {
    let output = run(&["runs", "--table", "no-such-table"]);
    assert!(badly(&output, 5).contains("no-such-table"), "{}", stderr(&output));
}

/// Another ingest publishes the project after this one has read its pointer and before it moves it.
#[tokio::test]
async fn an_ingest_that_another_overtook_is_exit_code_6() {
    let env = TestEnv::new().await;
    let refuse = test_support::store::proxy::Plan::Refuse("ConditionalCheckFailedException");
    let mut puts = 0;
    let overtaking = test_support::store::proxy::Proxy::start(move |operation, _| {
        puts += usize::from(operation == "PutItem");
        // The first is of the report; the second moves the pointer.
        if operation == "PutItem" && puts == 2 { refuse } else { test_support::store::proxy::Plan::Pass }
    });
    let source = file(&dump(&[("try", 0..5)]));

    let ingest = ["ingest", "--source", path(&source), "--table", &env.name, "--min-builders", "1"];
    let output = program(&ingest).env("AWS_ENDPOINT_URL", &overtaking.endpoint).output().unwrap();

    assert_eq!(badly(&output, 6), "runnable-jobs: try was published by another ingest meanwhile; this one stops");
    assert_eq!(env.last_report().await.outcome, store::ReportOutcome::Superseded);
}

#[tokio::test]
async fn the_reader_of_a_list_may_close_the_pipe() {
    let env = TestEnv::new().await;
    let source = file(&dump(&[("try", 0..3000)]));
    env.ingest(path(&source)).made_well().await;

    for json in [&["show", "try", "--json"][..], &["show", "try"]] {
        let mut show = program(json);
        show.env("RUNNABLE_JOBS_CATALOG_TABLE", &env.name).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = show.spawn().unwrap();
        let mut start = [0; 7];
        child.stdout.take().unwrap().read_exact(&mut start).unwrap();

        let output = child.wait_with_output().unwrap();

        assert_eq!((well(&output), stderr(&output)), ("", ""));
    }
}
