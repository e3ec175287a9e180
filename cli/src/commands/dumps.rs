//! The commands that read a dump or a task graph, or make a dump: `ingest`, `catalog`, `classify`, `diff`, `sample`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, Write};

use catalog::buildbot::{self, Dump, Projects, classify as classify_name};
use catalog::guards::GuardLimits;
use catalog::list::{self, ListedJob};
use catalog::taskcluster::TaskGraph;
use etl::error::worse;
use etl::ingest::{self, IngestError, no_progress};
use etl::source::SourceLocation;
use etl::source::taskcluster::read_file;
use etl::taskcluster_ingest::{self, TaskclusterIngest};
use runtime::settings::SettingsError;
use runtime::{Aws, ClientProfile};
use serde::Serialize;
use store::{Archive, CatalogTable, ProjectReport, Report, ReportOutcome};

use super::now;
use crate::arguments::{self, NamedSources};
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
    let NamedSources { buildbot, taskcluster } = arguments.sources.named()?;
    let (name, aws) = (arguments.table.name()?, Aws::from_environment(ClientProfile::Batch).await?);
    let archive = arguments.archive.as_deref().map(|bucket| Archive::new(aws.s3(), bucket));
    let max_source_bytes = arguments.sources.size_limit.max_source_bytes;
    let mut results = Vec::new();
    if let Some(source) = &buildbot {
        let ingest = ingest::Ingest {
            source,
            aws: Some(&aws),
            table: &CatalogTable::new(aws.dynamodb(), name),
            archive: archive.as_ref(),
            limits: GuardLimits { min_builders: arguments.min_builders, max_drop_percent: arguments.max_drop_percent },
            max_source_bytes,
            schedule: arguments.schedule.schedule.as_ref(),
            dry_run: arguments.dry_run,
            force: arguments.force,
            only: &arguments.only,
            clock: now,
            on_progress: reporter(arguments.json),
        };
        let (report, result) = ingest.run().await;
        print_report(&report, arguments.json)?;
        results.push(result);
    }
    // Beside Buildbot's, a project that Taskcluster does not have is not an error.
    let is_known = |only: &&String| {
        buildbot.is_none() || taskcluster.iter().any(|source| source.projects().any(|project| project == *only))
    };
    let only: Vec<String> = arguments.only.iter().filter(is_known).cloned().collect();
    let is_skipped = only.is_empty() && !arguments.only.is_empty();
    if let Some(source) = taskcluster.as_ref().filter(|_| !is_skipped) {
        let ingest = TaskclusterIngest {
            source,
            table: &CatalogTable::new(aws.dynamodb(), name),
            max_drop_percent: arguments.max_drop_percent,
            max_source_bytes,
            schedule: arguments.schedule.taskcluster_schedule.as_ref(),
            dry_run: arguments.dry_run,
            force: arguments.force,
            only: &only,
            clock: now,
            on_progress: reporter(arguments.json),
        };
        let (report, result) = ingest.run().await;
        print_report(&report, arguments.json)?;
        results.push(result);
    }
    // The worse of two errors ends the program; the printed reports have both.
    let errors = results.into_iter().filter_map(Result::err);
    let is_worse =
        |one: &IngestError, other: &IngestError| worse(one.exit_code(), other.exit_code()) == one.exit_code();
    match errors.reduce(|one, other| if is_worse(&one, &other) { one } else { other }) {
        None => Ok(()),
        Some(IngestError::Projects(errors)) => Err(IngestError::Projects(errors).into()),
        Some(error) if error.exit_code() == 3 => Err(Failure::IngestRefused),
        Some(error) => Err(error.into()),
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
    let NamedSources { buildbot, taskcluster } = arguments.sources.named()?;
    let max_bytes = arguments.sources.size_limit.max_source_bytes;
    let mut reports = Vec::new();
    let dump = match &buildbot {
        Some(source) => {
            let start = std::time::Instant::now();
            let report = Report::new(now(), &source.to_string());
            let aws = aws_for(&[source]).await?;
            let dump = read(source, aws.as_ref(), max_bytes, arguments.json).await?;
            reports.push((report, start.elapsed()));
            Some(dump)
        }
        None => None,
    };
    let (projects, findings) = dump.as_ref().map(Dump::projects).unwrap_or_default();
    let mut jobs: BTreeMap<String, Vec<ListedJob<'_>>> = BTreeMap::new();
    if let Some((report, _)) = reports.first_mut() {
        ingest::describe(report, &projects, &findings);
        for (&project, of_dump) in &projects {
            let mut unknown = Vec::new();
            jobs.insert(project.to_owned(), buildbot::listed(of_dump, |name| unknown.push(name.to_owned())));
            report.unknown_names += unknown.len() as u64;
            report.unknown.extend(unknown);
            let entry = ProjectReport { jobs: of_dump.len(), ..ProjectReport::default() };
            report.projects.insert(project.to_owned(), entry);
        }
    }
    let mut graphs = BTreeMap::new();
    if let Some(source) = &taskcluster {
        let start = std::time::Instant::now();
        let mut report = Report::of_taskcluster(now(), &source.to_string());
        let on_progress = reporter(arguments.json);
        for project in source.projects() {
            let found = source.find_and_read(project, max_bytes, &on_progress).await;
            let found = found.map_err(|error| IngestError::Projects([(project.to_owned(), error)].into()))?;
            taskcluster_ingest::describe(&mut report, project, found.as_ref());
            graphs.extend(found.map(|found| (project.to_owned(), found.graph)));
        }
        on_progress(ingest::Stage::Publishing);
        reports.push((report, start.elapsed()));
    }
    for (project, graph) in &graphs {
        let of_project = jobs.entry(project.clone()).or_default();
        of_project.extend(graph.jobs());
        of_project.sort_by(|one, other| one.name.cmp(other.name));
    }
    std::fs::create_dir_all(&arguments.out)?;
    let mut body = Vec::new();
    for (project, jobs) in jobs {
        body.clear();
        list::write_body(&project, jobs.into_iter(), &mut body);
        // A reader of the folder sees the old list or the new one, never half a list.
        let mut file = tempfile::NamedTempFile::new_in(&arguments.out)?;
        file.write_all(&body)?;
        file.persist(arguments.out.join(format!("{project}.json"))).map_err(|error| error.error)?;
    }
    for (mut report, took) in reports {
        report.outcome = ReportOutcome::Checked;
        report.seconds = took.as_secs_f64();
        print_report(&report, arguments.json)?;
    }
    Ok(())
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
    let max_bytes = arguments.size_limit.max_source_bytes;
    let differences = if arguments.taskcluster {
        let [old, new] = [&arguments.old, &arguments.new].map(|source| graph(source, max_bytes, arguments.json));
        let (old, new) = (old.await?, new.await?);
        let project = new.findings().project.clone().or_else(|| old.findings().project.clone());
        let project = project.unwrap_or_else(|| "(project unknown)".to_owned());
        BTreeMap::from([(project, list::compare(old.jobs(), new.jobs()))])
    } else {
        let aws = aws_for(&[&arguments.old, &arguments.new]).await?;
        let old = read(&arguments.old, aws.as_ref(), max_bytes, arguments.json).await?;
        let new = read(&arguments.new, aws.as_ref(), max_bytes, arguments.json).await?;
        let ((old, _), (new, _)) = (old.projects(), new.projects());
        let names: BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
        let compared = |project| list::compare(listed(&old, project), listed(&new, project));
        names.into_iter().map(|project| (project.to_owned(), compared(project))).collect()
    };
    if arguments.json {
        return print_json(&differences);
    }
    let changed: Vec<_> = differences.iter().filter(|(_, found)| !found.is_empty()).collect();
    let mut table = new_table(["project", "before", "after", "added", "removed", "changed"]);
    for (project, found) in &changed {
        let after = found.added.len() + found.changed.len() + found.unchanged;
        table.add_row([
            (*project).clone(),
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

/// The jobs of a project of a dump.
fn listed<'d>(projects: &Projects<'d>, project: &str) -> Vec<ListedJob<'d>> {
    buildbot::listed(projects.get(project).map_or(&[], Vec::as_slice), |_| ())
}

/// Reads the task graph in a file. Shows the progress unless `quiet`.
async fn graph(source: &SourceLocation, max_bytes: u64, quiet: bool) -> Result<TaskGraph, Failure> {
    let SourceLocation::File(path) = source else {
        return Err(Failure::Usage(format!("{source}: the file of a task graph is expected")));
    };
    let on_progress = if quiet { no_progress() } else { reporter(false) };
    let graph = read_file(path.clone(), max_bytes, &on_progress).await?;
    on_progress(ingest::Stage::Publishing);
    Ok(graph)
}

pub(crate) fn sample(arguments: &arguments::Sample) -> Result<(), Failure> {
    Ok(catalog::sample::write(arguments.builders, arguments.seed, io::stdout().lock())?)
}
