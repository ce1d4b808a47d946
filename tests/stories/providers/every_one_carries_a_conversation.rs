//! Each provider of the registry carries a conversation: texts, files and buttons in both
//! directions, receipts, and every fault. `PROVIDER=name` runs one alone.

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use channels::{Capabilities, PROVIDERS, Signature as Protection};
use futures_util::FutureExt as _;
use http::Method;
use message::BodyType;
use serde_json::{Value, json};
use simulators::{
    rest::{Counts, Inbound, Kind, Message, Script, Signature},
    smsc::Pattern,
};
use tokio::{sync::Semaphore, task::JoinSet, time::timeout};

use super::{Keys, NEVER, PUBLIC_URL, Simulated, no_receipts, out, setup, start, text};
use crate::support::{Patchbay, SOON, Sink, figure, until};

/// Number of concurrent stories.
const AT_ONCE: usize = 3;
/// Time limit of a call, and time for which a part then stays in doubt.
const KEYS: Keys = Keys {
    channel: "backoff = \"100ms\"\nbackoff_max = \"500ms\"\ndoubt_grace = \"4s\"",
    http: "timeout = \"1s\"",
};
/// Octets that are neither text in any encoding nor a known kind of file.
const OCTETS: &[u8] = b"\x89PNG\r\n\x1a\n\x00\xff\xfe\x80 from the customer \x00\x01";
/// A code with which a provider may report a failure.
const CODE: &str = "30005";

#[tokio::test(flavor = "multi_thread")]
async fn from_end_to_end() {
    let only = std::env::var("PROVIDER").ok();
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut stories = JoinSet::new();
    for provider in PROVIDERS.iter().filter(|provider| provider.name != "smpp") {
        if only.as_deref().is_some_and(|only| only != provider.name) {
            continue;
        }
        let room = room.clone();
        stories.spawn(async move {
            let _permit = room.acquire().await.unwrap();
            // A failed story must not hide the results of the others.
            let told = AssertUnwindSafe(play(provider.name)).catch_unwind().await;
            (provider.name, told.map_err(|panic| words_of(&*panic)))
        });
    }
    assert!(!stories.is_empty(), "no provider is called {only:?}");
    let mut failed = Vec::new();
    let mut done = Vec::new();
    while let Some(story) = stories.join_next().await {
        match story.unwrap() {
            (name, Ok(shown)) => done.push(format!("{name}: {shown}")),
            (name, Err(why)) => failed.push(format!("{name}: {why}")),
        }
    }
    done.sort();
    figure(&format!("providers that carried a conversation: {}\n{}", done.len(), done.join("\n")));
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n\n"));
}

fn words_of(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
}

struct Story {
    one: Simulated,
    can: Capabilities,
    sink: Sink,
    patchbay: Patchbay,
    /// The customer's first message, as delivered to the business.
    first: Value,
}

async fn play(name: &'static str) -> String {
    let one = Simulated::start(name, no_receipts()).await;
    let can = one.capabilities();
    let sink = Sink::start().await;
    let setup = one.channel(setup(&sink), KEYS).tables("[log]\nfilter = \"debug\"\n");
    let patchbay = start(setup, &[&one]).await;
    let mut story = Story { one, can, sink, patchbay, first: Value::Null };
    story.first = story.the_customer_writes().await;
    let mut shown = vec!["text"];
    shown.extend(story.a_text_goes_out().await);
    story.a_picture_goes_out().await;
    story.buttons_go_out_and_one_is_chosen().await;
    shown.extend(story.a_picture_comes_in().await);
    shown.extend(story.a_failure_is_reported().await);
    shown.extend(story.a_forged_webhook_changes_nothing().await);
    story.a_repeated_webhook_is_delivered_once().await;
    story.less_is_asked_for().await;
    story.it_is_down_for_a_while().await;
    story.a_call_hangs().await;
    story.no_secret_is_shown().await;
    shown.join(", ")
}

impl Story {
    fn name(&self) -> &'static str {
        self.one.name
    }

    /// Lets a customer write; returns the message that the business got.
    async fn says(&self, inbound: Inbound) -> Value {
        let words = inbound.text.clone();
        self.one.write(inbound).await;
        let what = format!("{} {words:?}", self.name());
        let of = |body: &Value| body["body"].to_string().contains(&*words);
        self.sink.wait_for(&what, SOON, of).await.body
    }

    async fn the_customer_writes(&self) -> Value {
        let body = self.says(Inbound { text: "Good morning".into(), ..Inbound::default() }).await;
        assert_eq!(body["body"]["type"], "PLAIN", "{}: {body}", self.name());
        body
    }

    async fn post(&self, message: Value) {
        self.patchbay.send(&message).await;
    }

    async fn sends(&self, id: &str, words: &str) {
        self.post(text(id, &self.first, words)).await;
    }

    /// Waits until a message has at least this status.
    async fn until_status(&self, id: &str, status: &str) -> Value {
        let what = format!("{}: {id} {status}", self.name());
        until(&what, SOON, || async {
            let view = self.patchbay.message(id).await;
            if view["status"] == status { Ok(view) } else { Err(view.to_string()) }
        })
        .await
    }

    /// Waits until the business has this notification.
    async fn until_told(&self, id: &str, status: &str) -> Value {
        let what = format!("{}: the notification that {id} is {status}", self.name());
        let of = |message: &Value| {
            let body = &message["body"];
            body["type"] == "DELIVERYNOTIFICATION" && body["messageId"] == id && body["status"] == status
        };
        self.sink.wait_for(&what, SOON, of).await.body
    }

    /// Waits until the provider has accepted a message that `which` selects.
    async fn until_taken(&self, what: &str, which: impl Fn(&Message) -> bool) -> Message {
        let what = format!("{}: {what}", self.name());
        until(&what, SOON, || {
            let messages = self.one.simulator.messages();
            let found = messages.iter().rev().find(|message| which(message)).cloned();
            async move { found.ok_or_else(|| format!("not among {messages:?}")) }
        })
        .await
    }

    /// Lets the provider report; returns whether it has such a report.
    async fn reports(&self, message: &Message, status: &str, code: Option<&str>) -> bool {
        let attempts = self.one.simulator.receipt(&message.id, status, code).await.unwrap();
        assert!(attempts.iter().all(|attempt| attempt.taken), "{}: {status}: {attempts:?}", self.name());
        !attempts.is_empty()
    }

    async fn a_text_goes_out(&self) -> Vec<&'static str> {
        self.sends("a-text", "Hello Ann").await;
        self.until_status("a-text", "SENT").await;
        let taken = self.until_taken("a text", |message| message.text.contains("Hello Ann")).await;
        self.reports(&taken, "sent", None).await;
        let mut shown = Vec::new();
        if self.reports(&taken, "delivered", None).await {
            assert!(self.can.receipts, "{} reports, and its description denies it", self.name());
            self.until_status("a-text", "DELIVERED").await;
            self.until_told("a-text", "DELIVERED").await;
            shown.push("delivered");
        } else {
            assert!(!self.can.receipts, "{} promises receipts and has none", self.name());
        }
        if self.can.read_receipts {
            assert!(self.reports(&taken, "read", None).await, "{} has no report of reading", self.name());
            self.until_status("a-text", "READ").await;
            self.until_told("a-text", "READ").await;
            shown.push("read");
        }
        shown
    }

    async fn a_picture_goes_out(&self) {
        let address = "https://files.example/cat.png";
        let attachment = json!({ "mediaUrl": address, "mimeType": "image/png", "mediaName": "cat.png" });
        let body = json!({ "type": "IMAGE", "caption": "A cat", "attachment": attachment });
        self.post(out("a-picture", &self.first, body)).await;
        let native = self.can.carries(BodyType::Image);
        let shows = |message: &Message| match native {
            true => message.media.iter().any(|media| media.contains(address)),
            false => message.text.contains(address),
        };
        self.until_taken("a picture", shows).await;
        let view = self.until_status("a-picture", "SENT").await;
        let adapted = view["adapted"].as_array().is_some_and(|notes| !notes.is_empty());
        assert!(native || adapted, "{}: a picture became words, and nobody says so: {view}", self.name());
    }

    async fn buttons_go_out_and_one_is_chosen(&self) {
        let titles = ["Yes", "No", "Later"];
        let buttons = titles.map(|title| {
            json!({ "type": "reply", "title": title, "payload": format!("pick-{}", title.to_lowercase()) })
        });
        let body = json!({ "type": "BUTTON", "markdownText": "Shall we?", "buttons": buttons });
        self.post(out("buttons", &self.first, body)).await;
        let taken = self.until_taken("buttons", |message| message.text.contains("Shall we?")).await;
        self.until_status("buttons", "SENT").await;
        let native = self.can.carries(BodyType::Button) && self.can.buttons.max >= titles.len();
        let answer = if native {
            assert_eq!(taken.buttons, titles, "{}: {taken:?}", self.name());
            let (text, payload) = ("No".into(), "pick-no".into());
            Inbound { kind: Kind::Button, text, payload, about: taken.id.clone(), ..Inbound::default() }
        } else {
            assert!(taken.buttons.is_empty(), "{}: {taken:?}", self.name());
            for (n, title) in titles.iter().enumerate() {
                let line = format!("{}. {title}", n + 1);
                assert!(taken.text.contains(&line), "{}: no {line:?} in {taken:?}", self.name());
            }
            Inbound { text: "2".into(), ..Inbound::default() }
        };
        self.one.write(answer).await;
        let what = format!("{}: the answer to the buttons", self.name());
        let payload_of = |message: &Value| message["body"]["additionalDetails"]["payload"] == "pick-no";
        // Some providers return only the payload, as if the customer had written it.
        let alone = |message: &Value| native && message["body"]["markdownText"] == "pick-no";
        let of = |message: &Value| payload_of(message) || alone(message);
        let got = self.sink.wait_for(&what, SOON, of).await.body;
        assert_eq!(got["body"]["type"], "PLAIN", "{}: {got}", self.name());
        let title = if alone(&got) { "pick-no" } else { "No" };
        assert_eq!(got["body"]["markdownText"], title, "{}: {got}", self.name());
    }

    async fn a_picture_comes_in(&self) -> Option<&'static str> {
        if !self.can.inbound_types.contains(&BodyType::Image) {
            return None;
        }
        let content = channels::toolkit::auth::base64(OCTETS);
        let before = self.sink.len();
        self.one.write(Inbound { kind: Kind::Image, content, ..Inbound::default() }).await;
        let what = format!("{}: a picture", self.name());
        let got = self.sink.wait_for(&what, SOON, |message| message["body"]["type"] == "IMAGE").await.body;
        let address = got["body"]["attachment"]["mediaUrl"].as_str().unwrap_or_default();
        let path =
            address.strip_prefix(PUBLIC_URL).unwrap_or_else(|| panic!("{}: not ours: {got}", self.name()));
        assert!(path.starts_with("/media/"), "{}: {got}", self.name());
        let url = format!("{}{path}", self.patchbay.public);
        let fetched = until("the file", SOON, || async {
            let (status, headers, octets) = self.patchbay.http.octets(Method::GET, &url, "", "").await?;
            if status == 200 { Ok((headers, octets)) } else { Err(format!("{url}: {status}")) }
        })
        .await;
        assert_eq!(fetched.1, OCTETS, "{}: another file", self.name());
        assert_eq!(self.sink.len(), before + 1, "{}: one picture, one message", self.name());
        Some("media in")
    }

    async fn a_failure_is_reported(&self) -> Option<&'static str> {
        self.sends("fails", "This one fails").await;
        let taken = self.until_taken("a text", |message| message.text.contains("This one fails")).await;
        self.until_status("fails", "SENT").await;
        if !self.reports(&taken, "failed", Some(CODE)).await {
            return None;
        }
        let view = self.until_status("fails", "FAILED").await;
        let told = self.until_told("fails", "FAILED").await;
        assert!(view["events"].to_string().contains(CODE), "{}: no code: {view}", self.name());
        assert!(told["body"].to_string().contains(CODE), "{}: no code: {told}", self.name());
        Some("failed")
    }

    async fn a_forged_webhook_changes_nothing(&self) -> Option<&'static str> {
        let is_signed = match self.one.provider().signature() {
            Protection::NoWebhooks | Protection::None => false,
            Protection::Optional(key) => self.one.account().contains_key(key),
            Protection::Required(_) => true,
        };
        if !is_signed {
            return None;
        }
        let before = self.patchbay.channel(self.name()).await["counts"].clone();
        for signature in [Signature::Wrong, Signature::None] {
            let inbound = Inbound { text: "Forged".into(), signature, ..Inbound::default() };
            for attempt in self.one.inbound(inbound).await {
                let refused = matches!(attempt.status, Some(401 | 403));
                assert!(refused, "{}: {signature:?} signature: {attempt:?}", self.name());
            }
        }
        let after = self.patchbay.channel(self.name()).await["counts"].clone();
        assert_eq!(before, after, "{}: a forged webhook counts", self.name());
        self.says(Inbound { text: "Not forged".into(), ..Inbound::default() }).await;
        let told = self.sink.taken().iter().any(|taken| taken.body.to_string().contains("Forged"));
        assert!(!told, "{}: a forged webhook reached the business", self.name());
        Some("signature")
    }

    async fn a_repeated_webhook_is_delivered_once(&self) {
        self.one.simulator.change(|script| script.webhook_duplicate = Pattern::Always);
        self.says(Inbound { text: "Once only".into(), ..Inbound::default() }).await;
        self.one.simulator.change(|script| script.webhook_duplicate = Pattern::Never);
        self.says(Inbound { text: "After that".into(), ..Inbound::default() }).await;
        let texts = self.sink.texts();
        let times = texts.iter().filter(|(_, text)| text == "Once only").count();
        assert_eq!(times, 1, "{}: a repeated webhook: {texts:?}", self.name());
    }

    /// Sends a text into a fault, and ends the fault once it occurred. Returns the message's id and
    /// text.
    async fn trouble(&self, set: fn(&mut Script, Pattern), met: fn(&Counts) -> u64) -> (String, String) {
        let counts = self.one.simulator.counts();
        let (id, words) = (format!("trouble-{}", counts.accepted), format!("Trouble {}", counts.accepted));
        let before = met(&counts);
        self.one.simulator.change(|script| set(script, Pattern::Always));
        self.sends(&id, &words).await;
        let seen = timeout(SOON, self.one.simulator.wait_for(|counts| met(counts) > before)).await;
        self.one.simulator.change(|script| set(script, Pattern::Never));
        assert!(
            seen.is_ok(),
            "{}: the fault was never met: {}",
            self.name(),
            self.patchbay.message(&id).await
        );
        (id, words)
    }

    async fn less_is_asked_for(&self) {
        let (id, words) =
            self.trouble(|script, when| script.throttle = when, |counts| counts.throttled).await;
        let asked = std::time::Instant::now();
        self.until_status(&id, "SENT").await;
        let waited = asked.elapsed();
        assert!(waited > Duration::from_millis(800), "{}: it came again after {waited:?}", self.name());
        self.came(&words, 1).await;
    }

    async fn it_is_down_for_a_while(&self) {
        let (id, words) =
            self.trouble(|script, when| script.unavailable = when, |counts| counts.unavailable).await;
        self.until_status(&id, "SENT").await;
        self.came(&words, 1).await;
    }

    async fn a_call_hangs(&self) {
        let (id, words) = self.trouble(|script, when| script.hang = when, |counts| counts.hung).await;
        let what = format!("{}: {id} in doubt", self.name());
        until(&what, SOON, || async {
            let doubts = self.patchbay.admin("/api/in-doubt").await;
            let found = doubts.as_array().unwrap().iter().any(|part| part["messageId"] == *id);
            if found { Ok(()) } else { Err(self.patchbay.message(&id).await.to_string()) }
        })
        .await;
        let taken = self.until_taken("what hung", |message| message.text.contains(&*words)).await;
        if self.reports(&taken, "delivered", None).await {
            let view = self.until_status(&id, "DELIVERED").await;
            assert_eq!(view["parts"][0]["resentInDoubt"], 0, "{}: {view}", self.name());
            // Waits longer than the pause before a resend.
            tokio::time::sleep(Duration::from_secs(4) + NEVER).await;
            self.came(&words, 1).await;
        } else {
            // Nothing can settle the doubt: the message is sent again, and flagged.
            self.came(&words, 2).await;
            let view = self.until_status(&id, "SENT").await;
            assert_eq!(view["parts"][0]["resentInDoubt"], 1, "{}: {view}", self.name());
        }
    }

    /// Waits until the provider has accepted this text this number of times.
    async fn came(&self, words: &str, times: usize) {
        let what = format!("{}: {words:?}", self.name());
        until(&what, SOON, || {
            let messages = self.one.simulator.messages();
            let found = messages.iter().filter(|message| message.text.contains(words)).count();
            async move { if found == times { Ok(()) } else { Err(format!("{found} of {times}")) } }
        })
        .await;
    }

    async fn no_secret_is_shown(&self) {
        let mut shown =
            vec![("its output".to_owned(), format!("{}{}", self.patchbay.told, self.patchbay.stderr()))];
        let name = self.name();
        let paths = [
            "/api/channels",
            "/api/destinations",
            "/api/sessions",
            "/api/messages/a-text",
            "/api/messages/a-picture",
            "/api/receipts/unmatched",
            "/api/in-doubt",
            "/api/dead-letters",
            "/api/log",
            "/metrics",
            "/readyz",
            "/",
        ];
        let own = [format!("/api/channels/{name}/exchanges?limit=1000"), "/messages/a-text".to_owned()];
        for path in paths.iter().map(|path| (*path).to_owned()).chain(own) {
            let answer = self.patchbay.http.get(&format!("{}{path}", self.patchbay.admin)).await.unwrap();
            shown.push((path, answer.text));
        }
        let exchanges = &shown.iter().find(|(path, _)| path.contains("exchanges")).unwrap().1;
        assert!(exchanges.contains("Hello Ann"), "{name}: nothing to look into: {exchanges}");
        let secrets = self.one.secrets();
        assert!(!secrets.is_empty(), "{name}: an account without any secret");
        for (place, text) in &shown {
            for secret in &secrets {
                if let Some(at) = text.find(secret.as_str()) {
                    let from = text.floor_char_boundary(at.saturating_sub(200));
                    panic!("{name}: a secret in {place}: ...{}", &text[from..at + secret.len()]);
                }
            }
        }
    }
}
