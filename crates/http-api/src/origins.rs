//! The origins whose scripts may read the answers.

use http::{HeaderValue, Uri};

/// Reads origins separated by commas or spaces.
///
/// # Errors
/// One of them is not exactly what browsers send: a scheme, a host and, if it is not the default one, a port.
pub fn origins(value: &str) -> Result<Vec<HeaderValue>, String> {
    let split = value.split([',', ' ']).filter(|origin| !origin.is_empty());
    let wrong = |place| {
        format!("number {place} is not an origin: exact ones are expected, for example https://treeherder.mozilla.org")
    };
    split.zip(1..).map(|(origin, place)| self::origin(origin).ok_or_else(|| wrong(place))).collect()
}

/// Reads an origin as browsers send it: a scheme, a host and, if it is not the default one, a port.
fn origin(value: &str) -> Option<HeaderValue> {
    let uri: Uri = value.parse().ok()?;
    let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
    let is_exact = value == format!("{scheme}://{authority}") && !value.contains(['@', '*']);
    let is_lower = !value.contains(|letter: char| letter.is_ascii_uppercase());
    if is_exact && is_lower { value.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_exact() {
        let two = ["https://treeherder.mozilla.org", "http://localhost:5000"];
        assert_eq!(origins("https://treeherder.mozilla.org, http://localhost:5000").unwrap(), two);
        for wrong in ["*", "treeherder.mozilla.org", "https://treeherder.mozilla.org/", "https://*.mozilla.org", "null"]
        {
            let said = origins(&format!("http://localhost {wrong}")).unwrap_err();
            assert!(said.starts_with("number 2 is not an origin: "), "{said}");
        }
    }
}
