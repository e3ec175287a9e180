//! Prints the OpenAPI document: `cargo run -p jobs --example openapi > functions/jobs/openapi.json`.

#[expect(clippy::print_stdout, reason = "that is what it is for")]
fn main() -> serde_json::Result<()> {
    print!("{}", jobs::openapi()?);
    Ok(())
}
