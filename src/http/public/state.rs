//! The state that all handlers of the public listener share.

use std::sync::Arc;

use actors::Router;
use axum::extract::{Path, State};
use tokio::sync::Semaphore;

use super::meters::Meters;
use crate::{config::EdgeLimits, http::keys::Keys};

/// The state of the public listener.
pub(super) struct Public {
    pub(super) router: Router,
    pub(super) keys: Keys,
    /// One permit for each request in flight.
    pub(super) room: Semaphore,
    pub(super) limits: EdgeLimits,
    /// The configured URL at which providers reach this listener.
    pub(super) public_url: Option<String>,
    pub(super) meters: Meters,
}

/// The state, as a route receives it.
pub(super) type SharedPublic = State<Arc<Public>>;
/// The id in a path.
pub(super) type Id = Path<String>;
