//! Watches a request until it has ended: a table that is updated in place on a terminal, a line for each change elsewhere.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use requests::id::RequestId;
use requests::job::RequestedJob;
use requests::state::{JobState, RequestState};
use store::Consistency;
use trigger_api::api::{JobStatus, TriggerRequest};

use super::{Operator, actions_table, detail_text, find, jobs_table, outcome_text, progress_text};
use crate::commands::now;
use crate::failure::Failure;
use crate::output::{print_text, table_text, time};

/// How often the head of the request is read: half a read unit each time.
const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// Maximum number of jobs in the table on a terminal. Those that have not ended come first.
const MAX_ROWS: usize = 20;

/// Watches the request until it has ended.
///
/// # Errors
/// Some jobs did not succeed, the time is up, there is no such request, or the store does not answer.
pub(super) async fn watch(operator: &Operator<'_>, id: RequestId, timeout: Option<u64>) -> Result<(), Failure> {
    let (table, urls) = (operator.requests().await?, operator.urls()?);
    let deadline = timeout.map(|seconds| (seconds, Instant::now() + Duration::from_secs(seconds)));
    let mut screen = Screen::new();
    let mut request = find(&table, id).await?;
    loop {
        // Head and jobs of one version; it may be a later one than was read.
        let (current, jobs) = table.with_jobs(request, Consistency::Eventual).await?;
        let shown = TriggerRequest::new(&current, &jobs, &urls, true);
        screen.update(&shown)?;
        if current.state.has_ended() {
            screen.finish(&shown)?;
            return verdict(&jobs);
        }
        if current.state == RequestState::Forwarded && current.progress.is_none() {
            screen.finish(&shown)?;
            let reason = "an earlier version forwarded it: what became of its jobs is not followed";
            return Err(Failure::Refused(reason.to_owned()));
        }
        request = loop {
            if let Some((seconds, _)) = deadline.filter(|(_, deadline)| Instant::now() >= *deadline) {
                screen.finish(&shown)?;
                let state = current.state.as_str();
                return Err(Failure::Unsuccessful(format!("it is {state} still, after {seconds} s")));
            }
            tokio::time::sleep(POLL_INTERVAL).await;
            let read = table.stored(id, Consistency::Eventual).await?;
            let read = read.ok_or_else(|| Failure::Refused(format!("request {id} was deleted meanwhile")))?;
            // An eventually consistent read may be behind.
            if read.version > current.version {
                break read;
            }
        };
    }
}

/// Whether every job that was requested succeeded.
fn verdict(jobs: &[RequestedJob]) -> Result<(), Failure> {
    let succeeded = |job: &&RequestedJob| {
        job.state == JobState::Forwarded && job.outcome.as_ref().is_some_and(requests::outcome::Outcome::is_success)
    };
    // A build that was added and is not needed any more is not missed.
    let expected = jobs.iter().filter(|job| job.is_asked_for() || job.state != JobState::Rejected).count();
    match expected - jobs.iter().filter(succeeded).count() {
        0 => Ok(()),
        failed => Err(Failure::Unsuccessful(format!("{failed} of {expected} jobs did not succeed"))),
    }
}

/// Where changes are shown.
enum Screen {
    /// The table on a terminal.
    Table(ProgressBar),
    /// What was printed last of the request, of each action and of each job.
    Lines(HashMap<String, String>),
}

impl Screen {
    fn new() -> Self {
        if !io::stdout().is_terminal() {
            return Self::Lines(HashMap::new());
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
        bar.set_style(ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self::Table(bar)
    }

    fn update(&mut self, request: &TriggerRequest) -> Result<(), Failure> {
        match self {
            Self::Table(bar) => {
                bar.set_message(table(request, MAX_ROWS));
                Ok(())
            }
            Self::Lines(printed) => print_text(&changes(printed, request, &time(now()))),
        }
    }

    /// Leaves the whole table on the terminal.
    fn finish(&self, request: &TriggerRequest) -> Result<(), Failure> {
        let Self::Table(bar) = self else { return Ok(()) };
        bar.finish_and_clear();
        print_text(&table(request, usize::MAX))
    }
}

/// The request and at most `max_rows` of its jobs.
fn table(request: &TriggerRequest, max_rows: usize) -> String {
    let mut jobs: Vec<&JobStatus> = request.jobs.iter().collect();
    if jobs.len() > max_rows {
        jobs.sort_by_key(|job| rank(job));
    }
    let mut text = format!("{}\n\n", heading(request));
    text += &table_text(&jobs_table(jobs.iter().copied().take(max_rows)));
    if jobs.len() > max_rows {
        let _ = writeln!(text, "... and {} more jobs", jobs.len() - max_rows);
    }
    if let Some(actions) = actions_table(&request.summary.actions) {
        text.push('\n');
        text += &table_text(&actions);
    }
    text
}

/// Which jobs are shown first if not all of them fit.
fn rank(job: &JobStatus) -> u8 {
    match (job.state.as_str(), job.outcome.as_ref().map(|outcome| (outcome.state.as_str(), outcome.result.as_deref())))
    {
        (_, Some(("running", _))) => 0,
        (_, Some(("completed", Some("success")))) => 3,
        (_, Some(("completed" | "not_seen", _))) | ("rejected" | "failed" | "unroutable", _) => 1,
        _ => 2,
    }
}

fn heading(request: &TriggerRequest) -> String {
    let summary = &request.summary;
    let progress = progress_text(summary.progress.as_ref());
    format!("{} {}: push {} of {}{progress}", summary.request_id, summary.state, summary.push_id, summary.project)
}

/// A line for everything that is not as it was printed last.
fn changes(printed: &mut HashMap<String, String>, request: &TriggerRequest, at: &str) -> String {
    let progress = progress_text(request.summary.progress.as_ref());
    let head = ("request".to_owned(), format!("{}{progress}", request.summary.state));
    let actions = request.summary.actions.iter().map(|action| {
        let task = action.url.as_ref().or(action.task_id.as_ref()).map(|task| format!(" {task}")).unwrap_or_default();
        (format!("action {}", action.number), format!("{}{task}", action.state))
    });
    let jobs = request.jobs.iter().map(|job| {
        let (outcome, detail) = (outcome_text(job), detail_text(job));
        let words = [job.state.as_str(), &outcome, &detail].into_iter().filter(|word| !word.is_empty());
        (job.name.clone(), words.collect::<Vec<_>>().join(" "))
    });
    let mut text = String::new();
    for (what, words) in std::iter::once(head).chain(actions).chain(jobs) {
        if printed.get(&what) != Some(&words) {
            let _ = writeln!(text, "{at} {what}: {words}");
            printed.insert(what, words);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use requests::job::count_jobs;
    use requests::new_request::NewRequest;
    use requests::outcome::{Outcome, OutcomeState, RunOf};
    use requests::request::Request;
    use trigger_api::api::PublicUrls;

    use super::*;

    fn job(name: &str, state: OutcomeState, result: Option<&str>) -> RequestedJob {
        let (result, run) = (result.map(ToOwned::to_owned), Some(RunOf::Job(7)));
        let outcome = Some(Outcome { state, result, run, since: DateTime::UNIX_EPOCH });
        RequestedJob { state: JobState::Forwarded, outcome, ..RequestedJob::accepted(name) }
    }

    fn shown(jobs: &[RequestedJob]) -> TriggerRequest {
        let (at, urls) = (DateTime::UNIX_EPOCH, PublicUrls { treeherder: "https://th".to_owned(), taskcluster: None });
        let new_request = NewRequest::new("try", 1, "dev@example.org".parse().unwrap(), Vec::new());
        let mut request = Request::new(RequestId::new(at, 7), new_request, None, jobs, at);
        request.job_counts = count_jobs(jobs);
        TriggerRequest::new(&request, jobs, &urls, true)
    }

    #[test]
    fn only_what_changed_is_a_line() {
        let mut printed = HashMap::new();
        let waits = RequestedJob { state: JobState::Waiting, ..RequestedJob::accepted("b") };
        let first = shown(&[job("a", OutcomeState::Pending, None), waits.clone()]);
        let url = "https://th/jobs?repo=try&selectedJob=7";
        assert_eq!(
            changes(&mut printed, &first, "T"),
            format!("T request: accepted (2 waiting)\nT a: forwarded pending {url}\nT b: waiting\n")
        );
        assert_eq!(changes(&mut printed, &first, "T"), "");
        let next = shown(&[job("a", OutcomeState::Completed, Some("success")), waits]);
        assert_eq!(
            changes(&mut printed, &next, "U"),
            format!("U request: accepted (1 waiting, 1 succeeded)\nU a: forwarded completed success {url}\n")
        );
    }

    #[test]
    fn a_table_that_is_too_long_shows_first_what_runs_and_what_failed() {
        let jobs = [
            job("green", OutcomeState::Completed, Some("success")),
            job("waits", OutcomeState::Pending, None),
            job("orange", OutcomeState::Completed, Some("testfailed")),
            job("runs", OutcomeState::Running, None),
        ];
        let text = table(&shown(&jobs), 2);
        let names: Vec<&str> = text.lines().skip(3).map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(names, ["runs", "orange", "..."], "{text}");
        assert!(text.ends_with("... and 2 more jobs\n"), "{text}");
        let all = table(&shown(&jobs), 4);
        assert!(all.lines().nth(3).unwrap().starts_with("green"), "in the order of the request: {all}");
    }

    #[test]
    fn it_is_well_only_if_every_job_succeeded() {
        let green = || job("a", OutcomeState::Completed, Some("success"));
        assert!(verdict(&[green(), green()]).is_ok());
        let rejected = RequestedJob { state: JobState::Rejected, ..RequestedJob::accepted("c") };
        for other in
            [job("b", OutcomeState::Completed, Some("busted")), job("b", OutcomeState::NotSeen, None), rejected]
        {
            let failure = verdict(&[green(), other]).unwrap_err();
            assert_eq!(failure.to_string(), "1 of 2 jobs did not succeed");
        }
        let code = Some(requests::job::JobCode::NeededBuild);
        let withdrawn = RequestedJob { state: JobState::Rejected, code, ..RequestedJob::accepted("build") };
        assert!(verdict(&[green(), withdrawn]).is_ok());
    }
}
