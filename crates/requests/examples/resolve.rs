//! Looks names up in a list as HTTP serves it: `cargo run -p requests --example resolve -- LIST.json < NAMES`.
//! `runnable-jobs catalog` writes such lists. Names are given one per line.

use std::error::Error;
use std::io::Read as _;

use catalog::list::Names;
use requests::resolve::{Renames, resolve_names};

#[expect(clippy::print_stdout, reason = "that is what it is for")]
fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("a file with a list is expected")?;
    let names = Names::read(&std::fs::read(path)?)?;
    let mut requested = String::new();
    std::io::stdin().read_to_string(&mut requested)?;
    let requested: Vec<String> = requested.lines().map(ToOwned::to_owned).collect();
    for job in resolve_names(&requested, &names, &Renames::default()) {
        println!("{}\t{}\t{}", job.state.as_str(), job.name, job.detail("the project").unwrap_or_default());
    }
    Ok(())
}
