//! What clients measure of themselves and push (KIP-714): who is asked for what, how often, and what a push is held against.
//!
//! As in Kafka, a client that is heard of for the first time matches the subscriptions that there are, and is matched again when
//! they change. Nothing of it outlives its connection for long.

pub(crate) mod otlp;

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;

use ottla_codec::ResponseError;
use ottla_codec::compression::{Compression, decompress};
use parking_lot::Mutex;
use uuid::Uuid;

use crate::settings::{Settings, Subscription};

pub(crate) use otlp::Measured;

/// What a client is told that nobody subscribed to; intervals are never longer.
const DEFAULT_INTERVAL_MS: i32 = 300_000;

/// How many clients are remembered; of more, those are forgotten that were not heard of for the longest time.
const MAX_INSTANCES: usize = 16_384;

/// A client that was not heard of for three intervals, and for this time at least, is forgotten.
const MIN_EXPIRY_MS: i64 = 60_000;

/// What a push may inflate to, in multiples of what may be pushed.
const MOST_INFLATED: usize = 10;

/// The metrics of everything.
const ALL: &str = "*";

/// A client, as subscriptions choose it.
#[derive(Debug, Clone)]
#[allow(missing_docs)]
pub(crate) struct Client {
    pub id: String,
    pub software_name: Option<String>,
    pub software_version: Option<String>,
    pub peer: SocketAddr,
    pub connection: u64,
}

/// What a client is to push.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs)]
pub(crate) struct Told {
    pub instance: Uuid,
    pub subscription_id: i32,
    pub metrics: Vec<String>,
    pub interval_ms: i32,
}

/// What a client pushes.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)]
pub(crate) struct Push<'a> {
    pub instance: Uuid,
    pub subscription_id: i32,
    pub terminating: bool,
    /// As on the wire.
    pub compression: i8,
    pub metrics: &'a [u8],
    /// `telemetry.max.bytes`.
    pub max_bytes: usize,
}

struct Instance {
    client: Client,
    version: u64,
    subscription_id: i32,
    metrics: Vec<String>,
    interval_ms: i32,
    last_get_ms: i64,
    last_push_ms: i64,
    last_heard_ms: i64,
    terminating: bool,
    /// It pushed for a subscription that is not its own, or compressed as nobody does: it may ask anew at once.
    may_ask_anew: bool,
}

#[derive(Default)]
struct State {
    /// Counts the changes of the subscriptions.
    version: u64,
    /// What the settings were then.
    read_from: Option<Arc<crate::settings::Named>>,
    subscriptions: Vec<Subscription>,
    instances: HashMap<Uuid, Instance>,
}

/// See the module.
pub(crate) struct ClientTelemetry {
    settings: Arc<Settings>,
    state: Mutex<State>,
}

impl ClientTelemetry {
    /// Nobody is known yet.
    pub fn new(settings: Arc<Settings>) -> ClientTelemetry {
        ClientTelemetry {
            settings,
            state: Mutex::default(),
        }
    }

    /// Whether clients are asked to push at all.
    pub fn is_wanted(&self) -> bool {
        self.settings.has_subscriptions()
    }

    /// What a client is to push. The nil id is that of a client that has none yet: it gets one.
    pub fn get(&self, asked: Uuid, client: Client, now_ms: i64) -> Result<Told, ResponseError> {
        let mut state = self.state.lock();
        let id = match asked.is_nil() {
            true => new_id(&state),
            false => asked,
        };
        let instance = state.instance(&self.settings, id, client, now_ms);
        let last = instance.last_get_ms.max(instance.last_push_ms);
        if now_ms - last >= i64::from(instance.interval_ms) {
            instance.last_get_ms = now_ms;
        } else if !instance.may_ask_anew {
            return Err(ResponseError::ThrottlingQuotaExceeded);
        }
        instance.may_ask_anew = false;
        Ok(Told {
            instance: id,
            subscription_id: instance.subscription_id,
            metrics: instance.metrics.clone(),
            interval_ms: instance.interval_ms,
        })
    }

    /// Takes a push: what was measured.
    pub fn push(
        &self,
        push: Push<'_>,
        client: Client,
        now_ms: i64,
    ) -> Result<Measured, ResponseError> {
        if push.instance.as_u128() <= 1 {
            // Ids with a meaning of their own.
            return Err(ResponseError::InvalidRequest);
        }
        self.accept(push, client, now_ms)?;
        if push.metrics.is_empty() {
            return Ok(Measured::default());
        }
        let codec = compression(push.compression)?;
        let most = push.max_bytes.saturating_mul(MOST_INFLATED);
        let inflated =
            decompress(codec, push.metrics, most).map_err(|_| ResponseError::InvalidRecord)?;
        otlp::read(&inflated).map_err(|_| ResponseError::InvalidRecord)
    }

    /// Whether a push comes when it may, and of what was asked for.
    fn accept(&self, push: Push<'_>, client: Client, now_ms: i64) -> Result<(), ResponseError> {
        let mut state = self.state.lock();
        let instance = state.instance(&self.settings, push.instance, client, now_ms);
        let accepted = instance.accept(push, now_ms);
        instance.may_ask_anew = matches!(
            accepted,
            Err(ResponseError::UnknownSubscriptionId | ResponseError::UnsupportedCompressionType)
        );
        accepted
    }

    /// A connection has ended: so have the clients that were first heard of on it.
    pub fn disconnected(&self, connection: u64) {
        let mut state = self.state.lock();
        if !state.instances.is_empty() {
            state
                .instances
                .retain(|_, i| i.client.connection != connection);
        }
    }
}

impl Instance {
    fn accept(&mut self, push: Push<'_>, now_ms: i64) -> Result<(), ResponseError> {
        let was_terminating = std::mem::replace(&mut self.terminating, push.terminating);
        if was_terminating {
            return Err(ResponseError::InvalidRequest);
        }
        // The first push after an answer may come at any time: clients spread theirs over the interval.
        let may_come = self.last_get_ms > self.last_push_ms
            || now_ms - self.last_push_ms >= i64::from(self.interval_ms);
        if may_come {
            self.last_push_ms = now_ms;
        } else if !push.terminating {
            return Err(ResponseError::ThrottlingQuotaExceeded);
        }
        if push.subscription_id != self.subscription_id {
            return Err(ResponseError::UnknownSubscriptionId);
        }
        compression(push.compression)?;
        if push.metrics.len() > push.max_bytes {
            return Err(ResponseError::TelemetryTooLarge);
        }
        Ok(())
    }
}

impl State {
    /// The client of this id, matched with the subscriptions as they are now.
    fn instance(
        &mut self,
        settings: &Settings,
        id: Uuid,
        client: Client,
        now_ms: i64,
    ) -> &mut Instance {
        let named = settings.subscriptions_as_set();
        if self
            .read_from
            .as_ref()
            .is_none_or(|old| !Arc::ptr_eq(old, &named))
        {
            self.version += 1;
            self.subscriptions = settings.subscriptions();
            self.read_from = Some(named);
        }
        let known = self.instances.get(&id);
        let stale = known.is_none_or(|known| known.version != self.version);
        if stale {
            let client = known.map_or(client, |known| known.client.clone());
            let matched = matched(&self.subscriptions, self.version, id, client);
            self.make_room(now_ms);
            self.instances.insert(id, matched);
        }
        let instance = self
            .instances
            .get_mut(&id)
            .expect("is there, or was put there");
        instance.last_heard_ms = now_ms;
        instance
    }

    fn make_room(&mut self, now_ms: i64) {
        if self.instances.len() < MAX_INSTANCES {
            return;
        }
        self.instances.retain(|_, instance| {
            let patience = MIN_EXPIRY_MS.max(3 * i64::from(instance.interval_ms));
            now_ms - instance.last_heard_ms < patience
        });
        if self.instances.len() < MAX_INSTANCES {
            return;
        }
        let oldest = self.instances.iter().min_by_key(|(_, i)| i.last_heard_ms);
        if let Some((&id, _)) = oldest {
            self.instances.remove(&id);
        }
    }
}

fn new_id(state: &State) -> Uuid {
    loop {
        let id = Uuid::new_v4();
        if !state.instances.contains_key(&id) {
            return id;
        }
    }
}

fn matched(subscriptions: &[Subscription], version: u64, id: Uuid, client: Client) -> Instance {
    let mut metrics = BTreeSet::new();
    let mut interval_ms = DEFAULT_INTERVAL_MS;
    for subscription in subscriptions.iter().filter(|s| matches(s, id, &client)) {
        metrics.extend(subscription.metrics.iter().cloned());
        interval_ms = interval_ms.min(subscription.interval_ms);
    }
    if metrics.contains(ALL) {
        metrics = BTreeSet::from([ALL.to_owned()]);
    }
    let metrics: Vec<String> = metrics.into_iter().collect();
    Instance {
        subscription_id: subscription_id(&metrics, interval_ms, id),
        client,
        version,
        metrics,
        interval_ms,
        last_get_ms: 0,
        last_push_ms: 0,
        last_heard_ms: 0,
        terminating: false,
        may_ask_anew: false,
    }
}

fn matches(subscription: &Subscription, id: Uuid, client: &Client) -> bool {
    subscription.patterns.iter().all(|(attribute, pattern)| {
        let value = match attribute.as_str() {
            "client_instance_id" => Some(kafka_text(id)),
            "client_id" => Some(client.id.clone()),
            "client_software_name" => client.software_name.clone(),
            "client_software_version" => client.software_version.clone(),
            "client_source_address" => Some(client.peer.ip().to_string()),
            "client_source_port" => Some(client.peer.port().to_string()),
            _ => None,
        };
        value.is_some_and(|value| pattern.is_match(&value))
    })
}

/// An id as Kafka writes it: base64 without padding, in the alphabet of URLs.
pub(crate) fn kafka_text(id: Uuid) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    // 128 bits are 22 characters of 6 bits, the last with two bits alone.
    let bits = id.as_u128();
    (0..22)
        .map(|at| {
            let index = match at {
                21 => (bits << 4) & 0x3f,
                _ => (bits >> (122 - 6 * at)) & 0x3f,
            };
            char::from(ALPHABET[index as usize])
        })
        .collect()
}

/// The same for the same subscription and client, whichever broker answers.
fn subscription_id(metrics: &[String], interval_ms: i32, id: Uuid) -> i32 {
    let mut hasher = DefaultHasher::new();
    (metrics, interval_ms, id).hash(&mut hasher);
    hasher.finish() as i32
}

fn compression(id: i8) -> Result<Compression, ResponseError> {
    match id {
        0 => Ok(Compression::None),
        1 => Ok(Compression::Gzip),
        2 => Ok(Compression::Snappy),
        3 => Ok(Compression::Lz4),
        4 => Ok(Compression::Zstd),
        _ => Err(ResponseError::UnsupportedCompressionType),
    }
}

#[cfg(test)]
mod tests;
