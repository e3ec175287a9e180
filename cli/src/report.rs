//! Tables and reports for people.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use store::{Report, ReportOutcome, Schedule};

/// How many problems and unknown names a printed report shows.
const MAX_SHOWN: usize = 5;

/// Rows in columns. The first row is the heading; columns whose cells are all numbers are set to the right.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let cell = |row: &'_ Vec<String>, column: usize| row.get(column).cloned().unwrap_or_default();
    let numeric = |text: &str| text.is_empty() || text.chars().all(|c| c.is_ascii_digit() || "+-~.,".contains(c));
    let layout: Vec<(usize, bool)> = (0..columns)
        .map(|column| {
            let width = rows.iter().map(|row| cell(row, column).chars().count()).max().unwrap_or_default();
            (width, rows.iter().skip(1).all(|row| numeric(&cell(row, column))))
        })
        .collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, &(width, right)) in layout.iter().enumerate() {
            let content = cell(row, column);
            let _ = if right { write!(line, "{content:>width$}  ") } else { write!(line, "{content:<width$}  ") };
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A time to the second.
pub fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// How an ingest ended, in a word.
pub fn outcome(outcome: ReportOutcome) -> &'static str {
    match outcome {
        ReportOutcome::Published => "published",
        ReportOutcome::Unchanged => "unchanged",
        ReportOutcome::Checked => "checked",
        ReportOutcome::Refused => "refused",
        ReportOutcome::Superseded => "superseded",
        ReportOutcome::Failed => "failed",
    }
}

/// When the next ingest is due, and whether any was missed.
pub fn schedule(schedule: &Schedule) -> String {
    let next = format!("next ingest due {}", time(schedule.next_due));
    match schedule.missed {
        0 => next,
        1 => format!("{next}; 1 was missed"),
        missed => format!("{next}; {missed} were missed"),
    }
}

/// Bytes as a person reads them.
pub fn bytes(count: u64) -> String {
    #[allow(clippy::cast_precision_loss)]
    let count = count as f64;
    match count {
        c if c < 1e3 => format!("{c} B"),
        c if c < 1e6 => format!("{:.1} kB", c / 1e3),
        c => format!("{:.1} MB", c / 1e6),
    }
}

/// What an ingest found and did.
pub fn report(report: &Report) -> String {
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
    if report.builders > 0 {
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
        let heading = ["project", "jobs", "added", "removed", "changed"].map(str::to_owned).to_vec();
        let row = |(name, p): (&String, &store::ProjectReport)| {
            vec![name.clone(), p.jobs.to_string(), count("+", p.added), count("-", p.removed), count("~", p.changed)]
        };
        let rows: Vec<_> = std::iter::once(heading).chain(report.projects.iter().map(row)).collect();
        for row in table(&rows).lines() {
            line(format!("  {row}"));
        }
        line(String::new());
    }
    for refusal in &report.refusals {
        let overridden = if report.outcome == ReportOutcome::Refused { "refused" } else { "a guard says" };
        line(format!("  {overridden}: {refusal}"));
    }
    if report.outcome == ReportOutcome::Refused && !report.refusals.is_empty() {
        line("  the old catalog stays; --force overrides".to_owned());
    } else if let Some(error) = &report.error {
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
    if let Some(reported) = &report.schedule {
        line(format!("  {}", schedule(reported)));
    }
    text
}

/// A count with its sign; nothing for none.
pub fn count(sign: &str, count: usize) -> String {
    if count == 0 { String::new() } else { format!("{sign}{count}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_numbers_are_set_to_the_right() {
        let rows = [["project", "jobs"], ["try", "7"], ["mozilla-inbound", "1200"]];
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.map(str::to_owned).to_vec()).collect();
        assert_eq!(table(&rows), "project          jobs\ntry                 7\nmozilla-inbound  1200\n");
    }

    #[test]
    fn bytes_are_told_in_a_fitting_unit() {
        assert_eq!([bytes(999), bytes(1500), bytes(53_900_000)], ["999 B", "1.5 kB", "53.9 MB"]);
    }
}
