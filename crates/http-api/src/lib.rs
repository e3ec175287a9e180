//! What the HTTP functions share: problem+json errors, conditional and compressed answers, CORS, security headers,
//! request ids, the request log, authentication, and serving a router. This crate knows no jobs, stores or projects.

mod answer;
mod describe;
mod gateway;
mod identity;
mod layer;
mod origins;
mod problem;
mod request_log;
mod serve;

pub use answer::{Caching, ResponseBody, Validators, accepts_gzip, gzip};
pub use describe::{describe, describe_header};
pub use gateway::answer_event;
pub use identity::{
    BAD_TOKEN, Caller, EMAIL_NOT_VERIFIED, INSUFFICIENT_SCOPE, Identity, IdentitySettings, KEYS_UNAVAILABLE, KeySource,
    SIGN_IN,
};
pub use layer::{ApiLayer, DAMAGED_ITEMS, Path, metric_names};
pub use origins::origins;
pub use problem::{ANSWER_TOO_LARGE, BAD_PATH, ErrorCode, LAYER_ERROR_CODES, Problem, ProblemBody, URI_TOO_LONG};
pub use request_log::RequestLog;
pub use serve::{listen, run_lambda};
