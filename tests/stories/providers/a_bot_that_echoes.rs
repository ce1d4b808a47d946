//! A bot that answers each message with the same words, at providers that post copies of what the
//! business wrote: it never hears itself, and the number of messages is that of the customer's.

use simulators::rest::{Inbound, Kind, Script};

use super::{Keys, NEVER, Simulated, setup, start, text};
use crate::support::Sink;

#[tokio::test(flavor = "multi_thread")]
async fn everything_hears_customers_only() {
    for provider in ["whatsapp_cloud", "facebook", "instagram"] {
        let script = Script { echo_ms: 20, receipt_read_ms: 60, ..Script::default() };
        let one = Simulated::start(provider, script).await;
        let sink = Sink::start().await;
        let patchbay = start(one.channel(setup(&sink), Keys { channel: "", http: "" }), &[&one]).await;
        let says = |words: &str| Inbound { text: words.into(), ..Inbound::default() };
        one.write(Inbound { id: "first".into(), ..says("one") }).await;
        one.write(Inbound { kind: Kind::Edit, about: "first".into(), ..says("two") }).await;
        one.write(Inbound { kind: Kind::Reaction, about: "first".into(), ..says("❤") }).await;
        let mut answered = 0;
        // Several rounds of the bot: each would hear the copies of the round before.
        for _ in 0..5 {
            tokio::time::sleep(NEVER).await;
            let heard: Vec<_> =
                sink.taken().into_iter().filter(|t| t.body["body"]["type"] == "PLAIN").collect();
            for taken in heard.iter().skip(answered) {
                let words = taken.body["body"]["markdownText"].as_str().unwrap_or_default();
                patchbay.send(&text(&format!("bot-{answered}"), &taken.body, words)).await;
                answered += 1;
            }
        }
        assert_eq!(answered, 3, "{provider}: {:?}", sink.texts());
        assert_eq!(one.simulator.messages().len(), 3, "{provider}");
        let hooks = one.simulator.webhooks();
        let copies: usize = hooks.iter().filter(|hook| hook.about == "receipt").map(|hook| hook.events).sum();
        assert!(copies >= 6, "{provider}: reads and copies were posted: {copies}");
    }
}
