//! The page: people pick jobs on it, request them and watch them. `make page` builds it from `web/`, and the build script
//! embeds it.
//!
//! All of its addresses are relative to it, so it can be served below a path.

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::get;
use http::header::CONTENT_SECURITY_POLICY;
use http::{HeaderMap, HeaderValue, Uri};
use http_api::{Caching, Problem};

use crate::api::PageConfig;
use crate::files::{PackedFile, text};
use crate::settings::PageSettings;

// INDEX and ASSETS, the files of the page.
include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// Adds the routes of the page.
pub(crate) fn add_to<S: Clone + Send + Sync + 'static>(routes: Router<S>, settings: &PageSettings) -> Router<S> {
    let policy = policy(settings);
    let index = async move |headers: HeaderMap| -> Result<Response, Problem> {
        let mut response = INDEX.answer(&headers, Caching::Revalidated)?;
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy.clone());
        Ok(response)
    };
    let json: Arc<str> = serde_json::to_string(&settings.config()).expect("it consists of strings").into();
    routes
        .route("/", get(index))
        .route("/config.json", get(async move |headers: HeaderMap| config(&headers, &json)))
        // One route for all assets: a route for each took a fifth of the instructions of a cold start.
        .route("/assets/{name}", get(asset))
}

async fn asset(uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let name = uri.path().strip_prefix("/assets/").unwrap_or_default();
    let (_, file) = ASSETS.iter().find(|(known, _)| *known == name).ok_or_else(|| Problem::nothing_at(&uri))?;
    file.answer(&headers, Caching::Immutable)
}

/// The configuration of the page
///
/// What the page cannot know: the addresses of the other services, and where people sign in. Lists are always served
/// beside this document.
#[utoipa::path(
    get,
    path = "/config.json",
    tag = "Page",
    operation_id = "getPageConfig",
    responses((status = 200, description = "The configuration", body = PageConfig)),
)]
pub(crate) fn config(headers: &HeaderMap, json: &str) -> Result<Response, Problem> {
    text(headers, "application/json", json, Caching::Revalidated)
}

/// The page runs only its own scripts. It connects to this service, and to the services that its configuration names.
fn policy(settings: &PageSettings) -> HeaderValue {
    let mut connect = "'self'".to_owned();
    for origin in settings.origins() {
        connect.push(' ');
        connect.push_str(origin);
    }
    let policy = format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src {connect}; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).expect("an origin is ASCII")
}

#[cfg(test)]
mod tests {
    use catalog::list::unpack;

    use super::*;

    fn html() -> String {
        String::from_utf8(unpack(INDEX.gzip).unwrap()).unwrap()
    }

    /// The values of attributes that are addresses of assets.
    fn assets(html: &str) -> Vec<String> {
        let values = html.split(['"', '\'']).map(|value| value.trim_start_matches("./"));
        values.filter_map(|value| value.strip_prefix("assets/").map(ToOwned::to_owned)).collect()
    }

    #[test]
    fn each_asset_that_the_page_names_is_embedded() {
        let html = html();
        let named = assets(&html);
        assert!(!named.is_empty());
        for name in named {
            assert!(ASSETS.iter().any(|(known, _)| *known == name), "{name}");
        }
    }

    #[test]
    fn browsers_keep_only_files_whose_name_has_a_hash_of_their_content() {
        for (name, _) in ASSETS {
            let (stem, extension) = name.rsplit_once('.').unwrap();
            assert!(["js", "css", "svg", "table"].contains(&extension), "{name}");
            let hash = &stem[stem.len() - 8..];
            assert!(hash.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{name}");
            assert_eq!(stem.as_bytes()[stem.len() - 9], b'-', "{name}");
        }
    }

    #[test]
    fn the_page_has_nothing_inline_that_its_policy_forbids_and_no_address_from_the_root() {
        let html = html();
        for tag in html.split('<').filter(|tag| tag.starts_with("script")) {
            assert!(tag.contains(" src="), "<{tag}");
        }
        for forbidden in ["<style", " style=", " onload=", " onclick=", "data:", "javascript:", "=\"/", "='/"] {
            assert!(!html.contains(forbidden), "{forbidden}");
        }
    }
}
