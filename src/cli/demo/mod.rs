//! `patchbay demo`: simulated providers of four channels, the router and a bot in one process, on
//! free loopback ports and in a temporary folder. Prints what happens; needs no account and no
//! configuration.

mod bot;
mod channel;
mod fact;
mod print;
mod provider;
mod script;
mod story;
mod tips;

use std::{path::Path, time::Duration};

use clap::Args;
use tokio::{
    sync::{mpsc, watch},
    task::JoinSet,
};

use self::{
    bot::Bot,
    channel::Channel,
    fact::{FACTS_MAX, Fact},
    print::Printer,
    provider::Provider,
    story::Story,
};
use crate::{
    config::{self, LogSettings, Settings},
    console,
    http::serve::Listener,
    run::{self, Failure, Running},
    seams::Stopwatch,
    telemetry,
};

/// How often a customer writes once the script is played.
const CHAT_EVERY: Duration = Duration::from_secs(4);

const HELP: &str = "The channels are SMS (SMPP), WhatsApp, Messenger and Telegram. Nothing leaves this machine, and nothing \
    remains when it ends.\n\n\
    Examples:\n  patchbay demo\n  patchbay demo --once --channels sms,telegram\n  patchbay demo --port 9190";

#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct DemoArguments {
    /// Exit after the round trips, with exit code 0 if all of them worked
    #[arg(long)]
    once: bool,
    /// Only these channels
    #[arg(long, value_enum, value_delimiter = ',', value_name = "CHANNEL,...", default_values_t = Channel::ALL)]
    channels: Vec<Channel>,
    /// The first of seven ports, so that addresses stay the same: the web page, the send API, the
    /// bot, and the four providers; by default any free ones
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=65_529))]
    port: Option<u16>,
    /// How long each step may take
    #[arg(long, default_value = "20s", value_name = "TIME", value_parser = humantime::parse_duration)]
    patience: Duration,
}

/// The ports of a demo: consecutive ones from a given one on, or any free ones.
#[derive(Clone, Copy)]
struct Ports(Option<u16>);

impl Ports {
    const ADMIN: u16 = 0;
    const PUBLIC: u16 = 1;
    const BOT: u16 = 2;
    const PROVIDERS: u16 = 3;

    /// Returns the port at a place; 0 for any free one.
    fn at(self, place: u16) -> u16 {
        self.0.map_or(0, |first| first.saturating_add(place))
    }

    async fn listen(self, place: u16) -> Result<Listener, Failure> {
        let address = ([127, 0, 0, 1], self.at(place)).into();
        let listener = Listener::bind(address, None).await;
        listener.map_err(|e| Failure::Running(format!("{e}; choose another --port, or leave it out")))
    }
}

/// Everything the script needs.
struct Stage {
    providers: Vec<Provider>,
    public_url: String,
    admin_url: String,
    facts: mpsc::Receiver<Fact>,
    bot: Bot,
}

/// Everything that must outlive the router: providers, bot, observers, and the folder of the log.
struct Backstage {
    _players: JoinSet<()>,
    _stop: watch::Sender<bool>,
    _folder: tempfile::TempDir,
}

pub(super) async fn perform(mut arguments: DemoArguments) -> Result<(), Failure> {
    let watch = Stopwatch::start();
    let quiet = LogSettings {
        // The forged webhooks of the script are expected.
        filter: "warn,actors::protocol::webhook=error".into(),
        json: false,
        file: None,
        file_bytes_max: u64::MAX,
        total_bytes_max: u64::MAX,
    };
    telemetry::start_logging(&quiet).map_err(Failure::running)?;
    arguments.channels.sort_unstable();
    arguments.channels.dedup();
    let interrupted = || Failure::running("interrupted before all round trips were done");
    let (stage, running, _backstage) = tokio::select! {
        biased;
        _ = tokio::signal::ctrl_c() => return Err(interrupted()),
        set = Stage::set(&arguments.channels, Ports(arguments.port)) => set?,
    };
    // Stays `None` when a signal ends the demo first.
    let mut ended = None;
    running.until(async { ended = Some(show(&arguments, stage, watch).await) }).await?;
    match ended {
        Some(ended) => ended,
        None if arguments.once => Err(interrupted()),
        None => Ok(()),
    }
}

/// Plays the script and prints what to try next. Without `--once`, customers go on writing.
async fn show(arguments: &DemoArguments, stage: Stage, watch: Stopwatch) -> Result<(), Failure> {
    let printer = Printer::new();
    printer.line("Patchbay demo: a business talks with its customers on several channels.");
    printer.line("Everything runs in this process and on this machine only; no account is needed.\n");
    for provider in &stage.providers {
        printer.line(&introduced(provider));
    }
    printer.line(&format!("   {:<10} send API and webhooks {}", "router", stage.public_url));
    printer.line(&format!("   {:<10} the business: an HTTP service that answers everyone", "bot"));
    let mut story = Story::new(stage.facts, arguments.patience, stage.bot, printer, watch);
    script::play(&mut story, &stage.providers).await?;
    printer.line(&format!(
        "\nAll round trips worked, in {:.1} s; the first answer reached its customer {} ms after the start.",
        watch.elapsed().as_secs_f64(),
        story.first_answer.unwrap_or_default().as_millis()
    ));
    tips::print(&stage.providers, &stage.public_url, &stage.admin_url, arguments.once);
    if !arguments.once && !console::is_closed() {
        tokio::select! {
            biased;
            () = story.tell_all() => {}
            failed = chat(&stage.providers) => failed?,
        }
    }
    Ok(())
}

impl Stage {
    async fn set(channels: &[Channel], ports: Ports) -> Result<(Self, Running, Backstage), Failure> {
        let folder = tempfile::tempdir()
            .map_err(|e| Failure::Running(format!("cannot create a temporary folder: {e}; set TMPDIR")))?;
        let (tell, facts) = mpsc::channel(FACTS_MAX);
        let (stop, stopping) = watch::channel(false);
        let mut players = JoinSet::new();
        let public = ports.listen(Ports::PUBLIC).await?;
        let public_url = public.url();
        let mut providers = Vec::new();
        for channel in channels {
            let port = ports.at(Ports::PROVIDERS + channel.place());
            providers.push(Provider::start(*channel, port, &public_url, &mut players, tell.clone()).await?);
        }
        let business = ports.listen(Ports::BOT).await?;
        let admin = ports.at(Ports::ADMIN);
        // The router opens the admin port later: a port in use is reported before it starts.
        drop(ports.listen(Ports::ADMIN).await?);
        let settings = settings(folder.path(), (admin, &public_url), &business.url(), &providers)?;
        let metrics = telemetry::start_metrics().map_err(Failure::running)?;
        let bot = Bot::new(&public_url, &providers, tell)?;
        let handler = bot.clone();
        players.spawn(business.serve(bot::LIMITS, move |_, r| handler.clone().handle(r), stopping));
        let running = run::start_on(public, settings, Some(metrics)).await?;
        let admin_url = running.admin_url.clone();
        let backstage = Backstage { _players: players, _stop: stop, _folder: folder };
        Ok((Self { providers, public_url, admin_url, facts, bot }, running, backstage))
    }
}

/// Builds the configuration as the text that a user would write into `config.toml`.
fn settings(
    folder: &Path,
    (admin, public_url): (u16, &str),
    business_url: &str,
    providers: &[Provider],
) -> Result<Settings, Failure> {
    let channels: String = providers.iter().map(Provider::configuration).collect();
    let text = format!(
        "[http]\npublic_url = \"{public_url}\"\n[admin]\nlisten = \"127.0.0.1:{admin}\"\n\
         [[destination]]\nid = \"bot\"\nurl = \"{business_url}/cim\"\n{channels}"
    );
    config::parse(&text, "the demo's configuration", folder).map_err(|e| Failure::Running(e.to_string()))
}

/// Lets customers write in turn, without end.
async fn chat(providers: &[Provider]) -> Result<(), Failure> {
    let lines = [
        "Is my parcel on its way?",
        "Please call me back after six.",
        "¿Hablan español? 😀",
        "Thanks!",
        "What does the premium plan cost?",
    ];
    for (provider, text) in providers.iter().cycle().zip(lines.iter().cycle()) {
        tokio::time::sleep(CHAT_EVERY).await;
        provider.write(&provider.customer, text).await?;
    }
    Ok(())
}

/// Describes a provider and its address in one line.
fn introduced(provider: &Provider) -> String {
    let title = format!("{}, simulated", provider.title());
    format!(
        "   {:<10} {title:<32} {:<21}  we are {}",
        provider.channel.label(),
        provider.address,
        provider.did
    )
}
