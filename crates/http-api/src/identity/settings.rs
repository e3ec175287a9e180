//! The settings of authentication, and its result.

use std::collections::BTreeSet;

use super::keys::KeySource;

/// Which tokens are accepted.
#[derive(Debug, Clone)]
pub struct IdentitySettings {
    /// The issuer, exactly as in the tokens (`iss`).
    pub issuer: String,
    /// The audience of people's tokens (`aud`).
    pub audience: String,
    /// The audience of services' tokens, different from the people's. If `None`, no service is accepted.
    pub service_audience: Option<String>,
    /// The client ids of the accepted services.
    pub service_clients: BTreeSet<String>,
    /// The scope that a service's token must have.
    pub service_scope: String,
    /// The keys that the tokens are signed with.
    pub keys: KeySource,
}

impl IdentitySettings {
    /// Whether services have an audience, but none of them is listed.
    pub fn lacks_service_clients(&self) -> bool {
        self.service_audience.is_some() && self.service_clients.is_empty()
    }
}

/// The caller of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// A person who signed in.
    Person {
        /// The address that the issuer verified, as it is in the token.
        email: String,
    },
    /// A program that acts in its own name.
    Service {
        /// Its client id at the issuer.
        client: String,
    },
}
