//! What is owed to a request.

use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::Request;
use ottla_codec::answer::{self, AnswerError};
use ottla_codec::api::{Api, ForRequest};
use ottla_codec::header::RequestHeader;
use ottla_codec::messages::{
    FetchRequest, GetTelemetrySubscriptionsRequest, InitProducerIdRequest, JoinGroupRequest,
    ProduceRequest, TxnOffsetCommitRequest,
};
use ottla_codec::{produce, request};

use super::acknowledged::Sent;

/// A request that was taken.
#[derive(Debug)]
pub(super) struct Expected {
    pub api: Api,
    pub version: i16,
    pub correlation_id: i32,
    /// `acks=0`.
    pub is_silent: bool,
    /// Its body can be read. One that cannot closes its connection when it is its turn.
    pub is_readable: bool,
    /// Batches, of a produce request.
    pub sent: Vec<Sent>,
}

/// What an answer tells that the session goes on with.
#[derive(Debug)]
pub(super) enum Told {
    Joined(String),
    FetchSession(i32),
    Subscription(i32),
    /// Topic, partition and base offset of what was kept.
    Kept(Vec<(Vec<u8>, i32, i64)>),
    Producer(i64),
    /// So many offsets are committed if their transaction is.
    CommittedInTransaction(usize),
    Nothing,
}

impl Expected {
    /// What `frame` is owed if it is taken; `None` if it cannot be.
    pub fn of(frame: &BytesMut) -> Option<Expected> {
        let mut body = frame.clone();
        let header = RequestHeader::decode_mut(&mut body).ok()?;
        let api = Api::from_key(header.api_key)?;
        let mut expected = Expected {
            api,
            version: header.version,
            correlation_id: header.correlation_id,
            is_silent: false,
            is_readable: request::check(api, header.version, body.clone().freeze()).is_ok(),
            sent: Vec::new(),
        };
        if api == Api::Produce {
            match produce::decode(header.version, body.clone()) {
                Ok(request) => {
                    expected.is_silent = request.acks == 0;
                    expected.sent = Sent::of(request);
                }
                // Acks are what these begin with.
                Err(_) => expected.is_silent = body.get(..2) == Some(&[0, 0]),
            }
        }
        Some(expected)
    }

    /// Holds an answer against the request.
    pub fn check(&self, mut frame: Bytes) -> Result<Told, String> {
        let id = frame.first_chunk().map(|id| i32::from_be_bytes(*id));
        if id != Some(self.correlation_id) {
            return Err(format!(
                "correlation id {id:?} instead of {}",
                self.correlation_id
            ));
        }
        let version = match self.api.versions().contains(&self.version) {
            true => self.version,
            false if self.api == Api::ApiVersions => 0,
            // No decoder has these.
            false => return Ok(Told::Nothing),
        };
        let whole = frame.clone();
        self.api
            .with_request(Decode {
                version,
                frame: &mut frame,
            })
            .map_err(|error| format!("{error}: {whole:?}"))?;
        self.told(version, frame).map_err(|error| error.to_string())
    }

    fn told(&self, version: i16, body: Bytes) -> Result<Told, AnswerError> {
        Ok(match self.api {
            Api::JoinGroup => {
                let answer = answer::decode::<JoinGroupRequest>(version, body)?;
                Told::Joined(answer.member_id.to_string())
            }
            Api::Fetch => {
                let answer = answer::decode::<FetchRequest>(version, body)?;
                Told::FetchSession(answer.session_id)
            }
            Api::GetTelemetrySubscriptions => {
                let answer = answer::decode::<GetTelemetrySubscriptionsRequest>(version, body)?;
                Told::Subscription(answer.subscription_id)
            }
            Api::Produce => {
                let answer = answer::decode::<ProduceRequest>(version, body)?;
                let mut kept = Vec::new();
                for topic in answer.responses {
                    let name = match version {
                        ..13 => topic.name.as_bytes().to_vec(),
                        13.. => topic.topic_id.as_bytes().to_vec(),
                    };
                    let fine = topic
                        .partition_responses
                        .iter()
                        .filter(|p| p.error_code == 0 && p.base_offset >= 0);
                    kept.extend(fine.map(|p| (name.clone(), p.index, p.base_offset)));
                }
                Told::Kept(kept)
            }
            Api::InitProducerId => {
                let answer = answer::decode::<InitProducerIdRequest>(version, body)?;
                match answer.error_code {
                    0 => Told::Producer(answer.producer_id.0),
                    _ => Told::Nothing,
                }
            }
            Api::TxnOffsetCommit => {
                let answer = answer::decode::<TxnOffsetCommitRequest>(version, body)?;
                let partitions = answer.topics.iter().flat_map(|t| &t.partitions);
                Told::CommittedInTransaction(partitions.filter(|p| p.error_code == 0).count())
            }
            _ => Told::Nothing,
        })
    }
}

/// Takes the header off, and sees whether the body can be read.
struct Decode<'a> {
    version: i16,
    frame: &'a mut Bytes,
}

impl ForRequest for Decode<'_> {
    type Output = Result<(), AnswerError>;

    fn run<R: Request>(self) -> Self::Output {
        answer::header::<R>(self.version, self.frame)?;
        answer::decode::<R>(self.version, self.frame.clone()).map(drop)
    }
}
