//! Reads a runnable-jobs.json or a full-task-graph.json, packs the list and the index of it, and prints the time that
//! each step takes and the peak memory of the process:
//!
//! `cargo run --release -p catalog --example task_graph -- full-task-graph.json`
//!
//! With `--bare` it then does the minimum work, in the same process: parse the document and forget it (`serde_json`,
//! streamed). Prints one JSON object; times are seconds of the processor, as Linux counts them, memory is in MiB.

#![expect(clippy::print_stdout, reason = "the measurements are for the terminal")]

use std::fs::{self, File};
use std::io::BufReader;

use catalog::list;
use catalog::taskcluster::TaskGraph;

/// The peak memory of this process so far, where the system shows it.
fn peak_mib() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib / 1024.0)
}

/// The time that this thread has had the processor, in seconds.
fn processor_time() -> Result<f64, Box<dyn std::error::Error>> {
    let statistics = fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds: f64 = statistics.split(' ').next().unwrap_or_default().parse()?;
    Ok(nanoseconds / 1e9)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: task_graph ARTIFACT [--bare]")?;
    let bare = arguments.next().is_some_and(|flag| flag == "--bare");

    let start = processor_time()?;
    let graph = TaskGraph::read(File::open(&path)?, u64::MAX, &mut |_| ())?;
    let (read, read_peak) = (processor_time()? - start, peak_mib());
    let mut body = Vec::new();
    let summary = list::write_body("try", graph.jobs(), &mut body);
    let body_bytes = body.len();
    let packed = list::PackedList::new(&body, summary);
    drop(body);
    let listed = processor_time()? - start;
    let index = list::write_index("try", &packed.etag, graph.jobs());
    let all = processor_time()? - start;

    let findings = graph.findings();
    let mut measured = serde_json::json!({
        "labels": findings.labels, "jobs": graph.len(), "problems": findings.problem_count, "project": findings.project,
        "bytes": findings.bytes,
        "body_bytes": body_bytes, "packed_bytes": packed.gzip.len(), "index_bytes": index.len(),
        "read": read, "listed": listed, "all": all,
        "read_peak": read_peak, "peak": peak_mib(),
    });
    if bare {
        let start = processor_time()?;
        serde_json::from_reader::<_, serde::de::IgnoredAny>(BufReader::with_capacity(65_536, File::open(&path)?))?;
        measured["bare_parse"] = (processor_time()? - start).into();
    }
    println!("{measured}");
    Ok(())
}
