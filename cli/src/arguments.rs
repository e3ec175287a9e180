//! The words of the command line: the commands, and the flags that several of them share.

use std::path::PathBuf;

use catalog::schedule::Cron;
use clap::{Args, Parser, Subcommand};
use etl::settings::{self, MAX_DROP_PERCENT, MAX_SOURCE_BYTES, MIN_BUILDERS, percent, variables};
use etl::source::SourceLocation;
use runtime::settings::{A_TABLE, SettingsError, whole_number};

use crate::commands::{forward::Forward, requests::Requests, serve::Serve};
use crate::failure::EXIT_CODES;

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
    /// Read a dump of Buildbot's builders and publish what changed
    #[command(after_help = "\
Examples:
  runnable-jobs ingest --source allthethings.json.gz --dry-run
  runnable-jobs ingest --source https://example.org/allthethings.json --archive my-archive
  runnable-jobs ingest --source - --only try --only autoland < allthethings.json")]
    Ingest(Ingest),
    /// Write each project's list to a folder, as HTTP serves it; needs no AWS
    #[command(after_help = "Example:\n  runnable-jobs catalog --source allthethings.json --out lists")]
    Catalog(Catalog),
    /// Classify builder names from standard input, one a line, to one JSON object a line
    #[command(after_help = "Example:\n  echo 'Windows 7 32-bit try pgo talos svgr' | runnable-jobs classify")]
    Classify,
    /// Compare two dumps and show what changed, per project
    #[command(after_help = "Example:\n  runnable-jobs diff yesterday.json today.json --names")]
    Diff(Diff),
    /// List past ingests, and when the next one is due
    #[command(after_help = "Example:\n  runnable-jobs runs --last 5")]
    Runs(Runs),
    /// Show a project's list as it is stored
    #[command(after_help = "\
Examples:
  runnable-jobs show try --platform linux64 --group M-e10s
  runnable-jobs show mozilla-inbound --name 'talos' --json")]
    Show(Show),
    /// Write an allthethings.json of any size, made from the vocabulary, to standard output
    #[command(after_help = "Example:\n  runnable-jobs sample --builders 20000 --seed 1 > sample.json")]
    Sample(Sample),
    /// Look at requests to run jobs, and send them again
    #[command(arg_required_else_help = true)]
    Requests(Requests),
    /// Forward queued requests to Pulse, as the function does in Lambda
    ///
    /// The variables are those of the forward function, and `RUNNABLE_JOBS_QUEUE_URL`. Prints one line of JSON a message
    /// of the queue.
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
    pub(crate) source: DumpSource,
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
    /// Refuse a dump that removes a larger share of the jobs of the catalog or a project, or of its tests' builds
    #[arg(long, value_name = "PERCENT", env = variables::MAX_DROP_PERCENT, hide_env_values = true,
          default_value_t = MAX_DROP_PERCENT, value_parser = percent)]
    pub(crate) max_drop_percent: u8,
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// The dump that a command reads.
#[derive(Debug, Args)]
pub(crate) struct DumpSource {
    #[allow(clippy::doc_markdown)] // The help shows the text without backquotes.
    /// The dump, plain or gzip: a file, `-`, http://, https:// or s3://BUCKET/KEY
    #[arg(long, value_name = "SOURCE", env = variables::SOURCE, hide_env_values = true)]
    source: Option<SourceLocation>,
    #[command(flatten)]
    pub(crate) size_limit: SizeLimit,
}

impl DumpSource {
    /// The location of the dump; a flag or a variable must give it.
    pub(crate) fn source(&self) -> Result<&SourceLocation, SettingsError> {
        let (variable, expected) = ("--source or RUNNABLE_JOBS_SOURCE", settings::A_SOURCE);
        self.source.as_ref().ok_or(SettingsError::Missing { variable, expected })
    }
}

#[derive(Debug, Args)]
pub(crate) struct SizeLimit {
    /// Refuse a dump that has more bytes, compressed or uncompressed
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
}

#[derive(Debug, Args)]
pub(crate) struct Catalog {
    #[command(flatten)]
    pub(crate) source: DumpSource,
    /// The folder; created if missing
    #[arg(long, value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The old dump
    pub(crate) old: SourceLocation,
    /// The new dump
    pub(crate) new: SourceLocation,
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
    /// How many ingests to list
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(crate) last: usize,
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
    /// Only jobs whose builder name contains this text, in any case
    #[arg(long, value_name = "TEXT")]
    pub(crate) name: Option<String>,
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
