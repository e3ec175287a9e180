//! What the HTTP functions share: the one shape of errors, conditional and compressed answers, CORS, security headers,
//! request ids, a log line a request, who asks, and how a router is served. Knows nothing of jobs, stores or projects.

mod answer;
mod describe;
mod edge;
mod fetch;
mod gateway;
mod identity;
mod ledger;
mod origins;
mod problem;
mod serve;

pub use answer::{Body, Caching, Validators, accepts_gzip, gzip};
pub use describe::{describe, describe_header};
pub use edge::{Edge, Path};
pub use fetch::{FetchError, Fetcher};
pub use gateway::answer_event;
pub use identity::{
    BAD_TOKEN, Caller, INSUFFICIENT_SCOPE, Identity, IdentitySettings, KEYS_UNAVAILABLE, KeySource, SIGN_IN,
};
pub use ledger::Ledger;
pub use origins::origins;
pub use problem::{ANSWER_TOO_LARGE, BAD_PATH, EDGE_KINDS, Kind, Problem, ProblemBody, URI_TOO_LONG};
pub use serve::{init_logging, listen, run_lambda};
