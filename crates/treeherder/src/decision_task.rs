//! The decision task of a push.

use catalog::taskcluster::TaskId;
use http::StatusCode;

use crate::{Failure, Treeherder, body};

/// The result of looking up the decision task of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DecisionTask {
    /// The decision task, which succeeded.
    Found(TaskId),
    /// Treeherder knows no decision task of the push that succeeded.
    None,
    /// Treeherder does not answer, or its answer is unusable. Holds the reason, for the log.
    Unavailable(String),
}

impl Treeherder {
    /// Looks up the decision task of a push. The project's name must not need percent-encoding.
    pub async fn decision_task(&self, project: &str, push_id: u64) -> DecisionTask {
        let key = (project.to_owned(), push_id);
        let load = self.fetch_decision_task(project, push_id);
        match self.look_up(key, |state| &mut state.decision_tasks, load).await {
            Ok(Some(task)) => DecisionTask::Found(task),
            Ok(None) => DecisionTask::None,
            Err(reason) => DecisionTask::Unavailable(reason),
        }
    }

    async fn fetch_decision_task(&self, project: &str, push_id: u64) -> Result<Option<TaskId>, Failure> {
        let url = format!("{}/api/project/{project}/push/decisiontask/?push_ids={push_id}", self.url);
        match self.pushes.get(&url).await? {
            (StatusCode::OK, body) => body::decision_task(&body, push_id).map_err(Failure::Invalid),
            (StatusCode::NOT_FOUND, _) => Ok(None),
            (other, _) => Err(Failure::of(other)),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::tests::answering;

    use super::*;

    const TASK: &str = "Ab-_9fIzT8aXVvV2yWqhGQ";

    #[tokio::test]
    async fn the_decision_task_of_a_push_is_asked_for_once() {
        let answer = format!(r#"{{"7": {{"id": "{TASK}", "run": "0"}}}}"#);
        let (treeherder, asked) = answering(vec![(200, answer)]).await;
        for _ in 0..2 {
            assert_eq!(treeherder.decision_task("try", 7).await, DecisionTask::Found(TASK.parse().unwrap()));
        }
        let path = "GET /api/project/try/push/decisiontask/?push_ids=7 HTTP/1.1";
        assert_eq!(asked.await.unwrap(), [path]);
    }

    #[tokio::test]
    async fn a_push_without_a_decision_task_may_get_one_at_any_time() {
        let none = r#""No decision tasks for push ids ['7']""#;
        let other = format!(r#"{{"8": {{"id": "{TASK}", "run": "0"}}}}"#);
        let found = format!(r#"{{"7": {{"id": "{TASK}", "run": "0"}}}}"#);
        let answers = vec![(404, none.to_owned()), (200, "{}".to_owned()), (200, other), (200, found)];
        let (treeherder, _) = answering(answers).await;
        for _ in 0..3 {
            assert_eq!(treeherder.decision_task("try", 7).await, DecisionTask::None);
        }
        assert!(matches!(treeherder.decision_task("try", 7).await, DecisionTask::Found(_)));
    }

    #[tokio::test]
    async fn an_answer_that_cannot_be_used_is_not_the_end_of_a_request() {
        for (status, body, said) in [
            (503, "", "Treeherder: it answers with 503"),
            (500, "", "Treeherder: it answers with 500"),
            (200, "[]", "Treeherder: its answer is not a decision task: invalid type"),
            (200, r#"{"7": {"run": "0"}}"#, "Treeherder: its answer is not a decision task: missing field `id`"),
            (200, r#"{"7": {"id": "../x"}}"#, "Treeherder: its answer is not a decision task: a task id is expected"),
        ] {
            let (treeherder, asked) = answering(vec![(status, body.to_owned())]).await;
            let lookup = treeherder.decision_task("try", 7).await;
            let DecisionTask::Unavailable(reason) = &lookup else { panic!("{said}: {lookup:?}") };
            assert!(reason.starts_with(said), "{reason}");
            asked.await.unwrap();
            // There is a pause before it is asked again.
            assert_eq!(treeherder.decision_task("try", 7).await, lookup);
        }
    }
}
