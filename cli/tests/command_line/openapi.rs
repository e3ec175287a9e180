//! The OpenAPI document.

use serde_json::Value;

use crate::program::{run, well};

#[test]
fn the_document_has_the_operations_and_the_error_codes_of_all_functions_once() {
    let document: Value = serde_json::from_str(well(&run(&["openapi"]))).unwrap();
    for path in ["/api/project/{project}/runnable_jobs/", "/api/trigger_requests/", "/__version__"] {
        assert!(document["paths"][path].is_object(), "{path}");
    }
    let codes = document["x-error-codes"].as_array().unwrap();
    let mut codes: Vec<&str> = codes.iter().map(|code| code["code"].as_str().unwrap()).collect();
    let all = codes.len();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), all);
    for code in ["unknown_project", "no_known_jobs", "internal_error"] {
        assert!(codes.contains(&code), "{code}");
    }
}
