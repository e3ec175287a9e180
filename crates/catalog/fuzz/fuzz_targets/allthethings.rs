//! Any bytes are read or refused, in the same way for pieces of any size; the lists made of them pack and unpack.

#![no_main]

use std::io::{self, Read};

use catalog::buildbot;
use catalog::buildbot::write_body;
use catalog::list::{pack, unpack};
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

/// The lists of a document's projects and the findings, or why the document is refused.
fn outcome(document: &[u8], piece: usize) -> Result<(Vec<Vec<u8>>, String), String> {
    let dump =
        buildbot::read(Pieces(document, piece), 1_000_000, &mut |_| ()).map_err(|error| error.to_string())?;
    let (projects, findings) = dump.projects();
    let body = |(project, jobs): (&&str, &Vec<_>)| {
        let mut body = Vec::new();
        write_body(project, jobs, &mut body, |_| ());
        body
    };
    Ok((projects.iter().map(body).collect(), format!("{findings:?}")))
}

fuzz_target!(|document: &[u8]| {
    let whole = outcome(document, usize::MAX);
    assert_eq!(whole, outcome(document, 1 + document.len() % 7));
    for body in whole.into_iter().flat_map(|(bodies, _)| bodies) {
        assert_eq!(unpack(&pack(&body)).expect("what was packed"), body);
    }
});
