//! The world outside the router: the only files of the product that read the clock, draw random
//! numbers and open connections.

mod client;
mod clock;
mod connector;
mod ids;
mod pool;
mod poster;
mod roots;
#[cfg(test)]
mod tests;

use std::{io, path::Path, sync::Arc};

use actors::Seams;

pub use client::ProviderClient;
pub use clock::{Stopwatch, SystemClock};
pub use connector::TcpConnector;
pub use ids::RandomIds;
pub use poster::HttpPoster;

/// Returns the real seams. `trust` is a PEM file with roots to trust beside the built-in ones for
/// destinations; up to `idle_max` connections to providers are kept for their next calls.
///
/// # Errors
/// The PEM file cannot be used.
pub fn real(trust: Option<&Path>, idle_max: usize) -> io::Result<Seams> {
    Ok(Seams {
        clock: Arc::new(SystemClock),
        ids: Arc::new(RandomIds),
        connector: Arc::new(TcpConnector::default()),
        poster: Arc::new(HttpPoster::new(trust)?),
        client: Arc::new(ProviderClient::new(idle_max)),
    })
}
