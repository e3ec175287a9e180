//! The dependencies of the jobs function without our code and without the API reference: a route that makes each call
//! of `DynamoDB` that a list needs. `make bench PART=jobs` compares the function's size with it; it is not meant to be
//! run.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Json, Router};
use lambda_http::Error;
use runtime::settings::environment;
use runtime::{Aws, ClientProfile};
use serde_json::{Value, json};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    runtime::init_logging();
    let aws = Aws::from_lambda(environment, ClientProfile::Request)?;
    let router = Router::new().route("/{project}", get(list)).with_state(aws.dynamodb());
    lambda_http::run(router).await
}

async fn list(State(tables): State<Client>, Path(project): Path<String>) -> Json<Value> {
    Json(read(&tables, &project).await.unwrap_or_else(|error| json!({"error": error.to_string()})))
}

async fn read(tables: &Client, project: &str) -> Result<Value, Error> {
    let key = || AttributeValue::S(project.to_owned());
    let keys = KeysAndAttributes::builder().keys([("pk".to_owned(), key())].into()).build()?;
    let pointers = tables.query().table_name("t").expression_attribute_values(":pk", key()).send().await?;
    let pointer = tables.get_item().table_name("t").key("pk", key()).send().await?;
    let parts = tables.batch_get_item().request_items("t", keys).send().await?;
    Ok(json!([pointers.count, pointer.item.is_some(), parts.responses.is_some()]))
}
