//! The progress of an ingest on standard error: a bar on a terminal, plain lines elsewhere.

use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use etl::ingest::{ProgressCallback, Stage, no_progress};
use indicatif::{ProgressBar, ProgressStyle};

use crate::report::bytes as bytes_text;

/// Without a terminal: print a line whenever this many more builders or labels were read.
const PER_LINE: u64 = 20_000;

/// Reports progress on standard error; `quiet` reports nothing.
pub(crate) fn reporter(quiet: bool) -> ProgressCallback {
    if quiet {
        no_progress()
    } else if std::io::stderr().is_terminal() {
        bar()
    } else {
        lines()
    }
}

fn bar() -> ProgressCallback {
    let bar = ProgressBar::no_length();
    let style = "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {msg}";
    bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
    Arc::new(move |stage| match stage {
        Stage::Opened(Some(length)) => bar.set_length(length),
        Stage::Opened(None) => {}
        Stage::Read { bytes, builders } => {
            bar.set_position(bytes);
            bar.set_message(format!("{builders} builders"));
        }
        Stage::ReadGraph { labels } => bar.set_message(format!("{labels} labels")),
        Stage::Publishing => bar.finish_and_clear(),
    })
}

fn lines() -> ProgressCallback {
    let reported = AtomicU64::new(0);
    let print = |line: &str| {
        let _ = writeln!(std::io::stderr(), "{line}");
    };
    Arc::new(move |stage| match stage {
        Stage::Opened(Some(length)) => print(&format!("reading {}", bytes_text(length))),
        Stage::Opened(None) => print("reading"),
        Stage::Read { bytes, builders } => {
            if is_next(&reported, builders) {
                print(&format!("{builders} builders, {}", bytes_text(bytes)));
            }
        }
        Stage::ReadGraph { labels } => {
            if is_next(&reported, labels) {
                print(&format!("{labels} labels"));
            }
        }
        Stage::Publishing => print("read; comparing"),
    })
}

/// Whether a line is due, after which `PER_LINE` more have to be read. A new document starts anew.
fn is_next(reported: &AtomicU64, count: u64) -> bool {
    let before = reported.load(Ordering::Relaxed);
    let is_due = count >= before + PER_LINE;
    if is_due || count < before {
        reported.store(if is_due { count } else { 0 }, Ordering::Relaxed);
    }
    is_due
}
