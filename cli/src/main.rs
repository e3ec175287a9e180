//! The command line: `etl --help`.

mod arguments;
mod commands;
mod progress;

use std::process::ExitCode;

use arguments::{Arguments, Command};
use clap::Parser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

/// What is wrong with a value, without the value: it may come from a variable, and be an address with a password.
fn without_the_value(mut error: clap::Error) -> clap::Error {
    if error.kind() == ErrorKind::ValueValidation {
        error.insert(ContextKind::InvalidValue, ContextValue::String("...".to_owned()));
    }
    error
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => without_the_value(error).exit(),
    };
    // Errors of the libraries come back as errors; their log lines are for those who ask.
    let (ours, theirs) = if arguments.verbose { (Level::INFO, Level::WARN) } else { (Level::WARN, Level::ERROR) };
    let targets = Targets::new().with_default(theirs).with_targets([("etl", ours), ("store", ours)]);
    let subscriber = tracing_subscriber::fmt().with_writer(std::io::stderr).without_time().with_target(false);
    subscriber.finish().with(targets).init();
    let done = match arguments.command {
        Command::Ingest(command) => commands::ingest(command).await,
        Command::Catalog(command) => commands::catalog(command).await,
        Command::Classify => commands::classify(),
        Command::Diff(command) => commands::diff(command).await,
        Command::Runs(command) => commands::runs(command).await,
        Command::Show(command) => commands::show(command).await,
        Command::Sample(command) => commands::sample(&command),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(commands::Failure::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(failure) => {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "etl: {failure}");
            failure.exit_code()
        }
    }
}
