//! The checked configuration as types. Holds no defaults and reads nothing.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use message::DestinationId;
use secrecy::SecretString;

/// Everything `config.toml` says.
#[derive(Debug)]
pub struct Settings {
    /// Where the event log lives.
    pub data_dir: PathBuf,
    /// A segment is sealed at this size, in bytes.
    pub segment_bytes: u64,
    /// Filters in front of finished messages' look-ups take so much memory at most, in bytes.
    pub filter_bytes_max: u64,
    /// Accepting stops while less than this is free on the disk, in bytes.
    pub disk_reserve_bytes: u64,
    /// How long outstanding work may take when stopping.
    pub drain_timeout: Duration,
    /// Roots to trust beside the built-in ones when posting to destinations: a PEM file.
    pub trust: Option<PathBuf>,
    /// The router's part.
    pub router: actors::Config,
    /// The public listener.
    pub http: Http,
    /// The admin listener.
    pub admin: Admin,
    /// The process's own log.
    pub log: LogSettings,
}

/// `[http]`.
#[derive(Debug)]
pub struct Http {
    /// Where to listen.
    pub listen: SocketAddr,
    /// What providers can reach.
    pub public_url: Option<String>,
    /// Who may send; empty only on loopback: then everyone may.
    pub api_keys: Vec<ApiKey>,
    /// The edge's bounds.
    pub limits: EdgeLimits,
    /// HTTPS.
    pub tls: Option<Tls>,
}

/// A key that may send.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// The key.
    pub key: SecretString,
    /// Where the notifications of what it sends go, when not to the DID's destination.
    pub destination: Option<DestinationId>,
}

/// What a listener takes at most.
#[derive(Clone, Copy, Debug)]
pub struct EdgeLimits {
    /// Requests under way; above it 503.
    pub max_in_flight: usize,
    /// The largest body, in bytes; above it 413.
    pub body_bytes_max: usize,
    /// Open connections; above it new ones wait.
    pub connections_max: usize,
    /// How long a request's head may take to arrive.
    pub header_timeout: Duration,
}

/// `[admin]`.
#[derive(Debug)]
pub struct Admin {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Required as a bearer token when set; always set unless on loopback.
    pub token: Option<SecretString>,
    /// HTTPS.
    pub tls: Option<Tls>,
}

/// Where a listener's certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tls {
    /// PEM files.
    Files {
        /// The chain, the own certificate first.
        cert: PathBuf,
        /// The private key.
        key: PathBuf,
    },
    /// A generated one, new at each start.
    SelfSigned,
}

/// `[log]`: what the process tells about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// An env-filter such as `info` or `info,patchbay=debug`.
    pub filter: String,
    /// JSON lines instead of text.
    pub json: bool,
    /// A file instead of standard error.
    pub file: Option<PathBuf>,
    /// The file is rotated at this size, in bytes.
    pub file_bytes_max: u64,
    /// The oldest rotated files go when all together are larger, in bytes.
    pub total_bytes_max: u64,
}
