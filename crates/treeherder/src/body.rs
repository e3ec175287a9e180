//! Treeherder's answers, as far as they are read.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};

use catalog::taskcluster::TaskId;
use requests::planning::{Run, RunState, Runs};
use requests::push::Push;
use serde::Deserialize;

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
    ref_data_name: Option<Cow<'b, str>>,
    #[serde(borrow)]
    state: Cow<'b, str>,
    #[serde(borrow)]
    result: Option<Cow<'b, str>>,
    /// The run of another push that stands for this one.
    #[serde(borrow)]
    job_coalesced_to_guid: Option<Cow<'b, str>>,
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

/// Adds the runs of the jobs with these names. Returns the number of jobs in the page.
///
/// # Errors
/// It is not a page of jobs. The message is for the log.
pub(crate) fn add_runs(body: &[u8], names: &BTreeSet<String>, runs: &mut Runs) -> Result<usize, String> {
    let Page { results } =
        serde_json::from_slice(body).map_err(|error| format!("its answer is not a list of jobs: {error}"))?;
    let count = results.len();
    for job in results {
        let Some(name) = job.ref_data_name.filter(|name| names.contains(&**name)) else { continue };
        let is_coalesced = job.job_coalesced_to_guid.is_some_and(|guid| !guid.is_empty());
        let state = RunState::of(&job.state, job.result.as_deref().unwrap_or_default());
        let Some(state) = state.filter(|_| !is_coalesced) else { continue };
        runs.add(name.into_owned(), Run { id: job.id, state });
    }
    Ok(count)
}
