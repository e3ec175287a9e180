//! Tests that the checked-in files that are made from the code are current. CONTRIBUTING says how to make them again.
//!
//! - `docs/reference/openapi.json` describes the API.
//! - `tests/data/facts.snap` has the facts of the programs that the template relies on; the tests of the template read
//!   it.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use chrono::DateTime;
use runtime::settings::SettingsError;
use runtime::{Aws, ClientProfile};
use serde::Serialize;

use crate::commands::openapi;

#[derive(Serialize)]
struct Facts {
    /// Every metric that the functions print.
    metrics: BTreeSet<String>,
    /// The variables that each function reads, by its name in `infra/functions.toml`.
    variables: BTreeMap<&'static str, BTreeSet<String>>,
    /// How often the forward function accepts a message that it cannot forward.
    max_receives: u32,
}

fn metrics() -> BTreeSet<String> {
    let ingest = etl::metrics::of_report(&store::Report::new(DateTime::UNIX_EPOCH, ""), true);
    let of_taskcluster = etl::metrics::of_report(&store::Report::of_taskcluster(DateTime::UNIX_EPOCH, ""), true);
    let swept = trigger_api::sweep::SweepReport::default().metrics();
    let delivered = forward::DeliveryLog::default().metrics();
    let ingests = ingest.into_iter().chain(of_taskcluster);
    let named = ingests.chain(swept).chain(delivered).map(|(name, ..)| name.to_owned());
    let of_requests = [jobs::METRICS, trigger_api::METRICS].into_iter().flat_map(http_api::metric_names);
    named
        .chain(of_requests)
        .chain([http_api::DAMAGED_ITEMS, runtime::metrics::INCIDENTS].map(ToOwned::to_owned))
        .collect()
}

/// A valid value for each variable that is required, or without which another is not read.
fn value(variable: &str) -> Option<String> {
    let value = match variable {
        "AWS_REGION" => "us-east-1",
        "AWS_ENDPOINT_URL" | "RUNNABLE_JOBS_QUEUE_URL" => "http://127.0.0.1/",
        "RUNNABLE_JOBS_SOURCE" => "https://example.org/allthethings.json",
        "RUNNABLE_JOBS_CATALOG_TABLE" => "catalog",
        "RUNNABLE_JOBS_TASKCLUSTER_URL" => "https://taskcluster.example.org",
        "RUNNABLE_JOBS_TASKCLUSTER_PROJECTS" => r#"{"try": "gecko.v2.try"}"#,
        "RUNNABLE_JOBS_REQUESTS_TABLE" => "requests",
        "RUNNABLE_JOBS_OIDC_ISSUER" => "https://issuer.example.org/",
        "RUNNABLE_JOBS_OIDC_AUDIENCE" => "people",
        "RUNNABLE_JOBS_OIDC_KEYS" => "https://issuer.example.org/keys",
        "RUNNABLE_JOBS_TRIGGER_RULES" => r#"{"domains": ["example.org"]}"#,
        "RUNNABLE_JOBS_PULSE_URL" => "amqps://pulse.example.org/",
        "RUNNABLE_JOBS_PULSE_NAMESPACE" => "treeherder",
        "RUNNABLE_JOBS_PULSE_PARAMETER" => "/runnable-jobs/pulse",
        _ => return None,
    };
    Some(value.to_owned())
}

/// The variables that a function reads when it starts.
fn variables(read: impl Fn(&dyn Fn(&str) -> Option<String>) -> Result<(), SettingsError>) -> BTreeSet<String> {
    let asked = RefCell::new(BTreeSet::new());
    let lookup = |variable: &str| {
        asked.borrow_mut().insert(variable.to_owned());
        value(variable)
    };
    read(&lookup).unwrap();
    Aws::from_lambda(lookup, ClientProfile::Batch).unwrap();
    asked.into_inner()
}

#[test]
fn the_facts_for_the_tests_of_the_template_are_those_of_the_programs() {
    let facts = Facts {
        metrics: metrics(),
        variables: BTreeMap::from([
            ("etl", variables(|lookup| etl::settings::Settings::read(lookup).map(drop))),
            ("jobs", variables(|lookup| jobs::settings::Settings::read(lookup).map(drop))),
            ("trigger", variables(|lookup| trigger_api::settings::Settings::read(lookup).map(drop))),
            ("sweep", variables(|lookup| trigger_api::settings::SweepSettings::read(lookup).map(drop))),
            ("forward", variables(|lookup| forward::settings::Settings::read(lookup).map(drop))),
        ]),
        max_receives: forward::MAX_RECEIVES,
    };
    insta::with_settings!({
        snapshot_path => "../../tests/data",
        prepend_module_to_snapshot => false,
        omit_expression => true,
    }, {
        insta::assert_json_snapshot!("facts", facts);
    });
}

#[test]
fn the_openapi_document_is_the_one_that_the_code_describes() {
    assert!(
        openapi::document().unwrap() == include_str!("../../docs/reference/openapi.json"),
        "the API has changed; run: target/debug/runnable-jobs openapi > openapi.json && \
         mv openapi.json docs/reference/openapi.json"
    );
}
