//! A client for REST interfaces of other programs: a request on a connection of its own, JSON both ways.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// The longest that one request may take: Connect answers some only after a rebalance.
const TIMEOUT: Duration = Duration::from_secs(100);

/// What a server said.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The status code of HTTP.
    pub status: u16,
    /// The body; `Null` when there is none, text when it is not JSON.
    pub body: Value,
}

impl Answer {
    /// The body of a request that succeeded. Panics with the answer otherwise.
    #[track_caller]
    pub fn success(self) -> Value {
        assert!((200..300).contains(&self.status), "{self:?}");
        self.body
    }
}

/// Asks a server on this machine. HTTP/1.0, so that the answer ends with the connection.
pub fn ask(port: u16, method: &str, path: &str, body: Option<&Value>) -> io::Result<Answer> {
    ask_as(port, method, path, "application/json", body)
}

/// The same with a content type of one's own.
pub fn ask_as(
    port: u16,
    method: &str,
    path: &str,
    content_type: &str,
    body: Option<&Value>,
) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let body = body.map(Value::to_string).unwrap_or_default();
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nContent-Type: {content_type}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    parse(&String::from_utf8_lossy(&answer))
        .ok_or_else(|| io::Error::other("the server closed the connection before it answered"))
}

fn parse(answer: &str) -> Option<Answer> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let body = match serde_json::from_str(body) {
        Ok(json) => json,
        Err(_) if body.is_empty() => Value::Null,
        Err(_) => Value::String(body.to_owned()),
    };
    Some(Answer { status, body })
}
