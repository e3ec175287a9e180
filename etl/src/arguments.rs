//! The words of the command line.

use std::path::PathBuf;

use catalog::schedule::Cron;
use clap::{Args, Parser, Subcommand};
use etl::settings::{self, MAX_DROP_PERCENT, MAX_SOURCE_BYTES, MIN_BUILDERS, percent, variables};
use etl::source::SourceLocation;
use runtime::settings::{A_TABLE, SettingsError, whole_number};

const EXIT_CODES: &str = "\
Exit codes:
  0  published, or unchanged
  1  internal error, or the output cannot be written
  2  usage: a flag or a variable is missing or wrong
  3  refused: a guard, or the document is broken; the old catalog stays
  4  the source cannot be reached, or broke off
  5  the store cannot be reached
  6  another ingest published at the same time; the next one catches up

AWS's own variables (AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL, ...) say where the store is and who asks.";

/// Reads Buildbot's dump of every builder and publishes, per project, the list of jobs that can be run.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Tell more on standard error
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Read a dump and publish what changed
    #[command(after_help = "\
Examples:
  etl ingest --source allthethings.json.gz --dry-run
  etl ingest --source https://example.org/allthethings.json --archive my-archive
  etl ingest --source - --only try --only autoland < allthethings.json")]
    Ingest(Ingest),
    /// Write each project's list to a folder, as HTTP serves it; needs no AWS
    #[command(after_help = "Example:\n  etl catalog --source allthethings.json --out lists")]
    Catalog(Catalog),
    /// Classify builder names from standard input, one a line, to one JSON object a line
    #[command(after_help = "Example:\n  echo 'Windows 7 32-bit try pgo talos svgr' | etl classify")]
    Classify,
    /// Tell what changed between two dumps, per project
    #[command(after_help = "Example:\n  etl diff yesterday.json today.json --names")]
    Diff(Diff),
    /// List past ingests, and tell when the next one is due
    #[command(after_help = "Example:\n  etl runs --last 5")]
    Runs(Runs),
    /// Show a project's list as it is stored
    #[command(after_help = "\
Examples:
  etl show try --platform linux64 --group M-e10s
  etl show mozilla-inbound --name 'talos' --json")]
    Show(Show),
    /// Write an allthethings.json of any size, made from the vocabulary, to standard output
    #[command(after_help = "Example:\n  etl sample --builders 20000 --seed 1 > sample.json")]
    Sample(Sample),
}

#[derive(Debug, Args)]
pub(crate) struct Ingest {
    #[command(flatten)]
    pub(crate) source: From,
    #[command(flatten)]
    pub(crate) table: Table,
    #[command(flatten)]
    pub(crate) schedule: Scheduled,
    /// Keep the dump in this bucket, under the hash of its content
    #[arg(long, value_name = "BUCKET", env = variables::ARCHIVE_BUCKET, hide_env_values = true)]
    pub(crate) archive: Option<String>,
    /// Read, compare and report, but write nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Publish against the guards, even if the source is not modified
    #[arg(long)]
    pub(crate) force: bool,
    /// Publish this project and no other; may be given several times
    #[arg(long, value_name = "PROJECT")]
    pub(crate) only: Vec<String>,
    /// Refuse a dump of fewer builders
    #[arg(long, value_name = "N", env = variables::MIN_BUILDERS, hide_env_values = true, default_value_t = MIN_BUILDERS,
          value_parser = whole_number)]
    pub(crate) min_builders: u64,
    /// Refuse a dump by which the catalog or a project would lose more of its jobs, or of its tests' builds
    #[arg(long, value_name = "PERCENT", env = variables::MAX_DROP_PERCENT, hide_env_values = true,
          default_value_t = MAX_DROP_PERCENT, value_parser = percent)]
    pub(crate) max_drop_percent: u8,
    /// Print the report as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Where a dump comes from.
#[derive(Debug, Args)]
pub(crate) struct From {
    #[allow(clippy::doc_markdown)] // The help shows it as it is.
    /// The dump, plain or gzip: a file, `-`, http://, https:// or s3://BUCKET/KEY
    #[arg(long, value_name = "SOURCE", env = variables::SOURCE, hide_env_values = true)]
    source: Option<SourceLocation>,
    #[command(flatten)]
    pub(crate) bound: Bound,
}

impl From {
    /// The source, which a flag or a variable has to name.
    pub(crate) fn source(&self) -> Result<&SourceLocation, SettingsError> {
        let (variable, expected) = ("--source or RUNNABLE_JOBS_SOURCE", settings::A_SOURCE);
        self.source.as_ref().ok_or(SettingsError::Missing { variable, expected })
    }
}

#[derive(Debug, Args)]
pub(crate) struct Bound {
    /// Refuse a dump that has more bytes, compressed or uncompressed
    #[arg(long, value_name = "BYTES", env = variables::MAX_SOURCE_BYTES, hide_env_values = true,
          default_value_t = MAX_SOURCE_BYTES, value_parser = whole_number)]
    pub(crate) max_source_bytes: u64,
}

#[derive(Debug, Args)]
pub(crate) struct Table {
    /// The catalog table
    #[arg(long, value_name = "NAME", env = variables::CATALOG_TABLE, hide_env_values = true)]
    table: Option<String>,
}

impl Table {
    /// The table's name, which a flag or a variable has to give.
    pub(crate) fn name(&self) -> Result<&str, SettingsError> {
        let (variable, expected) = ("--table or RUNNABLE_JOBS_CATALOG_TABLE", A_TABLE);
        self.table.as_deref().ok_or(SettingsError::Missing { variable, expected })
    }
}

#[derive(Debug, Args)]
pub(crate) struct Scheduled {
    /// When ingests are due, in `EventBridge`'s dialect and UTC, for example '0 6 * * ? *'
    #[arg(long, value_name = "CRON", env = variables::SCHEDULE, hide_env_values = true)]
    pub(crate) schedule: Option<Cron>,
}

#[derive(Debug, Args)]
pub(crate) struct Catalog {
    #[command(flatten)]
    pub(crate) source: From,
    /// The folder; it is made if it is not there
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
    pub(crate) bound: Bound,
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
    pub(crate) table: Table,
    #[command(flatten)]
    pub(crate) schedule: Scheduled,
    /// How many
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
    pub(crate) table: Table,
    /// Only jobs on this platform, for example linux64
    #[arg(long)]
    pub(crate) platform: Option<String>,
    /// Only jobs whose group has this name or symbol, for example M-e10s
    #[arg(long)]
    pub(crate) group: Option<String>,
    /// Only jobs whose builder name holds this text; case does not matter
    #[arg(long, value_name = "TEXT")]
    pub(crate) name: Option<String>,
    /// Print the list as HTTP serves it
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Sample {
    /// How many builders
    #[arg(long, value_name = "N")]
    pub(crate) builders: usize,
    /// The same seed makes the same sample
    #[arg(long, value_name = "K", default_value_t = 1)]
    pub(crate) seed: u64,
}
