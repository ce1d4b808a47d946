//! However a provider splits, repeats and mixes its calls: each message is one delivery, in the
//! order of its session.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};
use storage::Crash;

use crate::{
    paper,
    paper::Paper,
    stage::{World, id},
    taken,
};

/// Customers; each also has an opaque name.
const CUSTOMERS: usize = 4;

fn item(customer: usize, number: usize, name: usize) -> Value {
    let (phone, user) = (format!("+4917600000{customer:03}"), format!("user-{customer}"));
    let id = format!("{customer}-{number}");
    match name {
        0 => json!({ "id": id, "from": phone, "text": id }),
        1 => json!({ "id": id, "from": phone, "text": id, "aliases": [user] }),
        _ => json!({ "id": id, "from": user, "text": id, "aliases": [phone] }),
    }
}

/// One step: a call with the next messages of customers, an earlier call once more, or the end of
/// the process.
#[derive(Clone, Debug)]
enum Step {
    New(Vec<(usize, usize)>),
    Again(prop::sample::Index),
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let new = prop::collection::vec((0..CUSTOMERS, 0_usize..3), 1..12).prop_map(Step::New);
    let again = any::<prop::sample::Index>().prop_map(Step::Again);
    prop::collection::vec(prop_oneof![6 => new, 4 => again, 1 => Just(Step::Crash)], 1..16)
}

async fn play(steps: Vec<Step>) {
    let world = World::new();
    let mut router = world.start(Paper::default().channel()).await;
    let mut written = [0; CUSTOMERS];
    let mut calls: Vec<Vec<Value>> = Vec::new();
    for step in steps {
        let items = match step {
            Step::Crash => {
                drop(router);
                world.disk.crash(Crash::Lose);
                router = world.start(Paper::default().channel()).await;
                continue;
            }
            Step::Again(_) if calls.is_empty() => continue,
            Step::Again(index) => calls[index.index(calls.len())].clone(),
            Step::New(of) => {
                let mut items = Vec::new();
                for (customer, name) in of {
                    items.push(item(customer, written[customer], name));
                    written[customer] += 1;
                }
                calls.push(items.clone());
                items
            }
        };
        // Some of it once more in the very same call, and the whole in a call beside it.
        let doubled: Vec<Value> = items.iter().chain(&items).cloned().collect();
        let (channel, call, beside) = (id(), paper::call(&doubled), paper::call(&items));
        let (first, second) =
            tokio::join!(router.webhook(&channel, &call), router.webhook(&channel, &beside));
        assert!(taken(&first) && taken(&second), "{first:?} {second:?}");
    }
    for (customer, count) in written.iter().enumerate().filter(|(_, count)| **count > 0) {
        world.text(&format!("{customer}-{}", count - 1)).await;
    }
    let mut came: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for delivery in world.taken() {
        let text = delivery["body"]["markdownText"].as_str().unwrap();
        let (customer, number) = text.split_once('-').unwrap();
        let session = delivery["header"]["channelSessionId"].as_str().unwrap().to_owned();
        came.entry(customer.to_owned()).or_default().push((number.to_owned(), session));
    }
    for (customer, all) in came {
        let count = written[customer.parse::<usize>().unwrap()];
        let numbers: Vec<&str> = all.iter().map(|(number, _)| number.as_str()).collect();
        let expected: Vec<String> = (0..count).map(|n| n.to_string()).collect();
        assert_eq!(numbers, expected, "customer {customer}: each once, in order");
        assert!(all.windows(2).all(|two| two[0].1 == two[1].1), "customer {customer}: one session, {all:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 200, ..ProptestConfig::default() })]
    #[test]
    fn each_message_is_one_delivery_in_order(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(play(steps));
    }
}
