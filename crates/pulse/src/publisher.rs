//! The publisher: a connection that suits a Lambda function, and a confirm for each delivery.

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
use requests::delivery::{DeliveryOutcome, Unconfirmed};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::{Credentials, Message, PulseSettings};

/// The time limit for opening a connection, for handing a message to the broker, and for the confirms of a batch.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Why a message is not confirmed if the broker takes none.
const STUCK: &str = "the broker takes no messages";
/// A connection that was idle for longer is opened anew: Lambda may have frozen the environment meanwhile, and the broker
/// closes a connection without heartbeats.
const MAX_IDLE: Duration = Duration::from_secs(30);
/// The delivery mode of messages that the broker keeps on disk.
const PERSISTENT: u8 = 2;

/// Publishes messages.
pub struct Publisher {
    settings: PulseSettings,
    credentials: Credentials,
    open: Mutex<Option<OpenConnection>>,
    limiter: Mutex<RateLimiter>,
    /// How many connections were opened so far.
    opened: std::sync::Mutex<u32>,
}

struct OpenConnection {
    connection: Connection,
    channel: Channel,
    used: Instant,
}

impl Publisher {
    /// A publisher that sends at most `max_per_second` messages a second. The connection is opened when it is needed.
    pub fn new(settings: PulseSettings, credentials: Credentials, max_per_second: NonZeroU32) -> Self {
        let limiter = Mutex::new(RateLimiter { max: max_per_second, last: VecDeque::new() });
        Self { settings, credentials, open: Mutex::new(None), limiter, opened: std::sync::Mutex::new(0) }
    }

    /// How many connections were opened so far, successfully or not.
    pub fn opened(&self) -> u32 {
        *self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a connection if none is open, and declares the exchange, so that listeners can bind to it.
    ///
    /// # Errors
    /// The reason why the connection cannot be opened.
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

    /// Publishes messages without waiting for each confirm, and returns the outcome of each. If the connection is lost, the
    /// publisher opens it once more and publishes the unconfirmed messages again. No message is published after `until`;
    /// those that are left have an unknown outcome.
    pub async fn publish(&self, messages: &[Message], until: Option<Instant>) -> Vec<DeliveryOutcome> {
        let mut open = self.open.lock().await;
        let mut outcomes: Vec<Option<DeliveryOutcome>> = vec![None; messages.len()];
        // By the first attempt; the outcome of the second one counts.
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
                // A kept connection may have been lost long ago: its error says nothing about the message.
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
        let mut is_stuck = false;
        for message in messages {
            let properties = BasicProperties::default()
                .with_content_type("application/json".into())
                .with_delivery_mode(PERSISTENT)
                .with_message_id(message.id.clone().into())
                .with_timestamp(message.requested_at.timestamp().try_into().unwrap_or_default())
                .with_app_id("runnable-jobs".into());
            let key = message.routing_key.clone();
            let sent = if is_stuck {
                Err(Unconfirmed::unsent(STUCK))
            } else if limiter.wait(until).await {
                let sending =
                    channel.basic_publish(exchange.clone().into(), key.into(), options, &message.body, properties);
                // A broker that runs out of memory or disk space takes nothing for as long as that lasts.
                let sent = tokio::time::timeout(TIMEOUT, sending).await;
                is_stuck = sent.is_err();
                sent.map_err(|_| Unconfirmed::sent(STUCK))
            } else {
                Err(Unconfirmed::unsent("no time was left to publish it"))
            };
            published.push((message, sent));
        }
        confirmed(published).await
    }
}

/// What became of a message on its way to the broker: the confirm to wait for, or why there will be none.
type Sent = Result<Result<PublisherConfirm, Error>, Unconfirmed>;

/// Waits for the confirms of all messages, up to the time limit.
///
/// lapin attaches a returned message to the next confirm, which may belong to another message: returned messages are
/// recognised by their ids. The broker returns a message before it confirms it.
async fn confirmed(published: Vec<(&Message, Sent)>) -> Vec<DeliveryOutcome> {
    let deadline = Instant::now() + TIMEOUT;
    let mut returned = HashSet::new();
    let mut note = |confirmation: &Confirmation| {
        if let Confirmation::Ack(Some(message)) | Confirmation::Nack(Some(message)) = confirmation {
            returned.extend(message.properties.message_id().as_ref().map(ToString::to_string));
        }
    };
    let (mut outcomes, mut late) = (Vec::with_capacity(published.len()), Vec::new());
    for (message, sent) in published {
        let outcome = match sent {
            Err(unconfirmed) => DeliveryOutcome::Unknown(unconfirmed),
            Ok(Err(error)) => outcome(&error, !is_unsent(&error)),
            Ok(Ok(mut confirm)) => match tokio::time::timeout_at(deadline, &mut confirm).await {
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
    // A late confirm may carry the return of a message that was confirmed in time.
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

/// Limits the messages a second, to protect listeners.
struct RateLimiter {
    max: NonZeroU32,
    /// When the messages of the last second were sent, oldest first.
    last: VecDeque<Instant>,
}

impl RateLimiter {
    /// When the next message may be sent.
    fn next(&self, now: Instant) -> Instant {
        let is_full = self.last.len() >= self.max.get() as usize;
        self.last.front().filter(|_| is_full).map_or(now, |oldest| now.max(*oldest + Duration::from_secs(1)))
    }

    /// Records that a message is sent.
    fn record_sent(&mut self, at: Instant) {
        while self.last.front().is_some_and(|earlier| *earlier + Duration::from_secs(1) <= at) {
            self.last.pop_front();
        }
        self.last.push_back(at);
    }

    /// Waits until the next message may be sent. Returns false at once if that would be after `until`.
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

/// Drops a connection that is closed or was idle for too long. Returns whether one is open.
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

/// The outcome of a message that may have been sent before: if it is unknown, the message may have arrived.
fn in_doubt(outcome: DeliveryOutcome, was_sent: bool) -> DeliveryOutcome {
    match outcome {
        DeliveryOutcome::Unknown(unconfirmed) => DeliveryOutcome::Unknown(Unconfirmed {
            may_have_arrived: unconfirmed.may_have_arrived || was_sent,
            ..unconfirmed
        }),
        known => known,
    }
}

/// Whether nothing was sent: the connection was known to be closed.
fn is_unsent(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidChannelState(..) | ErrorKind::InvalidConnectionState(_))
}

/// The outcome of a message when publishing it, or waiting for its confirm, fails.
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
        // The answer to declaring the exchange. Later it may be about another message of the batch.
        AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED) if !was_sent => {
            DeliveryOutcome::Rejected(format!("the broker refuses: {}", said.get_message()))
        }
        // It is going down, or its operator closed the connection.
        AMQPErrorKind::Hard(AMQPHardError::CONNECTIONFORCED | AMQPHardError::INTERNALERROR) => {
            unconfirmed(format!("the broker closed the connection: {}", said.get_message()), false)
        }
        // The rest may be temporary: ACCESS_REFUSED means a wrong password or an authentication back end that is down,
        // NOT_ALLOWED an unknown virtual host, one that is down, or too many connections.
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
