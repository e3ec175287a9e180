//! Whether the catalog is up to date: ingests that were due by the schedule and did not succeed.

use chrono::{DateTime, SecondsFormat, Utc};
use store::Report;

use crate::api::Health;
use crate::catalog::CatalogService;

impl CatalogService {
    /// When an ingest last checked the list of `project`, and how many ingests were missed since. `updated_at`, when
    /// the list changed last, counts where the reports do not reach back far enough.
    pub(crate) fn missed(&self, reports: &[Report], project: &str, updated_at: DateTime<Utc>) -> (DateTime<Utc>, u64) {
        let is_checked = |report: &&Report| {
            report.succeeded() && (report.only.is_empty() || report.only.iter().any(|only| only == project))
        };
        let last = reports.iter().find(is_checked).map_or(updated_at, |report| report.started_at.max(updated_at));
        (last, self.missed_since(last))
    }

    /// The result of the heartbeat's check `catalog`, with a sentence.
    pub(crate) fn freshness(&self, reports: &[Report]) -> (Health, String) {
        let Some(last) = reports.iter().find(|report| report.succeeded() && report.only.is_empty()) else {
            let detail = match reports {
                [] => "nothing was ever ingested".to_owned(),
                _ => format!("none of the last {} ingests succeeded", reports.len()),
            };
            return (Health::Error, detail);
        };
        let time = last.started_at.to_rfc3339_opts(SecondsFormat::Secs, true);
        match self.missed_since(last.started_at) {
            0 if self.schedule.is_none() => (Health::Ok, format!("last ingested at {time}; no schedule is configured")),
            0 => (Health::Ok, format!("last ingested at {time}")),
            missed => (Health::Error, format!("last ingested at {time}; {missed} ingests were due since and missed")),
        }
    }

    fn missed_since(&self, last: DateTime<Utc>) -> u64 {
        self.schedule.as_ref().map_or(0, |schedule| schedule.missed(last, (self.clock)()))
    }
}
