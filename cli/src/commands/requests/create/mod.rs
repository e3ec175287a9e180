//! `requests create`: requests jobs on a push over the HTTP API, as the page does. It needs no AWS.

mod client;
mod key;
mod plan;

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::pin::pin;

use catalog::list::Query;
use chrono::TimeDelta;
use clap::{ArgGroup, Args};
use fetch::Url;
use runtime::settings::{SettingsError, Variables, environment};
use serde_json::Value;
use treeherder::{DecisionTask, Treeherder};

use self::client::{Arrival, ListedName, SendFailure, Service, unusable};
use self::key::Key;
use self::plan::Answer;
use super::push;
use crate::commands::clock;
use crate::failure::Failure;
use crate::output::{print_json_line, print_text};

/// The variable of the service's address.
const URL: &str = "RUNNABLE_JOBS_URL";
/// The variable of the token. There is no flag: other users of the machine see the flags of a process.
const TOKEN: &str = "RUNNABLE_JOBS_TOKEN";
/// Maximum number of jobs of a request. Taskcluster runs larger pushes at a lower priority.
const REQUEST_JOBS: usize = 1000;
/// Maximum size of the names of a request, in bytes of JSON. The API accepts bodies of 256 KiB.
const REQUEST_BYTES: usize = 250_000;

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("jobs").args(["query", "job"]).required(true).multiple(true))]
pub(super) struct Create {
    /// The push
    #[arg(long, value_name = "PROJECT/PUSH", value_parser = push)]
    push: (String, u64),
    /// Request the jobs that match this query, in the grammar of the page's field
    #[arg(long, short, value_name = "QUERY", value_parser = query)]
    query: Option<String>,
    /// Request the job with this name too; may be repeated
    #[arg(long, value_name = "NAME")]
    job: Vec<String>,
    /// Show what would be requested, and request nothing
    #[arg(long)]
    dry_run: bool,
    /// Send more than 1,000 jobs, as several requests
    #[arg(long)]
    yes: bool,
    /// The key of an earlier run that failed: what it requested is not requested again
    #[arg(long, value_name = "KEY", value_parser = Key::read)]
    key: Option<Key>,
    /// The address of the service's page
    #[arg(long, value_name = "URL", env = URL, hide_env_values = true, value_parser = client::address)]
    url: Option<Url>,
    /// Print the answers as JSON, one line a request
    #[arg(long)]
    json: bool,
}

/// Requests jobs.
///
/// # Errors
/// No job matches, too many do, the service refuses, or it or Treeherder does not answer.
pub(super) async fn create(command: &Create) -> Result<(), Failure> {
    let (variable, expected) = ("--url or RUNNABLE_JOBS_URL", "the address of the service's page");
    let address = command.url.clone().ok_or(SettingsError::Missing { variable, expected })?;
    let token = Variables::new(environment).required(TOKEN, "an ID token of the service's sign-in")?;
    let service = Service::open(address, &token, clock()).await?;
    let (project, push_id) = (command.push.0.as_str(), command.push.1);
    let found = match &command.query {
        Some(query) => find(&service, project, push_id, query).await?,
        None => Found::default(),
    };
    let requests = requests_of(ordered(found.jobs, &command.job));
    let count: usize = requests.iter().map(Vec::len).sum();
    if count > REQUEST_JOBS && !command.yes && !command.dry_run {
        return Err(Failure::Refused(format!(
            "{count} jobs are more than the {REQUEST_JOBS} of a request: --yes sends them as {} requests, which \
             Taskcluster runs at a lower priority. Nothing was requested",
            requests.len()
        )));
    }
    let key = (!command.dry_run).then(|| command.key.clone().unwrap_or_else(Key::random));
    let mut interrupt = pin!(interrupt());
    for (number, names) in (1..).zip(&requests) {
        let request_key = key.as_ref().map(|key| key.of_request(number));
        let sent = service.send(project, push_id, names, found.decision_task.as_deref(), request_key.as_deref());
        let sent = tokio::select! {
            sent = sent => sent.and_then(|answer| {
                let arrived = |failure| SendFailure { failure, arrival: Arrival::Explained };
                print(command, &service, answer).map_err(arrived)
            }),
            () = &mut interrupt => {
                let failure = Failure::Unsuccessful("interrupted".to_owned());
                Err(SendFailure { failure, arrival: Arrival::Unknown })
            }
        };
        let Err(SendFailure { failure, arrival }) = sent else { continue };
        if requests.len() > 1 {
            let all = requests.len();
            let _ = writeln!(io::stderr(), "runnable-jobs: request {number} of {all} failed, and ends the rest");
        }
        // Without the key, a request that arrived would be sent a second time.
        let is_needed = arrival != Arrival::Refused || number > 1 || command.key.is_some();
        return Err(match key.filter(|_| is_needed) {
            Some(key) => with_advice(failure, &advice(&key, arrival)),
            None => failure,
        });
    }
    match key {
        Some(key) if !command.json => print_text(&format!("key {key}: {}\n", again(&key))),
        _ => Ok(()),
    }
}

/// Ends when the person interrupts the program.
async fn interrupt() {
    if tokio::signal::ctrl_c().await.is_err() {
        // The signal then ends the program without this.
        std::future::pending::<()>().await;
    }
}

/// Prints an answer.
fn print(command: &Create, service: &Service, answer: Value) -> Result<(), Failure> {
    if command.json {
        return print_json_line(&answer);
    }
    let answer = serde_json::from_value(answer).map_err(|error| unusable(&error.to_string()))?;
    print_text(&text(service, &command.push.0, command.push.1, &answer))
}

/// What to do after a failure.
fn advice(key: &Key, arrival: Arrival) -> String {
    let known = if arrival == Arrival::Unknown { "It is not known whether jobs were requested: " } else { "" };
    format!("{known}{}", again(key))
}

fn again(key: &Key) -> String {
    format!("run it again with --key {key}, and what was requested is not requested again")
}

/// A failure, and what to do in a line below it.
fn with_advice(failure: Failure, advice: &str) -> Failure {
    let added = |text: String| format!("{text}\n{advice}");
    match failure {
        Failure::Refused(text) => Failure::Refused(added(text)),
        Failure::Unreachable(text) => Failure::Unreachable(added(text)),
        Failure::Internal(text) => Failure::Internal(added(text)),
        Failure::Unsuccessful(text) => Failure::Unsuccessful(added(text)),
        // A closed pipe is not reported as a failure, and yet ends the requests.
        other => {
            let _ = writeln!(io::stderr(), "runnable-jobs: {advice}");
            other
        }
    }
}

/// Reads a query. One without a word would match all jobs of a push, which is a mistake.
fn query(text: &str) -> Result<String, &'static str> {
    let is_empty = Query::parse(text) == Query::default();
    if is_empty { Err("a query with a word is expected, for example 'mochitest linux !asan'") } else { Ok(text.into()) }
}

/// The jobs that match a query.
#[derive(Default)]
struct Found {
    jobs: Vec<ListedName>,
    decision_task: Option<String>,
}

async fn find(service: &Service, project: &str, push_id: u64, query: &str) -> Result<Found, Failure> {
    let treeherder = Treeherder::new(service.treeherder_url.as_str(), TimeDelta::zero(), clock());
    let decision_task = match treeherder.decision_task(project, push_id).await {
        DecisionTask::Found(task) => Some(task.to_string()),
        DecisionTask::None => {
            let _ = writeln!(
                io::stderr(),
                "runnable-jobs: push {push_id} of {project} has no decision task that succeeded: the list of the \
                 project is searched"
            );
            None
        }
        DecisionTask::Unavailable(reason) => return Err(Failure::Unreachable(reason)),
    };
    let jobs = service.search(project, query, decision_task.as_deref()).await?;
    if jobs.is_empty() {
        return Err(Failure::Refused(format!("no job of push {push_id} of {project} matches '{query}'")));
    }
    Ok(Found { jobs, decision_task })
}

/// The names of the found jobs, and those named besides, each once. Builds that found jobs need come first: a request
/// adds a build that is missing on the push, and a later request would run it a second time.
fn ordered(found: Vec<ListedName>, more: &[String]) -> Vec<String> {
    let builds: HashSet<String> = found.iter().filter_map(|job| job.upstream.clone()).collect();
    let mut known = HashSet::new();
    let names = found.into_iter().map(|job| job.ref_data_name).chain(more.iter().cloned());
    let names = names.filter(|name| known.insert(name.clone()));
    let (mut first, rest): (Vec<String>, Vec<String>) = names.partition(|name| builds.contains(name));
    first.extend(rest);
    first
}

/// Splits names into requests that the API accepts. The names keep their order.
fn requests_of(names: Vec<String>) -> Vec<Vec<String>> {
    let mut requests: Vec<Vec<String>> = Vec::new();
    let mut bytes = 0;
    for name in names {
        let size = serde_json::to_string(&name).map_or(name.len(), |json| json.len()) + 1;
        match requests.last_mut() {
            Some(last) if last.len() < REQUEST_JOBS && bytes + size <= REQUEST_BYTES => {
                last.push(name);
                bytes += size;
            }
            _ => {
                requests.push(vec![name]);
                bytes = size;
            }
        }
    }
    requests
}

/// An answer for people.
fn text(service: &Service, project: &str, push_id: u64, answer: &Answer) -> String {
    let mut text = plan::text(answer);
    if let Some(id) = &answer.request_id {
        let page = service.page(project, push_id, id);
        let _ = writeln!(text, "\nrequest {id}\nwatch it: {page}");
        let _ = writeln!(text, "operators of the service: runnable-jobs requests watch {id}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(name: &str, upstream: Option<&str>) -> ListedName {
        ListedName { ref_data_name: name.to_owned(), upstream: upstream.map(str::to_owned) }
    }

    #[test]
    fn builds_that_jobs_need_come_first_and_each_name_once() {
        let found = vec![job("a", Some("z")), job("b", None), job("z", None)];
        let more = ["b", "c", "c"].map(str::to_owned);
        assert_eq!(ordered(found, &more), ["z", "a", "b", "c"]);
        assert_eq!(ordered(Vec::new(), &more), ["b", "c"]);
    }

    #[test]
    fn a_request_has_a_thousand_names_and_no_more_bytes_than_the_api_accepts() {
        let sizes = |names: Vec<String>| requests_of(names).iter().map(Vec::len).collect::<Vec<_>>();
        let short = |count: usize| (0..count).map(|number| number.to_string()).collect::<Vec<_>>();
        assert!(requests_of(Vec::new()).is_empty());
        assert_eq!(sizes(short(1000)), [1000]);
        assert_eq!(sizes(short(2001)), [1000, 1000, 1]);
        let long = vec!["x".repeat(997); 600];
        assert_eq!(sizes(long.clone()), [250, 250, 100]);
        assert_eq!(requests_of(long).concat().len(), 600);
    }

    #[test]
    fn a_query_without_a_word_is_refused() {
        assert!(query("!asan").is_ok());
        for text in ["", " ", "!", "^ !"] {
            assert!(query(text).is_err(), "{text}");
        }
    }
}
