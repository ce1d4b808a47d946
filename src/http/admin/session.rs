//! One session: now, as it was at an instant, and the difference between two instants.

use actors::{
    Refusal, Router,
    view::{EventView, SessionView},
};
use axum::{
    body::Body,
    extract::{Path, State},
};
use http::{Response, Uri};
use message::{Seq, SessionId, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{query, state::SharedAdmin};
use crate::{http::answer, instant};

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Instants {
    /// Shows the session as it was at this instant (RFC 3339, or epoch ms).
    at: Option<String>,
    /// With `at`: shows what differs between the two instants.
    diff: Option<String>,
    /// Shows the events before this number.
    before: Option<u64>,
}

/// The difference of a session between two instants.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Difference {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    /// Values of the state that only the earlier instant has, as `path = value`.
    pub(crate) removed: Vec<String>,
    /// Values of the state that only the later instant has, as `path = value`.
    pub(crate) added: Vec<String>,
    /// Events after `from`, up to and including `to`.
    pub(crate) events: Vec<EventView>,
}

/// A session, or its difference between two instants.
#[derive(JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it only describes what is written")]
pub(super) enum ShownSession {
    /// Without `diff`.
    Session(Box<SessionView>),
    /// With `diff`.
    Difference(Difference),
}

pub(super) async fn show(State(inner): SharedAdmin, Path(id): Path<String>, uri: Uri) -> Response<Body> {
    let bad = answer::wrong_parameter;
    let id: SessionId = match id.parse() {
        Ok(id) => id,
        Err(e) => return bad("id", e.to_string()),
    };
    let instants: Instants = match query::of(&uri) {
        Ok(instants) => instants,
        Err(answer) => return *answer,
    };
    let at = instants.at.as_deref().map(instant::parse).transpose();
    let diff = instants.diff.as_deref().map(instant::parse).transpose();
    let router = &inner.admin.router;
    if let Some(before) = instants.before {
        return respond(router.session_before(id, Seq(before)).await);
    }
    match (at, diff) {
        (Err(e), _) => bad("at", e.to_string()),
        (_, Err(e)) => bad("diff", e.to_string()),
        (Ok(None), Ok(Some(_))) => bad("diff", "needs at= as well; the two instants are compared".to_owned()),
        (Ok(Some(at)), Ok(Some(diff))) => respond(difference(router, id, at, diff).await),
        (Ok(at), Ok(None)) => respond(router.session(id, at).await),
    }
}

fn respond<T: Serialize>(result: Result<T, Refusal>) -> Response<Body> {
    match result {
        Ok(view) => answer::json(&view),
        Err(refusal) => answer::refusal(&refusal),
    }
}

/// Compares a session at two instants, given in either order.
pub(crate) async fn difference(
    router: &Router,
    id: SessionId,
    a: Timestamp,
    b: Timestamp,
) -> Result<Difference, Refusal> {
    let (from, to) = (a.min(b), a.max(b));
    let before = router.session(id, Some(from)).await?;
    let after = router.session(id, Some(to)).await?;
    let (removed, added) = changed_lines(&facts(&before)?, &facts(&after)?);
    let events = after.events.into_iter().filter(|e| e.at > from && e.at <= to).collect();
    Ok(Difference { from, to, removed, added, events })
}

/// Returns the state as one line for each value: its path and the value.
fn facts(view: &SessionView) -> Result<Vec<String>, Refusal> {
    let state = serde_json::to_value(&view.snapshot);
    let state =
        state.map_err(|error| Refusal::Busy { reason: error.to_string().into(), retry_after_s: 10 })?;
    let mut facts = Vec::new();
    flatten(&state, String::new(), &mut facts);
    Ok(facts)
}

/// Adds the values below a path. Items of a list are named by their `number` where they have one,
/// so that those behind an item that goes stay the same.
fn flatten(value: &Value, path: String, facts: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let dot = if path.is_empty() { "" } else { "." };
                flatten(field, format!("{path}{dot}{name}"), facts);
            }
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                let number = item.get("number").and_then(Value::as_u64);
                let name = number.map_or_else(|| at.to_string(), |number| format!("#{number}"));
                flatten(item, format!("{path}[{name}]"), facts);
            }
        }
        value => facts.push(format!("{path} = {value}")),
    }
}

/// Returns the lines that only `before` has and those that only `after` has, in their order. A
/// repeated line counts as often as it is missing on the other side.
fn changed_lines(before: &[String], after: &[String]) -> (Vec<String>, Vec<String>) {
    let only_in = |a: &[String], b: &[String]| {
        let mut rest = b.to_vec();
        rest.sort_unstable();
        let mut only = Vec::new();
        for line in a {
            match rest.binary_search(line) {
                Ok(at) => _ = rest.remove(at),
                Err(_) => only.push(line.clone()),
            }
        }
        only
    };
    (only_in(before, after), only_in(after, before))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_changed_is_told() {
        let of = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
        let (removed, added) = changed_lines(&of(&["a", "b", "b", "c"]), &of(&["b", "c", "d", "a"]));
        assert_eq!((removed, added), (of(&["b"]), of(&["d"])));
    }

    #[test]
    fn an_item_that_goes_changes_no_other() {
        let facts = |value: Value| {
            let mut facts = Vec::new();
            flatten(&value, String::new(), &mut facts);
            facts
        };
        let before =
            facts(json!({"open": true, "queue": [{"number": 1, "id": "a"}, {"number": 2, "id": "b"}]}));
        let after = facts(json!({"open": true, "queue": [{"number": 2, "id": "b"}]}));
        let (removed, added) = changed_lines(&before, &after);
        assert_eq!(removed, ["queue[#1].id = \"a\"", "queue[#1].number = 1"]);
        assert_eq!(added, [""; 0]);
    }
}
