//! The outcome of delivering a message to a destination such as Pulse.

/// The outcome of delivering one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// The destination has the message, and at least one listener receives it.
    Confirmed,
    /// The destination returned the message: it has no listener for it.
    Unroutable,
    /// The destination refuses the message, and would refuse it again.
    Rejected(String),
    /// The message is not known to have arrived. It has to be sent again under the same id.
    Unknown(Unconfirmed),
}

/// Why a message is not known to have arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unconfirmed {
    /// The reason, in words.
    pub reason: String,
    /// Whether the destination refused the message. The refusal may be temporary: RabbitMQ answers a wrong password and
    /// an unavailable authentication back end in the same way.
    pub is_rejection: bool,
    /// Whether the message was sent, so that it may have arrived all the same.
    pub may_have_arrived: bool,
}

impl Unconfirmed {
    /// A message that was not sent.
    pub fn unsent(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_rejection: false, may_have_arrived: false }
    }

    /// A message that was sent.
    pub fn sent(reason: impl Into<String>) -> Self {
        Self { may_have_arrived: true, ..Self::unsent(reason) }
    }
}
