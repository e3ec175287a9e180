//! The dependencies of the ETL function without our code: each call that an ingest makes of `DynamoDB`, S3 and a web
//! server is made once. `make bench PART=source` compares the function's size with it; it is not meant to be run.

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, PutRequest, WriteRequest};
use aws_sdk_s3::primitives::ByteStream;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use runtime::settings::environment;
use runtime::{Aws, ClientProfile};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    runtime::init_logging();
    let aws = Aws::from_lambda(environment, ClientProfile::Batch)?;
    let (tables, buckets, web) = (aws.dynamodb(), aws.s3(), reqwest::Client::builder().build()?);
    let handler = service_fn(async |event: LambdaEvent<Value>| {
        let key = || AttributeValue::S(event.payload.to_string());
        let keys = KeysAndAttributes::builder().keys([("pk".to_owned(), key())].into()).build()?;
        let put = PutRequest::builder().item("pk", key()).build()?;
        let put = WriteRequest::builder().put_request(put).build();
        tables.query().table_name("t").expression_attribute_values(":pk", key()).send().await?;
        tables.get_item().table_name("t").key("pk", key()).send().await?;
        tables.batch_get_item().request_items("t", keys).send().await?;
        tables.put_item().table_name("t").item("pk", key()).send().await?;
        tables.update_item().table_name("t").key("pk", key()).send().await?;
        tables.delete_item().table_name("t").key("pk", key()).send().await?;
        tables.batch_write_item().request_items("t", vec![put]).send().await?;
        let source = buckets.get_object().bucket("b").key("k").send().await?.body.collect().await?;
        let archived = ByteStream::from(source.into_bytes());
        buckets.put_object().bucket("b").key("k").body(archived).send().await?;
        let source = web.get("https://example.org/").send().await?.bytes().await?;
        Ok::<_, Error>(serde_json::from_slice::<Value>(&source)?)
    });
    lambda_runtime::run(handler).await
}
