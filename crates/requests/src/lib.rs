//! A trigger request and its life: who may ask for jobs, which of the jobs exist, which have to wait for a build, the
//! states of a request, and when two requests are the same. Pure: no network, no clock, no cloud.
//!
//! A file imports only files of the rows above it:
//!
//! | files | what they hold |
//! | --- | --- |
//! | `code`, `destination`, `email`, `id`, `outcome`, `pause`, `state`, `settings` | values that depend on nothing |
//! | `action`, `refusal` | an action that runs labels; why there is none |
//! | `reason`, `push`, `new_request`, `rate_limits`, `delivery` | why a job is in its state; a push; what a client asks for; limits; the outcome of a delivery |
//! | `job`, `idempotency`, `permissions` | a job of a request; when two requests are the same; who may trigger jobs |
//! | `history`, `resolve` | the events of a request; which jobs the requested names mean |
//! | `request`, `planning` | a request as it is stored; what to do with its jobs, given the builds on the push |
//! | `lifecycle`, `triggering` | how a request, and the actions that run its labels, go from state to state |
//! | `following` | what becomes of the jobs that were forwarded |

pub mod action;
mod code;
pub mod delivery;
pub mod destination;
pub mod email;
pub mod following;
pub mod history;
pub mod id;
pub mod idempotency;
pub mod job;
pub mod lifecycle;
pub mod new_request;
pub mod outcome;
pub mod pause;
pub mod permissions;
pub mod planning;
pub mod push;
pub mod rate_limits;
pub mod reason;
pub mod refusal;
pub mod request;
pub mod resolve;
mod settings;
pub mod state;
pub mod triggering;

pub use settings::read_object;
