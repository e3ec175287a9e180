//! The catalog table, beside the emulator.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use catalog::list::{self, MAX_PART_BYTES, PackedList, Summary};
use chrono::{DateTime, TimeDelta, Utc};
use runtime::{Aws, ClientProfile};
use store::{CatalogTable, Consistency, ListPointer, Provenance, Report, ReportOutcome, StoreError, Usage};
use test_support::store::proxy::{Plan, Proxy};
use test_support::store::{at, client, endpoint, items, new_table, noise, number, set};

/// A table of its own, and the name of it.
async fn new_catalog() -> (CatalogTable, Client, String) {
    let client = client(&endpoint()).await;
    let name = new_table(&client).await;
    (CatalogTable::new(client.clone(), &name), client, name)
}

fn morning() -> DateTime<Utc> {
    at("2026-11-23T06:00:00Z")
}

fn provenance(updated_at: DateTime<Utc>) -> Provenance {
    Provenance {
        source: "https://example.org/allthethings.json".to_owned(),
        source_etag: Some("\"1\"".to_owned()),
        updated_at,
    }
}

/// What the lists say that they hold.
fn summary() -> Summary {
    Summary {
        jobs: 7,
        build_systems: [("buildbot".to_owned(), 7)].into(),
        platforms: ["linux64", "osx-10-10"].map(str::to_owned).into(),
    }
}

/// A list in so many parts. (What it says does not matter to the table.)
fn list_of_parts(parts: usize, seed: u64) -> PackedList {
    let list = PackedList::new(&noise(MAX_PART_BYTES * parts - MAX_PART_BYTES / 2, seed), summary());
    assert_eq!(list.parts().len(), parts);
    list
}

/// The body that is served, which must be the one that its pointer names.
async fn served(table: &CatalogTable, project: &str) -> Vec<u8> {
    let pointer = table.pointer(project).await.expect("a good pointer").expect("a pointer");
    let body = list::unpack(&table.list(project, &pointer).await.expect("all parts")).expect("gzip");
    assert_eq!(list::etag(&body), pointer.etag);
    body
}

fn service(error: &StoreError) -> (&str, &str) {
    match error {
        StoreError::Service { action, reason } | StoreError::Unreachable { action, reason } => (action, reason),
        other => panic!("{other}"),
    }
}

// Publishing.

#[tokio::test]
async fn a_list_of_one_part_or_several_is_read_back_as_it_was_published() {
    let (table, ..) = new_catalog().await;
    for (project, parts) in [("try", 1), ("autoland", 2), ("mozilla-central", 5)] {
        let list = list_of_parts(parts, 1);

        let published = table.publish(project, &list, None, &provenance(morning())).await.unwrap();

        assert_eq!(published, table.pointer(project).await.unwrap().unwrap());
        let expected = ListPointer {
            generation: 1,
            etag: list.etag.clone(),
            summary: summary(),
            parts,
            index_parts: 0,
            index_format: String::new(),
            shares: [].into(),
            body_bytes: list.body_bytes,
            packed_bytes: list.gzip.len(),
            provenance: provenance(morning()),
        };
        assert_eq!(published, expected);
        assert_eq!(table.list(project, &published).await.unwrap(), list.gzip);
    }
}

#[tokio::test]
async fn no_part_exceeds_the_maximum_size_of_an_item() {
    let (table, client, name) = new_catalog().await;
    table.publish("try", &list_of_parts(3, 1), None, &provenance(morning())).await.unwrap();

    let items = items(&client, &name).await;
    let parts: Vec<_> = items.iter().filter(|((_, sk), _)| sk.starts_with("list#")).collect();
    assert_eq!(parts.len(), 3);
    assert!(parts.iter().all(|(_, part)| part["data"].as_b().unwrap().as_ref().len() <= MAX_PART_BYTES));
}

#[tokio::test]
async fn pointers_and_names_are_those_of_the_published_projects() {
    let (table, ..) = new_catalog().await;
    assert_eq!(table.pointer("try").await.unwrap(), None);
    assert!(table.projects(Consistency::Consistent).await.unwrap().is_empty());
    // More than one read of pointers takes.
    let names: Vec<String> = (0..130).map(|number| format!("twig-{number}")).collect();
    for name in &names {
        let list = PackedList::new(name.as_bytes(), summary());
        table.publish(name, &list, None, &provenance(morning())).await.unwrap();
    }

    let wanted = names.iter().map(String::as_str).chain(["nowhere"]);
    let pointers = table.pointers(wanted, Consistency::Consistent).await.unwrap();

    assert_eq!(pointers.len(), 130);
    for (name, pointer) in pointers {
        assert_eq!(pointer.unwrap().etag, list::etag(name.as_bytes()));
    }
    assert_eq!(table.projects(Consistency::Consistent).await.unwrap(), names.into_iter().collect());
}

#[tokio::test]
async fn the_share_of_a_build_system_keeps_its_time_until_its_jobs_change() {
    let (table, client, name) = new_catalog().await;
    let list = |seed, digests: &[(&str, &str)]| {
        let digests = digests.iter().map(|&(name, digest)| (name.to_owned(), digest.to_owned())).collect();
        list_of_parts(1, seed).with_digests(digests)
    };
    let time = |hours| morning() + TimeDelta::hours(hours);
    // As an earlier release left it: all jobs are Buildbot's, and the ETag is their digest.
    let old = table.publish("try", &list(1, &[]), None, &provenance(time(0))).await.unwrap();
    assert_eq!((old.digest_of("buildbot"), old.jobs_of("buildbot")), (Some(&*old.etag), 7));
    assert_eq!((old.digest_of("taskcluster"), old.jobs_of("taskcluster")), (None, 0));

    let both = list(2, &[("buildbot", &old.etag), ("taskcluster", "t1")]);
    let pointer = table.publish("try", &both, Some(&old), &provenance(time(1))).await.unwrap();
    assert_eq!(table.pointer("try").await.unwrap().as_ref(), Some(&pointer));
    assert_eq!((pointer.digest_of("buildbot"), pointer.digest_of("taskcluster")), (Some(&*old.etag), Some("t1")));
    assert_eq!((pointer.updated_at("buildbot"), pointer.updated_at("taskcluster")), (time(0), time(1)));

    let next = list(3, &[("buildbot", "b2"), ("taskcluster", "t1")]);
    let pointer = table.publish("try", &next, Some(&pointer), &provenance(time(2))).await.unwrap();
    assert_eq!((pointer.updated_at("buildbot"), pointer.updated_at("taskcluster")), (time(2), time(1)));

    let shares = AttributeValue::M([("buildbot".to_owned(), AttributeValue::S("b2".to_owned()))].into());
    set(&client, &name, ("project#try", "current"), "shares", Some(shares)).await;
    assert!(matches!(table.pointer("try").await, Err(StoreError::Damaged { .. })));
}

#[tokio::test]
async fn reports_of_each_build_system_are_read_apart_and_together() {
    let (table, ..) = new_catalog().await;
    let mut reports = Vec::new();
    for hour in 0..4 {
        let started_at = morning() + TimeDelta::hours(hour);
        let report = if hour == 1 { Report::new(started_at, "-") } else { Report::of_taskcluster(started_at, "-") };
        table.put_report(&report).await.unwrap();
        reports.insert(0, report);
    }
    assert_eq!(table.reports(10).await.unwrap(), reports);
    let of = async |build_system, last| table.each_report(build_system, last).await.unwrap().into_iter().flatten();
    assert_eq!(of("buildbot", 1).await.collect::<Vec<_>>(), reports[2..3]);
    assert_eq!(of("taskcluster", 2).await.collect::<Vec<_>>(), reports[..2]);
}

#[tokio::test]
async fn a_list_without_jobs_has_a_pointer_that_is_not_outdated() {
    let (table, client, name) = new_catalog().await;
    let list = PackedList::new(b"{}", Summary::default());

    let pointer = table.publish("ash", &list, None, &provenance(morning())).await.unwrap();

    assert_eq!(table.pointer("ash").await.unwrap().as_ref(), Some(&pointer));
    assert!(!pointer.is_outdated());
    // The store knows no empty sets.
    let pointer = &items(&client, &name).await[&("project#ash".to_owned(), "current".to_owned())];
    assert!(!pointer.contains_key("platforms"));
}

#[tokio::test]
async fn exactly_one_of_two_publishers_that_saw_the_same_pointer_wins() {
    let (table, ..) = new_catalog().await;
    let mut previous = None;
    for round in 0..8 {
        let (one, other) = (list_of_parts(1, 2 * round), list_of_parts(2, 2 * round + 1));
        let provenance = provenance(morning());

        let (first, second) = tokio::join!(
            table.publish("try", &one, previous.as_ref(), &provenance),
            table.publish("try", &other, previous.as_ref(), &provenance),
        );

        let (won, lost) = if first.is_ok() { (first, second) } else { (second, first) };
        let (won, lost) = (won.unwrap(), lost.unwrap_err());
        assert!(matches!(&lost, StoreError::Superseded { project } if project == "try"), "{lost}");
        assert_eq!(table.pointer("try").await.unwrap().as_ref(), Some(&won));
        served(&table, "try").await;
        assert_eq!(won.generation, round + 1);
        previous = Some(won);
    }
}

#[tokio::test]
async fn a_publisher_with_an_old_pointer_does_not_change_the_served_list() {
    let (table, ..) = new_catalog().await;
    let (first, second, late) = (list_of_parts(1, 1), list_of_parts(1, 2), list_of_parts(1, 3));
    let old = table.publish("try", &first, None, &provenance(morning())).await.unwrap();
    let new = table.publish("try", &second, Some(&old), &provenance(morning())).await.unwrap();

    for previous in [None, Some(&old)] {
        let lost = table.publish("try", &late, previous, &provenance(morning())).await.unwrap_err();
        assert_eq!(lost.to_string(), "try was published by another ingest meanwhile; this one stops");
        let lost = table.remove("try", &old, morning()).await.unwrap_err();
        assert!(matches!(lost, StoreError::Superseded { .. }));
    }

    assert_eq!(table.pointer("try").await.unwrap(), Some(new.clone()));
    assert_eq!(table.list("try", &new).await.unwrap(), second.gzip);
}

#[tokio::test]
async fn a_removed_project_is_absent_and_can_be_published_again() {
    let (table, client, name) = new_catalog().await;
    let list = list_of_parts(2, 1);
    let pointer = table.publish("ash", &list, None, &provenance(morning())).await.unwrap();
    let later = morning() + TimeDelta::hours(2);

    table.remove("ash", &pointer, later).await.unwrap();

    assert_eq!(table.pointer("ash").await.unwrap(), None);
    assert!(table.projects(Consistency::Consistent).await.unwrap().is_empty());
    // Who still holds the pointer can read the list for a day.
    assert_eq!(table.list("ash", &pointer).await.unwrap(), list.gzip);
    let parts = items(&client, &name).await;
    let expiries: Vec<_> = parts.values().filter_map(|item| number(item, "expires_at")).collect();
    assert_eq!(expiries, [(later + TimeDelta::days(1)).timestamp(); 2]);

    let back = table.publish("ash", &list, None, &provenance(later)).await.unwrap();
    assert_eq!(table.list("ash", &back).await.unwrap(), list.gzip);
    assert!(items(&client, &name).await.values().all(|item| number(item, "expires_at").is_none()));
}

#[tokio::test]
async fn a_pointer_from_before_a_removal_differs_from_the_one_after_it() {
    let (table, ..) = new_catalog().await;
    let (first, second, late) = (list_of_parts(1, 1), list_of_parts(1, 2), list_of_parts(1, 3));
    let old = table.publish("ash", &first, None, &provenance(morning())).await.unwrap();
    table.remove("ash", &old, morning()).await.unwrap();
    let new = table.publish("ash", &second, None, &provenance(morning())).await.unwrap();
    assert_eq!(new.generation, old.generation);

    let lost = table.publish("ash", &late, Some(&old), &provenance(morning())).await.unwrap_err();
    assert!(matches!(lost, StoreError::Superseded { .. }), "{lost}");
    let lost = table.remove("ash", &old, morning()).await.unwrap_err();
    assert!(matches!(lost, StoreError::Superseded { .. }), "{lost}");
    assert_eq!(table.pointer("ash").await.unwrap(), Some(new));
}

// Expiry.

/// When the parts of each of these lists expire.
async fn expiries(client: &Client, table: &str, list: &PackedList) -> Vec<Option<i64>> {
    let start = format!("list#{}#", list.etag);
    let items = items(client, table).await;
    items.iter().filter(|((_, sk), _)| sk.starts_with(&start)).map(|(_, item)| number(item, "expires_at")).collect()
}

#[tokio::test]
async fn a_replaced_list_expires_a_day_later_and_the_kept_one_never() {
    let (table, client, name) = new_catalog().await;
    let (old, new) = (list_of_parts(2, 1), list_of_parts(2, 2));
    let previous = table.publish("try", &old, None, &provenance(morning())).await.unwrap();
    let later = morning() + TimeDelta::hours(24);

    let pointer = table.publish("try", &new, Some(&previous), &provenance(later)).await.unwrap();

    let then = Some((later + TimeDelta::days(1)).timestamp());
    assert_eq!(expiries(&client, &name, &old).await, [then, then]);
    assert_eq!(expiries(&client, &name, &new).await, [None, None]);
    assert_eq!(table.list("try", &previous).await.unwrap(), old.gzip);

    // When the old list comes back it is current again, and the time of the other's end is not moved again.
    let back = later + TimeDelta::hours(2);
    let again = table.publish("try", &old, Some(&pointer), &provenance(back)).await.unwrap();
    let after = back + TimeDelta::hours(2);
    table.publish("try", &old, Some(&again), &provenance(after)).await.unwrap();
    assert_eq!(expiries(&client, &name, &old).await, [None, None]);
    assert_eq!(expiries(&client, &name, &new).await, [Some((back + TimeDelta::days(1)).timestamp()); 2]);
}

#[tokio::test]
async fn parts_that_another_ingest_wrote_within_the_hour_stay() {
    let (table, client, name) = new_catalog().await;
    let (first, second, third) = (list_of_parts(1, 1), list_of_parts(1, 2), list_of_parts(1, 3));
    let one = table.publish("try", &first, None, &provenance(morning())).await.unwrap();

    let soon = morning() + TimeDelta::minutes(59);
    let two = table.publish("try", &second, Some(&one), &provenance(soon)).await.unwrap();
    assert_eq!(expiries(&client, &name, &first).await, [None]);

    // The next change finds them.
    let later = morning() + TimeDelta::hours(24);
    table.publish("try", &third, Some(&two), &provenance(later)).await.unwrap();
    let then = Some((later + TimeDelta::days(1)).timestamp());
    assert_eq!(expiries(&client, &name, &first).await, [then]);
    assert_eq!(expiries(&client, &name, &second).await, [then]);
    assert_eq!(expiries(&client, &name, &third).await, [None]);
}

#[tokio::test]
async fn one_projects_publication_leaves_the_others_alone() {
    let (table, client, name) = new_catalog().await;
    let (list, other) = (list_of_parts(1, 1), list_of_parts(1, 2));
    let provenance = provenance(morning());
    let old = table.publish("try", &list, None, &provenance).await.unwrap();
    table.publish("try-comm", &list, None, &provenance).await.unwrap();
    let of_other = |items: std::collections::BTreeMap<(String, String), test_support::store::Item>| {
        items.into_iter().filter(|((pk, _), _)| pk == "project#try-comm").collect::<Vec<_>>()
    };
    let before = of_other(items(&client, &name).await);
    let later = Provenance { updated_at: morning() + TimeDelta::days(1), ..provenance };

    table.publish("try", &other, Some(&old), &later).await.unwrap();

    assert_eq!(of_other(items(&client, &name).await), before);
}

// Reports.

#[tokio::test]
async fn the_requested_number_of_reports_is_read_newest_first() {
    let (table, client, name) = new_catalog().await;
    assert_eq!(table.reports(10).await.unwrap(), []);
    let mut reports = Vec::new();
    for (minute, outcome) in
        [ReportOutcome::Published, ReportOutcome::Unchanged, ReportOutcome::Refused].into_iter().enumerate()
    {
        let started_at = morning() + TimeDelta::minutes(i64::try_from(minute).unwrap());
        let report = Report { outcome, ..Report::new(started_at, "-") };
        table.put_report(&report).await.unwrap();
        reports.insert(0, report);
    }

    assert_eq!(table.reports(10).await.unwrap(), reports);
    assert_eq!(table.reports(2).await.unwrap(), reports[..2]);
    let expiries: Vec<_> = items(&client, &name).await.values().filter_map(|item| number(item, "expires_at")).collect();
    assert_eq!(expiries.first(), Some(&(morning() + TimeDelta::days(90)).timestamp()));
    assert_eq!(expiries.len(), 3);
}

// What is not as it should be.

#[tokio::test]
async fn a_damaged_item_is_named() {
    let key = |sk: &str| ("project#try".to_owned(), sk.to_owned());
    let list = list_of_parts(2, 1);
    let part = format!("list#{}#001", list.etag);
    let wrong = |value: &str| Some(AttributeValue::S(value.to_owned()));
    let no_number = Some(AttributeValue::M([("buildbot".to_owned(), AttributeValue::Bool(true))].into()));
    for ((pk, sk), attribute, value, said) in [
        (key("current"), "generation", None, "project#try current is damaged: it has no number generation"),
        (key("current"), "parts", wrong("2"), "project#try current is damaged: it has no number parts"),
        (key("current"), "etag", None, "project#try current is damaged: it has no string etag"),
        (
            key("current"),
            "build_systems",
            no_number,
            "project#try current is damaged: build_systems has no number buildbot",
        ),
        (key("current"), "updated_at", wrong("today"), "project#try current is damaged: updated_at is not a time"),
        (key(&part), "data", None, "#001 is damaged: it has no data"),
    ] {
        let (table, client, name) = new_catalog().await;
        let pointer = table.publish("try", &list, None, &provenance(morning())).await.unwrap();
        set(&client, &name, (&pk, &sk), attribute, value).await;

        let error = if sk == "current" {
            let pointer = table.pointers(["try"], Consistency::Consistent).await.unwrap().remove("try").unwrap();
            let error = table.pointer("try").await.unwrap_err();
            assert_eq!(pointer.unwrap_err().to_string(), error.to_string());
            error
        } else {
            table.list("try", &pointer).await.unwrap_err()
        };

        assert!(matches!(error, StoreError::Damaged { .. }));
        assert!(error.to_string().contains(said), "{error}");
        assert!(error.to_string().ends_with("an ingest with --force writes it anew"), "{error}");
    }
}

#[tokio::test]
async fn the_error_of_a_missing_part_says_how_many_there_are() {
    let (table, client, name) = new_catalog().await;
    let list = list_of_parts(3, 1);
    let pointer = table.publish("try", &list, None, &provenance(morning())).await.unwrap();
    test_support::store::delete(&client, &name, ("project#try", &format!("list#{}#001", list.etag))).await;

    let error = table.list("try", &pointer).await.unwrap_err().to_string();

    let said = format!("project#try list#{} is damaged: 2 of its 3 parts are there", list.etag);
    assert!(error.contains(&said), "{error}");
}

#[tokio::test]
async fn a_damaged_report_is_named() {
    let (table, client, name) = new_catalog().await;
    table.put_report(&Report::new(morning(), "-")).await.unwrap();
    let text = Some(AttributeValue::S("{\"outcome\": 1}".to_owned()));
    set(&client, &name, ("ingest", "2026-11-23T06:00:00.000000Z"), "report", text).await;

    let error = table.reports(1).await.unwrap_err();

    assert!(
        matches!(&error, StoreError::Damaged { key, .. } if key == "ingest 2026-11-23T06:00:00.000000Z"),
        "{error}"
    );
}

#[tokio::test]
async fn every_operation_reports_a_missing_table() {
    let table = CatalogTable::new(client(&endpoint()).await, test_support::store::unique("no-table"));
    let list = list_of_parts(1, 1);
    for (error, doing) in [
        (table.pointer("try").await.unwrap_err(), "reading the pointer of try"),
        (table.projects(Consistency::Consistent).await.unwrap_err(), "reading the names of the projects"),
        (table.pointers(["try"], Consistency::Consistent).await.unwrap_err(), "reading the pointers of the projects"),
        (table.reports(1).await.unwrap_err(), "reading the reports of past ingests"),
        (table.put_report(&Report::new(morning(), "-")).await.unwrap_err(), "writing the report of the ingest"),
        (table.publish("try", &list, None, &provenance(morning())).await.unwrap_err(), "writing the name of try"),
    ] {
        let said = error.to_string();
        assert!(said.starts_with(doing) && said.contains("ResourceNotFoundException"), "{said}");
        assert!(said.contains("no-table-"), "the table is named: {said}");
    }
}

#[tokio::test]
async fn an_unreachable_store_is_reported() {
    let table = CatalogTable::new(client(&test_support::store::http::closed_address()).await, "catalog");

    let error = table.pointer("try").await.unwrap_err();

    let (doing, reason) = service(&error);
    assert_eq!(doing, "reading the pointer of try");
    assert!(reason.to_lowercase().contains("connection refused"), "{reason}");
}

// What is asked of the table.

#[tokio::test]
async fn reads_and_writes_of_the_table_are_counted() {
    let (table, ..) = new_catalog().await;
    assert_eq!(table.usage(), Usage::default());
    let list = list_of_parts(2, 1);

    let first = table.publish("try", &list, None, &provenance(morning())).await.unwrap();
    let published = table.usage();
    // Two parts, the name and the pointer.
    assert_eq!((published.items_written, published.bytes_written), (4, list.gzip.len() as u64));
    // A write unit a kilobyte.
    #[allow(clippy::cast_precision_loss)]
    let least = list.gzip.len() as f64 / 1024.0;
    assert!(published.write_units > least, "{published:?}");

    table.pointer("try").await.unwrap();
    let read = table.usage();
    assert!(read.read_units > published.read_units, "{read:?}");
    assert_eq!((read.items_written, read.bytes_written), (4, published.bytes_written));

    table.put_report(&Report::new(morning(), "-")).await.unwrap();
    assert_eq!(table.usage().items_written, 4);
    assert!(table.usage().write_units > published.write_units);

    let later = morning() + TimeDelta::days(1);
    let other = list_of_parts(1, 2);
    table.publish("try", &other, Some(&first), &provenance(later)).await.unwrap();
    // A part and the pointer, and the ends of the two old parts.
    assert_eq!(table.usage().items_written, 8);
    assert_eq!(table.usage().bytes_written, published.bytes_written + other.gzip.len() as u64);
}

// A store that does not keep up.

/// A proxy before a table of its own, and the table on either side of it.
async fn behind(plan: impl FnMut(&str, usize) -> Plan + Send + 'static) -> (Proxy, CatalogTable, CatalogTable) {
    let (table, _, name) = new_catalog().await;
    let proxy = Proxy::start(plan);
    let through = CatalogTable::new(client(&proxy.endpoint).await, name);
    (proxy, through, table)
}

fn count(proxy: &Proxy, operation: &str) -> usize {
    proxy.seen().iter().filter(|seen| *seen == operation).count()
}

#[tokio::test]
async fn parts_that_the_store_did_not_process_are_sent_again() {
    // Half of each of the first batches: 30 parts are 25 and 5, and then what is left of them.
    let mut batches = 0;
    let (proxy, through, table) = behind(move |operation, entries| {
        batches += usize::from(operation == "BatchWriteItem");
        if operation == "BatchWriteItem" && batches <= 4 { Plan::Leave(entries.div_ceil(2)) } else { Plan::Pass }
    })
    .await;
    let mut list = list_of_parts(1, 1);
    list.gzip = noise(MAX_PART_BYTES * 30, 1);

    let pointer = through.publish("try", &list, None, &provenance(morning())).await.unwrap();

    assert!(count(&proxy, "BatchWriteItem") > 4, "{:?}", proxy.seen());
    assert_eq!(table.list("try", &pointer).await.unwrap(), list.gzip);
    // Each part counts once, however often it was sent.
    assert_eq!(through.usage().items_written, 32);
}

#[tokio::test]
async fn keys_that_the_store_did_not_process_are_requested_again() {
    let mut batches = 0;
    let (proxy, through, table) = behind(move |operation, entries| {
        batches += usize::from(operation == "BatchGetItem");
        match batches {
            1 => Plan::Leave(entries),
            2 | 3 if operation == "BatchGetItem" => Plan::Leave(entries.div_ceil(2)),
            _ => Plan::Pass,
        }
    })
    .await;
    let list = list_of_parts(7, 1);
    let pointer = table.publish("try", &list, None, &provenance(morning())).await.unwrap();

    assert_eq!(through.list("try", &pointer).await.unwrap(), list.gzip);

    assert_eq!(count(&proxy, "BatchGetItem"), 4);
}

#[tokio::test]
async fn a_store_that_processes_nothing_is_given_up_with_a_clear_error() {
    let never = |operation: &str, entries| {
        if operation.starts_with("Batch") { Plan::Leave(entries) } else { Plan::Pass }
    };
    let ((writing, through, table), (reading, through_too, other)) = tokio::join!(behind(never), behind(never));
    let (list, provenance) = (list_of_parts(2, 1), provenance(morning()));
    let pointer = other.publish("try", &list, None, &provenance).await.unwrap();

    let (written, read) =
        tokio::join!(through.publish("try", &list, None, &provenance), through_too.list("try", &pointer));

    let reason = "the store left items unprocessed 9 times in a row";
    assert_eq!(service(&written.unwrap_err()), ("writing the list of try", reason));
    assert_eq!(service(&read.unwrap_err()), ("reading the list of try", reason));
    assert_eq!((count(&writing, "BatchWriteItem"), count(&reading, "BatchGetItem")), (9, 9));
    assert_eq!(table.pointer("try").await.unwrap(), None);
}

#[tokio::test]
async fn parts_that_a_reader_does_not_see_yet_are_read_consistently() {
    let mut batches = 0;
    let (proxy, through, table) = behind(move |operation, _| {
        batches += u32::from(operation == "BatchGetItem");
        if operation == "BatchGetItem" && batches != 2 { Plan::Hide } else { Plan::Pass }
    })
    .await;
    let list = list_of_parts(2, 1);
    let pointer = table.publish("try", &list, None, &provenance(morning())).await.unwrap();

    assert_eq!(through.list("try", &pointer).await.unwrap(), list.gzip);
    assert_eq!(proxy.seen(), ["BatchGetItem", "BatchGetItem"]);

    let error = through.list("try", &pointer).await.unwrap_err();
    assert!(error.to_string().contains("0 of its 2 parts are there"), "{error}");
}

#[tokio::test]
async fn a_pointer_without_a_summary_is_read_and_counts_as_outdated() {
    let (table, client, name) = new_catalog().await;
    let list = list_of_parts(1, 1).with_index(noise(100, 2));
    let published = table.publish("try", &list, None, &provenance(morning())).await.unwrap();
    assert!(!published.is_outdated());

    for attribute in ["build_systems", "platforms"] {
        set(&client, &name, ("project#try", "current"), attribute, None).await;
    }

    let read = table.pointer("try").await.unwrap().unwrap();
    assert!(read.is_outdated());
    assert_eq!(read.summary, Summary { jobs: 7, ..Summary::default() });
}

#[tokio::test]
async fn each_metered_table_counts_for_itself() {
    let (table, ..) = new_catalog().await;
    let metered = table.metered();
    metered.pointer("try").await.unwrap();
    assert!(metered.usage().read_units > 0.0);
    assert_eq!((table.usage(), metered.metered().usage()), (Usage::default(), Usage::default()));
}

#[tokio::test]
async fn throttled_requests_are_retried_and_other_failures_are_not() {
    let mut requests = 0;
    let (proxy, through, table) = behind(move |_, _| {
        requests += 1;
        match requests {
            1..=5 => Plan::Refuse("ProvisionedThroughputExceededException"),
            6 => Plan::Refuse("ThrottlingException"),
            7 => Plan::Pass,
            _ => Plan::Refuse("AccessDeniedException"),
        }
    })
    .await;

    assert!(through.projects(Consistency::Consistent).await.unwrap().is_empty());
    assert_eq!(proxy.seen().len(), 7);

    let error = through.pointer("try").await.unwrap_err();
    assert_eq!(service(&error), ("reading the pointer of try", "AccessDeniedException: by the proxy"));
    assert_eq!(proxy.seen().len(), 8);
    assert_eq!(table.pointer("try").await.unwrap(), None);
}

#[tokio::test]
async fn endless_throttling_is_given_up() {
    let (proxy, through, _) = behind(|_, _| Plan::Refuse("ProvisionedThroughputExceededException")).await;

    let error = through.projects(Consistency::Consistent).await.unwrap_err();

    assert_eq!(service(&error).1, "ProvisionedThroughputExceededException: by the proxy");
    assert_eq!(proxy.seen().len(), 8);
}

/// The table as a program of this pace reaches it, by the variables that Lambda sets.
fn with_profile(profile: ClientProfile, endpoint: &str) -> CatalogTable {
    let lookup = |variable: &str| match variable {
        "AWS_REGION" => Some("us-east-1".to_owned()),
        "AWS_ENDPOINT_URL" => Some(endpoint.to_owned()),
        _ => None,
    };
    CatalogTable::new(Aws::from_lambda(lookup, profile).expect("a region").dynamodb(), "catalog")
}

#[tokio::test]
async fn a_client_of_the_request_profile_tries_three_times() {
    let proxy = Proxy::start(|_, _| Plan::Refuse("ThrottlingException"));

    let error = with_profile(ClientProfile::Request, &proxy.endpoint).pointer("try").await.unwrap_err();

    assert_eq!(service(&error), ("reading the pointer of try", "ThrottlingException: by the proxy"));
    assert_eq!(proxy.seen().len(), 3);
}

#[tokio::test]
async fn a_client_of_the_request_profile_gives_up_a_silent_store_after_four_seconds() {
    let silent = test_support::store::http::serve(|_| {
        std::thread::sleep(std::time::Duration::from_secs(30));
        None
    });
    let start = std::time::Instant::now();

    let error = with_profile(ClientProfile::Request, &silent).pointer("try").await.unwrap_err();

    assert!(matches!(error, StoreError::Unreachable { .. }), "{error}");
    assert!((3.5..8.0).contains(&start.elapsed().as_secs_f64()), "{:?}", start.elapsed());
}

#[test]
fn a_missing_region_is_told() {
    let error = Aws::from_lambda(|_| None, ClientProfile::Batch).unwrap_err();
    assert_eq!(error.to_string(), "AWS_REGION is not set: the region that the store is in is expected");
}
