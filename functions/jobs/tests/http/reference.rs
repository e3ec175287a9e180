//! The API reference.

use catalog::jobs::unpack;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::TestApp;

#[tokio::test]
async fn the_openapi_document_is_up_to_date() {
    let app = TestApp::new().await;
    let served = app.get("/api/openapi.json").await;
    let respond = jobs::openapi().unwrap();
    assert!(
        served.body == respond.as_bytes(),
        "make it anew: cargo run -p jobs --example openapi > functions/jobs/openapi.json"
    );
    let document: Value = serde_json::from_str(&respond).unwrap();
    for (path, operations) in document["paths"].as_object().unwrap() {
        // Another function serves these, and compares their description with its code.
        if operations.as_object().unwrap().values().all(|operation| operation["tags"] == json!(["Trigger"])) {
            continue;
        }
        let path = path.replace("{project}", "try").replace("{ref_data_name}", "x");
        let problem: Value = serde_json::from_slice(&app.get(&path).await.body).unwrap_or_default();
        assert_ne!(problem["code"], "not_found", "{path} is described, but not served");
    }
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
