//! The API reference.

use catalog::list::{FIELDS, unpack};
use http::{Method, StatusCode};
use serde_json::Value;

use crate::app::TestApp;

#[tokio::test]
async fn every_operation_that_the_function_describes_is_served_and_in_the_served_document() {
    let app = TestApp::new().await;
    let served: Value = serde_json::from_slice(&app.get("/api/openapi.json").await.body).unwrap();
    let part: Value = serde_json::from_str(&jobs::openapi().unwrap()).unwrap();
    for (path, operations) in part["paths"].as_object().unwrap() {
        assert_eq!(served["paths"][path], *operations, "{path}");
        let path = path.replace("{project}", "try").replace("{ref_data_name}", "x");
        let problem: Value = serde_json::from_slice(&app.get(&path).await.body).unwrap_or_default();
        assert_ne!(problem["code"], "not_found", "{path} is described, but not served");
    }
}

#[test]
fn the_described_fields_of_a_job_are_those_that_lists_have() {
    let part: Value = serde_json::from_str(&jobs::openapi().unwrap()).unwrap();
    let described = part["components"]["schemas"]["RunnableJob"]["properties"].as_object().unwrap();
    let mut fields = FIELDS;
    fields.sort_unstable();
    assert_eq!(described.keys().collect::<Vec<_>>(), fields);
    assert_eq!(part["components"]["schemas"]["Field"]["enum"], serde_json::json!(FIELDS));
    let parameters = part["paths"]["/api/project/{project}/runnable_jobs/"]["get"]["parameters"].as_array().unwrap();
    let selected = parameters.iter().find(|parameter| parameter["name"] == "fields").unwrap();
    assert_eq!(selected["schema"]["maxItems"], FIELDS.len());
}

#[tokio::test]
async fn the_reference_needs_nothing_from_another_host() {
    let app = TestApp::new().await;
    let page = app.get("/api/docs/").await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").unwrap().contains("default-src 'none'; script-src 'self'"));
    let html = String::from_utf8(page.body).unwrap();
    assert!(html.contains("id=\"unknown_project\"") && html.contains("id=\"internal_error\""));
    let links: Vec<&str> = html.split(['"']).filter(|word| word.contains('.') && !word.contains(['<', ' '])).collect();
    assert_eq!(links.len(), 5, "{links:?}");
    for link in links {
        let path = format!("/api/docs/{link}").replace("/docs/../", "/");
        let (plain, packed) = (app.get(&path).await, app.ask(Method::GET, &path, &[("accept-encoding", "gzip")]).await);
        assert_eq!((plain.status, packed.status), (StatusCode::OK, StatusCode::OK), "{path}");
        if packed.header("content-encoding").is_some() {
            assert_eq!(unpack(&packed.body).unwrap(), plain.body, "{path}");
            assert_ne!(plain.header("etag"), packed.header("etag"));
        }
    }
    let bare = app.get("/api/docs").await;
    assert_eq!((bare.status, bare.header("location")), (StatusCode::PERMANENT_REDIRECT, Some("docs/")));
}
