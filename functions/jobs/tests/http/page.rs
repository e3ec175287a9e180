//! The page, its assets and its configuration. What the page contains is not tested here.

use catalog::list::unpack;
use http::{Method, StatusCode};
use jobs::api::{PageConfig, PageSignIn};

use crate::app::{Answer, TestApp};

const GZIP: (&str, &str) = ("accept-encoding", "gzip");

/// The addresses of the assets that the page names, as the browser asks for them.
async fn assets(app: &TestApp) -> Vec<String> {
    let html = String::from_utf8(app.get("/").await.body).unwrap();
    let values = html.split('"').filter_map(|value| value.strip_prefix("./"));
    values.filter(|value| value.starts_with("assets/")).map(|value| format!("/{value}")).collect()
}

/// Asks for a path in each way in which browsers ask, and returns the plain answer.
async fn ask_in_each_way(app: &TestApp, path: &str) -> Answer {
    let (plain, packed) = (app.get(path).await, app.ask(Method::GET, path, &[GZIP]).await);
    assert_eq!((plain.status, packed.status), (StatusCode::OK, StatusCode::OK), "{path}");
    assert_eq!((plain.header("vary"), packed.header("vary")), (Some("Accept-Encoding"), Some("Accept-Encoding")));
    assert_eq!(plain.header("content-encoding"), None);
    if packed.header("content-encoding").is_some() {
        assert_eq!(unpack(&packed.body).unwrap(), plain.body, "{path}");
        assert_ne!(plain.header("etag"), packed.header("etag"), "{path}");
    } else {
        assert_eq!(packed.body, plain.body, "{path}");
    }
    for (answer, more) in [(&plain, &[][..]), (&packed, &[GZIP][..])] {
        let conditional = [&[("if-none-match", answer.header("etag").unwrap())], more].concat();
        let unchanged = app.ask(Method::GET, path, &conditional).await;
        assert_eq!((unchanged.status, unchanged.body.len()), (StatusCode::NOT_MODIFIED, 0), "{path}");
        assert_eq!(unchanged.header("etag"), answer.header("etag"));
        assert_eq!(unchanged.header("cache-control"), answer.header("cache-control"));
        let head = app.ask(Method::HEAD, path, more).await;
        assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0), "{path}");
        for header in ["etag", "content-type", "content-encoding", "cache-control", "content-security-policy"] {
            assert_eq!(head.header(header), answer.header(header), "{path}: {header}");
        }
    }
    plain
}

#[tokio::test]
async fn the_page_is_at_the_root_and_is_revalidated_each_time() {
    let app = TestApp::new().await;
    let page = ask_in_each_way(&app, "/").await;
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(page.header("cache-control"), Some("no-cache"));
    assert!(page.body.starts_with(b"<!doctype html>"));
    // The state of the page is in its query.
    assert_eq!(app.get("/?project=try&push=1001&q=mochitest").await.body, page.body);
    app.ask(Method::POST, "/", &[]).await.problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed");
}

#[tokio::test]
async fn what_the_page_names_is_served_and_kept_for_a_year() {
    let app = TestApp::new().await;
    let assets = assets(&app).await;
    assert!(!assets.is_empty());
    for path in assets {
        let asset = ask_in_each_way(&app, &path).await;
        let expected = match path.rsplit_once('.').unwrap().1 {
            "js" => "text/javascript",
            "css" => "text/css",
            "svg" => "image/svg+xml",
            other => panic!("{other}"),
        };
        assert_eq!(asset.header("content-type"), Some(expected), "{path}");
        assert_eq!(asset.header("cache-control"), Some("public, max-age=31536000, immutable"), "{path}");
        assert_eq!(asset.header("x-content-type-options"), Some("nosniff"));
        // Only the page itself has a policy that lets it run scripts.
        assert_eq!(asset.header("content-security-policy"), Some("default-src 'none'; frame-ancestors 'none'"));
    }
}

#[tokio::test]
async fn an_asset_that_does_not_exist_is_not_found_and_not_kept() {
    let app = TestApp::new().await;
    for path in ["/assets/index-AAAAAAAA.js", "/assets/", "/assets", "/assets/..%2fconfig.json", "/index.html.gz"] {
        let answer = app.get(path).await;
        answer.problem(StatusCode::NOT_FOUND, "not_found");
        assert!(!answer.header("cache-control").unwrap_or_default().contains("max-age"), "{path}");
    }
}

#[tokio::test]
async fn the_page_runs_only_its_own_scripts_and_connects_to_the_configured_services() {
    let policy = async |variables: &[(&str, &str)]| {
        let app = TestApp::with(variables).await;
        app.get("/").await.header("content-security-policy").unwrap().to_owned()
    };
    let expected = |connect: &str| {
        format!(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'{connect}; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
    };
    let treeherder = ("RUNNABLE_JOBS_TREEHERDER_PUBLIC_URL", "https://treeherder.example.org/th");
    let trigger = ("RUNNABLE_JOBS_TRIGGER_PUBLIC_URL", "http://127.0.0.1:4566/trigger/");
    let issuer = ("RUNNABLE_JOBS_OIDC_ISSUER", "https://issuer.example.org/");
    let audience = ("RUNNABLE_JOBS_OIDC_AUDIENCE", "abc");
    assert_eq!(policy(&[]).await, expected(" https://treeherder.mozilla.org"));
    assert_eq!(policy(&[issuer]).await, expected(" https://treeherder.mozilla.org"));
    assert_eq!(
        policy(&[treeherder, trigger, issuer, audience]).await,
        expected(" http://127.0.0.1:4566 https://treeherder.example.org https://issuer.example.org")
    );
    let none = ("RUNNABLE_JOBS_TRIGGER_PUBLIC_URL", "none");
    assert_eq!(policy(&[treeherder, none]).await, expected(" https://treeherder.example.org"));
}

#[tokio::test]
async fn the_configuration_says_where_the_other_services_are() {
    let app = TestApp::new().await;
    let answer = ask_in_each_way(&app, "/config.json").await;
    assert_eq!(answer.header("cache-control"), Some("no-cache"));
    let config = PageConfig {
        trigger_url: Some(".".to_owned()),
        treeherder_url: "https://treeherder.mozilla.org".to_owned(),
        taskcluster_url: None,
        sign_in: None,
    };
    assert_eq!(answer.json::<PageConfig>(), config);
    // Null and not absent: the document has all of its members.
    assert_eq!(
        String::from_utf8(answer.body).unwrap(),
        r#"{"trigger_url":".","treeherder_url":"https://treeherder.mozilla.org","taskcluster_url":null,"sign_in":null}"#
    );

    let app = TestApp::with(&[
        ("RUNNABLE_JOBS_TREEHERDER_PUBLIC_URL", "https://treeherder.example.org/"),
        ("RUNNABLE_JOBS_TRIGGER_PUBLIC_URL", "https://trigger.example.org/"),
        ("RUNNABLE_JOBS_TASKCLUSTER_URL", "https://tc.example.org/"),
        ("RUNNABLE_JOBS_TASKCLUSTER_PROJECTS", r#"{"try": "gecko.v2.try"}"#),
        ("RUNNABLE_JOBS_OIDC_ISSUER", "https://issuer.example.org/"),
        ("RUNNABLE_JOBS_OIDC_AUDIENCE", "abc"),
    ])
    .await;
    let config = PageConfig {
        trigger_url: Some("https://trigger.example.org".to_owned()),
        treeherder_url: "https://treeherder.example.org".to_owned(),
        taskcluster_url: Some("https://tc.example.org".to_owned()),
        sign_in: Some(PageSignIn { issuer: "https://issuer.example.org/".to_owned(), client_id: "abc".to_owned() }),
    };
    assert_eq!(app.get("/config.json").await.json::<PageConfig>(), config);

    let app = TestApp::with(&[("RUNNABLE_JOBS_TRIGGER_PUBLIC_URL", "none")]).await;
    assert_eq!(app.get("/config.json").await.json::<PageConfig>().trigger_url, None);
}
