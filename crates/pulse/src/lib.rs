//! Pulse, Mozilla's message broker: the message that its listeners know, and how it is published with proof. Knows nothing
//! of requests, stores or projects.

mod message;
mod publisher;
mod settings;

pub use message::{Message, MessageContent, MessageFormat};
pub use publisher::{DeliveryOutcome, Publisher, Unconfirmed};
pub use settings::{Credentials, PulseSettings};
