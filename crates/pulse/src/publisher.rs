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
const PATIENCE: Duration = Duration::from_secs(5);
/// A connection that was idle for longer is opened anew: an environment may have been frozen meanwhile, and the broker
/// may have given it up, as it hears nothing from one.
const MOST_IDLE: Duration = Duration::from_secs(30);
/// The delivery mode of messages that the broker keeps on disk.
const PERSISTENT: u8 = 2;

/// What became of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The broker has it, and some queue received it.
    Forwarded,
    /// The broker gave it back: nobody listens.
    Unroutable,
    /// The broker refuses it, and would refuse it again: the exchange is there, and of another type.
    Refused(String),
    /// Not known to have arrived: to be tried again, under the same id.
    Lost(Lost),
}

/// Why a message is not known to have arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// In words.
    pub reason: String,
    /// Whether the broker said no, which it may do for a while only: a wrong password and an authentication back end that is
    /// down have the same answer.
    pub is_refusal: bool,
    /// Whether it was sent: then it may have arrived all the same.
    pub may_have_arrived: bool,
}

impl Lost {
    /// One that was not sent.
    fn unsent(reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), is_refusal: false, may_have_arrived: false }
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
    open: Mutex<Option<Open>>,
    pace: Mutex<Pace>,
    /// How often a connection was opened so far.
    opened: std::sync::Mutex<u32>,
}

struct Open {
    connection: Connection,
    channel: Channel,
    used: Instant,
}

impl Publisher {
    /// A publisher, of so many messages a second at most. Nothing is opened yet.
    pub fn new(settings: PulseSettings, credentials: Credentials, most_a_second: NonZeroU32) -> Self {
        let pace = Mutex::new(Pace { most: most_a_second, last: VecDeque::new() });
        Self { settings, credentials, open: Mutex::new(None), pace, opened: std::sync::Mutex::new(0) }
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
            *open = Some(self.open().await.map_err(|fate| match fate {
                Fate::Refused(reason) | Fate::Lost(Lost { reason, .. }) => reason,
                Fate::Forwarded | Fate::Unroutable => String::new(),
            })?);
        }
        Ok(())
    }

    /// Publishes messages one behind the other, without waiting for each, and tells what became of each. Where the
    /// connection turns out to be lost, it is opened once more, and what was not confirmed is published again. What is not
    /// published by `until` is not any more, and counts as lost.
    pub async fn publish(&self, messages: &[Message], until: Option<Instant>) -> Vec<Fate> {
        let mut open = self.open.lock().await;
        let mut fates: Vec<Option<Fate>> = vec![None; messages.len()];
        // By the first attempt; what the second one finds out counts more.
        let mut were_sent = vec![false; messages.len()];
        for attempt in 0..2 {
            let was_open = refresh(&mut open);
            if open.is_none() {
                match self.open().await {
                    Ok(opened) => *open = Some(opened),
                    Err(fate) => return settled(fates, &fate, &were_sent),
                }
            }
            let Some(opened) = open.as_mut() else { continue };
            let left = fates.iter().zip(messages).enumerate();
            let left: Vec<(usize, &Message)> =
                left.filter(|(_, (fate, _))| fate.is_none()).map(|(place, (_, message))| (place, message)).collect();
            let found = self.publish_on(&opened.channel, left.iter().map(|(_, message)| *message), until).await;
            opened.used = Instant::now();
            let mut is_lost = false;
            for ((place, _), fate) in left.into_iter().zip(found) {
                is_lost |= matches!(fate, Fate::Lost(_) | Fate::Refused(_));
                // A connection that was kept may have been lost long ago: that says nothing of the message.
                let is_worth_another = attempt == 0 && was_open && matches!(fate, Fate::Lost(_));
                if is_worth_another {
                    were_sent[place] = matches!(fate, Fate::Lost(Lost { may_have_arrived: true, .. }));
                } else {
                    fates[place] = Some(in_doubt(fate, were_sent[place]));
                }
            }
            if is_lost {
                *open = None;
            }
            if fates.iter().all(Option::is_some) {
                break;
            }
        }
        settled(fates, &Fate::Lost(Lost::unsent("the connection was lost twice")), &were_sent)
    }

    async fn open(&self) -> Result<Open, Fate> {
        *self.opened.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        match tokio::time::timeout(PATIENCE, self.connect()).await {
            Ok(Ok(open)) => Ok(open),
            Ok(Err(error)) => Err(fate(&error, false)),
            Err(_) => {
                let reason = format!("the broker did not answer within {} s", PATIENCE.as_secs());
                Err(Fate::Lost(Lost::unsent(reason)))
            }
        }
    }

    async fn connect(&self) -> Result<Open, Error> {
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
        Ok(Open { connection, channel, used: Instant::now() })
    }

    async fn publish_on<'m>(
        &self,
        channel: &Channel,
        messages: impl Iterator<Item = &'m Message>,
        until: Option<Instant>,
    ) -> Vec<Fate> {
        let mut pace = self.pace.lock().await;
        let exchange = self.settings.exchange();
        let options = BasicPublishOptions { mandatory: true, ..BasicPublishOptions::default() };
        let mut published = Vec::new();
        for message in messages {
            let properties = BasicProperties::default()
                .with_content_type("application/json".into())
                .with_delivery_mode(PERSISTENT)
                .with_message_id(message.id.clone().into())
                .with_timestamp(message.asked_at.timestamp().try_into().unwrap_or_default())
                .with_app_id("runnable-jobs".into());
            let key = message.routing_key.clone();
            let confirm = if pace.wait(until).await {
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
async fn confirmed(published: Vec<(&Message, Option<Result<PublisherConfirm, Error>>)>) -> Vec<Fate> {
    let deadline = Instant::now() + PATIENCE;
    let mut returned = HashSet::new();
    let mut note = |confirmation: &Confirmation| {
        if let Confirmation::Ack(Some(message)) | Confirmation::Nack(Some(message)) = confirmation {
            returned.extend(message.properties.message_id().as_ref().map(ToString::to_string));
        }
    };
    let (mut fates, mut late) = (Vec::with_capacity(published.len()), Vec::new());
    for (message, confirm) in published {
        let fate = match confirm {
            None => Fate::Lost(Lost::unsent("no time was left to publish it")),
            Some(Err(error)) => fate(&error, !is_unsent(&error)),
            Some(Ok(mut confirm)) => match tokio::time::timeout_at(deadline, &mut confirm).await {
                Err(_) => {
                    late.push(confirm);
                    Fate::Lost(Lost::sent(format!("the broker did not confirm within {} s", PATIENCE.as_secs())))
                }
                Ok(Err(error)) => fate(&error, true),
                Ok(Ok(confirmation)) => {
                    note(&confirmation);
                    match confirmation {
                        Confirmation::Ack(_) => Fate::Forwarded,
                        // Of several queues, some may have it.
                        Confirmation::Nack(_) => Fate::Lost(Lost::sent("the broker could not keep it")),
                        Confirmation::NotRequested => Fate::Lost(Lost::sent("the broker was not asked to confirm")),
                    }
                }
            },
        };
        fates.push((message, fate));
    }
    // With a confirm that was too late something may have come that is told of a message which was confirmed in time.
    for confirm in late {
        if let Some(Ok(confirmation)) = confirm.now_or_never() {
            note(&confirmation);
        }
    }
    let is_unroutable = |message: &Message, fate: &Fate| *fate == Fate::Forwarded && returned.contains(&message.id);
    let known = |(message, fate)| if is_unroutable(message, &fate) { Fate::Unroutable } else { fate };
    fates.into_iter().map(known).collect()
}

/// Holds back what would be too much for listeners.
struct Pace {
    most: NonZeroU32,
    /// When the messages of the last second went: the oldest first.
    last: VecDeque<Instant>,
}

impl Pace {
    /// When another message may go.
    fn next(&self, now: Instant) -> Instant {
        let is_full = self.last.len() >= self.most.get() as usize;
        self.last.front().filter(|_| is_full).map_or(now, |oldest| now.max(*oldest + Duration::from_secs(1)))
    }

    /// Notes that a message goes.
    fn goes(&mut self, at: Instant) {
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
        self.goes(at);
        true
    }
}

/// Lets go of a connection that is of no use any more; whether one was kept.
fn refresh(open: &mut Option<Open>) -> bool {
    let is_of_use = |open: &Open| {
        open.connection.status().connected() && open.channel.status().connected() && open.used.elapsed() < MOST_IDLE
    };
    if open.as_ref().is_some_and(|open| !is_of_use(open)) {
        *open = None;
    }
    open.is_some()
}

fn settled(fates: Vec<Option<Fate>>, otherwise: &Fate, were_sent: &[bool]) -> Vec<Fate> {
    let known =
        |(fate, was_sent): (Option<Fate>, &bool)| fate.unwrap_or_else(|| in_doubt(otherwise.clone(), *was_sent));
    fates.into_iter().zip(were_sent).map(known).collect()
}

/// What became of a message that may have been sent before: what is lost then may have arrived.
fn in_doubt(fate: Fate, was_sent: bool) -> Fate {
    match fate {
        Fate::Lost(lost) => Fate::Lost(Lost { may_have_arrived: lost.may_have_arrived || was_sent, ..lost }),
        known => known,
    }
}

/// Whether an error says that nothing was sent: the connection was known to be closed.
fn is_unsent(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidChannelState(..) | ErrorKind::InvalidConnectionState(_))
}

/// What an error means for what was to be published, or was sent already.
fn fate(error: &Error, was_sent: bool) -> Fate {
    let lost = |reason, is_refusal| Fate::Lost(Lost { reason, is_refusal, may_have_arrived: was_sent });
    let ErrorKind::ProtocolError(said) = error.kind() else {
        let reason = match error.to_string().split_once("invalid peer certificate: ") {
            Some((_, why)) => format!("the broker's certificate is not trusted ({why})"),
            None => format!("the connection to the broker: {error}"),
        };
        return lost(reason, false);
    };
    match said.kind() {
        // While the exchange is declared. Later it may be said of another message of the batch.
        AMQPErrorKind::Soft(AMQPSoftError::PRECONDITIONFAILED) if !was_sent => {
            Fate::Refused(format!("the broker refuses: {}", said.get_message()))
        }
        // It is going down, or its operator closed the connection.
        AMQPErrorKind::Hard(AMQPHardError::CONNECTIONFORCED | AMQPHardError::INTERNALERROR) => {
            lost(format!("the broker closed the connection: {}", said.get_message()), false)
        }
        // The rest may be over soon: ACCESS_REFUSED is said of a wrong password and of an authentication back end that is
        // down, NOT_ALLOWED of an unknown virtual host, of one that is down and of too many connections.
        _ => lost(format!("the broker refuses: {}", said.get_message()), true),
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
            fate(&error, was_sent)
        };
        let refused = Fate::Refused("the broker refuses: NO - because".to_owned());
        assert_eq!(said(AMQPSoftError::PRECONDITIONFAILED.into(), false), refused);
        for (kind, is_refusal) in [
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
            let Fate::Lost(lost) = said(kind.clone(), true) else { panic!("{kind:?}") };
            assert_eq!((lost.is_refusal, lost.may_have_arrived), (is_refusal, true), "{kind:?}");
            assert!(lost.reason.ends_with("NO - because"), "{}", lost.reason);
        }
    }

    #[test]
    fn what_was_sent_once_may_have_arrived_whatever_became_of_the_second_attempt() {
        let lost = Fate::Lost(Lost::unsent("the broker is away"));
        let fates = settled(vec![None, None, Some(Fate::Forwarded)], &lost, &[true, false, true]);
        let sent = Fate::Lost(Lost::sent("the broker is away"));
        assert_eq!(fates, [sent, lost, Fate::Forwarded]);
    }

    #[test]
    fn in_no_second_there_are_more_messages_than_may_be() {
        let mut pace = Pace { most: NonZeroU32::new(3).unwrap(), last: VecDeque::new() };
        let start = Instant::now();
        let mut now = start;
        let mut went = Vec::new();
        for _ in 0..8 {
            now = pace.next(now);
            pace.goes(now);
            went.push((now - start).as_millis());
            now += Duration::from_millis(100);
        }
        assert_eq!(went, [0, 100, 200, 1000, 1100, 1200, 2000, 2100]);
        pace.goes(now + Duration::from_mins(1));
        assert_eq!(pace.last.len(), 1, "what was before holds nothing back");
    }

    #[tokio::test]
    async fn what_would_go_too_late_does_not_go() {
        let mut pace = Pace { most: NonZeroU32::MIN, last: VecDeque::new() };
        let start = Instant::now();
        assert!(pace.wait(Some(start + Duration::from_mins(1))).await);
        assert!(!pace.wait(Some(start + Duration::from_millis(500))).await);
        assert!(start.elapsed() < Duration::from_millis(500), "it is known at once");
    }
}
