//! The real binary as a process on its own folder: started, queried over HTTP, killed, restarted.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::time::timeout;

use super::{Answer, Http, SOON, process::Process, sink::SECRET, until};

/// A configuration builder.
#[derive(Clone)]
pub(crate) struct Setup {
    top: String,
    http: String,
    tables: String,
    binary: PathBuf,
    data: Option<PathBuf>,
    /// The engine of the log; the product's default without one.
    engine: Option<String>,
    environment: Vec<(String, String)>,
    /// The limit on open files.
    descriptors: Option<usize>,
}

impl Setup {
    pub(crate) fn new() -> Self {
        Self {
            top: String::new(),
            http: String::new(),
            tables: String::new(),
            // `PATCHBAY_BINARY` names another build, such as a release.
            binary: std::env::var_os("PATCHBAY_BINARY")
                .map_or_else(|| env!("CARGO_BIN_EXE_patchbay").into(), PathBuf::from),
            data: None,
            engine: std::env::var("ENGINE").ok(),
            environment: Vec::new(),
            descriptors: None,
        }
    }

    /// Returns a configuration with a channel `sms` at 5155 to this port, and a destination
    /// `support`.
    pub(crate) fn simple(port: u16, destination: &str) -> Self {
        Self::new().destination("support", destination, "").channel("sms", super::cim::DID, port, "", "")
    }

    /// Adds keys above the first table.
    pub(crate) fn top(mut self, keys: &str) -> Self {
        self.top.push_str(keys);
        self.top.push('\n');
        self
    }

    /// Adds keys of `[http]`.
    pub(crate) fn http(mut self, keys: &str) -> Self {
        self.http.push_str(keys);
        self.http.push('\n');
        self
    }

    /// Adds tables.
    pub(crate) fn tables(mut self, tables: &str) -> Self {
        self.tables.push_str(tables);
        self.tables.push('\n');
        self
    }

    pub(crate) fn destination(self, id: &str, url: &str, keys: &str) -> Self {
        self.tables(&format!(
            "[[destination]]\nid = \"{id}\"\nurl = \"{url}\"\nsecret = \"{SECRET}\"\nbackoff = \"50ms\"\n\
             backoff_max = \"500ms\"\n{keys}"
        ))
    }

    pub(crate) fn channel(self, id: &str, did: &str, port: u16, keys: &str, account: &str) -> Self {
        self.channel_to("support", id, did, port, keys, account)
    }

    /// Adds a channel; `keys` and `account` replace its defaults.
    pub(crate) fn channel_to(
        self,
        to: &str,
        id: &str,
        did: &str,
        port: u16,
        keys: &str,
        account: &str,
    ) -> Self {
        let keys = over("send_rate = 100000\nbackoff = \"100ms\"", keys);
        let account = over("host = \"127.0.0.1\"\nsystem_id = \"patchbay\"\npassword = \"secret\"", account);
        self.tables(&format!(
            "[[channel]]\nid = \"{id}\"\nprovider = \"smpp\"\ndids = [{{ number = \"{did}\", destination = \"{to}\" }}]\n\
             {keys}\n[channel.account]\nport = {port}\n{account}"
        ))
    }

    /// The tables so far, for a file that gets them later.
    pub(crate) fn tables_text(&self) -> String {
        self.tables.clone()
    }

    pub(crate) fn binary(mut self, path: &Path) -> Self {
        self.binary = path.into();
        self
    }

    pub(crate) fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// Limits its open files.
    pub(crate) fn descriptors(mut self, limit: usize) -> Self {
        self.descriptors = Some(limit);
        self
    }

    /// Puts the log into another folder.
    pub(crate) fn data(mut self, folder: &Path) -> Self {
        self.data = Some(folder.into());
        self
    }

    /// The engine of the log: `sled` or `file`.
    pub(crate) fn engine(mut self, name: &str) -> Self {
        self.engine = Some(name.into());
        self
    }

    pub(crate) async fn start(self) -> Patchbay {
        self.start_in(Arc::new(tempfile::tempdir().unwrap())).await.unwrap_or_else(|told| panic!("{told}"))
    }

    /// Starts it on a folder; returns its output when it ended instead.
    pub(crate) async fn start_in(self, folder: Arc<TempDir>) -> Result<Patchbay, String> {
        let data = self.data.clone().unwrap_or_else(|| folder.path().join("data"));
        let log = if self.tables.contains("[log]") { "" } else { "[log]\nfilter = \"warn\"\n" };
        let engine = self.engine.iter().map(|name| format!("engine = {name:?}\n")).collect::<String>();
        let config = format!(
            "data_dir = {data:?}\n{engine}{}[http]\nlisten = \"127.0.0.1:0\"\n{}[admin]\nlisten = \"127.0.0.1:0\"\n{log}{}",
            // The reserve is meant for a production disk.
            over("disk_reserve = \"1MB\"", &self.top),
            self.http,
            self.tables
        );
        fs::write(folder.path().join("config.toml"), config).unwrap();
        let stderr =
            fs::OpenOptions::new().create(true).append(true).open(folder.path().join("stderr")).unwrap();
        let mut command = match self.descriptors {
            None => Command::new(&self.binary),
            Some(limit) => {
                let mut shell = Command::new("sh");
                shell.arg("-c").arg(format!("ulimit -n {limit} && exec \"$0\" \"$@\"")).arg(&self.binary);
                shell
            }
        };
        command
            .args(["run", "--config", "config.toml"])
            .current_dir(folder.path())
            .env_remove("PATCHBAY_LOG")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stderr(stderr);
        let mut process = Process::start(command);
        let (mut public, mut admin, mut told) = (None, None, String::new());
        while public.is_none() || admin.is_none() {
            let line = timeout(Duration::from_secs(60), process.line()).await;
            let Some(line) = line.expect("it starts, or says why not") else {
                process.ended().await;
                let stderr = fs::read_to_string(folder.path().join("stderr")).unwrap();
                return Err(format!("it ended at its start:\n{told}{stderr}"));
            };
            let url = |name: &str| {
                let rest = line.trim().strip_prefix(name)?;
                Some(rest.split_whitespace().next()?.to_owned())
            };
            public = public.or_else(|| url("send API"));
            admin = admin.or_else(|| url("admin page"));
            told.push_str(&line);
            told.push('\n');
        }
        let messages = public.unwrap();
        let patchbay = Patchbay {
            process,
            told,
            http: Http::default(),
            public: messages.trim_end_matches("/v1/messages").to_owned(),
            admin: admin.unwrap().trim_end_matches('/').to_owned(),
            messages,
            folder,
            setup: self,
        };
        until("readiness", SOON, || async {
            let answer = patchbay.http.get(&format!("{}/readyz", patchbay.admin)).await?;
            // On a full disk it runs and accepts nothing.
            let full = answer.text.contains("free some space");
            if answer.status == 200 || full { Ok(()) } else { Err(answer.text) }
        })
        .await;
        Ok(patchbay)
    }
}

/// Returns the given lines, and the defaults of missing keys.
fn over(defaults: &str, named: &str) -> String {
    let key = |line: &str| line.split('=').next().unwrap_or_default().trim().to_owned();
    let keys: Vec<_> = named.lines().map(key).collect();
    let mut all: Vec<&str> = defaults.lines().filter(|line| !keys.contains(&key(line))).collect();
    all.extend(named.lines());
    let mut text = all.join("\n");
    text.push('\n');
    text
}

/// A running Patchbay; killed when dropped, and prints its log when its test fails.
pub(crate) struct Patchbay {
    process: Process,
    /// Its output before it was ready.
    pub(crate) told: String,
    pub(crate) http: Http,
    /// The public address, without a trailing slash.
    pub(crate) public: String,
    /// The address to which messages are posted.
    pub(crate) messages: String,
    /// The admin address, without a trailing slash.
    pub(crate) admin: String,
    pub(crate) folder: Arc<TempDir>,
    setup: Setup,
}

impl Patchbay {
    /// Kills it with SIGKILL, and waits until it is gone. Returns the means to restart it.
    pub(crate) async fn kill(mut self) -> (Setup, Arc<TempDir>) {
        self.process.kill();
        (self.setup.clone(), self.folder.clone())
    }

    /// Starts it again on its folder after a SIGKILL.
    pub(crate) async fn kill_and_restart(self) -> Self {
        let (setup, folder) = self.kill().await;
        setup.start_in(folder).await.unwrap_or_else(|told| panic!("after kill -9: {told}"))
    }

    /// Terminates it as a service manager does.
    pub(crate) async fn terminate(mut self) -> (ExitStatus, Setup, Arc<TempDir>) {
        self.process.terminate();
        let status = self.process.ended().await;
        (status, self.setup.clone(), self.folder.clone())
    }

    /// Tells it to read its configuration again.
    pub(crate) fn hang_up(&self) {
        self.process.hang_up();
    }

    /// Waits until it ends on its own.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        self.process.ended().await
    }

    /// Terminates and restarts it.
    pub(crate) async fn restart(self) -> Self {
        let (status, setup, folder) = self.terminate().await;
        assert!(status.success(), "SIGTERM: {status}");
        setup.start_in(folder).await.unwrap_or_else(|told| panic!("after SIGTERM: {told}"))
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.setup.data.clone().unwrap_or_else(|| self.folder.path().join("data"))
    }

    /// Returns the most memory that it ever had, in bytes.
    pub(crate) fn memory_peak(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(self.folder.path().join("stderr")).unwrap_or_default()
    }

    /// Posts a message, which must be accepted.
    pub(crate) async fn send(&self, message: &Value) -> Value {
        let answer = self.post(message.to_string()).await;
        assert_eq!(answer.status, 202, "{}", answer.text);
        answer.json()
    }

    /// Posts arrays of messages, which must all be accepted.
    pub(crate) async fn send_all(&self, messages: &[Value]) {
        for several in messages.chunks(500) {
            let answer = self.post(Value::from(several.to_vec()).to_string()).await;
            assert_eq!(answer.status, 202, "{}", answer.text);
            for result in answer.json().as_array().unwrap() {
                assert_eq!(result["status"], "ACCEPTED", "{result}");
            }
        }
    }

    pub(crate) async fn post(&self, body: impl Into<hyper::body::Bytes>) -> Answer {
        self.http.post(&self.messages, body).await.unwrap()
    }

    /// Sends a `GET` to the public address.
    pub(crate) async fn public(&self, path: &str) -> Answer {
        self.http.get(&format!("{}{path}", self.public)).await.unwrap()
    }

    /// Sends a `GET` to the admin address; returns the JSON.
    pub(crate) async fn admin(&self, path: &str) -> Value {
        let answer = self.http.get(&format!("{}{path}", self.admin)).await.unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.text);
        answer.json()
    }

    pub(crate) async fn message(&self, id: &str) -> Value {
        let answer = self.public(&format!("/v1/messages/{id}")).await;
        assert_eq!(answer.status, 200, "{id}: {}", answer.text);
        answer.json()
    }

    /// Waits until a message has this status.
    #[track_caller]
    pub(crate) fn until_status<'a>(
        &'a self,
        id: &'a str,
        status: &'a str,
    ) -> impl Future<Output = Value> + 'a {
        until("a message's status", SOON, move || async move {
            let answer = self.public(&format!("/v1/messages/{id}")).await;
            match answer.json() {
                message if message["status"] == status => Ok(message),
                other => Err(format!("{id} should be {status}: {other}")),
            }
        })
    }

    /// Waits until a channel has this status.
    #[track_caller]
    pub(crate) fn until_channel<'a>(
        &'a self,
        id: &'a str,
        status: &'a str,
    ) -> impl Future<Output = Value> + 'a {
        until("a channel's status", SOON, move || async move {
            let channel = self.channel(id).await;
            if channel["status"] == status { Ok(channel) } else { Err(channel.to_string()) }
        })
    }

    pub(crate) async fn channel(&self, id: &str) -> Value {
        let all = self.admin("/api/channels").await;
        let found = all.as_array().unwrap().iter().find(|channel| channel["id"] == id);
        found.unwrap_or_else(|| panic!("no channel {id}: {all}")).clone()
    }
}

impl Drop for Patchbay {
    fn drop(&mut self) {
        let stderr = self.stderr();
        let lines: Vec<&str> = stderr.lines().collect();
        if std::thread::panicking() {
            println!(
                "--- what Patchbay told, the last lines\n{}",
                lines[lines.len().saturating_sub(40)..].join("\n")
            );
        } else if let Some(line) = lines.iter().find(|line| line.contains("panicked at")) {
            panic!("the process panicked: {line}");
        }
    }
}
