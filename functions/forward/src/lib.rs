//! Forwards queued requests to Pulse with publisher confirms, and records the outcome of each job.

mod batch;
pub mod destination;
mod follow;
mod log;
mod preview;
mod record;
pub mod settings;

pub use batch::{Delivery, DeliveryLog, Disposition, Forwarder, TIME_NEEDED, TIME_TO_RECORD};
pub use follow::{FollowReport, Follower};
pub use log::{print_line, print_round};
pub use preview::{Preview, PreviewedMessage};
pub use record::MAX_RECEIVES;
