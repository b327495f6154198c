//! What the simulation asks of a process.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::Poll;

use ottla_codec::api::Api;
use ottla_coordinator::Now;
use ottla_storage::{NewTopic, TopicId};
use parking_lot::Mutex;

use super::{ACCOUNT_TOPICS, INPUTS, PARTITIONS_OF_ACCOUNTS};
use crate::context::RequestContext;
use crate::reply::{Later, Reply};
use crate::settings::{BrokerConfig, Settings};
use crate::simulated::{Process, SetClock, poll};

pub(super) const MAX_TIMEOUT_MS: i32 = 3_000;
/// Longer than any transaction may be open.
const PRODUCER_EXPIRATION_MS: &str = "6000";
const ID_EXPIRATION_MS: &str = "20000";

pub(super) fn settings() -> Arc<Settings> {
    let values = [
        ("transaction.max.timeout.ms", MAX_TIMEOUT_MS.to_string()),
        (
            "producer.id.expiration.ms",
            PRODUCER_EXPIRATION_MS.to_owned(),
        ),
        (
            "transactional.id.expiration.ms",
            ID_EXPIRATION_MS.to_owned(),
        ),
        // Nothing goes by itself.
        ("log.retention.ms", "-1".to_owned()),
    ];
    let config = BrokerConfig {
        data_dir: PathBuf::from("/data"),
        values: values.map(|(name, value)| (name.to_owned(), value)).into(),
    };
    Arc::new(Settings::new(&config).expect("valid settings"))
}

/// A clock of its own for a run, which stands still.
pub(super) fn clock() -> SetClock {
    Arc::new(Mutex::new(Now {
        monotonic_ms: 0,
        wall_ms: 1_000_000,
    }))
}

impl Process {
    /// Makes the topics that are not there yet. `false`: the disk says no.
    pub fn make_topics(&self) -> bool {
        let topics = [(INPUTS.0, INPUTS.1)];
        let accounts = ACCOUNT_TOPICS.map(|name| (name, PARTITIONS_OF_ACCOUNTS));
        let store = self.stepped.store();
        topics
            .into_iter()
            .chain(accounts)
            .enumerate()
            .all(|(n, (name, partitions))| {
                // Orders may be large.
                let segment = if name == INPUTS.0 { "200000" } else { "3000" };
                let new = NewTopic {
                    id: TopicId::from_u128(n as u128 + 1),
                    name: name.to_owned(),
                    partitions,
                    configs: BTreeMap::from([("segment.bytes".to_owned(), segment.to_owned())]),
                    created_ms: 0,
                };
                store.topics().by_name(name).is_some() || store.create_topic(new).is_ok()
            })
    }

    /// The surroundings of a request.
    pub fn context(&self, api: Api, version: i16) -> RequestContext {
        RequestContext {
            api,
            version,
            ..self.connection(1)
        }
    }

    /// Writes until nothing waits. `false`: the store is in trouble.
    pub fn settle(&self) -> bool {
        while self.stepped.write() {}
        self.stepped.store().write_trouble().is_none()
    }

    /// What a request comes to that waits for nothing but what is on its way to the disk.
    pub fn answer<R>(&self, reply: Reply<R>) -> R {
        match reply {
            Reply::Now(answer) | Reply::WithNext(answer, _) => answer,
            Reply::Later(mut later) => loop {
                if let Poll::Ready(answer) = poll(&mut later) {
                    return answer;
                }
                assert!(self.stepped.write(), "a request waits for nothing");
            },
            Reply::Silent(_) => panic!("a request without an answer"),
        }
    }
}

/// A future of what is under way, or done.
pub(super) fn later<R: Send + 'static>(reply: Reply<R>) -> Later<R> {
    match reply {
        Reply::Now(answer) | Reply::WithNext(answer, _) => Box::pin(std::future::ready(answer)),
        Reply::Later(later) => later,
        Reply::Silent(_) => panic!("a request without an answer"),
    }
}
