//! Everything that has to be right before a hook is called. None of it needs credentials.

use std::io::Read as _;
use std::time::Duration;

use catalog::taskcluster::TaskId;
use requests::refusal::ActionRefusal;
use serde::Deserialize;
use serde_json::json;

use crate::actions::{self, MAX_FILE_BYTES, PreparedAction};
use crate::artifact::ArtifactLimits;
use crate::client::Taskcluster;
use crate::error::{ArtifactError, TaskclusterError};

/// The file with a push's actions.
const FILE: &str = "public/actions.json";
/// How large it may be, and how long it may take.
const LIMITS: ArtifactLimits = ArtifactLimits { max_bytes: MAX_FILE_BYTES, timeout: Duration::from_secs(15) };

/// Why an action cannot be prepared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrepareError {
    /// The next attempt would end in the same way.
    #[error("{}", .0.sentence())]
    Refused(ActionRefusal),
    /// The next attempt may succeed.
    #[error("{reason}")]
    Unavailable {
        /// What happened.
        reason: String,
        /// How long to wait, if Taskcluster says so.
        retry_after: Option<Duration>,
    },
}

#[derive(Deserialize)]
struct Scopes {
    scopes: Vec<String>,
}

impl Taskcluster {
    /// Prepares the action that runs labels on a push of a project: reads its decision task and the actions that this
    /// left, and checks that the task is that of the push, that the hook is one of this level, that the action takes the
    /// labels, and that the decision task may name the hook. It sends at most four requests if all is well.
    ///
    /// A client names the decision task, and who may run jobs on one push need not be allowed to do so on another. So the
    /// task has to be one of the push with this `revision`. Without it, the task may be that of any push of the project.
    ///
    /// # Errors
    /// The labels cannot be run, or Taskcluster does not answer.
    pub async fn prepare_action(
        &self,
        decision: &TaskId,
        project: &str,
        revision: Option<&str>,
        labels: &[&str],
        marker: &str,
        level: u8,
    ) -> Result<PreparedAction, PrepareError> {
        let Some(task) = self.task(decision).await? else {
            return Err(no_actions(format!("the decision task {decision} does not exist, or has expired")));
        };
        if !task.projects().any(|of| of == project) {
            return Err(no_actions(format!("the task {decision} does not belong to a push to {project}")));
        }
        let is_of_push = |revision: &str| task.pushes().any(|(of, pushed)| of == project && pushed == revision);
        if !revision.is_none_or(is_of_push) {
            return Err(no_actions(format!("the task {decision} belongs to another push to {project}")));
        }
        let file = self.actions_file(decision).await?;
        let prepared = actions::prepare(&file, decision.as_str(), labels, marker, level)?;
        let scope = prepared.hook.in_tree_scope();
        if !satisfies(&task.scopes, &scope) && !satisfies(&self.expand_scopes(&task.scopes).await?, &scope) {
            return Err(ActionRefusal::ScopeNotInTree { scope }.into());
        }
        Ok(prepared)
    }

    /// The scopes that these stand for, with those of the roles among them.
    ///
    /// # Errors
    /// There is no usable answer.
    pub async fn expand_scopes(&self, scopes: &[String]) -> Result<Vec<String>, TaskclusterError> {
        let url = self.url("auth", &["scopes", "expand"])?;
        let expanded: Option<Scopes> = self.question(&url, Some(&json!({"scopes": scopes}))).await?;
        let expanded = expanded.ok_or_else(|| TaskclusterError::Broken("it expands no scopes".to_owned()))?;
        Ok(expanded.scopes)
    }

    async fn actions_file(&self, decision: &TaskId) -> Result<Vec<u8>, PrepareError> {
        let mut artifact = self.artifact_of_any_run(decision, FILE, LIMITS).await?;
        let reading = tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::new();
            artifact.body.read_to_end(&mut bytes).map(|_| bytes).map_err(|error| ArtifactError::of_body(&error))
        });
        let unavailable =
            |_| PrepareError::Unavailable { reason: format!("{FILE} could not be read"), retry_after: None };
        Ok(reading.await.map_err(unavailable)??)
    }
}

/// Whether scopes allow what a scope does: one of them is the same, or is the beginning of it before a `*`.
pub(crate) fn satisfies(scopes: &[String], scope: &str) -> bool {
    scopes.iter().any(|it| it == scope || it.strip_suffix('*').is_some_and(|beginning| scope.starts_with(beginning)))
}

fn no_actions(message: String) -> PrepareError {
    ActionRefusal::NoActions { message }.into()
}

impl From<ActionRefusal> for PrepareError {
    fn from(refusal: ActionRefusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<TaskclusterError> for PrepareError {
    fn from(error: TaskclusterError) -> Self {
        match error {
            TaskclusterError::Unavailable { retry_after, reason } => Self::Unavailable { reason, retry_after },
            // It may be a proxy that answers.
            TaskclusterError::Broken(reason) => Self::Unavailable { reason, retry_after: None },
            TaskclusterError::Refused(_) | TaskclusterError::TooLarge(_) => no_actions(error.to_string()),
        }
    }
}

impl From<ArtifactError> for PrepareError {
    fn from(error: ArtifactError) -> Self {
        match error {
            ArtifactError::Unavailable { retry_after, reason } => Self::Unavailable { reason, retry_after },
            ArtifactError::Broken(reason) => {
                Self::Unavailable { reason: format!("{FILE}: {reason}"), retry_after: None }
            }
            error => no_actions(format!("{FILE}: {error}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_satisfied_by_itself_or_by_a_beginning_with_a_star() {
        let satisfied = |scope: &str| satisfies(&[scope.to_owned()], "in-tree:hook-action:project-gecko/a/b");
        for scope in [
            "in-tree:hook-action:project-gecko/a/b",
            "in-tree:hook-action:project-gecko/a/*",
            "in-tree:hook-action:project-gecko/a/b*",
            "in-tree:hook-action:*",
            "*",
        ] {
            assert!(satisfied(scope), "{scope}");
        }
        for scope in [
            "",
            "in-tree:hook-action:project-gecko/a",
            "in-tree:hook-action:project-gecko/a/",
            "in-tree:hook-action:project-gecko/a/b/*",
            "in-tree:hook-action:*/a/b",
            "in-tree:hook-action:project-comm/*",
            "IN-TREE:*",
        ] {
            assert!(!satisfied(scope), "{scope}");
        }
        assert!(!satisfies(&[], "a"));
    }
}
