//! Patchbay registers its webhook with the provider by the provider's own API. It queries the
//! registration first and changes it only if it differs; a failure is shown, retried, and stops
//! nothing.

use serde_json::Value;
use simulators::rest::Inbound;

use super::{Keys, PUBLIC_URL, Simulated, follow, no_receipts, setup, start, text};
use crate::support::{Patchbay, SOON, Sink, until};

const PLAIN: Keys = Keys { channel: "", http: "" };

async fn until_set_up(patchbay: &Patchbay, one: &Simulated, status: &str) -> Value {
    until("its set-up", SOON, || async {
        let channel = patchbay.channel(one.name).await;
        if channel["setUp"]["status"] == status { Ok(channel) } else { Err(channel.to_string()) }
    })
    .await
}

/// Returns the address to which a simulated provider posts webhooks.
fn hook(one: &Simulated) -> String {
    one.simulator.webhook_url().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn and_what_customers_write_comes_in() {
    for name in ["telegram", "viber", "whatsapp_cloud", "whatsapp_360dialog"] {
        let one = Simulated::start_without_webhook(name, no_receipts()).await;
        let sink = Sink::start().await;
        let patchbay = start(one.channel(setup(&sink), PLAIN), &[&one]).await;
        let channel = until_set_up(&patchbay, &one, "changed").await;
        assert_eq!(channel["status"], "connected", "{channel}");
        assert!(hook(&one).starts_with(PUBLIC_URL), "{name}: {}", hook(&one));
        one.write(Inbound { text: "Hi".into(), ..Inbound::default() }).await;
        let hi = sink.wait_for("Hi", SOON, |taken| taken["body"]["markdownText"] == "Hi").await.body;
        patchbay.send(&text("m-1", &hi, "Hello")).await;
        one.simulator.wait_for(|counts| counts.accepted > 0).await;
        let page = patchbay.http.get(&format!("{}/", patchbay.admin)).await.unwrap().text;
        assert!(page.contains("Provider set-up"), "{page}");
        let said = patchbay.admin(&format!("/api/channels/{name}/exchanges")).await.to_string();
        for secret in one.secrets() {
            assert!(!said.contains(&secret), "{name} shows a secret: {said}");
        }

        // After a restart the registration is found unchanged.
        let patchbay = patchbay.restart().await;
        follow(&patchbay, &[&one]);
        until_set_up(&patchbay, &one, "unchanged").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unless_it_is_switched_off() {
    let one = Simulated::start_without_webhook("viber", no_receipts()).await;
    let sink = Sink::start().await;
    let keys = Keys { channel: "", http: "set_up = false" };
    let patchbay = start(one.channel(setup(&sink), keys), &[&one]).await;
    assert!(patchbay.channel("viber").await["setUp"].is_null());
    assert_eq!(hook(&one), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn and_a_refusal_is_shown_and_stops_nothing() {
    let one = Simulated::start_without_webhook("viber", no_receipts()).await;
    let sink = Sink::start().await;
    // The public address does not answer: Viber's handshake fails.
    let patchbay = one.channel(setup(&sink), PLAIN).start().await;
    let channel = until_set_up(&patchbay, &one, "failed").await;
    assert!(channel["setUp"]["detail"].as_str().unwrap().contains("invalidUrl"), "{channel}");
    assert_eq!(channel["status"], "connected", "{channel}");
    let metrics = patchbay.http.get(&format!("{}/metrics", patchbay.admin)).await.unwrap().text;
    assert!(metrics.contains("patchbay_set_ups_total{channel=\"viber\",outcome=\"failed\"}"), "{metrics}");
    let page = patchbay.http.get(&format!("{}/", patchbay.admin)).await.unwrap().text;
    assert!(
        page.contains("the webhook of channel viber could not be registered: rejected (1): invalidUrl"),
        "{page}"
    );
    // The registration is retried until it succeeds.
    follow(&patchbay, &[&one]);
    until_set_up(&patchbay, &one, "changed").await;
}
