//! A message can be looked up at every instant after its 202.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::json;
use tokio::task::JoinSet;

use super::{Keys, Simulated, out, setup, start};
use crate::support::Sink;

const MESSAGES: usize = 200;
const LOOKERS: usize = 4;

#[tokio::test(flavor = "multi_thread")]
async fn at_every_instant() {
    let one = Simulated::start("telnyx", simulators::rest::Script::default()).await;
    let sink = Sink::start().await;
    let keys = Keys { channel: "send_rate = 1000", http: "" };
    let patchbay = Arc::new(start(one.channel(setup(&sink), keys), &[&one]).await);
    let did = one.simulator.credential("number").to_owned();
    let looks = Arc::new(AtomicUsize::new(0));
    let mut lookers = JoinSet::new();
    for looker in 0..LOOKERS {
        let (patchbay, did, looks) = (patchbay.clone(), did.clone(), looks.clone());
        lookers.spawn(async move {
            let about = json!({ "header": { "channelData": {
                "channelCustomerIdentifier": crate::support::cim::customer(looker), "serviceIdentifier": did } } });
            for n in 0..MESSAGES / LOOKERS {
                let id = format!("b-{looker}-{n}");
                let button = |title: &str| json!({ "type": "reply", "title": title, "payload": title });
                let body = json!({ "type": "BUTTON", "markdownText": "Shall we?", "buttons": [button("a"), button("b")] });
                patchbay.send(&out(&id, &about, body)).await;
                loop {
                    let view = patchbay.message(&id).await;
                    looks.fetch_add(1, Ordering::SeqCst);
                    if view["status"] == "DELIVERED" {
                        break;
                    }
                }
            }
        });
    }
    while let Some(looker) = lookers.join_next().await {
        looker.unwrap();
    }
    println!("{} looks", looks.load(Ordering::SeqCst));
}
