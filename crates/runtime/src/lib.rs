//! What every program starts with: the clock, settings from the environment, AWS clients, logging, metrics, cached
//! values, pauses between attempts, and the start of a Lambda function.
//!
//! This crate knows no table, no queue and no project. The crates `store`, `http-api` and `treeherder` build on it.

mod aws;
mod backoff;
mod cached;
mod clock;
mod function;
mod http_client;
mod incident;
mod json_client;
mod logging;
pub mod metrics;
mod parameter;
pub mod settings;

pub use aws::{Aws, ClientProfile, http_client};
pub use backoff::Backoff;
pub use cached::{CacheEntry, CacheStatus, Cached, Cooldown, RetryPauses, Unavailable};
pub use clock::{Clock, now, system_clock};
pub use function::run_function;
pub use incident::Incident;
pub use json_client::{CallError, JsonClient, Refusal};
pub use logging::{LogSink, init_logging, print_log};
pub use parameter::ParameterError;
