//! Patchbay as it is run: the release binary with a configuration of its own, in a new folder, on free ports.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    Plan, Result,
    process::{Process, disk_bytes},
};

pub struct Patchbay {
    pub process: Process,
    pub address: SocketAddr,
    data: PathBuf,
}

impl Patchbay {
    /// `batch_max`: deliveries in one POST. `BENCH_PATCHBAY` names another binary, to compare with.
    pub fn start(
        plan: &Plan,
        folder: &Path,
        smsc: SocketAddr,
        sink: SocketAddr,
        batch_max: u64,
    ) -> Result<Self> {
        let Plan { window, binds, limits, root, .. } = plan;
        let port = smsc.port();
        let text = format!(
            r#"
data_dir = "data"
{root}
[http]
listen = "127.0.0.1:0"
[admin]
listen = "127.0.0.1:0"
[log]
filter = "warn"
[limits]
{limits}
[[destination]]
id = "sink"
url = "http://{sink}/cim"
batch_max = {batch_max}
connections = 32
[[channel]]
id = "sms"
provider = "smpp"
dids = [{{ number = "5155", destination = "sink" }}]
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
        );
        let config = folder.join("config.toml");
        fs::write(&config, text)?;
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
