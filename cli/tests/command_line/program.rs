//! Runs the program.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

/// The program, with nothing configured but the emulator.
pub(crate) fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runnable-jobs"));
    // The width of the help does not depend on the terminal of the person who runs the tests.
    command.args(arguments).stdin(Stdio::null()).env_remove("COLUMNS");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("RUNNABLE_JOBS_")) {
        command.env_remove(name);
    }
    command
}

pub(crate) fn run(arguments: &[&str]) -> Output {
    program(arguments).output().expect("it starts")
}

/// Runs a command with `input` on its standard input.
pub(crate) fn feed(mut command: Command, input: &[u8]) -> Output {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    std::thread::scope(|scope| {
        // A program that stops reading closes the pipe: that is not an error here.
        scope.spawn(move || drop(stdin.write_all(input)));
        child.wait_with_output().expect("it ends")
    })
}

pub(crate) fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).expect("UTF-8")
}

pub(crate) fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).expect("UTF-8")
}

/// The standard output of a command that succeeded.
pub(crate) fn well(output: &Output) -> &str {
    assert_eq!(output.status.code(), Some(0), "{}", stderr(output));
    stdout(output)
}

/// The last line on standard error of a command that ended with this code.
pub(crate) fn badly(output: &Output, code: i32) -> &str {
    assert_eq!(output.status.code(), Some(code), "{}{}", stdout(output), stderr(output));
    let said = stderr(output).lines().last().expect("an error says something");
    assert!(!stderr(output).contains("panicked"), "{}", stderr(output));
    said
}
