//! A flood of webhooks, batched, repeated and forged, while the process is killed twice: exactly
//! the good messages reach the business, once each and in order. `FLOOD=` sets their number (few in
//! the suite).

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use channels::toolkit::auth;
use http::Method;
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinSet, time::Instant};

use super::{Keys, Simulated, no_receipts, number, setup, start};
use crate::support::{Chance, Http, figure, seed, until};

const FLOOD: usize = 2_000;
const CUSTOMERS: usize = 200;
/// Number of concurrent webhooks. Each writer has its own customers, so that an order is defined.
const WRITERS: usize = 8;
/// Number of messages in a webhook.
const BATCH_MAX: u64 = 50;
/// Percent of the webhooks.
const REPEATED: u64 = 10;
const FORGED: u64 = 5;
const KILLS: usize = 2;

/// Counts of the webhooks' outcomes.
#[derive(Default)]
struct Counts {
    /// Items in acknowledged webhooks.
    done: AtomicUsize,
    webhooks: AtomicUsize,
    refused: AtomicUsize,
    /// Webhooks that were sent again, for lack of an answer or because the answer asked for it.
    again: AtomicUsize,
}

/// Returns a webhook of WhatsApp's form, with items spread over entries and changes.
struct Webhook {
    body: String,
    items: usize,
    forged: bool,
}

fn item(customer: &str, id: &str, words: &str) -> Value {
    json!({ "from": customer, "id": id, "timestamp": "1790000000", "type": "text", "text": { "body": words } })
}

fn webhook(items: &[Value], chance: &mut Chance, phone: &str, forged: bool) -> Webhook {
    let mut entries: Vec<Value> = Vec::new();
    let mut rest = items;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(rest.len().min(1 + chance.below(10) as usize));
        rest = later;
        let contacts: Vec<Value> = now
            .iter()
            .map(|item| json!({ "wa_id": item["from"], "profile": { "name": "A customer" } }))
            .collect();
        let change = json!({ "field": "messages", "value": {
            "messaging_product": "whatsapp",
            "metadata": { "display_phone_number": "15557770000", "phone_number_id": phone },
            "contacts": contacts, "messages": now,
        } });
        match entries.last_mut() {
            Some(last) if chance.below(2) == 0 => last["changes"].as_array_mut().unwrap().push(change),
            _ => entries.push(json!({ "id": "200000000000001", "changes": [change] })),
        }
    }
    let body = json!({ "object": "whatsapp_business_account", "entry": entries }).to_string();
    Webhook { body, items: items.len(), forged }
}

/// The webhooks of one writer, and the texts that its customers must be heard with, in order.
fn plan(
    writer: usize,
    count: usize,
    phone: &str,
    chance: &mut Chance,
) -> (Vec<Webhook>, BTreeMap<String, Vec<String>>) {
    let mut webhooks = Vec::new();
    let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut old: Vec<Value> = Vec::new();
    let (mut made, mut n) = (0, 0);
    while made < count {
        let size = (1 + chance.below(BATCH_MAX) as usize).min(count - made);
        let forged = chance.below(100) < FORGED;
        let items: Vec<Value> = (0..size)
            .map(|_| {
                if !forged && !old.is_empty() && chance.below(100) < REPEATED {
                    return old[chance.below(old.len() as u64) as usize].clone();
                }
                let own = chance.below((CUSTOMERS / WRITERS) as u64) as usize * WRITERS + writer;
                let customer = format!("4917{own:08}");
                n += 1;
                let kind = if forged { "forged" } else { "good" };
                let words = format!("{kind} {writer}-{n}");
                let item = item(&customer, &format!("wamid.{writer}-{n}"), &words);
                if !forged {
                    expected.entry(customer).or_default().push(words);
                    old.push(item.clone());
                }
                item
            })
            .collect();
        made += size;
        webhooks.push(webhook(&items, chance, phone, forged));
    }
    (webhooks, expected)
}

/// Posts a writer's webhooks one after the other, each until its final answer.
async fn write(
    webhooks: Vec<Webhook>,
    secret: String,
    mut url: watch::Receiver<Option<String>>,
    counts: Arc<Counts>,
) {
    let http = Http::default();
    for (n, webhook) in webhooks.into_iter().enumerate() {
        let key = if webhook.forged && n % 2 == 0 { "another secret" } else { &*secret };
        let signature =
            format!("sha256={}", auth::hex(&auth::hmac_sha256(key.as_bytes(), webhook.body.as_bytes())));
        let unsigned = webhook.forged && n % 2 == 1;
        loop {
            let at = url.wait_for(Option::is_some).await.unwrap().clone().unwrap();
            let headers = if unsigned { vec![] } else { vec![("x-hub-signature-256", signature.as_str())] };
            let answer = http.with(Method::POST, &at, &headers, webhook.body.clone()).await;
            match answer.map(|(status, ..)| status) {
                Ok(200) if !webhook.forged => break,
                Ok(401 | 403) if webhook.forged => {
                    counts.refused.fetch_add(1, Ordering::SeqCst);
                    break;
                }
                Ok(503) | Err(_) => {
                    counts.again.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Ok(other) => {
                    panic!("a {} webhook is answered {other}", if webhook.forged { "forged" } else { "good" })
                }
            }
        }
        counts.webhooks.fetch_add(1, Ordering::SeqCst);
        counts.done.fetch_add(webhook.items, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn brings_exactly_the_good_ones_once_each_and_in_order() {
    let mut chance = Chance(seed());
    let flood = number("FLOOD", FLOOD);
    let patience = Duration::from_secs(60) + Duration::from_millis(flood as u64 * 10);
    let one = Simulated::start("whatsapp_cloud", no_receipts()).await;
    let sink = crate::support::Sink::start().await;
    let keys = Keys { channel: "", http: "" };
    let mut patchbay = start(one.channel(setup(&sink), keys), &[&one]).await;
    let (secret, phone) =
        (one.simulator.credential("app_secret"), one.simulator.credential("phone_number_id"));
    let address = |public: &str| Some(format!("{public}/webhooks/whatsapp_cloud"));
    let (url, watched) = watch::channel(address(&patchbay.public));
    let counts = Arc::new(Counts::default());
    let mut expected = BTreeMap::new();
    let mut writers = JoinSet::new();
    let began = Instant::now();
    for writer in 0..WRITERS {
        let (webhooks, heard) = plan(writer, flood / WRITERS, phone, &mut chance);
        expected.extend(heard);
        writers.spawn(write(webhooks, secret.to_owned(), watched.clone(), counts.clone()));
    }
    for kill in 1..=KILLS {
        let at = flood / WRITERS * WRITERS * kill / (KILLS + 1);
        until("the flood", patience, || async {
            let done = counts.done.load(Ordering::SeqCst);
            if done >= at { Ok(()) } else { Err(done) }
        })
        .await;
        url.send_replace(None);
        patchbay = patchbay.kill_and_restart().await;
        url.send_replace(address(&patchbay.public));
    }
    while let Some(writer) = writers.join_next().await {
        writer.unwrap();
    }
    let taken = began.elapsed();
    let good: usize = expected.values().map(Vec::len).sum();
    until("all of it at the business", patience, || async {
        let (len, got) = (sink.len(), if sink.len() >= good { sink.texts().len() } else { 0 });
        if got >= good { Ok(()) } else { Err(format!("{len} posts of {good} messages")) }
    })
    .await;
    let delivered = began.elapsed();
    let patchbay = patchbay.restart().await;
    let mut heard: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (customer, words) in sink.texts() {
        heard.entry(customer.trim_start_matches('+').to_owned()).or_default().push(words);
    }
    for (customer, words) in &expected {
        let got = heard.get(customer).map(Vec::as_slice).unwrap_or_default();
        let (sent, came): (BTreeSet<_>, BTreeSet<_>) = (words.iter().collect(), got.iter().collect());
        let lost: Vec<_> = sent.difference(&came).collect();
        assert!(lost.is_empty(), "{customer}: lost: {lost:?}");
        assert_eq!(got, words.as_slice(), "{customer}: not once each and in order");
    }
    let all: usize = heard.values().map(Vec::len).sum();
    assert_eq!(all, good, "something else reached the business");
    let [webhooks, refused, again, done] = [&counts.webhooks, &counts.refused, &counts.again, &counts.done]
        .map(|count| count.load(Ordering::SeqCst));
    assert!(refused > 0, "nothing was forged");
    let posts = sink.len();
    figure(&format!(
        "webhook flood: {done} messages in {webhooks} webhooks ({refused} forged and refused, {again} sent again), {KILLS} kill -9: {good} good ones, each delivered once and in order ({} posts were repeated under the same event id); taken in {:.1} s ({:.0} messages/s), all delivered after {:.1} s",
        posts - good,
        taken.as_secs_f64(),
        done as f64 / taken.as_secs_f64(),
        delivered.as_secs_f64(),
    ));
    drop(patchbay);
}
