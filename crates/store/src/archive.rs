//! The archive of dumps in S3, each under the hash of its content.

use std::path::Path;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::MetadataDirective;

use crate::StoreError;

const GZIP: &str = "application/gzip";

/// A bucket of dumps. The bucket's lifecycle rule decides how long it keeps them.
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

    /// Stores a gzipped dump, whose uncompressed content has this SHA-256 (hexadecimal). A dump that is already
    /// there stays, and its age starts anew. Returns its address.
    ///
    /// # Errors
    /// The file or the bucket cannot be used.
    pub async fn store(&self, sha256: &str, gzipped: &Path) -> Result<String, StoreError> {
        let key = format!("allthethings/{sha256}.json.gz");
        let address = format!("s3://{}/{key}", self.bucket);
        if self.renew(&address).await? {
            return Ok(address);
        }
        let action = || format!("archiving the dump as {address}");
        let body = ByteStream::from_path(gzipped)
            .await
            .map_err(|error| StoreError::Service { action: action(), reason: error.to_string() })?;
        let put = self.client.put_object().bucket(&self.bucket).key(&key).content_type(GZIP).body(body);
        put.send().await.map_err(|error| StoreError::service(action(), &error))?;
        Ok(address)
    }

    /// Starts the age of an archived dump anew, by copying it onto itself: the bucket deletes dumps by their age. Returns
    /// false if there is no such dump, or if it is in another bucket.
    ///
    /// # Errors
    /// The bucket cannot be used.
    pub async fn renew(&self, address: &str) -> Result<bool, StoreError> {
        let Some(key) = address.strip_prefix(&format!("s3://{}/", self.bucket)) else { return Ok(false) };
        // S3 copies an object onto itself only if something of it is replaced.
        let copy = self.client.copy_object().bucket(&self.bucket).key(key);
        let copy = copy.copy_source(format!("{}/{key}", self.bucket));
        match copy.metadata_directive(MetadataDirective::Replace).content_type(GZIP).send().await {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some("NoSuchKey") => Ok(false),
            Err(error) => Err(StoreError::service(format!("archiving the dump as {address}"), &error)),
        }
    }
}
