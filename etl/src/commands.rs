//! What each command does.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};
use std::process::ExitCode;

use catalog::builder_name::classify as classify_name;
use catalog::diff::{self, ListDiff};
use catalog::dump::Dump;
use catalog::guards::GuardLimits;
use catalog::jobs;
use chrono::{DateTime, Utc};
use etl::ingest::{self, IngestError, no_progress};
use etl::past;
use etl::print;
use etl::source::SourceLocation;
use runtime::settings::SettingsError;
use runtime::{Aws, ClientProfile};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use store::{Archive, CatalogTable, Consistency, Report, ReportOutcome, Schedule, StoreError};

use crate::arguments;
use crate::progress::reporter;

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{0}")]
    Ingest(#[from] IngestError),
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Settings(#[from] SettingsError),
    /// The report, which was printed, says it all.
    #[error("the catalog stays as it was")]
    Reported(u8),
    #[error("the output cannot be written: {0}")]
    Output(#[from] io::Error),
}

impl Failure {
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Ingest(error) => error.exit_code(),
            Self::Usage(_) | Self::Settings(_) => 2,
            Self::Reported(code) => *code,
            Self::Output(_) => 1,
        })
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Ingest(error.into())
    }
}

#[allow(clippy::disallowed_methods)] // The edge at which time enters.
fn now() -> DateTime<Utc> {
    Utc::now()
}

/// AWS, where a source needs it.
async fn aws_for(sources: &[&SourceLocation]) -> Result<Option<Aws>, SettingsError> {
    let needed = sources.iter().any(|source| matches!(source, SourceLocation::S3 { .. }));
    if needed { Aws::from_environment(ClientProfile::Batch).await.map(Some) } else { Ok(None) }
}

fn print_json(value: &(impl Serialize + ?Sized)) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value).map_err(io::Error::from)?;
    Ok(writeln!(out)?)
}

fn print_text(text: &str) -> Result<(), Failure> {
    Ok(io::stdout().lock().write_all(text.as_bytes())?)
}

fn print_report(report: &Report, json: bool) -> Result<(), Failure> {
    if json { print_json(report) } else { print_text(&print::report(report)) }
}

pub(crate) async fn ingest(arguments: arguments::Ingest) -> Result<(), Failure> {
    let source = arguments.source.source()?;
    let (name, aws) = (arguments.table.name()?, Aws::from_environment(ClientProfile::Batch).await?);
    let table = CatalogTable::new(aws.dynamodb(), name);
    let archive = arguments.archive.as_deref().map(|bucket| Archive::new(aws.s3(), bucket));
    let ingest = ingest::Ingest {
        source,
        aws: Some(&aws),
        table: &table,
        archive: archive.as_ref(),
        limits: GuardLimits { min_builders: arguments.min_builders, max_drop_percent: arguments.max_drop_percent },
        max_source_bytes: arguments.source.bound.max_source_bytes,
        schedule: arguments.schedule.schedule.as_ref(),
        dry_run: arguments.dry_run,
        force: arguments.force,
        only: &arguments.only,
        clock: now,
        on_progress: reporter(arguments.json),
    };
    let (report, result) = ingest.run().await;
    print_report(&report, arguments.json)?;
    match result {
        Ok(()) => Ok(()),
        Err(error) if error.exit_code() == 3 => Err(Failure::Reported(3)),
        Err(error) => Err(error.into()),
    }
}

async fn read(source: &SourceLocation, aws: Option<&Aws>, max_bytes: u64, quiet: bool) -> Result<Dump, IngestError> {
    let on_progress = if quiet { no_progress() } else { reporter(false) };
    let dump = ingest::read_dump(source, aws, max_bytes, &on_progress).await?;
    on_progress(ingest::Stage::Publishing);
    Ok(dump)
}

pub(crate) async fn catalog(arguments: arguments::Catalog) -> Result<(), Failure> {
    let start = std::time::Instant::now();
    let source = arguments.source.source()?;
    let aws = aws_for(&[source]).await?;
    let mut report = Report::new(now(), &source.to_string());
    let dump = read(source, aws.as_ref(), arguments.source.bound.max_source_bytes, arguments.json).await?;
    let (projects, findings) = dump.projects();
    ingest::describe(&mut report, &projects, &findings);
    std::fs::create_dir_all(&arguments.out)?;
    let mut body = Vec::new();
    for (&project, jobs) in &projects {
        let mut unknown = Vec::new();
        ingest::write_body(project, jobs, &mut body, &mut unknown);
        report.unknown_names += unknown.len() as u64;
        report.unknown.extend(unknown);
        // A reader of the folder sees the old list or the new one, and never half of one.
        let mut file = tempfile::NamedTempFile::new_in(&arguments.out)?;
        file.write_all(&body)?;
        file.persist(arguments.out.join(format!("{project}.json"))).map_err(|error| error.error)?;
        let entry = store::ProjectReport { jobs: jobs.len(), ..store::ProjectReport::default() };
        report.projects.insert(project.to_owned(), entry);
    }
    report.outcome = ReportOutcome::Checked;
    report.seconds = start.elapsed().as_secs_f64();
    print_report(&report, arguments.json)
}

#[derive(Serialize)]
struct Classified<'n> {
    ref_data_name: &'n str,
    platform: &'n str,
    os: &'n str,
    architecture: &'n str,
    option: &'n str,
    job_type_name: &'n str,
    job_type_symbol: Cow<'n, str>,
    job_group_name: &'n str,
    job_group_symbol: &'n str,
}

pub(crate) fn classify() -> Result<(), Failure> {
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut line = Vec::new();
    let mut input = io::stdin().lock();
    let mut number = 0_u64;
    while input.read_until(b'\n', &mut line)? > 0 {
        number += 1;
        let bytes = line.strip_suffix(b"\n").unwrap_or(&line);
        let name = std::str::from_utf8(bytes.strip_suffix(b"\r").unwrap_or(bytes)).map_err(|_| {
            Failure::Usage(format!("standard input, line {number}: a builder name in UTF-8 is expected"))
        })?;
        if !name.is_empty() {
            let says = classify_name(name);
            let classified = Classified {
                ref_data_name: name,
                platform: says.platform(),
                os: says.os(),
                architecture: says.architecture(),
                option: says.option(),
                job_type_name: says.job_type_name(),
                job_type_symbol: says.job_type_symbol(),
                job_group_name: says.job_group_name(),
                job_group_symbol: says.job_group_symbol(),
            };
            serde_json::to_writer(&mut out, &classified).map_err(io::Error::from)?;
            out.write_all(b"\n")?;
        }
        line.clear();
    }
    Ok(out.flush()?)
}

pub(crate) async fn diff(arguments: arguments::Diff) -> Result<(), Failure> {
    let aws = aws_for(&[&arguments.old, &arguments.new]).await?;
    let max_bytes = arguments.bound.max_source_bytes;
    let old = read(&arguments.old, aws.as_ref(), max_bytes, arguments.json).await?;
    let new = read(&arguments.new, aws.as_ref(), max_bytes, arguments.json).await?;
    let ((old, _), (new, _)) = (old.projects(), new.projects());
    let mut differences: BTreeMap<&str, ListDiff> = BTreeMap::new();
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for project in old.keys().chain(new.keys()) {
        if differences.contains_key(project) {
            continue;
        }
        for (projects, body) in [(&old, &mut before), (&new, &mut after)] {
            body.clear();
            if let Some(jobs) = projects.get(project) {
                jobs::write_body(project, jobs, body, |_| ());
            }
        }
        let difference = diff::compare(&before, &after)
            .map_err(|error| IngestError::Internal(format!("a list that was just written: {error}")))?;
        differences.insert(project, difference);
    }
    if arguments.json {
        return print_json(&differences);
    }
    let heading = ["project", "before", "after", "added", "removed", "changed"].map(str::to_owned).to_vec();
    let mut rows = vec![heading];
    for (project, found) in differences.iter().filter(|(_, found)| !found.is_empty()) {
        let after = found.added.len() + found.changed.len() + found.unchanged;
        rows.push(vec![
            (*project).to_owned(),
            found.before().to_string(),
            after.to_string(),
            print::count("+", found.added.len()),
            print::count("-", found.removed.len()),
            print::count("~", found.changed.len()),
        ]);
        if arguments.names {
            for (sign, names) in [("+", &found.added), ("-", &found.removed), ("~", &found.changed)] {
                rows.extend(names.iter().map(|name| vec![format!("  {sign} {name}")]));
            }
        }
    }
    let same = differences.values().filter(|found| found.is_empty()).count();
    let text = if rows.len() == 1 { String::new() } else { print::table(&rows) };
    print_text(&format!("{text}unchanged projects: {same}\n"))
}

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
            print_text(&print::report(&Report { schedule: None, ..report.clone() }))?;
        }
    } else {
        print_text(&runs_table(&reports))?;
    }
    if reports.is_empty() {
        print_text("no ingest has been made\n")?;
    }
    match schedule {
        Some(schedule) => print_text(&format!("{}\n", print::schedule(&schedule))),
        None => Ok(()),
    }
}

fn runs_table(reports: &[Report]) -> String {
    let heading = ["started", "outcome", "jobs", "added", "removed", "changed", "seconds", "source or reason"];
    let mut rows = vec![heading.map(str::to_owned).to_vec()];
    for report in reports {
        let sum = |part: fn(&store::ProjectReport) -> usize| report.projects.values().map(part).sum::<usize>();
        rows.push(vec![
            print::time(report.started_at),
            print::outcome(report.outcome).to_owned(),
            if report.builders == 0 { String::new() } else { report.jobs.to_string() },
            print::count("+", sum(|project| project.added)),
            print::count("-", sum(|project| project.removed)),
            print::count("~", sum(|project| project.changed)),
            format!("{:.2}", report.seconds),
            report.error.clone().unwrap_or_else(|| report.source.clone()),
        ]);
    }
    if reports.is_empty() { String::new() } else { print::table(&rows) }
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
    let heading = ["builder", "platform", "option", "group", "symbol", "needs"].map(str::to_owned).to_vec();
    let row = |(_, job): &(&RawValue, Stored<'_>)| {
        let upstream = job.upstream.as_deref().unwrap_or_default();
        [&job.ref_data_name, &job.platform, &job.platform_option, &job.job_group_symbol, &job.job_type_symbol]
            .into_iter()
            .map(AsRef::as_ref)
            .chain([upstream])
            .map(str::to_owned)
            .collect()
    };
    let rows: Vec<Vec<String>> = std::iter::once(heading).chain(wanted.iter().map(row)).collect();
    print_text(&format!("{}{} jobs\n", print::table(&rows), wanted.len()))
}

pub(crate) fn sample(arguments: &arguments::Sample) -> Result<(), Failure> {
    Ok(catalog::sample::write(arguments.builders, arguments.seed, io::stdout().lock())?)
}
