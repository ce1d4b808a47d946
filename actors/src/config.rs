//! The router's configuration, checked and typed. The binary makes it from `config.toml`; nothing
//! here is a name that is looked up later.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use channels::{Channel, address::country::Country};
use message::{ChannelId, DestinationId, address::StreamKey};

use crate::egress::Route;

/// Everything the router needs to run.
#[derive(Clone, Debug)]
pub struct Config {
    /// Channels, in the order of the configuration.
    pub channels: Vec<ChannelConfig>,
    /// Destinations of inbound messages and notifications.
    pub destinations: Vec<DestinationConfig>,
    /// Limits of memory and work.
    pub limits: Limits,
    /// How long finished history is kept.
    pub retention: Option<Duration>,
    /// Storage of customers' files; `None` if they are not fetched.
    pub media: Option<MediaConfig>,
    /// The secret in the ids of sessions; always the same for one log.
    pub stream_key: StreamKey,
}

/// The settings that may change while the router runs.
#[derive(Clone, Debug)]
pub struct Tunable {
    /// Limits; `hosts`, `live_sessions_max`, `session_queue_max` and `unmatched_max` hold until the
    /// next start.
    pub limits: Limits,
    /// How long finished history is kept.
    pub retention: Option<Duration>,
}

impl Tunable {
    /// Returns those of a configuration.
    pub fn of(config: &Config) -> Self {
        Self { limits: config.limits.clone(), retention: config.retention }
    }
}

/// One account at a provider.
#[derive(Clone, Debug)]
pub struct ChannelConfig {
    /// Id in the configuration and in URLs.
    pub id: ChannelId,
    /// Its name for people.
    pub name: Arc<str>,
    /// The provider's side of it.
    pub channel: Arc<dyn Channel>,
    /// Our own addresses on it.
    pub dids: Vec<Did>,
    /// Parts per second; above 0, at most 100,000. `None`: unlimited.
    pub send_rate: Option<f64>,
    /// Time without messages after which a session is closed; `None` for never.
    pub inactivity_timeout: Option<Duration>,
    /// The treatment of parts in doubt.
    pub on_unknown: OnUnknown,
    /// How long a part in doubt waits for a receipt that settles it before it is sent again.
    pub doubt_grace: Duration,
    /// Time after which a message without a validity of its own expires; `None` for never.
    pub validity: Option<Duration>,
    /// Maximum number of attempts to send a part; after them it fails.
    pub tries_max: u16,
    /// The first pause after an unavailable provider; doubles up to `backoff_max`.
    pub backoff: Duration,
    /// The longest pause.
    pub backoff_max: Duration,
    /// How long to wait for a receipt; after that the message is settled without it.
    pub receipt_timeout: Duration,
    /// How long to wait for the missing parts of an inbound message.
    pub reassembly_timeout: Duration,
    /// Settings of calls to the provider's HTTP API.
    pub http: HttpConfig,
    /// Whether webhooks are accepted although nothing proves who sent them.
    pub unsigned: bool,
    /// Among channels with one address: whether it is the one for messages that name no
    /// `channelTypeCode`. `None`: it does not say.
    pub preferred: Option<bool>,
    /// The country of customers' national numbers; `None`: they are refused.
    pub default_country: Option<Country>,
}

/// Settings of calls to a provider's HTTP API.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// Maximum time of one call.
    pub timeout: Duration,
    /// Maximum number of calls at once, from 1 to [`HttpConfig::CONNECTIONS_MAX`].
    pub connections: usize,
    /// Proxy, roots and allowed addresses.
    pub route: Arc<Route>,
    /// The public URL of the channel's webhook; `None` if no public URL is configured.
    pub webhook_url: Option<Arc<str>>,
    /// The public URL of the webhook that all accounts of a Meta app share.
    pub shared_url: Option<Arc<str>>,
    /// Whether the webhook is registered with the provider by calls, where it offers them.
    pub set_up: bool,
}

impl HttpConfig {
    /// Maximum number of calls at once that may be configured.
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

/// The treatment of a part whose submit may or may not have reached the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnUnknown {
    /// Sends it again, flagged: never lost, perhaps a duplicate.
    Resend,
    /// Holds it for a receipt or an operator: never a duplicate, perhaps lost.
    Hold,
}

/// One of our own addresses on a channel.
#[derive(Clone, Debug)]
pub struct Did {
    /// The number, page id or name, as the business uses it (`serviceIdentifier`).
    pub number: Arc<str>,
    /// The destination of its inbound messages and notifications.
    pub destination: DestinationId,
}

/// An HTTP endpoint of the business.
#[derive(Clone)]
pub struct DestinationConfig {
    /// Id in the configuration.
    pub id: DestinationId,
    /// The URL of the POSTs.
    pub url: Arc<str>,
    /// Maximum number of messages in one POST; above 1 the body is a JSON array.
    pub batch_max: usize,
    /// The key of `X-Patchbay-Signature`; `None` if POSTs are not signed.
    pub secret: Option<Arc<[u8]>>,
    /// The keys of the Standard Webhooks signature, the newest first; empty if POSTs carry none.
    pub signing_keys: Arc<[Arc<[u8]>]>,
    /// Maximum number of POSTs at once.
    pub connections: usize,
    /// Maximum time of one POST.
    pub timeout: Duration,
    /// The first pause after a failure; doubles up to `backoff_max`.
    pub backoff: Duration,
    /// The longest pause.
    pub backoff_max: Duration,
    /// Time after which a failing delivery becomes a dead letter; `None` to retry for ever.
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

/// Limits of memory and work.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Number of session hosts.
    pub hosts: usize,
    /// Maximum number of sessions in memory over all hosts; idle ones beyond it are evicted.
    pub live_sessions_max: usize,
    /// Maximum number of messages that wait on one session; further ones are refused for now.
    pub session_queue_max: usize,
    /// Maximum number of unmatched receipts of one channel; the oldest are given up first.
    pub unmatched_max: usize,
    /// Number of events after which a checkpoint begins.
    pub checkpoint_events: u64,
    /// Longest time between two checkpoints.
    pub checkpoint_every: Duration,
    /// Maximum number of events that a start has to replay. From half of it on, acceptance slows
    /// down.
    pub replay_events_max: u64,
    /// Maximum memory of changed sessions that no checkpoint has written yet, in bytes. From half
    /// of it on, acceptance slows down.
    pub unwritten_bytes_max: u64,
    /// Maximum number of sessions that wait on one channel; further messages to it are refused for
    /// now.
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

/// Storage of customers' files, and the addresses under which the business gets them.
#[derive(Clone)]
pub struct MediaConfig {
    /// The public URL of Patchbay.
    pub public_url: Arc<str>,
    /// The key that signs the addresses.
    pub key: Arc<[u8]>,
    /// The folder of the files.
    pub folder: Arc<Path>,
    /// Maximum size of all files, in bytes; beyond it the oldest are removed.
    pub bytes_max: u64,
    /// Maximum number of files that are read at once; further callers are told to come again.
    pub readers_max: usize,
}

impl fmt::Debug for MediaConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}, key ***", self.public_url, self.folder.display())
    }
}

/// The position of a form of a channel in the directory. A channel whose configuration changes gets
/// another form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ChannelIx(pub(crate) usize);

/// The position of a destination in the directory. It stays when the configuration changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct DestinationIx(pub(crate) usize);
