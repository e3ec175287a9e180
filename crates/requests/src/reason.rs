//! Why a job is in its state. Codes and arguments are stored; the sentence is made when an answer is written, so that a
//! mended sentence holds for requests of any age.

use serde::{Deserialize, Serialize};

use crate::refusal::ActionRefusal;

/// The sentence about a job that may have been published although no confirm is recorded.
pub const MAY_HAVE_ARRIVED: &str = "It may have arrived at Pulse all the same: a retry may run it twice.";
/// The sentence about a label whose hook may have made a task although it did not answer.
pub const MAY_HAVE_STARTED: &str = "A call of the hook was not answered, so it may run all the same; a retry looks for it \
    first.";
/// The sentence about a request or a job that made no progress for too long.
pub(crate) const GIVEN_UP: &str = "Nothing happened for too long, so it was given up.";
/// The longest error that is stored with a job, in characters.
const MAX_ERROR: usize = 300;
/// How much of an action's log is stored with a job, in characters: its end, which has the reason.
const MAX_LOG: usize = 500;

/// A run that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Underway {
    /// The run has not begun.
    Pending,
    /// The run has begun.
    Running,
}

/// Why a job is in its state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum JobReason {
    /// The plan added this build for a test.
    NeededBuild {
        /// The test.
        test: String,
    },
    /// The plan added this label because it failed on the push, and a test needs it.
    NeededAnew {
        /// The test.
        test: String,
        /// Treeherder's word for the result of the build on the push.
        result: String,
    },
    /// The push has this build, which was added, by now.
    BuildThere,
    /// A test needs this build, which was requested before, once more.
    NeededAgain {
        /// The test.
        test: String,
    },
    /// Treeherder did not answer, so the builds on the push are not known.
    PlanSkipped,
    /// The push has a run of the job, so the job is not requested.
    LeftRunning {
        /// How far the run is.
        run: Underway,
    },
    /// The push has a run of the job, and the job is requested once more.
    RunAgain {
        /// How far the run is.
        run: Underway,
    },
    /// The job waits for its build, which has not ended.
    BuildUnderway {
        /// How far the build is.
        run: Underway,
    },
    /// The build failed before, and is requested once more.
    BuildRequestedAgain {
        /// Treeherder's word for the result of the build.
        result: String,
    },
    /// The push has no such build; the build is requested too.
    BuildAbsent,
    /// The build that the job waited for is gone; it is requested.
    BuildGone,
    /// The build failed while the job waited for it.
    BuildEnded {
        /// Treeherder's word for the result of the build.
        result: String,
    },
    /// The build took too long.
    WaitedTooLong {
        /// The longest wait that was configured.
        hours: u32,
    },
    /// The build could not be requested.
    BuildNotRequested {
        /// Why not, if that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        because: Option<Box<JobReason>>,
    },
    /// Pulse has no listener for the project.
    NoListener {
        /// Whether an earlier, unconfirmed message may have arrived.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        may_have_arrived: bool,
    },
    /// The job could not be forwarded.
    NotDelivered {
        /// The error.
        error: String,
        /// Whether an unconfirmed message may have arrived.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        may_have_arrived: bool,
    },
    /// The sweeper gave the job up: its request made no progress.
    GivenUp {
        /// Whether a message may have arrived.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        may_have_arrived: bool,
    },
    /// Taskcluster cannot run the job on its push.
    ActionRefused {
        /// Why.
        #[serde(flatten)]
        refusal: ActionRefusal,
        /// Whether a call that was not answered may have made a task.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        may_have_arrived: bool,
    },
    /// The push's decision task, or its list of jobs, is not known, so the job cannot be run.
    NoDecisionTask {
        /// Why, as part of a sentence.
        message: String,
    },
    /// The action ended, and did not make the job's task.
    NotCreated {
        /// How the action ended: Taskcluster's word.
        action: String,
        /// The last lines of the action's log, as far as they can be read.
        log: String,
    },
    /// The job did not appear.
    NotSeen {
        /// How long it was waited for.
        hours: u32,
    },
    /// Taskcluster does not know the task of the job any more.
    TaskForgotten,
    /// The end of the job was not seen in the longest time in which it is followed.
    EndNotSeen {
        /// How long it was followed.
        hours: u32,
    },
    /// A sentence that an earlier version stored; it is shown as it is.
    #[serde(untagged)]
    Text(String),
}

impl Underway {
    /// Treeherder's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
        }
    }
}

impl JobReason {
    /// A job that could not be forwarded. Of a long error only the beginning is kept.
    pub fn not_delivered(error: &str, may_have_arrived: bool) -> Self {
        Self::NotDelivered { error: error.chars().take(MAX_ERROR).collect(), may_have_arrived }
    }

    /// A job that its action did not create. Of a long log only the end is kept.
    pub fn not_created(action: &str, log: &str) -> Self {
        let surplus = log.chars().count().saturating_sub(MAX_LOG);
        Self::NotCreated { action: action.to_owned(), log: log.chars().skip(surplus).collect() }
    }

    /// The sentence for people; `build` is the build that the job needs.
    pub fn sentence(&self, build: Option<&str>) -> String {
        let build = build.unwrap_or_default();
        let in_doubt = |sentence: String, may_have_arrived: bool| {
            if may_have_arrived { format!("{sentence} {MAY_HAVE_ARRIVED}") } else { sentence }
        };
        match self {
            Self::NeededBuild { test } => format!("It was added because '{test}' needs this build."),
            Self::NeededAnew { test, result } => format!(
                "It was added because '{test}' needs this build, which {} on this push: without a new one the test would \
                 wait for ever.",
                describe_result(result)
            ),
            Self::BuildThere => "It is on this push by now, so it is not requested once more.".to_owned(),
            Self::NeededAgain { test } => format!("'{test}' needs this build once more."),
            Self::PlanSkipped => {
                "Treeherder does not answer, so it is not known whether its build is there.".to_owned()
            }
            Self::LeftRunning { run } => {
                format!("It is {} on this push already, so it is not requested once more.", run.as_str())
            }
            Self::RunAgain { run } => {
                format!("It is {} on this push already, and is requested once more.", run.as_str())
            }
            Self::BuildUnderway { run } => format!("It waits for its build '{build}', which is {}.", run.as_str()),
            Self::BuildRequestedAgain { result } => format!(
                "Its build '{build}' {}: that is requested once more, and this test waits for it.",
                describe_result(result)
            ),
            Self::BuildAbsent => {
                format!("Its build '{build}' is not on this push: that is requested too, and this test waits for it.")
            }
            Self::BuildGone => format!(
                "Its build '{build}' is not on this push any more: that is requested, and this test waits for it."
            ),
            Self::BuildEnded { result } => format!(
                "Its build '{build}' {}. It can be retried: then the build is requested once more.",
                describe_result(result)
            ),
            Self::WaitedTooLong { hours } => {
                format!("Its build '{build}' was not done within {hours} hours. It can be retried.")
            }
            Self::BuildNotRequested { because } => {
                // A build needs no build itself.
                let because = because.as_ref().map(|because| because.sentence(None));
                let because = because.unwrap_or_else(|| "it is not known why.".to_owned());
                format!("Its build '{build}' could not be requested: {because}")
            }
            Self::NoListener { may_have_arrived } => in_doubt(
                "Pulse has no listener for this project, so the job will not run. It can be retried when there is one."
                    .to_owned(),
                *may_have_arrived,
            ),
            Self::NotDelivered { error, may_have_arrived } => in_doubt(
                format!("It could not be forwarded to Pulse: {}. It can be retried.", error.trim_end_matches('.')),
                *may_have_arrived,
            ),
            Self::ActionRefused { refusal, may_have_arrived } => {
                let sentence = refusal.sentence();
                if *may_have_arrived { format!("{sentence} {MAY_HAVE_STARTED}") } else { sentence }
            }
            Self::NoDecisionTask { message } => {
                format!("It cannot be run on this push: {}.", message.trim_end_matches('.'))
            }
            Self::NotCreated { action, log } if log.is_empty() => {
                format!("The action ended ({action}) and did not create this job. It can be retried.")
            }
            Self::NotCreated { action, log } => {
                format!("The action ended ({action}) and did not create this job. Its log ends with: {log}")
            }
            Self::NotSeen { hours } => format!(
                "It did not appear on Treeherder within {hours} hours: the message was probably not handled by any \
                 listener. It can be requested again."
            ),
            Self::TaskForgotten => {
                "Taskcluster does not know the job's task any more, so its result is not known.".to_owned()
            }
            Self::EndNotSeen { hours } => {
                format!("Its end was not seen within {hours} hours, so it is not followed any more.")
            }
            Self::GivenUp { may_have_arrived } => in_doubt(format!("{GIVEN_UP} It can be retried."), *may_have_arrived),
            Self::Text(sentence) => sentence.clone(),
        }
    }
}

/// How a run with this result ended, as part of a sentence.
fn describe_result(result: &str) -> String {
    match result {
        "busted" | "exception" => format!("failed ({result})"),
        _ => format!("ended as '{result}'"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_failure_is_called_one() {
        assert_eq!(
            ["busted", "exception", "new"].map(describe_result),
            ["failed (busted)", "failed (exception)", "ended as 'new'"]
        );
    }

    #[test]
    fn codes_are_stored_and_sentences_of_earlier_versions_are_shown_as_they_are() {
        let because = Some(Box::new(JobReason::NoListener { may_have_arrived: false }));
        for (reason, stored) in [
            (JobReason::PlanSkipped, r#"{"code":"plan_skipped"}"#),
            (JobReason::BuildUnderway { run: Underway::Running }, r#"{"code":"build_underway","run":"running"}"#),
            (
                JobReason::BuildNotRequested { because },
                r#"{"code":"build_not_requested","because":{"code":"no_listener"}}"#,
            ),
            (JobReason::Text("Because.".to_owned()), r#""Because.""#),
        ] {
            assert_eq!(serde_json::to_string(&reason).unwrap(), stored);
            assert_eq!(serde_json::from_str::<JobReason>(stored).unwrap(), reason);
        }
        assert_eq!(JobReason::Text("Because.".to_owned()).sentence(None), "Because.");
    }

    #[test]
    fn an_error_of_any_length_is_kept_short() {
        let JobReason::NotDelivered { error, .. } = JobReason::not_delivered(&"\u{e9}".repeat(1000), false) else {
            panic!("not delivered")
        };
        assert_eq!(error.chars().count(), MAX_ERROR);
        let log = format!("{}the reason", "\u{e9}".repeat(1000));
        let JobReason::NotCreated { log, .. } = JobReason::not_created("failed", &log) else { panic!("not created") };
        assert!(log.chars().count() == MAX_LOG && log.ends_with("the reason"), "{log}");
    }
}
