//! The executing part of dead letters: `ottla-dlq` decides, this does.
//!
//! Events of groups are fed to the engine under the mutex of the group service (`feed`), commits with markers go through
//! `commits`, gates reach fetches through `watch` and `gate`, records are moved by `moves` into queues that `queue` makes.
//! `delay` lets retry topics wait.
//! `queues` is the way to what is there: `browse` looks, `redrive` moves back and deletes.

pub(crate) mod alerts;
pub(crate) mod browse;
mod commits;
mod delay;
mod feed;
pub(crate) mod fetch;
pub(crate) mod gate;
pub(crate) mod metrics;
mod moves;
pub(crate) mod nack;
pub(crate) mod names;
mod policy;
mod positions;
pub mod problem;
pub(crate) mod queue;
pub mod queues;
mod reading;
pub(crate) mod redrive;
pub mod views;
pub(crate) mod watch;

use std::sync::Arc;

pub use ottla_dlq::redrive::{Blob, Edit, Selection};
use ottla_dlq::settings::{Mode, Settings as Rules};
use ottla_storage::Store;

use crate::settings::Settings;
use crate::topics::TopicService;
pub(crate) use policy::{Outcome, Policy};
pub use problem::{Kind, Problem};
pub use queues::Queues;

/// What needs no lock of groups.
pub(crate) struct DeadLetters {
    /// Owners and gates, as fetches see them.
    pub watches: watch::Watches,
    /// Retry topics, which serve nothing before its time.
    pub delays: delay::Delays,
    /// Counters.
    pub metrics: metrics::Metrics,
    pub(crate) store: Store,
    pub(crate) settings: Arc<Settings>,
    pub(crate) topics: Arc<TopicService>,
}

impl DeadLetters {
    /// Nobody is watched yet.
    pub fn new(store: Store, settings: Arc<Settings>, topics: Arc<TopicService>) -> DeadLetters {
        DeadLetters {
            watches: watch::Watches::default(),
            delays: delay::Delays::default(),
            metrics: metrics::Metrics::default(),
            store,
            settings,
            topics,
        }
    }

    /// What is in force for a group on a topic. A queue never gets a queue of its own: nothing is done about failures there.
    pub fn rules(&self, group: &str, topic: &str) -> Rules {
        let mut rules = self.settings.dead_letters(&self.store, group, topic);
        if rules.mode != Mode::Off && self.is_queue(topic) {
            rules.mode = Mode::Off;
        }
        rules
    }

    /// Whether this topic is the dead letter queue of another one that exists.
    pub fn is_queue(&self, name: &str) -> bool {
        names::is_queue(&self.store, &self.settings, name)
    }
}
