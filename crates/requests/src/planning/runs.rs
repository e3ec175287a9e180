//! The runs of jobs on a push, as Treeherder lists them, and what they say about a build.
//!
//! | Treeherder's state and result | the run |
//! | --- | --- |
//! | `completed` with `success` or `testfailed` | has made packages: tests can use them |
//! | `unscheduled`, `pending`, `running` | is underway |
//! | `completed` with `busted` or `exception` | failed |
//! | `completed` with `superseded`, `coalesced`, `usercancel`, `retry`, `skipped`, `unknown`, or no result | does not count |
//! | `completed` with any other word | has ended, and is not known to have made packages |
//! | any other state | does not count |
//!
//! A run that does not count is ignored: it made no packages, and it did not fail.
//!
//! A task of Taskcluster is stricter: tasks that depend on it run only if it completed with `success`. Any other result
//! is that of a task which has ended for good, but for `retry`, `skipped`, `unknown` and none, which do not count.

use std::collections::HashMap;

use crate::reason::Underway;

/// The longest result that is kept, in characters: it becomes part of the reasons of jobs.
const MAX_RESULT: usize = 50;

/// A run of a job on a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its number in Treeherder: later runs have higher numbers.
    pub id: u64,
    /// How far it is.
    pub state: RunState,
}

/// How far a run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunState {
    /// It has not begun.
    Pending,
    /// It has begun and has not ended.
    Running,
    /// It ended, and what it built can be used.
    Built,
    /// It ended, and nothing can be used. The value is Treeherder's word for the result, such as `busted`.
    Ended(String),
}

/// The runs of some jobs on a push.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Runs {
    /// The runs, by the names of their jobs.
    by_name: HashMap<String, Vec<Run>>,
    /// The task of an action that adds jobs to the push and has not ended.
    running_action: Option<String>,
}

/// The status of a build on the push.
pub(super) enum BuildStatus<'r> {
    /// Its packages can be used.
    Usable,
    /// A run of it has not ended.
    Underway(Underway),
    /// It ended without packages, with this result.
    Ended(&'r str),
    /// There is no run that counts.
    Absent,
}

impl RunState {
    /// How far a run is, by Treeherder's words. `None` if the run does not count.
    pub fn of(state: &str, result: &str) -> Option<Self> {
        match (state, result) {
            ("unscheduled" | "pending", _) => Some(Self::Pending),
            ("running", _) => Some(Self::Running),
            // `testfailed` of a build is orange: a check failed after the packages were uploaded.
            ("completed", "success" | "testfailed") => Some(Self::Built),
            // A run on another push counts for it, a person stopped it, Buildbot runs it again by itself, or nothing ran.
            ("completed", "superseded" | "coalesced" | "usercancel" | "retry" | "skipped" | "unknown" | "") => None,
            ("completed", result) => Some(Self::Ended(result.chars().take(MAX_RESULT).collect())),
            _ => None,
        }
    }

    /// As [`RunState::of`], of a task of Taskcluster.
    pub fn of_task(state: &str, result: &str) -> Option<Self> {
        match (state, result) {
            ("completed", "testfailed" | "superseded" | "usercancel") => Some(Self::Ended(result.to_owned())),
            _ => Self::of(state, result),
        }
    }
}

impl Runs {
    /// Adds a run of the job of this name.
    pub fn add(&mut self, name: String, run: Run) {
        self.by_name.entry(name).or_default().push(run);
    }

    /// Notes that an action that adds jobs to the push has not ended. Its task is empty if it is not known.
    pub fn set_running_action(&mut self, task_id: String) {
        self.running_action = Some(task_id);
    }

    /// The task of an action that adds jobs to the push and has not ended, if there is one; empty if the task is not known.
    pub fn running_action(&self) -> Option<&str> {
        self.running_action.as_deref()
    }

    fn of(&self, name: &str) -> &[Run] {
        self.by_name.get(name).map(Vec::as_slice).unwrap_or_default()
    }

    /// How far a run of this job is that has not ended, if there is one.
    pub(super) fn underway(&self, name: &str) -> Option<Underway> {
        let has = |state: &RunState| self.of(name).iter().any(|run| run.state == *state);
        if has(&RunState::Running) {
            Some(Underway::Running)
        } else {
            has(&RunState::Pending).then_some(Underway::Pending)
        }
    }

    /// The status of a build. Runs up to `ignore_runs_up_to` are ignored, unless they left packages.
    pub(super) fn build(&self, name: &str, ignore_runs_up_to: u64) -> BuildStatus<'_> {
        let runs = self.of(name);
        if runs.iter().any(|run| run.state == RunState::Built) {
            return BuildStatus::Usable;
        }
        if let Some(run) = self.underway(name) {
            return BuildStatus::Underway(run);
        }
        let ended = runs.iter().filter(|run| run.id > ignore_runs_up_to).max_by_key(|run| run.id);
        match ended.map(|run| &run.state) {
            Some(RunState::Ended(result)) => BuildStatus::Ended(result),
            _ => BuildStatus::Absent,
        }
    }

    /// The number of the last run of this job that has ended without packages, 0 if there is none.
    pub(super) fn last_ended(&self, name: &str) -> u64 {
        let ended = self.of(name).iter().filter(|run| matches!(run.state, RunState::Ended(_)));
        ended.map(|run| run.id).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_of_treeherders_words_means_one_state_of_a_run() {
        use RunState::{Built, Ended, Pending, Running};
        let ended = |word: &str| Some(Ended(word.to_owned()));
        for (state, result, expected) in [
            ("unscheduled", "unknown", Some(Pending)),
            ("pending", "unknown", Some(Pending)),
            ("running", "unknown", Some(Running)),
            ("completed", "success", Some(Built)),
            ("completed", "testfailed", Some(Built)),
            ("completed", "busted", ended("busted")),
            ("completed", "exception", ended("exception")),
            ("completed", "superseded", None),
            ("completed", "coalesced", None),
            ("completed", "usercancel", None),
            ("completed", "retry", None),
            ("completed", "skipped", None),
            ("completed", "unknown", None),
            ("completed", "", None),
            ("completed", "a new word", ended("a new word")),
            ("a new state", "success", None),
            ("", "", None),
        ] {
            assert_eq!(RunState::of(state, result), expected, "{state} {result}");
        }
    }

    #[test]
    fn tasks_depend_on_success_alone() {
        for result in ["testfailed", "busted", "exception", "usercancel", "superseded", "a new word"] {
            let ended = Some(RunState::Ended(result.to_owned()));
            assert_eq!(RunState::of_task("completed", result), ended, "{result}");
        }
        for result in ["retry", "skipped", "unknown", ""] {
            assert_eq!(RunState::of_task("completed", result), None, "{result}");
        }
        assert_eq!(RunState::of_task("completed", "success"), Some(RunState::Built));
        assert_eq!(RunState::of_task("unscheduled", "unknown"), Some(RunState::Pending));
    }

    #[test]
    fn a_result_of_any_length_is_kept_short() {
        let Some(RunState::Ended(word)) = RunState::of("completed", &"\u{e9}".repeat(100_000)) else { panic!("ended") };
        assert_eq!(word.chars().count(), MAX_RESULT);
    }
}
