//! Reads an allthethings.json and packs every list of it, as the ETL does, and prints the time that each step takes:
//!
//! `cargo run --release -p catalog --example pack -- allthethings.json`
//!
//! With `--bare` it also does the minimum work, in the same process: parse the document and forget it
//! (`serde_json`, streamed), and gzip the same lists. Prints one JSON object; times are in seconds.

#![expect(clippy::print_stdout, reason = "the measurements are for the terminal")]

use std::fs::File;
use std::io::BufReader;
use std::time::Instant;

use catalog::{buildbot, list};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().ok_or("usage: pack allthethings.json [--bare]")?;
    let bare = arguments.next().is_some_and(|flag| flag == "--bare");

    let start = Instant::now();
    let dump = buildbot::read(File::open(&path)?, u64::MAX, &mut |_| ())?;
    let read = start.elapsed();
    let (projects, findings) = dump.projects();
    let (mut body, mut body_bytes, mut packed_bytes, mut unknown) = (Vec::new(), 0, 0, 0);
    for (project, jobs) in &projects {
        body.clear();
        let summary = buildbot::write_body(project, jobs, &mut body, |_| unknown += 1);
        body_bytes += body.len();
        packed_bytes += list::PackedList::new(&body, summary).gzip.len();
    }
    let all = start.elapsed();

    let mut measured = serde_json::json!({
        "builders": findings.builders, "projects": projects.len(), "unknown": unknown,
        "body_bytes": body_bytes, "packed_bytes": packed_bytes,
        "read": read.as_secs_f64(), "all": all.as_secs_f64(),
    });
    if bare {
        let start = Instant::now();
        serde_json::from_reader::<_, serde::de::IgnoredAny>(BufReader::with_capacity(65_536, File::open(&path)?))?;
        measured["bare_parse"] = start.elapsed().as_secs_f64().into();
        let mut gzip = std::time::Duration::ZERO;
        for (project, jobs) in &projects {
            body.clear();
            buildbot::write_body(project, jobs, &mut body, |_| ());
            let start = Instant::now();
            std::hint::black_box(list::pack(&body));
            gzip += start.elapsed();
        }
        measured["bare_gzip"] = gzip.as_secs_f64().into();
    }
    println!("{measured}");
    Ok(())
}
