//! The state that all handlers of the public listener share.

use std::sync::Arc;

use actors::{Origin, Router};
use axum::{
    Extension,
    extract::{Path, State},
};
use tokio::sync::Semaphore;

use super::meters::Meters;
use crate::{
    config::EdgeLimits,
    http::{
        body::{Bodies, BodyTerms},
        docs::Described,
        keys::Keys,
    },
};

/// The state of the public listener.
pub(super) struct Public {
    pub(super) router: Router,
    pub(super) keys: Arc<Keys>,
    /// One permit for each request in flight that was admitted.
    pub(super) room: Semaphore,
    /// One permit for each webhook and file in flight, which need no key.
    pub(super) open_room: Semaphore,
    pub(super) bodies: Bodies,
    pub(super) limits: EdgeLimits,
    /// The configured URL at which providers reach this listener.
    pub(super) public_url: Option<String>,
    pub(super) meters: Meters,
    pub(super) described: Described,
}

impl Public {
    /// Returns the terms for the body of a request that was admitted.
    pub(super) fn body_terms(&self) -> BodyTerms<'_> {
        let bytes_max = self.limits.body_bytes_max;
        // Without keys, everyone is admitted.
        if self.keys.is_open() { self.bodies.stranger(bytes_max) } else { self.bodies.known(bytes_max) }
    }
}

/// The state, as a route receives it.
pub(super) type SharedPublic = State<Arc<Public>>;
/// The sender of a request, as its key tells.
pub(super) type Sender = Extension<Origin>;
/// The id in a path.
pub(super) type Id = Path<String>;
