//! Forwards queued requests to Pulse, with proof, and records what became of them.

mod forwarder;
mod log;
mod record;
pub mod settings;

pub use forwarder::{
    Delivery, DeliveryLog, Disposition, Forwarder, Preview, PreviewedMessage, TIME_NEEDED, TIME_TO_RECORD,
};
pub use log::print_line;
