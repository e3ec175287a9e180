//! The words of the command line: the commands, and the flags that several of them share.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use catalog::schedule::Cron;
use clap::{Args, Parser, Subcommand, ValueEnum};
use etl::settings::{self, MAX_DROP_PERCENT, MAX_SOURCE_BYTES, MIN_BUILDERS, percent, variables};
use etl::source::SourceLocation;
use etl::source::taskcluster::TaskclusterSource;
use runtime::settings::{A_TABLE, SettingsError, Variables, environment, whole_number};
use taskcluster::TaskclusterSettings;

use crate::commands::{forward::Forward, requests::Requests, serve::Serve};
use crate::failure::{EXIT_CODES, Failure};

const EXAMPLES: &str = "\
Examples:
  runnable-jobs ingest --source allthethings.json.gz --dry-run
  runnable-jobs show try --platform linux64
  runnable-jobs requests list --push try/1001
  runnable-jobs serve --listen 127.0.0.1:8000";

const VARIABLES: &str = "\
Flags come first, then the RUNNABLE_JOBS_... variables. AWS's own variables (AWS_REGION,
AWS_PROFILE, AWS_ENDPOINT_URL, ...) select the account.";

/// Which jobs can run on a push to a Mozilla repository, and requests to run them: for operators and developers.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}\n\n{VARIABLES}"))]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Report more on standard error
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Read a dump of Buildbot's builders, Taskcluster's task graphs, or both, and publish what changed
    #[command(after_help = "\
Examples:
  runnable-jobs ingest --source allthethings.json.gz --dry-run
  runnable-jobs ingest --source https://example.org/allthethings.json --archive my-archive
  runnable-jobs ingest --source - --only try --only autoland < allthethings.json
  runnable-jobs ingest --taskcluster https://firefox-ci-tc.services.mozilla.com
  runnable-jobs ingest --taskcluster try=full-task-graph.json.gz --dry-run")]
    Ingest(Ingest),
    /// Write each project's list to a folder, as HTTP serves it; needs no AWS
    #[command(after_help = "\
Examples:
  runnable-jobs catalog --source allthethings.json --out lists
  runnable-jobs catalog --source allthethings.json --taskcluster try=runnable-jobs.json --out lists")]
    Catalog(Catalog),
    /// Classify builder names from standard input, one a line, to one JSON object a line
    #[command(after_help = "Example:\n  echo 'Windows 7 32-bit try pgo talos svgr' | runnable-jobs classify")]
    Classify,
    /// Compare two dumps, or two task graphs of a project, and show what changed
    #[command(after_help = "\
Examples:
  runnable-jobs diff yesterday.json today.json --names
  runnable-jobs diff --taskcluster old/runnable-jobs.json new/full-task-graph.json.gz")]
    Diff(Diff),
    /// List past ingests, and when the next one is due
    #[command(after_help = "Example:\n  runnable-jobs runs --last 5")]
    Runs(Runs),
    /// Show a project's list as it is stored
    #[command(after_help = "\
Examples:
  runnable-jobs show try --platform linux64 --group M-e10s
  runnable-jobs show mozilla-inbound --name 'talos' --json
  runnable-jobs show autoland --build-system taskcluster --tier 1")]
    Show(Show),
    /// Write an allthethings.json of any size, made from the vocabulary, to standard output
    #[command(after_help = "Example:\n  runnable-jobs sample --builders 20000 --seed 1 > sample.json")]
    Sample(Sample),
    /// Request jobs, look at requests, and send them again
    #[command(arg_required_else_help = true)]
    Requests(Requests),
    /// Forward queued requests and follow their jobs, as the function does in Lambda
    ///
    /// The variables are those of the forward function, and `RUNNABLE_JOBS_QUEUE_URL`. Prints one line of JSON a message
    /// of the queue. Without --once it also follows the jobs that were forwarded: one round, and one line, a minute.
    #[command(after_help = "\
Examples:
  runnable-jobs forward --once
  runnable-jobs forward --dry-run")]
    Forward(Forward),
    /// Serve lists, triggering and the API reference on one port, as the functions do in Lambda
    ///
    /// The variables are those of the jobs and the trigger function. If none of the variables that triggering requires is
    /// set, only the lists and the reference are served. Prints one line of JSON a request.
    #[command(after_help = "\
Examples:
  runnable-jobs serve --table catalog
  runnable-jobs serve --listen 127.0.0.1:0")]
    Serve(Serve),
    /// Print the OpenAPI document of the whole API
    #[command(after_help = "Example:\n  runnable-jobs openapi > docs/reference/openapi.json")]
    Openapi,
}

#[derive(Debug, Args)]
pub(crate) struct Ingest {
    #[command(flatten)]
    pub(crate) sources: Sources,
    #[command(flatten)]
    pub(crate) table: TableFlag,
    #[command(flatten)]
    pub(crate) schedule: ScheduleFlag,
    /// Keep the dump in this bucket, under the hash of its content
    #[arg(long, value_name = "BUCKET", env = variables::ARCHIVE_BUCKET, hide_env_values = true)]
    pub(crate) archive: Option<String>,
    /// Read, compare and report, but write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Publish even if the guards refuse or the source is unchanged
    #[arg(long)]
    pub(crate) force: bool,
    /// Publish only this project; may be repeated
    #[arg(long, value_name = "PROJECT")]
    pub(crate) only: Vec<String>,
    /// Refuse a dump of fewer builders
    #[arg(long, value_name = "N", env = variables::MIN_BUILDERS, hide_env_values = true, default_value_t = MIN_BUILDERS,
          value_parser = whole_number)]
    pub(crate) min_builders: u64,
    /// Refuse what removes a larger share of the jobs of the catalog or a project, or of its tests' builds
    #[arg(long, value_name = "PERCENT", env = variables::MAX_DROP_PERCENT, hide_env_values = true,
          default_value_t = MAX_DROP_PERCENT, value_parser = percent)]
    pub(crate) max_drop_percent: u8,
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// The sources that a command reads: a dump, task graphs, or both.
#[derive(Debug, Args)]
pub(crate) struct Sources {
    #[allow(clippy::doc_markdown)] // The help shows the text without backquotes.
    /// Buildbot's dump, plain or gzip: a file, `-`, http://, https:// or s3://BUCKET/KEY [env: RUNNABLE_JOBS_SOURCE]
    #[arg(long, value_name = "SOURCE", verbatim_doc_comment)]
    source: Option<SourceLocation>,
    #[allow(clippy::doc_markdown)]
    /// Taskcluster: its root URL, or the task graph of a project as PROJECT=FILE (may be repeated)
    /// [env: RUNNABLE_JOBS_TASKCLUSTER_URL]
    ///
    /// FILE is a runnable-jobs.json or a full-task-graph.json, plain or gzip. With a root URL,
    /// RUNNABLE_JOBS_TASKCLUSTER_PROJECTS says which projects are read. If neither --source nor --taskcluster is given,
    /// the variables of both apply.
    #[arg(long, value_name = "ROOT_URL|PROJECT=FILE", verbatim_doc_comment)]
    taskcluster: Vec<TaskclusterFlag>,
    #[command(flatten)]
    pub(crate) size_limit: SizeLimit,
}

/// A value of `--taskcluster`.
#[derive(Debug, Clone, PartialEq, Eq)]
enum TaskclusterFlag {
    RootUrl(String),
    File { project: String, file: PathBuf },
}

impl FromStr for TaskclusterFlag {
    type Err = &'static str;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        if value.starts_with("https://") || value.starts_with("http://") {
            return Ok(Self::RootUrl(value.to_owned()));
        }
        let file = value
            .split_once('=')
            .filter(|(project, file)| catalog::list::is_project_name(project.as_bytes()) && !file.is_empty());
        let (project, file) = file.ok_or("a root URL (https://...) or PROJECT=FILE is expected")?;
        Ok(Self::File { project: project.to_owned(), file: file.into() })
    }
}

/// The sources that the flags name, or the variables if no flag names any. There is at least one.
pub(crate) struct NamedSources {
    pub(crate) buildbot: Option<SourceLocation>,
    pub(crate) taskcluster: Option<TaskclusterSource>,
}

impl Sources {
    pub(crate) fn named(&self) -> Result<NamedSources, Failure> {
        if self.source.is_some() || !self.taskcluster.is_empty() {
            return Ok(NamedSources { buildbot: self.source.clone(), taskcluster: self.taskcluster()? });
        }
        let buildbot = Variables::new(environment).parsed(variables::SOURCE, SourceLocation::from_str)?;
        let taskcluster = TaskclusterSettings::read(environment)?.map(TaskclusterSource::from);
        if buildbot.is_none() && taskcluster.is_none() {
            let (variable, expected) = ("--source or RUNNABLE_JOBS_SOURCE", settings::A_SOURCE);
            return Err(SettingsError::Missing { variable, expected }.into());
        }
        Ok(NamedSources { buildbot, taskcluster })
    }

    /// The task graphs that the flags name.
    fn taskcluster(&self) -> Result<Option<TaskclusterSource>, Failure> {
        let mut files = BTreeMap::new();
        for flag in &self.taskcluster {
            match flag {
                TaskclusterFlag::RootUrl(root_url) if self.taskcluster.len() == 1 => {
                    let lookup = |variable: &str| {
                        let is_url = variable == variables::TASKCLUSTER_URL;
                        if is_url { Some(root_url.clone()) } else { environment(variable) }
                    };
                    return Ok(TaskclusterSettings::read(lookup)?.map(TaskclusterSource::from));
                }
                TaskclusterFlag::RootUrl(_) => {
                    let expected = "--taskcluster takes one root URL, or a file for each project";
                    return Err(Failure::Usage(expected.to_owned()));
                }
                TaskclusterFlag::File { project, file } => {
                    if files.insert(project.clone(), file.clone()).is_some() {
                        return Err(Failure::Usage(format!(
                            "--taskcluster names two files of the project '{project}'"
                        )));
                    }
                }
            }
        }
        Ok((!files.is_empty()).then_some(TaskclusterSource::Files(files)))
    }
}

#[derive(Debug, Args)]
pub(crate) struct SizeLimit {
    /// Refuse a dump or a task graph that has more bytes, compressed or uncompressed
    #[arg(long, value_name = "BYTES", env = variables::MAX_SOURCE_BYTES, hide_env_values = true,
          default_value_t = MAX_SOURCE_BYTES, value_parser = whole_number)]
    pub(crate) max_source_bytes: u64,
}

#[derive(Debug, Args)]
pub(crate) struct TableFlag {
    /// The catalog table
    #[arg(long, value_name = "NAME", env = variables::CATALOG_TABLE, hide_env_values = true)]
    table: Option<String>,
}

impl TableFlag {
    /// The table's name; a flag or a variable must give it.
    pub(crate) fn name(&self) -> Result<&str, SettingsError> {
        let (variable, expected) = ("--table or RUNNABLE_JOBS_CATALOG_TABLE", A_TABLE);
        self.table.as_deref().ok_or(SettingsError::Missing { variable, expected })
    }
}

#[derive(Debug, Args)]
pub(crate) struct ScheduleFlag {
    /// When ingests are due: six fields of an `EventBridge` cron expression in UTC, for example '0 6 * * ? *'
    #[arg(long, value_name = "CRON", env = variables::SCHEDULE, hide_env_values = true)]
    pub(crate) schedule: Option<Cron>,
    /// When ingests of Taskcluster are due, for example '20 * * * ? *'
    #[arg(long, value_name = "CRON", env = variables::TASKCLUSTER_SCHEDULE, hide_env_values = true)]
    pub(crate) taskcluster_schedule: Option<Cron>,
}

/// A build system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BuildSystem {
    Buildbot,
    Taskcluster,
}

impl BuildSystem {
    /// The name, as lists and reports have it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Buildbot => catalog::buildbot::BUILD_SYSTEM,
            Self::Taskcluster => catalog::taskcluster::BUILD_SYSTEM,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Catalog {
    #[command(flatten)]
    pub(crate) sources: Sources,
    /// The folder; created if missing
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The old dump, or the file of the old task graph
    pub(crate) old: SourceLocation,
    /// The new dump, or the file of the new task graph
    pub(crate) new: SourceLocation,
    /// Compare two task graphs (runnable-jobs.json or full-task-graph.json, plain or gzip) instead of dumps
    #[arg(long)]
    pub(crate) taskcluster: bool,
    #[command(flatten)]
    pub(crate) size_limit: SizeLimit,
    /// Print the names of all jobs that differ
    #[arg(long)]
    pub(crate) names: bool,
    /// Print everything as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Runs {
    #[command(flatten)]
    pub(crate) table: TableFlag,
    #[command(flatten)]
    pub(crate) schedule: ScheduleFlag,
    /// How many ingests of each build system to list
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub(crate) last: u16,
    /// Only ingests of this build system
    #[arg(long)]
    pub(crate) build_system: Option<BuildSystem>,
    /// Print the reports as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The project, for example `try`
    pub(crate) project: String,
    #[command(flatten)]
    pub(crate) table: TableFlag,
    /// Only jobs on this platform, for example linux64
    #[arg(long)]
    pub(crate) platform: Option<String>,
    /// Only jobs whose group has this name or symbol, for example M-e10s
    #[arg(long)]
    pub(crate) group: Option<String>,
    /// Only jobs whose builder name or label contains this text, in any case
    #[arg(long, value_name = "TEXT")]
    pub(crate) name: Option<String>,
    /// Only jobs of this build system
    #[arg(long)]
    pub(crate) build_system: Option<BuildSystem>,
    /// Only jobs of this tier; those of Buildbot have none
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=3))]
    pub(crate) tier: Option<u8>,
    /// Print the list as HTTP serves it
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Sample {
    /// How many builders to write
    #[arg(long, value_name = "N")]
    pub(crate) builders: usize,
    /// The same seed makes the same sample
    #[arg(long, value_name = "K", default_value_t = 1)]
    pub(crate) seed: u64,
}
