//! Whether the catalog is up to date: ingests that were due by the schedule and did not succeed.

use catalog::schedule::Cron;
use catalog::{buildbot, taskcluster};
use chrono::{DateTime, SecondsFormat, Utc};
use store::{ListPointer, Report};

use crate::api::Health;
use crate::catalog::CatalogService;

impl CatalogService {
    /// When ingests last checked the list of `project`, and how many were missed since. Each build system of the list has
    /// ingests of its own: the time is that of the one that was checked longest ago. When its jobs changed last counts
    /// where the reports do not reach back far enough.
    pub(crate) fn missed(&self, reports: &[Report], project: &str, pointer: &ListPointer) -> (DateTime<Utc>, u64) {
        let checked = |build_system: &str| {
            let updated_at = pointer.updated_at(build_system);
            let is_checked = |report: &&Report| report.build_system == build_system && report.confirmed(project);
            let last = reports.iter().find(is_checked).map_or(updated_at, |report| report.started_at.max(updated_at));
            (last, self.missed_since(build_system, last))
        };
        // The pointer of an earlier release does not name its build system: it is Buildbot.
        let build_systems = pointer.summary.build_systems.keys().map(String::as_str);
        let checks = build_systems.map(checked).reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)));
        checks.unwrap_or_else(|| checked(buildbot::BUILD_SYSTEM))
    }

    /// The build systems whose ingests the heartbeat checks: those that have a schedule; without any schedule, Buildbot.
    pub(crate) fn checked_build_systems(&self) -> Vec<&'static str> {
        let is_due = |build_system: &&str| self.schedule(build_system).is_some();
        let mut due: Vec<&str> = store::BUILD_SYSTEMS.into_iter().filter(is_due).collect();
        if due.is_empty() {
            due.push(buildbot::BUILD_SYSTEM);
        }
        due
    }

    /// The result of the heartbeat's check `catalog`, with a sentence.
    pub(crate) fn freshness(&self, reports: &[Report]) -> (Health, String) {
        let build_systems = self.checked_build_systems();
        let is_alone = build_systems.len() == 1;
        let checks = build_systems.into_iter().map(|build_system| {
            let of_it: Vec<&Report> = reports.iter().filter(|report| report.build_system == build_system).collect();
            let (health, detail) = self.freshness_of(build_system, &of_it);
            (health, if is_alone { detail } else { format!("{build_system}: {detail}") })
        });
        let worse =
            |one: (Health, String), other: (Health, String)| (one.0.max(other.0), format!("{}; {}", one.1, other.1));
        checks.reduce(worse).unwrap_or((Health::Ok, String::new()))
    }

    fn freshness_of(&self, build_system: &str, reports: &[&Report]) -> (Health, String) {
        let Some(last) = reports.iter().find(|report| report.succeeded() && report.only.is_empty()) else {
            let detail = match reports {
                [] => "nothing was ever ingested".to_owned(),
                _ => format!("none of the last {} ingests succeeded", reports.len()),
            };
            return (Health::Error, detail);
        };
        let time = last.started_at.to_rfc3339_opts(SecondsFormat::Secs, true);
        match self.missed_since(build_system, last.started_at) {
            0 if self.schedule(build_system).is_none() => {
                (Health::Ok, format!("last ingested at {time}; no schedule is configured"))
            }
            0 => (Health::Ok, format!("last ingested at {time}")),
            missed => (Health::Error, format!("last ingested at {time}; {missed} ingests were due since and missed")),
        }
    }

    fn missed_since(&self, build_system: &str, last: DateTime<Utc>) -> u64 {
        self.schedule(build_system).map_or(0, |schedule| schedule.missed(last, (self.clock)()))
    }

    /// When ingests of a build system are due.
    fn schedule(&self, build_system: &str) -> Option<&Cron> {
        let schedules = &self.schedules;
        if build_system == taskcluster::BUILD_SYSTEM {
            schedules.taskcluster.as_ref()
        } else {
            schedules.buildbot.as_ref()
        }
    }
}
