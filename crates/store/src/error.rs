//! The errors of the store, with messages for the operator.

use std::error::Error;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

/// Why an operation of the store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The service cannot be reached; retries are used up.
    #[error("{action}: the store cannot be reached: {reason}")]
    Unreachable {
        /// The operation, for example `writing the list of try`.
        action: String,
        /// The error of the network.
        reason: String,
    },
    /// The service refused; retries are used up.
    #[error("{action}: {reason}")]
    Service {
        /// The operation, for example `writing the list of try`.
        action: String,
        /// The error of the service.
        reason: String,
    },
    /// Another ingest has moved a project's pointer since it was read: this one ends.
    #[error("{project} was published by another ingest meanwhile; this one stops")]
    Superseded {
        /// The project.
        project: String,
    },
    /// An item of the catalog is not one that this program writes.
    #[error("the stored item {key} is damaged: {what}; {} writes it anew", repair(key))]
    Damaged {
        /// The item's partition and sort key.
        key: String,
        /// What is wrong with it.
        what: String,
    },
    /// The stored claim of an idempotency key is not one that this program writes.
    #[error("the stored key {name} of a request is damaged: {what}")]
    DamagedClaim {
        /// Names the claim in the store.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// The stored lock of a push is not one that this program writes.
    #[error("the stored lock of the push {push} is damaged: {what}; it ends when it expires")]
    DamagedLock {
        /// The push, as `PROJECT#PUSH`.
        push: String,
        /// What is wrong with it.
        what: String,
    },
    /// A stored request is not one that this program writes.
    #[error("the stored request {id} is damaged: {what}")]
    DamagedRequest {
        /// The request.
        id: String,
        /// What is wrong with it.
        what: String,
    },
}

/// What writes a damaged item anew.
fn repair(key: &str) -> &'static str {
    if key.starts_with("graph#") { "the next use of the push's list" } else { "an ingest with --force" }
}

impl StoreError {
    /// An error of the SDK, in one line.
    pub(crate) fn service<E, R>(action: impl Into<String>, error: &SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
        R: std::fmt::Debug,
    {
        let action = action.into();
        if matches!(error, SdkError::DispatchFailure(_) | SdkError::TimeoutError(_)) {
            return Self::Unreachable { action, reason: innermost(error) };
        }
        let reason = match (error.code(), error.message()) {
            (Some(code), Some(message)) => format!("{code}: {message}"),
            (Some(code), None) => code.to_owned(),
            (None, _) => innermost(error),
        };
        Self::Service { action, reason }
    }

    pub(crate) fn damaged(key: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Damaged { key: key.into(), what: what.into() }
    }
}

/// The innermost cause: the SDK wraps a refused connection five times over.
fn innermost(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
