//! The publisher: a connection that suits a function, and proof of each delivery.

use std::collections::{HashSet, VecDeque};
use std::num::NonZeroU32;
use std::sync::PoisonError;
use std::time::Duration;

use futures_util::FutureExt as _;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions, ExchangeDeclareOptions};
use lapin::protocol::{AMQPErrorKind, AMQPHardError, AMQPSoftError};
use lapin::tcp::OwnedTLSConfig;
use lapin::types::FieldTable;
use lapin::uri::AMQPUserInfo;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Error, ErrorKind, ExchangeKind,
    PublisherConfirm, runtime,
};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::{Credentials, Message, PulseSettings};

/// How long opening a connection may take, and how long the broker may take to confirm a batch.
const TIMEOUT: Duration = Duration::from_secs(5);
/// A connection that was idle for longer is opened anew: an environment may have been frozen meanwhile, and the broker
/// may have given it up, as it hears nothing from one.
const MAX_IDLE: Duration = Duration::from_secs(30);
/// The delivery mode of messages that the broker keeps on disk.
const PERSISTENT: u8 = 2;

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// The broker has it, and some queue received it.
    Confirmed,
    /// The broker gave it back: nobody listens.
    Unroutable,
    /// The broker refuses it, and would refuse it again: the exchange is there, and of another type.
    Rejected(String),
    /// Not known to have arrived: to be tried again, under the same id.
    Unknown(Unconfirmed),
}

/// Why a message is not known to have arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unconfirmed {
    /// In words.
    pub reason: String,
    /// Whether the broker said no, which it may do for a while only: a wrong password and an authentication back end that is
    /// down have the same answer.
    pub is_rejection: bool,
    /// Whether it was sent: then it may have arrived all the same.
    pub may_have_arrived: bool,
}

impl Unconfirmed {
    /// One that was not sent.
    fn unsent(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_rejection: false, may_have_arrived: false }
    }

    /// One that was sent.
    fn sent(reason: impl Into<String>) -> Self {
        Self { may_have_arrived: true, ..Self::unsent(reason) }
    }
}

/// Publishes messages.
pub struct Publisher {
    settings: PulseSettings,
    credentials: Credentials,
    open: Mutex<Option<OpenConnection>>,
    limiter: Mutex<RateLimiter>,
    /// How often a connection was opened so far.
    opened: std::sync::Mutex<u32>,
}

struct OpenConnection {
    connection: Connection,
    channel: Channel,
    used: Instant,
}

impl Publisher {
    /// A publisher, of so many messages a second at most. Nothing is opened yet.
    pub fn new(settings: PulseSettings, credentials: Credentials, max_per_second: NonZeroU32) -> Self {
        let limiter = Mutex::new(RateLimiter { max: max_per_second, last: VecDeque::new() });
        Self { settings, credentials, open: Mutex::new(None), limiter, opened: std::sync::Mutex::new(0) }
    }

    /// How often a connection was opened so far, or tried to be.
    pub fn opened(&self) -> u32 {
        *self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a connection, if none is open: declares the exchange, which listeners cannot bind to before.
    ///
    /// # Errors
    /// Why it cannot be opened.
    pub async fn connect_now(&self) -> Result<(), String> {
        let mut open = self.open.lock().await;
        if !refresh(&mut open) {
            *open = Some(self.open().await.map_err(|outcome| match outcome {
                DeliveryOutcome::Rejected(reason) | DeliveryOutcome::Unknown(Unconfirmed { reason, .. }) => reason,
                DeliveryOutcome::Confirmed | DeliveryOutcome::Unroutable => String::new(),
            })?);
        }
        Ok(())
    }

    /// Publishes messages one behind the other, without waiting for each, and tells what became of each. Where the
    /// connection turns out to be lost, it is opened once more, and what was not confirmed is published again. What is not
    /// published by `until` is not any more, and counts as lost.
    pub async fn publish(&self, messages: &[Message], until: Option<Instant>) -> Vec<DeliveryOutcome> {
        let mut open = self.open.lock().await;
        let mut outcomes: Vec<Option<DeliveryOutcome>> = vec![None; messages.len()];
        // By the first attempt; what the second one finds out counts more.
        let mut were_sent = vec![false; messages.len()];
        for attempt in 0..2 {
            let was_open = refresh(&mut open);
            if open.is_none() {
                match self.open().await {
                    Ok(opened) => *open = Some(opened),
                    Err(outcome) => return with_default(outcomes, &outcome, &were_sent),
                }
            }
            let Some(opened) = open.as_mut() else { continue };
            let left = outcomes.iter().zip(messages).enumerate();
            let left: Vec<(usize, &Message)> = left
                .filter(|(_, (outcome, _))| outcome.is_none())
                .map(|(place, (_, message))| (place, message))
                .collect();
            let found = self.publish_on(&opened.channel, left.iter().map(|(_, message)| *message), until).await;
            opened.used = Instant::now();
            let mut is_lost = false;
            for ((place, _), outcome) in left.into_iter().zip(found) {
                is_lost |= matches!(outcome, DeliveryOutcome::Unknown(_) | DeliveryOutcome::Rejected(_));
                // A connection that was kept may have been lost long ago: that says nothing of the message.
                let is_worth_another = attempt == 0 && was_open && matches!(outcome, DeliveryOutcome::Unknown(_));
                if is_worth_another {
                    were_sent[place] =
                        matches!(outcome, DeliveryOutcome::Unknown(Unconfirmed { may_have_arrived: true, .. }));
                } else {
                    outcomes[place] = Some(in_doubt(outcome, were_sent[place]));
                }
            }
            if is_lost {
                *open = None;
            }
            if outcomes.iter().all(Option::is_some) {
                break;
            }
        }
        with_default(
            outcomes,
            &DeliveryOutcome::Unknown(Unconfirmed::unsent("the connection was lost twice")),
            &were_sent,
        )
    }

    async fn open(&self) -> Result<OpenConnection, DeliveryOutcome> {
        *self.opened.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        match tokio::time::timeout(TIMEOUT, self.connect()).await {
            Ok(Ok(open)) => Ok(open),
            Ok(Err(error)) => Err(outcome(&error, false)),
            Err(_) => {
                let reason = format!("the broker did not answer within {} s", TIMEOUT.as_secs());
                Err(DeliveryOutcome::Unknown(Unconfirmed::unsent(reason)))
            }
        }
    }

    async fn connect(&self) -> Result<OpenConnection, Error> {
        let mut uri = self.settings.uri.clone();
        uri.authority.userinfo =
            AMQPUserInfo { username: self.credentials.username.clone(), password: self.credentials.password.clone() };
        let properties = ConnectionProperties::default().with_connection_name("runnable-jobs".into());
        let tls = OwnedTLSConfig { identity: None, cert_chain: self.settings.certificates.clone() };
        let connection = Connection::connect_uri_with_config(uri, properties, tls, runtime::default_runtime()?).await?;
        let channel = connection.create_channel().await?;
        let options = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        let exchange = self.settings.exchange();
        channel.exchange_declare(exchange.into(), ExchangeKind::Topic, options, FieldTable::default()).await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(OpenConnection { connection, channel, used: Instant::now() })
    }

    async fn publish_on<'m>(
        &self,
        channel: &Channel,
        messages: impl Iterator<Item = &'m Message>,
        until: Option<Instant>,
    ) -> Vec<DeliveryOutcome> {
        let mut limiter = self.limiter.lock().await;
        let exchange = self.settings.exchange();
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let mut published = Vec::new();
        for message in messages {
            let properties = BasicProperties::default()
                .with_content_type("application/json".into())
                .with_delivery_mode(PERSISTENT)
                .with_message_id(message.id.clone().into())
                .with_timestamp(message.requested_at.timestamp().try_into().unwrap_or_default())
                .with_app_id("runnable-jobs".into());
            let key = message.routing_key.clone();
            let confirm = if limiter.wait(until).await {
                let sent =
                    channel.basic_publish(exchange.clone().into(), key.into(), options, &message.body, properties);
                Some(sent.await)
            } else {
                None
            };
            published.push((message, confirm));
        }
        confirmed(published).await
    }
}

/// Waits until the broker has told of all messages what became of them, but no longer than it may take.
///
/// lapin gives a message that came back to whichever confirm comes next, which may be that of another message: what came
/// back is known by its id. The broker gives a message back before it confirms it.
async fn confirmed(published: Vec<(&Message, Option<Result<PublisherConfirm, Error>>)>) -> Vec<DeliveryOutcome> {
    let deadline = Instant::now() + TIMEOUT;
    let mut returned = HashSet::new();
    let mut note = |confirmation: &Confirmation| {
        if let Confirmation::Ack(Some(message)) | Confirmation::Nack(Some(message)) = confirmation {
            returned.extend(message.properties.message_id().as_ref().map(ToString::to_string));
        }
    };
    let (mut outcomes, mut late) = (Vec::with_capacity(published.len()), Vec::new());
    for (message, confirm) in published {
        let outcome = match confirm {
            None => DeliveryOutcome::Unknown(Unconfirmed::unsent("no time was left to publish it")),
            Some(Err(error)) => outcome(&error, !is_unsent(&error)),
            Some(Ok(mut confirm)) => match tokio::time::timeout_at(deadline, &mut confirm).await {
                Err(_) => {
                    late.push(confirm);
                    DeliveryOutcome::Unknown(Unconfirmed::sent(format!(
                        "the broker did not confirm within {} s",
                        TIMEOUT.as_secs()
                    )))
                }
                Ok(Err(error)) => outcome(&error, true),
                Ok(Ok(confirmation)) => {
                    note(&confirmation);
                    match confirmation {
                        Confirmation::Ack(_) => DeliveryOutcome::Confirmed,
                        // Of several queues, some may have it.
                        Confirmation::Nack(_) => {
                            DeliveryOutcome::Unknown(Unconfirmed::sent("the broker could not keep it"))
                        }
                        Confirmation::NotRequested => {
                            DeliveryOutcome::Unknown(Unconfirmed::sent("the broker was not asked to confirm"))
                        }
                    }
                }
            },
        };
        outcomes.push((message, outcome));
    }
    // With a confirm that was too late something may have come that is told of a message which was confirmed in time.
    for confirm in late {
        if let Some(Ok(confirmation)) = confirm.now_or_never() {
            note(&confirmation);
        }
    }
    let is_unroutable = |message: &Message, outcome: &DeliveryOutcome| {
        *outcome == DeliveryOutcome::Confirmed && returned.contains(&message.id)
    };
    let known =
        |(message, outcome)| if is_unroutable(message, &outcome) { DeliveryOutcome::Unroutable } else { outcome };
    outcomes.into_iter().map(known).collect()
}

/// Holds back what would be too much for listeners.
struct RateLimiter {
    max: NonZeroU32,
    /// When the messages of the last second went: the oldest first.
    last: VecDeque<Instant>,
}

impl RateLimiter {
    /// When another message may go.
    fn next(&self, now: Instant) -> Instant {
        let is_full = self.last.len() >= self.max.get() as usize;
        self.last.front().filter(|_| is_full).map_or(now, |oldest| now.max(*oldest + Duration::from_secs(1)))
    }

    /// Notes that a message goes.
    fn record_sent(&mut self, at: Instant) {
        while self.last.front().is_some_and(|earlier| *earlier + Duration::from_secs(1) <= at) {
            self.last.pop_front();
        }
        self.last.push_back(at);
    }

    /// Returns when another message may go; false if that would be after `until`.
    async fn wait(&mut self, until: Option<Instant>) -> bool {
        let now = Instant::now();
        let at = self.next(now);
        if until.is_some_and(|until| at > until) {
            return false;
        }
        if at > now {
            tokio::time::sleep_until(at).await;
        }
        self.record_sent(at);
        true
    }
}

/// Lets go of a connection that is of no use any more; whether one was kept.
fn refresh(open: &mut Option<OpenConnection>) -> bool {
    let is_of_use = |open: &OpenConnection| {
        open.connection.status().connected() && open.channel.status().connected() && open.used.elapsed() < MAX_IDLE
    };
    if open.as_ref().is_some_and(|open| !is_of_use(open)) {
        *open = None;
    }
    open.is_some()
}

fn with_default(
    outcomes: Vec<Option<DeliveryOutcome>>,
    otherwise: &DeliveryOutcome,
    were_sent: &[bool],
) -> Vec<DeliveryOutcome> {
    let known = |(outcome, was_sent): (Option<DeliveryOutcome>, &bool)| {
        outcome.unwrap_or_else(|| in_doubt(otherwise.clone(), *was_sent))
    };
    outcomes.into_iter().zip(were_sent).map(known).collect()
}

/// What became of a message that may have been sent before: what is lost then may have arrived.
fn in_doubt(outcome: DeliveryOutcome, was_sent: bool) -> DeliveryOutcome {
    match outcome {
        DeliveryOutcome::Unknown(unconfirmed) => DeliveryOutcome::Unknown(Unconfirmed {
            may_have_arrived: unconfirmed.may_have_arrived || was_sent,
            ..unconfirmed
        }),
        known => known,
    }
}

/// Whether an error says that nothing was sent: the connection was known to be closed.
fn is_unsent(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidChannelState(..) | ErrorKind::InvalidConnectionState(_))
}

/// What an error means for what was to be published, or was sent already.
fn outcome(error: &Error, was_sent: bool) -> DeliveryOutcome {
    let unconfirmed = |reason, is_rejection| {
        DeliveryOutcome::Unknown(Unconfirmed { reason, is_rejection, may_have_arrived: was_sent })
    };
    let ErrorKind::ProtocolError(said) = error.kind() else {
        let reason = match error.to_string().split_once("invalid peer certificate: ") {
            Some((_, why)) => format!("the broker's certificate is not trusted ({why})"),
            None => format!("the connection to the broker: {error}"),
        };
        return unconfirmed(reason, false);
    };
    match said.kind() {
        // While the exchange is declared. Later it may be said of another message of the batch.
        AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED) if !was_sent => {
            DeliveryOutcome::Rejected(format!("the broker refuses: {}", said.get_message()))
        }
        // It is going down, or its operator closed the connection.
        AMQPErrorKind::Hard(AMQPHardError::CONNECTIONFORCED | AMQPHardError::INTERNALERROR) => {
            unconfirmed(format!("the broker closed the connection: {}", said.get_message()), false)
        }
        // The rest may be over soon: ACCESS_REFUSED is said of a wrong password and of an authentication back end that is
        // down, NOT_ALLOWED of an unknown virtual host, of one that is down and of too many connections.
        _ => unconfirmed(format!("the broker refuses: {}", said.get_message()), true),
    }
}

#[cfg(test)]
mod tests {
    use lapin::protocol::AMQPError;

    use super::*;

    #[test]
    fn only_what_the_broker_would_refuse_again_is_refused_for_good() {
        let said = |kind: AMQPErrorKind, was_sent| {
            let error: Error = ErrorKind::ProtocolError(AMQPError::new(kind, "NO - because".into())).into();
            outcome(&error, was_sent)
        };
        let refused = DeliveryOutcome::Rejected("the broker refuses: NO - because".to_owned());
        assert_eq!(said(AMQPSoftError::PRECONDITIONFAILED.into(), false), refused);
        for (kind, is_rejection) in [
            (AMQPErrorKind::from(AMQPSoftError::PRECONDITIONFAILED), true),
            (AMQPSoftError::CONTENTTOOLARGE.into(), true),
            (AMQPSoftError::ACCESSREFUSED.into(), true),
            (AMQPSoftError::NOTFOUND.into(), true),
            (AMQPSoftError::RESOURCELOCKED.into(), true),
            (AMQPHardError::NOTALLOWED.into(), true),
            (AMQPHardError::RESOURCEERROR.into(), true),
            (AMQPHardError::CHANNELERROR.into(), true),
            (AMQPHardError::CONNECTIONFORCED.into(), false),
            (AMQPHardError::INTERNALERROR.into(), false),
        ] {
            let DeliveryOutcome::Unknown(unconfirmed) = said(kind.clone(), true) else { panic!("{kind:?}") };
            assert_eq!((unconfirmed.is_rejection, unconfirmed.may_have_arrived), (is_rejection, true), "{kind:?}");
            assert!(unconfirmed.reason.ends_with("NO - because"), "{}", unconfirmed.reason);
        }
    }

    #[test]
    fn what_was_sent_once_may_have_arrived_whatever_became_of_the_second_attempt() {
        let unconfirmed = DeliveryOutcome::Unknown(Unconfirmed::unsent("the broker is away"));
        let outcomes =
            with_default(vec![None, None, Some(DeliveryOutcome::Confirmed)], &unconfirmed, &[true, false, true]);
        let sent = DeliveryOutcome::Unknown(Unconfirmed::sent("the broker is away"));
        assert_eq!(outcomes, [sent, unconfirmed, DeliveryOutcome::Confirmed]);
    }

    #[test]
    fn in_no_second_there_are_more_messages_than_may_be() {
        let mut limiter = RateLimiter { max: NonZeroU32::new(3).unwrap(), last: VecDeque::new() };
        let start = Instant::now();
        let mut now = start;
        let mut went = Vec::new();
        for _ in 0..8 {
            now = limiter.next(now);
            limiter.record_sent(now);
            went.push((now - start).as_millis());
            now += Duration::from_millis(100);
        }
        assert_eq!(went, [0, 100, 200, 1000, 1100, 1200, 2000, 2100]);
        limiter.record_sent(now + Duration::from_mins(1));
        assert_eq!(limiter.last.len(), 1, "what was before holds nothing back");
    }

    #[tokio::test]
    async fn what_would_go_too_late_does_not_go() {
        let mut limiter = RateLimiter { max: NonZeroU32::MIN, last: VecDeque::new() };
        let start = Instant::now();
        assert!(limiter.wait(Some(start + Duration::from_mins(1))).await);
        assert!(!limiter.wait(Some(start + Duration::from_millis(500))).await);
        assert!(start.elapsed() < Duration::from_millis(500), "it is known at once");
    }
}
