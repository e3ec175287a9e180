//! Text, JSON and tables on standard output.

use std::io::{self, Write as _};

use chrono::{DateTime, SecondsFormat, Utc};
use comfy_table::{CellAlignment, Row, Table};
use serde::Serialize;

use crate::failure::Failure;

/// Prints text as it is.
pub(crate) fn print_text(text: &str) -> Result<(), Failure> {
    Ok(io::stdout().lock().write_all(text.as_bytes())?)
}

/// Prints a value as JSON over several lines.
pub(crate) fn print_json(value: &(impl Serialize + ?Sized)) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value).map_err(io::Error::from)?;
    Ok(writeln!(out)?)
}

/// Prints a value as one line of JSON.
pub(crate) fn print_json_line(value: &(impl Serialize + ?Sized)) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, value).map_err(io::Error::from)?;
    Ok(writeln!(out)?)
}

/// A time to the second.
pub(crate) fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A table without lines, whose columns are two blanks apart.
pub(crate) fn new_table(header: impl Into<Row>) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(header);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

/// Aligns the columns of numbers to the right.
pub(crate) fn align_numbers(table: &mut Table) {
    for index in 0..table.column_count() {
        let is_numeric = table.column_cells_iter(index).flatten().all(|cell| is_number(&cell.content()));
        if let Some(column) = table.column_mut(index).filter(|_| is_numeric) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

fn is_number(text: &str) -> bool {
    text.chars().all(|character| character.is_ascii_digit() || "+-~.,".contains(character))
}

/// The table as text. No line ends with blanks.
pub(crate) fn table_text(table: &Table) -> String {
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_numbers_are_aligned_to_the_right() {
        let mut table = new_table(["project", "jobs"]);
        table.add_rows([["try", "7"], ["mozilla-inbound", "1200"]]);
        align_numbers(&mut table);
        assert_eq!(table_text(&table), "project          jobs\ntry                 7\nmozilla-inbound  1200\n");
    }

    #[test]
    fn a_row_may_have_fewer_cells_than_the_header() {
        let mut table = new_table(["project", "jobs"]);
        table.add_row(["try", "7"]);
        table.add_row(["  + a long name"]);
        align_numbers(&mut table);
        assert_eq!(table_text(&table), "project          jobs\ntry                 7\n  + a long name\n");
    }
}
