//! Credentials of a Taskcluster client.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;

/// Maximum length of a client id and of an access token, in bytes.
const MAX_LENGTH: usize = 512;
/// Maximum size of the document, in bytes: a certificate lists scopes.
const MAX_DOCUMENT: usize = 64 * 1024;

/// Credentials of a Taskcluster client, permanent or temporary. `Debug` shows the client id alone.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The client, such as `project/example/runnable-jobs`.
    pub client_id: String,
    /// The secret that signs requests.
    pub access_token: String,
    /// What makes temporary credentials valid.
    pub certificate: Option<Value>,
}

/// The document does not hold credentials. The message repeats nothing of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("Taskcluster credentials are expected: {expected}")]
pub struct BadCredentials {
    expected: &'static str,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    client_id: String,
    access_token: String,
    #[serde(default)]
    certificate: Option<Value>,
}

impl Credentials {
    /// Reads `{"clientId", "accessToken", "certificate"?}`. The certificate is an object, or a string that holds it, as
    /// Taskcluster's own tools write it. Other fields are ignored.
    ///
    /// # Errors
    /// The document does not hold credentials.
    pub fn read(json: &str) -> Result<Self, BadCredentials> {
        let wrong = |expected| Err(BadCredentials { expected });
        let document = if json.len() <= MAX_DOCUMENT { serde_json::from_str(json).ok() } else { None };
        let Some(Document { client_id, access_token, certificate }) = document else {
            return wrong(r#"JSON such as {"clientId": "project/example", "accessToken": "..."}"#);
        };
        // Both stand between quotes in a header.
        let is_text = |text: &str| {
            (1..=MAX_LENGTH).contains(&text.len())
                && text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"\\".contains(&byte))
        };
        if !is_text(&client_id) {
            return wrong("clientId is a text of letters, digits and punctuation");
        }
        if !is_text(&access_token) {
            return wrong("accessToken is a text of letters, digits and punctuation");
        }
        let certificate = match certificate {
            Some(Value::String(text)) if text.is_empty() => None,
            Some(Value::String(text)) => serde_json::from_str(&text).unwrap_or(Some(Value::Null)),
            certificate => certificate,
        };
        if certificate.as_ref().is_some_and(|certificate| !certificate.is_object()) {
            return wrong("certificate, if there is one, is an object, or a string that holds one");
        }
        Ok(Self { client_id, access_token, certificate })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const SECRET: &str = "c0rrect-Horse";

    #[test]
    fn credentials_are_permanent_or_temporary() {
        let permanent = Credentials::read(r#"{"clientId": "a/b", "accessToken": "t0k-en_", "other": 1}"#).unwrap();
        assert_eq!((&*permanent.client_id, &*permanent.access_token), ("a/b", "t0k-en_"));
        assert_eq!(permanent.certificate, None);
        let certificate = json!({"version": 1, "seed": SECRET});
        for given in [certificate.clone(), json!(certificate.to_string())] {
            let document = json!({"clientId": "a", "accessToken": "b", "certificate": given});
            assert_eq!(Credentials::read(&document.to_string()).unwrap().certificate, Some(certificate.clone()));
        }
        for given in [json!(null), json!("")] {
            let document = json!({"clientId": "a", "accessToken": "b", "certificate": given});
            assert_eq!(Credentials::read(&document.to_string()).unwrap().certificate, None);
        }
    }

    #[test]
    fn an_error_does_not_repeat_the_document() {
        for wrong in [
            json!(SECRET),
            json!([]),
            json!({"accessToken": SECRET}),
            json!({"clientId": "", "accessToken": SECRET}),
            json!({"clientId": "a", "accessToken": format!("{SECRET}\n")}),
            json!({"clientId": "a", "accessToken": format!("{SECRET}\"")}),
            json!({"clientId": "a", "accessToken": SECRET.repeat(100)}),
            json!({"clientId": "a", "accessToken": SECRET, "certificate": SECRET}),
            json!({"clientId": "a", "accessToken": SECRET, "certificate": [SECRET]}),
        ] {
            let error = Credentials::read(&wrong.to_string()).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("Horse"), "{error}");
        }
        assert!(Credentials::read(&format!(r#"{{"clientId": "a", "accessToken": "{SECRET}"#)).is_err());
    }

    #[test]
    fn the_token_and_the_certificate_are_not_in_debug_output() {
        let document = json!({"clientId": "a/b", "accessToken": SECRET, "certificate": {"seed": SECRET}});
        let shown = format!("{:?}", Credentials::read(&document.to_string()).unwrap());
        assert_eq!(shown, r#"Credentials { client_id: "a/b", .. }"#);
    }
}
