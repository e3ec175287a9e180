//! Whole ingests, from a source to what is served, beside the emulator.

mod support;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};

use catalog::guards::GuardRefusal;
use catalog::list::{self, PackedList, Summary};
use etl::ingest::IngestError;
use store::{Consistency, Provenance, ReportOutcome, StoreError};
use support::http::Message;
use support::proxy::{Plan, Proxy, is_write};
use support::{Site, TestEnv, catalog_items, dump, file, gzip, items, lists, path, sample, set, unique, without};

fn writes(proxy: &Proxy) -> Vec<String> {
    proxy.seen().into_iter().filter(|operation| is_write(operation)).collect()
}

// What is published.

#[tokio::test]
async fn a_first_ingest_publishes_every_project_and_the_second_writes_nothing_but_its_report() {
    let env = TestEnv::new().await;
    let document = sample(3000, 1);
    let source = file(&document);

    let first = env.ingest(path(&source)).made_well().await;

    let expected = lists(&document);
    assert_eq!(first.outcome, ReportOutcome::Published);
    assert_eq!((first.builders, first.bytes), (3000, document.len() as u64));
    assert_eq!(env.served().await, expected);
    assert_eq!(env.table().projects(Consistency::Consistent).await.unwrap(), expected.keys().cloned().collect());
    assert!(first.projects.values().all(|project| project.added == project.jobs && project.removed == 0));
    assert_eq!(first.projects.values().map(|project| project.jobs as u64).sum::<u64>(), first.jobs);
    assert_eq!(env.last_report().await, first);

    let before = catalog_items(&env.client, &env.name).await;
    let proxy = Proxy::start(|_, _| Plan::Pass);
    let second = env.ingest(path(&source)).through(&proxy.endpoint).made_well().await;

    assert_eq!((second.outcome, second.items_written, second.bytes_written), (ReportOutcome::Unchanged, 0, 0));
    assert!(second.projects.values().all(|project| project.unchanged == project.jobs));
    assert_eq!(writes(&proxy), ["PutItem"]);
    assert_eq!(catalog_items(&env.client, &env.name).await, before);
    assert_eq!(env.last_report().await, second);
}

#[tokio::test]
async fn a_pointer_without_a_summary_is_written_again_even_if_its_list_is_unchanged() {
    let env = TestEnv::new().await;
    let source = file(&dump(&[("try", 1..5), ("cedar", 1..3)]));
    env.ingest(path(&source)).made_well().await;
    let before = env.table().pointer("try").await.unwrap().unwrap();
    for attribute in ["build_systems", "platforms"] {
        set(&env.client, &env.name, ("project#try", "current"), attribute, None).await;
    }

    let report = env.ingest(path(&source)).made_well().await;

    assert_eq!((report.outcome, report.projects["try"].unchanged), (ReportOutcome::Published, 4));
    let healed = env.table().pointer("try").await.unwrap().unwrap();
    assert_eq!((healed.generation, &healed.summary), (before.generation + 1, &before.summary));
    assert_eq!(env.table().pointer("cedar").await.unwrap().unwrap().generation, 1);
    assert_eq!(env.ingest(path(&source)).made_well().await.outcome, ReportOutcome::Unchanged);
}

#[tokio::test]
async fn a_changed_source_replaces_only_the_changed_projects() {
    let env = TestEnv::new().await;
    let document = sample(3000, 1);
    let site = Site::with_etag(&gzip(&document), "\"1\"");
    env.ingest(&site.address).made_well().await;
    let before = catalog_items(&env.client, &env.name).await;

    let mut dropped = 0;
    let changed = without(&document, |name, builder| {
        let drops = ["try", "cedar"].iter().any(|branch| builder["properties"]["branch"] == *branch)
            && name.contains(" test ")
            && dropped < 3;
        dropped += usize::from(drops);
        !drops
    });
    let (old, new) = (lists(&document), lists(&changed));
    let different: Vec<&String> = new.keys().filter(|project| old[*project] != new[*project]).collect();
    assert!((1..=2).contains(&different.len()), "{different:?}");
    site.replace(&changed, "\"2\"");
    let report = env.ingest(&site.address).made_well().await;

    assert_eq!(env.served().await, new);
    let table = env.table();
    let mut packed = 0;
    for project in &different {
        let pointer = table.pointer(project).await.unwrap().unwrap();
        assert_eq!((pointer.generation, pointer.provenance.source_etag.as_deref()), (2, Some("\"2\"")));
        packed += pointer.packed_bytes as u64 + table.index(project.as_str(), &pointer).await.unwrap().len() as u64;
    }
    assert_eq!(report.bytes_written, packed);
    assert_eq!(report.projects.values().map(|project| project.removed).sum::<usize>(), 3);
    let after = catalog_items(&env.client, &env.name).await;
    for (key, item) in &before {
        if !different.iter().any(|project| key.0 == format!("project#{project}")) {
            assert_eq!(after.get(key), Some(item), "{key:?}");
        }
    }
}

#[tokio::test]
async fn only_the_requested_projects_are_published() {
    let env = TestEnv::new().await;
    let old = dump(&[("try", 0..10), ("cedar", 0..10), ("ash", 0..10)]);
    env.ingest(path(&file(&old))).made_well().await;
    let new = dump(&[("try", 0..11), ("cedar", 0..11), ("oak", 0..11)]);
    let new_file = file(&new);

    let report = env.ingest(path(&new_file)).only(&["cedar", "oak"]).made_well().await;

    assert_eq!(report.only, ["cedar", "oak"]);
    let served = env.served().await;
    assert_eq!((&served["cedar"], &served["oak"]), (&lists(&new)["cedar"], &lists(&new)["oak"]));
    assert_eq!((&served["try"], &served["ash"]), (&lists(&old)["try"], &lists(&old)["ash"]));

    let (_, refused) = env.ingest(path(&new_file)).only(&["nowhere"]).made_badly().await;
    assert!(matches!(&refused, IngestError::NoProject(project) if project == "nowhere"));
    assert_eq!(refused.exit_code(), 2);
    assert_eq!(env.served().await, served);
}

#[tokio::test]
async fn a_dry_run_reports_the_changes_and_writes_nothing() {
    let env = TestEnv::new().await;
    let bucket = env.new_bucket().await;
    env.ingest(path(&file(&dump(&[("try", 0..10)])))).made_well().await;
    let before = items(&env.client, &env.name).await;
    let new = file(&dump(&[("try", 1..12), ("cedar", 0..5)]));
    let proxy = Proxy::start(|_, _| Plan::Pass);

    let dry = env.ingest(path(&new)).archived_in(&bucket).through(&proxy.endpoint).with(|run| run.dry_run = true);
    let report = dry.made_well().await;

    assert_eq!(report.outcome, ReportOutcome::Checked);
    assert_eq!((report.projects["try"].added, report.projects["try"].removed), (2, 1));
    assert_eq!(report.projects["cedar"].added, 5);
    assert_eq!(writes(&proxy), [""; 0]);
    assert_eq!(items(&env.client, &env.name).await, before);
    assert_eq!(env.keys(&bucket).await, [""; 0]);
}

// Guards.

#[tokio::test]
async fn a_dump_that_lost_most_builders_is_refused_and_force_overrides() {
    let env = TestEnv::new().await;
    let whole = sample(3000, 1);
    env.ingest(path(&file(&whole))).made_well().await;
    let before = catalog_items(&env.client, &env.name).await;
    let mut number = 0;
    let tenth = without(&whole, |_, _| {
        number += 1;
        number % 10 == 0
    });
    let tenth_file = file(&tenth);

    let (report, refused) = env.ingest(path(&tenth_file)).made_badly().await;

    assert_eq!((refused.exit_code(), report.outcome), (3, ReportOutcome::Refused));
    assert!(report.refusals.iter().any(|refusal| matches!(refusal, GuardRefusal::CatalogDrops { .. })), "{report:?}");
    assert_eq!(catalog_items(&env.client, &env.name).await, before);
    assert_eq!(env.last_report().await, report);

    let forced = env.ingest(path(&tenth_file)).with(|run| run.force = true).made_well().await;
    assert_eq!(forced.outcome, ReportOutcome::Published);
    assert_eq!(forced.refusals, report.refusals);
    assert_eq!(env.served().await, lists(&tenth));
}

#[tokio::test]
async fn a_dump_without_a_project_is_refused_and_force_removes_it() {
    let env = TestEnv::new().await;
    env.ingest(path(&file(&dump(&[("try", 0..200), ("ash", 0..3)])))).made_well().await;
    let before = catalog_items(&env.client, &env.name).await;
    let rest = dump(&[("try", 0..200)]);
    let rest_file = file(&rest);

    let (report, refused) = env.ingest(path(&rest_file)).made_badly().await;

    assert_eq!(refused.to_string(), "refused: ash with its 3 jobs would be gone");
    assert_eq!(report.refusals, [GuardRefusal::ProjectGone { project: "ash".to_owned(), before: 3 }]);
    assert_eq!(catalog_items(&env.client, &env.name).await, before);

    let forced = env.ingest(path(&rest_file)).with(|run| run.force = true).made_well().await;
    assert_eq!(forced.projects["ash"].removed, 3);
    assert_eq!(env.served().await, lists(&rest));
    assert_eq!(env.table().projects(Consistency::Consistent).await.unwrap(), ["try".to_owned()].into());
    let after = catalog_items(&env.client, &env.name).await;
    let parts = after.iter().filter(|((pk, _), _)| pk == "project#ash");
    assert!(parts.clone().count() == 2 && parts.clone().all(|(_, part)| part.contains_key("expires_at")));
}

#[tokio::test]
async fn a_dump_of_too_few_builders_is_refused_even_if_nothing_is_published() {
    let env = TestEnv::new().await;
    let few = file(&dump(&[("try", 0..9)]));

    let (report, refused) = env.ingest(path(&few)).with(|run| run.limits.min_builders = 10).made_badly().await;

    assert_eq!(refused.to_string(), "refused: the source holds 9 builders, fewer than the configured 10");
    assert_eq!((report.outcome, env.served().await), (ReportOutcome::Refused, BTreeMap::new()));
}

// Sources that are not what they should be.

#[tokio::test]
async fn a_broken_document_writes_nothing_but_its_report() {
    let env = TestEnv::new().await;
    let bucket = env.new_bucket().await;
    let good = dump(&[("try", 0..50)]);
    env.ingest(path(&file(&good))).made_well().await;
    let before = catalog_items(&env.client, &env.name).await;
    let zipped = gzip(&good);
    let bomb = gzip(&[b"{\"x\": \"".as_slice(), &vec![b' '; 5_000_000], b"\"}"].concat());

    for (what, content, exit_code, outcome, said) in [
        ("empty", Vec::new(), 3, ReportOutcome::Refused, "the source is empty"),
        ("cut", good[..good.len() / 2].to_vec(), 3, ReportOutcome::Refused, "(byte "),
        ("HTML", b"<!DOCTYPE html><title>503</title>".to_vec(), 3, ReportOutcome::Refused, "starts with '<'"),
        ("another document", b"{\"slaves\": {}}".to_vec(), 3, ReportOutcome::Refused, "it has no \"builders\""),
        ("cut gzip", zipped[..zipped.len() / 2].to_vec(), 4, ReportOutcome::Failed, "the source broke off"),
        ("gzip bomb", bomb, 3, ReportOutcome::Refused, "more than 1000000 bytes, the configured maximum"),
    ] {
        let source = file(&content);
        let ingest = env.ingest(path(&source)).archived_in(&bucket).with(|run| run.max_source_bytes = 1_000_000);
        let (report, error) = ingest.made_badly().await;

        assert!(error.to_string().contains(said), "{what}: {error}");
        assert_eq!((error.exit_code(), report.outcome), (exit_code, outcome), "{what}");
        assert_eq!(report.error, Some(error.to_string()), "{what}");
        assert_eq!(env.last_report().await, report, "{what}");
        assert_eq!(catalog_items(&env.client, &env.name).await, before, "{what}");
    }
    assert_eq!(env.keys(&bucket).await, [""; 0]);
}

#[tokio::test]
async fn a_fetch_that_fails_once_is_retried() {
    let env = TestEnv::new().await;
    let document = dump(&[("try", 0..3)]);
    let page = document.clone();
    let asked = AtomicU32::new(0);
    let address = support::http::serve(move |_| match asked.fetch_add(1, Ordering::Relaxed) {
        0 => Some(Message::answer("503 Service Unavailable", "")),
        _ => Some(Message::answer("200 OK", page.clone())),
    });

    env.ingest(&address).made_well().await;

    assert_eq!(env.served().await, lists(&document));
}

async fn cannot_be_reached(address: &str, said: &str) {
    let env = TestEnv::new().await;
    let (report, error) = env.ingest(address).made_badly().await;
    assert!(error.to_string().contains(said), "{error}");
    assert_eq!((error.exit_code(), report.outcome), (4, ReportOutcome::Failed));
    assert_eq!(catalog_items(&env.client, &env.name).await, BTreeMap::new());
    assert_eq!(env.last_report().await.error, Some(error.to_string()));
}

#[tokio::test]
async fn a_fetch_is_tried_three_times() {
    let site = Site::new(Message::answer("500 Internal Server Error", "oops"));
    cannot_be_reached(&site.address, "the server answered 500 Internal Server Error").await;
    assert_eq!(site.asked().len(), 3);
}

#[tokio::test]
async fn a_missing_page_is_fetched_once() {
    let site = Site::new(Message::answer("404 Not Found", "<html>"));
    cannot_be_reached(&site.address, "the server answered 404 Not Found").await;
    assert_eq!(site.asked().len(), 1);
}

#[tokio::test]
async fn the_error_names_an_unreachable_web_server() {
    cannot_be_reached(&support::http::closed_address(), "onnection refused").await;
}

#[tokio::test]
async fn the_error_of_a_broken_connection_names_the_place_in_the_body() {
    let document = dump(&[("try", 0..300)]);
    let site = Site::new(Message::answer("200 OK", document).breaking_off_at(20_000));
    cannot_be_reached(&site.address, "the source broke off").await;
}

#[tokio::test]
async fn a_missing_file_is_named() {
    cannot_be_reached("/nowhere/allthethings.json", "/nowhere/allthethings.json: No such file").await;
}

// Sources that are as they were.

#[tokio::test]
async fn a_source_that_is_not_modified_is_not_read_and_its_validators_are_carried_forward() {
    let modified = ("Last-Modified", "Mon, 23 Nov 2026 05:00:00 GMT");
    for (header, asked_by) in [(("ETag", "\"a-1\""), "if-none-match"), (modified, "if-modified-since")] {
        let env = TestEnv::new().await;
        let site = Site::new(Message::answer("200 OK", dump(&[("try", 0..5)])).with(header.0, header.1));
        env.ingest(&site.address).made_well().await;
        assert_eq!(site.asked().pop().unwrap().header(asked_by), None);
        let before = catalog_items(&env.client, &env.name).await;

        // Twice: the second learns the validators from a report that read nothing.
        for _ in 0..2 {
            let proxy = Proxy::start(|_, _| Plan::Pass);
            let report = env.ingest(&site.address).through(&proxy.endpoint).made_well().await;

            assert_eq!(site.asked().pop().unwrap().header(asked_by), Some(header.1));
            assert_eq!((report.outcome, report.bytes, report.builders), (ReportOutcome::Unchanged, 0, 0));
            assert_eq!(writes(&proxy), ["PutItem"]);
        }
        assert_eq!(catalog_items(&env.client, &env.name).await, before);
    }
}

#[tokio::test]
async fn a_source_is_read_again_if_the_last_report_is_incomplete() {
    let env = TestEnv::new().await;
    let site = Site::with_etag(&dump(&[("try", 0..5)]), "\"1\"");
    let asked = || site.asked().pop().expect("a request").header("if-none-match").map(str::to_owned);
    env.ingest(&site.address).made_well().await;
    env.ingest(&site.address).made_well().await;
    assert_eq!((asked().as_deref(), site.asked().len()), (Some("\"1\""), 0));

    // When it is forced,
    let forced = env.ingest(&site.address).with(|run| run.force = true).made_well().await;
    assert_eq!((asked(), forced.outcome), (None, ReportOutcome::Unchanged));

    // when it is for some projects only, and behind that,
    env.ingest(&site.address).only(&["try"]).made_well().await;
    assert_eq!(asked(), None);
    env.ingest(&site.address).made_well().await;
    assert_eq!(asked(), None);

    // and when other rules made the lists.
    env.last_was_by_other_rules().await;
    env.ingest(&site.address).made_well().await;
    assert_eq!(asked(), None);
    env.ingest(&site.address).made_well().await;
    assert_eq!(asked().as_deref(), Some("\"1\""));
}

#[tokio::test]
async fn pointers_without_summaries_are_repaired_even_if_the_source_is_unchanged() {
    let env = TestEnv::new().await;
    let document = dump(&[("try", 0..5), ("ash", 0..3)]);
    let site = Site::with_etag(&document, "\"1\"");
    env.ingest(&site.address).made_well().await;
    let good = env.table().pointer("try").await.unwrap().unwrap();
    // As an earlier release left it, whose rules were others.
    for attribute in ["build_systems", "platforms"] {
        support::set(&env.client, &env.name, ("project#try", "current"), attribute, None).await;
    }
    env.last_was_by_other_rules().await;
    assert!(env.table().pointer("try").await.unwrap().unwrap().is_outdated());

    let report = env.ingest(&site.address).made_well().await;

    assert_eq!((report.outcome, report.items_written), (ReportOutcome::Published, 3));
    assert!(report.projects.values().all(|project| project.unchanged == project.jobs));
    let healed = env.table().pointer("try").await.unwrap().unwrap();
    assert_eq!((healed.generation, &healed.summary), (2, &good.summary));
    assert_eq!(env.table().pointer("ash").await.unwrap().unwrap().generation, 1);
    assert_eq!(env.served().await, lists(&document));
    assert_eq!(env.ingest(&site.address).made_well().await.items_written, 0);
}

#[tokio::test]
async fn an_unchanged_list_without_an_index_gets_one() {
    let env = TestEnv::new().await;
    let document = dump(&[("try", 0..5), ("ash", 0..3)]);
    env.ingest(path(&file(&document))).made_well().await;
    let good = env.table().pointer("try").await.unwrap().unwrap();
    support::delete(&env.client, &env.name, ("project#try", &format!("list#{}#index#000", good.etag))).await;
    support::set(&env.client, &env.name, ("project#try", "current"), "index_parts", None).await;

    let report = env.ingest(path(&file(&document))).made_well().await;

    assert_eq!((report.outcome, report.items_written), (ReportOutcome::Published, 3));
    let healed = env.table().pointer("try").await.unwrap().unwrap();
    assert_eq!((healed.generation, healed.index_parts), (2, 1));
    assert_eq!(env.served().await, lists(&document));
    assert_eq!(env.ingest(path(&file(&document))).made_well().await.items_written, 0);
}

#[tokio::test]
async fn a_list_of_several_parts_keeps_its_bytes_when_its_pointer_is_repaired() {
    let env = TestEnv::new().await;
    // Long names that shrink little.
    let name = |seed| {
        support::noise(400, seed).iter().fold("Linux try ".to_owned(), |name, byte| name + &format!("{byte:02x}"))
    };
    let builders: BTreeMap<String, serde_json::Value> =
        (0..1500).map(|seed| (name(seed), serde_json::json!({"properties": {"branch": "try"}}))).collect();
    let document = serde_json::to_vec(&serde_json::json!({"builders": builders, "schedulers": {}})).unwrap();
    // As an earlier release left it, which packed less well.
    let body = &lists(&document)["try"];
    let summary = Summary { jobs: 1500, ..Summary::default() };
    let list = PackedList { gzip: gzip(body.as_bytes()), ..PackedList::new(body.as_bytes(), summary) };
    assert!(list.parts().len() > 1 && list.gzip != list::pack(body.as_bytes()));
    let provenance =
        Provenance { source: "-".to_owned(), source_etag: None, updated_at: support::at("2026-11-22T06:00:00Z") };
    env.table().publish("try", &list, None, &provenance).await.unwrap();

    env.ingest(path(&file(&document))).made_well().await;

    let healed = env.table().pointer("try").await.unwrap().unwrap();
    assert!(healed.generation == 2 && !healed.is_outdated());
    assert_eq!(env.table().list("try", &healed).await.unwrap(), list.gzip);
}

#[tokio::test]
async fn an_unchanged_source_is_not_read_again_after_a_refusal() {
    let env = TestEnv::new().await;
    let site = Site::with_etag(&dump(&[("try", 0..200)]), "\"1\"");
    env.ingest(&site.address).made_well().await;
    site.replace(&dump(&[("try", 0..20)]), "\"2\"");
    env.ingest(&site.address).made_badly().await;
    site.replace(&dump(&[("try", 0..200)]), "\"1\"");
    site.asked();

    let report = env.ingest(&site.address).made_well().await;

    assert_eq!(site.asked()[0].header("if-none-match"), Some("\"1\""));
    assert_eq!((report.outcome, report.bytes), (ReportOutcome::Unchanged, 0));
}

// S3.

#[tokio::test]
async fn each_version_of_a_dump_in_s3_is_read_once() {
    let env = TestEnv::new().await;
    let bucket = env.new_bucket().await;
    let address = format!("s3://{bucket}/dumps/allthethings.json.gz");
    let (old, new) = (dump(&[("try", 0..5)]), dump(&[("try", 0..6)]));

    let (report, error) = env.ingest(&address).made_badly().await;
    assert_eq!((error.exit_code(), report.outcome), (4, ReportOutcome::Failed));
    assert!(error.to_string().starts_with(&format!("{address}: NoSuchKey")), "{error}");

    env.put_object(&bucket, "dumps/allthethings.json.gz", &gzip(&old)).await;
    assert_eq!(env.ingest(&address).made_well().await.outcome, ReportOutcome::Published);
    let again = env.ingest(&address).made_well().await;
    assert_eq!((again.outcome, again.bytes), (ReportOutcome::Unchanged, 0));
    assert!(again.sources["buildbot"].etag.is_some());

    env.put_object(&bucket, "dumps/allthethings.json.gz", &gzip(&new)).await;
    assert_eq!(env.ingest(&address).made_well().await.outcome, ReportOutcome::Published);
    assert_eq!(env.served().await, lists(&new));
}

#[tokio::test]
async fn a_dump_is_archived_once_under_the_hash_of_its_content() {
    let env = TestEnv::new().await;
    let bucket = env.new_bucket().await;
    let document = dump(&[("try", 0..50)]);

    for content in [document.clone(), gzip(&document)] {
        let source = file(&content);
        let report = env.ingest(path(&source)).archived_in(&bucket).made_well().await;

        let keys = env.keys(&bucket).await;
        assert_eq!(keys.len(), 1);
        assert_eq!(report.archive, Some(format!("s3://{bucket}/{}", keys[0])));
        let object = env.aws.s3().get_object().bucket(&bucket).key(&keys[0]).send().await.unwrap();
        let archived = object.body.collect().await.unwrap().into_bytes();
        assert_eq!(catalog::list::unpack(&archived).unwrap(), document);
        let hash = <sha2::Sha256 as sha2::Digest>::digest(&document);
        let hash = hash.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        assert_eq!(keys[0], format!("allthethings/{hash}.json.gz"));
    }
}

#[tokio::test]
async fn a_missing_archive_is_reported_before_anything_is_published() {
    let env = TestEnv::new().await;
    let source = file(&dump(&[("try", 0..50)]));

    let (report, error) = env.ingest(path(&source)).archived_in(&unique("no-bucket")).made_badly().await;

    assert!(error.to_string().starts_with("archiving the dump as s3://no-bucket-"), "{error}");
    assert!(error.to_string().contains("NoSuchBucket"), "{error}");
    assert_eq!((error.exit_code(), report.outcome), (5, ReportOutcome::Failed));
    assert_eq!(catalog_items(&env.client, &env.name).await, BTreeMap::new());
}

// The store, when it is not what it should be.

#[tokio::test]
async fn damaged_lists_and_pointers_stop_an_ingest_and_force_repairs_them() {
    let (old, new) = (dump(&[("try", 0..10), ("ash", 0..3)]), dump(&[("try", 0..11), ("ash", 0..3)]));
    let new_file = file(&new);
    for damage in ["a part is gone", "a part is not gzip", "the pointer has no ETag"] {
        let env = TestEnv::new().await;
        env.ingest(path(&file(&old))).made_well().await;
        let etag = env.table().pointer("try").await.unwrap().unwrap().etag;
        let part = format!("list#{etag}#000");
        let noise = aws_sdk_dynamodb::types::AttributeValue::B(b"noise".as_slice().into());
        match damage {
            "a part is gone" => support::delete(&env.client, &env.name, ("project#try", &part)).await,
            "a part is not gzip" => {
                support::set(&env.client, &env.name, ("project#try", &part), "data", Some(noise)).await;
            }
            _ => support::set(&env.client, &env.name, ("project#try", "current"), "etag", None).await,
        }
        let before = catalog_items(&env.client, &env.name).await;

        let (report, error) = env.ingest(path(&new_file)).made_badly().await;
        assert!(matches!(error, IngestError::Store(StoreError::Damaged { .. })), "{damage}: {error}");
        assert!(error.to_string().contains("try") && error.to_string().contains("--force"), "{damage}: {error}");
        assert_eq!((error.exit_code(), report.outcome), (5, ReportOutcome::Failed));
        assert_eq!(catalog_items(&env.client, &env.name).await, before, "{damage}");

        let forced = env.ingest(path(&new_file)).with(|run| run.force = true).made_well().await;
        assert_eq!(forced.outcome, ReportOutcome::Published, "{damage}");
        assert_eq!(env.served().await, lists(&new), "{damage}");
        assert_eq!(env.ingest(path(&new_file)).made_well().await.outcome, ReportOutcome::Unchanged, "{damage}");
    }
}

#[tokio::test]
async fn force_writes_a_damaged_list_again_even_if_the_source_is_unchanged() {
    let document = dump(&[("try", 0..10), ("ash", 0..3)]);
    let source = file(&document);
    for damage in ["a part is gone", "a part is another list's", "the index is gone", "the index is another list's"] {
        let env = TestEnv::new().await;
        env.ingest(path(&source)).made_well().await;
        let etag = env.table().pointer("try").await.unwrap().unwrap().etag;
        let part = if damage.starts_with("the index") { "index#000" } else { "000" };
        let key = ("project#try", &*format!("list#{etag}#{part}"));
        if damage.ends_with("gone") {
            support::delete(&env.client, &env.name, key).await;
        } else {
            let other = aws_sdk_dynamodb::types::AttributeValue::B(gzip(b"{\"results\":[]}").into());
            support::set(&env.client, &env.name, key, "data", Some(other)).await;
        }

        let forced = env.ingest(path(&source)).with(|run| run.force = true).made_well().await;

        assert_eq!(forced.outcome, ReportOutcome::Published, "{damage}");
        assert_eq!(env.served().await, lists(&document), "{damage}");
        // Only what is damaged is written.
        assert_eq!(env.table().pointer("ash").await.unwrap().unwrap().generation, 1);
    }
}

#[tokio::test]
async fn a_damaged_report_of_a_past_ingest_does_not_stop_the_next() {
    let env = TestEnv::new().await;
    let site = Site::with_etag(&dump(&[("try", 0..5)]), "\"1\"");
    env.ingest(&site.address).made_well().await;
    let key = items(&env.client, &env.name).await.into_keys().find(|(pk, _)| pk == "ingest").unwrap();
    let report = aws_sdk_dynamodb::types::AttributeValue::S("{}".to_owned());
    support::set(&env.client, &env.name, (&key.0, &key.1), "report", Some(report)).await;
    site.asked();

    let report = env.ingest(&site.address).made_well().await;

    // Its source state is unknown: the source is read.
    assert_eq!(site.asked()[0].header("if-none-match"), None);
    assert_eq!((report.outcome, report.builders), (ReportOutcome::Unchanged, 5));
}

#[tokio::test]
async fn each_list_is_whole_after_two_concurrent_ingests() {
    let (old, one, other) = (
        dump(&[("try", 0..100), ("ash", 0..50), ("oak", 0..50)]),
        dump(&[("try", 0..101), ("ash", 0..51), ("oak", 0..51), ("elm", 0..2)]),
        dump(&[("try", 0..102), ("ash", 0..52), ("oak", 0..52), ("elm", 0..3)]),
    );
    let (one_file, other_file) = (file(&one), file(&other));
    for _ in 0..5 {
        let env = TestEnv::new().await;
        env.ingest(path(&file(&old))).made_well().await;
        let at_once = |source| env.ingest(source).with(|run| run.clock = support::a_second_later).made();

        let ((_, first), (_, second)) = tokio::join!(at_once(path(&one_file)), at_once(path(&other_file)));

        for result in [&first, &second] {
            assert!(matches!(result, Ok(()) | Err(IngestError::Store(StoreError::Superseded { .. }))), "{result:?}");
        }
        assert!(first.is_ok() || second.is_ok());
        for (project, body) in env.served().await {
            assert!(body == lists(&one)[&project] || body == lists(&other)[&project], "{project}");
        }
        // The next ingest repairs the mix of the two.
        env.ingest(path(&one_file)).made_well().await;
        assert_eq!(env.served().await, lists(&one));
    }
}

#[tokio::test]
async fn the_report_says_when_the_next_ingest_is_due_and_how_many_were_missed() {
    let env = TestEnv::new().await;
    let source = file(&dump(&[("try", 0..5)]));
    support::it_is("2026-11-23T06:00:02Z");
    let first = env.ingest(path(&source)).due("0 6 * * ? *").made_well().await.schedule.unwrap();
    assert_eq!((first.next_due, first.missed), (support::at("2026-11-24T06:00:00Z"), 0));

    // A failed ingest does not count.
    support::it_is("2026-11-25T06:00:02Z");
    env.ingest("/nowhere").due("0 6 * * ? *").made_badly().await;
    support::it_is("2026-11-26T12:00:00Z");
    let late = env.ingest(path(&source)).due("0 6 * * ? *").made_well().await.schedule.unwrap();
    assert_eq!((late.next_due, late.missed), (support::at("2026-11-27T06:00:00Z"), 3));
}

#[tokio::test]
async fn missed_ingests_are_reported_even_if_none_succeeded_for_long() {
    let env = TestEnv::new().await;
    support::it_is("2026-11-01T06:00:02Z");
    env.ingest(path(&file(&dump(&[("try", 0..5)])))).made_well().await;
    for day in 2..=20 {
        support::it_is(&format!("2026-11-{day:02}T06:00:02Z"));
        env.ingest("/nowhere").due("0 6 * * ? *").made_badly().await;
    }

    // Ten reports are looked at: the first of them is of the eleventh, and the twentieth is not yet late.
    assert_eq!(env.last_report().await.schedule.unwrap().missed, 9);
}

// The store, when it fails.

fn old_and_new() -> (Vec<u8>, Vec<u8>) {
    (
        dump(&[("ash", 0..4), ("cedar", 0..4), ("gone", 0..4), ("same", 0..4)]),
        dump(&[("ash", 0..5), ("cedar", 1..5), ("fresh", 0..4), ("same", 0..4)]),
    )
}

#[tokio::test]
async fn an_ingest_that_dies_at_any_write_leaves_whole_lists_and_the_next_one_finishes() {
    let (old, new) = old_and_new();
    let (old_lists, new_lists) = (lists(&old), lists(&new));
    let counted = Proxy::start(|_, _| Plan::Pass);
    let env = TestEnv::new().await;
    env.ingest(path(&file(&old))).made_well().await;
    let new_file = file(&new);
    env.ingest(path(&new_file)).through(&counted.endpoint).with(|run| run.force = true).made_well().await;
    let all = writes(&counted).len();
    assert!(all >= 12, "{:?}", writes(&counted));

    // The write that fails either did not happen or its answer was lost; everything behind it fails. Then the source
    // is as it is, or again as it was before: an ingest that trusts what it knows of it would leave the lists mixed.
    for (dies_at, lost) in (0..all).flat_map(|write| [(write, false), (write, true)]) {
        for back_to_old in [false, true] {
            let case = format!("write {dies_at}, lost {lost}, back to old {back_to_old}");
            let env = TestEnv::new().await;
            let site = Site::with_etag(&old, "\"old\"");
            env.ingest(&site.address).made_well().await;
            site.replace(&new, "\"new\"");
            let mut write = 0;
            let dying = Proxy::start(move |operation, _| {
                write += usize::from(is_write(operation));
                match write.checked_sub(dies_at + 1) {
                    None => Plan::Pass,
                    Some(0) if lost && is_write(operation) => Plan::Lose("ValidationException"),
                    Some(_) => Plan::Refuse("ValidationException"),
                }
            });

            let dies = env.ingest(&site.address).through(&dying.endpoint).with(|run| run.force = true);
            let (_, error) = dies.made_badly().await;

            assert_eq!(error.exit_code(), 5, "{case}: {error}");
            assert!(error.to_string().contains("ValidationException"), "{case}: {error}");
            for (project, body) in env.served().await {
                let whole = [&old_lists, &new_lists].iter().any(|lists| lists.get(&project) == Some(&body));
                assert!(whole, "{case}: {project}");
            }
            let (document, expected) = if back_to_old { (&old, &old_lists) } else { (&new, &new_lists) };
            site.replace(document, if back_to_old { "\"old\"" } else { "\"new\"" });
            let next = env.ingest(&site.address).with(|run| run.force = !back_to_old);
            // Without `force` a project that is only in the new dump is in the way, if it was published.
            match next.made().await {
                (_, Err(IngestError::Refused(_))) if back_to_old => {
                    env.ingest(&site.address).with(|run| run.force = true).made_well().await;
                }
                (_, result) => result.unwrap_or_else(|error| panic!("{case}: {error}")),
            }
            assert_eq!(env.served().await, *expected, "{case}");
            assert_eq!(
                env.table().projects(Consistency::Consistent).await.unwrap(),
                expected.keys().cloned().collect(),
                "{case}"
            );
            for ((pk, sk), item) in catalog_items(&env.client, &env.name).await {
                let of_gone = pk.strip_prefix("project#").is_some_and(|project| !expected.contains_key(project));
                let two_hours_old = item.contains_key("expires_at") || !sk.starts_with("list#");
                assert!(!of_gone || two_hours_old, "{case}: {pk} {sk} stays for ever");
            }
        }
    }
}

#[tokio::test]
async fn an_ingest_does_not_trust_a_partial_one_before_it() {
    let (old, new) = old_and_new();
    let env = TestEnv::new().await;
    let site = Site::with_etag(&old, "\"1\"");
    env.ingest(&site.address).made_well().await;
    site.replace(&new, "\"2\"");
    let mut batches = 0;
    let failing = Proxy::start(move |operation, _| {
        batches += usize::from(operation == "BatchWriteItem");
        if operation == "BatchWriteItem" && batches == 2 { Plan::Refuse("ValidationException") } else { Plan::Pass }
    });
    let failed = env.ingest(&site.address).through(&failing.endpoint).with(|run| run.force = true);
    let (report, _) = failed.made_badly().await;
    assert!(report.items_written > 0);
    assert_eq!(env.last_report().await, report);
    site.replace(&old, "\"1\"");
    site.asked();

    env.ingest(&site.address).made_well().await;

    assert_eq!(site.asked()[0].header("if-none-match"), None);
    assert_eq!(env.served().await, lists(&old));
}

#[tokio::test]
async fn a_throttling_store_is_retried() {
    let env = TestEnv::new().await;
    let document = dump(&[("try", 0..5), ("ash", 0..5)]);
    let mut before: BTreeMap<String, u32> = BTreeMap::new();
    // Each operation's first three requests.
    let throttling = Proxy::start(move |operation, _| {
        let seen = before.entry(operation.to_owned()).or_default();
        *seen += 1;
        if *seen <= 3 { Plan::Refuse("ProvisionedThroughputExceededException") } else { Plan::Pass }
    });

    env.ingest(path(&file(&document))).through(&throttling.endpoint).made_well().await;

    assert_eq!(env.served().await, lists(&document));
}

#[tokio::test]
async fn the_unprocessed_half_of_each_batch_is_sent_again() {
    let env = TestEnv::new().await;
    let (old, new) = old_and_new();
    env.ingest(path(&file(&old))).made_well().await;
    let mut batches = 0;
    let slow = Proxy::start(move |operation, entries| {
        batches += u32::from(operation.starts_with("Batch"));
        // The first two of each kind come at the start.
        if operation.starts_with("Batch") && batches % 3 != 0 { Plan::Leave(entries.div_ceil(2)) } else { Plan::Pass }
    });

    let new_file = file(&new);
    env.ingest(path(&new_file)).through(&slow.endpoint).with(|run| run.force = true).made_well().await;

    assert_eq!(env.served().await, lists(&new));
}

#[tokio::test]
async fn an_unreachable_store_is_reported() {
    let env = TestEnv::new().await;
    let source = file(&dump(&[("try", 0..5)]));

    let (report, error) = env.ingest(path(&source)).through(&support::http::closed_address()).made_badly().await;

    assert!(error.to_string().starts_with("reading the reports of past ingests: "), "{error}");
    assert_eq!((error.exit_code(), report.outcome), (5, ReportOutcome::Failed));
}
