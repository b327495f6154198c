//! The broker: listeners, connections, dispatch, handlers, background tasks, settings.
//!
//! Invariants: a handler validates, asks the store or a coordinator, and replies; it knows nothing of bytes on the wire or in files.
//! The synchronous part of a request runs in the order in which its connection sent it; waiting does not block the next one;
//! replies leave in request order.

pub mod dead_letters;
pub mod decoders;
pub mod settings;
pub mod simulated;

mod accept;
mod background;
mod budget;
mod check;
mod client_software;
mod client_telemetry;
mod clock;
mod cluster;
mod config_changes;
mod connection;
mod connections;
mod context;
mod dispatch;
mod durable;
mod errors;
mod features;
mod fetch_sessions;
mod fetch_wait;
mod first_error;
mod first_topics;
mod groups;
mod handlers;
mod http;
mod inbound;
mod listeners;
pub mod log_levels;
mod metrics;
mod output;
mod produce_check;
mod producer_state;
mod re2;
mod replies;
mod reply;
mod reset;
mod sendfile;
mod server;
mod state;
mod topics;
mod transactions;

pub use check::check_data_dir;
pub use first_topics::{FirstTopic, FirstTopics, FirstTopicsError, Seeding};
pub use server::{Broker, StartError};
