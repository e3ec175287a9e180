//! What the tests of the ETL share: a catalog of their own beside the emulator, dumps, and a web server of dumps.
#![allow(dead_code, reason = "each test binary uses its own share of this")]

pub(crate) mod taskcluster;

pub(crate) use test_support::store::*;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::io::Write;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

use self::http::Message;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use catalog::guards::GuardLimits;
use catalog::list::{Listing, Selection};
use catalog::schedule::Cron;
use catalog::{buildbot, list};
use chrono::{DateTime, TimeDelta, Utc};
use etl::ingest::{Ingest, IngestError, no_progress};
use runtime::Aws;
use store::{Archive, CatalogTable, Report};

/// Each ingest of a test starts two hours after the one before: the lists of that one are then old.
const BETWEEN_INGESTS: TimeDelta = TimeDelta::hours(2);

thread_local! {
    static TIME: Cell<DateTime<Utc>> = Cell::new(at("2026-11-23T06:00:00Z"));
}

/// The test's clock, for its thread: goes on only when it is asked.
fn two_hours_later() -> DateTime<Utc> {
    TIME.replace(TIME.get() + BETWEEN_INGESTS)
}

/// The same, for ingests that start at almost the same time.
pub(crate) fn a_second_later() -> DateTime<Utc> {
    TIME.replace(TIME.get() + TimeDelta::seconds(1))
}

/// Sets the test's clock.
pub(crate) fn it_is(time: &str) {
    TIME.set(at(time));
}

/// A catalog table, and what is needed to look into it.
pub(crate) struct TestEnv {
    pub(crate) aws: Aws,
    pub(crate) client: Client,
    pub(crate) name: String,
}

impl TestEnv {
    pub(crate) async fn new() -> Self {
        let client = client(&endpoint()).await;
        let name = new_table(&client).await;
        Self {
            aws: Aws::from_environment(runtime::ClientProfile::Batch).await.expect("the emulator's region"),
            client,
            name,
        }
    }

    /// An ingest that is to be made into this table. Without further words it accepts a dump of any size.
    pub(crate) fn ingest(&self, source: &str) -> Attempt<'_> {
        Attempt {
            env: self,
            source: source.to_owned(),
            through: None,
            archive: None,
            limits: GuardLimits { min_builders: 1, max_drop_percent: 20 },
            max_source_bytes: 100_000_000,
            schedule: None,
            dry_run: false,
            force: false,
            only: Vec::new(),
            clock: two_hours_later,
        }
    }

    pub(crate) fn table(&self) -> CatalogTable {
        CatalogTable::new(self.client.clone(), &self.name)
    }

    /// The body of every list that is served, each of them whole and what its pointer says.
    pub(crate) async fn served(&self) -> BTreeMap<String, String> {
        let table = self.table();
        let mut bodies = BTreeMap::new();
        for (pk, sk) in items(&self.client, &self.name).await.into_keys() {
            let Some(project) = pk.strip_prefix("project#").filter(|_| sk == "current") else { continue };
            let pointer = table.pointer(project).await.expect("a good pointer").expect("a pointer");
            let packed = table.list(project, &pointer).await.expect("all parts");
            let body = list::unpack(&packed).expect("gzip");
            assert_eq!(list::etag(&body), pointer.etag, "{project}");
            assert_eq!((body.len(), packed.len()), (pointer.body_bytes, pointer.packed_bytes), "{project}");
            if pointer.index_parts > 0 {
                let index = table.index(project, &pointer).await.expect("all parts");
                let of_index = Listing::from_index(&index, &pointer.etag).expect("an index");
                let of_body = Listing::read(body.as_slice().into()).expect("a body");
                let whole = Selection::default();
                assert!(of_index.select(&whole) == of_body.select(&whole), "{project}");
            }
            bodies.insert(project.to_owned(), String::from_utf8(body).expect("UTF-8"));
        }
        bodies
    }

    /// The newest report that is stored.
    pub(crate) async fn last_report(&self) -> Report {
        self.table().reports(1).await.expect("reports").pop().expect("a report")
    }

    /// Makes of the last report one of a release with other rules.
    pub(crate) async fn last_was_by_other_rules(&self) {
        let keys = items(&self.client, &self.name).await.into_keys();
        let last = keys.filter(|(pk, _)| pk == "ingest").max().expect("a report");
        let report = Report { rules: "other rules".to_owned(), ..self.last_report().await };
        let report = AttributeValue::S(serde_json::to_string(&report).expect("JSON"));
        set(&self.client, &self.name, (&last.0, &last.1), "report", Some(report)).await;
    }

    /// A bucket of its own.
    pub(crate) async fn new_bucket(&self) -> String {
        let name = unique("bucket");
        self.aws.s3().create_bucket().bucket(&name).send().await.expect("the emulator makes a bucket");
        name
    }

    /// The keys in a bucket.
    pub(crate) async fn keys(&self, bucket: &str) -> Vec<String> {
        let listed = self.aws.s3().list_objects_v2().bucket(bucket).send().await.expect("the bucket can be listed");
        listed.contents().iter().filter_map(|object| object.key().map(str::to_owned)).collect()
    }

    pub(crate) async fn put_object(&self, bucket: &str, key: &str, content: &[u8]) {
        let put = self.aws.s3().put_object().bucket(bucket).key(key).body(content.to_vec().into());
        put.send().await.expect("the bucket can be written");
    }
}

/// An ingest that is about to be made.
pub(crate) struct Attempt<'b> {
    env: &'b TestEnv,
    source: String,
    through: Option<String>,
    archive: Option<String>,
    pub(crate) limits: GuardLimits,
    pub(crate) max_source_bytes: u64,
    schedule: Option<Cron>,
    pub(crate) dry_run: bool,
    pub(crate) force: bool,
    only: Vec<String>,
    pub(crate) clock: fn() -> DateTime<Utc>,
}

impl Attempt<'_> {
    /// Reaches the table at this endpoint.
    pub(crate) fn through(mut self, endpoint: &str) -> Self {
        self.through = Some(endpoint.to_owned());
        self
    }

    pub(crate) fn archived_in(mut self, bucket: &str) -> Self {
        self.archive = Some(bucket.to_owned());
        self
    }

    pub(crate) fn due(mut self, cron: &str) -> Self {
        self.schedule = Some(cron.parse().expect("a schedule"));
        self
    }

    pub(crate) fn only(mut self, projects: &[&str]) -> Self {
        self.only = projects.iter().map(|&project| project.to_owned()).collect();
        self
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    pub(crate) async fn made(self) -> (Report, Result<(), IngestError>) {
        let client = match &self.through {
            Some(endpoint) => client(endpoint).await,
            None => self.env.client.clone(),
        };
        let source = self.source.parse().expect("an address");
        let table = CatalogTable::new(client, &self.env.name);
        let archive = self.archive.as_deref().map(|bucket| Archive::new(self.env.aws.s3(), bucket));
        let ingest = Ingest {
            source: &source,
            aws: Some(&self.env.aws),
            table: &table,
            archive: archive.as_ref(),
            limits: self.limits,
            max_source_bytes: self.max_source_bytes,
            schedule: self.schedule.as_ref(),
            dry_run: self.dry_run,
            force: self.force,
            only: &self.only,
            clock: self.clock,
            on_progress: no_progress(),
        };
        ingest.run().await
    }

    /// Makes the ingest, which must end well.
    pub(crate) async fn made_well(self) -> Report {
        let (report, result) = self.made().await;
        if let Err(error) = result {
            panic!("{error}\n{report:?}");
        }
        report
    }

    /// Makes the ingest, which must not end well.
    pub(crate) async fn made_badly(self) -> (Report, IngestError) {
        let (report, result) = self.made().await;
        (report, result.expect_err("the ingest must not end well"))
    }
}

/// A dump of these projects, each with builders of these numbers.
pub(crate) fn dump(projects: &[(&str, Range<u32>)]) -> Vec<u8> {
    let builders: BTreeMap<String, serde_json::Value> = projects
        .iter()
        .flat_map(|(project, numbers)| numbers.clone().map(move |number| (project, number)))
        .map(|(project, number)| {
            let name = format!("Ubuntu VM 12.04 x64 {project} opt test mochitest-{number}");
            let properties = serde_json::json!({"branch": project, "slavebuilddir": "b"});
            (name, serde_json::json!({"properties": properties, "shortname": "x", "slavebuilddir": "b"}))
        })
        .collect();
    serde_json::to_vec(&serde_json::json!({"builders": builders, "schedulers": {}})).expect("JSON")
}

/// A dump of these projects, each with a build and so many tests, of which the first so many are tests of that build.
pub(crate) fn dump_with_builds(projects: &[(&str, usize, usize)]) -> serde_json::Value {
    let (mut builders, mut schedulers) = (serde_json::Map::new(), serde_json::Map::new());
    for &(project, tests, with_build) in projects {
        let builder = |slavebuilddir: &str| {
            let properties = serde_json::json!({"branch": project, "slavebuilddir": slavebuilddir});
            serde_json::json!({"properties": properties, "shortname": format!("{project}-linux64")})
        };
        let names: Vec<String> =
            (1..=tests).map(|number| format!("Ubuntu VM 12.04 x64 {project} opt test mochitest-{number}")).collect();
        builders.insert(format!("Linux x86-64 {project} build"), builder("b"));
        builders.extend(names.iter().map(|name| (name.clone(), builder("test"))));
        let trigger = format!("{project}-linux64-opt-unittest");
        let scheduler = serde_json::json!({"downstream": names[..with_build], "triggered_by": [trigger]});
        schedulers.insert(format!("tests-{trigger}"), scheduler);
    }
    serde_json::json!({"builders": builders, "schedulers": schedulers})
}

/// A sample as `etl sample` writes it.
pub(crate) fn sample(builders: usize, seed: u64) -> Vec<u8> {
    let mut document = Vec::new();
    catalog::sample::write(builders, seed, &mut document).expect("memory can be written");
    document
}

/// A document without the builders that `stays` does not like.
pub(crate) fn without(document: &[u8], mut stays: impl FnMut(&str, &serde_json::Value) -> bool) -> Vec<u8> {
    let mut document: serde_json::Value = serde_json::from_slice(document).expect("JSON");
    let builders = document["builders"].as_object_mut().expect("builders");
    builders.retain(|name, builder| stays(name, builder));
    serde_json::to_vec(&document).expect("JSON")
}

/// The lists that a dump makes, as `catalog` makes them.
pub(crate) fn lists(document: &[u8]) -> BTreeMap<String, String> {
    let dump = catalog::buildbot::read(document, u64::MAX, &mut |_| ()).expect("a good dump");
    let (projects, _) = dump.projects();
    let body = |(&project, jobs): (&&str, &Vec<buildbot::CatalogJob<'_>>)| {
        let mut body = Vec::new();
        buildbot::write_body(project, jobs, &mut body, |_| ());
        (project.to_owned(), String::from_utf8(body).expect("UTF-8"))
    };
    projects.iter().map(body).collect()
}

pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("memory can be written")
}

/// A file that holds this, and goes when this does.
pub(crate) fn file(content: &[u8]) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(content).expect("a temporary file can be written");
    file
}

/// The path of such a file.
pub(crate) fn path(file: &tempfile::NamedTempFile) -> &str {
    file.path().to_str().expect("a path in UTF-8")
}

/// A web server with one dump, which answers `304` where that is the answer.
pub(crate) struct Site {
    pub(crate) address: String,
    page: Arc<Mutex<Message>>,
    asked: Arc<Mutex<Vec<Message>>>,
}

impl Site {
    /// Serves this answer.
    pub(crate) fn new(page: Message) -> Self {
        let page = Arc::new(Mutex::new(page));
        let asked: Arc<Mutex<Vec<Message>>> = Arc::default();
        let (served, log) = (page.clone(), asked.clone());
        let address = http::serve(move |request| {
            let page = lock(&served).clone();
            let same =
                |given: &str, asked: &str| request.header(asked).is_some_and(|known| page.header(given) == Some(known));
            let not_modified = if request.header("if-none-match").is_some() {
                same("ETag", "if-none-match")
            } else {
                same("Last-Modified", "if-modified-since")
            };
            lock(&log).push(request.clone());
            Some(if not_modified { Message::answer("304 Not Modified", "") } else { page })
        });
        Self { address: format!("{address}/allthethings.json"), page, asked }
    }

    /// Serves this document, with an `ETag`.
    pub(crate) fn with_etag(document: &[u8], etag: &str) -> Self {
        Self::new(Message::answer("200 OK", document).with("ETag", etag))
    }

    /// Serves another document from now on.
    pub(crate) fn replace(&self, document: &[u8], etag: &str) {
        *lock(&self.page) = Message::answer("200 OK", document).with("ETag", etag);
    }

    /// The requests since this was asked last.
    pub(crate) fn asked(&self) -> Vec<Message> {
        std::mem::take(&mut *lock(&self.asked))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no panic in the server")
}
