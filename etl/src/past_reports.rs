//! The reports of past ingests, and what the next ingest takes from them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use catalog::buildbot::{BUILD_SYSTEM, Findings};
use catalog::hex;
use catalog::schedule::Cron;
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use store::{ListPointer, Report, StoreError};

/// Maximum number of reports to search for the last successful one, behind those of refused and failed ingests.
pub const MAX_PAST_REPORTS: usize = 10;

/// The readable reports. A damaged report is logged and left out.
pub fn readable(reports: Vec<Result<Report, StoreError>>) -> Vec<Report> {
    let logged = |error: &StoreError| tracing::error!(%error, "a report of a past ingest is left out");
    reports.into_iter().filter_map(|report| report.inspect_err(logged).ok()).collect()
}

/// The number of ingests that were due since the last successful one and did not run. If none of the reports is of a
/// successful ingest, counts from the oldest report: at least that many were missed.
pub fn missed(schedule: &Cron, past: &[Report], now: DateTime<Utc>) -> u64 {
    let last = past.iter().find(|report| report.succeeded()).or(past.last());
    last.map_or(0, |last| schedule.missed(last.started_at, now))
}

/// The last ingest, if the catalog still is what that ingest made of this source by these rules. `served` is the current
/// fingerprint of the pointers: reports alone do not show in which order simultaneous ingests wrote.
pub(crate) fn last_seen<'p>(past: &'p [Report], now: &Report, served: &str) -> Option<&'p Report> {
    // An ingest that wrote nothing has changed nothing.
    let wrote = |report: &&Report| report.succeeded() || report.items_written > 0;
    let last = past.iter().find(wrote)?;
    let has_same_source_and_rules = last.source == now.source && last.rules == now.rules && last.only.is_empty();
    (last.succeeded() && has_same_source_and_rules && last.served.as_deref() == Some(served)).then_some(last)
}

/// A fingerprint of Buildbot's jobs in the served catalog, and of names without a pointer, which an ingest that died has
/// left. Ingests of other build systems do not change it.
pub(crate) fn fingerprint(names: &BTreeSet<String>, pointers: &BTreeMap<String, ListPointer>) -> String {
    let mut text = String::new();
    for name in names.iter().filter(|name| !pointers.contains_key(*name)) {
        let _ = writeln!(text, "{name}");
    }
    for (project, pointer) in pointers.iter().filter(|(_, pointer)| pointer.jobs_of(BUILD_SYSTEM) > 0) {
        let digest = pointer.digest_of(BUILD_SYSTEM).unwrap_or_default();
        let _ = writeln!(text, "{project} {} {digest}", pointer.updated_at(BUILD_SYSTEM).timestamp());
    }
    hex(&Sha256::digest(text)[..16])
}

/// Records the masters that the dump of the served catalog had (`report.masters`) and that the new dump lacks. Compares
/// nothing if either dump has no masters.
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
