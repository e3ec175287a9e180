//! A listener as there are on Pulse, and a wire to the broker that can be cut.
#![allow(dead_code, reason = "each test binary uses its own share of this")]

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::DateTime;
use lapin::options::{BasicAckOptions, BasicGetOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties};
use pulse::{Content, Credentials, Form, Message, Publisher, PulseSettings};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// An address that `stack.py exec --broker` tells.
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
    let content = Content {
        project,
        push_id: 87268,
        requester: "someone@mozilla.com",
        decision_task_id: None,
        jobs,
        first: 0,
        asked_at: DateTime::from_timestamp(1_795_413_600, 0).unwrap(),
    };
    let (settings, _) = settings(&address("PULSE_URL"));
    Message::all(id, &settings.exchange(), &content, Form::default()).remove(0)
}

/// Somebody who listens to a project.
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

/// A wire to the broker that can be cut.
pub(crate) struct Wire {
    /// The broker's address at this end.
    pub(crate) url: String,
    connections: Arc<Mutex<Vec<JoinHandle<()>>>>,
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
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let mut far = TcpStream::connect(&broker).await.unwrap();
                let wire = tokio::spawn(async move {
                    let _ = copy_bidirectional(&mut near, &mut far).await;
                });
                open.lock().unwrap().push(wire);
            }
        });
        Self { url, connections }
    }

    /// Cuts what is connected.
    pub(crate) fn cut(&self) {
        self.connections.lock().unwrap().drain(..).for_each(|wire| wire.abort());
    }
}
