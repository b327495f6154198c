//! A small client of the broker's HTTP, on the port of Kafka's protocol: one address does for everything.

use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::args::ClientArgs;

/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an answer may take to begin: longer than the broker lets a request wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(75);

/// An error that the broker told.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Told {
    /// The status of HTTP.
    pub status: u16,
    /// A word for programs.
    pub code: String,
    /// For people.
    pub message: String,
}

/// A broker's address.
#[derive(Debug, Clone)]
pub struct Http {
    addresses: Vec<String>,
}

impl Http {
    /// Connects with the first request.
    pub fn new(args: &ClientArgs) -> Http {
        Http {
            addresses: args.bootstrap_server.clone(),
        }
    }

    /// The same, of addresses.
    pub fn at(addresses: Vec<String>) -> Http {
        Http { addresses }
    }

    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.ask(Method::GET, path, None).await
    }

    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> anyhow::Result<T> {
        self.ask(Method::POST, path, Some(body)).await
    }

    pub async fn patch<T: DeserializeOwned>(&self, path: &str, body: &Value) -> anyhow::Result<T> {
        self.ask(Method::PATCH, path, Some(body)).await
    }

    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.ask(Method::DELETE, path, None).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<T> {
        let answer = self.send(method, path, body).await?;
        let bytes = answer.into_body().collect().await?.to_bytes();
        serde_json::from_slice(&bytes).with_context(|| {
            format!("the broker's answer to {path} is none that this version knows")
        })
    }

    /// Sends a request whose answer is read piece by piece.
    pub async fn stream(&self, path: &str) -> anyhow::Result<Incoming> {
        Ok(self.send(Method::GET, path, None).await?.into_body())
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Response<Incoming>> {
        let (address, stream) = self.connect().await?;
        let no_http = || {
            anyhow!(
                "{address} does not answer HTTP. This needs an Ottla broker; one that was started with \
                 http.port=off needs another value there (--http-port 9644)"
            )
        };
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the sender, or with an error that the sender tells, too.
        tokio::spawn(connection);
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &address);
        if !body.is_empty() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(Bytes::from(body)))?;
        let answer = match tokio::time::timeout(ANSWER_TIMEOUT, sender.send_request(request)).await
        {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => return Err(no_http()),
            Err(_) => bail!("{address} did not answer within {ANSWER_TIMEOUT:?}"),
        };
        match answer.status().is_success() {
            true => Ok(answer),
            false => Err(told(answer).await.map_or_else(no_http, Into::into)),
        }
    }

    async fn connect(&self) -> anyhow::Result<(String, TcpStream)> {
        let mut failed = None;
        for address in &self.addresses {
            let connecting = TcpStream::connect(address.as_str());
            let source = match tokio::time::timeout(CONNECT_TIMEOUT, connecting).await {
                Ok(Ok(stream)) => return Ok((address.clone(), stream)),
                Ok(Err(source)) => source,
                Err(_) => std::io::ErrorKind::TimedOut.into(),
            };
            // The client's own error, whose hints are known.
            failed = Some(ottla_client::ClientError::Connect {
                address: address.clone(),
                source,
            });
        }
        Err(failed.map_or_else(|| anyhow!("--bootstrap-server is empty"), Into::into))
    }
}

/// The error of an answer; `None` if it is not Ottla's form.
async fn told(answer: Response<Incoming>) -> Option<Told> {
    let status: StatusCode = answer.status();
    let bytes = answer.into_body().collect().await.ok()?.to_bytes();
    let body: Value = serde_json::from_slice(&bytes).ok()?;
    let text = |name: &str| body["error"][name].as_str().map(str::to_owned);
    Some(Told {
        status: status.as_u16(),
        code: text("code")?,
        message: text("message")?,
    })
}

/// A path with parameters, which are escaped.
pub fn path(parts: &[&str], parameters: &[(&str, String)]) -> String {
    let mut path = String::new();
    for part in parts {
        path.push('/');
        path.push_str(&escaped(part));
    }
    for (i, (name, value)) in parameters.iter().enumerate() {
        path.push(if i == 0 { '?' } else { '&' });
        path.push_str(&format!("{name}={}", escaped(value)));
    }
    path
}

fn escaped(text: &str) -> String {
    let mut out = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_escaped() {
        let path = path(
            &["v1", "groups", "a/b c", "nack"],
            &[("reason", "ü&1".to_owned()), ("limit", "3".to_owned())],
        );
        assert_eq!(path, "/v1/groups/a%2Fb%20c/nack?reason=%C3%BC%261&limit=3");
    }
}
