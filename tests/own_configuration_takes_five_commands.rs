//! A newcomer's own configuration, with what the simulators print: two providers and a business in
//! five commands and at most 20 lines of TOML. The fixed ports of the README are free ones here.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends on the first surprise"
)]

#[path = "support/command_line.rs"]
mod command_line;

use std::{
    fs,
    io::{BufRead, BufReader},
    net::TcpListener,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use command_line::check;

/// The longest time for something to happen, on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// A running command, and the lines that it prints; killed when dropped.
struct Running {
    child: Child,
    lines: Receiver<String>,
    told: Vec<String>,
}

impl Running {
    fn start(folder: &std::path::Path, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_patchbay"))
            .current_dir(folder)
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, lines) = channel();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let errors = tell.clone();
        thread::spawn(move || {
            BufReader::new(stdout).lines().map_while(Result::ok).try_for_each(|line| tell.send(line))
        });
        thread::spawn(move || {
            BufReader::new(stderr).lines().map_while(Result::ok).try_for_each(|line| errors.send(line))
        });
        Self { child, lines, told: Vec::new() }
    }

    /// Reads its output up to a line with this piece, and returns that line.
    #[track_caller]
    fn until(&mut self, piece: &str) -> String {
        loop {
            let Ok(line) = self.lines.recv_timeout(SOON) else {
                panic!("it does not tell {piece:?}: {:#?}", self.told)
            };
            self.told.push(line.clone());
            if line.contains(piece) {
                return line;
            }
        }
    }

    /// Returns the printed part of a configuration: from `[[` to the next empty line.
    #[track_caller]
    fn configuration(&mut self, first: &str) -> String {
        let mut text = format!("{}\n", self.until(first));
        while let Ok(line) = self.lines.recv_timeout(Duration::from_millis(500)) {
            if line.is_empty() {
                break;
            }
            text.push_str(&format!("{line}\n"));
        }
        text
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn two_providers_and_a_business_talk_with_what_the_simulators_print() {
    let folder = tempfile::tempdir().unwrap();
    let (public, admin) = (free_address(), free_address());
    let url = format!("http://{public}");
    // 1 to 3: the business and the providers, each in its terminal.
    let mut business = Running::start(
        folder.path(),
        &["sim", "business", "--echo", "--url", &url, "--listen", "127.0.0.1:0"],
    );
    let mut smsc =
        Running::start(folder.path(), &["sim", "smsc", "--listen", "127.0.0.1:0", "--control-port", "0"]);
    let mut telegram = Running::start(folder.path(), &["sim", "telegram", "--listen", "127.0.0.1:0"]);
    let control = smsc.until("curl").split_whitespace().last().unwrap().to_owned();
    let mut text = business.configuration("[[destination]]");
    text.push_str(&smsc.configuration("[[channel]]"));
    let needs = telegram.until("public_url");
    assert!(needs.contains("[http] public_url = \"http://127.0.0.1:8080\""), "{needs}");
    text.push_str(&telegram.configuration("[[channel]]"));
    text.push_str(&format!("[http]\npublic_url = \"{url}\"\n"));
    let own = text.lines().filter(|line| !line.trim().is_empty()).count();
    assert!(own <= 20, "{own} lines:\n{text}");
    println!("{own} lines of TOML, 5 commands");
    let ports =
        text.replace("[http]\n", &format!("[admin]\nlisten = \"{admin}\"\n[http]\nlisten = \"{public}\"\n"));
    fs::write(folder.path().join("config.toml"), ports).unwrap();
    // 4: the router.
    let mut router = Running::start(folder.path(), &["run"]);
    router.until("ready in");
    // 5: a message, whose notification reaches the business.
    let send =
        ["send", "--from", "5155", "--to", "+4917600000001", "--text", "Hello", "--wait", "--url", &url];
    check(folder.path(), &send, 0, "ACCEPTED over sms");
    business.until(" DELIVERED");
    // A customer writes, and is answered.
    let write = |url: &str| {
        let output = Command::new("curl").args(["-sf", "-d", "{\"text\": \"Hi\"}", url]).output().unwrap();
        assert!(output.status.success(), "{url}: {output:?}");
    };
    write(&control);
    business.until("customer  +4917600000001 -> 5155: Hi");
    business.until("receipt   echo-");
    // The operator's commands find it there.
    let lists = ["in-doubt", "--url", &format!("http://{admin}")];
    check(folder.path(), &lists, 0, "no part is in doubt");
    check(folder.path(), &["dead-letters", "--url", &format!("http://{admin}")], 0, "no dead letters");
    check(
        folder.path(),
        &["channel", "restart", "sms", "--url", &format!("http://{admin}")],
        0,
        "sms: restart done",
    );
    let unknown = ["channel", "restart", "fax", "--url", &format!("http://{admin}")];
    check(folder.path(), &unknown, 2, "HTTP 404");
    // Each port knows when it is asked for the other one.
    let admin = format!("http://{admin}");
    let swapped = [&send[..8], &["--url", &admin]].concat();
    check(folder.path(), &swapped, 2, "this is the admin port ([admin] listen)");
    check(folder.path(), &["tail", "--url", &url], 2, "this is the send API ([http] listen)");
}

#[test]
fn simulators_side_by_side_take_other_ports_and_tell_which_address_fails() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = free_address();
    let webhook = format!("http://{nobody}/webhooks/telnyx");
    let mut first = Running::start(folder.path(), &["sim", "telnyx", "--webhook", &webhook]);
    let mut second = Running::start(folder.path(), &["sim", "twilio", "--webhook", "none"]);
    let place = |line: String| line.rsplit(' ').next().unwrap().to_owned();
    let (one, two) = (place(first.until("control API")), place(second.until("control API")));
    assert_ne!(one, two);
    let number = |text: String| text.split('"').nth(1).unwrap_or_default().to_owned();
    assert_ne!(number(first.until("number = ")), number(second.until("number = ")));
    let inbound = one.replace("/_sim/messages", "/_sim/inbound");
    let output = Command::new("curl").args(["-s", "-d", "{\"text\": \"Hi\"}", &inbound]).output().unwrap();
    let answer = String::from_utf8_lossy(&output.stdout);
    assert!(answer.contains(&webhook) && answer.contains("onnection refused"), "{answer}");
    let told = first.until("webhooks fail");
    assert!(told.contains(&webhook) && told.contains("--webhook names another address"), "{told}");
}
