//! The history of a run, written down for `tests/history/check.py`, which decides by itself whether
//! the promises were kept.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::Command,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use serde_json::{Value, json};
use simulators::smsc::Smsc;
use tokio::time::Instant;

use super::sink::Sink;

/// The acts of the client and the customers, each with its start and end.
pub(crate) struct History {
    begun: Instant,
    /// Posts of the client, by message id.
    posts: Mutex<BTreeMap<String, Post>>,
    /// Customers' messages, by text.
    written: Mutex<BTreeMap<String, Written>>,
}

struct Post {
    from: String,
    to: String,
    on_doubt: &'static str,
    start: Duration,
    end: Option<Duration>,
}

struct Written {
    from: String,
    to: String,
    start: Duration,
    end: Option<Duration>,
}

impl Default for History {
    fn default() -> Self {
        Self { begun: Instant::now(), posts: Mutex::default(), written: Mutex::default() }
    }
}

impl History {
    fn posts(&self) -> MutexGuard<'_, BTreeMap<String, Post>> {
        self.posts.lock().unwrap()
    }

    fn written(&self) -> MutexGuard<'_, BTreeMap<String, Written>> {
        self.written.lock().unwrap()
    }

    /// A message is about to be posted.
    pub(crate) fn post(&self, id: &str, from: &str, to: &str, on_doubt: &'static str) {
        let (from, to, start) = (plain(from), plain(to), self.begun.elapsed());
        self.posts().insert(id.to_owned(), Post { from, to, on_doubt, start, end: None });
    }

    /// A message was accepted.
    pub(crate) fn accepted(&self, id: &str) {
        if let Some(post) = self.posts().get_mut(id) {
            post.end = Some(self.begun.elapsed());
        }
    }

    /// A customer is about to write.
    pub(crate) fn write(&self, text: &str, from: &str, to: &str) {
        let (from, to, start) = (plain(from), plain(to), self.begun.elapsed());
        self.written().insert(text.to_owned(), Written { from, to, start, end: None });
    }

    /// A customer's message is acknowledged, now or before.
    pub(crate) fn acknowledged(&self, text: &str) {
        if let Some(written) = self.written().get_mut(text) {
            written.end.get_or_insert(self.begun.elapsed());
        }
    }

    /// Completes the history by what SMSC, sink and router have seen, and checks it. `sent` is how
    /// often the SMSC delivered a customer's message. Returns the checker's last line.
    pub(crate) fn check(
        &self,
        smsc: &Smsc,
        sink: &Sink,
        router: Vec<Value>,
        sent: impl Fn(&str) -> u32,
    ) -> String {
        let mut lines = router;
        for (id, Post { from, to, on_doubt, start, end }) in &*self.posts() {
            let end = end.map(micros);
            lines.push(json!({ "who": "client", "what": "post", "id": id, "from": from, "to": to,
                "on_doubt": on_doubt, "start": micros(*start), "end": end }));
        }
        for (text, Written { from, to, start, end }) in &*self.written() {
            let end = end.map(micros);
            lines.push(json!({ "who": "smsc", "what": "mo", "text": text, "from": from, "to": to,
                "sent": sent(text), "start": micros(*start), "end": end }));
        }
        for submit in smsc.submits() {
            lines.push(json!({ "who": "smsc", "what": "submit", "id": submit.text,
                "from": plain(&submit.source), "to": plain(&submit.destination) }));
            // Every receipt of these runs says so, and a run ends when all are acknowledged.
            lines.push(json!({ "who": "smsc", "what": "receipt", "id": submit.text, "status": "DELIVERED" }));
        }
        for taken in sink.taken() {
            let (body, header, event) = (&taken.body["body"], &taken.body["header"], &taken.event_id);
            if body["type"] == "DELIVERYNOTIFICATION" {
                lines.push(json!({ "who": "sink", "what": "notification", "id": body["messageId"],
                    "status": body["status"], "event": event }));
            } else if body["type"] == "PLAIN" && header["intent"].is_null() {
                let from = header["channelData"]["channelCustomerIdentifier"].as_str().unwrap();
                lines.push(json!({ "who": "sink", "what": "message", "text": body["markdownText"],
                    "from": plain(from), "event": event }));
            }
        }
        checked(&lines)
    }
}

/// Runs one of the scripts in `tests/history`; panics with what it prints if it fails.
pub(crate) fn script(name: &str, argument: Option<&Path>) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/history").join(name);
    let output =
        Command::new("python3").arg("-B").arg(path).args(argument).output().expect("python3 is there");
    let printed = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {printed}\n{errors}");
    printed.lines().last().unwrap_or_default().to_owned()
}

fn checked(lines: &[Value]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("history");
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    fs::write(&path, text).unwrap();
    script("check.py", Some(&path))
}

fn plain(number: &str) -> String {
    number.trim_start_matches('+').to_owned()
}

fn micros(at: Duration) -> u64 {
    u64::try_from(at.as_micros()).unwrap()
}
