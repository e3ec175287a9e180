//! Prints this function's part of the OpenAPI document:
//! `cargo run -p trigger-function --example openapi_part > functions/trigger/openapi.json`.

#[expect(clippy::print_stdout, reason = "that is what it is for")]
fn main() -> serde_json::Result<()> {
    print!("{}", trigger_api::openapi()?);
    Ok(())
}
