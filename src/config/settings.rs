//! The checked configuration as types. Holds no defaults and reads nothing.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use message::DestinationId;
use secrecy::SecretString;

use super::inventory::Inventory;

/// The whole of `config.toml`.
#[derive(Debug)]
pub struct Settings {
    /// The folder of the event log.
    pub data_dir: PathBuf,
    /// The size at which a segment is sealed, in bytes.
    pub segment_bytes: u64,
    /// The engine that keeps the blocks of the event log.
    pub engine: storage::EngineKind,
    /// The memory for filters in front of the look-up files of finished messages, in bytes. Files
    /// beyond it are read without a filter.
    pub filter_bytes_max: u64,
    /// The free disk space below which messages are no longer accepted, in bytes.
    pub disk_reserve_bytes: u64,
    /// How long requests and submits in flight may take when the process stops.
    pub drain_timeout: Duration,
    /// A PEM file with root certificates to trust beside the built-in ones, for destinations.
    pub trust: Option<PathBuf>,
    /// The configuration of the router.
    pub router: actors::Config,
    /// The public listener.
    pub http: HttpSettings,
    /// The admin listener.
    pub admin: AdminSettings,
    /// The process's own log.
    pub log: LogSettings,
    /// The file that says all this; `None` for settings from no file.
    pub file: Option<PathBuf>,
    /// Digests of the keys that were read, for the comparison with a later reading.
    pub inventory: Inventory,
}

/// The `[http]` table.
#[derive(Debug)]
pub struct HttpSettings {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The URL at which providers reach this listener.
    pub public_url: Option<String>,
    /// The keys that requests must carry. Empty only on a loopback address, where no key is needed.
    pub api_keys: Vec<ApiKey>,
    /// The limits of the listener.
    pub limits: EdgeLimits,
    /// The certificate; `None` for plain HTTP.
    pub tls: Option<Tls>,
}

/// A key that admits requests to the public listener.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// The key's value.
    pub key: SecretString,
    /// The destination for notifications of messages sent with this key; `None` for the DID's.
    pub destination: Option<DestinationId>,
}

/// The limits of a listener.
#[derive(Clone, Copy, Debug)]
pub struct EdgeLimits {
    /// The largest number of requests in flight; further ones get 503.
    pub max_in_flight: usize,
    /// The largest request body, in bytes; larger ones get 413.
    pub body_bytes_max: usize,
    /// The largest number of open connections. Beyond it, those without a key or signature make
    /// room for new ones, the oldest first.
    pub connections_max: usize,
    /// How long the head of a request may take to arrive, and a connection may wait for it.
    pub header_timeout: Duration,
    /// How long a peer may take nothing of an answer before its connection is closed.
    pub write_timeout: Duration,
    /// The memory for bodies that are being read from senders with a key, in bytes.
    pub bodies_bytes_max: usize,
    /// The memory for bodies that are being read from all others, in bytes.
    pub unverified_bytes_max: usize,
}

/// The `[admin]` table.
#[derive(Debug)]
pub struct AdminSettings {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The bearer token that requests must carry. `None` only on a loopback address.
    pub token: Option<SecretString>,
    /// The certificate; `None` for plain HTTP.
    pub tls: Option<Tls>,
}

/// The source of a listener's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// PEM files.
    Files {
        /// The certificate chain, the listener's own certificate first.
        cert: PathBuf,
        /// The private key of the first certificate.
        key: PathBuf,
    },
    /// A certificate generated at each start.
    SelfSigned,
}

/// The `[log]` table: the process's own log, not the event log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// A filter such as `info` or `info,patchbay=debug`.
    pub filter: String,
    /// Whether lines are JSON instead of text.
    pub json: bool,
    /// The log file; `None` for standard error.
    pub file: Option<PathBuf>,
    /// The size at which the file is rotated, in bytes.
    pub file_bytes_max: u64,
    /// The size of all rotated files together above which the oldest are deleted, in bytes.
    pub total_bytes_max: u64,
}
