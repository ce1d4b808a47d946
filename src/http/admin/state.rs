//! The state that all handlers of the admin listener share.

use std::sync::Arc;

use actors::Router;
use axum::extract::State;
use metrics_exporter_prometheus::PrometheusHandle;
use storage::Log;
use tokio::sync::{Semaphore, watch};

use crate::http::{body::Bodies, docs::Described, keys::AdminToken, reload::Reloader};

/// The parts of a running Patchbay that the admin listener shows, and its own settings.
pub struct Admin {
    /// Answers every look-up and performs every action.
    pub router: Router,
    /// The token that requests must carry; `None` admits everyone.
    pub token: Arc<AdminToken>,
    /// Renders `/metrics`; `None` in tests.
    pub metrics: Option<PrometheusHandle>,
    /// The event log, for its sizes and counts.
    pub log: Log,
    /// Reads the configuration again.
    pub reloader: Arc<Reloader>,
    /// Turns true when the process stops: live tails end.
    pub stop: watch::Receiver<bool>,
    /// Whether requests may name any host. False on loopback without a token, where a page of
    /// another site could point its own host name at this listener (DNS rebinding).
    pub any_host: bool,
}

/// [`Admin`] with the permits of live tails and searches, the memory for bodies, and the
/// documentation.
pub(super) struct AdminState {
    pub(super) admin: Admin,
    pub(super) bodies: Bodies,
    pub(super) tails: Arc<Semaphore>,
    pub(super) searches: Arc<Semaphore>,
    pub(super) described: Described,
}

/// The state, as a route receives it.
pub(super) type SharedAdmin = State<Arc<AdminState>>;
