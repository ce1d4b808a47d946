//! A bot that answers everything with the same words, at a provider that repeats everything that
//! the business sends. No answer is to be answered: the number of messages is bounded by the number
//! of those that customers wrote.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::{Value, json};
use simulators::rest::{Inbound, Kind, Message, Script};
use tokio::time::{Instant, sleep};

use super::{Keys, Simulated, no_receipts, out, setup, start};
use crate::support::{Patchbay, SOON, Sink, figure, until};

const KEYS: Keys = Keys { channel: "", http: "" };
/// Time without a message after which the conversation is over.
const QUIET: Duration = Duration::from_secs(3);

/// The business's side: answers whatever is delivered.
struct Bot<'a> {
    patchbay: &'a Patchbay,
    sink: &'a Sink,
    answered: BTreeSet<String>,
}

impl Bot<'_> {
    /// Answers all that is delivered until nothing has been for a while, or the answers are more
    /// than `most`.
    async fn until_quiet(&mut self, most: usize) {
        let mut last = Instant::now();
        while last.elapsed() < QUIET && self.answered.len() <= most {
            for taken in self.sink.taken() {
                if self.answered.insert(taken.event_id.clone()) {
                    last = Instant::now();
                    self.answer(&taken.body).await;
                }
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Receipts are answered by nobody: they tell of our own messages.
    async fn answer(&self, said: &Value) {
        if said["body"]["type"] == "DELIVERYNOTIFICATION" {
            return;
        }
        let words = said["body"]["markdownText"].as_str().or_else(|| said["body"]["caption"].as_str());
        let words = words.filter(|words| !words.is_empty()).unwrap_or("I see");
        let id = format!("echo-{}", self.answered.len());
        let body = json!({ "type": "PLAIN", "markdownText": words });
        self.patchbay.send(&out(&id, said, body)).await;
    }
}

fn text(words: &str) -> Inbound {
    Inbound { text: words.into(), ..Inbound::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn telegram_is_no_hall_of_mirrors() {
    let one = Simulated::start("telegram", Script { echo_ms: 20, ..no_receipts() }).await;
    let sink = Sink::start().await;
    let patchbay = start(one.channel(setup(&sink), KEYS), &[&one]).await;
    let business = "business=bc-1_Z";
    let group = "-100123";
    let acts = [
        // The same numbers in the bot's own chat and in the owner's.
        Inbound { id: "55".into(), ..text("to the bot") },
        Inbound { id: "55".into(), within: business.into(), ..text("to the owner") },
        Inbound {
            id: "56".into(),
            within: business.into(),
            kind: Kind::Start,
            payload: "promo7".into(),
            ..text("")
        },
        Inbound { about: "55".into(), kind: Kind::Edit, ..text("to the bot, edited") },
        Inbound {
            about: "55".into(),
            within: business.into(),
            kind: Kind::Edit,
            ..text("to the owner, edited")
        },
        Inbound { about: "55".into(), within: business.into(), kind: Kind::Delete, ..text("") },
        Inbound { id: "61".into(), to: group.into(), ..text("in General") },
        Inbound { id: "62".into(), to: group.into(), within: "topic=7".into(), ..text("in topic 7") },
        Inbound { id: "63".into(), to: group.into(), within: "topic=9".into(), ..text("in topic 9") },
        Inbound {
            id: "64".into(),
            to: "-100555".into(),
            within: "direct=77".into(),
            ..text("to the channel")
        },
    ];
    let written = acts.len();
    for act in acts {
        one.write(act).await;
    }
    let mut bot = Bot { patchbay: &patchbay, sink: &sink, answered: BTreeSet::new() };
    bot.until_quiet(10 * written).await;
    assert_eq!(bot.answered.len(), written, "everything is delivered once, and no answer of ours is");
    let told = answers(&one, written).await;
    // Each answer went where the words came from.
    for (words, field, value) in [
        ("to the bot", "chat_id", json!(5_550_001)),
        ("to the owner", "business_connection_id", json!("bc-1_Z")),
        ("to the owner, edited", "business_connection_id", json!("bc-1_Z")),
        ("in topic 7", "message_thread_id", json!(7)),
        ("in topic 9", "message_thread_id", json!(9)),
        ("to the channel", "direct_messages_topic_id", json!(77)),
    ] {
        let message = &told[words];
        let found = &message.request[field];
        assert!(
            *found == value || found.as_str() == Some(&value.to_string()),
            "{words}: {}",
            message.request
        );
    }
    for words in ["to the bot", "in General"] {
        let request = &told[words].request;
        assert!(
            request["business_connection_id"].is_null() && request["message_thread_id"].is_null(),
            "{request}"
        );
    }
    let customers: BTreeSet<String> = sink
        .taken()
        .iter()
        .map(|taken| taken.body["header"]["channelData"]["channelCustomerIdentifier"].to_string())
        .collect();
    assert_eq!(
        customers.len(),
        6,
        "a chat, a business connection, General, two topics, a channel: {customers:?}"
    );
    figure(&format!("a bot that echoes everything at Telegram: {written} in, {} out", told.len()));
}

#[tokio::test(flavor = "multi_thread")]
async fn viber_is_no_hall_of_mirrors() {
    let one = Simulated::start("viber", Script { echo_ms: 20, ..no_receipts() }).await;
    let sink = Sink::start().await;
    let patchbay = start(one.channel(setup(&sink), KEYS), &[&one]).await;
    let acts = [
        Inbound { kind: Kind::Start, payload: "promo1".into(), ..text("") },
        Inbound { kind: Kind::OptIn, ..text("") },
        text("hello"),
        Inbound { about: "order-7".into(), ..text("an answer with tracking data") },
        Inbound { kind: Kind::Button, payload: "go-yes".into(), ..text("Yes") },
    ];
    let written = acts.len();
    for act in acts {
        one.write(act).await;
    }
    let mut bot = Bot { patchbay: &patchbay, sink: &sink, answered: BTreeSet::new() };
    bot.until_quiet(10 * written).await;
    let told = answers(&one, written).await;
    let delivered = sink.taken();
    let own = delivered.iter().filter(|taken| taken.body["body"]["type"] != "DELIVERYNOTIFICATION").count();
    assert_eq!(own, written, "no report became a customer's words");
    let all = delivered.iter().map(|taken| taken.body.to_string()).collect::<String>();
    for wanted in ["promo1", "order-7"] {
        assert!(all.contains(wanted), "{wanted} is not told: {all}");
    }
    figure(&format!("a bot that echoes everything at Viber: {written} in, {} out", told.len()));
}

/// Meta posts copies of what the business wrote, and reads.
#[tokio::test(flavor = "multi_thread")]
async fn metas_channels_are_no_halls_of_mirrors() {
    tokio::join!(meta("whatsapp_cloud"), meta("facebook"), meta("instagram"));
}

async fn meta(provider: &str) {
    let script = Script { echo_ms: 20, receipt_read_ms: 60, ..Script::default() };
    let one = Simulated::start(provider, script).await;
    let sink = Sink::start().await;
    let patchbay = start(one.channel(setup(&sink), KEYS), &[&one]).await;
    let acts = [
        Inbound { id: "first".into(), ..text("one") },
        Inbound { kind: Kind::Edit, about: "first".into(), ..text("two") },
        Inbound { kind: Kind::Reaction, about: "first".into(), ..text("❤") },
    ];
    let written = acts.len();
    for act in acts {
        one.write(act).await;
    }
    let mut bot = Bot { patchbay: &patchbay, sink: &sink, answered: BTreeSet::new() };
    bot.until_quiet(10 * written).await;
    answers(&one, written).await;
    let hooks = one.simulator.webhooks();
    let copies: usize = hooks.iter().filter(|hook| hook.about == "receipt").map(|hook| hook.events).sum();
    assert!(copies >= 2 * written, "{provider}: reads and copies were posted: {copies}");
    figure(&format!("a bot that echoes everything at {provider}: {written} in, {written} out"));
}

/// Waits until the provider has `count` messages, and returns them by their words.
async fn answers(one: &Simulated, count: usize) -> BTreeMap<String, Message> {
    let messages = until("the answers", SOON, || async {
        let messages = one.simulator.messages();
        if messages.len() == count { Ok(messages) } else { Err(format!("{} of {count}", messages.len())) }
    })
    .await;
    sleep(QUIET).await;
    assert_eq!(one.simulator.messages().len(), count, "messages beget messages");
    messages.into_iter().map(|message| (message.text.clone(), message)).collect()
}
