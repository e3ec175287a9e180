//! The reports of the last ingests, in memory.

use std::cmp::Reverse;
use std::sync::Arc;

use chrono::TimeDelta;
use runtime::CacheStatus;

use super::{CatalogCache, CatalogError, Found, ReadStats};
use crate::{BUILD_SYSTEMS, CatalogTable, Report, StoreError};

/// How many of the last reports of each build system are read.
const MAX_REPORTS: usize = 20;
/// How long a heartbeat uses the last report without reading it again.
const HEARTBEAT_TTL: TimeDelta = TimeDelta::seconds(5);

impl CatalogCache {
    /// The reports of the last 20 ingests of each build system, newest first.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn reports(&self, stats: &ReadStats) -> Result<Found<Arc<Vec<Report>>>, CatalogError> {
        let load = async || {
            self.read(stats, async |table| {
                let mut reports = Vec::new();
                for build_system in BUILD_SYSTEMS {
                    reports.extend(readable(table, build_system, stats).await?);
                }
                reports.sort_by_key(|report| Reverse(report.started_at));
                Ok(Arc::new(reports))
            })
            .await
        };
        let found = self.reports.get(&self.clock, |entry, now| self.is_fresh(entry, now), load).await;
        Ok(self.found(found?))
    }

    /// The reports that decide whether the jobs of these build systems are fresh, as the store has them now, the newest of
    /// each build system first. `None` if the store does not answer.
    pub async fn heartbeat_reports(&self, build_systems: &[&str], stats: &ReadStats) -> Option<Arc<Vec<Report>>> {
        let load = async || {
            self.read(stats, async |table| {
                let mut reports = Vec::new();
                for build_system in build_systems {
                    let last = table.each_report(build_system, 1).await?;
                    let is_enough = match last.first() {
                        Some(Ok(report)) => report.succeeded() && report.only.is_empty(),
                        Some(Err(_)) => false,
                        None => true,
                    };
                    if is_enough {
                        reports.extend(last.into_iter().flatten());
                    } else {
                        reports.extend(readable(table, build_system, stats).await?);
                    }
                }
                Ok(Arc::new(reports))
            })
            .await
        };
        match self.heartbeat_reports.get(&self.clock, |entry, now| now - entry.at < HEARTBEAT_TTL, load).await {
            Ok((entry, CacheStatus::Hit | CacheStatus::Loaded)) => Some(entry.value),
            Ok((_, CacheStatus::Stale { .. })) | Err(_) => None,
        }
    }
}

/// The last reports of a build system without those that cannot be read, which are logged and counted.
async fn readable(table: &CatalogTable, build_system: &str, stats: &ReadStats) -> Result<Vec<Report>, StoreError> {
    let read = |report: Result<Report, StoreError>| {
        let skipped = |error: &StoreError| {
            tracing::error!(%error, "a report is skipped");
            stats.add_damaged();
        };
        report.inspect_err(skipped).ok()
    };
    Ok(table.each_report(build_system, MAX_REPORTS).await?.into_iter().filter_map(read).collect())
}
