//! Any bytes are read as a task graph or refused, in the same way for pieces of any size; each entry is listed or
//! counted.

#![no_main]

use std::io::{self, Read};

use catalog::list::{self, Listing};
use catalog::taskcluster::TaskGraph;
use libfuzzer_sys::fuzz_target;

/// Returns a document in pieces of a number of bytes.
struct Pieces<'d>(&'d [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = self.1.min(self.0.len()).min(into.len());
        let (piece, rest) = self.0.split_at(length);
        into[..length].copy_from_slice(piece);
        self.0 = rest;
        Ok(length)
    }
}

/// The list of a document's jobs and the findings, or why the document is refused.
fn outcome(document: &[u8], piece: usize) -> Result<(Vec<u8>, String), String> {
    let mut graph =
        TaskGraph::read(Pieces(document, piece), 1_000_000, &mut |_| ()).map_err(|error| error.to_string())?;
    let findings = graph.findings();
    let counted = findings.without_treeherder + findings.left_out + findings.repeated;
    assert_eq!(graph.len() as u64 + counted, findings.labels);
    let findings = format!("{findings:?}");
    let mut body = Vec::new();
    list::write_body("try", graph.jobs(), &mut body);
    let again = TaskGraph::read(document, 1_000_000, &mut |_| ()).expect("it was read");
    graph.join(again.jobs());
    Ok((body, findings))
}

fuzz_target!(|document: &[u8]| {
    let whole = outcome(document, usize::MAX);
    assert_eq!(whole, outcome(document, 1 + document.len() % 7));
    if let Ok((body, _)) = whole {
        Listing::read(body.into()).expect("a list");
    }
});
