//! `patchbay demo`: a simulated SMS provider, the router and a bot in one process, on free ports and a temporary
//! folder. Tells in plain words what happens; needs no account and no configuration.

mod bot;
mod story;

use std::{path::Path, time::Duration};

use actors::seams::Clock;
use clap::Args;
use simulators::smsc::{Mo, MoOrder, Script, Seen, Smsc};
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinSet,
};

use self::story::{Happening, Story};
use crate::{
    config::{self, LogSettings, Settings},
    http::serve::Listener,
    out,
    run::{self, Failure, Running},
    seams::SystemClock,
    telemetry,
};

/// Happenings that wait to be told.
const HAPPENINGS_MAX: usize = 10_000;
/// A customer writes so often once the story is told.
const CHAT_EVERY: Duration = Duration::from_secs(4);
/// The business's number.
const NUMBER: &str = "5155";

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// End after the round trips: exit code 0 when all of them worked
    #[arg(long)]
    once: bool,
    /// How long each round trip may take
    #[arg(long, default_value = "20s", value_parser = humantime::parse_duration)]
    patience: Duration,
}

/// Everything the demo runs.
struct Stage {
    smsc: Smsc,
    running: Running,
    happenings: mpsc::Receiver<Happening>,
    /// Provider, bot and the one who watches the provider; they end with it.
    _players: JoinSet<()>,
    _stop: watch::Sender<bool>,
    _folder: tempfile::TempDir,
}

pub(super) async fn perform(arguments: Arguments) -> Result<(), Failure> {
    let quiet = LogSettings {
        filter: "warn".into(),
        json: false,
        file: None,
        file_bytes_max: u64::MAX,
        total_bytes_max: u64::MAX,
    };
    telemetry::start_logging(&quiet).map_err(Failure::running)?;
    out::line("Patchbay demo. Everything runs in this process; nothing leaves this machine.");
    out::line("");
    let stage = Stage::set().await?;
    let mut story = Story::new(stage.happenings, arguments.patience);
    if let Err(why) = round_trips(&stage.smsc, &mut story).await {
        stage.running.stop().await;
        return Err(why);
    }
    out::line("");
    out::line(format!("Look around: open {}/ in a browser.", stage.running.admin_url));
    if arguments.once {
        stage.running.stop().await;
        out::line("All round trips worked.");
        return Ok(());
    }
    out::line("Customers go on writing every few seconds. Ctrl-C ends the demo.");
    out::line("Write to one of them yourself:");
    out::line(format!(
        "  patchbay send --url {} --from {NUMBER} --to +4917600000001 --text \"Hello\" --wait",
        stage.running.public_url
    ));
    out::line("");
    let smsc = stage.smsc.clone();
    let chat = async move {
        tokio::join!(chat(&smsc), story.tell_all());
    };
    tokio::select! {
        biased;
        ended = stage.running.until_stopped() => ended,
        () = chat => Ok(()),
    }
}

impl Stage {
    async fn set() -> Result<Self, Failure> {
        let folder = tempfile::tempdir().map_err(Failure::running)?;
        let (tell, happenings) = mpsc::channel(HAPPENINGS_MAX);
        let (stop, stopping) = watch::channel(false);
        let mut players = JoinSet::new();

        let tcp = TcpListener::bind(("127.0.0.1", 0)).await.map_err(Failure::running)?;
        let smsc_address = tcp.local_addr().map_err(Failure::running)?;
        let smsc = Smsc::new(Script {
            accounts: [("demo".to_owned(), "demo".to_owned())].into(),
            latency_ms: 15,
            receipt_delay_ms: 400,
            receipt_jitter_ms: 200,
            started_at_s: SystemClock.now().0 / 1000,
            ..Script::default()
        });
        let seen = smsc.observe(HAPPENINGS_MAX);
        players.spawn(watch_provider(seen, tell.clone()));
        let provider = smsc.clone();
        players.spawn(async move { provider.run(tcp, std::future::pending()).await });

        let listener = Listener::bind(([127, 0, 0, 1], 0).into(), None).await.map_err(Failure::running)?;
        let bot_url = format!("{}/cim", listener.url());
        let settings = settings(folder.path(), smsc_address.port(), &bot_url)?;
        let metrics = telemetry::start_metrics().map_err(Failure::running)?;
        let running = run::start(settings, Some(metrics)).await?;
        let bot = bot::Bot::new(&running.public_url, tell)?;
        players.spawn(listener.serve(bot::LIMITS, move |r| bot.clone().handle(r), stopping));

        out::line(format!("  provider  a simulated SMS centre speaking SMPP on {smsc_address}"));
        out::line(format!("  router    send API {}, admin page {}/", running.public_url, running.admin_url));
        out::line(format!("  bot       the business: an HTTP service at {bot_url} that answers everything"));
        Ok(Self { smsc, running, happenings, _players: players, _stop: stop, _folder: folder })
    }
}

/// The same text a user would write into `config.toml`.
fn settings(folder: &Path, smsc_port: u16, bot_url: &str) -> Result<Settings, Failure> {
    let text = format!(
        r#"
[http]
listen = "127.0.0.1:0"
[admin]
listen = "127.0.0.1:0"
[[destination]]
id = "bot"
url = "{bot_url}"
[[channel]]
id = "sms-demo"
name = "Demo SMS"
provider = "smpp"
dids = [{{ number = "{NUMBER}", destination = "bot" }}]
send_rate = 50
[channel.account]
host = "127.0.0.1"
port = {smsc_port}
system_id = "demo"
password = "demo"
"#
    );
    config::parse(&text, "the demo's configuration", folder).map_err(|e| Failure::Usage(e.to_string()))
}

async fn watch_provider(mut seen: mpsc::Receiver<Seen>, tell: mpsc::Sender<Happening>) {
    while let Some(seen) = seen.recv().await {
        let happening = match seen {
            Seen::Bound { .. } => Happening::Bound,
            Seen::Message(m) => {
                Happening::ProviderGot { to: m.destination.into(), text: m.text.into(), parts: m.parts }
            }
            _ => continue,
        };
        if tell.send(happening).await.is_err() {
            return;
        }
    }
}

/// The story: a short talk, a long one with emoji, and a receipt for each answer.
async fn round_trips(smsc: &Smsc, story: &mut Story) -> Result<(), Failure> {
    story.chapter("The router logs in at the provider");
    story.until_bound().await?;

    story.chapter("A customer asks something");
    customer_writes(smsc, "4917600000001", "Hi, are you open today?", MoOrder::Straight)?;
    story.until_answered("4917600000001").await?;

    story.chapter("Another one writes a long text with emoji; its parts arrive in the wrong order");
    let long = "Great service yesterday 🎉 The technician was on time, friendly 😊 and fixed the boiler in \
                twenty minutes 🔧. Could you please send the invoice to my office address this time? Thank you! 🙏";
    customer_writes(smsc, "4917600000002", long, MoOrder::Reversed)?;
    story.until_answered("4917600000002").await
}

fn customer_writes(smsc: &Smsc, from: &str, text: &str, order: MoOrder) -> Result<(), Failure> {
    story::customer_wrote(from, text);
    let mo = Mo { from: from.into(), to: NUMBER.into(), text: text.into(), order, ..Mo::default() };
    smsc.send_mo(&mo).map(|_| ()).map_err(Failure::running)
}

/// Goes on for ever.
async fn chat(smsc: &Smsc) {
    let lines = [
        ("4917600000003", "Is my parcel on its way?"),
        ("4917600000004", "Please call me back after six."),
        ("4917600000005", "¿Hablan español? 😀"),
        ("4917600000001", "Thanks!"),
        ("4917600000006", "What does the premium plan cost?"),
    ];
    for (from, text) in lines.iter().cycle() {
        tokio::time::sleep(CHAT_EVERY).await;
        if let Err(why) = customer_writes(smsc, from, text, MoOrder::Straight) {
            out::error(why.to_string());
            return;
        }
    }
}
