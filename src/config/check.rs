//! Reads the tables of the file, one function each: the keys, their limits and their defaults.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use actors::config::{ChannelConfig, DestinationConfig, Limits};
use message::{DestinationId, address::StreamKey};
use secrecy::{ExposeSecret, SecretString};
use storage::EngineKind;
use toml::de::DeTable;

use super::{
    channel,
    inventory::Inventory,
    pem,
    problem::{ConfigError, Problems},
    section::{OrOff, Section, Size, id},
    settings::{AdminSettings, ApiKey, EdgeLimits, HttpSettings, LogSettings, Settings, Tls},
    shared, signing,
};

const MB: u64 = 1 << 20;
const GB: u64 = 1 << 30;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The largest value of `[http] body_max`, in bytes.
const BODY_BYTES_MAX: u64 = 64 * MB;

impl EdgeLimits {
    /// The limits of a listener that the file does not mention.
    pub const DEFAULT: Self = Self {
        max_in_flight: 10_000,
        body_bytes_max: 4 << 20,
        connections_max: 10_000,
        header_timeout: Duration::from_secs(10),
        write_timeout: Duration::from_secs(30),
        bodies_bytes_max: 512 << 20,
        unverified_bytes_max: 32 << 20,
    };
}

impl Settings {
    /// Returns what an operator should know about a valid configuration.
    pub fn warnings(&self) -> Vec<String> {
        let unsigned = self.router.channels.iter().filter(|channel| channel.unsigned);
        let text = |channel: &ChannelConfig| {
            format!(
                "[[channel]] {:?} accepts webhooks from anyone who knows its address (unsigned = true): \
                 nothing proves that {} sent them",
                channel.id.as_str(),
                channel.channel.provider().name
            )
        };
        let mut warnings: Vec<String> = unsigned.map(text).collect();
        if self.router.channels.is_empty() {
            let text = "no [[channel]] is configured: nothing can be sent or received; `patchbay providers` \
                        lists what can be, and `patchbay demo` shows it at work";
            warnings.push(text.into());
        } else if self.router.destinations.is_empty() {
            warnings.push("no [[destination]] is configured: nothing that customers write arrives".into());
        }
        warnings
    }
}

/// Reads and checks the whole file.
pub(super) fn settings(text: &str, file: &str, folder: &Path) -> Result<Settings, ConfigError> {
    let problems = Problems::default();
    let (table, syntax) = DeTable::parse_recoverable(text);
    for error in &syntax {
        problems.add(&error.span().unwrap_or(0..0), format!("not TOML: {}", error.message()));
    }
    if !syntax.is_empty() {
        return Err(problems.into_error(file, text));
    }
    // Read first: a secret that is rotated meanwhile differs at the next reading.
    let inventory = Inventory::of(table.get_ref(), folder);
    let root = Section::new(table.get_ref(), 0..0, "", &problems, folder);
    let settings = Settings { inventory, ..read(&root) };
    root.finish();
    if problems.is_empty() { Ok(settings) } else { Err(problems.into_error(file, text)) }
}

fn read(root: &Section<'_>) -> Settings {
    let data_dir = root.path("data_dir").unwrap_or_else(|| root.folder().join("data"));
    let mut api_keys = Vec::new();
    let destinations: Vec<DestinationConfig> =
        root.tables("destination").into_iter().filter_map(|s| destination(s, &mut api_keys)).collect();
    duplicates(root, "destination", destinations.iter().map(|d| d.id.as_str()));
    let public_url = root.raw().get("http").and_then(|http| http.get_ref().as_table()?.get("public_url"));
    let public_url = public_url.and_then(|url| url.get_ref().as_str());
    let placed: Vec<_> = root
        .tables("channel")
        .into_iter()
        .filter_map(|section| {
            let span = section.span_of("dids");
            Some((channel::read(section, &destinations, public_url)?, span))
        })
        .collect();
    shared::check(root, &placed);
    let channels: Vec<ChannelConfig> = placed.into_iter().map(|(channel, _)| channel).collect();
    duplicates(root, "channel", channels.iter().map(|c| c.id.as_str()));
    let http = http(root.table("http"), api_keys, root);
    let admin = admin(root.table("admin"), root);
    if http.listen == admin.listen && http.listen.port() != 0 {
        root.problem("admin", "listens on the same address as [http]; give it a port of its own");
    }
    Settings {
        data_dir,
        engine: root.or("engine", EngineKind::default()),
        segment_bytes: size(root, "segment_size", MB..=16 * GB, 256 * MB),
        filter_bytes_max: size(root, "filter_memory", 0..=GB, 64 * MB),
        disk_reserve_bytes: size(root, "disk_reserve", 0..=u64::MAX, 256 * MB),
        drain_timeout: root.or("drain_timeout", Duration::from_secs(10)),
        trust: trust(root),
        router: actors::Config {
            channels,
            destinations,
            limits: limits(root.table("limits")),
            retention: root.or("retention", OrOff(Some(30 * DAY))).0,
            media: None,
            // Read from the data folder at start.
            stream_key: StreamKey::default(),
        },
        http,
        admin,
        log: log(root.table("log")),
        file: None,
        inventory: Inventory::default(),
    }
}

fn size(
    section: &Section<'_>,
    key: &'static str,
    bounds: std::ops::RangeInclusive<u64>,
    default: u64,
) -> u64 {
    let Some(Size(bytes)) = section.optional::<Size>(key) else { return default };
    if bounds.contains(&bytes) {
        return bytes;
    }
    let text = format!("found {bytes} bytes; expected {} to {} bytes", bounds.start(), bounds.end());
    section.problem(key, text);
    default
}

fn duplicates<'i>(root: &Section<'_>, key: &str, ids: impl Iterator<Item = &'i str>) {
    let mut ids: Vec<&str> = ids.collect();
    ids.sort_unstable();
    for pair in ids.windows(2) {
        if let [a, b] = pair
            && a == b
        {
            root.problem(key, format!("the id {a:?} is used twice; each needs its own"));
        }
    }
}

fn limits(section: Option<Section<'_>>) -> Limits {
    let defaults = Limits::default();
    let Some(section) = section else { return defaults };
    let count = |key, bounds, default: usize| as_usize(section.number(key, bounds, default as u64));
    let limits = Limits {
        hosts: count("hosts", 1..=256, defaults.hosts),
        live_sessions_max: count("live_sessions_max", 1..=100_000_000, defaults.live_sessions_max),
        session_queue_max: count("session_queue_max", 1..=10_000_000, defaults.session_queue_max),
        unmatched_max: count("unmatched_max", 0..=10_000_000, defaults.unmatched_max),
        checkpoint_events: section.number("checkpoint_events", 1..=1_000_000_000, defaults.checkpoint_events),
        checkpoint_every: section.or("checkpoint_every", defaults.checkpoint_every),
        replay_events_max: section.number("replay_events_max", 1..=1_000_000_000, defaults.replay_events_max),
        unwritten_bytes_max: size(&section, "unwritten_max", MB..=16 * GB, defaults.unwritten_bytes_max),
        waiting_sessions_max: count("waiting_sessions_max", 1..=100_000_000, defaults.waiting_sessions_max),
    };
    section.finish();
    limits
}

fn as_usize(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn http(section: Option<Section<'_>>, of_destinations: Vec<ApiKey>, root: &Section<'_>) -> HttpSettings {
    let mut http = HttpSettings {
        listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
        public_url: None,
        api_keys: of_destinations,
        limits: EdgeLimits::DEFAULT,
        tls: None,
    };
    let Some(section) = section else { return http };
    http.listen = section.or("listen", http.listen);
    http.public_url = section.optional::<String>("public_url");
    if let Some(url) = &http.public_url
        && !is_http_url(url)
    {
        section
            .problem("public_url", format!("found {url:?}; expected a URL such as \"https://example.org\""));
    }
    http.api_keys
        .extend(section.secrets("api_keys").into_iter().map(|key| ApiKey { key, destination: None }));
    http.limits = EdgeLimits {
        max_in_flight: as_usize(section.number("max_in_flight", 1..=1_000_000, 10_000)),
        body_bytes_max: as_usize(size(&section, "body_max", 1024..=BODY_BYTES_MAX, 4 * MB)),
        connections_max: as_usize(section.number("connections_max", 1..=1_000_000, 10_000)),
        header_timeout: section.or("header_timeout", Duration::from_secs(10)),
        write_timeout: section.or("write_timeout", Duration::from_secs(30)),
        bodies_bytes_max: as_usize(size(&section, "bodies_max", MB..=64 * GB, 512 * MB)),
        unverified_bytes_max: as_usize(size(&section, "unverified_bodies_max", MB..=64 * GB, 32 * MB)),
    };
    for (key, bytes_max) in [
        ("bodies_max", http.limits.bodies_bytes_max),
        ("unverified_bodies_max", http.limits.unverified_bytes_max),
    ] {
        if bytes_max < http.limits.body_bytes_max {
            section.problem(key, "is less than body_max, so that no body of that size could be read");
        }
    }
    http.tls = tls(section.table("tls"));
    if !http.listen.ip().is_loopback() && http.api_keys.is_empty() {
        let text = format!(
            "is missing, and {} is not a loopback address, so anyone could send. Set api_keys = [\"env:PATCHBAY_API_KEY\"]",
            http.listen
        );
        section.problem("api_keys", text);
    }
    same_keys(&http.api_keys, root);
    section.finish();
    http
}

/// Rejects a key used twice: the destination of a message would be ambiguous.
fn same_keys(keys: &[ApiKey], root: &Section<'_>) {
    let mut all: Vec<&str> = keys.iter().map(|k| k.key.expose_secret()).collect();
    all.sort_unstable();
    if all.windows(2).any(|pair| matches!(pair, [a, b] if a == b)) {
        root.problem(
            "destination",
            "two API keys (api_key, [http] api_keys) are the same; each needs its own",
        );
    }
}

fn admin(section: Option<Section<'_>>, _root: &Section<'_>) -> AdminSettings {
    let mut admin =
        AdminSettings { listen: SocketAddr::from(([127, 0, 0, 1], 9090)), token: None, tls: None };
    let Some(section) = section else { return admin };
    admin.listen = section.or("listen", admin.listen);
    admin.token = section.secret("token");
    admin.tls = tls(section.table("tls"));
    if !admin.listen.ip().is_loopback() && admin.token.is_none() {
        let text = format!(
            "is missing, and {} is not a loopback address, so anyone could read messages. Set token = \"env:PATCHBAY_ADMIN_TOKEN\"",
            admin.listen
        );
        section.problem("token", text);
    }
    section.finish();
    admin
}

/// Reads the roots to trust for destinations.
fn trust(root: &Section<'_>) -> Option<PathBuf> {
    let path = root.path("tls_ca")?;
    if let Err(wrong) = pem::check_roots("tls_ca", &path) {
        root.problem(wrong.key, wrong.problem);
    }
    Some(path)
}

fn tls(section: Option<Section<'_>>) -> Option<Tls> {
    let section = section?;
    let self_signed = section.or("self_signed", false);
    let (cert, key) = (section.path("cert"), section.path("key"));
    let tls = match (self_signed, cert, key) {
        (false, Some(cert), Some(key)) => Some(Tls::Files { cert, key }),
        (true, None, None) => Some(Tls::SelfSigned),
        (true, ..) => {
            section
                .problem("self_signed", "is true, but cert or key is given as well; remove one of the two");
            None
        }
        (false, ..) => {
            section.problem("cert", "expected cert and key (PEM files), or self_signed = true");
            None
        }
    };
    if let Some(Err(wrong)) = tls.as_ref().map(pem::server) {
        section.problem(wrong.key, wrong.problem);
    }
    section.finish();
    tls
}

fn log(section: Option<Section<'_>>) -> LogSettings {
    let mut log = LogSettings {
        filter: "info".into(),
        json: false,
        file: None,
        file_bytes_max: 5 * MB,
        total_bytes_max: 5 * GB,
    };
    let Some(section) = section else { return log };
    log.filter = section.or("filter", log.filter);
    if let Err(why) = log.filter.parse::<tracing_subscriber::filter::Targets>() {
        let text = format!("found {:?}; expected e.g. \"info,patchbay=debug\": {why}", log.filter);
        section.problem("filter", text);
    }
    let format: String = section.or("format", "text".into());
    log.json = format == "json";
    if !matches!(format.as_str(), "text" | "json") {
        section.problem("format", format!("found {format:?}; expected \"text\" or \"json\""));
    }
    log.file = section.path("file");
    log.file_bytes_max = size(&section, "file_max", 4096..=100 * GB, log.file_bytes_max);
    log.total_bytes_max = size(&section, "total_max", 8192..=100_000 * GB, log.total_bytes_max);
    section.finish();
    log
}

fn destination(section: Section<'_>, api_keys: &mut Vec<ApiKey>) -> Option<DestinationConfig> {
    let id = id(&section);
    let kind: String = section.or("kind", "http".into());
    if kind != "http" {
        section.problem("kind", format!("found {kind:?}; expected \"http\""));
    }
    let url: Option<String> = section.required("url");
    let url = url.filter(|url| {
        let ok = is_http_url(url);
        if !ok {
            section.problem(
                "url",
                format!("found {url:?}; expected a URL such as \"http://127.0.0.1:9000/cim\""),
            );
        }
        ok
    });
    let secret: Option<SecretString> = section.secret("secret");
    let api_key = section.secret("api_key");
    let config = DestinationConfig {
        id: id.as_deref().unwrap_or_default().into(),
        url: url.as_deref().unwrap_or_default().into(),
        batch_max: as_usize(section.number("batch_max", 1..=1_000, 1)),
        secret: secret.map(|s| Arc::from(s.expose_secret().as_bytes())),
        signing_keys: signing::keys(&section),
        connections: as_usize(section.number("connections", 1..=10_000, 16)),
        timeout: section.or("timeout", Duration::from_secs(10)),
        backoff: section.or("backoff", Duration::from_millis(200)),
        backoff_max: section.or("backoff_max", Duration::from_secs(60)),
        give_up_after: section.or("give_up_after", OrOff(None)).0,
    };
    section.finish();
    // A destination with a wrong URL still counts, so that DIDs naming it are not reported as well.
    let id = id?;
    if let Some(key) = api_key {
        api_keys.push(ApiKey { key, destination: Some(DestinationId::new(id)) });
    }
    Some(config)
}

fn is_http_url(url: &str) -> bool {
    let parsed: Option<http::Uri> = url.parse().ok();
    parsed.is_some_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|h| !h.is_empty())
    })
}
