//! A listener as there are on Pulse, and a wire to the broker that can be cut.
#![allow(dead_code, reason = "each test binary uses its own share of this")]

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
use tokio::task::JoinHandle;

/// An address that `stack.py exec --broker` sets.
pub(crate) fn address(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("{variable} is not set: these tests need the broker, run them by `make test`"))
}

/// A project that no other test has: its name is the routing key.
pub(crate) fn project() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("project-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn settings(url: &str) -> (PulseSettings, Credentials) {
    let (settings, credentials) = PulseSettings::read(url, "treeherder", None).unwrap();
    (settings, credentials.unwrap())
}

pub(crate) fn publisher(url: &str) -> Publisher {
    let (settings, credentials) = settings(url);
    Publisher::new(settings, credentials, NonZeroU32::MAX)
}

/// A message that asks for these jobs.
pub(crate) fn message(id: &str, project: &str, jobs: &[&str]) -> Message {
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

/// A listener of a project.
pub(crate) struct Listener {
    channel: Channel,
    queue: String,
    _connection: Connection,
}

impl Listener {
    /// Listens to a project from now on. The exchange must be there.
    pub(crate) async fn on(project: &str) -> Self {
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

    /// The next message, with its properties; none if there is none within two seconds.
    pub(crate) async fn next(&self) -> Option<lapin::message::Delivery> {
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

/// A wire to the broker that can be cut, or carry nothing back.
pub(crate) struct Wire {
    /// The broker's address at this end.
    pub(crate) url: String,
    connections: Arc<Mutex<Vec<JoinHandle<()>>>>,
    is_mute: Arc<AtomicBool>,
}

impl Wire {
    pub(crate) async fn new() -> Self {
        let url = address("PULSE_URL");
        let (before, rest) = url.rsplit_once('@').unwrap();
        let (broker, vhost) = rest.split_once('/').unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("{before}@{}/{vhost}", listener.local_addr().unwrap());
        let connections: Arc<Mutex<Vec<JoinHandle<()>>>> = Arc::default();
        let (broker, open) = (broker.to_owned(), connections.clone());
        let is_mute = Arc::new(AtomicBool::new(false));
        let mute = is_mute.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(&broker).await.unwrap();
                let mute = mute.clone();
                let wire = tokio::spawn(async move {
                    let (mut from_near, mut to_near) = near.into_split();
                    let (mut from_far, mut to_far) = far.into_split();
                    let back = async {
                        let mut buffer = vec![0; 64 * 1024];
                        while let Ok(length @ 1..) = from_far.read(&mut buffer).await {
                            let is_lost =
                                !mute.load(Ordering::SeqCst) && to_near.write_all(&buffer[..length]).await.is_err();
                            if is_lost {
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
        Self { url, connections, is_mute }
    }

    /// Lets nothing of what the broker says arrive from now on.
    pub(crate) fn mute(&self) {
        self.is_mute.store(true, Ordering::SeqCst);
    }

    /// Cuts what is connected.
    pub(crate) fn cut(&self) {
        self.connections.lock().unwrap().drain(..).for_each(|wire| wire.abort());
    }
}
