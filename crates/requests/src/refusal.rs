//! Why Taskcluster cannot run labels on a push.

use serde::{Deserialize, Serialize};

use crate::code::JobCode;

/// The longest message that is stored, in characters.
const MAX_MESSAGE: usize = 300;

/// Why Taskcluster cannot run labels on a push. Each has a code, a sentence, and what a person can do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "refusal", rename_all = "snake_case")]
pub enum ActionRefusal {
    /// The project is not one whose Taskcluster jobs can be triggered here.
    ProjectNotConfigured,
    /// The push's decision task does not exist, has expired, or left no usable list of actions.
    NoActions {
        /// What is wrong.
        message: String,
    },
    /// The list of actions is of another version.
    OtherVersion {
        /// The version.
        version: String,
    },
    /// The push has no action of this name for its task group.
    NoSuchAction {
        /// The names of the actions that it has.
        available: Vec<String>,
    },
    /// Several actions have this name.
    SeveralActions,
    /// The action is not a hook.
    NotAHook {
        /// What it is.
        kind: String,
    },
    /// The hook is not one of those that are allowed for the project.
    HookNotAllowed {
        /// The hook, as `GROUP/ID`.
        hook: String,
    },
    /// The scopes of the push's decision task do not allow the hook.
    ScopeNotInTree {
        /// The scope that is missing.
        scope: String,
    },
    /// The schema of the action's input is not one that is known.
    SchemaChanged {
        /// What is not known.
        message: String,
    },
    /// The schema refuses the input.
    InputNotValid {
        /// What it refuses.
        message: String,
    },
    /// The payload of the hook cannot be made.
    Template {
        /// What is wrong with its template.
        message: String,
    },
    /// Taskcluster does not have the hook: 404.
    HookMissing {
        /// The hook, as `GROUP/ID`.
        hook: String,
    },
    /// Scopes are missing: 403. Of this service, or of the hook itself.
    MissingScopes {
        /// Taskcluster's message.
        message: String,
    },
    /// Taskcluster does not accept the service's credentials: 401.
    BadCredentials {
        /// Taskcluster's message.
        message: String,
    },
    /// Taskcluster refuses the input: 400.
    InputRefused {
        /// Taskcluster's message.
        message: String,
    },
    /// The hook declined: it answered without a task.
    Declined,
    /// Taskcluster asked for pauses until the jobs were given up: 429.
    RateLimited,
    /// Taskcluster did not answer until the jobs were given up.
    Unavailable {
        /// The last error.
        message: String,
    },
}

impl ActionRefusal {
    /// The code of the jobs.
    pub fn code(&self) -> JobCode {
        match self {
            Self::ProjectNotConfigured => JobCode::NotTriggerable,
            Self::NoActions { .. } => JobCode::NoDecisionTask,
            Self::OtherVersion { .. }
            | Self::NoSuchAction { .. }
            | Self::SeveralActions
            | Self::NotAHook { .. }
            | Self::Template { .. } => JobCode::ActionUnusable,
            Self::HookNotAllowed { .. } | Self::ScopeNotInTree { .. } => JobCode::HookNotAllowed,
            Self::SchemaChanged { .. } => JobCode::SchemaChanged,
            Self::InputNotValid { .. } | Self::InputRefused { .. } => JobCode::InputRefused,
            Self::HookMissing { .. } => JobCode::HookMissing,
            Self::MissingScopes { .. } | Self::BadCredentials { .. } => JobCode::MissingScopes,
            Self::Declined => JobCode::HookDeclined,
            Self::RateLimited => JobCode::RateLimited,
            Self::Unavailable { .. } => JobCode::TaskclusterUnavailable,
        }
    }

    /// The sentence for people.
    pub fn sentence(&self) -> String {
        match self {
            Self::ProjectNotConfigured => {
                "Taskcluster jobs of this project cannot be triggered here: an operator has to configure the project."
                    .to_owned()
            }
            Self::NoActions { message } => format!(
                "The actions of this push cannot be read: {}. Pushes older than a year (28 days on try) have none.",
                cut(message)
            ),
            Self::OtherVersion { version } => {
                format!("The push lists its actions in version {version}, and only version 1 is known here.")
            }
            Self::NoSuchAction { available } if available.is_empty() => {
                "The push has no actions, so no job can be added to it.".to_owned()
            }
            Self::NoSuchAction { available } => {
                format!("The push has no action add-new-jobs. It has {}.", cut(&available.join(", ")))
            }
            Self::SeveralActions => {
                "The push has several actions add-new-jobs, so it is not known which is meant.".to_owned()
            }
            Self::NotAHook { kind } => {
                format!("The action of this push is of the kind '{}', and only hooks are called.", cut(kind))
            }
            Self::HookNotAllowed { hook } => {
                format!("The push names the hook '{}', which is not one that is allowed for this project.", cut(hook))
            }
            Self::ScopeNotInTree { scope } => {
                format!("The push's decision task may not use the hook: it lacks the scope {}.", cut(scope))
            }
            Self::SchemaChanged { message } => {
                format!("The action's schema has changed: {}. This service has to be adapted.", cut(message))
            }
            Self::InputNotValid { message } => format!("The action's schema refuses the input: {}.", cut(message)),
            Self::Template { message } => {
                format!("The payload for the hook cannot be made from the push's template: {}.", cut(message))
            }
            Self::HookMissing { hook } => format!(
                "Taskcluster has no hook '{}'. The push is too old, or it is a push to try that changes \
                 .taskcluster.yml: rebase it and push again.",
                cut(hook)
            ),
            Self::MissingScopes { message } => format!("Scopes are missing: {}.", cut(message)),
            Self::BadCredentials { message } => format!(
                "Taskcluster does not accept this service's credentials: {}. An operator has to renew them; the job can \
                 be retried then.",
                cut(message)
            ),
            Self::InputRefused { message } => format!("Taskcluster refuses the input: {}.", cut(message)),
            Self::Declined => "The hook declined: it made no task.".to_owned(),
            Self::RateLimited => {
                "Taskcluster has too much to do, and asked for pauses until this was given up. It can be retried."
                    .to_owned()
            }
            Self::Unavailable { message } => {
                format!("Taskcluster does not answer: {}. It can be retried.", cut(message))
            }
        }
    }
}

/// A message in its stored length, without the full stop at its end.
fn cut(message: &str) -> String {
    message.trim().trim_end_matches('.').chars().take(MAX_MESSAGE).collect()
}
