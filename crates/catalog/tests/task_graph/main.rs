//! Reading a decision task's task graph, from its bytes to its jobs.

mod bad_input;
mod entries;
mod order;
mod real;

use std::fmt::Write as _;
use std::io::{self, Read};

use catalog::list::ListedJob;
use catalog::taskcluster::{GraphError, TaskGraph};

fn read(document: impl AsRef<[u8]>) -> Result<TaskGraph, GraphError> {
    TaskGraph::read(document.as_ref(), u64::MAX, &mut |_| ())
}

/// Why a document is refused.
fn refusal(document: impl AsRef<[u8]>) -> String {
    match read(document) {
        Ok(_) => panic!("it is accepted"),
        Err(error) => error.to_string(),
    }
}

/// A job in one line: `LABEL GROUP_SYMBOL(SYMBOL) GROUP_NAME @PLATFORM OPTION`, and tier and build where it has them.
fn line(job: &ListedJob<'_>) -> String {
    assert_eq!((job.build_system, job.job_type_name), ("taskcluster", job.name));
    assert_eq!((job.platform.os, job.platform.architecture), ("", ""));
    let ListedJob { name, option, job_type_symbol, job_group_name, job_group_symbol, .. } = job;
    let mut line =
        format!("{name} {job_group_symbol}({job_type_symbol}) {job_group_name} @{} {option}", job.platform.name);
    if let Some(tier) = job.tier {
        let _ = write!(line, " tier {tier}");
    }
    if let Some(build) = job.upstream {
        let _ = write!(line, " <- {build}");
    }
    line
}

fn lines(graph: &TaskGraph) -> Vec<String> {
    assert_eq!((graph.jobs().len(), graph.is_empty()), (graph.len(), graph.jobs().next().is_none()));
    graph.jobs().map(|job| line(&job)).collect()
}

/// The problems of a graph.
fn problems(graph: &TaskGraph) -> Vec<String> {
    let findings = graph.findings();
    assert_eq!(findings.problem_count, findings.problems.len() as u64, "all problems are kept");
    findings.problems.iter().map(ToString::to_string).collect()
}

/// The jobs of a document that is accepted, and its problems.
fn accepted(document: impl AsRef<[u8]>) -> (Vec<String>, Vec<String>) {
    let graph = read(document).expect("a document that is accepted");
    (lines(&graph), problems(&graph))
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
