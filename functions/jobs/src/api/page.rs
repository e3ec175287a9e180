//! The schema of the page's configuration.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What the page cannot know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PageConfig {
    /// The base of the addresses at which jobs are requested, relative to this document or absolute; null if jobs cannot
    /// be requested from the page.
    #[schema(required, example = ".")]
    pub trigger_url: Option<String>,
    /// Treeherder's address for browsers, without a slash at the end.
    #[schema(example = "https://treeherder.mozilla.org")]
    pub treeherder_url: String,
    /// Taskcluster's root URL, without a slash at the end; null if no Taskcluster is configured.
    #[schema(required, example = "https://firefox-ci-tc.services.mozilla.com")]
    pub taskcluster_url: Option<String>,
    /// Where people sign in; null if they cannot.
    #[schema(required)]
    pub sign_in: Option<PageSignIn>,
}

/// Where people sign in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PageSignIn {
    /// The issuer, exactly as in its tokens.
    #[schema(example = "https://auth.mozilla.auth0.com/")]
    pub issuer: String,
    /// The client id of this deployment at the issuer, which is the audience of its ID tokens.
    #[schema(example = "runnable-jobs")]
    pub client_id: String,
}
