//! Classifies builder names, one a line, from standard input, and prints what they say.
use std::io::{BufRead, Write};
fn main() -> std::io::Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for name in std::io::stdin().lock().lines() {
        let name = name?;
        let c = catalog::builder_name::classify(&name);
        writeln!(
            out,
            "{name}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}",
            c.platform(),
            c.os(),
            c.architecture(),
            c.option(),
            c.job_type_name(),
            c.job_type_symbol(),
            c.job_group_name(),
            c.job_group_symbol()
        )?;
    }
    Ok(())
}
