//! Authentication: people with an ID token (OIDC), and services with an access token of the same issuer.

mod keys;
mod problems;
mod settings;
mod token;

use http::HeaderMap;
use runtime::Clock;

pub use self::keys::KeySource;
use self::keys::{KeyError, Keys};
pub use self::problems::{BAD_TOKEN, EMAIL_NOT_VERIFIED, INSUFFICIENT_SCOPE, KEYS_UNAVAILABLE, SIGN_IN};
use self::problems::{bad_token, email_not_verified, insufficient_scope, keys_unavailable};
pub use self::settings::IdentitySettings;
pub use self::token::Caller;
use self::token::{Token, bearer};
use crate::RequestLog;
use crate::problem::Problem;

/// Authenticates callers.
pub struct Identity {
    settings: IdentitySettings,
    keys: Keys,
    clock: Clock,
}

impl Identity {
    /// Accepts tokens by these settings. Keys are fetched when the first token needs them.
    pub fn new(settings: IdentitySettings, clock: Clock) -> Self {
        Self { keys: Keys::new(&settings.keys, clock.clone()), settings, clock }
    }

    /// Authenticates the caller by the request's headers. Records only the kind of caller in the log.
    ///
    /// # Errors
    /// `SIGN_IN`: no token was sent. `BAD_TOKEN`: it is not valid here and now. `INSUFFICIENT_SCOPE`: it is a service's
    /// without the scope. `EMAIL_NOT_VERIFIED`: the issuer does not confirm the person's address. `KEYS_UNAVAILABLE`: the
    /// issuer's keys were never fetched.
    pub async fn caller(&self, headers: &HeaderMap, request_log: &RequestLog) -> Result<Caller, Problem> {
        let token = Token::read(bearer(headers)?)?;
        // The claims are checked first, so that a token that is refused anyway causes no fetch of keys. They are
        // trusted only after the signature is checked.
        let caller = token.claims.caller(&self.settings, (self.clock)().timestamp())?;
        let key = self.keys.find(&token.query).await.map_err(|why| match why {
            KeyError::Refused(reason) => bad_token(reason),
            KeyError::NoKeys(reason) => keys_unavailable(&reason),
        })?;
        if !token.is_signed_with(&key) {
            return Err(bad_token("the signature is wrong"));
        }
        let kind = match caller {
            Caller::Person { .. } if token.claims.is_verified() => "person",
            Caller::Person { .. } => return Err(email_not_verified()),
            Caller::Service { .. } if token.claims.has_scope(&self.settings.service_scope) => "service",
            Caller::Service { .. } => return Err(insufficient_scope(&self.settings.service_scope)),
        };
        request_log.record("caller", kind);
        Ok(caller)
    }
}
