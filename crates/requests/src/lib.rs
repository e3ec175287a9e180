//! What a trigger request is: who asks, who may, which of the jobs exist and which have to wait for a build, its states,
//! its limits, and when two of them are the same. Pure: no network, no clock, no cloud.

pub mod email;
pub mod history;
pub mod idempotency;
pub mod lifecycle;
pub mod permissions;
pub mod planning;
pub mod rate_limits;
pub mod request;
pub mod resolve;
pub mod runs;

/// Reads a setting, which is a JSON object: a list would be taken for its fields in their order.
///
/// # Errors
/// A sentence that says what is wrong and where, and repeats nothing of the setting: it may hold what is nobody's business.
pub fn read_object<'j, T: serde::Deserialize<'j>>(what: &str, json: &'j str) -> Result<T, String> {
    if !json.trim_start().starts_with('{') {
        return Err(format!("no {what}: a JSON object is expected"));
    }
    serde_json::from_str(json).map_err(|error| {
        let wrong = match error.classify() {
            serde_json::error::Category::Data => "a name or a value is not one that is expected",
            _ => "it is not JSON",
        };
        format!("no {what}: {wrong}, at line {}, column {}", error.line(), error.column())
    })
}
