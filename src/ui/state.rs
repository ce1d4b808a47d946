//! The state that the pages share.

use std::sync::Arc;

use actors::Router;
use axum::extract::FromRef;
use tokio::sync::Semaphore;

/// The router, and the permits of searches.
#[derive(Clone)]
pub(crate) struct PageState {
    pub(crate) router: Router,
    /// The permits of searches for messages, shared with the admin API.
    pub(crate) searches: Arc<Semaphore>,
}

impl FromRef<PageState> for Router {
    fn from_ref(state: &PageState) -> Self {
        state.router.clone()
    }
}
