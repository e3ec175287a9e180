//! `forward`. What it publishes is tested with the function's own tests and end to end.

use crate::program::{badly, program, run};
use test_support::store::http::closed_address;

#[test]
fn a_missing_setting_is_exit_code_2() {
    let said = badly(&run(&["forward", "--once"]), 2).to_owned();
    assert!(said.starts_with("runnable-jobs: RUNNABLE_JOBS_REQUESTS_TABLE is not set"), "{said}");
    let configured = configured(&["forward", "--once"]).output().unwrap();
    assert!(badly(&configured, 2).starts_with("runnable-jobs: RUNNABLE_JOBS_QUEUE_URL is not set"));
}

#[test]
fn a_queue_that_cannot_be_reached_is_exit_code_5() {
    for mode in ["--once", "--dry-run"] {
        let mut command = configured(&["forward", mode, "--queue-url", "http://127.0.0.1/queue"]);
        let output = command.env("AWS_ENDPOINT_URL", closed_address()).output().unwrap();
        assert!(badly(&output, 5).contains("cannot be reached"), "{mode}");
    }
}

fn configured(arguments: &[&str]) -> std::process::Command {
    let mut command = program(arguments);
    command.env("RUNNABLE_JOBS_REQUESTS_TABLE", "requests");
    command.env("RUNNABLE_JOBS_PULSE_URL", "amqp://me:secret@127.0.0.1/%2f");
    command.env("RUNNABLE_JOBS_PULSE_NAMESPACE", "treeherder");
    command
}
