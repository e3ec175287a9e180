//! Picks from Mozilla's root certificates those of Amazon, which certify AWS services
//! (<https://www.amazontrust.com/repository/>).

use std::fmt::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

/// Parts of the subjects of Amazon's certificates. A certificate holds its subject as plain bytes.
const NAMES: [&[u8]; 2] = [b"Amazon Root CA ", b"Starfield Services Root Certificate Authority - G2"];
/// Amazon's four, and the older one that certifies them.
const EXPECTED: usize = 5;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is_amazon =
        |certificate: &[u8]| NAMES.iter().any(|name| certificate.windows(name.len()).any(|window| window == *name));
    let mut pem = String::new();
    let mut count = 0;
    for certificate in TLS_SERVER_ROOT_CERTS.iter().filter(|certificate| is_amazon(certificate)) {
        count += 1;
        let text = BASE64_STANDARD.encode(certificate);
        let lines = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect::<Vec<_>>().join("\n");
        writeln!(pem, "-----BEGIN CERTIFICATE-----\n{lines}\n-----END CERTIFICATE-----")
            .expect("memory can be written");
    }
    assert_eq!(count, EXPECTED, "the number of Amazon's certificates in Mozilla's list changed");
    let out = std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    std::fs::write(Path::new(&out).join("amazon-roots.pem"), pem).expect("OUT_DIR can be written");
}
