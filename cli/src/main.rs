//! The operators' program: `runnable-jobs --help`.

mod arguments;
mod commands;
mod failure;
#[cfg(test)]
mod generated;
mod output;
mod progress;
mod report;

use std::process::ExitCode;

use arguments::{Arguments, Command};
use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use failure::Failure;
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match Arguments::try_parse() {
        Ok(arguments) => failure::exit_code(Box::pin(run(arguments)).await),
        Err(error) => without_the_value(error).exit(),
    }
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    match arguments.command {
        // They run like the deployed functions and log like them.
        Command::Forward(_) | Command::Serve(_) => runtime::init_logging(),
        _ => init_logging(arguments.verbose),
    }
    match arguments.command {
        Command::Ingest(command) => commands::dumps::ingest(command).await,
        Command::Catalog(command) => commands::dumps::catalog(command).await,
        Command::Classify => commands::dumps::classify(),
        Command::Diff(command) => commands::dumps::diff(command).await,
        Command::Runs(command) => commands::stored::runs(command).await,
        Command::Show(command) => commands::stored::show(command).await,
        Command::Sample(command) => commands::dumps::sample(&command),
        Command::Requests(command) => Box::pin(commands::requests::run(command)).await,
        Command::Forward(command) => commands::forward::run(command).await,
        Command::Serve(command) => commands::serve::run(command).await,
        Command::Openapi => commands::openapi::print(),
    }
}

/// Writes warnings to standard error as text. Errors of the libraries come back as errors of the command, so that
/// their own log lines show only with `--verbose`.
fn init_logging(verbose: bool) {
    let (ours, theirs) = if verbose { (Level::INFO, Level::WARN) } else { (Level::WARN, Level::ERROR) };
    let our_crates = ["etl", "http_api", "runnable_jobs", "store", "treeherder", "trigger_api"];
    let targets = Targets::new().with_default(theirs).with_targets(our_crates.map(|name| (name, ours)));
    let subscriber = tracing_subscriber::fmt().with_writer(std::io::stderr).without_time().with_target(false);
    subscriber.finish().with(targets).init();
}

/// Removes the value from an error about it: the value may come from a variable and be an address with a password.
fn without_the_value(mut error: clap::Error) -> clap::Error {
    if error.kind() == ErrorKind::ValueValidation {
        error.insert(ContextKind::InvalidValue, ContextValue::String("...".to_owned()));
    }
    error
}
