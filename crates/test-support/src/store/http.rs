//! A minimal HTTP server and client: one request per connection, on threads of their own.
//!
//! Written here because tests control every byte and when a connection breaks, and because a server among the
//! dependencies would have the AWS SDK built once more for the tests.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

/// A request or an answer.
#[derive(Debug, Clone)]
pub struct Message {
    /// The first line.
    pub start: String,
    /// The headers, as they were received.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// Close the connection after this many bytes of the body.
    pub break_off_at: Option<usize>,
}

impl Message {
    /// An answer with a status such as `200 OK`.
    pub fn answer(status: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { start: format!("HTTP/1.1 {status}"), headers: Vec::new(), body: body.into(), break_off_at: None }
    }

    /// The same with this header, which replaces those of the same name.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with another body and without the checksum of the body.
    #[must_use]
    pub fn rewritten(mut self, content: &serde_json::Value) -> Self {
        self.body = content.to_string().into_bytes();
        self.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("x-amz-crc32"));
        self
    }

    /// The same, breaking off after so many bytes of the body.
    #[must_use]
    pub fn breaking_off_at(mut self, length: usize) -> Self {
        self.break_off_at = Some(length);
        self
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Reads a message whose body has a length, is chunked or, if `to_the_end`, ends with the connection.
    fn read(stream: &TcpStream, to_the_end: bool) -> io::Result<Self> {
        let mut stream = BufReader::new(stream);
        let mut line = || -> io::Result<String> {
            let mut line = String::new();
            stream.read_line(&mut line)?;
            Ok(line.trim_end().to_owned())
        };
        let start = line()?;
        if start.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut headers = Vec::new();
        loop {
            let header = line()?;
            let Some((name, value)) = header.split_once(':') else { break };
            headers.push((name.to_owned(), value.trim().to_owned()));
        }
        let mut message = Self { start, headers, body: Vec::new(), break_off_at: None };
        if message.header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            loop {
                let mut size = String::new();
                stream.read_line(&mut size)?;
                let size = u64::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
                (&mut stream).take(size).read_to_end(&mut message.body)?;
                stream.read_line(&mut String::new())?;
                if size == 0 {
                    break;
                }
            }
            message.headers.retain(|(name, _)| !name.eq_ignore_ascii_case("transfer-encoding"));
        } else if let Some(length) = message.header("content-length") {
            let length = length.parse().map_err(io::Error::other)?;
            stream.take(length).read_to_end(&mut message.body)?;
        } else if to_the_end {
            stream.read_to_end(&mut message.body)?;
        }
        Ok(message)
    }

    fn write(&self, mut stream: &TcpStream) -> io::Result<()> {
        let mut bytes = format!("{}\r\n", self.start).into_bytes();
        let own = ["content-length", "connection"];
        for (name, value) in self.headers.iter().filter(|(name, _)| !own.contains(&&*name.to_ascii_lowercase())) {
            write!(bytes, "{name}: {value}\r\n")?;
        }
        write!(bytes, "Content-Length: {}\r\nConnection: close\r\n\r\n", self.body.len())?;
        bytes.extend_from_slice(&self.body[..self.break_off_at.unwrap_or(self.body.len())]);
        stream.write_all(&bytes)?;
        stream.flush()
    }
}

/// Answers every request on a free port of this machine by `answer`; `None` closes the connection without an answer.
/// Returns its address. It serves until the test's process ends.
pub fn serve(answer: impl Fn(Message) -> Option<Message> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || -> io::Result<()> {
                match answer(Message::read(&stream, false)?) {
                    Some(answer) => answer.write(&stream),
                    None => Ok(()),
                }
            });
        }
    });
    address
}

/// Forwards a request with all its headers to the server at `address` (`http://HOST:PORT`), and returns the answer.
///
/// # Errors
/// The server cannot be reached, or its answer breaks off.
pub fn forward(address: &str, request: &Message) -> io::Result<Message> {
    let stream = TcpStream::connect(address.trim_start_matches("http://").trim_end_matches('/'))?;
    request.write(&stream)?;
    Message::read(&stream, true)
}

/// An address that refuses connections.
pub fn closed_address() -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    format!("http://{}", listener.local_addr().expect("an address"))
}
