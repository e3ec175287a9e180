//! What an ingest believes, and what it checks: builds that vanish, sources, validators, and other ingests.

mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use catalog::guards::GuardRefusal;
use etl::ingest::IngestError;
use store::{FailureCode, ReportOutcome, StoreError};
use support::http::Message;
use support::{Site, TestEnv, catalog_items, dump, dump_with_builds, file, gzip, lists, path};

fn bytes(document: &serde_json::Value) -> Vec<u8> {
    serde_json::to_vec(document).expect("JSON")
}

// Builds.

#[tokio::test]
async fn a_dump_whose_tests_lost_their_builds_is_refused_and_force_overrides() {
    let whole = dump_with_builds(&[("try", 150, 150), ("ash", 150, 150)]);
    let without = |section: Option<serde_json::Value>| {
        let mut document = whole.clone();
        match section {
            Some(section) => document["schedulers"] = section,
            None => drop(document.as_object_mut().unwrap().remove("schedulers")),
        }
        document
    };
    let all = ["try", "ash"].map(|project| (project, 150, 150)).to_vec();
    for (document, no_builds, lost) in [
        (without(None), true, all.clone()),
        (without(Some(serde_json::json!({}))), true, all),
        (dump_with_builds(&[("try", 150, 119), ("ash", 150, 150)]), false, vec![("try", 150, 31)]),
    ] {
        let env = TestEnv::new().await;
        env.ingest(path(&file(&bytes(&whole)))).made_well().await;
        let before = catalog_items(&env.client, &env.name).await;
        let poor = file(&bytes(&document));

        let (report, refused) = env.ingest(path(&poor)).made_badly().await;

        assert_eq!(
            (refused.exit_code(), report.outcome, report.error_code),
            (3, ReportOutcome::Refused, Some(FailureCode::Guarded))
        );
        for (project, before, lost) in &lost {
            let refusal =
                GuardRefusal::ProjectLosesBuilds { project: (*project).to_owned(), before: *before, lost: *lost };
            assert!(report.refusals.contains(&refusal), "{report:?}");
            assert_eq!(report.projects[*project].lost_builds, *lost);
        }
        assert_eq!(report.refusals.contains(&GuardRefusal::NoBuilds { tests: 300 }), no_builds, "{report:?}");
        let of_catalog = GuardRefusal::CatalogLosesBuilds { before: 300, lost: 300 };
        assert_eq!(report.refusals.contains(&of_catalog), no_builds, "{report:?}");
        assert_eq!(catalog_items(&env.client, &env.name).await, before);
        assert_eq!(env.last_report().await, report);

        let forced = env.ingest(path(&poor)).with(|run| run.force = true).made_well().await;
        assert_eq!((forced.outcome, &forced.refusals), (ReportOutcome::Published, &report.refusals));
        assert_eq!(env.served().await, lists(&bytes(&document)));
    }
}

#[tokio::test]
async fn a_first_dump_without_any_build_is_refused_and_one_of_few_tests_is_not() {
    let env = TestEnv::new().await;
    let poor = file(&bytes(&dump_with_builds(&[("try", 101, 0)])));
    let (report, refused) = env.ingest(path(&poor)).made_badly().await;
    assert_eq!(refused.to_string(), "refused: the source names no build for any of its 101 tests");
    assert_eq!(report.refusals, [GuardRefusal::NoBuilds { tests: 101 }]);
    env.ingest(path(&file(&bytes(&dump_with_builds(&[("try", 100, 0)]))))).made_well().await;
}

#[tokio::test]
async fn fewer_tests_than_a_fifth_and_tests_of_small_projects_may_lose_their_builds() {
    let env = TestEnv::new().await;
    env.ingest(path(&file(&bytes(&dump_with_builds(&[("try", 150, 150), ("ash", 99, 40), ("oak", 150, 150)])))))
        .made_well()
        .await;
    let poorer = file(&bytes(&dump_with_builds(&[("try", 150, 121), ("ash", 99, 10), ("oak", 150, 150)])));
    let report = env.ingest(path(&poorer)).made_well().await;
    assert_eq!((report.projects["try"].lost_builds, report.projects["ash"].lost_builds), (29, 30));
}

// Restricted ingests.

#[tokio::test]
async fn removals_of_a_restricted_ingest_are_compared_with_the_whole_catalog() {
    let env = TestEnv::new().await;
    let old = dump_with_builds(&[("ash", 50, 50), ("try", 400, 400)]);
    env.ingest(path(&file(&bytes(&old)))).made_well().await;
    // A small project may lose what it likes: a tenth of the catalog.
    let small = file(&bytes(&dump_with_builds(&[("ash", 10, 5), ("try", 400, 400)])));
    let report = env.ingest(path(&small)).only(&["ash"]).made_well().await;
    assert_eq!((report.projects["ash"].removed, report.projects["ash"].lost_builds), (40, 5));

    let large = file(&bytes(&dump_with_builds(&[("ash", 10, 5), ("try", 300, 200)])));
    let (report, _) = env.ingest(path(&large)).only(&["try"]).made_badly().await;
    let refusal = |before, removed| GuardRefusal::ProjectDrops { project: "try".to_owned(), before, removed };
    assert!(report.refusals.contains(&refusal(401, 100)), "{report:?}");
    assert!(report.refusals.contains(&GuardRefusal::CatalogDrops { before: 412, removed: 100 }), "{report:?}");
    assert!(report.refusals.contains(&GuardRefusal::CatalogLosesBuilds { before: 405, lost: 100 }), "{report:?}");
}

// Masters and slave pools.

#[tokio::test]
async fn a_missing_master_is_named_until_a_catalog_without_it_is_published() {
    let env = TestEnv::new().await;
    let dump_of = |builders: std::ops::Range<u32>, masters: serde_json::Value| {
        let mut document: serde_json::Value = serde_json::from_slice(&dump(&[("try", builders)])).expect("JSON");
        document["master_builders"] = masters;
        file(&bytes(&document))
    };
    let both = dump_of(0..200, serde_json::json!({"bm1": ["a"], "bm2": ["b", "c"]}));
    let first = env.ingest(path(&both)).made_well().await;
    assert_eq!((first.masters.len(), first.masters_gone.len()), (2, 0));

    let one = dump_of(0..100, serde_json::json!({"bm1": ["a"]}));
    for _ in 0..2 {
        let (refused, _) = env.ingest(path(&one)).made_badly().await;
        assert_eq!(refused.masters_gone, [("bm2".to_owned(), 2)].into());
        assert_eq!(refused.masters, first.masters);
    }
    let forced = env.ingest(path(&one)).with(|run| run.force = true).made_well().await;
    assert_eq!((forced.masters_gone.len(), forced.masters.len()), (1, 1));
    assert_eq!(env.ingest(path(&one)).made_well().await.masters_gone, [].into());
}

#[tokio::test]
async fn builders_with_an_empty_slave_pool_are_counted_in_the_report() {
    let env = TestEnv::new().await;
    let mut document: serde_json::Value = serde_json::from_slice(&dump(&[("try", 0..5)])).expect("JSON");
    for builder in document["builders"].as_object_mut().unwrap().values_mut().take(2) {
        builder["slavepool"] = serde_json::json!([]);
    }
    let report = env.ingest(path(&file(&bytes(&document)))).made_well().await;
    assert_eq!((report.jobs, report.empty_slavepool, report.not_runnable), (3, 2, 0));
}

// Two ingests at once.

/// A source that answers the first request only when it may, with what it had when it was asked.
struct SlowSource {
    address: String,
    was_asked: Arc<AtomicBool>,
    may_answer: mpsc::Sender<()>,
}

fn slow_source(first: &[u8], then: &[u8]) -> SlowSource {
    let was_asked = Arc::new(AtomicBool::new(false));
    let (may_answer, waits) = mpsc::channel();
    let waits = Mutex::new(waits);
    let pages = [(first, "\"1\""), (then, "\"2\"")];
    let [first, then] = pages.map(|(document, etag)| Message::answer("200 OK", gzip(document)).with("ETag", etag));
    let asked = was_asked.clone();
    let address = support::http::serve(move |request| {
        if !asked.swap(true, Ordering::SeqCst) {
            waits.lock().expect("one at a time").recv().expect("a word");
            return Some(first.clone());
        }
        let is_known = request.header("if-none-match") == Some("\"2\"");
        Some(if is_known { Message::answer("304 Not Modified", "") } else { then.clone() })
    });
    SlowSource { address, was_asked, may_answer }
}

#[tokio::test]
async fn the_ingest_with_the_older_source_does_not_win_over_a_concurrent_one() {
    let published = dump(&[("try", 0..100), ("ash", 0..50)]);
    let (older, newer) = (
        dump(&[("try", 0..101), ("ash", 0..51), ("elm", 0..2)]),
        dump(&[("try", 0..102), ("ash", 0..52), ("elm", 0..3)]),
    );
    for first in [Some(&published), None] {
        let env = TestEnv::new().await;
        if let Some(first) = first {
            env.ingest(path(&file(first))).made_well().await;
        }
        let source = slow_source(&older, &newer);
        let at_once = || env.ingest(&source.address).with(|run| run.clock = support::a_second_later);
        let second = async {
            while !source.was_asked.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let report = at_once().made_well().await;
            source.may_answer.send(()).expect("the source waits");
            report
        };

        let ((slow, slow_result), quick) = tokio::join!(at_once().made(), second);

        assert!(slow.started_at < quick.started_at && quick.outcome == ReportOutcome::Published);
        assert!(matches!(slow_result, Err(IngestError::Store(StoreError::Superseded { .. }))), "{slow_result:?}");
        assert_eq!((slow.outcome, slow.error_code), (ReportOutcome::Superseded, Some(FailureCode::Superseded)));
        assert_eq!(env.served().await, lists(&newer));
        assert_eq!(env.ingest(&source.address).made_well().await.outcome, ReportOutcome::Unchanged);
        assert_eq!(env.served().await, lists(&newer));
    }
}

#[tokio::test]
async fn validators_are_sent_only_while_the_catalog_is_what_their_ingest_made() {
    let env = TestEnv::new().await;
    let site = Site::with_etag(&dump(&[("try", 0..5)]), "\"1\"");
    env.ingest(&site.address).made_well().await;
    site.asked();
    // Another ingest moves a pointer, and its report is not the last one.
    let table = env.table();
    let pointer = table.pointer("try").await.unwrap().unwrap();
    let mut body = Vec::new();
    let jobs = [catalog::buildbot::CatalogJob { name: "Ubuntu VM 12.04 x64 try opt test mochitest-0", upstream: None }];
    let summary = catalog::buildbot::write_body("try", &jobs, &mut body, |_| ());
    let list = catalog::list::PackedList::new(&body, summary);
    table.publish("try", &list, Some(&pointer), &pointer.provenance).await.unwrap();

    let report = env.ingest(&site.address).with(|run| run.force = false).made_well().await;

    assert_eq!(site.asked()[0].header("if-none-match"), None);
    assert_eq!(report.outcome, ReportOutcome::Published);
    assert_eq!(env.ingest(&site.address).made_well().await.outcome, ReportOutcome::Unchanged);
    assert_eq!(site.asked()[0].header("if-none-match"), Some("\"1\""));
}

// Sources.

#[tokio::test]
async fn an_answer_304_to_a_request_without_validators_is_an_error() {
    let env = TestEnv::new().await;
    let site = Site::new(Message::answer("304 Not Modified", ""));
    for force in [false, true] {
        let (report, error) = env.ingest(&site.address).with(|run| run.force = force).made_badly().await;
        assert!(error.to_string().ends_with("304 Not Modified to a request without validators"), "{error}");
        assert_eq!((error.exit_code(), report.outcome), (4, ReportOutcome::Failed));
        assert_eq!(report.error_code, Some(FailureCode::SourceUnavailable));
    }
}

#[tokio::test]
async fn circular_redirects_are_followed_five_times_and_refused() {
    let site = Site::new(Message::answer("302 Found", "").with("Location", "/allthethings.json"));
    let (_, error) = TestEnv::new().await.ingest(&site.address).made_badly().await;
    assert!(error.to_string().ends_with("the server redirects too often"), "{error}");
    assert_eq!((error.exit_code(), site.asked().len()), (4, 6));
}

// The archive.

#[tokio::test]
async fn each_ingest_of_an_archived_dump_restarts_its_age() {
    let env = TestEnv::new().await;
    let bucket = env.new_bucket().await;
    let site = Site::with_etag(&dump(&[("try", 0..5)]), "\"1\"");
    let first = env.ingest(&site.address).archived_in(&bucket).made_well().await;
    let key = env.keys(&bucket).await.pop().expect("an object");
    let object = async || env.aws.s3().head_object().bucket(&bucket).key(&key).send().await.expect("an object");
    // Read again, and not modified.
    for force in [true, false] {
        let before = object().await;
        // S3 gives times in whole seconds.
        for attempt in 1.. {
            let report = env.ingest(&site.address).archived_in(&bucket).with(|run| run.force = force).made_well().await;
            assert_eq!((report.outcome, report.bytes > 0), (ReportOutcome::Unchanged, force));
            assert_eq!(report.archive, first.archive);
            let after = object().await;
            assert_eq!(after.content_type(), Some("application/gzip"));
            assert_eq!(after.content_length(), before.content_length());
            if after.last_modified() > before.last_modified() {
                break;
            }
            assert!(attempt < 100, "its age goes on");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[tokio::test]
async fn a_source_is_read_again_if_its_dump_is_missing_from_the_archive() {
    let env = TestEnv::new().await;
    let bucket = env.new_bucket().await;
    let site = Site::with_etag(&dump(&[("try", 0..5)]), "\"1\"");
    // Archived from now on only.
    env.ingest(&site.address).made_well().await;
    let report = env.ingest(&site.address).archived_in(&bucket).made_well().await;
    assert_eq!((report.outcome, report.builders), (ReportOutcome::Unchanged, 5));
    let keys = env.keys(&bucket).await;
    assert_eq!(keys.len(), 1);
    // Deleted.
    env.aws.s3().delete_object().bucket(&bucket).key(&keys[0]).send().await.expect("it is deleted");
    env.ingest(&site.address).archived_in(&bucket).made_well().await;
    assert_eq!(env.keys(&bucket).await, keys);
}
