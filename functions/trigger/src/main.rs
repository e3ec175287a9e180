//! The command line: `trigger --help`.

mod command_line;

use std::process::ExitCode;

use clap::Parser;
use command_line::{Arguments, run};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    runtime::init_logging();
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) if failure.is_closed_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "trigger: {failure}");
            failure.exit_code()
        }
    }
}
