//! What can go wrong with the store, in words for the operator.

use std::error::Error;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The service cannot be reached; retries are used up.
    #[error("{action}: the store cannot be reached: {reason}")]
    Unreachable {
        /// What was tried, for example `writing the list of try`.
        action: String,
        /// What the network said.
        reason: String,
    },
    /// The service refused; retries are used up.
    #[error("{action}: {reason}")]
    Service {
        /// What was tried, for example `writing the list of try`.
        action: String,
        /// What the service said.
        reason: String,
    },
    /// Another ingest has moved a project's pointer since it was read: this one ends.
    #[error("{project} was published by another ingest meanwhile; this one stops")]
    Superseded {
        /// The project.
        project: String,
    },
    /// What is stored in the catalog is not what this program writes.
    #[error("the stored item {key} is damaged: {what}; an ingest with --force writes it anew")]
    Damaged {
        /// The item's partition and sort key.
        key: String,
        /// What is wrong with it.
        what: String,
    },
    /// What is stored of the key of a request is not what this program writes.
    #[error("the stored key {name} of a request is damaged: {what}")]
    DamagedClaim {
        /// Names the claim in the store.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// What is stored of a request is not what this program writes.
    #[error("the stored request {id} is damaged: {what}")]
    DamagedRequest {
        /// The request.
        id: String,
        /// What is wrong with it.
        what: String,
    },
}

impl StoreError {
    /// An error of the SDK, told in one line.
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
