//! Makes every account at an HTTP provider a [`Channel`] whose bodies are adapted to its
//! capabilities.

use std::sync::Arc;

use message::Content;

use crate::contract::{Capabilities, Channel, HttpChannel, LinkKind, Prepared, Provider, Rejection};

impl<T: HttpChannel> Channel for T {
    fn provider(&self) -> &'static Provider {
        HttpChannel::provider(self)
    }

    fn capabilities(&self) -> Capabilities {
        HttpChannel::capabilities(self)
    }

    fn customer(&self, address: &str) -> Result<Arc<str>, Rejection> {
        HttpChannel::customer(self, address)
    }

    fn did(&self, address: &str) -> Arc<str> {
        HttpChannel::did(self, address)
    }

    fn prepare(&self, content: &Content, _reference: u16) -> Result<Prepared, Rejection> {
        super::prepare(content, &HttpChannel::capabilities(self))
    }

    fn link(&self) -> LinkKind<'_> {
        LinkKind::Http(self)
    }
}
