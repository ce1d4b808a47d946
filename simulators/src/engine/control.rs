//! The control API under `/_sim/`, on the provider's own port. It has no authentication: serve it
//! on loopback only.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use super::{
    core::Engine,
    records::Attempt,
    script::Script,
    webhooks::{self, DeliverError},
};
use crate::{
    contract::Inbound,
    toolkit::http::{Request, Response},
};

/// Maximum number of messages or webhooks in one answer; older ones are left out.
const LISTED_MAX: usize = 1_000;

const ROUTES: &str = "GET /_sim/messages[?to=] /_sim/webhooks /_sim/fetched /_sim/counts /_sim/faults /_sim/settings, \
    POST /_sim/inbound /_sim/receipt /_sim/faults /_sim/verify /_sim/reset";

/// The body of `POST /_sim/receipt`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReceiptOrder {
    id: String,
    status: String,
    #[serde(default)]
    code: Option<String>,
}

pub(super) async fn control(engine: &Engine, request: &Request) -> Response {
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/_sim/messages") => list_messages(engine, request.query("to").as_deref()),
        ("GET", "/_sim/webhooks") => {
            let state = engine.state();
            ok(&newest(state.records.webhooks.iter(), |_| true))
        }
        ("GET", "/_sim/fetched") => {
            let state = engine.state();
            ok(&newest(state.records.fetched.iter(), |_| true))
        }
        ("GET", "/_sim/counts") => ok(&engine.state().records.counts),
        ("GET", "/_sim/faults") => ok(&*engine.state().script),
        ("GET", "/_sim/settings") => settings(engine),
        ("POST", "/_sim/inbound") => match read::<Inbound>(request) {
            Ok(inbound) => attempts(webhooks::inbound(engine, &inbound).await),
            Err(answer) => answer,
        },
        ("POST", "/_sim/receipt") => match read::<ReceiptOrder>(request) {
            Ok(ReceiptOrder { id, status, code }) => {
                attempts(webhooks::receipt(engine, &id, &status, code.as_deref()).await)
            }
            Err(answer) => answer,
        },
        ("POST" | "PATCH", "/_sim/faults") => match read::<Map<String, Value>>(request) {
            Ok(changes) => change_script(engine, changes),
            Err(answer) => answer,
        },
        ("POST", "/_sim/verify") => match webhooks::verify(engine).await {
            Ok(attempt) => ok(&json!({"asked": attempt.is_some(), "attempt": attempt})),
            Err(e) => bad_request(&e),
        },
        ("POST", "/_sim/reset") => {
            engine.reset();
            ok(&engine.state().records.counts)
        }
        _ => Response::text(404, &format!("expected one of: {ROUTES}\n")),
    }
}

fn list_messages(engine: &Engine, to: Option<&str>) -> Response {
    let state = engine.state();
    let messages = state.records.messages.iter();
    ok(&json!({
        "accepted": state.records.counts.accepted,
        "byRecipient": state.records.by_recipient(),
        "messages": newest(messages, |message| to.is_none_or(|to| message.to == to)),
    }))
}

fn settings(engine: &Engine) -> Response {
    let state = engine.state();
    ok(&json!({
        "provider": engine.about().name,
        "baseUrl": state.base,
        "credentials": engine.credentials,
        "webhook": state.webhook,
    }))
}

fn change_script(engine: &Engine, changes: Map<String, Value>) -> Response {
    let Ok(Value::Object(mut map)) = serde_json::to_value(&*engine.state().script) else {
        return Response::text(500, "the script cannot be written as JSON\n");
    };
    map.extend(changes);
    match serde_json::from_value::<Script>(map.into()) {
        Ok(script) => {
            engine.change(|old| *old = script);
            ok(&*engine.state().script)
        }
        Err(e) => bad_request(&e),
    }
}

/// Returns the newest wanted items, oldest first.
fn newest<'a, T: Serialize + 'a>(
    items: impl DoubleEndedIterator<Item = &'a T>,
    wanted: impl Fn(&T) -> bool,
) -> Value {
    let mut newest: Vec<Value> = items
        .rev()
        .filter(|item| wanted(item))
        .take(LISTED_MAX)
        .map(|item| serde_json::to_value(item).unwrap_or_default())
        .collect();
    newest.reverse();
    newest.into()
}

fn attempts(result: Result<Vec<Attempt>, DeliverError>) -> Response {
    match result {
        Ok(attempts) => {
            let mut by_status: BTreeMap<String, u32> = BTreeMap::new();
            for attempt in &attempts {
                let status = attempt.status.map_or("none".to_owned(), |status| status.to_string());
                *by_status.entry(status).or_default() += 1;
            }
            let status = attempts.last().and_then(|attempt| attempt.status);
            let body = attempts.last().map(|attempt| attempt.body.clone());
            ok(&json!({"status": status, "body": body, "byStatus": by_status, "attempts": attempts}))
        }
        Err(e) => bad_request(&e),
    }
}

fn read<T: DeserializeOwned>(request: &Request) -> Result<T, Response> {
    let body = if request.body.is_empty() { &b"{}"[..] } else { &request.body };
    serde_json::from_slice(body).map_err(|e| bad_request(&e))
}

fn ok(value: &impl Serialize) -> Response {
    match serde_json::to_value(value) {
        Ok(value) => Response::json(200, &value),
        Err(e) => bad_request(&e),
    }
}

fn bad_request(error: &dyn std::fmt::Display) -> Response {
    Response::json(400, &json!({"error": error.to_string()}))
}
