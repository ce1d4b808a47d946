//! The router's configuration, checked: what `src/config.rs` makes of `config.toml`. Nothing here is text
//! to be looked up by name later.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use channels::Channel;
use message::{ChannelId, DestinationId};

use crate::egress::Route;

/// Everything the router needs to run.
#[derive(Clone, Debug)]
pub struct Config {
    /// The channels.
    pub channels: Vec<ChannelConfig>,
    /// The destinations.
    pub destinations: Vec<DestinationConfig>,
    /// The bounds.
    pub limits: Limits,
    /// How long finished history is kept.
    pub retention: Option<Duration>,
    /// Where customers' files are kept; `None`: they are not fetched.
    pub media: Option<MediaConfig>,
}

/// A channel.
#[derive(Clone, Debug)]
pub struct ChannelConfig {
    /// Its id.
    pub id: ChannelId,
    /// Its name for people.
    pub name: Arc<str>,
    /// The provider's side of it.
    pub channel: Arc<dyn Channel>,
    /// Our own addresses on it.
    pub dids: Vec<Did>,
    /// Parts per second; above 0, at most 100,000.
    pub send_rate: f64,
    /// A session without any message for so long is closed; `None`: never.
    pub inactivity_timeout: Option<Duration>,
    /// What happens to a part in doubt.
    pub on_unknown: OnUnknown,
    /// How long a part in doubt waits for a receipt that settles it before it is sent again.
    pub doubt_grace: Duration,
    /// Messages without a validity of their own are given up after this; `None`: never.
    pub validity: Option<Duration>,
    /// How often a part is tried before it fails.
    pub tries_max: u16,
    /// The first pause after an unavailable provider; doubles up to `backoff_max`.
    pub backoff: Duration,
    /// The longest pause.
    pub backoff_max: Duration,
    /// How long a receipt is waited for; then the message is settled as it is.
    pub receipt_timeout: Duration,
    /// How long the parts of an inbound message are waited for.
    pub reassembly_timeout: Duration,
    /// How its provider's API is called, if it has one.
    pub http: HttpConfig,
}

/// How a provider's HTTP API is called.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// How long one call may take.
    pub timeout: Duration,
    /// Most calls at once, 1 to [`HttpConfig::CONNECTIONS_MAX`].
    pub connections: usize,
    /// The way there.
    pub route: Arc<Route>,
    /// Where its provider reaches this channel; `None` when nobody said how Patchbay is reached at all.
    pub webhook_url: Option<Arc<str>>,
    /// Where all accounts of one Meta app are reached; likewise.
    pub shared_url: Option<Arc<str>>,
    /// Whether its provider is told so by its own calls, where it has such.
    pub set_up: bool,
}

impl HttpConfig {
    /// The most calls at once that may be configured.
    pub const CONNECTIONS_MAX: usize = 1_000;
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(30),
            connections: 16,
            route: Arc::default(),
            webhook_url: None,
            shared_url: None,
            set_up: true,
        }
    }
}

/// What happens to a part whose submit may or may not have reached the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnUnknown {
    /// Send it again, flagged: never lost, perhaps twice.
    Resend,
    /// Hold it for a receipt or an operator: never twice, perhaps not at all.
    Hold,
}

/// One of our own addresses on a channel.
#[derive(Clone, Debug)]
pub struct Did {
    /// As configured and as the business names it (`serviceIdentifier`).
    pub number: Arc<str>,
    /// Where its inbound messages and notifications go.
    pub destination: DestinationId,
}

/// An HTTP endpoint of the business.
#[derive(Clone)]
pub struct DestinationConfig {
    /// Its id.
    pub id: DestinationId,
    /// Where to POST.
    pub url: Arc<str>,
    /// Most messages in one POST; above 1 the body is a JSON array.
    pub batch_max: usize,
    /// The key of `X-Patchbay-Signature`, if it is to be signed.
    pub secret: Option<Arc<[u8]>>,
    /// Most POSTs at once.
    pub connections: usize,
    /// How long one POST may take.
    pub timeout: Duration,
    /// The first pause after a failure; doubles up to `backoff_max`.
    pub backoff: Duration,
    /// The longest pause.
    pub backoff_max: Duration,
    /// After so long without success a delivery becomes a dead letter; `None`: it is tried for ever.
    pub give_up_after: Option<Duration>,
}

impl fmt::Debug for DestinationConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DestinationConfig")
            .field("id", &self.id)
            .field("url", &self.url)
            .field("secret", &self.secret.as_ref().map(|_| "***"))
            .finish_non_exhaustive()
    }
}

/// The bounds of memory and work.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Session host actors; each runs a share of the sessions.
    pub hosts: usize,
    /// Sessions kept in memory over all hosts; idle ones beyond it are passivated.
    pub live_sessions_max: usize,
    /// Messages that may wait on one session; above it a session's sender is told to wait.
    pub session_queue_max: usize,
    /// Receipts kept unmatched per channel; the oldest are given up first.
    pub unmatched_max: usize,
    /// Events between two checkpoints.
    pub checkpoint_events: u64,
    /// Time between two checkpoints.
    pub checkpoint_every: Duration,
    /// Messages of the business wait while a start would have to replay more events than this; from half of it on they are
    /// taken more slowly.
    pub replay_events_max: u64,
    /// The same for what sessions that changed take in memory until a checkpoint has written them, in bytes.
    pub unwritten_bytes_max: u64,
    /// Sessions that may wait on one channel, which remembers them; further messages to it are told to come again.
    pub waiting_sessions_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            hosts: 2,
            live_sessions_max: 50_000,
            session_queue_max: 10_000,
            unmatched_max: 10_000,
            checkpoint_events: 200_000,
            checkpoint_every: Duration::from_secs(10),
            replay_events_max: 1_000_000,
            unwritten_bytes_max: 128 * 1024 * 1024,
            waiting_sessions_max: 2_000_000,
        }
    }
}

/// Where files are kept, and how the business gets them.
#[derive(Clone)]
pub struct MediaConfig {
    /// How Patchbay is reached from outside.
    pub public_url: Arc<str>,
    /// What signs the addresses.
    pub key: Arc<[u8]>,
    /// Where files are kept.
    pub folder: Arc<Path>,
    /// The most octets of all of them.
    pub bytes_max: u64,
}

impl fmt::Debug for MediaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}, key ***", self.public_url, self.folder.display())
    }
}

/// The position of a channel in [`Config::channels`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ChannelIx(pub(crate) usize);

/// The position of a destination in [`Config::destinations`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct DestinationIx(pub(crate) usize);
