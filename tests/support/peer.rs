//! Providers for the stories: the simulated SMSC, and third parties: the npm library `smpp` as an
//! SMSC, and the PyPI library `smpplib` as an ESME; and a browser for the pages. Installs what they
//! need, once; if that is impossible, the story fails with the reason.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use http::Method;
use serde_json::{Value, json};
use simulators::smsc::{Mo, Smsc, SmscScript};
use tokio::{net::TcpListener, task::JoinSet};

use super::{Http, process::Process, until};

/// An SMSC: the simulated one or a third party's.
pub(crate) struct Peer {
    pub(crate) port: u16,
    kind: Kind,
}

enum Kind {
    Sim { smsc: Smsc, _server: JoinSet<()> },
    Npm { http: Http, control: String, _process: Process },
}

/// The SMSCs with which a story runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum With {
    /// The engine of `patchbay sim smsc`.
    Sim,
    /// The npm library `smpp`.
    Npm,
}

impl Peer {
    pub(crate) async fn start(with: With, script: Value) -> Self {
        match with {
            With::Sim => {
                let peer = Self::sim(SmscScript::default()).await;
                peer.set(script).await;
                peer
            }
            With::Npm => {
                let peer = Self::npm().await;
                peer.set(script).await;
                peer
            }
        }
    }

    pub(crate) async fn sim(script: SmscScript) -> Self {
        let tcp = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = tcp.local_addr().unwrap().port();
        let smsc = Smsc::new(script);
        let serving = smsc.clone();
        let mut server = JoinSet::new();
        server.spawn(async move { serving.run(tcp, std::future::pending()).await });
        Self { port, kind: Kind::Sim { smsc, _server: server } }
    }

    pub(crate) async fn npm() -> Self {
        let folder = npm_peers();
        let mut node = Command::new("node");
        node.arg(peers().join("smsc.js")).env("NODE_PATH", folder.join("node_modules")).stdin(Stdio::piped());
        let mut process = Process::start(node);
        let line = process.line().await.expect("the npm peer tells its ports; it needs Node.js 18 or later");
        let numbers: Vec<u16> = line.split(' ').filter_map(|word| word.parse().ok()).collect();
        let control = format!("http://127.0.0.1:{}", numbers[1]);
        Self { port: numbers[0], kind: Kind::Npm { http: Http::default(), control, _process: process } }
    }

    /// Returns the simulated SMSC, for questions that a third party cannot answer.
    pub(crate) fn smsc(&self) -> &Smsc {
        match &self.kind {
            Kind::Sim { smsc, .. } => smsc,
            Kind::Npm { .. } => panic!("this question is for the simulated SMSC"),
        }
    }

    async fn control(&self, method: Method, path: &str, body: Value) -> Value {
        let Kind::Npm { http, control, .. } = &self.kind else { unreachable!() };
        let text = if method == Method::GET { String::new() } else { body.to_string() };
        let answer = http.ask(method, &format!("{control}{path}"), "application/json", text).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()
    }

    /// Changes its script, by keys that both kinds know.
    pub(crate) async fn set(&self, changes: Value) {
        match &self.kind {
            Kind::Sim { smsc, .. } => {
                let mut script = serde_json::to_value(smsc.script()).unwrap();
                for (key, value) in changes.as_object().unwrap() {
                    script[key] = value.clone();
                }
                let script: SmscScript = serde_json::from_value(script).unwrap();
                smsc.change(|old| *old = script);
            }
            Kind::Npm { .. } => _ = self.control(Method::PATCH, "/script", changes).await,
        }
    }

    pub(crate) async fn counts(&self) -> Value {
        match &self.kind {
            Kind::Sim { smsc, .. } => serde_json::to_value(smsc.counts()).unwrap(),
            Kind::Npm { .. } => self.control(Method::GET, "/counts", Value::Null).await,
        }
    }

    pub(crate) async fn count(&self, name: &str) -> u64 {
        let counts = self.counts().await;
        counts[name].as_u64().unwrap_or_else(|| panic!("no count {name}: {counts}"))
    }

    /// Waits until a count reaches this value.
    #[track_caller]
    pub(crate) fn until_count<'a>(
        &'a self,
        name: &'a str,
        least: u64,
        within: Duration,
    ) -> impl Future<Output = u64> + 'a {
        until(name, within, move || async move {
            let count = self.count(name).await;
            if count >= least { Ok(count) } else { Err(format!("{count} of {least}")) }
        })
    }

    /// Returns the received messages, joined from their parts: recipient, text, number of parts.
    pub(crate) async fn messages(&self) -> Vec<(String, String, u64)> {
        match &self.kind {
            Kind::Sim { smsc, .. } => smsc
                .messages()
                .into_iter()
                .map(|m| (m.destination.into(), m.text.into(), u64::from(m.parts)))
                .collect(),
            Kind::Npm { .. } => {
                let all = self.control(Method::GET, "/messages", Value::Null).await;
                let of = |m: &Value| {
                    (
                        m["to"].as_str().unwrap().into(),
                        m["text"].as_str().unwrap().into(),
                        m["parts"].as_u64().unwrap(),
                    )
                };
                all.as_array().unwrap().iter().map(of).collect()
            }
        }
    }

    /// Returns how often each text arrived.
    pub(crate) async fn times(&self) -> BTreeMap<String, usize> {
        let mut times = BTreeMap::new();
        for (_, text, _) in self.messages().await {
            *times.entry(text).or_default() += 1;
        }
        times
    }

    /// Returns the maximum number of submits in any second.
    pub(crate) async fn most_in_second(&self) -> u64 {
        match &self.kind {
            Kind::Sim { smsc, .. } => smsc.most_in(1_000),
            Kind::Npm { .. } => self.count("most_in_second").await,
        }
    }

    /// Lets a customer write.
    pub(crate) async fn mo(&self, from: &str, to: &str, text: &str) {
        match &self.kind {
            Kind::Sim { smsc, .. } => {
                let mo = Mo { from: from.into(), to: to.into(), text: text.into(), ..Mo::default() };
                smsc.send_mo(&mo).unwrap();
            }
            Kind::Npm { .. } => {
                let mo = json!({ "from": from, "to": to, "text": text });
                self.control(Method::POST, "/mo", mo).await;
            }
        }
    }

    /// Lets a customer write in parts with this order (from 0); only the npm peer counts them by
    /// it.
    pub(crate) async fn mo_in_order(&self, from: &str, to: &str, text: &str, order: &[u8]) {
        let mo = json!({ "from": from, "to": to, "text": text, "order": order });
        self.control(Method::POST, "/mo", mo).await;
    }

    /// Cuts all connections.
    pub(crate) async fn drop_connections(&self) {
        match &self.kind {
            Kind::Sim { smsc, .. } => smsc.drop_connections(),
            Kind::Npm { .. } => _ = self.control(Method::POST, "/drop", json!({})).await,
        }
    }
}

fn peers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers")
}

/// Returns the folder with the npm packages.
fn npm_peers() -> PathBuf {
    installed("npm", &["package.json", "package-lock.json"], |folder| {
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund"]).current_dir(folder);
        npm
    })
}

/// Returns the folder with the Python packages.
pub(crate) fn python_peers() -> PathBuf {
    installed("python", &["requirements.txt"], |folder| {
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", "packages"]);
        pip.args(["-r", "requirements.txt"]).current_dir(folder);
        pip
    })
    .join("packages")
}

/// Returns promtool, which checks rules for Prometheus: the installed one, else that of Debian's
/// package.
pub(crate) fn promtool() -> PathBuf {
    let known = Command::new("promtool").arg("--version").output();
    if known.is_ok_and(|output| output.status.success()) {
        return "promtool".into();
    }
    let folder = installed("promtool", &[], |folder| {
        let mut shell = Command::new("sh");
        let get = "apt-get download prometheus";
        shell
            .arg("-c")
            .arg(format!("({get} || (apt-get update && {get})) && dpkg-deb -x prometheus_*.deb ."));
        shell.current_dir(folder);
        shell
    });
    folder.join("usr/bin/promtool")
}

/// Opens pages in a browser as `page.js` is told; returns its last line, which has the findings.
pub(crate) async fn browse(request: &Value) -> Value {
    let mut request = request.clone();
    request["chromium"] = chromium().into();
    let mut node = Command::new("node");
    node.arg(peers().join("page.js")).arg(request.to_string());
    node.env("NODE_PATH", npm_peers().join("node_modules"));
    let mut process = Process::start(node);
    let mut last = String::new();
    while let Some(line) = process.line().await {
        println!("{line}");
        last = line;
    }
    serde_json::from_str(&last).unwrap_or_else(|e| panic!("page.js ends with its findings: {e}: {last}"))
}

/// Returns the path of Chromium, of Debian's package where none is installed.
fn chromium() -> String {
    let path = || {
        let output = Command::new("sh").args(["-c", "command -v chromium"]).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    if path().is_empty() {
        installed("chromium", &[], |_| {
            let mut shell = Command::new("sh");
            let get = "apt-get install -y -qq --no-install-recommends chromium";
            shell.arg("-c").arg(format!("{get} || (apt-get update -qq && {get})"));
            shell
        });
    }
    let path = path();
    assert!(!path.is_empty(), "chromium is missing: apt-get install chromium");
    path
}

/// Starts a Python peer.
pub(crate) fn python_started(script: &str, arguments: &[&str]) -> Process {
    let mut python = Command::new("python3");
    python.arg(peers().join(script)).args(arguments).env("PYTHONPATH", python_peers());
    Process::start(python)
}

/// Runs a Python peer to its end; returns its output.
pub(crate) async fn python(script: &str, arguments: &[&str]) -> String {
    let mut process = python_started(script, arguments);
    let mut told = String::new();
    while let Some(line) = process.line().await {
        told.push_str(&line);
        told.push('\n');
    }
    let status = process.ended().await;
    assert!(status.success(), "{script}: {status}\n{told}");
    told
}

/// Installs the packages that a folder's files name, once for each content of these files.
pub(crate) fn installed(name: &str, files: &[&str], install: impl Fn(&Path) -> Command) -> PathBuf {
    let top = Path::new(env!("CARGO_TARGET_TMPDIR")).join("peers");
    fs::create_dir_all(&top).unwrap();
    // Tests run concurrently, in threads and processes: one of them installs.
    let lock = fs::File::create(top.join(format!("{name}.lock"))).unwrap();
    lock.lock().unwrap();
    let folder = top.join(name);
    let wanted: Vec<String> =
        files.iter().map(|file| fs::read_to_string(peers().join(file)).unwrap()).collect();
    let done = folder.join("installed");
    if fs::read_to_string(&done).ok() == Some(wanted.concat()) {
        return folder;
    }
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    for (file, text) in files.iter().zip(&wanted) {
        fs::write(folder.join(file), text).unwrap();
    }
    let mut command = install(&folder);
    let output = command.output().unwrap_or_else(|e| panic!("{command:?} cannot run: {e}"));
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed; the tests need it:\n{told}");
    fs::write(done, wanted.concat()).unwrap();
    folder
}
