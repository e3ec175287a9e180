//! A listener as there are on Pulse, and a connection to the broker that can be cut.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::DateTime;
use lapin::options::{BasicAckOptions, BasicGetOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties};
use pulse::{Credentials, Message, MessageContent, MessageFormat, Publisher, PulseSettings};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// The broker's address in this variable, which the local stack sets.
pub fn address(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set: these tests need the broker, run them by `make test`"))
}

/// A project that no other test has: its name is the routing key.
pub fn project() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("project-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// The settings and credentials in a broker's address.
pub fn settings(url: &str) -> (PulseSettings, Credentials) {
    let (settings, credentials) = PulseSettings::read(url, "treeherder", None).unwrap();
    (settings, credentials.unwrap())
}

/// A publisher to the broker at this address.
pub fn publisher(url: &str) -> Publisher {
    let (settings, credentials) = settings(url);
    Publisher::new(settings, credentials, NonZeroU32::MAX)
}

/// A message that asks for these jobs.
pub fn message(id: &str, project: &str, jobs: &[&str]) -> Message {
    let content = MessageContent {
        project,
        push_id: 87268,
        requester: "someone@mozilla.com",
        decision_task_id: None,
        jobs,
        first: 0,
        requested_at: DateTime::from_timestamp(1_795_413_600, 0).unwrap(),
    };
    let (settings, _) = settings(&address("PULSE_URL"));
    Message::all(id, &settings.exchange(), &content, MessageFormat::default()).remove(0)
}

/// A listener to the messages of a project.
pub struct Listener {
    channel: Channel,
    queue: String,
    _connection: Connection,
}

impl Listener {
    /// Listens to a project from now on. The exchange must be there.
    pub async fn on(project: &str) -> Self {
        let connection = Connection::connect(&address("AMQP_URL"), ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        let queue = format!("queue/listener/{project}");
        let options = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
        channel.queue_declare(queue.clone().into(), options, FieldTable::default()).await.unwrap();
        let exchange = settings(&address("PULSE_URL")).0.exchange();
        let (key, options) = (project.to_owned(), QueueBindOptions::default());
        channel
            .queue_bind(queue.clone().into(), exchange.into(), key.into(), options, FieldTable::default())
            .await
            .unwrap();
        Self { channel, queue, _connection: connection }
    }

    /// The next message, with its properties; `None` if none arrives within two seconds.
    pub async fn next(&self) -> Option<lapin::message::Delivery> {
        for _ in 0..40 {
            let got = self.channel.basic_get(self.queue.clone().into(), BasicGetOptions::default()).await.unwrap();
            if let Some(got) = got {
                got.delivery.ack(BasicAckOptions::default()).await.unwrap();
                return Some(got.delivery);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        None
    }
}

/// `connection.blocked` (RabbitMQ's extension of AMQP 0-9-1): class 10, method 60, and the reason.
const BLOCKED: &[u8] = b"\x01\0\0\0\0\0\x08\0\x0a\0\x3c\x03low\xce";

/// A proxy before the broker that can cut its connections, suppress all that the broker sends, or say in its name that
/// it takes no messages.
pub struct Wire {
    /// The address of the proxy, as the broker's.
    pub url: String,
    connections: Arc<Mutex<Vec<JoinHandle<()>>>>,
    is_mute: Arc<AtomicBool>,
    block: Arc<Notify>,
}

impl Wire {
    /// A proxy without faults.
    pub async fn new() -> Self {
        let url = address("PULSE_URL");
        let (before, rest) = url.rsplit_once('@').unwrap();
        let (broker, vhost) = rest.split_once('/').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{before}@{}/{vhost}", listener.local_addr().unwrap());
        let connections: Arc<Mutex<Vec<JoinHandle<()>>>> = Arc::default();
        let (broker, open) = (broker.to_owned(), connections.clone());
        let is_mute = Arc::new(AtomicBool::new(false));
        let mute = is_mute.clone();
        let block: Arc<Notify> = Arc::default();
        let blocking = block.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(&broker).await.unwrap();
                let (mute, block) = (mute.clone(), blocking.clone());
                let wire = tokio::spawn(async move {
                    let (mut from_near, mut to_near) = near.into_split();
                    let (mut from_far, mut to_far) = far.into_split();
                    let back = async {
                        let mut buffer = vec![0; 64 * 1024];
                        loop {
                            let said = tokio::select! {
                                read = from_far.read(&mut buffer) => match read {
                                    Ok(length @ 1..) => &buffer[..length],
                                    Ok(_) | Err(_) => break,
                                },
                                () = block.notified() => BLOCKED,
                            };
                            if !mute.load(Ordering::SeqCst) && to_near.write_all(said).await.is_err() {
                                break;
                            }
                        }
                    };
                    tokio::select! {
                        _ = tokio::io::copy(&mut from_near, &mut to_far) => {}
                        () = back => {}
                    }
                });
                open.lock().unwrap().push(wire);
            }
        });
        Self { url, connections, is_mute, block }
    }

    /// Suppresses everything that the broker sends from now on.
    pub fn mute(&self) {
        self.is_mute.store(true, Ordering::SeqCst);
    }

    /// Says on all connections that the broker takes no messages, as one does that is low on memory or disk space. Nothing
    /// may be on its way from the broker.
    pub fn block(&self) {
        self.block.notify_waiters();
    }

    /// Cuts all connections.
    pub fn cut(&self) {
        self.connections.lock().unwrap().drain(..).for_each(|wire| wire.abort());
    }
}
