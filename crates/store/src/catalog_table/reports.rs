//! The reports of ingests.

use std::cmp::Reverse;

use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};
use catalog::buildbot::BUILD_SYSTEM;
use chrono::{SecondsFormat, TimeDelta};
use serde::Deserialize;

use crate::catalog_table::CatalogTable;
use crate::items::{Item, key, key_of, number, table_error, text};
use crate::{BUILD_SYSTEMS, Report, SourceState, StoreError};

/// How long reports are stored.
const REPORT_RETENTION: TimeDelta = TimeDelta::days(90);

impl CatalogTable {
    /// Stores the report of an ingest for 90 days.
    ///
    /// # Errors
    /// The table cannot be written.
    pub async fn put_report(&self, report: &Report) -> Result<(), StoreError> {
        let action = "writing the report of the ingest";
        let json = serde_json::to_string(report).map_err(|error| StoreError::damaged("report", error.to_string()))?;
        let time = report.started_at.to_rfc3339_opts(SecondsFormat::Micros, true);
        let mut item = key(&partition(&report.build_system), &time);
        item.insert("report".to_owned(), AttributeValue::S(json));
        item.insert("expires_at".to_owned(), number((report.started_at + REPORT_RETENTION).timestamp()));
        let request = self.client.put_item().table_name(&self.table).set_item(Some(item));
        let request = request.return_consumed_capacity(ReturnConsumedCapacity::Total);
        let output = request.send().await.map_err(|error| table_error(&self.table, action, &error))?;
        self.count_written(0, &output.consumed_capacity);
        Ok(())
    }

    /// The last reports of all build systems, newest first.
    ///
    /// # Errors
    /// The table cannot be read, or a report is damaged.
    pub async fn reports(&self, last: usize) -> Result<Vec<Report>, StoreError> {
        let mut reports = Vec::new();
        for build_system in BUILD_SYSTEMS {
            for report in self.each_report(build_system, last).await? {
                reports.push(report?);
            }
        }
        reports.sort_by_key(|report| Reverse(report.started_at));
        reports.truncate(last);
        Ok(reports)
    }

    /// The last reports of a build system, newest first; in place of a damaged one, its error.
    ///
    /// # Errors
    /// The table cannot be read.
    pub async fn each_report(
        &self,
        build_system: &str,
        last: usize,
    ) -> Result<Vec<Result<Report, StoreError>>, StoreError> {
        let action = "reading the reports of past ingests";
        let mut reports = Vec::new();
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", AttributeValue::S(partition(build_system)))
            .scan_index_forward(false)
            .limit(i32::try_from(last).unwrap_or(i32::MAX).max(1))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .into_paginator()
            .send();
        while reports.len() < last {
            let Some(page) = pages.next().await else { break };
            let page = page.map_err(|error| table_error(&self.table, action, &error))?;
            self.count_read(&page.consumed_capacity);
            reports.extend(page.items().iter().map(report_of));
        }
        reports.truncate(last);
        Ok(reports)
    }
}

/// The partition key of the reports of a build system: hourly ones do not push the daily ones out of view.
fn partition(build_system: &str) -> String {
    if build_system == BUILD_SYSTEM { "ingest".to_owned() } else { format!("ingest#{build_system}") }
}

/// A report as it is stored. Reports of earlier releases have one source, Buildbot's, in fields of its own.
#[derive(Deserialize)]
struct StoredReport {
    #[serde(flatten)]
    report: Report,
    #[serde(default)]
    source_etag: Option<String>,
    #[serde(default)]
    source_last_modified: Option<String>,
}

/// The report in an item.
fn report_of(item: &Item) -> Result<Report, StoreError> {
    let damaged = |error: serde_json::Error| StoreError::damaged(key_of(item), error.to_string());
    let stored: StoredReport = serde_json::from_str(text(item, "report")?).map_err(damaged)?;
    let StoredReport { mut report, source_etag: etag, source_last_modified: last_modified } = stored;
    if report.sources.is_empty() && (etag.is_some() || last_modified.is_some()) {
        let state = SourceState { address: report.source.clone(), etag, last_modified };
        report.sources.insert(BUILD_SYSTEM.to_owned(), state);
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(report: &serde_json::Value) -> Item {
        let mut item = key("ingest", "2026-11-23T06:00:00.000000Z");
        item.insert("report".to_owned(), AttributeValue::S(report.to_string()));
        item
    }

    fn new_report() -> Report {
        Report::new("2026-11-23T06:00:00Z".parse().expect("a time"), "https://example.org/a.json")
    }

    #[test]
    fn a_report_of_an_earlier_release_has_the_state_of_buildbots_source() {
        let mut old = serde_json::to_value(new_report()).expect("JSON");
        old["source_etag"] = "\"1\"".into();
        old["source_last_modified"] = "Mon, 23 Nov 2026 05:00:00 GMT".into();
        let state = SourceState {
            address: "https://example.org/a.json".to_owned(),
            etag: Some("\"1\"".to_owned()),
            last_modified: Some("Mon, 23 Nov 2026 05:00:00 GMT".to_owned()),
        };
        assert_eq!(report_of(&item(&old)).expect("a report").sources, [("buildbot".to_owned(), state)].into());
    }

    #[test]
    fn a_report_is_read_as_it_was_written() {
        let mut report = new_report();
        report
            .sources
            .insert("buildbot".to_owned(), SourceState { etag: Some("\"2\"".to_owned()), ..Default::default() });
        report.projects.insert("try".to_owned(), crate::ProjectReport { jobs: 7, ..Default::default() });
        (report.seconds, report.read_units, report.jobs) = (1.25, 0.5, 7);
        let stored = serde_json::to_value(&report).expect("JSON");
        assert_eq!(report_of(&item(&stored)).expect("a report"), report);
    }
}
