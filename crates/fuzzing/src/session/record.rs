//! A session made of what went over the wire between clients and a broker.

use std::collections::HashMap;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ottla_codec::answer::{self, AnswerError};
use ottla_codec::api::Api;
use ottla_codec::batch::{self, BatchHeader};
use ottla_codec::header::RequestHeader;
use ottla_codec::messages::{
    CreateTopicsRequest, FetchRequest, InitProducerIdRequest, JoinGroupRequest, MetadataRequest,
};
use ottla_codec::places::{self, Holds};

use super::aliases::{FETCH_SESSION, member_id, random_part, replace, topic_id};
use super::event::{Event, encode};

/// Pauses shorter than this are those of a busy machine.
const SHORT: Duration = Duration::from_millis(60);

/// Takes down what happens, in its order.
#[derive(Debug, Default)]
pub struct Recorder {
    events: Vec<Event>,
    last: Option<std::time::Instant>,
    /// Requests without an answer yet, by connection and correlation id.
    asked: HashMap<(usize, i32), (Api, i16)>,
    /// The numbers of connections in this session.
    numbers: HashMap<usize, u8>,
    topics: HashMap<[u8; 16], String>,
    /// The random parts of member ids, and producer ids, in the order in which this session's broker will give them.
    members: Vec<String>,
    producers: Vec<i64>,
}

impl Recorder {
    /// A frame of a client, without its length.
    pub fn request(&mut self, connection: usize, frame: &[u8]) {
        let mut body = BytesMut::from(frame);
        let Ok(header) = RequestHeader::decode_mut(&mut body) else {
            return;
        };
        let Some(api) = Api::from_key(header.api_key) else {
            return;
        };
        let version = header.version;
        self.asked
            .insert((connection, header.correlation_id), (api, version));
        let pause = self.last.map_or(Duration::ZERO, |last| last.elapsed());
        self.last = Some(std::time::Instant::now());
        if pause > SHORT {
            let ms = u16::try_from(pause.as_millis()).unwrap_or(u16::MAX);
            self.events.push(Event::Pass(ms));
        }
        let next = (self.numbers.len() % 16) as u8;
        let connection = *self.numbers.entry(connection).or_insert(next);
        let mut frame = frame.to_vec();
        let head = frame.len() - body.len();
        self.rename(api, version, &mut frame, head);
        self.events.push(Event::Request { connection, frame });
    }

    /// The frame with names for what the broker made up.
    fn rename(&self, api: Api, version: i16, frame: &mut [u8], head: usize) {
        for place in places::places(api, version, &frame[head..]).unwrap_or_default() {
            let at = head + place.whole.start..head + place.whole.end;
            match (place.name, &place.holds) {
                ("producer_id", Holds::Number) => self.rename_producer(&mut frame[at]),
                ("session_id", Holds::Number)
                    if api == Api::Fetch && frame[at.clone()] != [0; 4] =>
                {
                    frame[at].copy_from_slice(&FETCH_SESSION.to_be_bytes());
                }
                ("records", Holds::Bytes(start)) if api == Api::Produce => {
                    let batch = &mut frame[head + start..at.end];
                    if BatchHeader::parse(batch).is_ok_and(|h| h.size == batch.len()) {
                        self.rename_producer(&mut batch[43..51]);
                        batch::seal(batch);
                    }
                }
                _ => {}
            }
        }
        for (id, name) in &self.topics {
            replace(frame, id, &topic_id(name));
        }
        for (n, random) in self.members.iter().enumerate() {
            replace(frame, random.as_bytes(), member_id(n).as_bytes());
        }
    }

    fn rename_producer(&self, id: &mut [u8]) {
        let renamed = self.producers.iter().zip(0i64..);
        for (known, n) in renamed {
            if *id == known.to_be_bytes() {
                id.copy_from_slice(&n.to_be_bytes());
                return;
            }
        }
    }

    /// A frame of the broker.
    pub fn answer(&mut self, connection: usize, frame: &[u8]) {
        let Some(id) = frame.first_chunk().map(|id| i32::from_be_bytes(*id)) else {
            return;
        };
        if let Some((api, version)) = self.asked.remove(&(connection, id)) {
            // What cannot be read tells nothing.
            let _ = self.learn(api, version, Bytes::copy_from_slice(frame));
        }
    }

    fn learn(&mut self, api: Api, version: i16, mut frame: Bytes) -> Result<(), AnswerError> {
        match api {
            Api::Metadata => {
                answer::header::<MetadataRequest>(version, &mut frame)?;
                let answer = answer::decode::<MetadataRequest>(version, frame)?;
                for topic in answer.topics {
                    let name = topic.name.map_or_else(String::new, |n| n.to_string());
                    self.topic(topic.topic_id.into_bytes(), name);
                }
            }
            Api::CreateTopics => {
                answer::header::<CreateTopicsRequest>(version, &mut frame)?;
                let answer = answer::decode::<CreateTopicsRequest>(version, frame)?;
                for topic in answer.topics {
                    self.topic(topic.topic_id.into_bytes(), topic.name.to_string());
                }
            }
            Api::JoinGroup => {
                answer::header::<JoinGroupRequest>(version, &mut frame)?;
                let answer = answer::decode::<JoinGroupRequest>(version, frame)?;
                let id = answer.member_id.to_string();
                if let Some(random) = random_part(&id)
                    && !self.members.iter().any(|known| known == random)
                {
                    self.members.push(random.to_owned());
                }
            }
            Api::InitProducerId => {
                answer::header::<InitProducerIdRequest>(version, &mut frame)?;
                let answer = answer::decode::<InitProducerIdRequest>(version, frame)?;
                let id = answer.producer_id.0;
                if id >= 0 && !self.producers.contains(&id) {
                    self.producers.push(id);
                }
            }
            Api::Fetch => {
                answer::header::<FetchRequest>(version, &mut frame)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn topic(&mut self, id: [u8; 16], name: String) {
        if id != [0; 16] && !name.is_empty() {
            self.topics.insert(id, name);
        }
    }

    /// The broker ended and was started again.
    pub fn ended(&mut self) {
        self.events.push(Event::End(false));
        self.numbers.clear();
    }

    /// The client closed a connection.
    pub fn closed(&mut self, connection: usize) {
        if let Some(number) = self.numbers.remove(&connection) {
            self.events.push(Event::Close(number));
        }
    }

    /// What happened since the last call. Topics and connections of before are known on.
    pub fn take(&mut self) -> Vec<u8> {
        self.last = None;
        self.members.clear();
        self.producers.clear();
        encode(&std::mem::take(&mut self.events))
    }
}
