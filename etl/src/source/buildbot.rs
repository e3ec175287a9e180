//! Decodes Buildbot's dump: unzips gzip, counts the bytes, and spools a copy for the archive.

use std::io::{self, BufReader, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use catalog::buildbot::{self, Dump, Progress, ReadError};
use catalog::hex;
use fetch::gzip::starts_like_gzip;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use tempfile::NamedTempFile;

/// A copy of a dump, for the archive.
pub struct Spool {
    /// The gzipped dump. Dropping this deletes the file.
    pub file: NamedTempFile,
    /// The SHA-256 of the uncompressed dump, in hexadecimal.
    pub sha256: String,
}

/// A decoded source.
pub struct DecodedDump {
    /// The dump.
    pub dump: Dump,
    /// The copy for the archive, if one was requested.
    pub spool: Option<Spool>,
}

/// The number of bytes of the source that were read, compressed or not, for a progress bar.
pub type ByteCounter = Arc<AtomicU64>;

/// Counts the bytes that it reads, and fails after `limit` bytes.
struct Counting<R> {
    input: R,
    counter: ByteCounter,
    limit: u64,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(into)?;
        let before = self.counter.fetch_add(read as u64, Ordering::Relaxed);
        if before + read as u64 > self.limit { Err(io::Error::other("too many bytes")) } else { Ok(read) }
    }
}

/// Passes on the bytes that it reads, and writes a copy.
struct Tee<R, W>(R, W);

impl<R: Read, W: Write> Read for Tee<R, W> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(into)?;
        self.1.write_all(&into[..read])?;
        Ok(read)
    }
}

/// Passes on the bytes that it reads, and hashes them.
struct Hashing<R>(R, Sha256);

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.0.read(into)?;
        self.1.update(&into[..read]);
        Ok(read)
    }
}

/// Reads a dump of at most `max_bytes` bytes, before and after it is uncompressed. Blocks. With `spool` it keeps a copy
/// for the archive.
///
/// # Errors
/// Those of `catalog::buildbot::read`; corrupt gzip is among them, with the place of the last good byte.
pub fn decode(
    bytes: impl Read,
    counter: &ByteCounter,
    max_bytes: u64,
    spool: bool,
    progress: &mut dyn FnMut(Progress),
) -> Result<DecodedDump, ReadError> {
    // Gzip makes incompressible data slightly longer.
    let limit = max_bytes.saturating_add(max_bytes / 64 + 1024);
    let counting = Counting { input: bytes, counter: counter.clone(), limit };
    let decoded = decode_counted(counting, max_bytes, spool, progress);
    let is_too_long = counter.load(Ordering::Relaxed) > limit;
    decoded.map_err(|error| if is_too_long { ReadError::SourceTooLong { limit: max_bytes } } else { error })
}

fn decode_counted(
    bytes: Counting<impl Read>,
    max_bytes: u64,
    spool: bool,
    progress: &mut dyn FnMut(Progress),
) -> Result<DecodedDump, ReadError> {
    let broken = |error| ReadError::Input { path: "the document".to_owned(), error, offset: 0 };
    let mut bytes = BufReader::with_capacity(64 * 1024, bytes);
    let is_gzip = starts_like_gzip(&mut bytes).map_err(broken)?;
    if !spool {
        let dump = if is_gzip {
            buildbot::read(MultiGzDecoder::new(bytes), max_bytes, progress)?
        } else {
            buildbot::read(bytes, max_bytes, progress)?
        };
        return Ok(DecodedDump { dump, spool: None });
    }
    let mut file = NamedTempFile::new().map_err(broken)?;
    let (dump, hash) = if is_gzip {
        // The copy has the bytes as they came: nothing is compressed twice.
        let unzipped = MultiGzDecoder::new(Tee(bytes, io::BufWriter::new(&mut file)));
        let mut teed = Hashing(unzipped, Sha256::new());
        let dump = buildbot::read(&mut teed, max_bytes, progress)?;
        teed.0.get_mut().1.flush().map_err(broken)?;
        (dump, teed.1)
    } else {
        let zipped = GzEncoder::new(io::BufWriter::new(&mut file), Compression::fast());
        let mut teed = Hashing(Tee(bytes, zipped), Sha256::new());
        let dump = buildbot::read(&mut teed, max_bytes, progress)?;
        teed.0.1.finish().and_then(|mut file| file.flush()).map_err(broken)?;
        (dump, teed.1)
    };
    Ok(DecodedDump { dump, spool: Some(Spool { file, sha256: hex(&hash.finalize()) }) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &[u8] =
        br#"{"builders": {"Linux try build": {"properties": {"branch": "try"}}}, "schedulers": {}}"#;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn decode_all(bytes: &[u8], max_bytes: u64, spool: bool) -> Result<DecodedDump, ReadError> {
        decode(bytes, &ByteCounter::default(), max_bytes, spool, &mut |_| ())
    }

    fn builders(decoded: &DecodedDump) -> u64 {
        decoded.dump.projects().1.builders
    }

    #[test]
    fn gzip_is_recognised_by_its_content() {
        for bytes in [DOCUMENT.to_vec(), gzip(DOCUMENT), [gzip(&DOCUMENT[..20]), gzip(&DOCUMENT[20..])].concat()] {
            assert_eq!(builders(&decode_all(&bytes, 1000, false).unwrap()), 1);
        }
    }

    #[test]
    fn plain_and_gzipped_dumps_are_archived_alike() {
        for bytes in [DOCUMENT.to_vec(), gzip(DOCUMENT)] {
            let spool = decode_all(&bytes, 1000, true).unwrap().spool.expect("asked for");
            let mut unzipped = Vec::new();
            MultiGzDecoder::new(spool.file.reopen().unwrap()).read_to_end(&mut unzipped).unwrap();
            assert_eq!(unzipped, DOCUMENT);
            assert_eq!(spool.sha256, "9f9d3a89130bf535da1086364bff943a0fa1536e8c23a4712b6cd9ac9a08f346");
        }
    }

    #[test]
    fn gzip_that_is_cut_or_corrupt_is_refused() {
        let whole = gzip(DOCUMENT);
        for length in 1..whole.len() {
            for spool in [false, true] {
                let refused = decode_all(&whole[..length], 1000, spool).err().expect("cut");
                assert!(matches!(refused, ReadError::Input { .. }), "cut at {length}: {refused}");
            }
        }
        for at in 10..whole.len() {
            let mut corrupt = whole.clone();
            corrupt[at] ^= 0x55;
            assert!(decode_all(&corrupt, 1000, false).is_err(), "corrupt at {at}");
        }
    }

    #[test]
    fn compressed_bytes_without_end_end_at_the_bound_though_they_hold_nothing() {
        struct Endless(Vec<u8>, usize);
        impl Read for Endless {
            fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
                for byte in into.iter_mut() {
                    *byte = self.0[self.1 % self.0.len()];
                    self.1 += 1;
                }
                Ok(into.len())
            }
        }
        for spool in [false, true] {
            let counter = ByteCounter::default();
            let empty_members = Endless(gzip(b""), 0);
            let refused = decode(empty_members, &counter, 100_000, spool, &mut |_| ()).err().expect("too long");
            let expected =
                "the compressed document is longer than the configured maximum of 100000 uncompressed bytes allows";
            assert_eq!(refused.to_string(), expected);
            assert!(counter.load(Ordering::Relaxed) < 200_000);
        }
    }

    #[test]
    fn a_gzip_bomb_ends_at_the_bound() {
        let bomb = gzip(&[b"{\"x\": \"".as_slice(), &vec![b' '; 10_000_000], b"\"}"].concat());
        assert!(bomb.len() < 20_000);
        let refused = decode_all(&bomb, 1_000_000, true).err().expect("too long");
        assert_eq!(
            refused.to_string(),
            "the uncompressed document has more than 1000000 bytes, the configured maximum"
        );
    }
}
