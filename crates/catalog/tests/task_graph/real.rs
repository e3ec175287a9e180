//! Artifacts of real decision tasks: excerpts, and the whole files where the variable `RECORDED_DATA` names the folder
//! with them.

use std::fs::File;
use std::path::PathBuf;

use catalog::taskcluster::TaskGraph;
use flate2::read::GzDecoder;
use insta::assert_snapshot;

use crate::{lines, problems, read};

/// A file of recorded data, where it is.
fn recorded(file: &str) -> Option<File> {
    let folder = PathBuf::from(std::env::var_os("RECORDED_DATA")?).join("data");
    Some(File::open(folder.join(file)).unwrap_or_else(|error| panic!("{file}: {error}")))
}

#[test]
fn an_excerpt_of_runnable_jobs_is_read() {
    let graph = read(include_bytes!("../fixtures/runnable-jobs.json")).unwrap();
    assert_eq!(problems(&graph), [""; 0]);
    assert_snapshot!(lines(&graph).join("\n"), @r"
    Action: Retrigger AC(rt) action-callback @gecko-decision opt
    build-linux64/debug (B)  @linux64 debug
    test-android-em-7.0-x86_64/debug-mochitest-e10s-1 M(1) Mochitests @android-em-7-0-x86_64 debug
    test-android-hw-p2-8-0-android-aarch64/opt-raptor-tp6m-3-geckoview-cold-e10s Rap(tp6m-c-3) Raptor performance tests on Firefox @android-hw-p2-8-0-android-aarch64 opt
    test-linux64-asan/opt-mochitest-browser-chrome-e10s-16 M(bc16) Mochitests @linux64 asan
    ");
}

#[test]
fn an_excerpt_of_a_full_task_graph_is_read() {
    let graph = read(include_bytes!("../fixtures/full-task-graph.json")).unwrap();
    assert_eq!(problems(&graph), [""; 0]);
    assert_snapshot!(lines(&graph).join("\n"), @r"
    build-docker-image-base (Base)  @taskcluster-images opt tier 1
    fetch-cuda Fetch(cuda) Fetching tasks @fetch opt tier 1
    ");
    let findings = graph.findings();
    assert_eq!((findings.labels, findings.without_treeherder), (3, 1));
    assert_eq!(findings.project.as_deref(), Some("firefox-translations-training"));
}

#[test]
fn the_whole_runnable_jobs_is_read_where_it_is() {
    let Some(file) = recorded("runnable-jobs.json") else { return };
    let graph = TaskGraph::read(file, u64::MAX, &mut |_| ()).unwrap();
    assert_eq!((graph.len(), graph.findings().labels, problems(&graph)), (84, 84, vec![]));
    assert_eq!((graph.findings().has_tiers, &graph.findings().project), (false, &None));
}

#[test]
fn the_whole_full_task_graph_is_read_where_it_is() {
    let Some(file) = recorded("full-task-graph.json.gz") else { return };
    let graph = TaskGraph::read(GzDecoder::new(file), u64::MAX, &mut |_| ()).unwrap();
    assert_eq!((graph.len(), graph.findings().labels, problems(&graph)), (13, 551, vec![]));
    assert_eq!((graph.findings().without_treeherder, graph.findings().has_tiers), (538, true));
    assert_eq!(graph.findings().project.as_deref(), Some("firefox-translations-training"));
    assert!(graph.jobs().all(|job| job.tier == Some(1)));
}
