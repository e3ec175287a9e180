//! Treeherder's answers, as far as they are read.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use catalog::taskcluster::TaskId;
use chrono::DateTime;
use requests::following::Sighting;
use requests::planning::{Run, RunState, Runs};
use requests::push::Push;
use serde::Deserialize;

/// The length at which Treeherder cuts the label of a Taskcluster job, in characters.
const MAX_LABEL: usize = 139;
/// How an action that adds jobs to a push shows itself: its symbol in its group, `AC(add-new)`.
const ACTION: (&str, &str) = ("AC", "add-new");

/// An answer about a push.
#[derive(Deserialize)]
struct PushBody {
    revision: String,
    #[serde(default)]
    author: String,
}

/// A decision task.
#[derive(Deserialize)]
struct DecisionTaskBody {
    id: String,
}

/// A page of jobs.
#[derive(Deserialize)]
struct Page<'b> {
    #[serde(borrow)]
    results: Vec<JobBody<'b>>,
}

#[derive(Deserialize)]
struct JobBody<'b> {
    id: u64,
    #[serde(borrow)]
    build_system_type: Option<Cow<'b, str>>,
    /// The name of a Buildbot job; a hash for a Taskcluster job.
    #[serde(borrow)]
    ref_data_name: Option<Cow<'b, str>>,
    /// The label of a Taskcluster job, cut.
    #[serde(borrow)]
    job_type_name: Option<Cow<'b, str>>,
    #[serde(borrow)]
    job_group_symbol: Option<Cow<'b, str>>,
    #[serde(borrow)]
    job_type_symbol: Option<Cow<'b, str>>,
    #[serde(borrow)]
    task_id: Option<Cow<'b, str>>,
    #[serde(borrow)]
    state: Cow<'b, str>,
    #[serde(borrow)]
    result: Option<Cow<'b, str>>,
    /// In seconds since 1970.
    submit_timestamp: Option<i64>,
    /// The run of another push that stands for this one.
    #[serde(borrow)]
    job_coalesced_to_guid: Option<Cow<'b, str>>,
}

/// The names of the jobs that are looked for: names of Buildbot jobs and labels.
pub(crate) struct Names<'n> {
    names: &'n BTreeSet<String>,
    /// The labels that Treeherder cuts, by what is left of them.
    cut: HashMap<&'n str, Vec<&'n str>>,
}

impl<'n> Names<'n> {
    pub(crate) fn new(names: &'n BTreeSet<String>) -> Self {
        let mut cut: HashMap<&str, Vec<&str>> = HashMap::new();
        for name in names {
            if let Some((end, _)) = name.char_indices().nth(MAX_LABEL) {
                cut.entry(&name[..end]).or_default().push(name);
            }
        }
        Self { names, cut }
    }

    /// The names of the job. A label that was cut may stand for several.
    fn of<'s>(&'s self, job: &'s JobBody<'_>) -> impl Iterator<Item = &'s str> {
        let (name, cut) = if job.is_taskcluster() {
            let label = job.job_type_name.as_deref();
            (label, label.and_then(|label| self.cut.get(label)))
        } else {
            (job.ref_data_name.as_deref(), None)
        };
        let name = name.filter(|name| self.names.contains(*name));
        name.into_iter().chain(cut.into_iter().flatten().copied())
    }
}

impl JobBody<'_> {
    fn is_taskcluster(&self) -> bool {
        self.build_system_type.as_deref() == Some("taskcluster")
    }

    /// Whether the job is an action that adds jobs to the push and has not ended.
    fn is_running_action(&self) -> bool {
        let symbols = (self.job_group_symbol.as_deref().unwrap_or_default(), self.job_type_symbol.as_deref());
        self.is_taskcluster() && symbols == (ACTION.0, Some(ACTION.1)) && self.state != "completed"
    }
}

/// Reads an answer about a push.
///
/// # Errors
/// It is not a push. The message is for the log.
pub(crate) fn push(body: &[u8]) -> Result<Push, String> {
    let PushBody { revision, author } =
        serde_json::from_slice(body).map_err(|error| format!("its answer is not a push: {error}"))?;
    let is_revision = (1..=64).contains(&revision.len()) && revision.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_revision {
        return Err("its answer is not a push: the revision is not hexadecimal".to_owned());
    }
    Ok(Push { revision, author: author.parse().ok() })
}

/// Reads an answer about the decision tasks of pushes. `None` if it has none of this push.
///
/// # Errors
/// It is not such an answer. The message is for the log.
pub(crate) fn decision_task(body: &[u8], push_id: u64) -> Result<Option<TaskId>, String> {
    let wrong = "its answer is not a decision task";
    let mut tasks: HashMap<String, DecisionTaskBody> =
        serde_json::from_slice(body).map_err(|error| format!("{wrong}: {error}"))?;
    let task = tasks.remove(&push_id.to_string());
    task.map(|task| task.id.parse().map_err(|error| format!("{wrong}: {error}"))).transpose()
}

/// Adds the runs of the jobs with these names, and a running action. Returns the number of jobs in the page.
///
/// # Errors
/// It is not a page of jobs. The message is for the log.
pub(crate) fn add_runs(body: &[u8], names: &Names<'_>, runs: &mut Runs) -> Result<usize, String> {
    let jobs = jobs(body)?;
    for job in &jobs {
        if job.is_running_action() {
            runs.set_running_action(job.task_id.clone().unwrap_or_default().into_owned());
        }
        let is_coalesced = job.job_coalesced_to_guid.as_deref().is_some_and(|guid| !guid.is_empty());
        let state_of = if job.is_taskcluster() { RunState::of_task } else { RunState::of };
        let state = state_of(&job.state, job.result.as_deref().unwrap_or_default());
        let Some(state) = state.filter(|_| !is_coalesced) else { continue };
        for name in names.of(job) {
            runs.add(name.to_owned(), Run { id: job.id, state: state.clone() });
        }
    }
    Ok(jobs.len())
}

/// Adds the runs of the Buildbot jobs with these names. Returns the number of jobs in the page. A run without a time is
/// left out: it cannot be compared with a request.
///
/// # Errors
/// It is not a page of jobs. The message is for the log.
pub(crate) fn add_sightings(
    body: &[u8],
    names: &BTreeSet<String>,
    sightings: &mut Vec<Sighting>,
) -> Result<usize, String> {
    let jobs = jobs(body)?;
    let count = jobs.len();
    for job in jobs.into_iter().filter(|job| !job.is_taskcluster()) {
        let submitted_at = job.submit_timestamp.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
        let name = job.ref_data_name.filter(|name| names.contains(&**name));
        let (Some(submitted_at), Some(name)) = (submitted_at, name) else { continue };
        sightings.push(Sighting {
            id: job.id,
            name: name.into_owned(),
            state: job.state.into_owned(),
            result: job.result.unwrap_or_default().into_owned(),
            submitted_at,
        });
    }
    Ok(count)
}

/// The jobs in a page.
fn jobs(body: &[u8]) -> Result<Vec<JobBody<'_>>, String> {
    let page: Page<'_> =
        serde_json::from_slice(body).map_err(|error| format!("its answer is not a list of jobs: {error}"))?;
    Ok(page.results)
}
