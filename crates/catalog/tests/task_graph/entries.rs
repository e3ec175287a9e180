//! What becomes of an entry.

use serde_json::{Value, json};

use crate::{accepted, lines, problems, read};

/// A full entry under the label `a` with this Treeherder data.
fn full(treeherder: &Value) -> Value {
    json!({"a": {"label": "a", "dependencies": {}, "task": {"extra": {"treeherder": treeherder}}}})
}

/// A full entry with this tier and build.
fn task(tier: u8, build: &Value) -> Value {
    json!({"dependencies": {"build": build}, "task": {"extra": {"treeherder": {"symbol": "T", "tier": tier}}}})
}

/// The only job of a document without problems.
fn job(document: &Value) -> String {
    let (mut jobs, problems) = accepted(document.to_string());
    assert_eq!((jobs.len(), problems), (1, vec![]), "{document}");
    jobs.remove(0)
}

/// The only problem of a document whose only entry is left out.
fn left_out(document: &Value) -> String {
    let graph = read(document.to_string()).expect("a document that is accepted");
    assert_eq!((graph.len(), graph.findings().left_out), (0, 1), "{document}");
    let mut problems = problems(&graph);
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems.remove(0)
}

#[test]
fn an_entry_of_runnable_jobs_is_a_job_without_tier() {
    let entry = json!({"symbol": "bc3", "groupSymbol": "M", "groupName": "Mochitests", "collection": {"debug": true},
        "platform": "linux2404-64", "unknown": [{"symbol": 7}]});
    assert_eq!(
        job(&json!({"test-linux/debug-bc-3": entry})),
        "test-linux/debug-bc-3 M(bc3) Mochitests @linux2404-64 debug"
    );
}

#[test]
fn an_entry_of_a_full_graph_is_a_job_with_tier_and_build() {
    let document = json!({"test": {
        "kind": "test", "label": "test", "attributes": {"symbol": "no"}, "symbol": {"of": "nothing"},
        "dependencies": {"toolchain": "t", "build": "build-linux"},
        "task": {"payload": {"extra": {}}, "routes": ["index.x", "tc-treeherder.v2.try.0123.7"], "extra": {
            "chunks": {"current": 3}, "treeherder": {"symbol": "bc3", "groupSymbol": "M", "groupName": "Mochitests",
                "collection": {"debug": true}, "machine": {"platform": "linux2404-64", "x": 1}, "tier": 2,
                "jobKind": "test"}}}},
        "build-linux": {"task": {"extra": {"treeherder": {"symbol": "B"}}}}});
    let graph = read(document.to_string()).unwrap();
    assert_eq!(
        lines(&graph),
        ["build-linux (B)  @ opt tier 1", "test M(bc3) Mochitests @linux2404-64 debug tier 2 <- build-linux"]
    );
    let findings = graph.findings();
    assert_eq!((findings.labels, findings.bytes, findings.problem_count), (2, document.to_string().len() as u64, 0));
    assert_eq!((findings.project.as_deref(), findings.has_tiers), (Some("try"), true));
}

#[test]
fn only_the_symbol_is_mandatory() {
    assert_eq!(job(&json!({"a": {"symbol": "B"}})), "a (B)  @ opt");
    assert_eq!(job(&full(&json!({"symbol": "B"}))), "a (B)  @ opt tier 1");
    let nulls = json!({"symbol": "B", "groupName": null, "groupSymbol": null, "collection": null, "platform": null});
    assert_eq!(job(&json!({"a": nulls})), "a (B)  @ opt");
    let nulls = json!({"symbol": "B", "groupName": null, "collection": null, "machine": null, "tier": null});
    assert_eq!(job(&full(&nulls)), "a (B)  @ opt tier 1");
    assert_eq!(job(&full(&json!({"symbol": "B", "machine": {"platform": null}}))), "a (B)  @ opt tier 1");
}

#[test]
fn a_number_is_the_text_that_it_is_written_as() {
    assert_eq!(job(&json!({"a": {"symbol": 1, "groupSymbol": -2.5}})), "a -2.5(1)  @ opt");
    assert_eq!(job(&full(&json!({"symbol": 17}))), "a (17)  @ opt tier 1");
}

#[test]
fn an_entry_without_a_symbol_is_left_out_and_counted() {
    for (document, problem) in [
        (json!({"a": {"platform": "p"}}), "a.symbol: is missing (byte 5)"),
        (json!({"a": {"platform": "p", "symbol": null}}), "a.symbol: is missing (byte 5)"),
        (json!({"a": {"symbol": true}}), "a.symbol: a string is expected, not true or false (byte 15)"),
        (json!({"a": {"symbol": ["B"]}}), "a.symbol: a string is expected, not a list (byte 15)"),
        (json!({"a": {"symbol": "a\nb"}}), "a.symbol: holds a control character (byte 16)"),
        (json!({"a": {"task": {"extra": {"treeherder": {}}}}}), "a.task.extra.treeherder.symbol: is missing (byte 36)"),
    ] {
        assert_eq!(left_out(&document), problem);
    }
}

#[test]
fn an_entry_of_another_shape_is_left_out_and_counted() {
    for (entry, problem) in [
        (json!({"symbol": "B", "groupName": {}}), "a.groupName: a string is expected, not an object (byte 18)"),
        (json!({"symbol": "B", "groupSymbol": []}), "a.groupSymbol: a string is expected, not a list (byte 20)"),
        (json!({"platform": false, "symbol": "B"}), "a.platform: a string is expected, not true or false (byte 17)"),
        (json!({"collection": ["opt"], "symbol": "B"}), "a.collection: an object is expected, not a list (byte 19)"),
        (json!({"collection": {"\n": true}, "symbol": "B"}), "a.collection: holds a control character (byte 21)"),
        (json!({"task": 7}), "a.task: an object is expected, not a number (byte 13)"),
        (json!({"task": null}), "a.task: an object is expected, not null (byte 13)"),
        (json!({"task": {"extra": "x"}}), "a.task.extra: an object is expected, not a string (byte 22)"),
        (
            json!({"task": {"extra": {"treeherder": 1}}}),
            "a.task.extra.treeherder: an object is expected, not a number (byte 36)",
        ),
    ] {
        assert_eq!(left_out(&json!({"a": entry})), problem);
    }
    let (jobs, problems) = accepted(r#"{"a": "x", "b": null, "c": {"symbol": "C"}}"#);
    assert_eq!(jobs, ["c (C)  @ opt"]);
    assert_eq!(
        problems,
        ["a: an object is expected, not a string (byte 6)", "b: an object is expected, not null (byte 16)",]
    );
}

#[test]
fn a_task_without_treeherder_data_is_not_listed_but_counted() {
    let document = json!({"a": {"task": {}}, "b": {"task": {"extra": null}},
        "c": {"task": {"extra": {"treeherder": null}}}, "d": {"task": {"extra": {}}}, "e": {"task": {"extra": {"treeherder": {"symbol": "E"}}}}});
    let graph = read(document.to_string()).unwrap();
    assert_eq!(lines(&graph), ["e (E)  @ opt tier 1"]);
    assert_eq!((graph.findings().labels, graph.findings().without_treeherder), (5, 4));
    assert_eq!(problems(&graph), [""; 0]);
}

#[test]
fn the_options_are_the_keys_of_the_collection_that_are_true() {
    for (collection, option) in [
        (json!({}), "opt"),
        (json!({"debug": true}), "debug"),
        (json!({"opt": true, "asan": true}), "asan opt"),
        (json!({"opt": false, "asan": true, "x": 1, "y": "true", "z": null, "": true}), "asan"),
        (json!({"opt": false}), "opt"),
    ] {
        assert_eq!(job(&json!({"a": {"symbol": "B", "collection": collection}})), format!("a (B)  @ {option}"));
        let treeherder = json!({"symbol": "B", "collection": collection});
        assert_eq!(job(&full(&treeherder)), format!("a (B)  @ {option} tier 1"));
    }
    let many: serde_json::Map<String, Value> = (0..300).map(|n| (format!("o{n}"), Value::Bool(true))).collect();
    let problem = left_out(&json!({"a": {"collection": many, "symbol": "B"}}));
    assert!(problem.starts_with("a.collection: the options have more than 1000 bytes"), "{problem}");
}

#[test]
fn another_tier_than_1_to_3_is_a_problem_and_the_job_is_listed_with_tier_1() {
    for tier in 1..=3 {
        assert_eq!(job(&full(&json!({"symbol": "B", "tier": tier}))), format!("a (B)  @ opt tier {tier}"));
    }
    for (tier, shown) in
        [(json!(0), "0"), (json!(4), "4"), (json!(12), "12"), (json!(1.5), "1.5"), (json!("2"), "a string")]
    {
        let (jobs, problems) = accepted(full(&json!({"symbol": "B", "tier": tier})).to_string());
        assert_eq!(jobs, ["a (B)  @ opt tier 1"]);
        assert_eq!(problems.len(), 1);
        let expected = format!("a.task.extra.treeherder.tier: 1, 2 or 3 is expected, not {shown} (byte ");
        assert!(problems[0].starts_with(&expected), "{problems:?}");
    }
}

#[test]
fn a_build_that_is_not_listed_stays_the_upstream_and_is_counted() {
    let entry =
        |build: &str| json!({"dependencies": {"build": build}, "task": {"extra": {"treeherder": {"symbol": "T"}}}});
    let document = json!({"a": entry("b"), "b": {"task": {}}, "c": entry("gone"), "d": entry("a")});
    let graph = read(document.to_string()).unwrap();
    assert_eq!(lines(&graph), ["a (T)  @ opt tier 1 <- b", "c (T)  @ opt tier 1 <- gone", "d (T)  @ opt tier 1 <- a"]);
    assert_eq!((graph.findings().upstream_not_listed, graph.findings().without_treeherder), (2, 1));
}

#[test]
fn a_build_that_is_not_a_label_is_a_problem_and_the_job_is_listed_without() {
    let document = json!({"a": {"dependencies": {"build": ["b"]}, "task": {"extra": {"treeherder": {"symbol": "T"}}}}});
    let (jobs, problems) = accepted(document.to_string());
    assert_eq!(jobs, ["a (T)  @ opt tier 1"]);
    assert_eq!(problems, ["a.dependencies.build: a string is expected, not a list (byte 30)"]);
    let document = json!({"a": {"dependencies": 1, "task": {"extra": {"treeherder": {"symbol": "T"}}}}});
    let (jobs, problems) = accepted(document.to_string());
    assert_eq!(jobs, ["a (T)  @ opt tier 1"]);
    assert_eq!(problems, ["a.dependencies: an object is expected, not a number (byte 21)"]);
    for dependencies in [json!(null), json!({"build": null}), json!({"docker-image": "d"})] {
        let document = json!({"a": {"dependencies": dependencies, "task": {"extra": {"treeherder": {"symbol": "T"}}}}});
        assert_eq!(job(&document), "a (T)  @ opt tier 1");
    }
}

#[test]
fn of_a_repeated_label_the_later_entry_counts() {
    let twice = "the label stands in the document twice: the later entry counts";
    let graph = read(r#"{"a": {"symbol": "1"}, "b": {"symbol": "B"}, "a": {"symbol": "2"}}"#).unwrap();
    assert_eq!(lines(&graph), ["a (2)  @ opt", "b (B)  @ opt"]);
    assert_eq!((graph.findings().labels, graph.findings().repeated), (3, 1));
    assert_eq!(problems(&graph), [format!("a: {twice} (byte 46)")]);

    let graph = read(r#"{"a": {"symbol": "1"}, "a": {"task": {}}, "a": {"task": {}}}"#).unwrap();
    assert_eq!(lines(&graph), [""; 0]);
    assert_eq!((graph.findings().repeated, graph.findings().without_treeherder), (2, 1));

    let graph = read(r#"{"a": {"symbol": "1"}, "a": {"platform": "p"}}"#).unwrap();
    assert_eq!(lines(&graph), [""; 0]);
    assert_eq!((graph.findings().repeated, graph.findings().left_out), (1, 1));
}

#[test]
fn a_member_that_stands_in_an_entry_twice_counts_as_it_stands_last() {
    let document = r#"{"a": {"task": {"extra": {"treeherder": {"symbol": "1", "collection": {"debug": true}}}},
        "dependencies": {"build": "x"}, "dependencies": {}, "task": {"extra": {"treeherder": {"symbol": "2"}}}}}"#;
    assert_eq!(accepted(document), (vec!["a (2)  @ opt tier 1".to_owned()], vec![]));
}

#[test]
fn the_project_is_the_one_that_most_tasks_have_a_route_to() {
    let project = |routes: &[Value]| {
        let entries = routes.iter().enumerate();
        let entries = entries.map(|(n, routes)| (format!("l{n}"), json!({"task": {"routes": routes}})));
        let graph = read(Value::Object(entries.collect()).to_string()).unwrap();
        (graph.findings().project.clone().unwrap_or_default(), problems(&graph))
    };
    for routes in [
        json!(["tc-treeherder.v2.autoland.5ecc5707de56701327b84c2036d13ec05de59b94.0"]),
        json!(["index.gecko.v2.try.latest", "tc-treeherder.v2.autoland.5ecc5707", "tc-treeherder.v2.other"]),
        json!(["tc-treeherder.v2.autoland"]),
        json!([null, 7, ["tc-treeherder.v2.try"], "tc-treeherder.v2.autoland", "checks"]),
    ] {
        assert_eq!(project(&[routes]), ("autoland".to_owned(), vec![]));
    }
    for routes in [
        json!(null),
        json!([]),
        json!(["tc-treeherder.v1.try"]),
        json!(["tc-treeherder.v2.a b.c"]),
        json!(["tc-treeherder.v2."]),
    ] {
        assert_eq!(project(&[routes]), (String::new(), vec![]));
    }
    let [one, two] = ["try", "autoland"].map(|name| json!([format!("tc-treeherder.v2.{name}.0123")]));
    let (most, problems) = project(&[one.clone(), two.clone(), one.clone()]);
    assert_eq!(most, "try");
    let several = "the document: the routes of the tasks name 2 projects: try (2), autoland (1)";
    assert!(problems[0].starts_with(several), "{problems:?}");
    assert_eq!(project(&[one, two]).0, "autoland", "of as many the first by name");

    let (_, problems) = project(&[json!("tc-treeherder.v2.try")]);
    assert_eq!(problems, ["l0.task.routes: a list is expected, not a string (byte 24)"]);
}

#[test]
fn jobs_come_in_the_order_of_their_labels() {
    let (jobs, _) = accepted(
        r#"{"b": {"symbol": 1}, "é": {"symbol": 1}, "B": {"symbol": 1}, "a-1": {"symbol": 1}, "a": {"symbol": 1}}"#,
    );
    let labels: Vec<&str> = jobs.iter().map(|job| job.split(' ').next().unwrap()).collect();
    assert_eq!(labels, ["B", "a", "a-1", "b", "é"]);
}

#[test]
fn a_graph_without_tiers_takes_tier_and_build_from_the_latest_one() {
    let task = |tier: u8, build: Value| task(tier, &build);
    let latest = json!({"build": task(1, json!(null)), "old": task(1, json!(null)), "other": task(2, json!("build")),
        "test": task(3, json!("build")), "test-2": task(2, json!("old")), "test-3": task(2, json!("not-listed"))});
    let latest = read(latest.to_string()).unwrap();
    let entry = || json!({"symbol": "S", "platform": "p"});
    let push = json!({"build": entry(), "new": entry(), "test": entry(), "test-2": entry(), "test-3": entry()});
    let mut push = read(push.to_string()).unwrap();
    assert!(!push.findings().has_tiers && latest.findings().has_tiers);

    push.join(latest.jobs());

    assert_eq!(
        lines(&push),
        [
            "build (S)  @p opt tier 1",
            "new (S)  @p opt",
            "test (S)  @p opt tier 3 <- build",
            "test-2 (S)  @p opt tier 2",
            "test-3 (S)  @p opt tier 2"
        ]
    );
}

#[test]
fn a_full_graph_keeps_its_own_tiers_and_builds() {
    let task = |tier: u8, build: &str| task(tier, &json!(build));
    let document = |tier, build| read(json!({"a": task(tier, build), "b": task(1, "a")}).to_string()).unwrap();
    let (mut graph, other) = (document(1, ""), document(3, "b"));
    let before = lines(&graph);
    graph.join(other.jobs());
    assert_eq!(lines(&graph), before);
}

#[test]
fn jobs_of_other_build_systems_are_not_joined() {
    let latest = read(full(&json!({"symbol": "B", "tier": 3})).to_string()).unwrap();
    let mut graph = read(r#"{"a": {"symbol": "B"}}"#).unwrap();
    graph.join(latest.jobs().map(|mut job| {
        job.build_system = "buildbot";
        job
    }));
    assert_eq!(lines(&graph), ["a (B)  @ opt"]);
}

#[test]
fn every_thousand_labels_are_reported() {
    let document: Value =
        (0..2500).map(|n| (format!("l{n}"), json!({"symbol": "B"}))).collect::<serde_json::Map<_, _>>().into();
    let mut reported = Vec::new();
    let document = document.to_string();
    let read =
        catalog::taskcluster::TaskGraph::read(document.as_bytes(), u64::MAX, &mut |labels| reported.push(labels));
    assert_eq!(read.unwrap().len(), 2500);
    assert_eq!(reported, [1000, 2000]);
}
