//! `requests`: makes requests to run jobs, looks at them, sends them again, and resolves recorded ones.

mod create;
mod follow;
mod replay;
mod retry;
mod watch;

use std::io::{self, Write as _};
use std::path::PathBuf;

use catalog::list::is_project_name;
use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use comfy_table::Table;
use requests::email::Email;
use requests::id::RequestId;
use requests::planning::Planning;
use requests::request::Request;
use runtime::settings::{Variables, variables};
use runtime::{Aws, ClientProfile};
use store::{Consistency, Queue, RequestsTable, StoredRequest};
use trigger_api::api::{ActionStatus, JobStatus, ProgressCounts, PublicUrls, Summary, TriggerRequest};
use trigger_api::service::TriggerService;
use trigger_api::settings::{Settings, TRIGGER_RULES, public_urls};
use trigger_api::sweep::sweep;

use super::{clock, lookup, trigger_dependencies};
use crate::failure::Failure;
use crate::output::{new_table, print_json_line, print_text, table_text, time};

#[derive(Debug, Args)]
pub(crate) struct Requests {
    #[command(subcommand)]
    command: Command,
    /// The requests table
    #[arg(long = "requests-table", global = true, env = variables::REQUESTS_TABLE, hide_env_values = true,
          value_name = "TABLE")]
    table: Option<String>,
    /// The catalog table
    #[arg(long, global = true, env = variables::CATALOG_TABLE, hide_env_values = true, value_name = "TABLE")]
    catalog_table: Option<String>,
    /// The address of the queue of requests
    #[arg(long, global = true, env = variables::QUEUE_URL, hide_env_values = true, value_name = "URL")]
    queue_url: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Request jobs on a push over the HTTP API, as the page does: for developers, without AWS
    #[command(after_help = "\
Examples:
  runnable-jobs requests create --push try/1001 --query 'mochitest linux !asan' --dry-run
  runnable-jobs requests create --push try/1001 --query '^test xpcshell | wpt debug$'
  runnable-jobs requests create --push try/1001 --job test-linux2404-64/opt-xpcshell-1

All words of a query have to match a job's line `label symbol group groupname platform title option`:
  word   anywhere     ^word  at its start     one | other  one of the two
  !word  nowhere      word$  at its end       two\\ words   a blank within a word
A word with capitals has to match their case.

RUNNABLE_JOBS_TOKEN has an ID token of the sign-in that the page uses. It is sent to the service alone.")]
    Create(create::Create),
    /// List open requests, oldest first; with --push or --requester those, newest first
    #[command(after_help = "\
Examples:
  runnable-jobs requests list
  runnable-jobs requests list --push try/1001
  runnable-jobs requests list --requester someone@mozilla.com --count 100 --json")]
    List(List),
    /// Show the jobs and the history of a request
    #[command(after_help = "Example:\n  runnable-jobs requests show 01KAS4B0MRJ6WJ0RGDX8T0E4JQ")]
    Show(Show),
    /// Show the jobs of a request until all of them have ended
    #[command(after_help = "\
Examples:
  runnable-jobs requests watch 01KAS4B0MRJ6WJ0RGDX8T0E4JQ
  runnable-jobs requests watch 01KAS4B0MRJ6WJ0RGDX8T0E4JQ --timeout 7200 && echo green

On a terminal a table is updated in place; elsewhere each change is a line. The exit code is 0 if every job succeeded, \
and 1 if some did not or the time is up. The table is read every 2 seconds, which costs half a read unit while nothing \
changed.")]
    Watch(Watch),
    /// Send the failed and unroutable jobs of a request again, or those of all requests in the dead-letter queue
    #[command(after_help = "\
Examples:
  runnable-jobs requests retry 01KAS4B0MRJ6WJ0RGDX8T0E4JQ
  runnable-jobs requests retry --dead-letters \"$DEAD_LETTER_QUEUE_URL\"

The jobs are sent without a permission check and without a budget. An open request is queued again. Each handled \
message is removed from the dead-letter queue. Messages that name no request, and requests that cannot be retried, \
stay there: exit code 3.")]
    Retry(Retry),
    /// Resolve recorded requests, one JSON object a line, against the catalog
    #[command(after_help = "\
A line has project, requester, resultset_id (or push_id), and requested_jobs (or buildernames), as Treeherder sent \
them to Pulse.

Example:
  runnable-jobs requests replay add-new-jobs.jsonl")]
    Replay(Replay),
    /// Queue the requests that are due, as the sweep function does
    #[command(after_help = "Example:\n  runnable-jobs requests sweep")]
    Sweep,
    /// Look at the jobs of forwarded requests whose turn it is, as the forward function does each minute
    #[command(after_help = "\
It asks Treeherder and Taskcluster what became of the jobs, and records what changed. A request has its turn each \
minute at first, and less and less often while nothing changes.

Example:
  runnable-jobs requests follow")]
    Follow(Follow),
}

#[derive(Debug, Args)]
struct Follow {
    /// Print the report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct List {
    /// Only requests for this push
    #[arg(long, value_name = "PROJECT/PUSH", conflicts_with = "requester", value_parser = push)]
    push: Option<(String, u64)>,
    /// Only requests of this person
    #[arg(long, value_name = "EMAIL")]
    requester: Option<Email>,
    /// The maximum number of requests
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    count: u16,
    /// Only requests older than this one
    #[arg(long, value_name = "REQUEST")]
    before: Option<RequestId>,
    /// Print JSON: a list of what HTTP answers in `results`
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Show {
    /// The id of the request
    request: RequestId,
    /// Print JSON, as HTTP answers it
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Watch {
    /// The id of the request
    request: RequestId,
    /// Stop after this number of seconds, whatever the state of the request
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=2_592_000))]
    timeout: Option<u64>,
}

#[derive(Debug, Args)]
struct Retry {
    /// The id of the request
    #[arg(conflicts_with = "dead_letters")]
    request: Option<RequestId>,
    /// The address of the dead-letter queue
    #[arg(long, value_name = "URL")]
    dead_letters: Option<String>,
    /// Print JSON, as HTTP answers it; with --dead-letters one object a message
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Replay {
    /// The file; `-` for standard input
    file: PathBuf,
    /// Store and queue each request for its requester, within the limits
    #[arg(long)]
    submit: bool,
    /// Print the outcome of each request, and the summary, as one JSON object a line
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(arguments: Requests) -> Result<(), Failure> {
    let Requests { command, table, catalog_table, queue_url } = arguments;
    let flags = [
        (variables::REQUESTS_TABLE, table),
        (variables::CATALOG_TABLE, catalog_table),
        (variables::QUEUE_URL, queue_url),
    ];
    let operator = Operator { lookup: &|variable| lookup(&flags, variable) };
    match command {
        Command::Create(command) => create::create(&command).await,
        Command::List(list) => operator.list(&list).await,
        Command::Show(show) => operator.show(&show).await,
        Command::Watch(Watch { request, timeout }) => watch::watch(&operator, request, timeout).await,
        Command::Retry(Retry { request, dead_letters, json }) => match (request, dead_letters) {
            (Some(id), _) => operator.retry(id, json).await,
            (None, Some(url)) => Box::pin(retry::dead_letters(&operator, &url, json)).await,
            (None, None) => Err(Failure::Usage("retry what? A request or --dead-letters is expected".to_owned())),
        },
        Command::Replay(command) => replay::replay(&operator, &command).await,
        Command::Sweep => operator.sweep().await,
        Command::Follow(Follow { json }) => follow::follow(&operator, json).await,
    }
}

/// What the commands work with: the settings, and what the settings name.
struct Operator<'l> {
    lookup: &'l dyn Fn(&str) -> Option<String>,
}

impl Operator<'_> {
    async fn aws(&self) -> Result<Aws, Failure> {
        Ok(Aws::from_environment(ClientProfile::Request).await?)
    }

    async fn requests(&self) -> Result<RequestsTable, Failure> {
        let table =
            Variables::new(self.lookup).required(variables::REQUESTS_TABLE, "the name of the requests table")?;
        Ok(RequestsTable::new(self.aws().await?.dynamodb(), &table))
    }

    /// The settings of the trigger function. An operator needs no permission, so that the rules may be missing.
    fn settings(&self) -> Result<Settings, Failure> {
        let no_rules = |variable: &str| (variable == TRIGGER_RULES).then(|| "{}".to_owned());
        Ok(Settings::read(|variable| {
            (self.lookup)(variable).filter(|set| !set.is_empty()).or_else(|| no_rules(variable))
        })?)
    }

    async fn service(&self) -> Result<TriggerService, Failure> {
        let settings = self.settings()?;
        let dependencies = trigger_dependencies(&settings, &self.aws().await?);
        Ok(TriggerService::new(&settings, dependencies))
    }

    /// The addresses with which links start.
    fn urls(&self) -> Result<PublicUrls, Failure> {
        Ok(public_urls(self.lookup)?)
    }

    async fn list(&self, list: &List) -> Result<(), Failure> {
        let table = self.requests().await?;
        let count = usize::from(list.count);
        let found = match (&list.push, &list.requester) {
            (Some((project, push)), _) => table.of_push(project, *push, list.before, count).await?,
            (None, Some(requester)) => table.of_requester(requester, list.before, count).await?,
            (None, None) => table.due(DateTime::<Utc>::MAX_UTC, count).await?,
        };
        warn_of_damage(table.cost().damaged);
        if list.json {
            let urls = self.urls()?;
            let summary = |request: &Request| Summary::new(request, &urls, true);
            return print_json_line(&found.iter().map(summary).collect::<Vec<_>>());
        }
        let mut table = new_table(["REQUEST", "STATE", "PROJECT", "PUSH", "REQUESTER", "TAKEN", "JOBS"]);
        for request in &found {
            table.add_row([
                request.id.to_string(),
                request.state.as_str().to_owned(),
                request.project.clone(),
                request.push_id.to_string(),
                request.requester.to_string(),
                request.created_at().map(time).unwrap_or_default(),
                counts(request),
            ]);
        }
        print_text(&table_text(&table))
    }

    async fn show(&self, show: &Show) -> Result<(), Failure> {
        let table = self.requests().await?;
        let request = find(&table, show.request).await?;
        let (request, jobs) = table.with_jobs(request, Consistency::Consistent).await?;
        let shown = TriggerRequest::new(&request, &jobs, &self.urls()?, true);
        if show.json {
            return print_json_line(&shown);
        }
        let on_behalf = request.on_behalf_by.as_ref().map(|by| format!(" (through {by})")).unwrap_or_default();
        let mut text = format!(
            "{} {}: push {} of {}, asked for by {}{on_behalf}{}\n\n",
            request.id,
            request.state.as_str(),
            request.push_id,
            request.project,
            request.requester,
            progress_text(shown.summary.progress.as_ref())
        );
        text += &table_text(&jobs_table(&shown.jobs));
        text.push('\n');
        if let Some(actions) = actions_table(&shown.summary.actions) {
            text += &table_text(&actions);
            text.push('\n');
        }
        let mut table = new_table(["WHEN", "STATE", "", "BY"]);
        for (place, event) in request.history.iter().enumerate() {
            if place == 1 && request.events_left_out > 0 {
                table.add_row(["...".to_owned(), format!("{} left out", request.events_left_out)]);
            }
            table.add_row([
                time(event.at),
                event.state.as_str().to_owned(),
                event.detail_text().unwrap_or_default(),
                event.by.as_ref().map(ToString::to_string).unwrap_or_default(),
            ]);
        }
        print_text(&(text + &table_text(&table)))
    }

    async fn retry(&self, id: RequestId, as_json: bool) -> Result<(), Failure> {
        let service = self.service().await?;
        let request = find(&service.requests, id).await?;
        let response = retry::send_again(&service, &request).await?;
        if as_json { print_json_line(&response) } else { print_text(&format!("{}\n", response.message)) }
    }

    async fn sweep(&self) -> Result<(), Failure> {
        let read = Variables::new(self.lookup);
        let url = read.required(variables::QUEUE_URL, "the address of the queue")?;
        let requests = self.requests().await?;
        let planning = read.parsed(variables::PLANNING, Planning::read)?.unwrap_or_default();
        let swept = sweep(&requests, &Queue::new(self.aws().await?.sqs(), &url), &planning, &clock()).await?;
        let error = swept.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        warn_of_damage(swept.damaged);
        print_text(&format!(
            "{} queued, {} that wait looked at again, {} failed{error}\n",
            swept.queued, swept.waiting, swept.failed
        ))
    }
}

/// The jobs of a request, and what became of them.
fn jobs_table<'j>(jobs: impl IntoIterator<Item = &'j JobStatus>) -> Table {
    let mut table = new_table(["JOB", "STATE", "OUTCOME", ""]);
    for job in jobs {
        table.add_row([job.name.clone(), job.state.clone(), outcome_text(job), detail_text(job)]);
    }
    table
}

/// How far a job is after it was forwarded, and its result.
fn outcome_text(job: &JobStatus) -> String {
    let Some(outcome) = &job.outcome else { return String::new() };
    joined([Some(&outcome.state), outcome.result.as_ref()])
}

/// The page about the run of a job, and what else there is to know about it.
fn detail_text(job: &JobStatus) -> String {
    joined([job.outcome.as_ref().and_then(|outcome| outcome.url.as_ref()), job.detail.as_ref()])
}

fn joined(words: [Option<&String>; 2]) -> String {
    words.into_iter().flatten().map(String::as_str).collect::<Vec<_>>().join(" ")
}

/// The actions that run labels of a request, if there are some.
fn actions_table(actions: &[ActionStatus]) -> Option<Table> {
    let mut table = new_table(["ACTION", "STATE", "JOBS", "CALLED", "TASK"]);
    for action in actions {
        table.add_row([
            action.number.to_string(),
            action.state.clone(),
            action.jobs.to_string(),
            time(action.called_at),
            action.url.clone().or_else(|| action.task_id.clone()).unwrap_or_default(),
        ]);
    }
    (!actions.is_empty()).then_some(table)
}

/// How far the jobs of a request are, in brackets. Empty if there is nothing to say.
fn progress_text(progress: Option<&ProgressCounts>) -> String {
    let Some(ProgressCounts { waiting, running, succeeded, failed }) = progress else { return String::new() };
    let counts = [(waiting, "waiting"), (running, "running"), (succeeded, "succeeded"), (failed, "failed")];
    let counts = counts.iter().filter(|(count, _)| **count > 0).map(|(count, word)| format!("{count} {word}"));
    let counts: Vec<String> = counts.collect();
    if counts.is_empty() { String::new() } else { format!(" ({})", counts.join(", ")) }
}

/// Reports how many stored items cannot be read. The log names them.
fn warn_of_damage(damaged: u32) {
    if damaged > 0 {
        let _ = writeln!(io::stderr(), "runnable-jobs: {damaged} stored items cannot be read and are left out");
    }
}

async fn find(table: &RequestsTable, id: RequestId) -> Result<StoredRequest, Failure> {
    let found = table.stored(id, Consistency::Consistent).await?;
    found.ok_or_else(|| Failure::Refused(format!("there is no request {id}; they are kept for 90 days")))
}

/// Parses `PROJECT/PUSH`. The project becomes a part of addresses, and is what the API accepts as one.
fn push(text: &str) -> Result<(String, u64), &'static str> {
    let read = || {
        let (project, push) = text.split_once('/').filter(|(project, _)| is_project_name(project.as_bytes()))?;
        // `parse` accepts a sign too.
        let id = push.parse().ok().filter(|_| push.bytes().all(|byte| byte.is_ascii_digit()))?;
        Some((project.to_owned(), id))
    };
    read().ok_or("a project and a push are expected, for example try/1001")
}

fn counts(request: &Request) -> String {
    let counts = request.job_counts.iter().map(|(state, count)| format!("{count} {}", state.as_str()));
    counts.collect::<Vec<_>>().join(", ")
}
