//! Reads an allthethings.json and packs every list of it, as the ETL does, and tells what that took:
//! `cargo run --release -p catalog --example pack -- allthethings.json`

#![expect(clippy::print_stdout, reason = "what it found is for the terminal")]

use std::fs::File;
use std::time::Instant;

use catalog::{allthethings, jobs};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: pack allthethings.json")?;
    let start = Instant::now();
    let dump = allthethings::read(File::open(path)?, u64::MAX, &mut |_| ())?;
    let (projects, findings) = dump.projects();
    let read = start.elapsed();
    let (mut body, mut bytes, mut packed, mut unknown) = (Vec::new(), 0, 0, 0);
    for (project, list) in &projects {
        body.clear();
        jobs::write_body(project, list, &mut body, |_| unknown += 1);
        bytes += body.len();
        packed += jobs::pack(&body).len();
    }
    println!(
        "{} builders, {} jobs in {} projects, {unknown} names unknown, {} without a build, {} problems",
        findings.builders,
        projects.values().map(Vec::len).sum::<usize>(),
        projects.len(),
        findings.tests_without_build,
        findings.problem_count
    );
    println!("read {read:.0?}; all {:.0?}; {bytes} bytes of JSON, {packed} packed", start.elapsed());
    Ok(())
}
