//! Who asks: people with an ID token (OIDC), and services with an access token of the same issuer.

mod keys;
mod token;

use std::collections::BTreeSet;
use std::fmt::Display;

use http::{HeaderMap, StatusCode};
use runtime::Clock;

pub use self::keys::KeySource;
use self::keys::{KeyError, Keys};
use self::token::{Token, bearer};
use crate::RequestLog;
use crate::problem::{ErrorCode, Problem};

/// Nobody signed in.
pub const SIGN_IN: ErrorCode = ErrorCode {
    status: StatusCode::UNAUTHORIZED,
    code: "sign_in_needed",
    title: "Sign-in needed",
    meaning: "Only those who are signed in may ask this. Send the issuer's token in the header Authorization: Bearer \
              TOKEN.",
};
/// The token is none of ours, or no longer.
pub const BAD_TOKEN: ErrorCode = ErrorCode {
    status: StatusCode::UNAUTHORIZED,
    code: "bad_token",
    title: "Sign-in not valid",
    meaning: "The token is not valid, not valid any more, or not meant for this service. Sign in again; if that does \
              not help, the service's log tells the reason under the request id.",
};
/// The service may not do that.
pub const INSUFFICIENT_SCOPE: ErrorCode = ErrorCode {
    status: StatusCode::FORBIDDEN,
    code: "insufficient_scope",
    title: "Scope missing",
    meaning: "The token is a service's and valid, but the issuer did not grant it the scope that the detail names.",
};
/// The issuer's keys cannot be had.
pub const KEYS_UNAVAILABLE: ErrorCode = ErrorCode {
    status: StatusCode::SERVICE_UNAVAILABLE,
    code: "sign_in_unavailable",
    title: "Sign-in unavailable",
    meaning: "The issuer's keys cannot be fetched, so no token can be checked. Ask again after the seconds that the \
              Retry-After header tells.",
};

/// Whose tokens are taken.
#[derive(Debug, Clone)]
pub struct IdentitySettings {
    /// Who issues the tokens, exactly as they say it (`iss`).
    pub issuer: String,
    /// What people's tokens are meant for (`aud`).
    pub audience: String,
    /// What services' tokens are meant for: another one than people's. None: no service is taken.
    pub service_audience: Option<String>,
    /// The services that are taken, by what the issuer calls them (their client ids). Empty: none.
    pub service_clients: BTreeSet<String>,
    /// The scope that a service's token must have.
    pub service_scope: String,
    /// What the tokens are signed with.
    pub keys: KeySource,
}

impl IdentitySettings {
    /// Whether services have an audience, but none of them is listed.
    pub fn lacks_service_clients(&self) -> bool {
        self.service_audience.is_some() && self.service_clients.is_empty()
    }
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Somebody who signed in.
    Person {
        /// The address that the issuer verified, as it is in the token.
        email: String,
    },
    /// A program that asks in its own name.
    Service {
        /// What the issuer knows it by.
        client: String,
    },
}

/// Checks who asks.
pub struct Identity {
    settings: IdentitySettings,
    keys: Keys,
    clock: Clock,
}

impl Identity {
    /// Takes the tokens that the settings tell of. Nothing is fetched yet.
    pub fn new(settings: IdentitySettings, clock: Clock) -> Self {
        Self { keys: Keys::new(&settings.keys, clock.clone()), settings, clock }
    }

    /// Who asks, by the request's headers. The ledger is told what kind of caller it is, and no more.
    ///
    /// # Errors
    /// `SIGN_IN`: no token was sent. `BAD_TOKEN`: it is not valid here and now. `INSUFFICIENT_SCOPE`: it is a service's
    /// that may not ask. `KEYS_UNAVAILABLE`: the issuer's keys have never been had.
    pub async fn caller(&self, headers: &HeaderMap, request_log: &RequestLog) -> Result<Caller, Problem> {
        let token = Token::read(bearer(headers)?)?;
        // The claims go first: nobody makes us fetch keys with a token that is worth nothing anyway. What they say is
        // believed, and answered to, after the signature.
        let caller = token.claims.caller(&self.settings, (self.clock)().timestamp())?;
        let key = self.keys.find(&token.query).await.map_err(|why| match why {
            KeyError::Refused(reason) => bad_token(reason),
            KeyError::NoKeys(reason) => keys_unavailable(&reason),
        })?;
        if !token.is_signed_with(&key) {
            return Err(bad_token("the signature is wrong"));
        }
        let kind = match caller {
            Caller::Person { .. } => "person",
            Caller::Service { .. } if token.claims.has_scope(&self.settings.service_scope) => "service",
            Caller::Service { .. } => return Err(insufficient_scope(&self.settings.service_scope)),
        };
        request_log.record("caller", kind);
        Ok(caller)
    }
}

fn sign_in(reason: &str) -> Problem {
    let detail = "Sign in first: a token is expected in the header Authorization: Bearer TOKEN.";
    Problem::new(&SIGN_IN, detail).because(format!("token: {reason}")).challenge("Bearer")
}

/// The client is told the same whatever the reason is: it is for the log alone. It is in our words only, as the token's
/// may be somebody's address.
fn bad_token(reason: impl Display) -> Problem {
    let detail = "The sign-in is not valid (any more): please sign in again.";
    let problem = Problem::new(&BAD_TOKEN, detail).because(format!("token: {reason}"));
    problem.challenge("Bearer error=\"invalid_token\"")
}

fn insufficient_scope(scope: &str) -> Problem {
    let problem = Problem::new(&INSUFFICIENT_SCOPE, format!("The service's token lacks the scope '{scope}'."));
    problem.because("token: the scope is missing").challenge("Bearer error=\"insufficient_scope\"")
}

fn keys_unavailable(reason: &str) -> Problem {
    let detail = "Sign-ins cannot be checked at the moment: please try again soon.";
    let problem = Problem::new(&KEYS_UNAVAILABLE, detail).because(format!("the issuer's keys: {reason}"));
    problem.retry_after(keys::FAILURE_COOLDOWN_SECONDS)
}
