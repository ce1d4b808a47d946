//! Patchbay as users run it: the release binary with a configuration in a new folder, on free
//! ports.

use std::{
    fmt::Write as _,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    Plan, Result,
    process::{Process, disk_bytes},
};

/// The secret that signs the webhooks of [`Setup::whatsapp`].
pub const APP_SECRET: &str = "bench-app-secret";
/// The own number of the first SMPP channel; further channels count up.
pub const FIRST_DID: u64 = 5155;

/// The configuration of a run.
#[derive(Default)]
pub struct Setup {
    /// The destinations, named `d0`, `d1`, ...
    pub sinks: Vec<SocketAddr>,
    /// The number of deliveries in one POST.
    pub batch_max: u64,
    pub sms: Vec<Sms>,
    /// The destination of a WhatsApp channel `wa`, if there is one.
    pub whatsapp: Option<usize>,
}

/// An SMPP channel of the configuration.
#[derive(Clone, Copy)]
pub struct Sms {
    pub smsc: SocketAddr,
    /// The index of its destination.
    pub sink: usize,
    pub binds: u64,
}

pub struct Patchbay {
    pub process: Process,
    pub address: SocketAddr,
    data: PathBuf,
}

impl Patchbay {
    /// Returns one channel with one destination.
    pub fn start(
        plan: &Plan,
        folder: &Path,
        smsc: SocketAddr,
        sink: SocketAddr,
        batch_max: u64,
    ) -> Result<Self> {
        let sms = vec![Sms { smsc, sink: 0, binds: plan.binds }];
        Self::with(plan, folder, &Setup { sinks: vec![sink], batch_max, sms, whatsapp: None })
    }

    /// Returns the binary to run. `BENCH_PATCHBAY` names another one, for comparison.
    pub fn with(plan: &Plan, folder: &Path, setup: &Setup) -> Result<Self> {
        let config = folder.join("config.toml");
        fs::write(&config, text(plan, setup)?)?;
        let other = std::env::var_os("BENCH_PATCHBAY");
        let mut command = Command::new(other.unwrap_or_else(|| env!("CARGO_BIN_EXE_patchbay").into()));
        command.arg("run").arg("--config").arg(&config);
        let mut process = Process::start("patchbay", &mut command, folder)?;
        let line = process.line_after("send API")?;
        let url = line.split_whitespace().next().unwrap_or_default();
        let host = url.trim_start_matches("http://").split('/').next().unwrap_or_default();
        Ok(Self { address: host.parse()?, process, data: folder.join("data") })
    }

    pub fn disk_bytes(&self) -> u64 {
        disk_bytes(&self.data)
    }
}

fn text(plan: &Plan, setup: &Setup) -> Result<String> {
    let Plan { window, limits, root, .. } = plan;
    // `BENCH_LOG` sets the log filter.
    let filter = std::env::var("BENCH_LOG").unwrap_or_else(|_| "warn".to_owned());
    let batch_max = setup.batch_max.max(1);
    // Required by the configuration; no request goes there.
    let public_url = setup.whatsapp.map_or("", |_| "public_url = \"https://127.0.0.1:1\"");
    // Only on request: a binary to compare with may not know the key.
    let engine = std::env::var("ENGINE").map_or_else(|_| String::new(), |name| format!("engine = {name:?}"));
    let mut text = format!(
        r#"
data_dir = "data"
{engine}
{root}
[http]
listen = "127.0.0.1:0"
{public_url}
[admin]
listen = "127.0.0.1:0"
[log]
filter = "{filter}"
[limits]
{limits}
"#
    );
    for (n, sink) in setup.sinks.iter().enumerate() {
        write!(
            text,
            "[[destination]]\nid = \"d{n}\"\nurl = \"http://{sink}/cim\"\nbatch_max = {batch_max}\nconnections = 32\n"
        )?;
    }
    for (n, sms) in setup.sms.iter().enumerate() {
        let (did, Sms { smsc, sink, binds }) = (FIRST_DID + n as u64, sms);
        let port = smsc.port();
        write!(
            text,
            r#"
[[channel]]
id = "sms{n}"
provider = "smpp"
dids = [{{ number = "{did}", destination = "d{sink}" }}]
send_rate = 100000
[channel.account]
host = "127.0.0.1"
port = {port}
system_id = "bench"
password = "bench"
bind = "transceiver"
binds = {binds}
window = {window}
"#
        )?;
    }
    if let Some(sink) = setup.whatsapp {
        write!(
            text,
            r#"
[[channel]]
id = "wa"
provider = "whatsapp_cloud"
dids = [{{ number = "+15550100001", destination = "d{sink}" }}]
[channel.account]
access_token = "bench-token"
app_secret = "{APP_SECRET}"
verify_token = "bench-verify"
phone_number_id = "PN1"
business_account_id = "WABA1"
"#
        )?;
    }
    Ok(text)
}
