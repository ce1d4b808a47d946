//! The state that the pages share.

use std::sync::Arc;

use actors::Router;
use axum::extract::FromRef;
use tokio::sync::Semaphore;

/// The router, and the permits of searches.
#[derive(Clone)]
pub(super) struct PageState {
    pub(super) router: Router,
    /// The permits of searches for messages, shared with the admin API.
    pub(super) searches: Arc<Semaphore>,
}

impl FromRef<PageState> for Router {
    fn from_ref(state: &PageState) -> Self {
        state.router.clone()
    }
}
