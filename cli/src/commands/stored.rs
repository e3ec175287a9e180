//! The commands that read the catalog table: `runs` and `show`.

use std::cmp::Reverse;
use std::io::{self, Write};

use catalog::list::{self, BadBody};
use etl::past_reports;
use runtime::{Aws, ClientProfile};
use serde_json::value::RawValue;
use store::{CatalogTable, Consistency, Report, Schedule, StoreError};

use super::now;
use crate::arguments::{self, BuildSystem};
use crate::failure::Failure;
use crate::output::{align_numbers, new_table, print_json, print_text, table_text, time};
use crate::report;

pub(crate) async fn runs(arguments: arguments::Runs) -> Result<(), Failure> {
    let (name, aws) = (arguments.table.name()?, Aws::from_environment(ClientProfile::Batch).await?);
    let table = CatalogTable::new(aws.dynamodb(), name);
    let last = usize::from(arguments.last);
    let (mut reports, mut schedules) = (Vec::new(), Vec::new());
    for build_system in [BuildSystem::Buildbot, BuildSystem::Taskcluster] {
        if arguments.build_system.is_some_and(|wanted| wanted != build_system) {
            continue;
        }
        let read = table.each_report(build_system.name(), last.max(past_reports::MAX_PAST_REPORTS)).await?;
        let mut of_it = past_reports::readable(read);
        let cron = match build_system {
            BuildSystem::Buildbot => &arguments.schedule.schedule,
            BuildSystem::Taskcluster => &arguments.schedule.taskcluster_schedule,
        };
        let schedule = cron.as_ref().and_then(|cron| {
            Some(Schedule { next_due: cron.next(now())?, missed: past_reports::missed(cron, &of_it, now()) })
        });
        schedules.extend(schedule.map(|schedule| (build_system.name(), schedule)));
        of_it.truncate(last);
        reports.extend(of_it);
    }
    reports.sort_by_key(|report| Reverse(report.started_at));
    if arguments.json {
        let schedule =
            |wanted: BuildSystem| schedules.iter().find(|(name, _)| *name == wanted.name()).map(|(_, it)| it);
        return print_json(&serde_json::json!({
            "schedule": schedule(BuildSystem::Buildbot),
            "taskcluster_schedule": schedule(BuildSystem::Taskcluster),
            "ingests": reports,
        }));
    }
    if arguments.last == 1 {
        for report in &reports {
            print_text(&report::text(&Report { schedule: None, ..report.clone() }))?;
        }
    } else {
        print_text(&runs_table(&reports))?;
    }
    if reports.is_empty() {
        print_text("no ingest has been made\n")?;
    }
    for (build_system, schedule) in &schedules {
        let prefix = if schedules.len() > 1 { format!("{build_system}: ") } else { String::new() };
        print_text(&format!("{prefix}{}\n", report::schedule(schedule)))?;
    }
    Ok(())
}

fn runs_table(reports: &[Report]) -> String {
    if reports.is_empty() {
        return String::new();
    }
    let mut table = new_table([
        "started",
        "build system",
        "outcome",
        "jobs",
        "added",
        "removed",
        "changed",
        "seconds",
        "source or reason",
    ]);
    for report in reports {
        let sum = |part: fn(&store::ProjectReport) -> usize| report.projects.values().map(part).sum::<usize>();
        table.add_row([
            time(report.started_at),
            report.build_system.clone(),
            report::outcome(report.outcome).to_owned(),
            if report.jobs == 0 { String::new() } else { report.jobs.to_string() },
            report::count("+", sum(|project| project.added)),
            report::count("-", sum(|project| project.removed)),
            report::count("~", sum(|project| project.changed)),
            format!("{:.2}", report.seconds),
            report.error.clone().unwrap_or_else(|| report.source.clone()),
        ]);
    }
    align_numbers(&mut table);
    table_text(&table)
}

/// The body of a project's list as it is stored.
async fn stored_body(table: &CatalogTable, project: &str) -> Result<Vec<u8>, Failure> {
    let Some(pointer) = table.pointer(project).await? else {
        let known = table.projects(Consistency::Eventual).await?.into_iter().collect::<Vec<_>>().join(", ");
        let known = if known.is_empty() { "it has none yet".to_owned() } else { format!("it has {known}") };
        return Err(Failure::Usage(format!("the catalog has no project '{project}'; {known}")));
    };
    let packed = table.list(project, &pointer).await?;
    let damaged = |what| StoreError::Damaged { key: format!("list of {project}"), what };
    let body = list::unpack(&packed).map_err(|error| damaged(error.to_string()))?;
    if list::etag(&body) == pointer.etag {
        Ok(body)
    } else {
        Err(damaged("its content is not its ETag's".to_owned()).into())
    }
}

pub(crate) async fn show(arguments: arguments::Show) -> Result<(), Failure> {
    let (name, aws) = (arguments.table.name()?, Aws::from_environment(ClientProfile::Batch).await?);
    let project = &arguments.project;
    let body = stored_body(&CatalogTable::new(aws.dynamodb(), name), project).await?;
    let filtered = arguments.platform.is_some()
        || arguments.group.is_some()
        || arguments.name.is_some()
        || arguments.build_system.is_some()
        || arguments.tier.is_some();
    if arguments.json && !filtered {
        return Ok(io::stdout().lock().write_all(&body)?);
    }
    let damaged = |error: BadBody| StoreError::Damaged { key: format!("list of {project}"), what: error.to_string() };
    let jobs = list::jobs_of(&body).map_err(damaged)?;
    let name = arguments.name.as_deref().map(str::to_lowercase);
    let mut wanted = Vec::new();
    for (json, job) in jobs {
        let is_group = |group: &str| group == job.job_group_name || group == job.job_group_symbol;
        if arguments.platform.as_deref().is_none_or(|platform| job.platform.as_deref() == Some(platform))
            && arguments.group.as_deref().is_none_or(is_group)
            && name.as_deref().is_none_or(|name| job.name.to_lowercase().contains(name))
            && arguments.build_system.is_none_or(|wanted| wanted.name() == job.build_system_type)
            && arguments.tier.is_none_or(|tier| job.tier == Some(tier))
        {
            wanted.push((json, job));
        }
    }
    if arguments.json {
        let results: Vec<&RawValue> = wanted.iter().map(|(json, _)| *json).collect();
        let meta = serde_json::json!({"repository": project, "offset": 0, "count": results.len()});
        return print_json(&serde_json::json!({"meta": meta, "results": results}));
    }
    let mut table = new_table(["job", "platform", "option", "group", "symbol", "tier", "needs"]);
    for (_, job) in &wanted {
        let upstream = job.upstream.as_deref().unwrap_or_default();
        table.add_row([
            &*job.name,
            job.platform.as_deref().unwrap_or_default(),
            &job.option,
            &job.job_group_symbol,
            &job.job_type_symbol,
            &job.tier.map(|tier| tier.to_string()).unwrap_or_default(),
            upstream,
        ]);
    }
    align_numbers(&mut table);
    print_text(&format!("{}{} jobs\n", table_text(&table), wanted.len()))
}
