//! The questions and orders of a test, under `/_sim/` on the provider's own port. It has no lock: loopback only.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use super::{DeliverError, Script, Simulator};
use crate::{
    contract::Inbound,
    toolkit::http::{Request, Response},
};

/// The most messages and webhooks in one answer; the newest.
const LISTED_MAX: usize = 1_000;

const ROUTES: &str = "GET /_sim/messages[?to=] /_sim/webhooks /_sim/fetched /_sim/counts /_sim/faults /_sim/settings, \
    POST /_sim/inbound /_sim/receipt /_sim/faults /_sim/verify /_sim/reset";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Receipt {
    id: String,
    status: String,
    #[serde(default)]
    code: Option<String>,
}

impl Simulator {
    pub(crate) async fn control(&self, request: &Request) -> Response {
        match (request.method.as_str(), request.path.as_str()) {
            ("GET", "/_sim/messages") => self.list_messages(request.query("to").as_deref()),
            ("GET", "/_sim/webhooks") => ok(&newest(&self.webhooks(), |_| true)),
            ("GET", "/_sim/fetched") => {
                let state = self.state();
                let all: Vec<_> = state.records.fetched.iter().collect();
                ok(&newest(&all, |_| true))
            }
            ("GET", "/_sim/counts") => ok(&self.counts()),
            ("GET", "/_sim/faults") => ok(&self.script()),
            ("GET", "/_sim/settings") => self.settings(),
            ("POST", "/_sim/inbound") => match read::<Inbound>(request) {
                Ok(inbound) => attempts(self.inbound(&inbound).await),
                Err(answer) => answer,
            },
            ("POST", "/_sim/receipt") => match read::<Receipt>(request) {
                Ok(Receipt { id, status, code }) => {
                    attempts(self.receipt(&id, &status, code.as_deref()).await)
                }
                Err(answer) => answer,
            },
            ("POST" | "PATCH", "/_sim/faults") => match read::<Map<String, Value>>(request) {
                Ok(changes) => self.change_by(changes),
                Err(answer) => answer,
            },
            ("POST", "/_sim/verify") => match self.verify().await {
                Ok(attempt) => ok(&json!({"asked": attempt.is_some(), "attempt": attempt})),
                Err(e) => wrong(&e),
            },
            ("POST", "/_sim/reset") => {
                self.reset();
                ok(&self.counts())
            }
            _ => Response::text(404, &format!("there are: {ROUTES}\n")),
        }
    }

    fn list_messages(&self, to: Option<&str>) -> Response {
        let state = self.state();
        let messages: Vec<_> = state.records.messages.iter().collect();
        ok(&json!({
            "accepted": state.records.counts.accepted,
            "byRecipient": state.records.by_recipient(),
            "messages": newest(&messages, |message| to.is_none_or(|to| message.to == to)),
        }))
    }

    fn settings(&self) -> Response {
        let state = self.state();
        ok(&json!({
            "provider": self.about().name,
            "baseUrl": state.base,
            "credentials": self.shared.credentials,
            "webhook": state.hook,
        }))
    }

    fn change_by(&self, changes: Map<String, Value>) -> Response {
        let Ok(Value::Object(mut map)) = serde_json::to_value(self.script()) else {
            return Response::text(500, "the script cannot be read\n");
        };
        map.extend(changes);
        match serde_json::from_value::<Script>(map.into()) {
            Ok(script) => {
                self.change(|old| *old = script);
                ok(&self.script())
            }
            Err(e) => wrong(&e),
        }
    }
}

/// The newest of the items that are wanted, oldest first.
fn newest<T: Serialize>(items: &[T], wanted: impl Fn(&T) -> bool) -> Value {
    let mut newest: Vec<Value> = items
        .iter()
        .rev()
        .filter(|item| wanted(item))
        .take(LISTED_MAX)
        .map(|item| serde_json::to_value(item).unwrap_or_default())
        .collect();
    newest.reverse();
    newest.into()
}

fn attempts(result: Result<Vec<super::Attempt>, DeliverError>) -> Response {
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
        Err(e) => wrong(&e),
    }
}

fn read<T: DeserializeOwned>(request: &Request) -> Result<T, Response> {
    let body = if request.body.is_empty() { &b"{}"[..] } else { &request.body };
    serde_json::from_slice(body).map_err(|e| wrong(&e))
}

fn ok(value: &impl Serialize) -> Response {
    match serde_json::to_value(value) {
        Ok(value) => Response::json(200, &value),
        Err(e) => wrong(&e),
    }
}

fn wrong(error: &dyn std::fmt::Display) -> Response {
    Response::json(400, &json!({"error": error.to_string()}))
}
