//! The archive of dumps in S3, each under the hash of its content.

use std::path::Path;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::primitives::ByteStream;

use crate::StoreError;

/// A bucket of dumps. How long it keeps them is the bucket's own rule.
#[derive(Debug, Clone)]
pub struct Archive {
    client: Client,
    bucket: String,
}

impl Archive {
    /// The archive in `bucket`.
    pub fn new(client: Client, bucket: impl Into<String>) -> Self {
        Self { client, bucket: bucket.into() }
    }

    /// Keeps a gzipped dump, whose uncompressed content has this SHA-256 (hexadecimal), unless it is there already.
    /// Returns its address.
    ///
    /// # Errors
    /// The file or the bucket cannot be used.
    pub async fn keep(&self, sha256: &str, gzipped: &Path) -> Result<String, StoreError> {
        let key = format!("allthethings/{sha256}.json.gz");
        let address = format!("s3://{}/{key}", self.bucket);
        let action = || format!("archiving the dump as {address}");
        match self.client.head_object().bucket(&self.bucket).key(&key).send().await {
            Ok(_) => return Ok(address),
            Err(SdkError::ServiceError(error)) if error.err().is_not_found() => {}
            Err(error) => return Err(StoreError::service(action(), &error)),
        }
        let body = ByteStream::from_path(gzipped)
            .await
            .map_err(|error| StoreError::Service { action: action(), reason: error.to_string() })?;
        let put = self.client.put_object().bucket(&self.bucket).key(&key).content_type("application/gzip").body(body);
        put.send().await.map_err(|error| StoreError::service(action(), &error))?;
        Ok(address)
    }
}
