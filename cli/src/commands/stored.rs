//! The commands that read the catalog table: `runs` and `show`.

use std::borrow::Cow;
use std::io::{self, Write};

use catalog::jobs;
use etl::past;
use runtime::{Aws, ClientProfile};
use serde::Deserialize;
use serde_json::value::RawValue;
use store::{CatalogTable, Consistency, Report, Schedule, StoreError};

use super::now;
use crate::arguments;
use crate::failure::Failure;
use crate::output::{align_numbers, new_table, print_json, print_text, table_text, time};
use crate::report;

pub(crate) async fn runs(arguments: arguments::Runs) -> Result<(), Failure> {
    let (name, aws) = (arguments.table.name()?, Aws::from_environment(ClientProfile::Batch).await?);
    let table = CatalogTable::new(aws.dynamodb(), name);
    let last = arguments.last.max(1);
    let mut reports = past::readable(table.each_report(last.max(past::MAX_PAST_REPORTS)).await?);
    let schedule =
        arguments.schedule.schedule.as_ref().and_then(|cron| {
            Some(Schedule { next_due: cron.next(now())?, missed: past::missed(cron, &reports, now()) })
        });
    reports.truncate(last);
    if arguments.json {
        return print_json(&serde_json::json!({"schedule": schedule, "ingests": reports}));
    }
    if arguments.last == 1 {
        if let Some(report) = reports.first() {
            print_text(&report::text(&Report { schedule: None, ..report.clone() }))?;
        }
    } else {
        print_text(&runs_table(&reports))?;
    }
    if reports.is_empty() {
        print_text("no ingest has been made\n")?;
    }
    match schedule {
        Some(schedule) => print_text(&format!("{}\n", report::schedule(&schedule))),
        None => Ok(()),
    }
}

fn runs_table(reports: &[Report]) -> String {
    if reports.is_empty() {
        return String::new();
    }
    let mut table =
        new_table(["started", "outcome", "jobs", "added", "removed", "changed", "seconds", "source or reason"]);
    for report in reports {
        let sum = |part: fn(&store::ProjectReport) -> usize| report.projects.values().map(part).sum::<usize>();
        table.add_row([
            time(report.started_at),
            report::outcome(report.outcome).to_owned(),
            if report.builders == 0 { String::new() } else { report.jobs.to_string() },
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

/// The fields of a stored job that the table shows and the filters look at.
#[derive(Deserialize)]
struct Stored<'b> {
    #[serde(borrow)]
    ref_data_name: Cow<'b, str>,
    #[serde(borrow)]
    platform: Cow<'b, str>,
    #[serde(borrow)]
    platform_option: Cow<'b, str>,
    #[serde(borrow)]
    job_group_name: Cow<'b, str>,
    #[serde(borrow)]
    job_group_symbol: Cow<'b, str>,
    #[serde(borrow)]
    job_type_symbol: Cow<'b, str>,
    #[serde(borrow)]
    upstream: Option<Cow<'b, str>>,
}

#[derive(Deserialize)]
struct StoredList<'b> {
    #[serde(borrow)]
    results: Vec<&'b RawValue>,
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
    let body = jobs::unpack(&packed).map_err(|error| damaged(error.to_string()))?;
    if jobs::etag(&body) == pointer.etag {
        Ok(body)
    } else {
        Err(damaged("its content is not its ETag's".to_owned()).into())
    }
}

pub(crate) async fn show(arguments: arguments::Show) -> Result<(), Failure> {
    let (name, aws) = (arguments.table.name()?, Aws::from_environment(ClientProfile::Batch).await?);
    let project = &arguments.project;
    let body = stored_body(&CatalogTable::new(aws.dynamodb(), name), project).await?;
    let filtered = arguments.platform.is_some() || arguments.group.is_some() || arguments.name.is_some();
    if arguments.json && !filtered {
        return Ok(io::stdout().lock().write_all(&body)?);
    }
    let damaged =
        |error: serde_json::Error| StoreError::Damaged { key: format!("list of {project}"), what: error.to_string() };
    let list: StoredList<'_> = serde_json::from_slice(&body).map_err(damaged)?;
    let name = arguments.name.as_deref().map(str::to_lowercase);
    let mut wanted = Vec::new();
    for job in list.results {
        let stored: Stored<'_> = serde_json::from_str(job.get()).map_err(damaged)?;
        let is_group = |group: &str| group == stored.job_group_name || group == stored.job_group_symbol;
        if arguments.platform.as_deref().is_none_or(|platform| platform == stored.platform)
            && arguments.group.as_deref().is_none_or(is_group)
            && name.as_deref().is_none_or(|name| stored.ref_data_name.to_lowercase().contains(name))
        {
            wanted.push((job, stored));
        }
    }
    if arguments.json {
        let results: Vec<&RawValue> = wanted.iter().map(|(job, _)| *job).collect();
        let meta = serde_json::json!({"repository": project, "offset": 0, "count": results.len()});
        return print_json(&serde_json::json!({"meta": meta, "results": results}));
    }
    let mut table = new_table(["builder", "platform", "option", "group", "symbol", "needs"]);
    for (_, job) in &wanted {
        let upstream = job.upstream.as_deref().unwrap_or_default();
        table.add_row([
            &job.ref_data_name,
            &job.platform,
            &job.platform_option,
            &job.job_group_symbol,
            &job.job_type_symbol,
            upstream,
        ]);
    }
    align_numbers(&mut table);
    print_text(&format!("{}{} jobs\n", table_text(&table), wanted.len()))
}
