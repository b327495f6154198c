//! librdkafka's calls that take many messages, which its Rust package does not have: the least that a client of it can cost, so that it is
//! the brokers that a load tells apart.
#![allow(unsafe_code)] // a C library's functions

use std::ffi::CString;
use std::marker::PhantomData;
use std::ptr::null_mut;
use std::slice;
use std::time::Duration;

use anyhow::{Result, bail};
use rdkafka::bindings as sys;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer, ProducerContext};
use rdkafka::types::{RDKafkaMessage, RDKafkaQueue, RDKafkaRespErr, RDKafkaTopic};

/// A topic that a producer writes to.
pub struct Topic<'a> {
    topic: *mut RDKafkaTopic,
    /// What is sent at a time; kept for its memory.
    messages: Vec<RDKafkaMessage>,
    producer: PhantomData<&'a ()>,
}

impl<'a> Topic<'a> {
    /// `name` for `producer`, with its settings.
    pub fn of<C: ProducerContext>(producer: &'a BaseProducer<C>, name: &str) -> Result<Topic<'a>> {
        let name = CString::new(name)?;
        // SAFETY: the client lives as long as the topic does, by its lifetime; without settings the client's are taken.
        let topic = unsafe {
            sys::rd_kafka_topic_new(producer.client().native_ptr(), name.as_ptr(), null_mut())
        };
        match topic.is_null() {
            true => bail!("librdkafka refuses the topic {name:?}"),
            false => Ok(Topic {
                topic,
                messages: Vec::new(),
                producer: PhantomData,
            }),
        }
    }

    /// Hands values over for a partition, in their order. How many were taken: the queue is full if not all were.
    pub fn send<'b>(
        &mut self,
        partition: i32,
        values: impl Iterator<Item = &'b [u8]>,
    ) -> Result<usize> {
        self.messages.clear();
        self.messages.extend(values.map(|value| RDKafkaMessage {
            err: RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR,
            rkt: null_mut(),
            partition,
            payload: value.as_ptr().cast_mut().cast(),
            len: value.len(),
            key: null_mut(),
            key_len: 0,
            offset: 0,
            _private: null_mut(),
        }));
        // SAFETY: the values outlive the call, which copies them; it does not write to them.
        let taken = unsafe {
            sys::rd_kafka_produce_batch(
                self.topic,
                partition,
                sys::RD_KAFKA_MSG_F_COPY,
                self.messages.as_mut_ptr(),
                i32::try_from(self.messages.len())?,
            )
        };
        let taken = usize::try_from(taken)?;
        // Of a list that was taken in whole none was refused.
        if taken < self.messages.len() {
            let mut errors = self.messages.iter().map(|m| RDKafkaErrorCode::from(m.err));
            let is_refused =
                |e: &_| !matches!(e, RDKafkaErrorCode::NoError | RDKafkaErrorCode::QueueFull);
            if let Some(error) = errors.find(is_refused) {
                return Err(KafkaError::MessageProduction(error).into());
            }
        }
        Ok(taken)
    }
}

impl Drop for Topic<'_> {
    fn drop(&mut self) {
        // SAFETY: it was made by `rd_kafka_topic_new` and is destroyed once.
        unsafe { sys::rd_kafka_topic_destroy(self.topic) }
    }
}

/// What a consumer has received.
pub struct Received<'a> {
    queue: *mut RDKafkaQueue,
    messages: Vec<*mut RDKafkaMessage>,
    consumer: PhantomData<&'a ()>,
}

impl<'a> Received<'a> {
    /// Of `consumer`, up to `most` messages at a time.
    pub fn of(consumer: &'a BaseConsumer, most: usize) -> Received<'a> {
        Received {
            // SAFETY: the client lives as long as this does, by its lifetime.
            queue: unsafe { sys::rd_kafka_queue_get_consumer(consumer.client().native_ptr()) },
            messages: vec![null_mut(); most],
            consumer: PhantomData,
        }
    }

    /// Waits for messages up to `timeout`, and calls `see` with the value of each.
    pub fn next(
        &mut self,
        timeout: Duration,
        mut see: impl FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        // SAFETY: the list has room for as many as it says.
        let count = unsafe {
            sys::rd_kafka_consume_batch_queue(
                self.queue,
                i32::try_from(timeout.as_millis())?,
                self.messages.as_mut_ptr(),
                self.messages.len(),
            )
        };
        let Ok(count) = usize::try_from(count) else {
            bail!("librdkafka cannot be asked for messages");
        };
        let mut result = Ok(());
        for message in &self.messages[..count] {
            // SAFETY: each of them is a message until it is destroyed, once, below.
            let said = unsafe { &**message };
            if result.is_ok() {
                result = match RDKafkaErrorCode::from(said.err) {
                    RDKafkaErrorCode::NoError if said.payload.is_null() => see(&[]),
                    // SAFETY: a value has the length that its message says.
                    RDKafkaErrorCode::NoError => {
                        see(unsafe { slice::from_raw_parts(said.payload.cast(), said.len) })
                    }
                    error => Err(KafkaError::MessageConsumption(error).into()),
                };
            }
            // SAFETY: see above.
            unsafe { sys::rd_kafka_message_destroy(*message) }
        }
        result
    }
}

impl Drop for Received<'_> {
    fn drop(&mut self) {
        // SAFETY: it was made by `rd_kafka_queue_get_consumer` and is destroyed once.
        unsafe { sys::rd_kafka_queue_destroy(self.queue) }
    }
}
