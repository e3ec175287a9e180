//! One parameter of Systems Manager's Parameter Store.

use aws_smithy_runtime_api::client::result::SdkError;
use serde_json::{Value, json};

use crate::Aws;
use crate::aws::root_cause;
use crate::json_client::JsonClient;

/// A parameter cannot be read. The message does not repeat the parameter's name: the setting that should hold the name
/// may hold the password itself by mistake.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("reading a parameter of Parameter Store: {0}")]
pub struct ParameterError(String);

impl Aws {
    /// Reads the decrypted value of a parameter.
    ///
    /// # Errors
    /// The parameter cannot be read, or its key cannot be used.
    pub async fn parameter(&self, name: &str) -> Result<String, ParameterError> {
        let input = json!({"Name": name, "WithDecryption": true});
        let answer = JsonClient::ssm(self.config()).call("GetParameter", &input).await;
        let answer = answer.map_err(|error| {
            ParameterError(match &*error {
                SdkError::ServiceError(refused) => refused.err().to_string(),
                other => root_cause(other),
            })
        })?;
        value(&answer)
    }
}

fn value(answer: &Value) -> Result<String, ParameterError> {
    let value = answer["Parameter"]["Value"].as_str();
    value.map(ToOwned::to_owned).ok_or_else(|| ParameterError("the answer has no value".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_a_value_or_is_an_error() {
        assert_eq!(value(&json!({"Parameter": {"Value": "x"}})), Ok("x".to_owned()));
        let error = value(&json!({"Parameter": {}})).unwrap_err();
        assert_eq!(error.to_string(), "reading a parameter of Parameter Store: the answer has no value");
    }
}
