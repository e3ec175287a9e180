//! Pulse, Mozilla's message broker: the message that its listeners expect, and publishing with confirms. Of the crate
//! `requests` it uses the outcomes of a delivery alone.

mod message;
mod publisher;
mod settings;

pub use message::{Message, MessageContent, MessageFormat};
pub use publisher::Publisher;
pub use settings::{Credentials, PulseSettings};
