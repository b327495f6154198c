//! One TCP connection to a broker: frames, correlation ids, typed calls.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader};
use kafka_protocol::protocol::{Encodable, Request, StrBytes};
use ottla_codec::answer::{self, AnswerError};
use ottla_codec::request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::error::ClientError;

/// How a connection behaves.
#[derive(Debug, Clone)]
pub struct ConnectionOptions {
    /// The client id in request headers.
    pub client_id: String,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long an answer may take, from the moment it is waited for.
    pub request_timeout: Duration,
    /// The largest frame that is accepted, in bytes.
    pub max_frame_bytes: usize,
}

impl Default for ConnectionOptions {
    fn default() -> Self {
        ConnectionOptions {
            client_id: "ottla".to_owned(),
            connect_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            max_frame_bytes: 256 << 20,
        }
    }
}

/// One TCP connection. Requests may be pipelined with [`send`](Connection::send) and [`receive`](Connection::receive);
/// brokers answer in order. After an error of the connection itself (not of the broker) it must be dropped.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    address: String,
    options: ConnectionOptions,
    /// What was received beyond the last frame; kept here so that a cancelled read loses nothing.
    received: BytesMut,
    next_correlation_id: i32,
    in_flight: VecDeque<i32>,
}

impl Connection {
    /// Connects to `host:port` with default options.
    pub async fn connect(address: impl Into<String>) -> Result<Connection, ClientError> {
        Connection::connect_with(address, ConnectionOptions::default()).await
    }

    /// Connects to `host:port`.
    pub async fn connect_with(
        address: impl Into<String>,
        options: ConnectionOptions,
    ) -> Result<Connection, ClientError> {
        let address = address.into();
        let connected = timeout(options.connect_timeout, TcpStream::connect(&address))
            .await
            .unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
            .and_then(|stream| stream.set_nodelay(true).map(|()| stream));
        let stream = connected.map_err(|source| ClientError::Connect {
            address: address.clone(),
            source,
        })?;
        Ok(Connection {
            stream,
            address,
            options,
            received: BytesMut::new(),
            next_correlation_id: 0,
            in_flight: VecDeque::new(),
        })
    }

    /// The address as it was given.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Sends `request` in `version` and waits for its answer; nothing else may be in flight.
    pub async fn call<R: Request>(
        &mut self,
        version: i16,
        request: &R,
    ) -> Result<R::Response, ClientError> {
        self.call_within(self.options.request_timeout, version, request)
            .await
    }

    /// As [`call`](Connection::call), with a time limit of its own: for requests that wait at the broker.
    pub async fn call_within<R: Request>(
        &mut self,
        limit: Duration,
        version: i16,
        request: &R,
    ) -> Result<R::Response, ClientError> {
        self.send(version, request).await?;
        self.receive_within::<R>(limit, version).await
    }

    /// Sends `request` without waiting; returns its correlation id. Its answer is due to
    /// [`receive`](Connection::receive) after those of earlier requests. A request that is never answered (Produce with
    /// acks=0) goes through [`send_unanswered`](Connection::send_unanswered).
    pub async fn send<R: Request>(
        &mut self,
        version: i16,
        request: &R,
    ) -> Result<i32, ClientError> {
        let correlation_id = self.send_unanswered(version, request).await?;
        self.in_flight.push_back(correlation_id);
        Ok(correlation_id)
    }

    /// Sends a request that the broker will not answer.
    pub async fn send_unanswered<R: Request>(
        &mut self,
        version: i16,
        request: &R,
    ) -> Result<i32, ClientError> {
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id = self.next_correlation_id.wrapping_add(1);
        let frame = encode_request(version, correlation_id, &self.options.client_id, request)?;
        self.write(&frame).await?;
        Ok(correlation_id)
    }

    /// Waits for the answer to the earliest request in flight, which was an `R` in `version`.
    pub async fn receive<R: Request>(&mut self, version: i16) -> Result<R::Response, ClientError> {
        self.receive_within::<R>(self.options.request_timeout, version)
            .await
    }

    /// As [`receive`](Connection::receive), with a time limit of its own.
    pub async fn receive_within<R: Request>(
        &mut self,
        limit: Duration,
        version: i16,
    ) -> Result<R::Response, ClientError> {
        let mut frame = self.read_frame_within(limit).await?;
        let decode_error = |reason: String| ClientError::Decode {
            api: api_name::<R>(),
            version,
            reason,
        };
        let correlation_id =
            answer::header::<R>(version, &mut frame).map_err(|e| decode_error(e.to_string()))?;
        let expected = self.in_flight.pop_front().ok_or_else(|| {
            ClientError::Invalid("an answer was read while no request is in flight".to_owned())
        })?;
        if correlation_id != expected {
            return Err(ClientError::OutOfOrder {
                address: self.address.clone(),
                expected,
                got: correlation_id,
            });
        }
        decode_body::<R>(version, frame).map_err(|e| decode_error(e.to_string()))
    }

    /// How many requests are in flight.
    pub fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Sends bytes as they are, with a length before them: the body of one frame.
    pub async fn send_raw(&mut self, body: &[u8]) -> Result<(), ClientError> {
        let length = i32::try_from(body.len())
            .map_err(|_| ClientError::Invalid("a frame is limited to 2 GiB".to_owned()))?;
        let mut frame = BytesMut::with_capacity(4 + body.len());
        frame.put_i32(length);
        frame.put_slice(body);
        self.write(&frame).await
    }

    /// Sends bytes with no length before them, to test how a broker bears what is not a frame.
    pub async fn write_bytes(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        self.write(bytes).await
    }

    /// The next frame without its length.
    pub async fn read_frame(&mut self) -> Result<Bytes, ClientError> {
        self.read_frame_within(self.options.request_timeout).await
    }

    /// As [`read_frame`](Connection::read_frame), with a time limit of its own. A read that times out loses nothing.
    pub async fn read_frame_within(&mut self, limit: Duration) -> Result<Bytes, ClientError> {
        match timeout(limit, self.next_frame()).await {
            Ok(frame) => frame,
            Err(_) => Err(ClientError::Timeout {
                address: self.address.clone(),
                after: limit,
            }),
        }
    }

    async fn next_frame(&mut self) -> Result<Bytes, ClientError> {
        loop {
            if let Some(frame) = self.split_frame()? {
                return Ok(frame);
            }
            // `read_buf` doubles the buffer as bytes arrive; the length that the broker claims reserves nothing.
            match self.stream.read_buf(&mut self.received).await {
                Ok(0) => {
                    return Err(ClientError::Closed {
                        address: self.address.clone(),
                    });
                }
                Ok(_) => {}
                Err(source) => return Err(self.io_error(source)),
            }
        }
    }

    fn split_frame(&mut self) -> Result<Option<Bytes>, ClientError> {
        let Some(prefix) = self.received.first_chunk::<4>() else {
            self.received.reserve(64 << 10);
            return Ok(None);
        };
        let claimed = i32::from_be_bytes(*prefix);
        let length = usize::try_from(claimed)
            .ok()
            .filter(|length| *length <= self.options.max_frame_bytes)
            .ok_or_else(|| ClientError::BadFrame {
                address: self.address.clone(),
                length: i64::from(claimed),
                limit: self.options.max_frame_bytes,
            })?;
        if self.received.len() < 4 + length {
            let missing = 4 + length - self.received.len();
            self.received
                .reserve(missing.min(self.received.len().max(64 << 10)));
            return Ok(None);
        }
        self.received.advance(4);
        Ok(Some(self.received.split_to(length).freeze()))
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        match timeout(self.options.request_timeout, self.stream.write_all(bytes)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(source)) => Err(self.io_error(source)),
            Err(_) => Err(ClientError::Timeout {
                address: self.address.clone(),
                after: self.options.request_timeout,
            }),
        }
    }

    fn io_error(&self, source: std::io::Error) -> ClientError {
        ClientError::Io {
            address: self.address.clone(),
            source,
        }
    }
}

/// The protocol's name of a request's API, as in `Produce`.
pub(crate) fn api_name<R: Request>() -> &'static str {
    let name = std::any::type_name::<R>();
    let name = name.rsplit("::").next().unwrap_or(name);
    name.strip_suffix("Request").unwrap_or(name)
}

/// A whole frame, its length included.
fn encode_request<R: Request>(
    version: i16,
    correlation_id: i32,
    client_id: &str,
    request: &R,
) -> Result<BytesMut, ClientError> {
    let encode_error = |reason: String| ClientError::Encode {
        api: api_name::<R>(),
        version,
        reason,
    };
    let api = ApiKey::try_from(R::KEY).map_err(|()| encode_error("unknown API key".to_owned()))?;
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation_id)
        .with_client_id(Some(StrBytes::from_string(client_id.to_owned())));
    let mut frame = BytesMut::with_capacity(256);
    frame.put_i32(0);
    header
        .encode(&mut frame, api.request_header_version(version))
        .map_err(|e| encode_error(e.to_string()))?;
    request::encode(version, request, &mut frame).map_err(encode_error)?;
    let length = i32::try_from(frame.len() - 4)
        .map_err(|_| encode_error("the request is larger than 2 GiB".to_owned()))?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    Ok(frame)
}

/// Decodes a response body. A broker that does not know the version of an ApiVersions request answers in version 0
/// with error 35 (KIP-511).
fn decode_body<R: Request>(version: i16, body: Bytes) -> Result<R::Response, AnswerError> {
    let refused = R::KEY == ApiKey::ApiVersions as i16 && body.starts_with(&[0, 35]);
    let version = if refused { 0 } else { version };
    answer::decode::<R>(version, body)
}

#[cfg(test)]
mod tests {
    use kafka_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
    use tokio::net::TcpListener;

    use super::*;

    /// A peer that reads one frame per answer and writes the given bytes back.
    async fn peer(answers: Vec<Vec<u8>>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            for answer in answers {
                let length = stream.read_i32().await.unwrap();
                let mut request = vec![0; usize::try_from(length).unwrap()];
                stream.read_exact(&mut request).await.unwrap();
                stream.write_all(&answer).await.unwrap();
            }
            // Hold the connection open until the client leaves.
            let _ = stream.read_u8().await;
        });
        address
    }

    fn answer(correlation_id: i32, version: i16, response: &ApiVersionsResponse) -> Vec<u8> {
        let mut frame = BytesMut::new();
        frame.put_i32(0);
        frame.put_i32(correlation_id);
        response.encode(&mut frame, version).unwrap();
        let length = i32::try_from(frame.len() - 4).unwrap();
        frame[..4].copy_from_slice(&length.to_be_bytes());
        frame.to_vec()
    }

    #[tokio::test]
    async fn a_call_returns_the_answer_with_its_correlation_id() {
        let response = ApiVersionsResponse::default().with_throttle_time_ms(7);
        let mut connection = Connection::connect(peer(vec![answer(0, 3, &response)]).await)
            .await
            .unwrap();
        let got = connection
            .call(3, &ApiVersionsRequest::default())
            .await
            .unwrap();
        assert_eq!(got, response);
    }

    #[tokio::test]
    async fn an_answer_that_claims_more_than_it_has_is_an_error() {
        // Correlation id 0, no error, ten million rows of which there is none.
        let mut frame = BytesMut::new();
        frame.put_i32(10);
        frame.put_i32(0);
        frame.put_i16(0);
        frame.put_i32(10_000_000);
        let address = peer(vec![frame.to_vec()]).await;
        let mut connection = Connection::connect(address).await.unwrap();
        let got = connection.call(0, &ApiVersionsRequest::default()).await;
        let told = got.unwrap_err().to_string();
        assert!(told.contains("claims 10000000 elements"), "{told}");
    }

    #[tokio::test]
    async fn pipelined_requests_are_answered_in_order() {
        let first = ApiVersionsResponse::default().with_throttle_time_ms(1);
        let second = ApiVersionsResponse::default().with_throttle_time_ms(2);
        let address = peer(vec![answer(0, 3, &first), answer(1, 3, &second)]).await;
        let mut connection = Connection::connect(address).await.unwrap();
        let request = ApiVersionsRequest::default();
        assert_eq!(connection.send(3, &request).await.unwrap(), 0);
        assert_eq!(connection.send(3, &request).await.unwrap(), 1);
        assert_eq!(connection.in_flight(), 2);
        for expected in [first, second] {
            let got = connection.receive::<ApiVersionsRequest>(3).await.unwrap();
            assert_eq!(got, expected);
        }
    }

    #[tokio::test]
    async fn an_answer_with_another_correlation_id_is_an_error() {
        let response = ApiVersionsResponse::default();
        let mut connection = Connection::connect(peer(vec![answer(5, 3, &response)]).await)
            .await
            .unwrap();
        let got = connection.call(3, &ApiVersionsRequest::default()).await;
        assert!(matches!(
            got,
            Err(ClientError::OutOfOrder {
                expected: 0,
                got: 5,
                ..
            })
        ));
    }

    #[tokio::test]
    async fn a_refused_version_of_api_versions_is_decoded_as_version_0() {
        let response = ApiVersionsResponse::default().with_error_code(35);
        let mut connection = Connection::connect(peer(vec![answer(0, 0, &response)]).await)
            .await
            .unwrap();
        let got = connection.call(4, &ApiVersionsRequest::default()).await;
        assert_eq!(got.unwrap().error_code, 35);
    }

    #[tokio::test]
    async fn a_frame_longer_than_the_limit_is_refused_before_it_arrives() {
        let mut connection = Connection::connect(peer(vec![vec![0x7f, 0, 0, 0]]).await)
            .await
            .unwrap();
        let got = connection.call(3, &ApiVersionsRequest::default()).await;
        assert!(matches!(got, Err(ClientError::BadFrame { .. })));
    }

    #[tokio::test]
    async fn a_timeout_loses_no_bytes_of_a_frame() {
        let mut connection = Connection::connect(peer(vec![vec![0, 0, 0, 2, 9]]).await)
            .await
            .unwrap();
        connection.send_raw(b"x").await.unwrap();
        let got = connection
            .read_frame_within(Duration::from_millis(20))
            .await;
        assert!(matches!(got, Err(ClientError::Timeout { .. })));
        connection.received.put_u8(8);
        assert_eq!(&connection.read_frame().await.unwrap()[..], [9, 8]);
    }

    #[test]
    fn an_api_is_named_as_in_the_protocol() {
        assert_eq!(api_name::<ApiVersionsRequest>(), "ApiVersions");
    }
}
