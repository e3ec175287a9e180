//! The commands that read a dump, or make one: `ingest`, `catalog`, `classify`, `diff`, `sample`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};

use catalog::buildbot::{self, Dump, classify as classify_name};
use catalog::guards::GuardLimits;
use catalog::list::{self, ListDiff};
use etl::ingest::{self, IngestError, no_progress};
use etl::source::SourceLocation;
use runtime::settings::SettingsError;
use runtime::{Aws, ClientProfile};
use serde::Serialize;
use store::{Archive, CatalogTable, Report, ReportOutcome};

use super::now;
use crate::arguments;
use crate::failure::Failure;
use crate::output::{align_numbers, new_table, print_json, print_text, table_text};
use crate::progress::reporter;
use crate::report;

/// The clients of AWS, if a source needs them.
async fn aws_for(sources: &[&SourceLocation]) -> Result<Option<Aws>, SettingsError> {
    let needed = sources.iter().any(|source| matches!(source, SourceLocation::S3 { .. }));
    if needed { Aws::from_environment(ClientProfile::Batch).await.map(Some) } else { Ok(None) }
}

fn print_report(report: &Report, json: bool) -> Result<(), Failure> {
    if json { print_json(report) } else { print_text(&report::text(report)) }
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
        max_source_bytes: arguments.source.size_limit.max_source_bytes,
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
        Err(error) if error.exit_code() == 3 => Err(Failure::IngestRefused),
        Err(error) => Err(error.into()),
    }
}

/// Reads a dump. Shows the progress unless `quiet`.
async fn read(source: &SourceLocation, aws: Option<&Aws>, max_bytes: u64, quiet: bool) -> Result<Dump, IngestError> {
    let on_progress = if quiet { no_progress() } else { reporter(false) };
    let dump = ingest::read_dump(source, aws, max_bytes, &on_progress).await?;
    // The source is read: this ends the line of progress.
    on_progress(ingest::Stage::Publishing);
    Ok(dump)
}

pub(crate) async fn catalog(arguments: arguments::Catalog) -> Result<(), Failure> {
    let start = std::time::Instant::now();
    let source = arguments.source.source()?;
    let aws = aws_for(&[source]).await?;
    let mut report = Report::new(now(), &source.to_string());
    let dump = read(source, aws.as_ref(), arguments.source.size_limit.max_source_bytes, arguments.json).await?;
    let (projects, findings) = dump.projects();
    ingest::describe(&mut report, &projects, &findings);
    std::fs::create_dir_all(&arguments.out)?;
    let mut body = Vec::new();
    for (&project, jobs) in &projects {
        let mut unknown = Vec::new();
        ingest::write_body(project, jobs, &mut body, &mut unknown);
        report.unknown_names += unknown.len() as u64;
        report.unknown.extend(unknown);
        // A reader of the folder sees the old list or the new one, never half a list.
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

/// A line of the output of `classify`.
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
            let classification = classify_name(name);
            let classified = Classified {
                ref_data_name: name,
                platform: classification.platform(),
                os: classification.os(),
                architecture: classification.architecture(),
                option: classification.option(),
                job_type_name: classification.job_type_name(),
                job_type_symbol: classification.job_type_symbol(),
                job_group_name: classification.job_group_name(),
                job_group_symbol: classification.job_group_symbol(),
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
    let max_bytes = arguments.size_limit.max_source_bytes;
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
                buildbot::write_body(project, jobs, body, |_| ());
            }
        }
        let difference = list::compare(&before, &after)
            .map_err(|error| IngestError::Internal(format!("a list that was just written: {error}")))?;
        differences.insert(project, difference);
    }
    if arguments.json {
        return print_json(&differences);
    }
    let changed: Vec<_> = differences.iter().filter(|(_, found)| !found.is_empty()).collect();
    let mut table = new_table(["project", "before", "after", "added", "removed", "changed"]);
    for (project, found) in &changed {
        let after = found.added.len() + found.changed.len() + found.unchanged;
        table.add_row([
            (**project).to_owned(),
            found.before().to_string(),
            after.to_string(),
            report::count("+", found.added.len()),
            report::count("-", found.removed.len()),
            report::count("~", found.changed.len()),
        ]);
        if arguments.names {
            for (sign, names) in [("+", &found.added), ("-", &found.removed), ("~", &found.changed)] {
                table.add_rows(names.iter().map(|name| [format!("  {sign} {name}")]));
            }
        }
    }
    align_numbers(&mut table);
    let text = if changed.is_empty() { String::new() } else { table_text(&table) };
    print_text(&format!("{text}unchanged projects: {}\n", differences.len() - changed.len()))
}

pub(crate) fn sample(arguments: &arguments::Sample) -> Result<(), Failure> {
    Ok(catalog::sample::write(arguments.builders, arguments.seed, io::stdout().lock())?)
}
