//! A provider posts customers' messages: an acknowledged one is delivered once, whatever happens to
//! the process; an unsigned one changes nothing.

use std::time::Duration;

use hmac::{Hmac, Mac};
use http::Request;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::support::{Chance, Patchbay, SOON, Setup, Sink, api::Api, figure, seed, until};

const SECRET: &str = "the-app's-secret";
const TOKEN: &str = "the-verify-token";

/// Two numbers of one app on one router.
async fn stage() -> (Api, Sink, Patchbay) {
    let api = Api::start().await;
    let sink = Sink::start().await;
    let channel = |id: &str, did: &str| {
        format!(
            "[[channel]]\nid = \"{id}\"\nprovider = \"whatsapp_cloud\"\ndids = [\"{did}\"]\n\
             [channel.account]\naccess_token = \"hush\"\napp_secret = \"{SECRET}\"\nverify_token = \"{TOKEN}\"\n\
             phone_number_id = \"{id}\"\nbase_url = \"http://{}\"\n",
            api.address
        )
    };
    let setup = Setup::new()
        .http("public_url = \"https://patchbay.example\"")
        .destination("support", &sink.url, "batch_max = 100")
        .tables(&channel("PN1", "15550100001"))
        .tables(&channel("PN2", "15550100002"));
    (api, sink, setup.start().await)
}

fn change(account: &str, customer: &str, ids: &[String]) -> Value {
    let message = |id: &String| json!({ "from": customer, "id": id, "timestamp": "1790000000", "type": "text", "text": { "body": id } });
    json!({ "id": "WABA", "changes": [{ "field": "messages", "value": {
        "messaging_product": "whatsapp",
        "metadata": { "display_phone_number": "15550100001", "phone_number_id": account },
        "messages": ids.iter().map(message).collect::<Vec<_>>(),
    }}]})
}

fn body(entries: &[Value]) -> Vec<u8> {
    json!({ "object": "whatsapp_business_account", "entry": entries }).to_string().into_bytes()
}

fn signature(key: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

#[derive(Clone)]
struct Meta(Client<HttpConnector, Full<Bytes>>);

impl Meta {
    fn new() -> Self {
        Self(Client::builder(TokioExecutor::new()).build_http())
    }

    /// Calls a webhook; returns status and body, or `None` when the process is gone.
    async fn call(&self, url: &str, signature: &str, body: Vec<u8>) -> Option<(u16, String)> {
        let request = Request::post(url).header("x-hub-signature-256", signature);
        let request = request.body(Full::new(body.into())).unwrap();
        let answer =
            tokio::time::timeout(Duration::from_secs(30), self.0.request(request)).await.ok()?.ok()?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.ok()?.to_bytes();
        Some((status, String::from_utf8_lossy(&body).into_owned()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn and_a_wrong_signature_changes_nothing() {
    let (_api, sink, patchbay) = stage().await;
    let meta = Meta::new();
    let body = body(&[change("PN1", "15550190001", &["wamid.1".into()])]);
    let urls = [format!("{}/webhooks/PN1", patchbay.public), format!("{}/ccm/webhook", patchbay.public)];
    for url in &urls {
        for wrong in ["", "sha256=00", &signature("another secret", &body)] {
            let (status, text) = meta.call(url, wrong, body.clone()).await.unwrap();
            assert!(matches!(status, 401 | 403), "{url} {wrong}: {status} {text}");
            assert!(!text.contains(SECRET), "{text}");
        }
        let hello = format!("{url}?hub.mode=subscribe&hub.verify_token={TOKEN}&hub.challenge=42");
        let answer = patchbay.http.get(&hello).await.unwrap();
        assert_eq!((answer.status, answer.text.as_str()), (200, "42"));
        let stranger = format!("{url}?hub.mode=subscribe&hub.verify_token=x&hub.challenge=42");
        assert!(matches!(patchbay.http.get(&stranger).await.unwrap().status, 401 | 403));
    }
    assert_eq!(patchbay.admin("/api/sessions").await, json!([]));
    for url in &urls {
        assert_eq!(meta.call(url, &signature(SECRET, &body), body.clone()).await.unwrap().0, 200);
    }
    until("the message", SOON, || async { if sink.len() > 0 { Ok(()) } else { Err("nothing yet") } }).await;
    assert_eq!(
        sink.texts(),
        [("15550190001".to_owned(), "wamid.1".to_owned())],
        "at both addresses, and once"
    );
}

/// Posts many messages for both numbers, some twice, while the process is killed repeatedly.
#[tokio::test(flavor = "multi_thread")]
async fn through_kill_9_in_the_middle_of_batches() {
    const CALLS: usize = 120;
    const CUSTOMERS: usize = 6;
    let mut chance = Chance(seed());
    let (_api, sink, mut patchbay) = stage().await;
    let meta = Meta::new();
    let mut written = [0; CUSTOMERS];
    let mut calls = Vec::new();
    for _ in 0..CALLS {
        let entries: Vec<Value> = (0..1 + chance.below(3))
            .map(|_| {
                let customer = chance.below(CUSTOMERS as u64) as usize;
                let ids: Vec<String> = (0..1 + chance.below(8))
                    .map(|_| {
                        written[customer] += 1;
                        format!("c{customer}-{}", written[customer])
                    })
                    .collect();
                let account = if customer.is_multiple_of(2) { "PN1" } else { "PN2" };
                change(account, &format!("1555019000{customer}"), &ids)
            })
            .collect();
        calls.push(body(&entries));
    }
    let (mut kills, mut repeated) = (0, 0);
    for (n, body) in calls.iter().enumerate() {
        let signature = signature(SECRET, body);
        loop {
            let url = format!("{}/ccm/webhook", patchbay.public);
            let call = meta.call(&url, &signature, body.clone());
            let answer = if n % 12 == 5 && kills < n / 12 + 1 {
                kills += 1;
                let call = tokio::spawn({
                    let (meta, url, signature, body) =
                        (meta.clone(), url.clone(), signature.clone(), body.clone());
                    async move { meta.call(&url, &signature, body).await }
                });
                tokio::time::sleep(Duration::from_micros(chance.below(4_000))).await;
                patchbay = patchbay.kill_and_restart().await;
                call.await.unwrap()
            } else {
                call.await
            };
            match answer {
                Some((200, _)) => break,
                Some((status, text)) => assert_eq!(status, 503, "{text}"),
                None => repeated += 1,
            }
        }
        if chance.below(4) == 0 {
            // Providers also repeat acknowledged webhooks.
            let again = &calls[chance.below(n as u64 + 1) as usize];
            let url = format!("{}/ccm/webhook", patchbay.public);
            let answer = meta.call(&url, &self::signature(SECRET, again), again.clone()).await;
            assert_eq!(answer.unwrap().0, 200);
        }
    }
    let total: usize = written.iter().sum();
    until("all messages", SOON, || async {
        let came = sink.texts().len();
        if came >= total { Ok(()) } else { Err(format!("{came} of {total}")) }
    })
    .await;
    for (customer, count) in written.iter().enumerate() {
        let shown = format!("1555019000{customer}");
        let came: Vec<String> =
            sink.texts().into_iter().filter(|(who, _)| *who == shown).map(|(_, text)| text).collect();
        let expected: Vec<String> = (1..=*count).map(|n| format!("c{customer}-{n}")).collect();
        assert_eq!(came, expected, "customer {customer}: each once, in order");
    }
    figure(&format!(
        "webhooks: {CALLS} calls, {total} messages, {kills} kills, {repeated} calls without an answer repeated"
    ));
}
