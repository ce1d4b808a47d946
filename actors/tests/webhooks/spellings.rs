//! One message under several spellings of its id: quotes, reactions and receipts find it, and only
//! within its own conversation.

use serde_json::{Value, json};
use storage::Crash;

use crate::{
    ANN,
    conversation::{brings, post, text},
    paper::Paper,
    stage::World,
};

const BOB: &str = "+4917600000002";

#[tokio::test]
async fn any_spelling_of_an_id_leads_to_the_message_in_its_conversation() {
    let world = World::new();
    let mut router = world.start(Paper::default().channel()).await;
    for (customer, id) in [(ANN, "to-ann"), (BOB, "to-bob")] {
        post(&router, text(customer, id, id)).await.unwrap();
        world.wait_sent(id, |v| v["text"] == id).await;
        while router.message(&id.into()).await.unwrap().status.as_str() != "SENT" {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    }
    let says =
        |from: &str, id: &str, quoted: &str| json!({ "id": id, "from": from, "text": id, "replyTo": quoted });
    let header = |delivery: &Value| {
        (delivery["header"]["intent"].clone(), delivery["header"]["originalMessageId"].clone())
    };
    let reply = |id: &str| (json!("REPLY_TO"), json!(id));
    for round in ["x", "y"] {
        let id = |name: &str| format!("{name}-{round}");
        let own = json!({ "id": format!("p-own-{round}"), "from": ANN, "text": id("own") });
        brings(&router, &[own]).await;
        let all = [
            says(ANN, &id("exact"), "p-1"),
            says(ANN, &id("other"), "q-1"),
            says(BOB, &id("foreign"), "q-1"),
            says(BOB, &id("bob"), "q-2"),
            says(ANN, &id("self"), &format!("q-own-{round}")),
        ];
        brings(&router, &all).await;
        let own = world.text(&id("own")).await["id"].as_str().unwrap().to_owned();
        assert_eq!(header(&world.text(&id("exact")).await), reply("to-ann"));
        assert_eq!(header(&world.text(&id("other")).await), reply("to-ann"));
        assert_eq!(header(&world.text(&id("bob")).await), reply("to-bob"));
        assert_eq!(header(&world.text(&id("self")).await), reply(&own));
        let foreign = world.text(&id("foreign")).await;
        assert_eq!(header(&foreign), (Value::Null, Value::Null), "another conversation's message");
        drop(router);
        world.disk.crash(Crash::Lose);
        router = world.start(Paper::default().channel()).await;
    }
    let receipt = json!({ "report": "delivered", "id": "q-1", "from": ANN, "code": "ok" });
    brings(&router, &[receipt]).await;
    world
        .wait("the receipt", |v| v["body"]["messageId"] == "to-ann" && v["body"]["status"] == "DELIVERED")
        .await;
    assert_eq!(router.message(&"to-bob".into()).await.unwrap().status.as_str(), "SENT");
}
