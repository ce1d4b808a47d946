//! The whole process: opens the log, starts the router, serves both listeners, reads the
//! configuration again, and stops them in order. Serves nothing before the router is ready.

use std::{io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use actors::Router;
use metrics_exporter_prometheus::PrometheusHandle;
use storage::{DiskEngine, EngineKind, Log, Options, Recovery};
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    task::JoinSet,
    time::Instant,
};

use crate::{
    config::{EdgeLimits, Settings},
    data_folder, data_keys,
    descriptors::Descriptors,
    http::{
        admin,
        keys::{AdminToken, Keys},
        public,
        reload::Reloader,
        serve::Listener,
        tls,
    },
    seams::{self, Stopwatch},
};

/// How often the metrics recorder does its upkeep.
const UPKEEP: Duration = Duration::from_secs(5);

/// The reason for an exit code other than 0.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Bad usage or configuration: exit code 2.
    #[error("{0}")]
    Usage(String),
    /// A failure while running: exit code 1.
    #[error("{0}")]
    Running(String),
    /// A failure with an exit code of its own. Without words, everything is told already.
    #[error("{why}")]
    Coded {
        /// The exit code.
        code: u8,
        /// The reason, for people.
        why: String,
    },
}

impl Failure {
    /// Returns the exit code.
    pub fn code(&self) -> u8 {
        match self {
            Self::Running(_) => 1,
            Self::Usage(_) => 2,
            Self::Coded { code, .. } => *code,
        }
    }

    /// Returns a failure while running.
    pub fn running(why: impl std::fmt::Display) -> Self {
        Self::Running(why.to_string())
    }
}

/// A running Patchbay.
pub struct Running {
    /// The handle to the running router.
    pub router: Router,
    /// The URL of the public listener.
    pub public_url: String,
    /// The URL of the admin listener.
    pub admin_url: String,
    /// The result of opening the log.
    pub recovery: Recovery,
    /// The time from start to ready.
    pub ready_after: Duration,
    reloader: Arc<Reloader>,
    hangup: Signal,
    stop: watch::Sender<bool>,
    servers: JoinSet<()>,
    metrics: Option<PrometheusHandle>,
    drain_timeout: Duration,
}

/// Starts everything; ready when this returns.
///
/// # Errors
/// The log, an address, a certificate or the router failed.
pub async fn start(settings: Settings, metrics: Option<PrometheusHandle>) -> Result<Running, Failure> {
    // Addresses are bound first: a port in use is reported before the log is touched.
    let public = bind("[http]", settings.http.listen, settings.http.tls.as_ref()).await?;
    start_on(public, settings, metrics).await
}

/// Starts with a public listener that is already bound, for callers that need its address first.
///
/// # Errors
/// As [`start`].
pub async fn start_on(
    public: Listener,
    settings: Settings,
    metrics: Option<PrometheusHandle>,
) -> Result<Running, Failure> {
    let watch = Stopwatch::start();
    let hangup = listen(SignalKind::hangup())?;
    #[cfg(feature = "sabotage")]
    sabotage()?;
    for warning in settings.warnings() {
        tracing::warn!("{warning}");
    }
    let shares = Descriptors::obtain(outbound(&settings.router), settings.http.limits.connections_max);
    let seams = seams::real(settings.trust.as_deref(), shares.idle).map_err(Failure::running)?;
    let admin = bind("[admin]", settings.admin.listen, settings.admin.tls.as_ref()).await?;
    let (log, recovery) = open(&settings, &shares).await?;
    let public_url = settings.http.public_url.clone().unwrap_or_else(|| public.url());
    let stream_key = data_keys::stream(&settings.data_dir, recovery.last.0 == 0)
        .map_err(|e| Failure::Running(format!("the key of the event log: {e}")))?;
    let media = media(&settings.data_dir, public_url, shares.media)?;
    let router = actors::Config { media: Some(media), stream_key, ..settings.router };
    let router = Router::start(router, log.clone(), seams).await.map_err(Failure::running)?;
    let (stop, stopping) = watch::channel(false);
    let mut servers = JoinSet::new();
    let (public_url, admin_url) = (public.url(), admin.url());
    let limits = EdgeLimits { connections_max: shares.public, ..settings.http.limits };
    let keys = Arc::new(Keys::new(settings.http.api_keys));
    let token = Arc::new(AdminToken::new(settings.admin.token));
    let reloader = Arc::new(Reloader::new(
        settings.file,
        settings.inventory,
        router.clone(),
        keys.clone(),
        token.clone(),
    ));
    let handler = public::PublicHandler::new(router.clone(), keys, limits, settings.http.public_url);
    let handle = move |seat, request| handler.clone().handle(seat, request);
    servers.spawn(public.named("public").serve(limits, handle, stopping.clone()));
    let handler = admin::AdminHandler::new(admin::Admin {
        router: router.clone(),
        token,
        reloader: reloader.clone(),
        metrics: metrics.clone(),
        log,
        stop: stopping.clone(),
        any_host: !settings.admin.listen.ip().is_loopback(),
    });
    let admin_limits = EdgeLimits { connections_max: shares.admin, ..limits };
    let handle = move |seat, request| handler.clone().handle(seat, request);
    servers.spawn(admin.named("admin").serve(admin_limits, handle, stopping));
    Ok(Running {
        router,
        public_url,
        admin_url,
        recovery,
        ready_after: watch.elapsed(),
        reloader,
        hangup,
        stop,
        servers,
        metrics,
        drain_timeout: settings.drain_timeout,
    })
}

/// The largest size of all kept files of customers, in bytes; beyond it the oldest are deleted.
const MEDIA_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;

/// Returns where customers' files are kept, and how their URLs are made.
fn media(
    data_dir: &Path,
    public_url: String,
    readers_max: usize,
) -> Result<actors::config::MediaConfig, Failure> {
    let key = data_keys::media(data_dir)
        .map_err(|e| Failure::Running(format!("the key of customers' files: {e}")))?;
    Ok(actors::config::MediaConfig {
        public_url: public_url.into(),
        key,
        folder: data_dir.join("media").into(),
        bytes_max: MEDIA_BYTES_MAX,
        readers_max,
    })
}

/// Activates the deliberate bug that `PATCHBAY_SABOTAGE` names.
#[cfg(feature = "sabotage")]
fn sabotage() -> Result<(), Failure> {
    use actors::sabotage::Sabotage;
    let Ok(wanted) = std::env::var("PATCHBAY_SABOTAGE") else { return Ok(()) };
    let found = Sabotage::ALL.iter().find(|(name, _)| *name == wanted);
    let (_, bug) =
        found.ok_or_else(|| Failure::Usage(format!("PATCHBAY_SABOTAGE: unknown bug {wanted:?}")))?;
    tracing::warn!(bug = %wanted, "sabotaged on purpose");
    bug.choose();
    Ok(())
}

/// Listens on the address of a table of the configuration.
async fn bind(
    table: &str,
    address: SocketAddr,
    tls: Option<&crate::config::Tls>,
) -> Result<Listener, Failure> {
    let acceptor = tls.map(tls::acceptor).transpose();
    let acceptor = acceptor.map_err(|e| Failure::Running(format!("{table} tls {e}")))?;
    let failed = |e: io::Error| {
        let fix = match e.kind() {
            io::ErrorKind::AddrInUse => {
                "another process uses this port: stop it, or choose another port in listen"
            }
            io::ErrorKind::AddrNotAvailable => "this machine does not have that address: correct listen",
            io::ErrorKind::PermissionDenied => {
                "this user may not use ports below 1024: choose a higher one in listen"
            }
            _ => "correct listen",
        };
        Failure::Running(format!("{table} listen: {e}; {fix}"))
    };
    Listener::bind(address, acceptor).await.map_err(failed)
}

/// Returns the number of connections to providers and destinations that a configuration allows.
fn outbound(config: &actors::Config) -> usize {
    let links = config.channels.iter().map(|channel| match channel.channel.link() {
        // A bind may be a transmitter and a receiver.
        channels::LinkKind::Smpp(account) => 2 * usize::from(account.binds),
        channels::LinkKind::Http(_) => channel.http.connections,
    });
    let destinations = config.destinations.iter().map(|destination| destination.connections);
    links.chain(destinations).fold(0, usize::saturating_add)
}

async fn open(settings: &Settings, shares: &Descriptors) -> Result<(Log, Recovery), Failure> {
    let options = Options {
        segment_bytes: settings.segment_bytes,
        filter_bytes_max: usize::try_from(settings.filter_bytes_max).unwrap_or(usize::MAX),
        disk_reserve_bytes: settings.disk_reserve_bytes,
        open_files_max: shares.lookup_files,
        ..Options::default()
    };
    let (folder, engine) = (settings.data_dir.clone(), settings.engine);
    let opened = tokio::task::spawn_blocking(move || open_log(&folder, Some(engine), options)).await;
    opened.map_err(Failure::running)?
}

/// Opens the log in a folder, with the engine that the folder remembers if none is given.
///
/// # Errors
/// Another process has the log open, it was created with another engine, or it is damaged.
pub fn open_log(
    folder: &Path,
    engine: Option<EngineKind>,
    options: Options,
) -> Result<(Log, Recovery), Failure> {
    let failed = |e: &dyn std::fmt::Display| {
        Failure::Running(format!("the event log (data_dir = {:?}): {e}", folder.display().to_string()))
    };
    if let Some(problem) = data_folder::problem(folder) {
        return Err(failed(&problem));
    }
    let engine = match engine {
        Some(engine) => DiskEngine::open(folder, engine),
        None => DiskEngine::open_existing(folder),
    };
    let engine = engine.map_err(|e| failed(&e))?.around_reads(around_reads);
    Log::open(engine, options).map_err(|e| failed(&e))
}

/// Makes a read that may wait for the disk. A worker of the runtime first gives its other tasks to
/// another thread.
fn around_reads(read: &mut dyn FnMut()) {
    let flavor = Handle::try_current().map(|runtime| runtime.runtime_flavor());
    match flavor {
        Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(read),
        _ => read(),
    }
}

impl Running {
    /// Runs until a signal arrives, or until the router fails.
    ///
    /// # Errors
    /// The reason why the router failed.
    pub async fn until_stopped(self) -> Result<(), Failure> {
        self.until(std::future::pending()).await
    }

    /// Runs until a signal arrives, until the router fails, or until `done` resolves; then stops in
    /// order.
    ///
    /// # Errors
    /// The reason why the router failed.
    pub async fn until(mut self, done: impl Future<Output = ()>) -> Result<(), Failure> {
        let mut signals = Signals::new()?;
        let mut upkeep = tokio::time::interval(UPKEEP);
        let failed = {
            let router = self.router.clone();
            async move { router.failed().await }
        };
        tokio::pin!(failed, done);
        loop {
            tokio::select! {
                biased;
                why = &mut failed => {
                    tracing::error!(%why, "the router failed");
                    self.stop.send_replace(true);
                    return Err(Failure::Running(why));
                }
                name = signals.next() => {
                    tracing::info!(signal = name, "stopping");
                    return tokio::select! {
                        biased;
                        () = self.stop() => Ok(()),
                        _ = signals.next() => Err(Failure::running("stopped by a second signal before the drain was complete")),
                    };
                }
                _ = self.hangup.recv() => {
                    if !self.reloader.has_file() {
                        tracing::info!(signal = "SIGHUP", "stopping");
                        self.stop().await;
                        return Ok(());
                    }
                    self.reloader.hang_up();
                }
                () = &mut done => {
                    self.stop().await;
                    return Ok(());
                }
                _ = upkeep.tick() => if let Some(metrics) = &self.metrics { metrics.run_upkeep() },
            }
        }
    }

    /// Stops in order: requests and submits in flight are answered, then the log is closed.
    pub async fn stop(mut self) {
        let deadline = Instant::now() + self.drain_timeout;
        self.stop.send_replace(true);
        let served = async { while self.servers.join_next().await.is_some() {} };
        if tokio::time::timeout_at(deadline, served).await.is_err() {
            tracing::warn!("drain_timeout is over; requests in flight were cut off");
            self.servers.abort_all();
        }
        let left = deadline.saturating_duration_since(Instant::now());
        self.router.drain(u64::try_from(left.as_millis()).unwrap_or(u64::MAX)).await;
        tracing::info!("stopped");
    }
}

/// Keeps SIGHUP from ending the process, from the first moment on.
///
/// # Errors
/// The signal cannot be listened for.
pub fn outlive_hangups() -> Result<(), Failure> {
    // Once it was listened for, the signal has no other effect for the life of the process.
    listen(SignalKind::hangup()).map(drop)
}

fn listen(kind: SignalKind) -> Result<Signal, Failure> {
    signal(kind).map_err(|e| Failure::Running(format!("signals: {e}")))
}

/// SIGTERM and SIGINT.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> Result<Self, Failure> {
        let terminate = listen(SignalKind::terminate())?;
        Ok(Self { terminate, interrupt: listen(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
