//! How settings that are JSON objects are read.

/// Reads a setting, which is a JSON object. A JSON list is refused: serde would read it as the fields in their order.
///
/// # Errors
/// A sentence that says what is wrong and where. It repeats nothing of the setting, which may hold a secret.
pub fn read_object<'j, T: serde::Deserialize<'j>>(json: &'j str) -> Result<T, String> {
    if !json.trim_start().starts_with('{') {
        return Err("a JSON object is expected".to_owned());
    }
    serde_json::from_str(json).map_err(|error| {
        let wrong = match error.classify() {
            serde_json::error::Category::Data => "a name or a value is not one that is expected",
            _ => "it is not JSON",
        };
        format!("{wrong}, at line {}, column {}", error.line(), error.column())
    })
}
