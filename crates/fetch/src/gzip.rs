//! Unpacks gzip, which is recognised by its content: servers label it wrongly.

use std::io::{self, BufRead, BufReader, Read};

use flate2::read::MultiGzDecoder;

/// Maximum number of times that a document is gzipped. A worker may compress a file that a task compressed before.
const MAX_LAYERS: u8 = 2;
const BUFFER_BYTES: usize = 64 * 1024;

/// Why a document is not unpacked. It is inside the `io::Error` of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UnpackError {
    /// It is longer than this number of bytes, before or after it is unpacked.
    #[error("it is longer than {0} bytes")]
    TooLarge(u64),
    /// It is gzipped more often than is unpacked.
    #[error("it is gzipped more than twice")]
    TooDeep,
}

/// Whether the first bytes are those of gzip. They stay in the buffer.
///
/// # Errors
/// They cannot be read.
pub fn starts_like_gzip(bytes: &mut impl BufRead) -> io::Result<bool> {
    // One read may give one byte only; a buffer is filled only when it is empty, so a lone first byte decides.
    let start = bytes.fill_buf()?;
    Ok(start.first() == Some(&0x1f) && start.get(1).is_none_or(|second| *second == 0x8b))
}

/// A document of at most `max_bytes` bytes, unpacked if it is gzipped, at most twice. The bound holds for the packed
/// bytes too. Nothing is read before the first read, which blocks if `input` does.
pub fn unpacked(input: impl Read + Send + 'static, max_bytes: u64) -> impl Read + Send + 'static {
    let bytes = bounded(input, max_packed_bytes(max_bytes), max_bytes);
    Unpacked { bytes, layers: Layers::Unknown, max_bytes }
}

/// Maximum length of a packed document of at most `max_bytes` bytes: gzip makes incompressible data slightly longer.
pub fn max_packed_bytes(max_bytes: u64) -> u64 {
    max_bytes.saturating_add(max_bytes / 64 + 1024)
}

type Layer = Box<dyn BufRead + Send>;

fn bounded(input: impl Read + Send + 'static, left: u64, limit: u64) -> Layer {
    Box::new(BufReader::with_capacity(BUFFER_BYTES, Bounded { input, left, limit }))
}

enum Layers {
    Unknown,
    Removed,
}

struct Unpacked {
    bytes: Layer,
    layers: Layers,
    max_bytes: u64,
}

impl Unpacked {
    fn remove_layers(&mut self) -> io::Result<()> {
        for layers_left in (0..=MAX_LAYERS).rev() {
            if !starts_like_gzip(&mut self.bytes)? {
                break;
            }
            if layers_left == 0 {
                return Err(io::Error::new(io::ErrorKind::InvalidData, UnpackError::TooDeep));
            }
            let packed = std::mem::replace(&mut self.bytes, Box::new(io::empty()));
            self.bytes = bounded(MultiGzDecoder::new(packed), max_packed_bytes(self.max_bytes), self.max_bytes);
        }
        // So far, only the bound of packed bytes holds for the innermost layer.
        let plain = std::mem::replace(&mut self.bytes, Box::new(io::empty()));
        self.bytes = bounded(plain, self.max_bytes, self.max_bytes);
        self.layers = Layers::Removed;
        Ok(())
    }
}

impl Read for Unpacked {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if matches!(self.layers, Layers::Unknown) {
            self.remove_layers()?;
        }
        self.bytes.read(into)
    }
}

/// Fails after `left` bytes, unless nothing follows.
struct Bounded<R> {
    input: R,
    left: u64,
    limit: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(into)?;
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => return Err(io::Error::new(io::ErrorKind::InvalidData, UnpackError::TooLarge(self.limit))),
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    const DOCUMENT: &[u8] = br#"{"label": {"symbol": "B"}}"#;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn unpack(bytes: Vec<u8>, max_bytes: u64) -> io::Result<Vec<u8>> {
        let mut read = Vec::new();
        unpacked(io::Cursor::new(bytes), max_bytes).read_to_end(&mut read).map(|_| read)
    }

    fn reason(refused: io::Result<Vec<u8>>) -> Option<UnpackError> {
        refused.unwrap_err().downcast().ok()
    }

    #[test]
    fn a_document_gzipped_at_most_twice_is_unpacked() {
        let parts = [gzip(&DOCUMENT[..9]), gzip(&DOCUMENT[9..])].concat();
        for bytes in [DOCUMENT.to_vec(), gzip(DOCUMENT), gzip(&gzip(DOCUMENT)), parts] {
            assert_eq!(unpack(bytes, DOCUMENT.len() as u64).unwrap(), DOCUMENT);
        }
        assert_eq!(unpack(Vec::new(), 1).unwrap(), []);
        assert_eq!(reason(unpack(gzip(&gzip(&gzip(DOCUMENT))), 1000)), Some(UnpackError::TooDeep));
    }

    #[test]
    fn a_document_over_the_bound_is_refused_however_it_is_packed() {
        let max = DOCUMENT.len() as u64 - 1;
        for bytes in [DOCUMENT.to_vec(), gzip(DOCUMENT)] {
            assert_eq!(reason(unpack(bytes, max)), Some(UnpackError::TooLarge(max)));
        }
    }

    #[test]
    fn a_gzip_bomb_ends_at_the_bound() {
        let bomb = gzip(&vec![b' '; 10_000_000]);
        for bomb in [bomb.clone(), gzip(&bomb)] {
            assert!(bomb.len() < 20_000);
            assert_eq!(reason(unpack(bomb, 1_000_000)), Some(UnpackError::TooLarge(1_000_000)));
        }
    }

    #[test]
    fn packed_bytes_without_content_end_at_the_bound() {
        for endless in [gzip(b"").repeat(10_000), gzip(&gzip(b"").repeat(10_000))] {
            assert_eq!(reason(unpack(endless, 10_000)), Some(UnpackError::TooLarge(10_000)));
        }
    }

    #[test]
    fn gzip_that_is_cut_or_corrupt_is_refused() {
        let whole = gzip(DOCUMENT);
        for length in 1..whole.len() {
            assert!(unpack(whole[..length].to_vec(), 1000).is_err(), "cut at {length}");
        }
        for at in 10..whole.len() {
            let mut corrupt = whole.clone();
            corrupt[at] ^= 0x55;
            assert!(unpack(corrupt, 1000).is_err(), "corrupt at {at}");
        }
    }
}
