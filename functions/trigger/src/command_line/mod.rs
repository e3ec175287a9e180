//! What operators do from a shell: look at requests, send them again, and see what would become of recorded ones.

mod replay;
mod retry;

use std::fmt;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Args, Parser, Subcommand};
use comfy_table::Table;
use requests::email::Email;
use requests::id::RequestId;
use requests::planning::Planning;
use requests::request::Request;
use serde::Serialize;
use store::cached::Clock;
use store::settings::{SettingsError, Variables, variables};
use store::{Aws, ClientProfile, Consistency, RequestsTable, StoreError};
use tokio::net::TcpListener;
use trigger_api::api::{Summary, TriggerRequest};
use trigger_api::error::TriggerError;
use trigger_api::service::TriggerService;
use trigger_api::settings::{Settings, treeherder_public_url};
use trigger_api::sweep::sweep;
use trigger_api::{Dependencies, app};

const AFTER_HELP: &str = "\
Exit codes:
  0  done
  1  internal error, or the output cannot be written
  2  usage: a flag or a variable is missing or wrong
  3  refused: there is no such request, or it cannot be done with it
  5  the store or the queue cannot be reached

The variables are the trigger function's own (RUNNABLE_JOBS_...). AWS's own (AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL,
...) say where the store is and who asks.";

/// Looks at requests to trigger jobs, and sends them again.
#[derive(Debug, Parser)]
#[command(version, after_help = AFTER_HELP, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// The requests table
    #[arg(long, global = true, env = variables::REQUESTS_TABLE, hide_env_values = true, value_name = "TABLE")]
    requests_table: Option<String>,
    /// The catalog table
    #[arg(long, global = true, env = variables::CATALOG_TABLE, hide_env_values = true, value_name = "TABLE")]
    catalog_table: Option<String>,
    /// The address of the queue of requests
    #[arg(long, global = true, env = variables::QUEUE_URL, hide_env_values = true, value_name = "URL")]
    queue_url: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List requests, newest first; without flags those in which something is still to happen, oldest first
    #[command(after_help = "\
Examples:
  trigger list
  trigger list --push try/1001
  trigger list --requester someone@mozilla.com --count 100 --json")]
    List(List),
    /// Show a request: its jobs, and what happened to it
    Show(One),
    /// Send the failed and unroutable jobs of a request again, or those of all requests in the dead-letter queue
    #[command(after_help = "\
Examples:
  trigger retry 01KAS4B0MRJ6WJ0RGDX8T0E4JQ
  trigger retry --dead-letters https://sqs.us-east-1.amazonaws.com/123456789012/runnable-jobs-dead-letters

A request in which something is still to happen is queued again. Of the dead-letter queue each message that was tried
again is removed. What is no message of ours, or cannot be sent again, is left there: exit code 3.")]
    Retry(Retry),
    /// Judge recorded requests, one JSON object a line, against the catalog
    #[command(after_help = "\
A line has project, requester, resultset_id (or push_id), and requested_jobs (or buildernames), as Treeherder sent them to
Pulse.

Example:
  trigger replay add-new-jobs.jsonl")]
    Replay(Replay),
    /// Queue what was kept but not queued, and what is to be looked at again, as the scheduled function does
    Sweep,
    /// Serve the HTTP API on a port, as the function does in Lambda
    Serve(Serve),
}

#[derive(Debug, Args)]
struct List {
    /// Those on this push
    #[arg(long, value_name = "PROJECT/PUSH", conflicts_with = "requester", value_parser = push)]
    push: Option<(String, u64)>,
    /// Those of this person
    #[arg(long, value_name = "EMAIL")]
    requester: Option<Email>,
    /// How many at most
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    count: u16,
    /// Only those that are older than this request
    #[arg(long, value_name = "REQUEST")]
    before: Option<RequestId>,
    /// Print JSON, as HTTP answers it
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct One {
    /// The request's name
    request: RequestId,
    /// Print JSON, as HTTP answers it
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Retry {
    /// The request's name
    #[arg(conflicts_with = "dead_letters")]
    request: Option<RequestId>,
    /// The address of the dead-letter queue
    #[arg(long, value_name = "URL")]
    dead_letters: Option<String>,
    /// Print JSON, as HTTP answers it; of the dead-letter queue an object a message
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Replay {
    /// The file; `-` for standard input
    file: PathBuf,
    /// Not only judge: keep and queue each request, for the requester it names, within the limits
    #[arg(long)]
    submit: bool,
    /// Print each request's outcome and the summary as JSON, one object a line
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
struct Serve {
    /// The address and port to serve; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8001")]
    listen: SocketAddr,
}

/// Why a command was not done.
#[derive(Debug)]
pub(crate) enum Failure {
    Settings(SettingsError),
    Store(StoreError),
    Refused(String),
    /// The service refused.
    Trigger(TriggerError),
    Input(String),
    Output(io::Error),
}

pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let Arguments { command, requests_table, catalog_table, queue_url } = arguments;
    let given = [
        (variables::REQUESTS_TABLE, requests_table),
        (variables::CATALOG_TABLE, catalog_table),
        (variables::QUEUE_URL, queue_url),
    ];
    let lookup = |variable: &str| match given.iter().find(|(known, _)| *known == variable) {
        Some((_, value)) => value.clone(),
        None => std::env::var(variable).ok(),
    };
    let shell = Shell { lookup: &lookup };
    match command {
        Command::List(list) => shell.list(&list).await,
        Command::Show(one) => shell.show(&one).await,
        Command::Retry(Retry { request, dead_letters, json }) => match (request, dead_letters) {
            (Some(id), _) => shell.retry(id, json).await,
            (None, Some(url)) => retry::dead_letters(&shell, &url, json).await,
            (None, None) => Err(Failure::Input("retry what? A request or --dead-letters is expected".to_owned())),
        },
        Command::Replay(command) => replay::replay(&shell, &command).await,
        Command::Sweep => shell.sweep().await,
        Command::Serve(serve) => shell.serve(&serve).await,
    }
}

/// What all commands work with.
struct Shell<'l> {
    lookup: &'l dyn Fn(&str) -> Option<String>,
}

impl Shell<'_> {
    async fn aws(&self) -> Result<Aws, Failure> {
        Ok(Aws::from_environment(ClientProfile::Request).await?)
    }

    async fn requests(&self) -> Result<RequestsTable, Failure> {
        let table =
            Variables::new(self.lookup).required(variables::REQUESTS_TABLE, "the name of the requests table")?;
        Ok(self.aws().await?.requests_table(&table))
    }

    /// The settings of the function. An operator is nobody's requester, so that no rules need be given.
    fn settings(&self) -> Result<Settings, Failure> {
        let permissions = |variable: &str| (variable == "RUNNABLE_JOBS_TRIGGER_RULES").then(|| "{}".to_owned());
        Ok(Settings::read(|variable| {
            (self.lookup)(variable).filter(|set| !set.is_empty()).or_else(|| permissions(variable))
        })?)
    }

    async fn service(&self) -> Result<TriggerService, Failure> {
        let settings = self.settings()?;
        let dependencies = dependencies(&settings, &self.aws().await?);
        Ok(TriggerService::new(&settings, dependencies))
    }

    /// Where people find Treeherder, for links.
    fn treeherder(&self) -> Result<String, Failure> {
        Ok(treeherder_public_url(self.lookup)?)
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
            let treeherder = self.treeherder()?;
            let summary = |request: &Request| Summary::new(request, &treeherder, true);
            return print(&json(&found.iter().map(summary).collect::<Vec<_>>()));
        }
        let mut table = columns(["REQUEST", "STATE", "PROJECT", "PUSH", "REQUESTER", "TAKEN", "JOBS"]);
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
        print(&rows(&table))
    }

    async fn show(&self, one: &One) -> Result<(), Failure> {
        let table = self.requests().await?;
        let request = find(&table, one.request).await?;
        let (request, jobs) = table.with_jobs(request, Consistency::Consistent).await?;
        if one.json {
            return print(&json(&TriggerRequest::new(&request, &jobs, &self.treeherder()?, true)));
        }
        let on_behalf = request.on_behalf_by.as_ref().map(|by| format!(" (through {by})")).unwrap_or_default();
        let mut text = format!(
            "{} {}: push {} of {}, asked for by {}{on_behalf}\n\n",
            request.id,
            request.state.as_str(),
            request.push_id,
            request.project,
            request.requester
        );
        let mut table = columns(["JOB", "STATE", ""]);
        for job in &jobs {
            let detail = job.detail(&request.project).unwrap_or_default();
            table.add_row([job.name.clone(), job.state.as_str().to_owned(), detail]);
        }
        text += &rows(&table);
        text.push('\n');
        let mut table = columns(["WHEN", "STATE", "", "BY"]);
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
        print(&(text + &rows(&table)))
    }

    async fn retry(&self, id: RequestId, as_json: bool) -> Result<(), Failure> {
        let service = self.service().await?;
        let request = find(&service.requests, id).await?;
        let response = retry::send_again(&service, &request).await?;
        if as_json { print(&json(&response)) } else { print(&format!("{}\n", response.message)) }
    }

    async fn sweep(&self) -> Result<(), Failure> {
        let read = Variables::new(self.lookup);
        let url = read.required(variables::QUEUE_URL, "the address of the queue")?;
        let requests = self.requests().await?;
        let planning = read.parsed(variables::PLANNING, Planning::read)?.unwrap_or_default();
        let swept = sweep(&requests, &self.aws().await?.queue(&url), &planning, &clock()).await?;
        let error = swept.error.as_ref().map(|error| format!(": {error}")).unwrap_or_default();
        warn_of_damage(swept.damaged);
        print(&format!(
            "{} queued, {} that wait looked at again, {} failed{error}\n",
            swept.queued, swept.waiting, swept.failed
        ))
    }

    async fn serve(&self, serve: &Serve) -> Result<(), Failure> {
        let settings = Settings::read(self.lookup)?;
        let dependencies = dependencies(&settings, &self.aws().await?);
        let cannot = |error| Failure::Input(format!("{} cannot be listened on: {error}", serve.listen));
        let listener = TcpListener::bind(serve.listen).await.map_err(cannot)?;
        let address = listener.local_addr().map_err(cannot)?;
        #[expect(clippy::print_stdout, reason = "the log is what this command prints")]
        let log = Arc::new(|line: &str| println!("{line}"));
        let _ = writeln!(io::stderr(), "Serving http://{address}/ until Ctrl-C");
        http_api::listen(listener, app(settings, dependencies, log)).await.map_err(Failure::Output)
    }
}

fn dependencies(settings: &Settings, aws: &Aws) -> Dependencies {
    Dependencies::new(settings, aws, clock(), Arc::new(|| uuid::Uuid::new_v4().as_u128()))
}

fn clock() -> Clock {
    #[expect(clippy::disallowed_methods, reason = "the edge at which time enters")]
    Arc::new(Utc::now)
}

/// Says how many stored items cannot be read; the log says which.
fn warn_of_damage(damaged: u32) {
    if damaged > 0 {
        let _ = writeln!(io::stderr(), "trigger: {damaged} stored items cannot be read and are left out");
    }
}

async fn find(table: &RequestsTable, id: RequestId) -> Result<Request, Failure> {
    let found = table.request(id, Consistency::Consistent).await?;
    found.ok_or_else(|| Failure::Refused(format!("there is no request {id}; they are kept for 90 days")))
}

/// `PROJECT/PUSH`.
fn push(text: &str) -> Result<(String, u64), &'static str> {
    let parts = text.split_once('/').and_then(|(project, push)| Some((project.to_owned(), push.parse().ok()?)));
    parts.filter(|(project, _)| !project.is_empty()).ok_or("a project and a push are expected, for example try/1001")
}

fn counts(request: &Request) -> String {
    let counts = request.job_counts.iter().map(|(state, count)| format!("{count} {}", state.as_str()));
    counts.collect::<Vec<_>>().join(", ")
}

fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn columns<const N: usize>(names: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(names);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

fn rows(table: &Table) -> String {
    let mut text = String::new();
    for line in table.lines() {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("numbers, strings and times can be written to memory") + "\n"
}

fn print(text: &str) -> Result<(), Failure> {
    io::stdout().write_all(text.as_bytes()).map_err(Failure::Output)
}

impl Failure {
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Output(_) => 1,
            Self::Settings(_) | Self::Input(_) => 2,
            Self::Trigger(error) if error.is_unavailable() => 5,
            Self::Refused(_) | Self::Trigger(_) => 3,
            Self::Store(_) => 5,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(error) => error.fmt(out),
            Self::Store(error) => error.fmt(out),
            Self::Refused(reason) | Self::Input(reason) => reason.fmt(out),
            Self::Trigger(error) => {
                error.fmt(out)?;
                error.cause().iter().try_for_each(|cause| write!(out, " ({cause})"))
            }
            Self::Output(error) => write!(out, "the output cannot be written: {error}"),
        }
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::Settings(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<TriggerError> for Failure {
    fn from(error: TriggerError) -> Self {
        Self::Trigger(error)
    }
}
