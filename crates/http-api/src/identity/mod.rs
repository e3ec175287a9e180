//! Authentication: people with an ID token (OIDC), and services with an access token of the same issuer.

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

/// The request has no token.
pub const SIGN_IN: ErrorCode = ErrorCode {
    status: StatusCode::UNAUTHORIZED,
    code: "sign_in_needed",
    title: "Sign-in needed",
    meaning: "This request needs a sign-in. Send the issuer's token in the header Authorization: Bearer TOKEN.",
};
/// The token is not valid here, or has expired.
pub const BAD_TOKEN: ErrorCode = ErrorCode {
    status: StatusCode::UNAUTHORIZED,
    code: "bad_token",
    title: "Sign-in not valid",
    meaning: "The token is not valid, has expired, or is meant for another service. Sign in again; if that does not \
              help, the service's log has the reason under the request id.",
};
/// The service lacks a scope.
pub const INSUFFICIENT_SCOPE: ErrorCode = ErrorCode {
    status: StatusCode::FORBIDDEN,
    code: "insufficient_scope",
    title: "Scope missing",
    meaning: "The token is a service's and valid, but the issuer did not grant it the scope that the detail names.",
};
/// The issuer's keys cannot be fetched.
pub const KEYS_UNAVAILABLE: ErrorCode = ErrorCode {
    status: StatusCode::SERVICE_UNAVAILABLE,
    code: "sign_in_unavailable",
    title: "Sign-in unavailable",
    meaning: "The issuer's keys cannot be fetched, so no token can be checked. Try again after the seconds in the \
              Retry-After header.",
};

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
    /// without the scope. `KEYS_UNAVAILABLE`: the issuer's keys were never fetched.
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

/// The answer is the same for every reason, which is only for the log. The reason repeats nothing of the token, which
/// may contain an e-mail address.
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
