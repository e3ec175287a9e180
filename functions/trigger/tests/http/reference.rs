//! This function's part of the OpenAPI document.

use http::{Method, StatusCode};
use serde_json::Value;

use crate::app::TestApp;

#[tokio::test]
async fn every_operation_that_the_part_describes_is_served() {
    let part = trigger_api::openapi().unwrap();
    let app = TestApp::new().await;
    let document: Value = serde_json::from_str(&part).unwrap();
    let paths = document["paths"].as_object().unwrap();
    assert_eq!(paths.len(), 5);
    for (path, operations) in paths {
        let path = path.replace("{project}", "try").replace("{push_id}", "1001").replace("{request_id}", "x");
        for method in operations.as_object().unwrap().keys() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let answer = app.ask(method, &path, &[], b"").await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{path} is described, but not served");
        }
    }
}
