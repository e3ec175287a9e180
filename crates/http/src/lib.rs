//! What the HTTP functions share: the one shape of errors, conditional and compressed answers, CORS, security headers,
//! request ids, a log line a request, and how a router is served. Knows nothing of jobs, stores or projects.

mod answer;
mod edge;
mod ledger;
mod problem;
mod serve;

pub use answer::{Body, Validators, accepts_gzip, gzip};
pub use edge::{Edge, Path};
pub use ledger::Ledger;
pub use problem::{ANSWER_TOO_LARGE, BAD_PATH, EDGE_KINDS, Kind, Problem, ProblemBody, URI_TOO_LONG};
pub use serve::{init_logging, listen, run_lambda};
