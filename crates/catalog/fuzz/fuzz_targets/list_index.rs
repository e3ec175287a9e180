//! Any bytes are read as an index or refused, packed or not; what is read can be searched.

#![no_main]

use catalog::list::{Listing, Names, Query, Selection, pack, write_index};
use libfuzzer_sys::fuzz_target;

/// The tag of no bytes.
const ETAG: &str = "e3b0c44298fc1c149afbf4c8996fb924";
/// Bytes of an index before the gzip.
const HEADER: usize = 40;

fuzz_target!(|bytes: &[u8]| {
    let header = write_index("", ETAG, []);
    let packed = [&header[..HEADER], bytes].concat();
    let content = [&header[..HEADER], &pack(bytes)].concat();
    for index in [bytes, &packed, &content] {
        if let Ok(listing) = Listing::from_index(index, ETAG) {
            let query = Query::parse("a !^b | A\\ b$");
            let found = listing.select(&Selection { query, ..Selection::default() });
            assert!(listing.select(&Selection::default()).len() >= found.len());
            assert!(listing.names().all(|name| listing.job(name).is_some()));
            let names = Names::from_index(index, ETAG).expect("it was read");
            assert!(listing.names().all(|name| names.contains(name)));
        }
    }
});
