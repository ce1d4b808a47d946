//! A customer whose messages carry no name is looked up after the first message, and named from the
//! next one on.

use serde_json::Value;
use simulators::rest::Inbound;

use super::{Keys, Simulated, no_receipts, setup, start};
use crate::support::{SOON, Sink, until};

fn name(message: &Value) -> Option<String> {
    let attributes = message["header"]["channelData"]["additionalAttributes"].as_array()?;
    let named = attributes.iter().find(|attribute| attribute["key"] == "customerName")?;
    Some(named["value"].as_str()?.to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn and_the_business_is_told() {
    for (provider, expected) in [("facebook", "Ann B"), ("instagram", "Ann B")] {
        let one = Simulated::start(provider, no_receipts()).await;
        let sink = Sink::start().await;
        let patchbay = start(one.channel(setup(&sink), Keys { channel: "", http: "" }), &[&one]).await;
        one.write(Inbound { text: "first".into(), ..Inbound::default() }).await;
        until("the look-up", SOON, || async {
            let said = patchbay.admin(&format!("/api/channels/{provider}/exchanges")).await.to_string();
            if said.contains("profile_pic") { Ok(()) } else { Err(said) }
        })
        .await;
        one.write(Inbound { text: "second".into(), ..Inbound::default() }).await;
        let second =
            sink.wait_for("second", SOON, |taken| taken["body"]["markdownText"] == "second").await.body;
        assert_eq!(name(&second).as_deref(), Some(expected), "{second}");
    }
}
