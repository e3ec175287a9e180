//! What becomes of the jobs of a request, for people: grouped, as a request has up to a thousand jobs.

use std::fmt::Write as _;

use serde::Deserialize;

/// Maximum number of jobs that are listed of a group.
const MAX_ROWS: usize = 20;
/// The state of the answer to a dry run.
const CHECKED: &str = "checked";

/// The answer to a request for jobs, as far as it is shown. A newer service may answer with more.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    message: String,
    /// Not in the answer to a dry run.
    #[serde(default)]
    pub(super) request_id: Option<String>,
    state: String,
    jobs: Vec<Job>,
    /// In the answer to a dry run, the actions of Taskcluster that would run labels.
    #[serde(default)]
    actions: Option<Vec<Action>>,
}

/// A job of a request.
#[derive(Debug, Deserialize)]
pub(super) struct Job {
    name: String,
    state: String,
    #[serde(default)]
    code: Option<String>,
    #[serde(default)]
    detail: Option<String>,
    #[serde(default)]
    destination: Option<String>,
}

/// An action of Taskcluster that would run labels.
#[derive(Debug, Deserialize)]
struct Action {
    hook: String,
    labels: Vec<String>,
    /// Builds that Taskcluster would start too.
    also_starts: Vec<String>,
}

/// What becomes of a job.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Fate {
    Runs,
    RunsAgain,
    Waits,
    AddedBuild,
    LeftAlone,
    Refused,
    /// A state of a request that was sent before.
    Other(String),
}

impl Fate {
    fn of(job: &Job, is_checked: bool) -> Self {
        let code = job.code.as_deref();
        match (job.state.as_str(), code) {
            ("accepted", Some("needed_build")) => Self::AddedBuild,
            ("accepted", Some("already_running")) => Self::RunsAgain,
            ("accepted", _) => Self::Runs,
            ("waiting", _) => Self::Waits,
            ("rejected", Some("already_running")) => Self::LeftAlone,
            ("rejected", _) => Self::Refused,
            // In a dry run, a job that the forwarder would fail.
            ("failed", _) if is_checked => Self::Refused,
            (other, _) => Self::Other(other.to_owned()),
        }
    }

    fn heading(&self) -> &str {
        match self {
            Self::Runs => "run",
            Self::RunsAgain => "run once more",
            Self::Waits => "wait",
            Self::AddedBuild => "builds that are added",
            Self::LeftAlone => "run already, not requested",
            Self::Refused => "refused",
            Self::Other(state) => state,
        }
    }
}

/// Jobs with the same fate, for the same reason.
struct Group<'j> {
    fate: Fate,
    /// Jobs that wait are grouped by the sentence, which names the build; others by the code.
    reason: &'j str,
    jobs: Vec<&'j Job>,
}

/// The groups of jobs, in the order of their fates; of one fate the largest first.
fn groups(jobs: &[Job], is_checked: bool) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for job in jobs {
        let fate = Fate::of(job, is_checked);
        let reason = if fate == Fate::Waits { job.detail.as_deref() } else { job.code.as_deref() };
        let reason = reason.unwrap_or_default();
        match groups.iter_mut().find(|group| group.fate == fate && group.reason == reason) {
            Some(group) => group.jobs.push(job),
            None => groups.push(Group { fate, reason, jobs: vec![job] }),
        }
    }
    groups.sort_by(|one, other| one.fate.cmp(&other.fate).then(other.jobs.len().cmp(&one.jobs.len())));
    groups
}

/// An answer as text.
pub(super) fn text(answer: &Answer) -> String {
    let mut text = format!("{}\n\n", answer.message);
    for group in groups(&answer.jobs, answer.state == CHECKED) {
        put_group(&mut text, &group);
    }
    for action in answer.actions.iter().flatten() {
        let (labels, noun) = (action.labels.len(), if action.labels.len() == 1 { "label" } else { "labels" });
        let _ = writeln!(text, "action of {} for {labels} {noun}", action.hook);
        put_rows(&mut text, "  it starts too: ", action.also_starts.iter().cloned());
    }
    text
}

/// The jobs of a request that was refused because of them.
pub(super) fn refused(jobs: &[Job]) -> String {
    let mut text = String::new();
    for group in groups(jobs, true) {
        put_group(&mut text, &group);
    }
    text
}

fn put_group(text: &mut String, group: &Group<'_>) {
    let first = group.jobs.first().and_then(|job| job.detail.as_deref());
    // A sentence that is the same for all jobs is in the heading.
    let shared = first.filter(|first| group.jobs.iter().all(|job| job.detail.as_deref() == Some(first)));
    let shared_text = shared.map(|detail| format!(": {detail}")).unwrap_or_default();
    let _ = writeln!(text, "{} ({}){shared_text}", group.fate.heading(), counts(&group.jobs));
    let rows = group.jobs.iter().map(|job| match job.detail.as_deref().filter(|_| shared.is_none()) {
        Some(detail) => format!("{}: {detail}", job.name),
        None => job.name.clone(),
    });
    put_rows(text, "  ", rows);
}

fn put_rows(text: &mut String, indent: &str, rows: impl ExactSizeIterator<Item = String>) {
    let more = rows.len().saturating_sub(MAX_ROWS);
    for row in rows.take(MAX_ROWS) {
        let _ = writeln!(text, "{indent}{row}");
    }
    if more > 0 {
        let _ = writeln!(text, "{indent}... and {more} more");
    }
}

/// How many jobs there are, by destination.
fn counts(jobs: &[&Job]) -> String {
    let of = |destination| jobs.iter().filter(|job| job.destination.as_deref() == destination).count();
    let counts = [(of(Some("taskcluster")), " by Taskcluster"), (of(Some("pulse")), " by Pulse"), (of(None), "")];
    let counts = counts.iter().filter(|(count, _)| *count > 0).map(|(count, way)| format!("{count}{way}"));
    counts.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(name: &str, state: &str, code: Option<&str>, detail: Option<&str>) -> Job {
        Job {
            name: name.to_owned(),
            state: state.to_owned(),
            code: code.map(str::to_owned),
            detail: detail.map(str::to_owned),
            destination: code
                .is_none_or(|code| code != "unknown_job")
                .then(|| if name.contains("label") { "taskcluster" } else { "pulse" }.to_owned()),
        }
    }

    fn answer(state: &str, jobs: Vec<Job>) -> Answer {
        Answer {
            message: "Two sentences. For people.".to_owned(),
            request_id: None,
            state: state.to_owned(),
            jobs,
            actions: None,
        }
    }

    #[test]
    fn jobs_are_grouped_by_what_becomes_of_them() {
        let waits = Some("It waits for its build 'B', which is running.");
        let jobs = vec![
            job("builder", "accepted", None, None),
            job("label-1", "accepted", None, None),
            job("test-1", "waiting", Some("build_running"), waits),
            job("test-2", "waiting", Some("build_running"), Some("It waits for its build 'C', which is pending.")),
            job("test-3", "waiting", Some("build_running"), waits),
            job("again", "accepted", Some("already_running"), Some("It is pending on this push already.")),
            job("left", "rejected", Some("already_running"), Some("It is running on this push already.")),
            job("biulder", "rejected", Some("unknown_job"), Some("Did you mean 'builder'?")),
            job("tset", "rejected", Some("unknown_job"), Some("Did you mean 'test'?")),
            job("label-2", "failed", Some("hook_missing"), Some("The hook does not exist.")),
            job("B2", "accepted", Some("needed_build"), Some("It was added because 'x' needs this build.")),
        ];
        let mut checked = answer("checked", jobs);
        checked.actions = Some(vec![Action {
            hook: "project-gecko/in-tree-action-1-generic/0123abcdef".to_owned(),
            labels: vec!["label-1".to_owned()],
            also_starts: vec!["build-linux64/opt".to_owned()],
        }]);
        let expected = "\
Two sentences. For people.

run (1 by Taskcluster, 1 by Pulse)
  builder
  label-1
run once more (1 by Pulse): It is pending on this push already.
  again
wait (2 by Pulse): It waits for its build 'B', which is running.
  test-1
  test-3
wait (1 by Pulse): It waits for its build 'C', which is pending.
  test-2
builds that are added (1 by Pulse): It was added because 'x' needs this build.
  B2
run already, not requested (1 by Pulse): It is running on this push already.
  left
refused (2)
  biulder: Did you mean 'builder'?
  tset: Did you mean 'test'?
refused (1 by Taskcluster): The hook does not exist.
  label-2
action of project-gecko/in-tree-action-1-generic/0123abcdef for 1 label
  it starts too: build-linux64/opt
";
        assert_eq!(text(&checked), expected);
    }

    #[test]
    fn a_large_group_shows_its_first_jobs_and_how_many_more_there_are() {
        let jobs = (0..30).map(|number| job(&format!("label-{number}"), "accepted", None, None)).collect();
        let text = text(&answer("queued", jobs));
        assert!(text.contains("\nrun (30 by Taskcluster)\n  label-0\n"), "{text}");
        assert!(text.ends_with("\n  label-19\n  ... and 10 more\n"), "{text}");
    }

    #[test]
    fn a_request_that_was_sent_before_shows_the_states_of_its_jobs() {
        let jobs = vec![job("a", "failed", None, None), job("b", "forwarded", None, None)];
        let text = text(&answer("forwarded", jobs));
        assert!(text.contains("failed (1 by Pulse)\n  a\nforwarded (1 by Pulse)\n  b\n"), "{text}");
    }
}
