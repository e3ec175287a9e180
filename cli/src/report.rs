//! The report of an ingest as text.

use catalog::taskcluster;
use comfy_table::Table;
use store::{GraphOutcome, ProjectReport, Report, ReportOutcome, Schedule};

use crate::output::{align_numbers, new_table, table_text, time};

/// Maximum number of problems, and of unknown names, in the text.
const MAX_SHOWN: usize = 5;

/// The outcome of an ingest in a word.
pub(crate) fn outcome(outcome: ReportOutcome) -> &'static str {
    match outcome {
        ReportOutcome::Published => "published",
        ReportOutcome::Unchanged => "unchanged",
        ReportOutcome::Checked => "checked",
        ReportOutcome::Refused => "refused",
        ReportOutcome::Superseded => "superseded",
        ReportOutcome::Failed => "failed",
    }
}

/// What an ingest of Taskcluster did about a project, in words.
fn graph_outcome(outcome: GraphOutcome) -> &'static str {
    match outcome {
        GraphOutcome::Published => "published",
        GraphOutcome::Unchanged => "unchanged",
        GraphOutcome::Checked => "checked",
        GraphOutcome::NoDecisionTask => "no decision task",
        GraphOutcome::Refused => "refused",
        GraphOutcome::Superseded => "superseded",
        GraphOutcome::Failed => "failed",
    }
}

/// When the next ingest is due, and whether any was missed.
pub(crate) fn schedule(schedule: &Schedule) -> String {
    let next = format!("next ingest due {}", time(schedule.next_due));
    match schedule.missed {
        0 => next,
        1 => format!("{next}; 1 was missed"),
        missed => format!("{next}; {missed} were missed"),
    }
}

/// A number of bytes with its unit.
pub(crate) fn bytes(count: u64) -> String {
    #[allow(clippy::cast_precision_loss)]
    let count = count as f64;
    match count {
        c if c < 1e3 => format!("{c} B"),
        c if c < 1e6 => format!("{:.1} kB", c / 1e3),
        c => format!("{:.1} MB", c / 1e6),
    }
}

/// The whole report.
pub(crate) fn text(report: &Report) -> String {
    let mut text = String::new();
    let mut line = |content: String| {
        text.push_str(&content);
        text.push('\n');
    };
    line(format!(
        "{} {} from {} in {:.2} s",
        time(report.started_at),
        outcome(report.outcome),
        report.source,
        report.seconds
    ));
    if report.build_system == taskcluster::BUILD_SYSTEM {
        let projects = report.projects.values().filter(|project| project.jobs > 0).count();
        line(format!(
            "  taskcluster: {} read; {} jobs in {projects} projects, {} problems",
            bytes(report.bytes),
            report.jobs,
            report.problem_count
        ));
    } else if report.builders > 0 {
        line(format!(
            "  {} read; {} builders: {} jobs in {} projects, {} not runnable, {} malformed",
            bytes(report.bytes),
            report.builders,
            report.jobs,
            report.projects.values().filter(|project| project.jobs > 0).count(),
            report.not_runnable,
            report.problem_count
        ));
        line(format!(
            "  {} tests without a build; {} names outside the grammar",
            report.tests_without_build, report.unknown_names
        ));
        if report.empty_slavepool > 0 {
            line(format!("  {} builders whose slave pool is empty", report.empty_slavepool));
        }
        for (master, builders) in &report.masters_gone {
            line(format!("  a master is gone: {master}, which had {builders} builders"));
        }
        let lost = report.projects.values().map(|project| project.lost_builds).sum::<usize>();
        if lost > 0 {
            line(format!("  {lost} tests lost their builds"));
        }
    } else if report.succeeded() {
        line("  the source is not modified since the last ingest".to_owned());
    }
    let mut list = |what: &str, items: &[String], count: u64| {
        for item in items.iter().take(MAX_SHOWN) {
            line(format!("  {what} {item}"));
        }
        let more = count.saturating_sub(items.len().min(MAX_SHOWN) as u64);
        if more > 0 && !items.is_empty() {
            line(format!("  {what} ... and {more} more"));
        }
    };
    list("malformed:", &report.problems, report.problem_count);
    list("unknown:", &report.unknown, report.unknown_names);
    if !report.projects.is_empty() {
        line(String::new());
        for row in table_text(&projects(report)).lines() {
            line(format!("  {row}"));
        }
        line(String::new());
    }
    let is_taskcluster = report.build_system == taskcluster::BUILD_SYSTEM;
    let errors =
        report.projects.iter().filter_map(|(name, project)| Some((name, project.graph.as_ref()?.error.as_ref()?)));
    for (project, error) in errors {
        line(format!("  {project}: {error}"));
    }
    let is_shown = is_taskcluster && !report.succeeded() && report.outcome != ReportOutcome::Checked;
    for refusal in report.refusals.iter().filter(|_| !is_shown) {
        let label = if report.outcome == ReportOutcome::Refused { "refused" } else { "a guard says" };
        line(format!("  {label}: {refusal}"));
    }
    if report.outcome == ReportOutcome::Refused && !report.refusals.is_empty() {
        let stays = if is_taskcluster { "a refused project keeps its jobs" } else { "the old catalog stays" };
        line(format!("  {stays}; --force overrides"));
    } else if let Some(error) = report.error.as_ref().filter(|_| report.projects.values().all(|it| it.graph.is_none()))
    {
        line(format!("  {error}"));
    }
    if let Some(archive) = &report.archive {
        line(format!("  archived as {archive}"));
    }
    if report.items_written > 0 || report.read_units > 0.0 {
        line(format!(
            "  store: {} items written, {} of lists; {:.1} read units, {:.1} write units",
            report.items_written,
            bytes(report.bytes_written),
            report.read_units,
            report.write_units
        ));
    }
    if let Some(known) = &report.schedule {
        line(format!("  {}", schedule(known)));
    }
    text
}

/// The changes of each project, as a table. An ingest of Taskcluster has an outcome for each project.
fn projects(report: &Report) -> Table {
    let changes = |name: &str, project: &ProjectReport| {
        let signs = [("+", project.added), ("-", project.removed), ("~", project.changed)];
        let [added, removed, changed] = signs.map(|(sign, jobs)| count(sign, jobs));
        vec![name.to_owned(), project.jobs.to_string(), added, removed, changed]
    };
    let mut columns = vec!["project", "jobs", "added", "removed", "changed"];
    if report.build_system == taskcluster::BUILD_SYSTEM {
        columns.extend(["outcome", "decision task", "artifact"]);
    }
    let mut table = new_table(columns);
    for (name, project) in &report.projects {
        let mut row = changes(name, project);
        if let Some(graph) = &project.graph {
            let shown = |text: &Option<String>| text.clone().unwrap_or_default();
            row.extend([graph_outcome(graph.outcome).to_owned(), shown(&graph.decision_task), shown(&graph.artifact)]);
        }
        table.add_row(row);
    }
    align_numbers(&mut table);
    table
}

/// A count with its sign; empty for 0.
pub(crate) fn count(sign: &str, count: usize) -> String {
    if count == 0 { String::new() } else { format!("{sign}{count}") }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn the_text_names_missing_masters_and_counts_empty_slave_pools() {
        let mut report = Report::new(DateTime::UNIX_EPOCH, "a file");
        report.builders = 5;
        report.empty_slavepool = 2;
        report.masters_gone = [("bm2".to_owned(), 2)].into();
        let text = text(&report);
        assert!(text.contains("\n  2 builders whose slave pool is empty\n"), "{text}");
        assert!(text.contains("\n  a master is gone: bm2, which had 2 builders\n"), "{text}");
    }

    #[test]
    fn bytes_are_shown_in_a_fitting_unit() {
        assert_eq!([bytes(999), bytes(1500), bytes(53_900_000)], ["999 B", "1.5 kB", "53.9 MB"]);
    }
}
