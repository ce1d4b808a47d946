//! Kannel with the same work: bearerbox and smsbox with the file store, receipts in memory (its
//! fastest durable choice, although it never calls fsync), no limit on throughput. Debian: `apt-get
//! install kannel`.

use std::{
    fs,
    io::Write as _,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
    thread,
    time::Duration,
};

use crate::{
    Plan, Result,
    driver::{Requests, TEXT, customer},
    process::{Process, free_port, wait_for_port},
};

/// Logs errors only: by default Kannel writes its whole debug log to the terminal, which halves its
/// speed.
const STDERR_LEVEL: &str = "3";
/// How long smsbox may take to find bearerbox; it does not report that.
const SETTLE: Duration = Duration::from_secs(2);

pub struct Kannel {
    pub bearerbox: Process,
    pub smsbox: Process,
    pub address: SocketAddr,
    store: PathBuf,
}

impl Kannel {
    pub fn start(plan: &Plan, folder: &Path, smsc: SocketAddr, sink: SocketAddr) -> Result<Self> {
        let (admin, boxes, send) = (free_port()?, free_port()?, free_port()?);
        let (port, window, at) = (smsc.port(), plan.window, folder.display());
        let text = format!(
            r#"
group = core
admin-port = {admin}
admin-interface = 127.0.0.1
admin-password = bench
smsbox-port = {boxes}
box-allow-ip = 127.0.0.1
log-file = "{at}/bearerbox.log"
log-level = 3
store-type = file
store-location = "{at}/kannel.store"
dlr-storage = internal

group = smsc
smsc = smpp
smsc-id = sim
host = 127.0.0.1
port = {port}
transceiver-mode = true
smsc-username = bench
smsc-password = bench
system-type = bench
max-pending-submits = {window}

group = smsbox
bearerbox-host = 127.0.0.1
sendsms-port = {send}
sendsms-interface = 127.0.0.1
log-file = "{at}/smsbox.log"
log-level = 3

group = sendsms-user
username = bench
password = bench
max-messages = 10

group = sms-service
keyword = default
catch-all = true
max-messages = 0
get-url = "http://{sink}/mo?text=%a"
"#
        );
        let config = folder.join("kannel.conf");
        fs::write(&config, text)?;
        let start = |name: &'static str| {
            Process::start(
                name,
                Command::new(format!("/usr/sbin/{name}")).args(["-v", STDERR_LEVEL]).arg(&config),
                folder,
            )
        };
        let mut bearerbox = start("bearerbox")?;
        wait_for_port(([127, 0, 0, 1], boxes).into())?;
        let mut smsbox = start("smsbox")?;
        let address = ([127, 0, 0, 1], send).into();
        wait_for_port(address)?;
        thread::sleep(SETTLE);
        bearerbox.still_runs()?;
        smsbox.still_runs()?;
        Ok(Self { bearerbox, smsbox, address, store: folder.join("kannel.store") })
    }

    pub fn disk_bytes(&self) -> u64 {
        fs::metadata(&self.store).map_or(0, |facts| facts.len())
    }
}

/// Sends one `sendsms` per message, with a callback that carries its number.
pub fn sendsms(customers: u64, sink: SocketAddr) -> Requests {
    let text = channels::url::percent_encode(TEXT);
    let url = channels::url::percent_encode(&format!("http://{sink}/dlr?id=b-"));
    Arc::new(move |request, from, to| {
        for message in from..to {
            let customer = customer(message, customers);
            // Writing to a Vec cannot fail.
            let _ = write!(
                request,
                "GET /cgi-bin/sendsms?username=bench&password=bench&from=5155&to=%2B{customer}&text={text}&dlr-mask=3\
                 &dlr-url={url}{message}%26status%3D%25d HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
            );
        }
    })
}
