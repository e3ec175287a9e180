//! Picks from Mozilla's root certificates those of Amazon, which certify AWS services
//! (<https://www.amazontrust.com/repository/>).

use std::path::Path;

use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

/// Parts of the subjects of Amazon's certificates. A certificate holds its subject as plain bytes.
const NAMES: [&[u8]; 2] = [b"Amazon Root CA ", b"Starfield Services Root Certificate Authority - G2"];
/// Amazon's four, and the older one that certifies them.
const EXPECTED: usize = 5;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is_amazon =
        |certificate: &[u8]| NAMES.iter().any(|name| certificate.windows(name.len()).any(|window| window == *name));
    let certificates: Vec<&[u8]> =
        TLS_SERVER_ROOT_CERTS.iter().map(AsRef::as_ref).filter(|certificate| is_amazon(certificate)).collect();
    assert_eq!(certificates.len(), EXPECTED, "the number of Amazon's certificates in Mozilla's list changed");
    let out = std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    let slices: Vec<String> = certificates.iter().map(|certificate| format!("&{certificate:?}")).collect();
    std::fs::write(Path::new(&out).join("amazon-roots.rs"), format!("&[{}]", slices.join(",\n")))
        .expect("OUT_DIR can be written");
}
