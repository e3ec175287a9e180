//! The answers to requests whose caller cannot be authenticated.

use std::fmt::Display;

use http::StatusCode;

use super::keys::FAILURE_COOLDOWN_SECONDS;
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
/// The issuer does not confirm the person's address.
pub const EMAIL_NOT_VERIFIED: ErrorCode = ErrorCode {
    status: StatusCode::FORBIDDEN,
    code: "email_not_verified",
    title: "E-mail address not verified",
    meaning: "The token is valid, but the issuer does not confirm that the person's e-mail address is verified. Verify it \
              at the sign-in provider, and sign in again.",
};
/// The issuer's keys cannot be fetched.
pub const KEYS_UNAVAILABLE: ErrorCode = ErrorCode {
    status: StatusCode::SERVICE_UNAVAILABLE,
    code: "sign_in_unavailable",
    title: "Sign-in unavailable",
    meaning: "The issuer's keys cannot be fetched, so no token can be checked. Try again after the seconds in the \
              Retry-After header.",
};

/// The answer to a request without a token that can be read.
pub(super) fn sign_in(reason: &str) -> Problem {
    let detail = "Sign in first: a token is expected in the header Authorization: Bearer TOKEN.";
    Problem::new(&SIGN_IN, detail).because(format!("token: {reason}")).challenge("Bearer")
}

/// The answer is the same for every reason, which is only for the log. The reason repeats nothing of the token, which
/// may contain an e-mail address.
pub(super) fn bad_token(reason: impl Display) -> Problem {
    let detail = "The sign-in is not valid (any more): please sign in again.";
    let problem = Problem::new(&BAD_TOKEN, detail).because(format!("token: {reason}"));
    problem.challenge("Bearer error=\"invalid_token\"")
}

/// The answer to a service whose token lacks the scope.
pub(super) fn insufficient_scope(scope: &str) -> Problem {
    let problem = Problem::new(&INSUFFICIENT_SCOPE, format!("The service's token lacks the scope '{scope}'."));
    problem.because("token: the scope is missing").challenge("Bearer error=\"insufficient_scope\"")
}

/// The answer to a person whose address the issuer does not confirm. Another sign-in alone does not help.
pub(super) fn email_not_verified() -> Problem {
    let detail =
        "Your e-mail address is not verified at the sign-in provider: please verify it there, and sign in again.";
    Problem::new(&EMAIL_NOT_VERIFIED, detail).because("token: email_verified is not true")
}

/// The answer while no token can be checked.
pub(super) fn keys_unavailable(reason: &str) -> Problem {
    let detail = "Sign-ins cannot be checked at the moment: please try again soon.";
    let problem = Problem::new(&KEYS_UNAVAILABLE, detail).because(format!("the issuer's keys: {reason}"));
    problem.retry_after(FAILURE_COOLDOWN_SECONDS)
}
