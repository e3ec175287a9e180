//! What the next ingest learns from the reports of past ones.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use catalog::dump::Findings;
use catalog::schedule::Cron;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use store::{ListPointer, Report, StoreError};

use crate::decode::hexadecimal;

/// How many reports are looked at to find what the source was like. Refused and failed ones lie between.
pub const MAX_PAST_REPORTS: usize = 10;

/// The reports that can be read: a damaged one is left out, and the others still count.
pub fn readable(reports: Vec<Result<Report, StoreError>>) -> Vec<Report> {
    let logged = |error: &StoreError| tracing::error!(%error, "a report of a past ingest is left out");
    reports.into_iter().filter_map(|report| report.inspect_err(logged).ok()).collect()
}

/// How many ingests were due since the last of the past ones that succeeded, and did not come. Where none of them did,
/// they are counted from the first of them: there are at least so many.
pub fn missed(schedule: &Cron, past: &[Report], now: DateTime<Utc>) -> u64 {
    let last = past.iter().find(|report| report.succeeded()).or(past.last());
    last.map_or(0, |last| schedule.missed(last.started_at, now))
}

/// The last ingest, if the catalog still is what that made of this source by these rules. `served` is the fingerprint
/// of the pointers now: reports alone do not say in which order ingests at the same time wrote.
pub(crate) fn last_seen<'p>(past: &'p [Report], now: &Report, served: &str) -> Option<&'p Report> {
    // An ingest that wrote nothing has changed nothing.
    let wrote = |report: &&Report| report.succeeded() || report.items_written > 0;
    let last = past.iter().find(wrote)?;
    let is_of_this = last.source == now.source && last.rules == now.rules && last.only.is_empty();
    (last.succeeded() && is_of_this && last.served.as_deref() == Some(served)).then_some(last)
}

/// A fingerprint of what is served: the names in the set, and the pointers.
pub(crate) fn fingerprint(names: &BTreeSet<String>, pointers: &BTreeMap<String, ListPointer>) -> String {
    let mut text = String::new();
    for name in names {
        let _ = writeln!(text, "{name}");
    }
    for (project, pointer) in pointers {
        let _ = writeln!(text, "{project} {} {}", pointer.generation, pointer.etag);
    }
    hexadecimal(&Sha256::digest(text)[..16])
}

/// Notes the masters that the catalog's dump had (`report.masters`) and the new one has not. Where none are known, or
/// the new dump has none, there is nothing to compare.
pub(crate) fn compare_masters(report: &mut Report, findings: &Findings) {
    if findings.masters.is_empty() {
        return;
    }
    let gone = report.masters.iter().filter(|(master, _)| !findings.masters.contains_key(*master));
    report.masters_gone = gone.map(|(master, builders)| (master.clone(), *builders)).collect();
    for (master, builders) in &report.masters_gone {
        tracing::warn!(master, builders, "a master is gone from the source");
    }
}
