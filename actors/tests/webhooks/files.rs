//! Customers' files: an address of ours in the delivery, the file behind it, kept for a while.

use std::{sync::atomic::Ordering, time::Duration};

use actors::{MediaFile, NoFile};
use serde_json::{Value, json};

use crate::{ANN, paper, paper::Paper, stage::World, stage::id, taken};

fn picture(id: &str, locators: &[&str]) -> Value {
    let body = r#"{"type":"IMAGE","caption":"\"mediaUrl\":\"media:0\"","attachment":{"mediaUrl":"media:0"}}"#;
    json!({ "id": id, "from": ANN, "body": body, "files": locators })
}

/// The token in the address that a delivery names.
fn token_of(delivery: &Value) -> String {
    let url = delivery["body"]["attachment"]["mediaUrl"].as_str().unwrap();
    url.strip_prefix("https://example.org/media/paper/").unwrap_or_else(|| panic!("{url}")).to_owned()
}

/// Reads a file to its end: its type, its name and its content.
async fn whole(file: Result<MediaFile, NoFile>) -> (String, Option<String>, Vec<u8>) {
    let mut file = file.unwrap();
    let mut all = Vec::new();
    while let Some(piece) = file.next().await.unwrap() {
        all.extend_from_slice(&piece);
    }
    (file.content_type.into(), file.name.map(Into::into), all)
}

#[tokio::test]
async fn a_file_is_fetched_ahead_kept_and_given_under_an_address_of_ours() {
    let world = World::with_files();
    let url = "https://paper.example/file/1".to_owned();
    world.files.lock().unwrap().push((url.clone(), "image/png", b"octets\n".to_vec()));
    let router = world.start(Paper::default().channel()).await;
    let call = paper::call(&[picture("a", &[&url]), picture("a", &[&url])]);
    assert!(taken(&router.webhook(&id(), &call).await));
    let delivery = world.wait("the picture", |v| v["header"]["providerMessageId"] == "a").await;
    assert_eq!(delivery["body"]["caption"], "\"mediaUrl\":\"media:0\"", "the customer's words stay");
    assert_eq!(delivery["header"]["channelData"]["additionalAttributes"], json!([]));
    let started = std::time::Instant::now();
    while world.kept().is_empty() && started.elapsed() < Duration::from_secs(20) {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(world.fetches.load(Ordering::SeqCst), 1, "a repetition is fetched once");
    world.files.lock().unwrap().clear();
    let expected = ("image/png".to_owned(), Some("shelf.png".to_owned()), b"octets\n".to_vec());
    let token = token_of(&delivery);
    for _ in 0..2 {
        assert_eq!(whole(router.media(&id(), &token).await).await, expected);
    }
    drop(router);
    let router = world.start(Paper::default().channel()).await;
    assert_eq!(whole(router.media(&id(), &token).await).await, expected, "also after a start");
    assert_eq!(world.fetches.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_file_that_was_removed_is_fetched_when_asked_for_and_one_that_is_gone_is_told() {
    let world = World::with_files();
    let url = "https://paper.example/file/hush".to_owned();
    let router = world.start(Paper::default().channel()).await;
    assert!(taken(&router.webhook(&id(), &paper::call(&[picture("a", &[&url])])).await));
    let delivery = world.wait("the picture", |v| v["header"]["providerMessageId"] == "a").await;
    let token = token_of(&delivery);
    let Err(NoFile::Refused(reason)) = router.media(&id(), &token).await else { panic!("it is not there") };
    assert!(reason.contains("404") && !reason.contains("hush"), "{reason}");
    world.files.lock().unwrap().push((url, "text/html", b"later".to_vec()));
    assert_eq!(whole(router.media(&id(), &token).await).await.2, b"later");
    for path in world.kept() {
        std::fs::remove_file(path).unwrap();
    }
    assert_eq!(whole(router.media(&id(), &token).await).await.2, b"later");
    let mut forged = token.clone();
    forged.replace_range(..1, if token.starts_with('A') { "B" } else { "A" });
    for (channel, token) in [("paper", forged.as_str()), ("other", &token), ("paper", ""), ("paper", ".")] {
        let refused = router.media(&channel.into(), token).await.unwrap_err();
        assert_eq!(refused, NoFile::Unknown, "{channel} {token}");
    }
}
