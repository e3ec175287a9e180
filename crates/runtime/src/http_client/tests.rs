use std::sync::atomic::{AtomicUsize, Ordering};

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_dynamodb::types::AttributeValue;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/x-amz-json-1.0\r\ncontent-length: 2\r\n\r\n{}";

/// A service that accepts connections and counts them. It answers on each but the first `broken`, which it closes.
struct Service {
    address: Uri,
    connections: Arc<AtomicUsize>,
}

impl Service {
    async fn start(broken: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
        let connections = Arc::new(AtomicUsize::new(0));
        let count = connections.clone();
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                if count.fetch_add(1, Ordering::SeqCst) >= broken {
                    tokio::spawn(answer(connection));
                }
            }
        });
        Self { address, connections }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Waits until the service has accepted a connection.
    async fn connected(&self) {
        while self.connections() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Answers requests without a body, or with one that comes in the same segment.
async fn answer(mut connection: TcpStream) {
    let mut request = [0; 4096];
    while connection.read(&mut request).await.is_ok_and(|length| length > 0) {
        connection.write_all(ANSWER).await.unwrap();
    }
}

fn client() -> SharedClient {
    SharedClient::new(Trust::System, Proxies::Ignored, Duration::from_millis(500))
}

async fn send(client: &SharedClient, address: &Uri) -> Result<u16, ConnectorError> {
    let connector = Connector { client: client.clone(), read_timeout: Some(Duration::from_secs(2)) };
    let request = http::Request::get(address.clone()).body(SdkBody::empty()).unwrap();
    let answer = connector.call(HttpRequest::try_from(request).unwrap()).await?;
    let status = answer.status().as_u16();
    // The pool takes the connection back when the answer is read.
    let mut body = answer.into_body();
    while let Some(Ok(())) = next_frame(&mut body).await {}
    Ok(status)
}

async fn next_frame(body: &mut SdkBody) -> Option<Result<(), aws_smithy_types::body::Error>> {
    use http_body::Body as _;
    std::future::poll_fn(|context| std::pin::Pin::new(&mut *body).poll_frame(context))
        .await
        .map(|frame| frame.map(drop))
}

#[tokio::test]
async fn the_first_request_uses_the_connection_that_was_opened_early() {
    let service = Service::start(0).await;
    let client = client();
    client.open_early(&service.address);
    service.connected().await;
    assert_eq!(send(&client, &service.address).await.unwrap(), 200);
    assert_eq!(send(&client, &service.address).await.unwrap(), 200);
    assert_eq!(service.connections(), 1);
}

#[tokio::test]
async fn a_request_waits_for_the_connection_that_is_being_opened() {
    let service = Service::start(0).await;
    let client = client();
    client.open_early(&service.address);
    assert_eq!(send(&client, &service.address).await.unwrap(), 200);
    assert_eq!(service.connections(), 1);
}

#[tokio::test]
async fn a_connection_that_cannot_be_opened_early_is_opened_by_the_request() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = client();
    let service = format!("http://{address}/").parse().unwrap();
    client.open_early(&service);
    // Long enough for the attempt to fail.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let listener = TcpListener::bind(address).await.unwrap();
    tokio::spawn(async move { answer(listener.accept().await.unwrap().0).await });
    assert_eq!(send(&client, &service).await.unwrap(), 200);
}

#[tokio::test]
async fn a_request_to_another_service_opens_a_connection_of_its_own() {
    let (early, other) = (Service::start(0).await, Service::start(0).await);
    let client = client();
    client.open_early(&early.address);
    early.connected().await;
    assert_eq!(send(&client, &other.address).await.unwrap(), 200);
    assert_eq!((early.connections(), other.connections()), (1, 1));
}

#[tokio::test]
async fn the_sdk_repeats_a_request_whose_early_connection_was_closed() {
    let service = Service::start(1).await;
    let client = client();
    client.open_early(&service.address);
    service.connected().await;
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("key", "secret", None, None, "test"))
        .endpoint_url(service.address.to_string())
        .http_client(client)
        .build();
    let table = aws_sdk_dynamodb::Client::from_conf(config);
    let read = table.get_item().table_name("table").key("pk", AttributeValue::S("x".to_owned()));
    assert_eq!(read.send().await.unwrap().item, None);
    assert_eq!(service.connections(), 2);
}

#[tokio::test]
async fn a_service_that_refuses_connections_is_an_error_of_the_network() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let service = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    assert!(send(&client(), &service).await.unwrap_err().is_io());
}

#[tokio::test]
async fn a_service_that_does_not_take_part_in_tls_is_a_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let service = format!("https://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let client = SharedClient::new(Trust::Amazon, Proxies::Ignored, Duration::from_millis(50));
    assert!(send(&client, &service).await.unwrap_err().is_timeout());
}

#[tokio::test]
async fn an_answer_that_does_not_begin_in_time_is_a_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let service: Uri = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let connector = Connector { client: client(), read_timeout: Some(Duration::from_millis(50)) };
    let request = http::Request::get(service).body(SdkBody::empty()).unwrap();
    let error = connector.call(HttpRequest::try_from(request).unwrap()).await.unwrap_err();
    assert!(error.is_timeout());
}
