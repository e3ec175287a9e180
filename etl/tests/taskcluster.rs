//! Ingests of Taskcluster, alone and beside those of Buildbot.

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use catalog::guards::GuardRefusal;
use catalog::{buildbot, taskcluster};
use etl::ingest::IngestError;
use etl::source::taskcluster::TaskclusterSource;
use serde_json::Value;
use store::{Consistency, FailureCode, GraphOutcome, Report, ReportOutcome, StoreError};
use support::http::Message;
use support::proxy::{Plan, Proxy, is_write};
use support::taskcluster::{
    FULL, FakeTaskcluster, RUNNABLE, borrowed, full_graph, graph, labels, runnable_jobs, task_id,
};
use support::{Site, TestEnv, catalog_items, dump, file, gzip, lists, path};

fn writes(proxy: &Proxy) -> Vec<String> {
    proxy.seen().into_iter().filter(|operation| is_write(operation)).collect()
}

/// The names of a served list's jobs of a build system.
fn names(served: &BTreeMap<String, String>, project: &str, build_system: &str) -> Vec<String> {
    let Some(body) = served.get(project) else { return Vec::new() };
    let body: Value = serde_json::from_str(body).expect("JSON");
    let jobs = body["results"].as_array().expect("jobs").iter();
    let jobs = jobs.filter(|job| job["build_system_type"] == build_system);
    jobs.map(|job| job["ref_data_name"].as_str().expect("a name").to_owned()).collect()
}

fn buildbots(document: &[u8], project: &str) -> Vec<String> {
    names(&lists(document), project, buildbot::BUILD_SYSTEM)
}

/// A Taskcluster whose projects have graphs with these many tests.
fn graphs(try_: u32, autoland: u32) -> FakeTaskcluster {
    graphs_of(1, try_, autoland)
}

/// The same, with decision tasks of this number and the next.
fn graphs_of(number: u32, try_: u32, autoland: u32) -> FakeTaskcluster {
    let fake = FakeTaskcluster::new();
    fake.decide_with("try", number, &borrowed(&labels(0..try_)));
    fake.decide_with("autoland", number + 1, &borrowed(&labels(0..autoland)));
    fake
}

// One list of both.

#[tokio::test]
async fn each_build_systems_ingest_keeps_the_jobs_of_the_other_in_either_order() {
    let document = dump(&[("try", 0..5), ("ash", 0..3)]);
    let source = file(&document);
    let mut bodies = Vec::new();
    for buildbot_first in [true, false] {
        let env = TestEnv::new().await;
        let fake = graphs(4, 2);
        if buildbot_first {
            env.ingest(path(&source)).made_well().await;
        }
        let report = env.ingest_taskcluster(fake.source()).made_well().await;
        assert_eq!((report.build_system.as_str(), report.outcome), ("taskcluster", ReportOutcome::Published));
        assert_eq!((report.jobs, report.projects["try"].added, report.projects["try"].removed), (8, 5, 0));
        assert_eq!(graph(&report, "try").decision_task.as_deref(), Some(&*task_id(1)));
        assert_eq!(graph(&report, "try").artifact.as_deref(), Some(FULL));
        assert_eq!(env.last_report().await, report);
        if !buildbot_first {
            let report = env.ingest(path(&source)).made_well().await;
            assert_eq!((report.projects["try"].added, report.projects["try"].removed), (5, 0));
        }
        let served = env.served().await;
        assert_eq!(served.keys().collect::<Vec<_>>(), ["ash", "autoland", "try"]);
        assert_eq!(names(&served, "try", "buildbot"), buildbots(&document, "try"));
        assert_eq!(names(&served, "try", "taskcluster"), labels(0..4));
        assert_eq!(names(&served, "autoland", "taskcluster"), labels(0..2));
        assert_eq!(served["ash"], lists(&document)["ash"]);
        let pointer = env.table().pointer("try").await.unwrap().unwrap();
        assert_eq!((pointer.jobs_of("buildbot"), pointer.jobs_of("taskcluster")), (5, 5));
        assert_eq!(
            env.table().projects(Consistency::Consistent).await.unwrap(),
            ["ash", "autoland", "try"].map(str::to_owned).into()
        );
        bodies.push(served);

        // A new dump and a new graph replace their own jobs only.
        let changed = dump(&[("try", 1..7), ("ash", 0..3)]);
        env.ingest(path(&file(&changed))).made_well().await;
        fake.decide_with("try", 3, &borrowed(&labels(1..6)));
        let report = env.ingest_taskcluster(fake.source()).made_well().await;
        assert_eq!((report.projects["try"].added, report.projects["try"].removed), (2, 1));
        assert_eq!(graph(&report, "autoland").outcome, GraphOutcome::Unchanged);
        let served = env.served().await;
        assert_eq!(names(&served, "try", "buildbot"), buildbots(&changed, "try"));
        assert_eq!(names(&served, "try", "taskcluster"), labels(1..6));
    }
    assert_eq!(bodies[0], bodies[1]);
}

#[tokio::test]
async fn a_project_that_buildbot_no_longer_names_keeps_its_jobs_of_taskcluster() {
    let env = TestEnv::new().await;
    env.ingest(path(&file(&dump(&[("try", 0..5), ("ash", 0..3), ("oak", 0..2)])))).made_well().await;
    env.ingest_taskcluster(graphs(4, 2).source()).made_well().await;
    let rest = dump(&[("ash", 0..3)]);
    let rest_file = file(&rest);

    let (report, refused) = env.ingest(path(&rest_file)).made_badly().await;
    assert_eq!(refused.exit_code(), 3);
    assert!(report.refusals.contains(&GuardRefusal::ProjectGone { project: "try".to_owned(), before: 5 }));

    let report = env.ingest(path(&rest_file)).with(|run| run.force = true).made_well().await;
    assert_eq!((report.projects["try"].removed, report.projects["oak"].removed), (5, 2));
    let served = env.served().await;
    assert_eq!(served.keys().collect::<Vec<_>>(), ["ash", "autoland", "try"]);
    assert_eq!(names(&served, "try", "buildbot"), [""; 0]);
    assert_eq!(names(&served, "try", "taskcluster"), labels(0..4));
    assert_eq!(env.ingest(path(&rest_file)).made_well().await.outcome, ReportOutcome::Unchanged);
}

// What is as it was.

#[tokio::test]
async fn an_unchanged_decision_task_is_not_fetched_and_writes_only_the_report() {
    let env = TestEnv::new().await;
    let fake = graphs(4, 2);
    env.ingest_taskcluster(fake.source()).made_well().await;
    let before = catalog_items(&env.client, &env.name).await;
    fake.asked();

    // Twice: the second learns the decision tasks from a report that read nothing.
    for _ in 0..2 {
        let proxy = Proxy::start(|_, _| Plan::Pass);
        let report = env.ingest_taskcluster(fake.source()).through(&proxy.endpoint).made_well().await;

        assert_eq!((report.outcome, report.items_written, report.jobs), (ReportOutcome::Unchanged, 0, 8));
        assert_eq!(graph(&report, "try").artifact.as_deref(), Some(FULL));
        assert_eq!(writes(&proxy), ["PutItem"]);
        let asked = fake.asked();
        assert!(asked.len() == 2 && asked.iter().all(|path| path.starts_with("/api/index/")), "{asked:?}");
    }
    assert_eq!(catalog_items(&env.client, &env.name).await, before);

    // Made by other rules, the lists are made again.
    let key = support::items(&env.client, &env.name).await.into_keys();
    let last = key.filter(|(pk, _)| pk == "ingest#taskcluster").max().expect("a report");
    let other = Report { rules: "other rules".to_owned(), ..env.last_report().await };
    let other = aws_sdk_dynamodb::types::AttributeValue::S(serde_json::to_string(&other).unwrap());
    support::set(&env.client, &env.name, (&last.0, &last.1), "report", Some(other)).await;
    env.ingest_taskcluster(fake.source()).made_well().await;
    assert!(fake.asked().iter().any(|path| path.contains("artifacts")));
}

#[tokio::test]
async fn a_new_decision_task_with_the_same_jobs_writes_only_the_report() {
    let env = TestEnv::new().await;
    let fake = graphs(4, 2);
    env.ingest(path(&file(&dump(&[("try", 0..5)])))).made_well().await;
    env.ingest_taskcluster(fake.source()).made_well().await;
    let before = catalog_items(&env.client, &env.name).await;
    fake.decide_with("try", 3, &borrowed(&labels(0..4)));
    let proxy = Proxy::start(|_, _| Plan::Pass);

    let report = env.ingest_taskcluster(fake.source()).through(&proxy.endpoint).made_well().await;

    assert_eq!(report.outcome, ReportOutcome::Unchanged);
    assert_eq!(graph(&report, "try").decision_task.as_deref(), Some(&*task_id(3)));
    assert_eq!((writes(&proxy), report.projects["try"].unchanged), (vec!["PutItem".to_owned()], 5));
    assert_eq!(catalog_items(&env.client, &env.name).await, before);
}

#[tokio::test]
async fn buildbots_source_is_not_read_again_after_taskcluster_published() {
    let env = TestEnv::new().await;
    let site = Site::with_etag(&dump(&[("try", 0..5), ("ash", 0..3)]), "\"1\"");
    let fake = graphs(4, 2);
    let asked = || site.asked().pop().expect("a request").header("if-none-match").map(str::to_owned);
    env.ingest(&site.address).made_well().await;
    site.asked();
    for number in 3..6 {
        // Its first publication is of a project that has no list, too.
        env.ingest_taskcluster(fake.source()).made_well().await;
        let proxy = Proxy::start(|_, _| Plan::Pass);
        let report = env.ingest(&site.address).through(&proxy.endpoint).made_well().await;
        assert_eq!((asked().as_deref(), report.outcome), (Some("\"1\""), ReportOutcome::Unchanged));
        assert_eq!(writes(&proxy), ["PutItem"]);
        fake.decide_with("try", number, &borrowed(&labels(0..number)));
    }
    // And Taskcluster's decision tasks are not read again after Buildbot published.
    env.ingest_taskcluster(fake.source()).made_well().await;
    site.replace(&dump(&[("try", 0..6), ("ash", 0..3)]), "\"2\"");
    assert_eq!(env.ingest(&site.address).made_well().await.outcome, ReportOutcome::Published);
    fake.asked();
    assert_eq!(env.ingest_taskcluster(fake.source()).made_well().await.outcome, ReportOutcome::Unchanged);
    assert_eq!(fake.asked().len(), 2);
    assert_eq!(env.ingest(&site.address).made_well().await.outcome, ReportOutcome::Unchanged);
}

// What is not published.

/// What is done to a Taskcluster with a decision task of `try`.
type Change = Box<dyn Fn(&FakeTaskcluster, &str)>;

/// A case: what is wrong, how, and the exit code, the code and a part of the sentence that it leads to.
type Case = (&'static str, Change, u8, FailureCode, &'static str);

fn bad_graphs() -> Vec<Case> {
    let put = |name: &'static str, content: Vec<u8>| -> Change {
        Box::new(move |fake: &FakeTaskcluster, id: &str| fake.put(id, name, &content))
    };
    let whole = full_graph("try", &borrowed(&labels(0..150)));
    vec![
        ("empty", put(FULL, b"{}".to_vec()), 3, FailureCode::DocumentBroken, "neither"),
        (
            "nothing to list",
            put(FULL, br#"{"a": {"label": "a", "kind": "a", "dependencies": {}, "task": {"extra": {}}}}"#.to_vec()),
            3,
            FailureCode::Guarded,
            "the task graph of try has no jobs",
        ),
        (
            "few jobs",
            put(FULL, full_graph("try", &borrowed(&labels(0..100)))),
            3,
            FailureCode::Guarded,
            "try would lose 50 of its 151 jobs",
        ),
        ("cut", put(FULL, whole[..whole.len() / 2].to_vec()), 3, FailureCode::DocumentBroken, "(byte "),
        ("a list", put(FULL, b"[]".to_vec()), 3, FailureCode::DocumentBroken, ""),
        ("cut gzip", put(FULL, gzip(&whole)[..500].to_vec()), 4, FailureCode::SourceUnavailable, ""),
        (
            "gzip bomb",
            put(FULL, gzip(&[b"{\"x\": \"".as_slice(), &vec![b' '; 11_000_000], b"\"}"].concat())),
            3,
            FailureCode::DocumentBroken,
            "10000000 bytes",
        ),
        (
            "another project's graph",
            put(FULL, full_graph("autoland", &borrowed(&labels(0..150)))),
            3,
            FailureCode::WrongProject,
            "the graph is of project autoland",
        ),
        (
            "another project's task",
            Box::new(|fake: &FakeTaskcluster, id: &str| {
                fake.put(id, RUNNABLE, &runnable_jobs(&borrowed(&labels(0..150))));
                fake.is_of(id, "mozilla-beta");
            }),
            3,
            FailureCode::WrongProject,
            "the graph is of project mozilla-beta",
        ),
        ("no artifact", Box::new(|_: &FakeTaskcluster, _: &str| ()), 4, FailureCode::ArtifactMissing, ""),
    ]
}

fn bad_answers() -> Vec<Case> {
    let page = "<!DOCTYPE html><title>502</title>";
    let error = r#"{"code": "ResourceExpired", "message": "Artifact has expired\n\n---\n\n* x"}"#;
    let reason = r#"{"reason": "file-missing-on-worker", "message": "No such file"}"#;
    let both = |answer: Message| -> Change {
        Box::new(move |fake: &FakeTaskcluster, id: &str| {
            fake.answer_artifact(id, FULL, answer.clone());
            fake.answer_artifact(id, RUNNABLE, answer.clone());
        })
    };
    vec![
        ("expired", both(Message::answer("410 Gone", error)), 4, FailureCode::ArtifactMissing, "has expired"),
        ("error artifact", both(Message::answer("424 Failed Dependency", reason)), 4, FailureCode::ArtifactMissing, ""),
        (
            "a reference",
            both(
                Message::answer("303 See Other", "{}")
                    .with("Location", "https://example.org/")
                    .with("x-taskcluster-artifact-storage-type", "reference"),
            ),
            3,
            FailureCode::Guarded,
            "reference",
        ),
        (
            "another host",
            both(Message::answer("303 See Other", "{}").with("Location", "https://example.org/a.json")),
            3,
            FailureCode::Guarded,
            "",
        ),
        ("a page", both(Message::answer("400 Bad Request", page)), 4, FailureCode::SourceUnavailable, ""),
        (
            "no Index",
            Box::new(move |fake: &FakeTaskcluster, _: &str| {
                fake.answer_index("try", Message::answer("503 Service Unavailable", page));
            }),
            4,
            FailureCode::SourceUnavailable,
            "Taskcluster: ",
        ),
    ]
}

#[tokio::test]
async fn a_project_that_fails_or_is_refused_keeps_its_jobs_and_the_others_are_published() {
    let cases = bad_graphs().into_iter().chain(bad_answers());
    for (number, (what, change, exit_code, code, said)) in (10..).step_by(2).zip(cases) {
        let env = TestEnv::new().await;
        env.ingest(path(&file(&dump(&[("try", 0..5)])))).made_well().await;
        env.ingest_taskcluster(graphs(150, 2).source()).made_well().await;
        let before = env.served().await;
        let fake = FakeTaskcluster::new();
        let id = fake.decide("try", number);
        change(&fake, &id);
        fake.decide_with("autoland", number + 1, &borrowed(&labels(0..3)));

        let (report, error) = env.ingest_taskcluster(fake.source()).made_badly().await;

        let text = error.to_string();
        assert!(text.starts_with("try: ") && text.contains(said) && !text.contains("autoland: "), "{what}: {text}");
        assert_eq!(error.exit_code(), exit_code, "{what}: {text}");
        let of_try = graph(&report, "try");
        assert_eq!((of_try.error_code, report.error_code), (Some(code), Some(code)), "{what}: {text}");
        let refused = exit_code == 3;
        let outcome = if refused { GraphOutcome::Refused } else { GraphOutcome::Failed };
        assert_eq!((of_try.outcome, graph(&report, "autoland").outcome), (outcome, GraphOutcome::Published), "{what}");
        let outcome = if refused { ReportOutcome::Refused } else { ReportOutcome::Failed };
        assert_eq!(report.outcome, outcome, "{what}");
        assert_eq!(env.last_report().await, report, "{what}");
        let served = env.served().await;
        assert_eq!(served["try"], before["try"], "{what}");
        assert_eq!(names(&served, "autoland", "taskcluster"), labels(0..3), "{what}");
    }
}

#[tokio::test]
async fn a_project_without_decision_task_is_a_fact_and_keeps_its_jobs() {
    let env = TestEnv::new().await;
    env.ingest_taskcluster(graphs(4, 2).source()).made_well().await;
    let before = env.served().await;
    let fake = FakeTaskcluster::new();
    fake.decide_with("autoland", 3, &borrowed(&labels(0..3)));

    let report = env.ingest_taskcluster(fake.source()).made_well().await;

    assert_eq!(graph(&report, "try").outcome, GraphOutcome::NoDecisionTask);
    assert_eq!((graph(&report, "try").error.as_deref(), report.outcome), (None, ReportOutcome::Published));
    assert_eq!(env.served().await["try"], before["try"]);
    assert_eq!(report.projects["try"].jobs, 5);
}

#[tokio::test]
async fn force_overrides_the_guards_of_a_graph_and_reads_it_again() {
    let env = TestEnv::new().await;
    env.ingest_taskcluster(graphs(150, 2).source()).made_well().await;
    let few = graphs_of(20, 10, 2);
    env.ingest_taskcluster(few.source()).made_badly().await;

    let report = env.ingest_taskcluster(few.source()).with(|run| run.force = true).made_well().await;

    assert_eq!((report.outcome, report.refusals.len()), (ReportOutcome::Published, 1));
    assert_eq!(names(&env.served().await, "try", "taskcluster"), labels(0..10));
    few.asked();
    let report = env.ingest_taskcluster(few.source()).with(|run| run.force = true).made_well().await;
    assert_eq!((report.outcome, report.items_written), (ReportOutcome::Unchanged, 0));
    assert!(few.asked().iter().any(|path| path.contains("artifacts")));
}

#[tokio::test]
async fn a_dry_run_of_taskcluster_reports_the_changes_and_writes_nothing() {
    let env = TestEnv::new().await;
    env.ingest_taskcluster(graphs(4, 2).source()).made_well().await;
    let before = support::items(&env.client, &env.name).await;
    let proxy = Proxy::start(|_, _| Plan::Pass);

    let dry = env.ingest_taskcluster(graphs_of(20, 6, 2).source()).through(&proxy.endpoint);
    let report = dry.with(|run| (run.dry_run, run.force) = (true, true)).made_well().await;

    assert_eq!((report.outcome, report.projects["try"].added), (ReportOutcome::Checked, 2));
    assert_eq!(graph(&report, "try").outcome, GraphOutcome::Checked);
    assert_eq!(writes(&proxy), [""; 0]);
    assert_eq!(support::items(&env.client, &env.name).await, before);
}

#[tokio::test]
async fn only_the_requested_projects_of_taskcluster_are_published() {
    let env = TestEnv::new().await;
    let only = |project: &'static str| {
        env.ingest_taskcluster(graphs(4, 2).source()).with(|run| run.only = vec![project.to_owned()])
    };
    let report = only("try").made_well().await;
    assert_eq!(report.projects.keys().collect::<Vec<_>>(), ["try"]);
    assert_eq!(env.served().await.keys().collect::<Vec<_>>(), ["try"]);
    let (_, error) = only("oak").made_badly().await;
    assert!(matches!(&error, IngestError::NotConfigured(project) if project == "oak"));
    assert_eq!(error.exit_code(), 2);
}

// Artifacts.

#[tokio::test]
async fn runnable_jobs_stand_in_for_a_full_graph_with_tiers_and_builds_of_the_served_list() {
    let env = TestEnv::new().await;
    let fake = graphs(4, 2);
    env.ingest_taskcluster(fake.source()).made_well().await;
    let full = env.served().await;
    let id = fake.decide("try", 3);
    fake.put(&id, RUNNABLE, &gzip(&runnable_jobs(&borrowed(&labels(0..4)))));

    let report = env.ingest_taskcluster(fake.source()).made_well().await;

    assert_eq!((graph(&report, "try").artifact.as_deref(), report.projects["try"].unchanged), (Some(RUNNABLE), 5));
    assert_eq!(env.served().await, full);
    let body: Value = serde_json::from_str(&full["try"]).unwrap();
    assert_eq!(
        (&body["results"][1]["tier"], &body["results"][1]["upstream"]),
        (&2.into(), &"build-linux64/opt".into())
    );
}

#[tokio::test]
async fn graphs_are_read_from_files_too() {
    let env = TestEnv::new().await;
    let names_of = labels(0..3);
    let (full, runnable) = (full_graph("try", &borrowed(&names_of)), runnable_jobs(&borrowed(&names_of)));
    for (content, artifact_project) in [(gzip(&full), "try"), (runnable, "autoland")] {
        let graph_file = file(&content);
        let files = |project: &str| TaskclusterSource::Files([(project.to_owned(), path(&graph_file).into())].into());
        let report = env.ingest_taskcluster(files(artifact_project)).made_well().await;
        assert_eq!(graph(&report, artifact_project).decision_task.as_deref(), Some(path(&graph_file)));
        assert_eq!(names(&env.served().await, artifact_project, taskcluster::BUILD_SYSTEM), names_of);
        // A file is read each time.
        let report = env.ingest_taskcluster(files(artifact_project)).made_well().await;
        assert!(report.bytes > 0 && report.outcome == ReportOutcome::Unchanged);
    }
    let wrong = file(&full);
    let files = TaskclusterSource::Files([("autoland".to_owned(), path(&wrong).into())].into());
    let (_, error) = env.ingest_taskcluster(files).made_badly().await;
    assert_eq!(error.to_string(), "autoland: the graph is of project try");
}

// Two ingests at once.

/// Which of two ingests is doing what.
#[derive(Default)]
struct Turns {
    /// The first one writes.
    is_writing: AtomicBool,
    /// The second one is done.
    is_done: AtomicBool,
}

/// Holds the first ingest when it begins to write, until the second one is done.
fn held_at_its_first_write() -> (Proxy, Arc<Turns>) {
    let turns = Arc::new(Turns::default());
    let seen = turns.clone();
    let proxy = Proxy::start(move |operation, _| {
        let begun = Instant::now();
        if operation == "BatchWriteItem" {
            seen.is_writing.store(true, Ordering::SeqCst);
            while !seen.is_done.load(Ordering::SeqCst) && begun.elapsed() < Duration::from_mins(1) {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        Plan::Pass
    });
    (proxy, turns)
}

impl Turns {
    /// The second ingest, from when the first one writes.
    async fn second(&self, ingest: impl Future<Output = Report>) {
        while !self.is_writing.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        ingest.await;
        self.is_done.store(true, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_publication_of_the_other_build_system_in_between_is_merged() {
    let (old, new) = (dump(&[("try", 0..5)]), dump(&[("try", 0..6)]));
    let new_file = file(&new);
    for first in [Some(&old), None] {
        let env = TestEnv::new().await;
        if let Some(first) = first {
            env.ingest(path(&file(first))).made_well().await;
        }
        let (proxy, turns) = held_at_its_first_write();
        let fake = graphs(4, 2);
        let taskcluster = env.ingest_taskcluster(fake.source()).with(|run| run.clock = support::a_second_later);

        let slow = env.ingest(path(&new_file)).through(&proxy.endpoint);
        let (buildbot, ()) = tokio::join!(slow.made_well(), turns.second(taskcluster.made_well()));

        assert_eq!(buildbot.outcome, ReportOutcome::Published);
        let served = env.served().await;
        assert_eq!(names(&served, "try", "buildbot"), buildbots(&new, "try"));
        assert_eq!(names(&served, "try", "taskcluster"), labels(0..4));
        assert_eq!(env.ingest(path(&new_file)).made_well().await.items_written, 0);
        assert_eq!(env.ingest_taskcluster(fake.source()).made_well().await.items_written, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_two_ingests_of_taskcluster_at_once_one_stops_for_the_project_only() {
    let env = TestEnv::new().await;
    env.ingest_taskcluster(graphs(4, 2).source()).made_well().await;
    let (proxy, turns) = held_at_its_first_write();
    let (older, newer) = (FakeTaskcluster::new(), FakeTaskcluster::new());
    older.decide_with("autoland", 5, &borrowed(&labels(0..3)));
    older.decide_with("try", 6, &borrowed(&labels(0..5)));
    newer.decide_with("autoland", 7, &borrowed(&labels(0..6)));
    let quick = env.ingest_taskcluster(newer.source()).with(|run| run.clock = support::a_second_later);

    let slow = env.ingest_taskcluster(older.source()).through(&proxy.endpoint);
    let ((report, error), ()) = tokio::join!(slow.made_badly(), turns.second(quick.made_well()));

    assert_eq!((error.exit_code(), report.outcome), (6, ReportOutcome::Superseded));
    assert_eq!(graph(&report, "autoland").outcome, GraphOutcome::Superseded);
    assert_eq!(graph(&report, "try").outcome, GraphOutcome::Published);
    let served = env.served().await;
    assert_eq!(names(&served, "autoland", "taskcluster"), labels(0..6));
    assert_eq!(names(&served, "try", "taskcluster"), labels(0..5));
}

// The store.

#[tokio::test]
async fn a_damaged_list_stops_a_project_and_force_repairs_it() {
    let env = TestEnv::new().await;
    env.ingest_taskcluster(graphs(4, 2).source()).made_well().await;
    let etag = env.table().pointer("try").await.unwrap().unwrap().etag;
    support::delete(&env.client, &env.name, ("project#try", &format!("list#{etag}#000"))).await;
    let fake = graphs_of(20, 6, 3);
    let (report, error) = env.ingest_taskcluster(fake.source()).made_badly().await;
    let IngestError::Projects(errors) = &error else { panic!("{error}") };
    assert!(matches!(errors["try"], IngestError::Store(StoreError::Damaged { .. })), "{error}");
    assert_eq!((error.exit_code(), graph(&report, "try").outcome), (5, GraphOutcome::Failed));
    assert_eq!(graph(&report, "autoland").outcome, GraphOutcome::Published);
    env.ingest_taskcluster(fake.source()).with(|run| run.force = true).made_well().await;
    assert_eq!(names(&env.served().await, "try", "taskcluster"), labels(0..6));
}

#[tokio::test]
async fn reports_of_taskcluster_do_not_push_those_of_buildbot_out_of_view() {
    let env = TestEnv::new().await;
    env.ingest(path(&file(&dump(&[("try", 0..5)])))).made_well().await;
    let fake = graphs(4, 2);
    for _ in 0..12 {
        env.ingest_taskcluster(fake.source()).made_well().await;
    }
    let table = env.table();
    assert_eq!(table.each_report("buildbot", 10).await.unwrap().len(), 1);
    assert_eq!(table.each_report("taskcluster", 20).await.unwrap().len(), 12);
    assert_eq!(table.reports(20).await.unwrap().len(), 13);
    assert_eq!(env.last_report().await.build_system, "taskcluster");
}
