//! The TLS configuration of all fetchers. Reading the system's certificates takes milliseconds, so it is done once in a
//! process, and only when an address needs TLS.

use std::sync::{Arc, OnceLock};

use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};

/// The configuration, or without TLS one that trusts nothing.
pub(crate) fn config(with_tls: bool) -> Result<ClientConfig, String> {
    static SYSTEM: OnceLock<Result<ClientConfig, String>> = OnceLock::new();
    if with_tls { SYSTEM.get_or_init(|| trusting(system_roots())).clone() } else { trusting(RootCertStore::empty()) }
}

/// The certificates of the system, or those that `SSL_CERT_FILE` names.
fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

fn trusting(roots: RootCertStore) -> Result<ClientConfig, String> {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
