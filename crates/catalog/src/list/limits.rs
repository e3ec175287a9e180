//! What names may look like.

/// Maximum length of the name of a job, a builder, a scheduler or a property, in bytes. The longest real one has 112.
pub const MAX_NAME: usize = 1000;

/// Whether this is a valid project name: at most 100 letters, digits, `-`, `_` and `.`. Dots alone are not valid, as the
/// name becomes that of a file.
pub fn is_project_name(name: &[u8]) -> bool {
    name.len() <= 100
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
        && name.iter().any(|byte| *byte != b'.')
}
