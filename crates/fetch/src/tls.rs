//! The TLS configuration of all fetchers. Reading the system's certificates takes milliseconds, so it is done once in a
//! process, and only when an address needs TLS.

use std::sync::{Arc, OnceLock};

use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};

/// The TLS configuration of clients of other services than AWS, also of those that are not made here: it trusts the
/// certificates of the system.
///
/// # Errors
/// The provider of cryptography does not have what TLS needs.
pub fn trusting_the_system() -> Result<ClientConfig, String> {
    static SYSTEM: OnceLock<Result<ClientConfig, String>> = OnceLock::new();
    SYSTEM.get_or_init(|| trusting(system_roots())).clone()
}

/// A configuration for addresses without TLS.
pub(crate) fn trusting_nothing() -> Result<ClientConfig, String> {
    trusting(RootCertStore::empty())
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
