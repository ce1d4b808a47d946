//! The load: a business that posts without end, and customers that write.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use serde_json::Value;
use simulators::smsc::{Mo, MoId, Smsc};
use tokio::sync::watch;

use super::{BATCH, CUSTOMERS, HOLD, RESEND};
use crate::support::{
    Http,
    cim::{self, customer},
    history::History,
};

/// The intensity of the load.
#[derive(Clone, Copy)]
pub(crate) struct Force {
    pub(super) loaders: usize,
    /// Pause between two requests of a loader.
    pub(super) pause: Duration,
    /// Maximum number of crashes of one log, because the list of parts in doubt is bounded.
    pub(super) crashes_of_a_log: u64,
}

impl Force {
    /// A moderate load, for a machine that runs other tests too.
    pub(crate) const USUAL: Self = Self { loaders: 4, pause: Duration::from_millis(4), crashes_of_a_log: 60 };
    /// The maximum load.
    const FULL: Self = Self { loaders: 16, pause: Duration::ZERO, crashes_of_a_log: 6 };

    /// Reads the load from `LOAD=full`.
    pub(super) fn asked() -> Self {
        match std::env::var("LOAD").as_deref() {
            Err(_) => Self::USUAL,
            Ok("full") => Self::FULL,
            Ok(other) => panic!("LOAD={other}: only \"full\" is known"),
        }
    }
}

/// The records of the load.
#[derive(Default)]
pub(super) struct Load {
    /// Every id with a 202.
    pub(super) accepted: Mutex<BTreeSet<String>>,
    pub(super) written: Mutex<Vec<(MoId, String)>>,
    pub(super) history: History,
    next: AtomicUsize,
    /// Number of loaders that are between two requests.
    pub(super) idle: AtomicUsize,
    pub(super) rests: AtomicBool,
}

/// Posts batches without end; a batch without an answer is posted again with equal ids.
pub(super) async fn post(load: Arc<Load>, pause: Duration, mut url: watch::Receiver<Option<String>>) {
    let http = Http::default();
    loop {
        load.idle.fetch_add(1, Ordering::SeqCst);
        while load.rests.load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        load.idle.fetch_sub(1, Ordering::SeqCst);
        let from = load.next.fetch_add(BATCH, Ordering::SeqCst);
        let batch: Vec<Value> = (from..from + BATCH)
            .map(|n| {
                let did = if n % 2 == 0 { RESEND } else { HOLD };
                let id = format!("{did}-{n}");
                let on_doubt = if did == HOLD { "hold" } else { "resend" };
                load.history.post(&id, did, &customer(n % CUSTOMERS), on_doubt);
                cim::text_from(did, &id, &customer(n % CUSTOMERS), &id)
            })
            .collect();
        let body = Value::from(batch).to_string();
        loop {
            let at = url.wait_for(Option::is_some).await.unwrap().clone().unwrap();
            let Ok(answer) = http.post(&at, body.clone()).await else {
                // The process was killed: wait until it is back.
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            };
            if answer.status == 503 {
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
            assert_eq!(answer.status, 202, "{}", answer.text);
            for result in answer.json().as_array().unwrap() {
                assert_eq!(result["status"], "ACCEPTED", "{result}");
                let id = result["messageId"].as_str().unwrap();
                load.history.accepted(id);
                load.accepted.lock().unwrap().insert(id.to_owned());
            }
            break;
        }
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
}

/// Lets customers write without end, one after the other.
pub(super) async fn write(load: Arc<Load>, smsc: Smsc) {
    let mut n = 0;
    let mut unanswered: Vec<(MoId, String)> = Vec::new();
    loop {
        tokio::time::sleep(Duration::from_millis(8)).await;
        unanswered.retain(|(id, text)| {
            let is_answered = smsc.mo(*id).is_some_and(|state| state.acked >= state.parts);
            if is_answered {
                load.history.acknowledged(text);
            }
            !is_answered
        });
        if load.rests.load(Ordering::SeqCst) {
            continue;
        }
        let text = format!("mo-{n}");
        let (from, to) = (customer(n % CUSTOMERS), if n % 2 == 0 { RESEND } else { HOLD });
        let mo = Mo {
            system_id: to.into(),
            from: from.trim_start_matches('+').into(),
            to: to.into(),
            text: text.clone(),
            ..Mo::default()
        };
        load.history.write(&text, &from, to);
        let id = smsc.send_mo(&mo).unwrap();
        unanswered.push((id, text.clone()));
        load.written.lock().unwrap().push((id, text));
        n += 1;
    }
}
