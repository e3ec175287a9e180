//! The reports of the last ingests, in memory.

use std::sync::Arc;

use chrono::TimeDelta;
use runtime::CacheStatus;

use super::{CatalogCache, CatalogError, Found, ReadStats};
use crate::{CatalogTable, Report, StoreError};

/// How many of the last reports are read.
const MAX_REPORTS: usize = 20;
/// How long a heartbeat uses the last report without reading it again.
const HEARTBEAT_TTL: TimeDelta = TimeDelta::seconds(5);

impl CatalogCache {
    /// The reports of the last 20 ingests, newest first.
    ///
    /// # Errors
    /// The store does not answer.
    pub async fn reports(&self, stats: &ReadStats) -> Result<Found<Arc<Vec<Report>>>, CatalogError> {
        let load =
            async || self.read(stats, async |table| Ok(Arc::new(readable(table, MAX_REPORTS, stats).await?))).await;
        let found = self.reports.get(&self.clock, |entry, now| self.is_fresh(entry, now), load).await;
        Ok(self.found(found?))
    }

    /// The reports that decide whether the catalog is fresh, as the store has them now. `None` if the store does not
    /// answer.
    pub async fn heartbeat_reports(&self, stats: &ReadStats) -> Option<Arc<Vec<Report>>> {
        let load = async || {
            self.read(stats, async |table| {
                let last = table.each_report(1).await?;
                let is_enough = match last.first() {
                    Some(Ok(report)) => report.succeeded() && report.only.is_empty(),
                    Some(Err(_)) => false,
                    None => true,
                };
                let last = last.into_iter().flatten().collect();
                Ok(Arc::new(if is_enough { last } else { readable(table, MAX_REPORTS, stats).await? }))
            })
            .await
        };
        match self.heartbeat_reports.get(&self.clock, |entry, now| now - entry.at < HEARTBEAT_TTL, load).await {
            Ok((entry, CacheStatus::Hit | CacheStatus::Loaded)) => Some(entry.value),
            Ok((_, CacheStatus::Stale { .. })) | Err(_) => None,
        }
    }
}

/// The last reports without those that cannot be read, which are logged and counted.
async fn readable(table: &CatalogTable, last: usize, stats: &ReadStats) -> Result<Vec<Report>, StoreError> {
    let read = |report: Result<Report, StoreError>| {
        let skipped = |error: &StoreError| {
            tracing::error!(%error, "a report is skipped");
            stats.add_damaged();
        };
        report.inspect_err(skipped).ok()
    };
    Ok(table.each_report(last).await?.into_iter().filter_map(read).collect())
}
