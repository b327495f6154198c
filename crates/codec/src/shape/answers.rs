//! The shape of every answer, for clients: the counterpart of the tables of requests.

mod acls;
mod admin;
mod cluster;
mod groups;
mod logs;
mod replicas;
mod telemetry;
mod transactions;

use super::Shape;
use crate::api::Api;

pub(super) fn shape(api: Api) -> &'static Shape {
    shape_of!(api)
}

#[cfg(test)]
mod tests;
