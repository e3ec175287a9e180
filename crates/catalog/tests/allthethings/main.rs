//! Reading allthethings.json, from its bytes to the jobs of each project.

mod bad_input;
mod jobs;
mod order;

use std::io::{self, Read};

use catalog::buildbot::{self, ReadError};
use catalog::buildbot::{Dump, Findings};

fn read(document: impl AsRef<[u8]>) -> Result<Dump, ReadError> {
    buildbot::read(document.as_ref(), u64::MAX, &mut |_| ())
}

/// Why a document is refused.
fn refusal(document: impl AsRef<[u8]>) -> String {
    match read(document) {
        Ok(_) => panic!("it is accepted"),
        Err(error) => error.to_string(),
    }
}

/// The jobs of a document, one a line: `project: name`, and `<- build` where there is one.
fn jobs(dump: &Dump) -> (Vec<String>, Findings) {
    let (projects, findings) = dump.projects();
    let line = |project: &str, job: &catalog::buildbot::CatalogJob<'_>| match job.upstream {
        Some(build) => format!("{project}: {} <- {build}", job.name),
        None => format!("{project}: {}", job.name),
    };
    let lines = projects.iter().flat_map(|(project, jobs)| jobs.iter().map(|job| line(project, job)));
    (lines.collect(), findings)
}

/// The jobs of a document that is accepted, and its problems.
fn accepted(document: impl AsRef<[u8]>) -> (Vec<String>, Vec<String>) {
    let (jobs, findings) = jobs(&read(document).expect("a document that is accepted"));
    assert_eq!(findings.problem_count, findings.problems.len() as u64, "all problems are kept");
    (jobs, findings.problems.iter().map(ToString::to_string).collect())
}

/// Gives a document in pieces of a number of bytes.
struct Pieces<'d> {
    document: &'d [u8],
    piece: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.piece.min(self.document.len()).min(into.len());
        let (given, rest) = self.document.split_at(length);
        into[..length].copy_from_slice(given);
        self.document = rest;
        Ok(length)
    }
}

/// `SplitMix64`: the same numbers every time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % sides as u64).expect("less than sides")
    }
}
