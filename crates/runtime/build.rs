//! Picks Amazon's root certificates out of Mozilla's: those that AWS services are certified by
//! (<https://www.amazontrust.com/repository/>).

use std::fmt::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

/// How their subjects start to be told from others'. Certificates hold names as they are.
const NAMES: [&[u8]; 2] = [b"Amazon Root CA ", b"Starfield Services Root Certificate Authority - G2"];
/// Amazon's four, and the older one by which they are certified in turn.
const EXPECTED: usize = 5;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is_amazons =
        |certificate: &[u8]| NAMES.iter().any(|name| certificate.windows(name.len()).any(|window| window == *name));
    let mut pem = String::new();
    let mut count = 0;
    for certificate in TLS_SERVER_ROOT_CERTS.iter().filter(|certificate| is_amazons(certificate)) {
        count += 1;
        let text = BASE64_STANDARD.encode(certificate);
        let lines = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect::<Vec<_>>().join("\n");
        writeln!(pem, "-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----")
            .expect("memory can be written");
    }
    assert_eq!(count, EXPECTED, "Mozilla's list has other certificates of Amazon than it had");
    let out = std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    std::fs::write(Path::new(&out).join("amazon-roots.pem"), pem).expect("OUT_DIR can be written");
}
