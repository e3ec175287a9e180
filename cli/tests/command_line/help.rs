//! The help.

use crate::program::{run, stderr, well};

const COMMANDS: [&[&str]; 18] = [
    &["ingest"],
    &["catalog"],
    &["classify"],
    &["diff"],
    &["runs"],
    &["show"],
    &["sample"],
    &["requests", "create"],
    &["requests", "list"],
    &["requests", "show"],
    &["requests", "watch"],
    &["requests", "retry"],
    &["requests", "replay"],
    &["requests", "sweep"],
    &["requests", "follow"],
    &["forward"],
    &["serve"],
    &["openapi"],
];

#[test]
fn the_help_lists_the_commands_and_the_meaning_of_the_exit_codes() {
    insta::assert_snapshot!(well(&run(&["--help"])));
    insta::assert_snapshot!("requests", well(&run(&["requests", "--help"])));
}

#[test]
fn every_command_explains_itself_with_an_example() {
    for command in COMMANDS {
        let help = run(&[command, &["--help"]].concat());
        assert!(well(&help).contains("Example"), "{command:?}");
        assert!(well(&help).contains(&format!("runnable-jobs {}", command.join(" "))), "{command:?}");
    }
}

#[test]
fn without_a_command_the_help_is_printed_as_an_error() {
    for arguments in [&[][..], &["requests"]] {
        let output = run(arguments);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains("Usage: runnable-jobs"), "{}", stderr(&output));
    }
}
